"""Formatting of results: mean ± standard error, and Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Return the mean of values (n,) and its standard error, which is NaN for a single value.

    Raises:
        ValueError: If there is no value, or the array is not one-dimensional.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(())
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"values={values!r} must be one or more numbers, shape (n,)")
    if len(numbers) < 2:
        return float(numbers.mean()), float("nan")
    return float(numbers.mean()), float(numbers.std(ddof=1) / len(numbers) ** 0.5)


def with_error(values: ArrayLike, form: str = ".2f") -> str:
    """Return mean ± standard error as text, or only the value if there is just one.

    Args:
        values: Values (n,).
        form: Format of both numbers; a leading "+" applies to the mean only.

    Raises:
        ValueError: As for ``mean_and_error``.
    """
    mean, error = mean_and_error(values)
    return f"{mean:{form}}" if np.isnan(error) else f"{mean:{form}} ± {error:{form.lstrip('+')}}"


def markdown_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: bool | Sequence[bool] = False,
) -> str:
    """Return a table in Markdown that ends with a newline.

    Args:
        header: Names of the columns.
        rows: Rows of cells, as long as the header.
        numbers: Columns to align to the right: True for all except the first, False for none, or
            one bool per column.

    Raises:
        ValueError: If a row or ``numbers`` is not as long as the header.
    """
    right = [False, *[numbers] * (len(header) - 1)] if isinstance(numbers, bool) else numbers
    rule = ["---:" if is_number else "---" for is_number in right]
    if len(rule) != len(header):
        raise ValueError(f"numbers={numbers!r} must be one bool, or {len(header)}, one per column")
    for i, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"rows[{i}]={row!r} must have {len(header)} cells, one per column")
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))
