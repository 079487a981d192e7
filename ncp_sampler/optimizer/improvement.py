"""Expected improvements in logs: of one metric, of a front, of a scalarization.

Notation
    mean, std  posterior (n, m), all metrics to be maximized
    best       incumbent value, a number
    z          (mean - best) / std
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp_sampler.optimizer.hypervolume import boxes_beyond
from ncp_sampler.predictors.predictor import FloatArray

KNOWN_STD = 5e-3  # of a known cost's spread: its improvement is smoothed by so much
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Beyond:
    """The boxes beyond a front, by the levels that their sides lie at.

    Attributes:
        levels: Of each objective, ascending, the last one infinite.
        sides: Of each objective, the positions of each box's low and high side, (2, pairs), each
            pair once.
        pairs: Of each objective, the position of each box's pair, (boxes,).
    """

    levels: tuple[Tensor, ...]
    sides: tuple[Tensor, ...]
    pairs: tuple[Tensor, ...]

    @classmethod
    def of(cls, front: FloatArray, reference: FloatArray, device: torch.device) -> Beyond:
        """The boxes better than a reference (m,) that a front (p, m) does not dominate."""
        levels, sides, pairs = [], [], []
        for low, high in zip(*(corner.T for corner in boxes_beyond(front, reference)), strict=True):
            level, at = np.unique(np.concatenate([low, high]), return_inverse=True)
            side, pair = np.unique(at.reshape(2, -1), axis=1, return_inverse=True)
            levels.append(torch.as_tensor(level, device=device))
            sides.append(torch.as_tensor(side, device=device))
            pairs.append(torch.as_tensor(pair.reshape(-1), device=device))
        return cls(tuple(levels), tuple(sides), tuple(pairs))


def log_hypervolume_improvement(
    mean: Tensor, std: Tensor, beyond: Beyond, known: tuple[bool, ...]
) -> Tensor:
    """Log (n,) of the expected hypervolume that a point adds, exact for independent normals.

    With f_k independent, the expectation of a box's part is a product, and that of one side is
    E[max(min(f, high) - low, 0)] = EI(low) - EI(high), EI the expected improvement over a level:
    so the sum over boxes of products of differences of EI (Emmerich et al. 2011, "Hypervolume-based
    expected improvement", section III), here in logs, so that its slope never vanishes.

    Args:
        mean: (n, m).
        std: (n, m); not read of known objectives.
        beyond: The boxes.
        known: Whether an objective is known: then max(f - level, 0), smoothed, is its EI.
    """
    total: Tensor | None = None
    for k, (levels, (low, high), pair) in enumerate(
        zip(beyond.levels, beyond.sides, beyond.pairs, strict=True)
    ):
        finite = levels[:-1]
        if known[k]:
            improvement = log_smooth_improvement(mean[:, k, None], finite)
        else:
            improvement = log_expected_improvement(mean[:, k, None], std[:, k, None], finite)
        ends = high < len(finite)
        above, start = improvement[:, torch.where(ends, high, low)], improvement[:, low]
        side = torch.where(ends, _log_difference(start, above), start)
        total = side[:, pair] if total is None else total + side[:, pair]
    assert total is not None
    return torch.logsumexp(total, dim=1)


def _log_difference(larger: Tensor, smaller: Tensor) -> Tensor:
    """log(exp(larger) - exp(smaller)), of the same shape."""
    d = (smaller - larger).clamp_max(-1e-12)
    near = d.clamp_min(-0.7)
    return larger + torch.where(d > -0.7, (-torch.expm1(near)).log(), torch.log1p(-d.exp()))


def log_smooth_improvement(value: Tensor, best: float | Tensor) -> Tensor:
    """Log of max(value - best, 0) for known values, smoothed so that its slope never vanishes."""
    t = (value - best) / KNOWN_STD
    smooth = torch.nn.functional.softplus(t, threshold=30.0).clamp_min(1e-30).log()
    # log softplus(t) -> t for t -> -inf, where softplus itself underflows
    return torch.where(t > -30, smooth, t) + math.log(KNOWN_STD)


def log_expected_improvement(mean: Tensor, std: Tensor, best: float | Tensor) -> Tensor:
    """Log of E[max(f - best, 0)] for f normal, shape kept, stable and differentiable far below.

    Ament et al. (2023), "Unexpected improvements to expected improvement", equation 9:
    log h(z) + log std with h(z) = phi(z) + z Phi(z), through erfcx for z < -1.
    """
    found: Tensor = _LogH.apply((mean - best) / std)  # type: ignore[no-untyped-call]
    return found + std.log()


class _LogH(torch.autograd.Function):
    """Log h(z), and its derivative Phi(z) / h(z) in closed form."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        high, low = z.clamp_min(-1.0), z.clamp_max(-1.0)
        share = torch.special.ndtr(high)
        density = (high * high).mul_(-0.5).sub_(_LOG_SQRT_2PI).exp_()
        h = density.addcmul_(high, share)
        # through Phi / phi = sqrt(pi / 2) erfcx(-z / sqrt 2); h / phi is 1 less a ratio that
        # rounding takes to 1 below z = -1e4, and there is 1 / z^2
        mills = torch.special.erfcx(low * -math.sqrt(0.5)).mul_(math.sqrt(math.pi / 2))
        rest, near = (mills * low).add_(1).clamp_min_(1e-9), low > -1e4
        tail = torch.where(near, rest.log(), low.neg().log_().mul_(-2))
        above = z > -1.0
        slope = torch.where(near, mills / rest, -low)
        ctx.save_for_backward(torch.where(above, share / h, slope))
        below = (low * low).mul_(-0.5).sub_(_LOG_SQRT_2PI).add_(tail)
        return torch.where(above, h.log_(), below)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        found: Tensor = gradients[0] * slope
        return found


def log_scalarized_improvement(
    mean: Tensor, std: Tensor, weights: Tensor, best: float, normal: Tensor
) -> Tensor:
    """Log expected improvement (n,) of the augmented Chebyshev scalarization of m metrics.

    The scalarization min_k w_k f_k + 0.05 sum_k w_k f_k is the one of ParEGO (Knowles 2006,
    equation 2, here for maximization of metrics whose ideal is 0); its expectation is taken over
    fixed draws of the posterior, with a softplus in place of max(., 0) so that the gradient
    never vanishes.

    Args:
        mean: (n, m), scaled so that the ideal point is 0.
        std: (n, m).
        weights: (m,), of sum 1.
        best: Largest scalarized value so far.
        normal: Standard normal draws (s, m), the same for all codes.
    """
    draws = mean + normal[:, None] * std  # (s, n, m)
    gain = chebyshev(draws, weights) - best
    temperature = 1e-2
    smooth = torch.nn.functional.softplus(gain / temperature, threshold=30.0)
    # log softplus(t) -> t for t -> -inf, where softplus itself underflows
    log_gain = torch.where(
        gain / temperature > -30, smooth.clamp_min(1e-30).log(), gain / temperature
    )
    return torch.logsumexp(log_gain, dim=0) + math.log(temperature / len(normal))


def chebyshev(values: Tensor, weights: Tensor) -> Tensor:
    """Augmented Chebyshev scalarization over the last axis, to be maximized."""
    weighted = values * weights
    return weighted.amin(-1) + 0.05 * weighted.sum(-1)


def scalarize(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Augmented Chebyshev value (n,) of metrics (n, m) relative to their best; NaN if one is."""
    relative = torch.from_numpy(values - np.nanmax(values, 0))
    scalar: FloatArray = chebyshev(relative, torch.from_numpy(weights)).numpy()
    return scalar
