"""What a user tells the sampler of costs, limits, weights and constraints, checked and stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from ncp_sampler import checks
from ncp_sampler.integrations.optuna.trials import CONSTRAINTS_KEY
from ncp_sampler.space.search_space import SearchSpace


def check_goals(
    space: SearchSpace | None,
    costs: Mapping[str | int, Any] | None,
    limits: Mapping[str | int, float] | None,
    weights: Mapping[str | int, float] | None,
) -> dict[str, dict[str | int, Any]]:
    """The arguments in form; names or an objective's index are their keys.

    Raises:
        ValueError: No mappings with such keys, costs without a space, or a weight below 0.
    """
    given = {"costs": costs, "limits": limits, "weights": weights}
    for name, one in given.items():
        checks.instance(name, {} if one is None else one, Mapping, "map names of metrics")
        for key in one or {}:
            if isinstance(key, bool) or not isinstance(key, str | int):
                must = "be a metric's name, or an objective's index"
                raise checks.refusal(f"{name}: key", key, must)
    for key, weight in (weights or {}).items():
        checks.number(f"weights[{key!r}]", weight, low=0)
    if costs and space is None:
        raise ValueError(
            f"costs has {[*costs]}, but there is no space: a cost is computed before the trial "
            "suggests its first parameter; give NCPSampler(space=...)"
        )
    return {name: dict(one or {}) for name, one in given.items()}


def publish_constraints(
    study: Study, trial: FrozenTrial, function: Callable[[FrozenTrial], Sequence[float]]
) -> None:
    """Stores what a user's function says of a trial, where Optuna's own samplers do.

    Raises:
        ValueError: It is no sequence of numbers, or has NaN.
    """
    found = function(trial)
    try:
        values = [float(value) for value in found]
    except (TypeError, ValueError):
        values = [math.nan]
    if any(map(math.isnan, values)):
        must = "be a function that gives a sequence of numbers, without NaN"
        where = f", which gives {checks.shown(found)} for trial {trial.number},"
        raise checks.refusal("constraints_func", function, must, where)
    study._storage.set_trial_system_attr(trial._trial_id, CONSTRAINTS_KEY, values)
