"""Acquisition functions: log expected improvement, weighted by the probability of success.

Known costs are included with their exact values, limits as a penalty, constraints as the log
probability that they hold, and failures as twice the log probability of success.

Notation
    n, m, c    unit codes, objectives (to be maximized), constraints
    mean, std  posterior of objectives, then of slack, (n, m + c)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray, Model, Moments
from ncp_sampler.search.objectives import ScaledObservations
from ncp_sampler.search.pareto import chebyshev, pareto_front, thinned
from ncp_sampler.search.utilities import (
    LogChebyshevEI,
    LogEHVI,
    LogEI,
    LogSampledHVI,
    LogWeightedEI,
    Utility,
    log_probability_above,
)

Function: TypeAlias = Callable[
    [FloatArray], tuple[FloatArray, Callable[[FloatArray], FloatArray]]
]  # unit codes (n, d) -> values (n,), and their pullback (n,) -> (n, d)

# Constants of the feasibility floor: log improvement, on the objective's scale, below which no
# improvement counts, because the noise of a predictor is larger; log probability below which a log
# probability decreases faster; and factor of this decrease
_MIN_GAIN, _MIN_LOG_PROBABILITY, _STEEPNESS = -9.0, -1.0, 10.0
_SUCCESS_POWER = 2.0  # exponent of the probability of success: a failed trial teaches little
# Number of objectives -> maximum number of points of a front; a larger front is thinned
_FRONT = {2: 200, 3: 80, 4: 50, 5: 25, 6: 15}
_MOST_SAMPLED = 200  # Maximum number of points of a front whose hypervolume improvement is sampled
_DRAWS = 32  # Number of posterior draws for an expectation without a closed form
_DIRECTIONS = 128  # Directions of a sampled hypervolume improvement, with one posterior draw each
_BLOCK = 128  # number of codes evaluated at once; more do not fit into the cache


class SuccessProbability(Protocol):
    """Model of the probability that a trial succeeds."""

    def log_probability(
        self, x: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return log probabilities (n,) at unit codes (n, d), and their pullback."""


