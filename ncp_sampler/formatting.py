"""How results are written: mean ± standard error, Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Mean of some values, and its standard error: NaN for a single one."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        return float(numbers.mean()), float("nan")
    return float(numbers.mean()), float(numbers.std(ddof=1) / len(numbers) ** 0.5)


def with_error(values: ArrayLike, form: str = ".2f") -> str:
    """Mean ± standard error; the mean alone of a single value."""
    mean, error = mean_and_error(values)
    return f"{mean:{form}}" if np.isnan(error) else f"{mean:{form}} ± {error:{form.lstrip('+')}}"


def markdown_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False
) -> str:
    """A table in Markdown, its last line ended; all but the first column to the right if asked."""
    rule = ["---", *(["---:" if numbers else "---"] * (len(heads) - 1))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, rule, *rows))
