"""Names in a saved state, which assign its codes and values to parameters and metrics.

Codes and values are saved as plain lists of numbers. Without names, a state would be restored with
parameters or metrics exchanged if the optimizer has the same number of them in another order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from ncp_sampler.predictors.predictor import State
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.space.dimensions import Categorical, Dimension


def saved_names(objectives: Objectives) -> State:
    """Return the names of columns and metrics in order, and the directions of the objectives."""
    return {
        "columns": [name for dim in objectives.space.dimensions for name in _columns(dim)],
        "metrics": list(objectives.names),
        "directions": dict(objectives.directions),
    }


def saved_metrics(state: State, objectives: Objectives) -> tuple[str, ...]:
    """Return the names of the metrics in a state, in the order of its values.

    Raises:
        ValueError: The state is from an optimizer with other columns, metrics or directions.
    """
    own = saved_names(objectives)
    if not own.keys() <= state.keys():  # a state without names: its order is the optimizer's
        return objectives.names
    columns = zip_longest(state["columns"], own["columns"])
    for position, (saved, expected) in enumerate(columns):
        if saved != expected:
            raise ValueError(
                f"column {position} of its codes is {saved!r}, but {expected!r} in this space"
            )
    if sorted(state["metrics"]) != sorted(own["metrics"]):
        raise ValueError(
            f"its metrics are {state['metrics']}, those of this optimizer {own['metrics']}"
        )
    given: Mapping[str, Any] = state["directions"]
    if given != own["directions"]:
        raise ValueError(f"its directions are {given}, those of this optimizer {own['directions']}")
    return tuple(state["metrics"])


def _columns(dim: Dimension) -> list[str]:
    """Return names of a dimension's columns that are the same in every process."""
    if not isinstance(dim, Categorical):
        return [dim.name]
    return [f"{dim.name}={_label(choice)}" for choice in dim.choices]


def _label(choice: Any) -> str:
    """Return the JSON form of a category, or its type: a function's repr contains its address."""
    try:
        return json.dumps(choice)
    except (TypeError, ValueError):
        return type(choice).__name__
