"""Checks of params and results that users pass, and their conversion to codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.search_space import SearchSpace


def pinned_columns(space: SearchSpace, fixed: Mapping[str, Any]) -> FloatArray:
    """Return the values (d,) of the columns of fixed parameters, NaN elsewhere."""
    pinned = np.full(len(space.columns), np.nan)
    for name, value in fixed.items():
        where = space.column_slice(name)
        dim = next(dim for dim in space.dimensions if dim.name == name)
        alone = SearchSpace([dim])
        pinned[where] = alone.round(alone.to_code({name: value}))
    return pinned


def checked_results(
    params: Any, metrics: Any, complete: Any, replace: Any, n_observations: int
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, float]], list[bool]]:
    """Return the params, metrics and completeness of one or several trials, as lists.

    Raises:
        ValueError: Arguments are not mappings, lists differ in length, or the trial to replace does
            not exist.
    """
    if isinstance(params, Mapping) != isinstance(metrics, Mapping):
        raise ValueError("params and metrics must be one mapping each, or a sequence each")
    single, must = isinstance(params, Mapping), "be a mapping from names to values, or a sequence"
    must += " of such mappings"
    rows = checks.sequence("params", [params] if single else params, Mapping, must)
    results = checks.sequence("metrics", [metrics] if single else metrics, Mapping, must)
    ended = list(complete) if isinstance(complete, Sequence) else [complete] * len(rows)
    if not len(rows) == len(results) == len(ended):
        raise ValueError(
            f"params, metrics and complete have lengths {len(rows)}, {len(results)} and "
            f"{len(ended)}; they must be equal"
        )
    if replace is not None and not (
        len(rows) == 1 and 0 <= checks.integer("replace", replace) < n_observations
    ):
        raise ValueError(
            f"replace={replace} must be below n_observations={n_observations}, and params "
            "must be those of one trial"
        )
    return rows, results, [checks.flag("complete", each) for each in ended]


def checked_flags(name: str, flags: Any, n: int) -> list[bool]:
    """Return n flags, given as one for all trials or as a sequence.

    Raises:
        ValueError: A flag is not a bool, or their number is not n.
    """
    several = isinstance(flags, Sequence) and not isinstance(flags, str)
    given = list(flags) if several else [flags] * n
    if len(given) != n:
        raise ValueError(
            f"{name} has {len(given)} flags for {n} trials; give one each, or one flag"
        )
    return [checks.flag(name, each) for each in given]


def placeholder_columns(
    space: SearchSpace, names: Any, n: int
) -> list[NDArray[np.bool_] | None] | None:
    """Return the columns (d,) of each trial's placeholders, None for a trial without any.

    Raises:
        ValueError: ``names`` are not n collections of names of parameters.
    """
    if names is None:
        return None
    given = checks.sequence("placeholders", names, Collection, "be names of parameters, per trial")
    if len(given) != n:
        raise ValueError(f"placeholders has {len(given)} entries for {n} trials; give one each")
    columns: list[NDArray[np.bool_] | None] = []
    for own in given:
        if isinstance(own, str):
            raise checks.refusal("placeholders", own, "be names of parameters, such as [['width']]")
        mask = np.zeros(len(space.columns), dtype=bool)
        for name in own:
            mask[space.column_slice(checks.one_of("placeholders", name, list(space.names)))] = True
        columns.append(mask if mask.any() else None)
    return columns


def nearest_codes(
    space: SearchSpace, params: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[Any], list[bool]]:
    """Return the valid codes (n, d) nearest to params, and True for all params that are valid.

    Raises:
        ValueError: A parameter is missing, a category is unknown, or a value is not a number.
    """
    codes = space.to_code(list(params), clip=True)
    if _are_valid(space, params):
        return codes, [True] * len(params)
    return codes, [_are_valid(space, [row]) for row in params]


def _are_valid(space: SearchSpace, params: Sequence[Mapping[str, Any]]) -> bool:
    try:
        space.to_code(list(params))
    except ValueError:
        return False
    return True
