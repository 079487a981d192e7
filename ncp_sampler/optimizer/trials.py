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

    Raises:
        ValueError: There is no such trial, or there are several objectives.
    """
    if len(objectives.directions) > 1:
        raise ValueError(
            f"there are {len(objectives.directions)} objectives; use compromise() for one answer"
        )
    (name,), sign = objectives.directions, float(objectives.signs[0])
    bounds = objectives.constraints.items()
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
