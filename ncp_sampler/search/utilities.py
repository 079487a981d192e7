"""Utilities of a normal posterior: log expected improvements and their gradients.

A utility maps the mean and standard deviation (n, m) of objectives, all to be maximized, to values
(n,) and a pullback. The pullback maps gradients with respect to the values (n,) to gradients with
respect to mean and standard deviation (n, m). With logarithms, the slope never vanishes (Ament et
al. 2023, "Unexpected improvements to expected improvement").

Notation
    mean, std  posterior, (n, m)
    best       incumbent value
    z          (mean - best) / std
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, expit, log_ndtr, logsumexp, ndtr

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.pareto import boxes_beyond, chebyshev

KNOWN_STD = 5e-3  # smoothing of a known cost's improvement, in standard deviations of the cost
_TEMPERATURE = 1e-2  # smoothing of a scalarized improvement
_SHORTEST = 1e-3  # minimum length of the front in a direction, if it is not beyond the reference
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

Pullback: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class Utility(Protocol):
    """Function of the posterior of objectives, to be maximized."""

    def __call__(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return values (n,) and their pullback, for mean and std (n, m)."""


@dataclass(frozen=True)
class LogEI:
    """Log expected improvement of a single objective.

    Attributes:
        best: Incumbent value.
        known: True if the objective is a known cost, for which max(., 0) is smoothed instead.
    """

    best: float
    known: bool = False

    def __call__(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return values (n,) and their pullback, for mean and std (n, 1)."""
        if self.known:
            value, slope = log_smooth_improvement(mean[:, 0] - self.best)
            return value, lambda g: ((g * slope)[:, None], np.zeros_like(std))
        value, by_mean, by_std = log_expected_improvement(mean[:, 0] - self.best, std[:, 0])
        return value, lambda g: ((g * by_mean)[:, None], (g * by_std)[:, None])


@dataclass(frozen=True)
class LogWeightedEI:
    """Log expected improvement of a weighted sum of objectives, which is also normal.

    Attributes:
        best: Incumbent value of the sum.
        weights: Nonnegative weights (m,).
    """

    best: float
    weights: FloatArray

    def __call__(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return values (n,) and their pullback, for mean and std (n, m)."""
        variance = (std * self.weights) ** 2 @ np.ones(len(self.weights))
        floor = KNOWN_STD * self.weights.sum()
        spread = np.sqrt(np.maximum(variance, floor**2))
        value, by_mean, by_spread = log_expected_improvement(
            mean @ self.weights - self.best, spread
        )
        rate = np.where(variance > floor**2, by_spread / spread, 0.0)

        def pullback(g: FloatArray) -> tuple[FloatArray, FloatArray]:
            by_std = (g * rate)[:, None] * std * self.weights**2
            return (g * by_mean)[:, None] * self.weights, by_std

        return value, pullback


class LogEHVI:
    """Log expected hypervolume improvement, exact for independent normals.

    The expectation for one box is a product over objectives. The factors of this product are
    EI(low) - EI(high) = E[max(min(f, high) - low, 0)], where EI is the expected improvement over a
    level. The products are summed over the boxes (Emmerich et al. 2011, "Hypervolume-based expected
    improvement", section III).

    Args:
        front: Pareto front, (p, m).
        reference: Point (m,) beyond which hypervolume counts.
        known: True for each objective that is a known cost, whose expected improvement is a
            smoothed max(f - level, 0).
    """

    def __init__(self, front: FloatArray, reference: FloatArray, known: tuple[bool, ...]) -> None:
        corners = zip(*(corner.T for corner in boxes_beyond(front, reference)), strict=True)
        self._sides = [_Sides.of(low, high) for low, high in corners]
        self._known = known

    def __call__(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return values (n,) and their pullback, for mean and std (n, m)."""
        parts = []
        for k, sides in enumerate(self._sides):
            gain = mean[:, k, None] - sides.levels
            if self._known[k]:
                improvement, by_mean = log_smooth_improvement(gain)
                by_std = np.zeros_like(gain)
            else:
                spread = np.broadcast_to(std[:, k, None], gain.shape)
                improvement, by_mean, by_std = log_expected_improvement(gain, spread)
            parts.append((sides.lengths(improvement), by_mean, by_std))
        boxes = parts[0][0][0][:, self._sides[0].box]  # log contribution of each box, (n, boxes)
        for ((lengths, _), _, _), sides in zip(parts[1:], self._sides[1:], strict=True):
            boxes += lengths[:, sides.box]
        largest = boxes.max(axis=1)
        boxes -= largest[:, None]
        np.exp(boxes, out=boxes)
        total = boxes.sum(axis=1)

        def pullback(g: FloatArray) -> tuple[FloatArray, FloatArray]:
            share = boxes * (g / total)[:, None]
            means, stds = np.empty_like(mean), np.zeros_like(std)
            for k, sides in enumerate(self._sides):
                (_, to_levels), by_mean, by_std = parts[k]
                by_level = to_levels(sides.summed(share))
                means[:, k] = (by_level * by_mean).sum(1)
                stds[:, k] = (by_level * by_std).sum(1)
            return means, stds

        return largest + np.log(total), pullback


@dataclass(frozen=True)
class LogChebyshevEI:
    """Log expected improvement of an augmented Chebyshev scalarization (Knowles 2006, equation 2).

    The expectation is taken over fixed draws of the posterior, with a softplus instead of max(.,
    0), so that the gradient never vanishes.

    Attributes:
        ideal: Best value of each objective, (m,).
        best: Largest scalarized value so far.
        weights: Weights (m,) with sum 1.
        normal: Standard normal draws, (s, m).
    """

    ideal: FloatArray
    best: float
    weights: FloatArray
    normal: FloatArray

    def __call__(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return values (n,) and their pullback, for mean and std (n, m)."""
        draws = (mean - self.ideal) + self.normal[:, None] * std  # (s, n, m)
        scalar, by_draw = chebyshev(draws, self.weights)
        t = (scalar - self.best) / _TEMPERATURE
        log_gain, slope = _log_softplus(t)
        value = np.asarray(logsumexp(log_gain, axis=0))
        rate = np.exp(log_gain - value) * slope / _TEMPERATURE  # (s, n)

        def pullback(g: FloatArray) -> tuple[FloatArray, FloatArray]:
            by_draws = (g * rate)[..., None] * by_draw
            return by_draws.sum(0), (by_draws * self.normal[:, None]).sum(0)

        return value + math.log(_TEMPERATURE / len(self.normal)), pullback


@dataclass(frozen=True)
class LogSampledHVI:
    """Sampled log expected hypervolume improvement, for more objectives than ``LogEHVI`` allows.

    The hypervolume is proportional to the mean, over directions on the positive part of the sphere,
    of the m-th power of the length of the dominated region in that direction (Zhang & Golovin 2020,
    "Random hypervolume scalarizations", lemma 5). A point y reaches the length min_k (y_k -
    reference_k) / direction_k. Each direction has one draw of the posterior.

    Attributes:
        reference: Point (m,) beyond which hypervolume counts.
        directions: Positive unit vectors, (s, m).
        reached: Length of the front in each direction, positive, (s,).
        normal: Standard normal draws, (s, m).
    """

    reference: FloatArray
    directions: FloatArray
    reached: FloatArray
    normal: FloatArray

    @classmethod
    def of(
        cls, front: FloatArray, reference: FloatArray, draws: FloatArray, normal: FloatArray
    ) -> LogSampledHVI:
        """Return the utility for a front (p, m), with directions from normal draws."""
        positive = np.maximum(np.abs(draws), 1e-6)
        directions = positive / np.linalg.norm(positive, axis=1, keepdims=True)
        lengths = ((front - reference)[:, None] / directions).min(axis=2)
        return cls(reference, directions, np.maximum(lengths.max(axis=0), _SHORTEST), normal)

    def __call__(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return values (n,) and their pullback, for mean and std (n, m)."""
        m = mean.shape[1]
        ratios = (mean - self.reference)[:, None] + self.normal * std[:, None]  # (n, s, m)
        ratios /= self.directions
        at = ratios.argmin(axis=2)
        length = np.take_along_axis(ratios, at[..., None], 2)[..., 0]  # (n, s)
        log_gain, slope = _log_softplus((length - self.reached) / _TEMPERATURE)
        log_gain += math.log(_TEMPERATURE)
        # with r reached, g gain and q = r / (r + g): (r + g)^m - r^m is g (r + g)^(m-1) times the
        # sum of q^i, i < m, which keeps its precision if g is tiny
        gain = np.exp(log_gain)
        longer = self.reached + gain
        powers = (self.reached / longer)[..., None] ** np.arange(m)
        total = powers.sum(-1)
        logs = log_gain + (m - 1) * np.log(longer) + np.log(total)
        value = np.asarray(logsumexp(logs, axis=1))
        by_gain = powers @ np.arange(m - 1, -1, -1) / (longer * total)
        rate = np.exp(logs - value[:, None]) * (1 + gain * by_gain) * slope / _TEMPERATURE

        def pullback(g: FloatArray) -> tuple[FloatArray, FloatArray]:
            by_ratio = np.zeros_like(ratios)
            np.put_along_axis(by_ratio, at[..., None], (g[:, None] * rate)[..., None], 2)
            by_ratio /= self.directions
            return by_ratio.sum(1), (by_ratio * self.normal).sum(1)

        return value - math.log(len(self.directions)), pullback


def log_probability_above(mean: FloatArray, std: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log probability that a normal variable is above 0, and its slope in mean / std."""
    z = mean / std
    logs = log_ndtr(z)
    return logs, np.exp(-0.5 * z * z - _LOG_SQRT_2PI - logs)


def log_expected_improvement(
    improvement: FloatArray, std: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log E[max(f, 0)] for normal f, and its slopes with respect to mean and std.

    ``improvement`` is the mean of f, the predicted improvement on the incumbent.

    Ament et al. (2023), equation 9: log h(z) + log std with h(z) = phi(z) + z Phi(z), computed
    with erfcx for z < -1. The derivative of log h is Phi / h.
    """
    z = improvement / std
    above = np.maximum(z, -1.0)
    share = ndtr(above)
    h = np.exp(-0.5 * above * above - _LOG_SQRT_2PI) + above * share
    value, slope = np.log(h), share / h
    tail = z <= -1.0
    if tail.any():
        low = z[tail]
        # from Phi / phi = sqrt(pi / 2) erfcx(-z / sqrt 2); h / phi is 1 minus a ratio, which is
        # rounded to 1 below z = -1e4; there, h / phi is 1 / z^2
        mills = erfcx(low * -math.sqrt(0.5)) * math.sqrt(math.pi / 2)
        rest, near = np.maximum(mills * low + 1, 1e-9), low > -1e4
        logs = np.where(near, np.log(rest), -2 * np.log(-low))
        value[tail] = -0.5 * low * low - _LOG_SQRT_2PI + logs
        slope[tail] = np.where(near, mills / rest, -low)
    return value + np.log(std), slope / std, (1 - z * slope) / std


def log_smooth_improvement(improvement: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log of a smoothed max(improvement, 0) for known values, and its slope."""
    value, slope = _log_softplus(improvement / KNOWN_STD)
    return value + math.log(KNOWN_STD), slope / KNOWN_STD


def _log_softplus(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log softplus(t) and its slope, which approach t and 1 as t approaches -inf."""
    softplus = np.logaddexp(0.0, t)
    far = t < -30
    value = np.where(far, t, np.log(np.maximum(softplus, 1e-30)))
    return value, np.where(far, 1.0, expit(t) / np.maximum(softplus, 1e-30))


@dataclass(frozen=True)
class _Sides:
    """Sides of boxes along one objective; each distinct pair of levels is stored once.

    Attributes:
        levels: Finite levels at which sides begin or end, ascending, (L,).
        low: Position of each pair's low level, (P,).
        high: Position of each pair's high level, L for infinity, (P,).
        box: Position of each box's pair, (B,).
        order: Boxes sorted by their pair, (B,).
        starts: Position in that order at which each pair's boxes begin, (P,).
    """

    levels: FloatArray
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    box: NDArray[np.intp]
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, low: FloatArray, high: FloatArray) -> _Sides:
        """Index the sides of boxes with low and high corners (B,)."""
        levels, at = np.unique(np.concatenate([low, high]), return_inverse=True)
        pairs, box = np.unique(at.reshape(2, -1), axis=1, return_inverse=True)
        box = box.reshape(-1)
        order = np.argsort(box, kind="stable")
        starts = np.searchsorted(box[order], np.arange(pairs.shape[1]))
        return cls(levels[np.isfinite(levels)], pairs[0], pairs[1], box, order, starts)

    def lengths(
        self, improvement: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return log(EI(low) - EI(high)) (n, P) of each pair, and its pullback to levels (n, L)."""
        n_levels = len(self.levels)
        ends = self.high < n_levels
        start = improvement[:, self.low]
        d = np.full_like(start, -np.inf)
        d[:, ends] = improvement[:, self.high[ends]] - start[:, ends]
        rest = -np.expm1(np.minimum(d, -1e-12))

        def pullback(g: FloatArray) -> FloatArray:
            """Return gradients for low (slope 1 / rest) and high levels (slope 1 - 1 / rest)."""
            by_low = g / rest
            total = np.zeros((len(g), n_levels))
            np.add.at(total.T, self.low, by_low.T)
            np.add.at(total.T, self.high[ends], (g - by_low)[:, ends].T)
            return total

        return start + np.log(rest), pullback

    def summed(self, by_box: FloatArray) -> FloatArray:
        """Return the sums (n, P), by pair, of gradients with respect to boxes (n, B)."""
        return np.add.reduceat(by_box[:, self.order], self.starts, axis=1)
