"""Conversion of objective values between the acquisition function's scale and their own unit.

Conversions in both directions interpolate between observations and extrapolate linearly beyond
them.

Notation
    k   position of the objective among the objectives that have a value
"""

from __future__ import annotations

import numpy as np

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.objectives import ScaledObservations


def unscaled(observed: ScaledObservations, k: int, f: FloatArray) -> FloatArray:
    """Convert scaled values (n,) of an objective to its own unit."""
    known = ~np.isnan(observed.values[:, k])
    scaled, first = np.unique(observed.values[known, k], return_index=True)
    return _interpolated(f, scaled, observed.raw[known, k][first])


def rescaled(observed: ScaledObservations, k: int, values: FloatArray) -> FloatArray:
    """Convert values (n,) of an objective to the acquisition function's scale."""
    known = ~np.isnan(observed.values[:, k])
    raw, first = np.unique(observed.raw[known, k], return_index=True)
    scaled = observed.values[known, k][first]
    if len(raw) > 1 and scaled[0] > scaled[-1]:  # minimized, so the linear part is at the low end
        return _interpolated(-values, -raw[::-1], scaled[::-1])
    return _interpolated(values, raw, scaled)


def _interpolated(x: FloatArray, xs: FloatArray, ys: FloatArray) -> FloatArray:
    """Interpolate between points with increasing ``xs``, from the worst value to the best."""
    if len(xs) == 1:
        return np.full(len(x), ys[0])
    middle = min(len(xs) // 2, len(xs) - 2)  # above the median, the scale is linear
    up = (ys[-1] - ys[middle]) / (xs[-1] - xs[middle])
    down = (ys[1] - ys[0]) / (xs[1] - xs[0])
    up, down = np.nan_to_num([up, down], posinf=0.0, neginf=0.0)  # for steps of 1e-310
    inside = np.interp(x, xs, ys)
    above = np.where(x > xs[-1], ys[-1] + up * (x - xs[-1]), inside)
    return np.asarray(np.where(x < xs[0], ys[0] + down * (x - xs[0]), above))