@dataclass(frozen=True)
class ObjectivePosterior:
    """Posterior of objectives and slack, modeled by a predictor or exact for known costs.

    Attributes:
        observations: Scaled observations.
        predictor: Predictor fitted to ``observations.modeled``.
        costs: Known objective -> its cost, a function of unit codes, in its own unit.
    """

    observations: ScaledObservations
    predictor: Model
    costs: Mapping[str, Function]

    def moments(self, x: FloatArray) -> Moments:
        """Return mean and standard deviation (n, m + c) at unit codes x (n, d)."""
        modeled = self.predictor.moments(x)
        known = [k for k, scale in enumerate(self.observations.cost_scales) if scale is not None]
        if not known:
            return modeled
        count = len(self.observations.objectives) + len(self.observations.constraints)
        at = [k for k in range(count) if k not in known]
        mean, std = np.empty((len(x), count)), np.zeros((len(x), count))
        mean[:, at], std[:, at] = modeled.mean, modeled.std
        slopes = {}
        for k in known:
            cost, pullback = self.costs[self.observations.objectives[k]](x)
            scale = self.observations.cost_scales[k]
            assert scale is not None
            mean[:, k], slope = scale.apply(cost)
            slopes[k] = slope, pullback

        def vjp(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            total = modeled.vjp(by_mean[:, at], by_std[:, at])
            for k, (slope, pullback) in slopes.items():
                total = total + pullback(by_mean[:, k] * slope)
            return total

        return Moments(mean, std, vjp)

    def smoothed(self, unit: FloatArray, *, noisy: bool) -> ScaledObservations:
        """Return the observations, with posterior means instead of missing or noisy values.

        Args:
            unit: Unit codes of the observations, (n, d).
            noisy: True to replace all values; False to replace only missing values.
        """
        mean, m = self.mean(unit), len(self.observations.objectives)
        unknown = np.isnan(self.observations.slack) | noisy
        replaced = self.observations.unreported | noisy
        return replace(
            self.observations,
            values=np.where(replaced, mean[:, :m], self.observations.values),
            slack=np.where(unknown, mean[:, m:], self.observations.slack),
        )

    def mean(self, unit: FloatArray) -> FloatArray:
        """Return posterior means (n, m + c) of objectives and slack at unit codes."""
        return self.moments(unit).mean


class Incumbent(NamedTuple):
    """Observation relative to which an improvement is measured.

    Attributes:
        row: Position of the incumbent among the observations.
        values: Scaled objectives of the incumbent, (m,); NaN where not reported.
    """

    row: int
    values: FloatArray


class Acquisition:
    """Log expected improvement plus log probabilities of feasibility and of success.

    With a single objective, or with weights for several, the improvement is measured from the best
    feasible value. Otherwise, it is a hypervolume improvement. While no observation is feasible,
    only feasibility counts.

    Args:
        posterior: Posterior for the observations to which the predictor was fitted.
        unit: Unit codes of these observations, (n, d).
        noisy: True to use the posterior means at the observations instead of observed values.
        rng: Random generator for expectations without a closed form.
        pending: Unit codes of pending trials, (q, d), which count with their posterior means.
        penalty: Penalty (n,) for unit codes (n, d) over limits; None without limits.
        success: Model of the probability of success; None if it is the same everywhere.
    """

    def __init__(
        self,
        posterior: ObjectivePosterior,
        unit: FloatArray,
        *,
        noisy: bool,
        rng: np.random.Generator,
        pending: FloatArray | None = None,
        penalty: Function | None = None,
        success: SuccessProbability | None = None,
    ) -> None:
        self.posterior = posterior
        self.success = success
        self.incumbent: Incumbent | None = None  # None for a front, or if nothing is feasible
        self._penalty = penalty
        observed = posterior.observations
        if noisy or observed.has_gaps:
            observed = posterior.smoothed(unit, noisy=noisy)
        self.utility = self._utility(observed, unit, rng, pending)

    @property
    def has_floor(self) -> bool:
        """True if improvements and probabilities below a floor count for almost nothing.

        The floor applies if there are constraints, or if failures depend on the params, unless the
        search is for a front. Without a floor, the log improvement decreases without bound in a
        well-explored region. Codes that are certainly infeasible would then seem to be the best.
        """
        observed = self.posterior.observations
        at_risk = bool(observed.constraints) or self.success is not None
        return self.utility is not None and at_risk and not observed.is_front

    @property
    def lowest(self) -> float:
        """Lowest acquisition value of a code that is probably feasible; -inf without a floor."""
        return _MIN_GAIN - 2 if self.has_floor else -math.inf

    def __call__(self, x: FloatArray) -> FloatArray:
        """Return acquisition values (n,) at unit codes (n, d), with floor, minus the penalty."""
        blocks = [self._value(x[i : i + _BLOCK]) for i in range(0, len(x), _BLOCK)]
        return np.concatenate(blocks) if blocks else np.empty(0)

    def value_and_gradient(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values (n,) and gradients (n, d) without the floor, minus the penalty.

        Without the floor, the gradient leads to codes with both improvement and feasibility.
        """
        value, pullback = self.terms(x, self.posterior.moments(x))
        gradient = pullback(np.ones(len(x)))
        if self._penalty is not None:
            penalty, of_penalty = self._penalty(x)
            value, gradient = value - penalty, gradient - of_penalty(np.ones(len(x)))
        return value, gradient

    def terms(
        self, x: FloatArray, moments: Moments, *, floor: bool = False
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return the sum (n,) of all log terms except the penalty, and its pullback to x.

        Args:
            x: Unit codes, (n, d).
            moments: Posterior at these codes.
            floor: True to apply the floor, if there is one; the pullback never includes it.
        """
        m, floor = len(self.posterior.observations.objectives), floor and self.has_floor
        mean, std = moments.mean, moments.std
        total = np.zeros(len(x))
        slopes = None
        if self.utility is not None:
            gain, slopes = self.utility(mean[:, :m], std[:, :m])
            total += _floored(gain) if floor else gain
        # each constraint separately: where several bounds meet, it is unlikely that all hold
        logs, rate = log_probability_above(mean[:, m:], std[:, m:])
        total += (_steeper(logs) if floor else logs).sum(1)
        of_success = None
        if self.success is not None:
            log_success, of_success = self.success.log_probability(x)
            log_success = _SUCCESS_POWER * log_success
            total += _steeper(log_success) if floor else log_success

        def pullback(g: FloatArray) -> FloatArray:
            by_mean, by_std = np.zeros_like(mean), np.zeros_like(std)
            if slopes is not None:
                by_mean[:, :m], by_std[:, :m] = slopes(g)
            by_z = g[:, None] * rate / std[:, m:]
            by_mean[:, m:], by_std[:, m:] = by_z, -by_z * mean[:, m:] / std[:, m:]
            gradient = moments.vjp(by_mean, by_std)
            return gradient if of_success is None else gradient + of_success(_SUCCESS_POWER * g)

        return total, pullback

    def _value(self, x: FloatArray) -> FloatArray:
        value, _ = self.terms(x, self.posterior.moments(x), floor=True)
        return value if self._penalty is None else value - self._penalty(x)[0]

    def _utility(
        self,
        observed: ScaledObservations,
        unit: FloatArray,
        rng: np.random.Generator,
        pending: FloatArray | None,
    ) -> Utility | None:
        """Return the utility relative to the feasible observations; None if there are none."""
        values, feasible, names = observed.values, observed.feasible, observed.objectives
        if not feasible.any() or not names:
            return None
        if observed.is_front:
            return self._front_utility(values, feasible, unit, rng, pending)
        rows, values, unit = np.flatnonzero(feasible), values[feasible], unit[feasible]
        if np.isnan(values).any(axis=1).all():
            # no feasible trial has reported every objective, so posterior means replace missing
            # values
            values = np.where(np.isnan(values), self.posterior.mean(unit)[:, : len(names)], values)
        ideal = np.nanmax(values, axis=0) if observed.is_maximin else np.zeros(len(names))
        if observed.weights is None:
            scalars = values[:, 0]
        elif observed.is_maximin:
            scalars, _ = chebyshev(values - ideal, observed.weights)
        else:
            scalars = values @ observed.weights
        best = int(np.nanargmax(scalars))
        self.incumbent = Incumbent(int(rows[best]), values[best])
        if observed.weights is None:
            return LogEI(float(scalars[best]), observed.known[0])
        if not observed.is_maximin:
            return LogWeightedEI(float(scalars[best]), observed.weights)
        normal = rng.standard_normal((_DRAWS, len(names)))
        return LogChebyshevEI(ideal, float(scalars[best]), observed.weights, normal)

    def _front_utility(
        self,
        values: FloatArray,
        feasible: NDArray[np.bool_],
        unit: FloatArray,
        rng: np.random.Generator,
        pending: FloatArray | None,
    ) -> Utility:
        """Return the hypervolume utility for the front of feasible and pending trials."""
        m = values.shape[1]
        if np.isnan(values[feasible]).any(axis=1).all():  # posterior means replace missing values
            values = np.where(np.isnan(values), self.posterior.mean(unit)[:, :m], values)
        if pending is not None and len(pending):
            mean = self.posterior.mean(pending)
            values = np.concatenate([values, mean[:, :m]])
            feasible = np.concatenate([feasible, (mean[:, m:] >= 0).all(axis=1)])
        complete = values[feasible & ~np.isnan(values).any(axis=1)]
        if not len(complete):
            complete = np.nanmean(values, axis=0)[None]
        front, observed = complete[pareto_front(complete)], self.posterior.observations
        if observed.is_exact:
            return LogEHVI(thinned(front, _FRONT[m]), observed.reference, observed.known)
        front = thinned(front, _MOST_SAMPLED)
        normal = rng.standard_normal((2, _DIRECTIONS, m))
        return LogSampledHVI.of(front, observed.reference, normal[0], normal[1])


def _steeper(logs: FloatArray) -> FloatArray:
    """Return log probabilities that decrease ten times as fast below the floor."""
    return logs + (_STEEPNESS - 1) * np.minimum(logs - _MIN_LOG_PROBABILITY, 0.0)


def _floored(gain: FloatArray) -> FloatArray:
    """Return log improvements; compress those below the floor into one unit, in order."""
    short = np.maximum(_MIN_GAIN - gain, 0.0)
    return np.where(gain > _MIN_GAIN, gain, _MIN_GAIN - 1 + 1 / (1 + short))
