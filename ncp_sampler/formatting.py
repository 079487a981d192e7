"""How results are written: mean ± standard error, Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Mean of some values (n,), and its standard error: NaN for a single one.

    Raises:
        ValueError: No value, or another shape.
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
    """Mean ± standard error; the mean alone of a single value.

    Args:
        values: Shape (n,).
        form: Of both numbers; a sign that it asks for is the mean's alone.

    Raises:
        ValueError: As ``mean_and_error``.
    """
    mean, error = mean_and_error(values)
    return f"{mean:{form}}" if np.isnan(error) else f"{mean:{form}} ± {error:{form.lstrip('+')}}"


def markdown_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: bool | Sequence[bool] = False,
) -> str:
    """A table in Markdown, its last line ended.

    Args:
        heads: Of the columns.
        rows: As long as the heads each.
        numbers: Whether columns are set to the right: all but the first, none, or each as told.

    Raises:
        ValueError: A row, or ``numbers``, that is not as long as the heads.
    """
    right = [False, *[numbers] * (len(heads) - 1)] if isinstance(numbers, bool) else numbers
    rule = ["---:" if one else "---" for one in right]
    if len(rule) != len(heads):
        raise ValueError(f"numbers={numbers!r} must be one bool, or {len(heads)}, as the heads")
    for i, row in enumerate(rows):
        if len(row) != len(heads):
            raise ValueError(f"rows[{i}]={row!r} must have {len(heads)} cells, as the heads")
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, rule, *rows))
