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

from torch import Tensor

Pull: TypeAlias = Callable[[Tensor], Tensor]  # W (m, n, n) -> d tr(W K) / 2 d theta, (m, p)

_LENGTH_SCALE = 0.3  # prior median over sqrt(d), unit codes
_LOG_LENGTH_SD = 0.6
_LOG_SIGNAL_SD = 1.0


class Cross(Protocol):
    """Prior covariance with fixed codes, differentiable by the other ones."""

    def __call__(self, z: Tensor) -> Tensor:
        """Covariance (m, q, n) of codes z (q, d) with the fixed codes."""

    def variance(self, z: Tensor) -> Tensor:
        """Prior variance of codes z, (m, q) or what broadcasts to it."""


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
        root, decay = _decay(squares[..., None] + squares[:, None] - 2 * scaled @ scaled.mT, theta)
        k = (1 + root + root * root / 3) * decay
        factor = (5 / 3) * (1 + root) * decay

        def pull(w: Tensor) -> Tensor:
            weighted = w * factor
            per_column = weighted.sum(-1) @ (x * x) - (x * (weighted @ x)).sum(1)
            gradient = theta.new_empty(theta.shape)
            gradient[:, :-1] = per_column * (-2 * theta[:, :-1]).exp()
            gradient[:, -1] = 0.5 * (w * k).sum((-1, -2))
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

    def __call__(self, z: Tensor) -> Tensor:
        a = _scale(z, self.theta)
        squared = (a * a).sum(-1)[..., None] + self.squares[:, None] - 2 * a @ self.scaled.mT
        root, decay = _decay(squared, self.theta)
        return (1 + root + root * root / 3) * decay

    def variance(self, z: Tensor) -> Tensor:
        return self.theta[:, -1].exp()[:, None]


def log_length_mean(d: int) -> float:
    """Prior mean of a log length scale."""
    return math.log(_LENGTH_SCALE * math.sqrt(d))


def _scale(x: Tensor, theta: Tensor) -> Tensor:
    """X / l for every metric, (m, n, d)."""
    return x * (-theta[:, None, :-1]).exp()


def _decay(squared: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel's a and s2 exp(-a) of squared distances r2 (m, na, nb)."""
    root = (5 * squared.clamp_min(1e-12)).sqrt()
    return root, theta[:, -1].exp()[:, None, None] * (-root).exp()
