"""What the next trial is worth: log expected improvement, for one metric or several.

Notation
    mean, std  posterior (n, m), all metrics to be maximized
    best       incumbent value, a number
    z          (mean - best) / std
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ncp_sampler.predictors.predictor import FloatArray, Predictor

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Acquisition:
    """Log expected improvement over the best known value, for one metric or a scalarization.

    Args:
        predictor: Fitted on the metrics in the order of ``values``.
        unit: Known unit codes, (n, d).
        values: Their metrics, to be maximized, NaN where missing, (n, m).
        weights: Of the scalarization, (m,), of sum 1.
        noisy: Take the predictor's mean at the known codes for the incumbent, not the values.
        normal: Standard normal draws for the scalarization's expectation, (s, m).
    """

    def __init__(
        self,
        predictor: Predictor,
        unit: FloatArray,
        values: FloatArray,
        weights: FloatArray,
        *,
        noisy: bool,
        normal: FloatArray,
    ) -> None:
        self._predictor = predictor
        self.device = predictor.device
        self._weights = torch.as_tensor(weights, dtype=torch.float64, device=self.device)
        self._normal = torch.as_tensor(normal, dtype=torch.float64, device=self.device)
        known = predictor.predict(unit)[0] if noisy else values
        self._ideal = torch.as_tensor(np.nanmax(known, 0), dtype=torch.float64, device=self.device)
        if values.shape[1] == 1:
            self._best = float(np.nanmax(known))
        else:
            scalars = scalarize(known, weights)
            if np.isnan(scalars).all():  # no trial has every metric: their means stand in
                means = predictor.predict(unit)[0]
                scalars = scalarize(np.where(np.isnan(known), means, known), weights)
            self._best = float(np.nanmax(scalars))

    def __call__(self, x: Tensor) -> Tensor:
        """Log expected improvement (n,) at unit codes (n, d), differentiable."""
        mean, std = self._predictor.posterior(x)
        if mean.shape[1] == 1:
            return log_expected_improvement(mean[:, 0], std[:, 0], self._best)
        return log_scalarized_improvement(
            mean - self._ideal, std, self._weights, self._best, self._normal
        )


def log_expected_improvement(mean: Tensor, std: Tensor, best: float) -> Tensor:
    """Log of E[max(f - best, 0)] for f normal, shape kept, stable and differentiable far below.

    Ament et al. (2023), "Unexpected improvements to expected improvement", equation 9:
    log h(z) + log std with h(z) = phi(z) + z Phi(z), through erfcx for z < -1.
    """
    z = (mean - best) / std
    high = z.clamp_min(-1.0)
    above = (torch.exp(-0.5 * high * high - _LOG_SQRT_2PI) + high * torch.special.ndtr(high)).log()
    low = z.clamp_max(-0.5)  # not at -1, where the slope of clamp is 0 in some versions of PyTorch
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


def scalarize(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Augmented Chebyshev value (n,) of metrics (n, m) relative to their best; NaN if one is."""
    relative = torch.from_numpy(values - np.nanmax(values, 0))
    scalar: FloatArray = chebyshev(relative, torch.from_numpy(weights)).numpy()
    return scalar
