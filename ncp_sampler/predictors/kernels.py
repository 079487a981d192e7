"""What an exact process asks of a prior over functions, and the Matérn kernel.

Notation, for each of m metrics on its own
    X (n, d)      unit codes
    theta (m, p)  the kernel's parameters, on a scale where their priors are normal
    K (m, n, n)   prior covariance of the metric's standardized values at the codes
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Pull: TypeAlias = Callable[[Tensor], Tensor]  # W (m, n, n) -> d tr(W K) / 2 d theta, (m, p)
# gradients by covariance (m, q, n) and variance (m, q) -> the gradient by the codes, (q, d)
CodePull: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_LENGTH_SCALE = 0.3  # prior median over sqrt(d), unit codes
_LOG_LENGTH_SD = 0.6
_LOG_SIGNAL_SD = 1.0


class Cross(Protocol):
    """Prior covariance with fixed codes, and its gradient in closed form."""

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, CodePull]:
        """Of codes z (q, d): covariance (m, q, n) with the fixed ones, variance, and the pull.

        The variance is (m, q), or what broadcasts to it.
        """


class Kernel(Protocol):
    """A prior over functions of unit codes."""

    def prior(self, d: int) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each of the p parameters, for codes of d columns."""

    def covariance(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Pull]:
        """K of codes x (n, d), and what gives the gradient of tr(W K) / 2 for a symmetric W."""

    def cross(self, x: Tensor, theta: Tensor) -> Cross:
        """Covariance with codes x (n, d)."""


class Matern:
    """Matérn 5/2 with one length scale per column.

    With r2_ij = sum_k (X_ik - X_jk)^2 / l_k^2 and a = sqrt(5 r2), K = s2 (1 + a + a^2/3) exp(-a);
    theta is log l (d) and log s2.
    """

    def prior(self, d: int) -> tuple[list[float], list[float]]:
        """Log-normal length scales around 0.3 sqrt(d), and a signal variance around 1."""
        return [log_length_mean(d)] * d + [0.0], [_LOG_LENGTH_SD] * d + [_LOG_SIGNAL_SD]

    def covariance(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Pull]:
        """K and its gradient, with M = -2 dK/d(r2), so that dK/d(log l_k) = M r2_k."""
        scaled = _scale(x, theta)
        squares = (scaled * scaled).sum(-1)
        k, factor = _matern(scaled, scaled, squares, squares, theta)

        def pull(w: Tensor) -> Tensor:
            weighted = w * factor
            per_column = weighted.sum(-1) @ (x * x) - (x * (weighted @ x)).sum(1)
            gradient = theta.new_empty(theta.shape)
            gradient[:, :-1] = per_column * (-2 * theta[:, :-1]).exp()
            gradient[:, -1] = 0.5 * (w.flatten(1)[:, None] @ k.flatten(1)[..., None])[:, 0, 0]
            return gradient

        return k, pull

    def cross(self, x: Tensor, theta: Tensor) -> Cross:
        """Covariance with codes x."""
        scaled = _scale(x, theta)
        return _MaternCross(theta, scaled, (scaled * scaled).sum(-1))


@dataclass(frozen=True)
class _MaternCross:
    theta: Tensor
    scaled: Tensor  # X / l, (m, n, d)
    squares: Tensor  # of its rows, (m, n)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, CodePull]:
        a = _scale(z, self.theta)
        k, factor = _matern(a, self.scaled, (a * a).sum(-1), self.squares, self.theta)

        def pull(g: Tensor, _: Tensor) -> Tensor:
            weighted = g * factor  # -2 dk/d(r2) for each
            by_scaled = weighted @ self.scaled - weighted.sum(-1, keepdim=True) * a
            return (by_scaled * (-self.theta[:, None, :-1]).exp()).sum(0)

        return k, self.theta[:, -1].exp()[:, None], pull


def _matern(
    a: Tensor, b: Tensor, a_squares: Tensor, b_squares: Tensor, theta: Tensor
) -> tuple[Tensor, Tensor]:
    """K (m, q, n) of two sets of scaled codes and their squares, and -2 dK/d(r2)."""
    r2 = torch.baddbmm(b_squares[:, None], a, b.mT, alpha=-2).add_(a_squares[..., None])
    root = r2.clamp_min_(1e-12).mul_(5).sqrt_()
    decay = root.neg().exp_().mul_(theta[:, -1].exp()[:, None, None])
    slope = (root + 1).mul_(decay)  # s2 (1 + a) exp(-a)
    k = torch.addcmul(slope, root.mul_(root), decay.mul_(1 / 3))
    return k, slope.mul_(5 / 3)


def log_length_mean(d: int) -> float:
    """Prior mean of a log length scale."""
    return math.log(_LENGTH_SCALE * math.sqrt(d))


def _scale(x: Tensor, theta: Tensor) -> Tensor:
    """X / l for every metric, (m, n, d)."""
    return x * (-theta[:, None, :-1]).exp()
