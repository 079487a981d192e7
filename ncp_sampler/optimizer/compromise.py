"""The best compromise among the observations of a search.

Notation
    n, m     observations, objectives
    raw      objectives in their own units, (n, m); an unreported value is replaced by a pessimistic
             prediction, one posterior standard deviation worse than the posterior mean
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.observations import Observations, rows_to_fit
from ncp_sampler.predictors.predictor import FloatArray, Model
from ncp_sampler.search.acquisition import ObjectivePosterior
from ncp_sampler.search.objectives import Objectives, ScaledObservations
from ncp_sampler.search.pareto import pareto_front
from ncp_sampler.search.preference import COMPROMISE, UNITS, Preference, Weights, relative_regrets
from ncp_sampler.search.scaling import unscaled
from ncp_sampler.space.search_space import Params

KNEE = "knee"
ANSWERS = (COMPROMISE, KNEE, *UNITS)  # Strings that are valid as weights of a best compromise

_PESSIMISM = 1.0  # Confidence coefficient of the predictions of unreported values


@dataclass(frozen=True)
class Compromise:
    """Observation that is the best compromise between the objectives.

    Attributes:
        number: Position of the observation among the search's own observations, starting at 0; in a
            study, the number of its trial.
        params: Params of the observation.
        values: Objective -> value, in its own unit; a known cost may be infinite.
        predicted: Objectives whose values were predicted, because they were not reported.
        regrets: Objective -> loss relative to the best observed value: 0 at the best, 1 at the
            median of the first ten values.
    """

    number: int
    params: Params
    values: dict[str, float]
    predicted: tuple[str, ...]
    regrets: dict[str, float]

    def __str__(self) -> str:
        """Return a description with one line for each objective."""
        lines = [f"trial {self.number}"]
        for name, value in self.values.items():
            note = " (predicted)" if name in self.predicted else ""
            lines.append(f"  {name}: {value:.6g}{note}, regret {self.regrets[name]:.3f}")
        return "\n".join(lines)


def fitted_posterior(
    observed: ScaledObservations,
    unit: FloatArray,
    objectives: Objectives,
    model: Model,
    *,
    steps: int | None = None,
) -> ObjectivePosterior:
    """Fit a model to observations at unit codes (n, d), and return its posterior.

    ``steps`` has the same meaning as for ``Predictor.fit``.
    """
    rows = rows_to_fit(observed.order(np.random.default_rng(0)), model.max_rows)
    rows = observed.covering(rows)
    model.fit(unit[rows], observed.take(rows).modeled, steps=steps)
    costs = {name: cost.vjp for name, cost in objectives.known.items()}
    return ObjectivePosterior(observed, model, costs)


def best_compromise(
    objectives: Objectives,
    observations: Observations,
    model: Model,
    weights: Weights,
    *,
    first: int = 0,
) -> Compromise:
    """Return the best compromise among the observations.

    Args:
        objectives: Objectives of the search.
        observations: Observations of the search.
        model: Predictor, not fitted, for values that were not reported.
        weights: As for ``NCPOptimizer``, or "knee": the Pareto-optimal observation with the
            smallest sum of regrets, relative to the range of the front.
        first: Position of the search's own first observation, which has the number 0.

    Raises:
        ValueError: The weights are invalid, or no feasible observation has a value, reported or
            predicted, for each objective.
    """
    directions = objectives.directions
    is_knee = isinstance(weights, str) and weights == KNEE
    preference = None if is_knee else checked_preference(weights, directions)
    positions, codes, metrics = _valued(objectives, observations)
    diverged = observations.diverged()[positions]
    observed = objectives.scale(codes, metrics, diverged)
    names, raw, gaps = observed.objectives, observed.raw.copy(), observed.unreported
    if missing := [name for name in directions if name not in names]:
        raise ValueError(f"no trial has a finite value of {missing}; nothing to choose from")
    unknown = np.isnan(observed.slack)
    feasible = observed.feasible
    if gaps.any() or unknown.any():
        unit = objectives.space.normalize(codes)
        moments = fitted_posterior(observed, unit, objectives, model).moments(unit)
        lower = moments.mean - _PESSIMISM * moments.std
        for k, rows in enumerate(gaps.T):
            raw[rows, k] = unscaled(observed, k, lower[rows, k])
        feasible = feasible & ~(unknown & (lower[:, len(names) :] < 0)).any(axis=1)
    known = feasible & ~diverged & ~np.isnan(raw).any(axis=1)
    usable = np.flatnonzero(known & (positions >= first))
    if not len(usable):
        raise ValueError(
            f"no observation is feasible and has a value of all of {names}; nothing to choose from"
        )
    signs = np.array([1.0 if directions[name] == "maximize" else -1.0 for name in names])
    regrets = relative_regrets(np.where(known[:, None], raw, np.nan), signs)
    if preference is None:
        losses = _knee_losses(signs * raw[usable])
    elif preference.is_maximin:
        losses = regrets[usable].max(axis=1)
    else:
        losses = -(signs * raw[usable]) @ preference.per_unit(names, raw[known], signs)
    # ties are broken by the mean regret, so that objectives with weight 0 count, too
    best = int(usable[np.lexsort((regrets[usable].mean(axis=1), losses))[0]])
    params: Params = objectives.space.to_params(codes[best])
    values = dict(zip(names, raw[best].tolist(), strict=True))
    # an infinite cost has a finite value in ``raw``
    values |= {key: float(cost.at(codes[[best]])[0]) for key, cost in objectives.known.items()}
    return Compromise(
        number=int(positions[best]) - first,
        params=params,
        values=values,
        predicted=tuple(name for name, gap in zip(names, gaps[best], strict=True) if gap),
        regrets=dict(zip(names, np.abs(regrets[best]).tolist(), strict=True)),
    )


def _valued(
    objectives: Objectives, observations: Observations
) -> tuple[NDArray[np.intp], NDArray[Any], dict[str, FloatArray]]:
    """Return ``Observations.informative``, or all observations if every objective is a known cost.

    Raises:
        ValueError: There is no observation to return.
    """
    positions, codes, metrics = observations.informative()
    if not len(positions) and objectives.known.keys() == objectives.directions.keys():
        codes = np.array([code for code, _, _ in observations.reported(0)])
        positions = np.arange(len(codes))
        metrics = {name: np.full(len(codes), np.nan) for name in objectives.names}
    if not len(positions):
        raise ValueError("nothing has a value yet; report the result of a trial first")
    return positions, codes, metrics


def _knee_losses(values: FloatArray) -> FloatArray:
    """Return each point's sum of regrets (n,) relative to the front's range; inf off the front.

    Args:
        values: Objectives, all to be maximized, (n, m).
    """
    front, losses = pareto_front(values), np.full(len(values), np.inf)
    best, worst = values[front].max(axis=0), values[front].min(axis=0)
    unit = np.where(best > worst, best - worst, 1.0)
    losses[front] = ((best - values[front]) / unit).sum(axis=1)
    return losses


def checked_preference(weights: Weights, directions: Mapping[str, str]) -> Preference:
    """Return the preference given as ``objective_weights``.

    Raises:
        ValueError: The argument is None or invalid.
    """
    preference = Preference.of(weights, directions)
    if preference is None:
        must = f"map objectives to weights, or be one of {ANSWERS}"
        raise checks.refusal("objective_weights", weights, must)
    return preference
