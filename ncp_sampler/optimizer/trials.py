"""Trials of a search in the form that users see, and the best trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ncp_sampler.optimizer.observations import Observations
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.space.search_space import Params


class Trial(NamedTuple):
    """Trial that was reported to the optimizer.

    Attributes:
        params: Valid params nearest to the reported ones.
        metrics: Name -> value.
        complete: False for a trial that was stopped early.
    """

    params: Params
    metrics: dict[str, float]
    complete: bool


def trials_of(objectives: Objectives, observations: Observations, first: int) -> list[Trial]:
    """Return the trials from position ``first`` on, in the order in which they were reported."""
    return [
        Trial(objectives.space.to_params(code), metrics, complete)
        for code, metrics, complete in observations.reported(first)
    ]


def best_trial(objectives: Objectives, trials: Sequence[Trial]) -> Trial:
    """Return the best complete trial that violates no reported constraint, for one objective.

    If the objective is a known cost, its computed value replaces the reported one. A trial then
    counts if it reported a constraint, or if there are no constraints.

    Raises:
        ValueError: There is no such trial, or there are several objectives.
    """
    if len(objectives.directions) > 1:
        raise ValueError(
            f"there are {len(objectives.directions)} objectives; use compromise() for one answer"
        )
    (name,), sign = objectives.directions, float(objectives.signs[0])
    bounds = objectives.constraints.items()
    if name in objectives.known:
        trials = _with_cost(objectives, name, trials)
    usable = [
        trial
        for trial in trials
        if trial.complete
        and math.isfinite(trial.metrics.get(name, math.nan))
        and all(b.slack(trial.metrics.get(key, b.value)) >= 0 for key, b in bounds)  # not for NaN
    ]
    if not usable:
        raise ValueError("no trial that is complete and feasible has a value yet")
    return max(usable, key=lambda trial: sign * trial.metrics[name])


def _with_cost(objectives: Objectives, name: str, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that have a modeled metric, if there are any, with a computed cost."""
    modeled = objectives.constraints
    usable = [
        trial
        for trial in trials
        if not modeled or any(not math.isnan(trial.metrics.get(key, math.nan)) for key in modeled)
    ]
    codes = objectives.space.to_code([trial.params for trial in usable])
    values = objectives.known[name].at(codes).tolist()
    return [
        trial._replace(metrics={**trial.metrics, name: value})
        for trial, value in zip(usable, values, strict=True)
    ]
