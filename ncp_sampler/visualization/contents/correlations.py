"""Contents of figures of rank correlations: a matrix, and ranks by several metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, spearmanr

from ncp_sampler import checks

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Correlations:
    """Rank correlations between k settings.

    Attributes:
        names: Names of the settings.
        matrix: Correlations (k, k) in [-1, 1], NaN if missing.
        published: Published correlations (k, k) for comparison, NaN if missing; None for no
            comparison.
    """

    names: tuple[str, ...]
    matrix: FloatArray
    published: FloatArray | None

    def texts(self, i: int, j: int) -> tuple[str, str]:
        """Return the correlation and the published correlation as text, empty if missing."""
        theirs = np.nan if self.published is None else float(self.published[i, j])
        return _text(float(self.matrix[i, j]), "{}"), _text(theirs, "({})")


class Ranks(NamedTuple):
    """Ranks of n architectures by the first metric and by another metric; rank 1 is the best.

    Attributes:
        label: Name of the other metric, and Spearman's correlation of the two metrics.
        first: Ranks by the first metric (n,).
        second: Ranks by the other metric (n,).
    """

    label: str
    first: FloatArray
    second: FloatArray


def correlations_of(
    names: Sequence[str], matrix: ArrayLike, published: ArrayLike | None
) -> Correlations:
    """Return the content of ``plot_correlations``.

    Raises:
        ValueError: If there are no names, a matrix has another shape, or a correlation is outside
            [-1, 1].
    """
    known = tuple(checks.texts("names", names))
    theirs = None if published is None else _correlations("published", published, len(known))
    return Correlations(known, _correlations("matrix", matrix, len(known)), theirs)


def ranks_of(metrics: Mapping[str, ArrayLike]) -> tuple[str, list[Ranks]]:
    """Return the name of the first metric, and the ranks by this and by each other metric.

    Raises:
        ValueError: If there is only one metric, no architecture, an infinite or missing value, or
            if the arrays have different lengths.
    """
    checks.instance("metrics", metrics, Mapping, "map names to numbers")
    columns = {name: checks.array(f"metrics[{name!r}]", values) for name, values in metrics.items()}
    shapes = {column.shape for column in columns.values()}
    if len(columns) < 2 or len(shapes) > 1 or len(min(shapes)) != 1 or not min(shapes)[0]:
        raise ValueError(
            f"metrics has shapes {sorted(shapes)}; give at least two of the same shape (n,)"
        )
    if not all(np.isfinite(column).all() for column in columns.values()):
        raise ValueError("metrics has a value that is NaN or infinite; leave the architecture out")
    first, *others = columns
    ranks = {name: np.asarray(rankdata(-column)) for name, column in columns.items()}
    spearman = {name: spearmanr(columns[first], columns[name]).statistic for name in others}
    return first, [
        Ranks(f"{name}, Spearman {spearman[name]:.3f}", ranks[first], ranks[name])
        for name in others
    ]


def _text(value: float, form: str) -> str:
    return "" if np.isnan(value) else form.format(f"{value:.3f}".replace("-", "−"))


def _correlations(name: str, matrix: ArrayLike, k: int) -> FloatArray:
    try:
        numbers = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise checks.refusal(name, matrix, f"be a matrix of numbers, ({k}, {k})") from None
    if k < 1 or numbers.shape != (k, k):
        raise ValueError(f"{name} has shape {numbers.shape}; for {k} names it must be ({k}, {k})")
    if (np.abs(numbers) > 1 + 1e-9).any():
        raise ValueError(f"{name} has a number outside [-1, 1]; give rank correlations")
    return numbers
