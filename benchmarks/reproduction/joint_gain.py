"""Test of whether the correlation of two tasks predicts the gain of a joint search (appendix A.2).

Notation
    gain     score of the joint search's architecture minus that of the single search, on one task
    pair     mean gain over the two tasks and all splits
    rho      Spearman correlation, over pairs, of the tasks' rank correlation and the pair's gain

Pairs share tasks and are therefore not independent. The p-value is that of a Mantel test, which
permutes the tasks of one of the two matrices (Mantel 1967).
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

TRUE_VALUES = "true values"  # method that uses the true values of the tables

_PERMUTATIONS = 10_000


@dataclass(frozen=True)
class PairGain:
    """Gains of one joint search of two tasks.

    Attributes:
        search: Kind of the search.
        first: First task.
        second: Second task.
        split: Number of the split or draw.
        correlation: Spearman correlation of the two tasks over their tables.
        gain_first: Gain on the first task.
        gain_second: Gain on the second task.
    """

    search: str
    first: str
    second: str
    split: int
    correlation: float
    gain_first: float
    gain_second: float


@dataclass(frozen=True)
class GainTest:
    """Test of one kind of search over all pairs.

    Attributes:
        n_pairs: Number of pairs.
        n_splits: Number of splits or draws.
        rho: Spearman correlation of correlation and gain.
        p: Share of permutations of the tasks whose rho is at least as high.
        mean: Mean gain over pairs and tasks.
        error: Its standard error over splits; NaN for one split.
        both: Number of pairs that gain on both tasks, on average over splits.
        neither: Number of pairs that lose on both.
    """

    n_pairs: int
    n_splits: int
    rho: float
    p: float
    mean: float
    error: float
    both: int
    neither: int


def gain_test(gains: Iterable[PairGain], *, seed: int = 0) -> GainTest:
    """Test whether correlation predicts gain, for the gains of one kind of search.

    Raises:
        ValueError: There are fewer than three tasks, or a pair has no gain.
    """
    rows = list(gains)
    tasks = list(dict.fromkeys(name for row in rows for name in (row.first, row.second)))
    pairs = list(itertools.combinations(range(len(tasks)), 2))
    of_pair: dict[tuple[int, ...], list[PairGain]] = {pair: [] for pair in pairs}
    for row in rows:
        of_pair[tuple(sorted((tasks.index(row.first), tasks.index(row.second))))].append(row)
    if len(tasks) < 3 or not all(of_pair.values()):
        raise ValueError(f"gains of {len(tasks)} tasks lack a pair; give all pairs of at least 3")
    means = np.array(
        [np.mean([(r.gain_first, r.gain_second) for r in group], 0) for group in of_pair.values()]
    )  # (pairs, 2)
    correlation, gain = np.eye(len(tasks)), np.zeros((len(tasks), len(tasks)))
    for (i, j), group, mean in zip(pairs, of_pair.values(), means.mean(1), strict=True):
        correlation[i, j] = correlation[j, i] = group[0].correlation
        gain[i, j] = gain[j, i] = mean
    rho, p = _mantel(correlation, gain, np.random.default_rng(seed))
    splits = sorted({row.split for row in rows})
    by_split = [
        np.mean([(r.gain_first, r.gain_second) for r in rows if r.split == split])
        for split in splits
    ]
    error = np.std(by_split, ddof=1) / len(splits) ** 0.5 if len(splits) > 1 else np.nan
    return GainTest(
        n_pairs=len(pairs),
        n_splits=len(splits),
        rho=rho,
        p=p,
        mean=float(means.mean()),
        error=float(error),
        both=int((means > 0).all(1).sum()),
        neither=int((means < 0).all(1).sum()),
    )


def write_gains(gains: Sequence[PairGain], path: Path) -> None:
    """Write gains as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(PairGain))
        for gain in gains:
            row = astuple(gain)
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])


def read_gains(path: Path) -> list[PairGain]:
    """Read a file written by ``write_gains``."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            PairGain(
                search=row["search"],
                first=row["first"],
                second=row["second"],
                split=int(row["split"]),
                correlation=float(row["correlation"]),
                gain_first=float(row["gain_first"]),
                gain_second=float(row["gain_second"]),
            )
            for row in csv.DictReader(file)
        ]


def _mantel(
    a: NDArray[np.float64], b: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float]:
    """Return the Spearman correlation of two symmetric matrices' upper triangles, and its p-value.

    The correlation is 0 if one of the matrices is constant.
    """
    i, j = np.triu_indices(len(a), k=1)
    ranks = [rankdata(matrix[i, j]) for matrix in (a, b)]
    x, y = (values - values.mean() for values in ranks)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    if scale == 0:
        return 0.0, 1.0
    of_b = np.zeros(b.shape)
    of_b[i, j] = of_b[j, i] = y
    orders = rng.permuted(np.tile(np.arange(len(a)), (_PERMUTATIONS, 1)), axis=1)
    permuted = of_b[orders[:, i], orders[:, j]] @ x  # (permutations,)
    above = int((permuted >= x @ y - 1e-9).sum())
    return float(x @ y) / scale, (above + 1) / (_PERMUTATIONS + 1)
