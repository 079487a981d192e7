"""What the next trial is worth: log expected improvement, for one metric or several.

Notation
    mean, std  posterior (n, m), all metrics to be maximized
    best       incumbent value, a number
    z          (mean - best) / std
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def log_expected_improvement(mean: Tensor, std: Tensor, best: float) -> Tensor:
    """Log of E[max(f - best, 0)] for f normal, shape kept, stable and differentiable far below.

    Ament et al. (2023), "Unexpected improvements to expected improvement", equation 9:
    log h(z) + log std with h(z) = phi(z) + z Phi(z), through erfcx for z < -1.
    """
    z = (mean - best) / std
    high = z.clamp_min(-1.0)
    above = (torch.exp(-0.5 * high * high - _LOG_SQRT_2PI) + high * torch.special.ndtr(high)).log()
    low = z.clamp_max(-1.0)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-low / math.sqrt(2)) * low.abs()
    # below z = -1e4 rounding takes 1 - ratio to 0: its limit is 1 / z^2
    tail = torch.where(low > -1e4, (1 - ratio).clamp_min(1e-9).log(), -2 * low.abs().log())
    below = -0.5 * low * low - _LOG_SQRT_2PI + tail
    return torch.where(z > -1.0, above, below) + std.log()


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
