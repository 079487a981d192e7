"""Types of a table's columns (numbers, categories, row names), inferred from their cells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.space.dimensions import Categorical, Dimension, Float, Integer

FloatArray = NDArray[np.float64]

# Reasons why a column does not seem to be a parameter
_DATES, _MEASURED_COLUMN = "has dates", "has a name like a measurement"
_LARGEST_INTEGER = 2**53  # Largest integer up to which a float represents every integer exactly
_MISSING = {"", "nan", "na", "n/a", "null", "none", "-"}  # Cell texts of a missing metric
# Cell texts of a missing parameter. In many spaces, "none" is a category, such as "no operation".
_MISSING_PARAMS = _MISSING - {"none"}
_PLAIN = "write plain numbers such as 1234.5, without units, percent signs or separators"
_MANY_NAMES = 20  # Minimum number of distinct texts if texts that recur may count as row names
_LEAST_NUMBERED = 10  # Minimum number of rows if consecutive numbers are to count as row numbers

_LEADING_ZERO = re.compile(r"[-+]?0\d+")
_DECORATED = re.compile(r"(?=.*[,%' ])[-+]?\d[\d.,' ]*%?")  # 10%, 1,234, 0,5
_INTEGER = re.compile(r"[-+]?\d+")
_DATE = re.compile(
    r"\d{4}[-/.]\d\d?[-/.]\d\d?([T ].*)?|\d\d?[-/.]\d\d?[-/.](\d\d)?\d\d( .*)?|\d\d?:\d\d(:\d\d)?"
    r"|20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
_ID = re.compile(r"(^|.*[^a-z])(id|idx|index|uuid)", re.IGNORECASE)
_MEASURED = re.compile(
    r"(.*[^a-z])?(m?g?flops|m?g?macs|params|latency|runtime|time|seconds|memory|energy|throughput"
    r"|fps|acc|accuracy|top-?[15]|miou|f1|auc|loss|error|ms)([^a-z]+(ms|us|s|k|m|g|mb|gb|mj|j|val"
    r"|test)?[^a-z]*)?",
    re.IGNORECASE,
)  # Name of a measurement, with an optional unit or data split


def infer_dimension(
    path: str, name: str, cells: Sequence[str], *, category: bool = False
) -> Dimension:
    """Return the dimension of a column, from its smallest to its largest number or its categories.

    Args:
        path: Path of the file, for error messages.
        name: Name of the column.
        cells: Cells of the column, stripped.
        category: True if all values are categories, even if they look like numbers.

    Raises:
        ValueError: If a cell has no value or a number is not finite, or if numbers are mixed with
            text or have percent signs or separators. Numbers with a unit, such as "12 ms", are
            categories.
    """
    if category:
        return Categorical(name, tuple(sorted(set(cells))))
    filled = [cell for cell in cells if cell.lower() not in _MISSING_PARAMS]
    numeric = sum(map(is_number, filled))
    names = not numeric or any(map(_LEADING_ZERO.fullmatch, filled))
    if names and filled and all(map(_DECORATED.fullmatch, filled)):
        what = f"{checks.shown(filled[0])}, not a plain number; {_PLAIN}, or name the column in "
        raise column_error(path, name, cells.index(filled[0]), f"{what}categories (--categories)")
    if len(filled) < len(cells):
        at = next(i for i, cell in enumerate(cells) if cell.lower() in _MISSING_PARAMS)
        shown = f"{checks.shown(cells[at])}, which is " if cells[at] else ""
        what = f"{shown}no value; only a metric may be empty: fill the cell in, leave the row out, "
        what += "or leave the column out by ignore (--ignore)"
        category_too = "; if it is a category, name the column in categories (--categories)"
        raise column_error(path, name, at, what + (category_too if names else ""))
    if names:
        return Categorical(name, tuple(sorted(set(cells))))
    if numeric < len(filled):
        at = next(i for i, cell in enumerate(cells) if not is_number(cell))
        what = f"{checks.shown(cells[at])} among numbers; correct it, or name the column in "
        raise column_error(path, name, at, f"{what}categories (--categories)")
    values = numbers(path, name, cells)
    low, high = float(values.min()), float(values.max())
    if (values == np.round(values)).all() and max(-low, high, high - low) <= _LARGEST_INTEGER:
        step = int(np.gcd.reduce((values - low).astype(np.int64))) or 1
        return Integer(name, int(low), int(high), step=step)
    return Float(name, low, high)


def why_no_parameter(name: str, cells: Sequence[str]) -> str | None:
    """Return the reason why a column does not seem to be a parameter; None if it can be one."""
    filled = [cell for cell in cells if cell]
    if not filled or all(map(_DECORATED.fullmatch, filled)):
        return None
    if all(map(_DATE.fullmatch, filled)):
        return _DATES
    different, numeric = len(set(filled)), sum(map(is_number, filled))
    mostly = different > max(len(filled) / 2, 1)
    # a column of hexadecimal names may contain some that look like numbers, such as 1e5
    if numeric <= len(filled) / 2 or any(map(_LEADING_ZERO.fullmatch, filled)):
        if different == len(cells):
            return "has a different text in every row"
        if mostly and different >= _MANY_NAMES:
            return "has a different text in most rows"
    counted = any(list(cells) == [str(i + k) for i in range(len(cells))] for k in (0, 1))
    if counted and len(cells) >= _LEAST_NUMBERED:
        return "numbers the rows"
    if mostly and _ID.fullmatch(name):
        return "has a name like an ID"
    if mostly and numeric == len(filled) and _MEASURED.fullmatch(name):
        return _MEASURED_COLUMN
    return None


def no_parameters(path: str, refused: Mapping[str, str]) -> ValueError:
    """Return the error for columns that do not seem to be parameters, given name -> reason."""
    listed = "; ".join(f"{name!r} {reason}" for name, reason in refused.items())
    measured = [name for name, reason in refused.items() if reason == _MEASURED_COLUMN]
    dates = [name for name, reason in refused.items() if reason == _DATES]
    ids = [name for name in refused if name not in measured + dates]
    left_out = ",".join(ids[1:] + dates)
    remedies = [f"--metrics ..,{name}:min" for name in measured]
    remedies += [f"--id {name!r}" for name in ids[:1]]
    remedies += [f"--ignore {left_out!r}"] if left_out else []
    limits = [f"--bound '{name}<=..'" for name in measured]
    alone = f"; {' '.join(limits)} instead of --metrics sets only a limit" if measured else ""
    return ValueError(
        f"{path!r} has columns that do not seem to be parameters: {listed}. Give "
        f"{' '.join(remedies)} (for read_csv: metrics=, id=, ignore=), or name all columns that "
        f"are parameters in --params (params=){alone}"
    )


def metric_values(path: str, name: str, cells: Sequence[str]) -> FloatArray:
    """Return the values (n,) of a metric, NaN if missing.

    Raises:
        ValueError: If a cell has text or an infinite number.
    """
    known = ["nan" if cell.lower() in _MISSING else cell for cell in cells]
    values = _parsed(path, name, known, f"{_PLAIN}, or leave the cell empty")
    if np.isinf(values).any():
        at = int(np.isinf(values).argmax())
        what = f"{cells[at]}, which is not finite; leave the cell empty"
        raise column_error(path, name, at, what)
    return values


def param_values(path: str, dim: Dimension, cells: Sequence[str], optional: bool) -> list[Any]:
    """Return the values of a parameter.

    A cell that is not one of the parameter's categories stays text. An empty cell of an optional
    parameter becomes None.

    Raises:
        ValueError: If a cell of a numeric parameter has text, or a number is not finite.
    """
    if isinstance(dim, Categorical):
        by_text = {str(choice): choice for choice in dim.choices}
        return [
            None if optional and c.lower() in _MISSING and c not in by_text else by_text.get(c, c)
            for c in cells
        ]
    absent = [optional and cell.lower() in _MISSING for cell in cells]
    known = ["0" if gone else cell for cell, gone in zip(cells, absent, strict=True)]
    values = numbers(path, dim.name, known).tolist()
    return [None if gone else value for value, gone in zip(values, absent, strict=True)]


def numbers(path: str, name: str, cells: Sequence[str]) -> FloatArray:
    """Return the numbers (n,) of a parameter.

    Raises:
        ValueError: If a cell has text, a number that is not finite, or an integer that a float
            cannot represent.
    """
    values = _parsed(path, name, cells, _PLAIN)
    if not np.isfinite(values).all():
        at = int((~np.isfinite(values)).argmax())
        what = f"{cells[at]}, which is not finite; correct it, or leave the row out"
        raise column_error(path, name, at, what)
    for at in np.flatnonzero(np.abs(values) >= _LARGEST_INTEGER).tolist():
        if _INTEGER.fullmatch(cells[at]) and int(cells[at]) != int(values[at]):
            what = f"{cells[at]}, an integer beyond 2**53, whose last digits are lost in a float; "
            what += "divide the column by a unit, name it in categories (--categories) if its "
            what += "numbers are names, or leave it out by ignore (--ignore)"
            raise column_error(path, name, at, what)
    return values


def is_number(cell: str) -> bool:
    """Return True if a cell is a plain number, such as -1.5e3; 1_000 is not one."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def column_error(path: str, name: str, row: int, what: str) -> ValueError:
    """Return the error for a cell of a column; ``row`` starts at 0."""
    return ValueError(f"{path!r}: column {name!r}: row {row + 1} has {what}")


def _parsed(path: str, name: str, cells: Sequence[str], remedy: str) -> FloatArray:
    for i, cell in enumerate(cells):
        if not is_number(cell):
            raise column_error(path, name, i, f"{checks.shown(cell)}, not a number; {remedy}")
    return np.array([float(cell) for cell in cells])
