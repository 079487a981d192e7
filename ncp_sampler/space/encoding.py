"""Encoding of params as codes, whose numbers may be outside their ranges or off their grids."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncp_sampler import checks
from ncp_sampler.space.columns import Columns, FloatArray
from ncp_sampler.space.conditions import Condition, describe


def encode(rows: Sequence[Mapping[str, Any]], columns: Columns) -> FloatArray:
    """Return unrounded codes (n, d) of params, with the middle for parameters that do not exist.

    Raises:
        ValueError: A parameter is missing or unknown, a category is unknown, or a value is not a
            number.
    """
    names, conditions, filled = [*columns.slices], columns.conditions, []
    for row in rows:
        there = columns.existing(row) if conditions else names
        missing = [name for name in there if name not in row]
        unknown = [name for name in row if name not in columns.slices]
        if missing or unknown:
            raise _misfit(missing, unknown, there, conditions, row)
        if conditions:  # ignore values of parameters that do not exist
            row = {**columns.middle, **{name: row[name] for name in there}}  # noqa: PLW2901
        filled.append(row)
    numeric = [names[i] for i in columns.numeric]
    numbers = [[row[name] for name in numeric] for row in filled]
    if not all(map(checks.is_number, set(map(type, itertools.chain.from_iterable(numbers))))):
        items = ((name, row[name]) for row in filled for name in numeric)
        name, value = next(item for item in items if not checks.is_number(type(item[1])))
        raise ValueError(f"{name}={value!r} is not a number; give an int or a float")
    values, shape = np.empty((len(rows), len(names))), (len(rows), len(numeric))
    try:
        values[:, columns.numeric] = np.array(numbers, dtype=float).reshape(shape)
    except OverflowError:
        raise ValueError("params has a number beyond the range of a float") from None
    for i, dim in columns.categoricals.items():
        values[:, i] = [dim.index(row[dim.name]) for row in filled]
    return columns.check_shape(columns.from_values(values))


def _misfit(
    missing: Sequence[str],
    unknown: Sequence[str],
    there: Sequence[str],
    conditions: Mapping[str, Condition],
    row: Mapping[str, Any],
) -> ValueError:
    reasons = [describe(conditions, row, name) for name in missing if name in conditions]
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return ValueError(
        f"params do not fit the space: missing {list(missing)}{because}, unknown {list(unknown)}; "
        f"give exactly {list(there)}"
    )
