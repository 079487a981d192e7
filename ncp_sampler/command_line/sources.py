"""Sources of the command line's searches: rows to learn from, and a judge that saw others.

Reading comes first, and everything that may be wrong with it; judges learn when they are asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import Judge, NASBenchMR, halves, surrogate
from ncp_sampler.nas_bench.tables import ROOT_VARIABLE
from ncp_sampler.records.records import Records

FloatArray = NDArray[np.float64]
Scores: TypeAlias = Mapping[str, FloatArray]  # metric -> (n,)
# codes (n, d) -> scores, and metric -> the judge's own mean absolute error on rows that it never
# saw, in the metric's unit; NaN where unknown
Judgement: TypeAlias = Callable[[NDArray[Any]], tuple[Scores, Mapping[str, float]]]

PREDICTED_ROWS = 2000  # as many as the published tables have


@dataclass(frozen=True)
class JudgedRecords:
    """One source of an offline search: records to learn from, and who judges codes.

    Attributes:
        name: Setting or file.
        records: Rows to learn from; metrics in ``logged`` by their logarithms.
        table: All rows, as they are.
        directions: Metric -> "maximize" or "minimize"; without those that only have limits.
        judge: Learns, then scores codes; None where no rows are left for one.
        note: What was learned from what, and who judges.
        everything: All rows, the judge's too, to learn the answer from; None where ``records`` are
            all.
        logged: Metrics that are learned as logarithms.
        columns: Every column of a file, as what it is taken; empty for a setting.
    """

    name: str
    records: Records
    table: Records
    directions: Mapping[str, str]
    judge: Judgement | None
    note: str
    everything: Records | None = None
    logged: frozenset[str] = frozenset()
    columns: Sequence[Mapping[str, str]] = field(default=(), repr=False)

    @property
    def main(self) -> str:
        """The first metric."""
        return next(iter(self.records.metrics))


def setting_records(
    settings: Sequence[str],
    *,
    root: str | os.PathLike[str] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> list[JudgedRecords]:
    """Settings of NAS-Bench-MR, their main metrics.

    With the tables, one half of the rows is learned from and the other fits the judge. Without,
    both are the shipped surrogate's.

    Args:
        settings: Folder names or short names.
        root: The tables' folder; ``NCP_BENCH_ROOT`` if None. Without both, no tables.
        rows: Learn from so many at most; at least 1.
        seed: At least 0, of the halves, and of random codes.

    Raises:
        ValueError: A setting twice, an unknown one, none, tables that cannot be read, or rows or
            a seed out of range.
        ImportError: LightGBM is not installed.
    """
    settings = checks.texts("settings", settings)
    if len({name.lower() for name in settings}) < max(len(settings), 1):
        raise ValueError(f"settings={list(settings)} must name one or more, none more than once")
    if rows is not None:
        checks.integer("rows", rows, low=1)
    checks.integer("seed", seed, low=0)
    given = root or os.environ.get(ROOT_VARIABLE)
    if not given:
        return [_predicted(name, rows or PREDICTED_ROWS, seed) for name in settings]
    bench = NASBenchMR(given)
    return [_tabled(bench, name, rows, seed) for name in settings]


def some_rows(records: Records, rows: int | None, seed: int) -> Records:
    """Return so many random rows at most, in their order."""
    if rows is None or rows >= len(records):
        return records
    return records.take(np.sort(np.random.default_rng(seed).permutation(len(records))[:rows]))


def _tabled(bench: NASBenchMR, setting: str, rows: int | None, seed: int) -> JudgedRecords:
    table = bench.table(setting)
    mine, others = halves(len(table.codes), seed)
    metric, codes = table.main, table.codes.astype(np.float64)
    everything = Records(table.space, codes, {metric: table.metrics[metric]})
    records = some_rows(everything.take(mine), rows, seed)

    def judge(codes: NDArray[Any]) -> tuple[Scores, Mapping[str, float]]:
        trees = Judge(table, others)
        return {metric: trees.score(codes)}, {metric: trees.errors["mean"]}

    note = (
        f"{table.setting}: learned from {len(records)} of {len(table.codes)} trained architectures"
        f"; the judge, boosted trees and a kernel model, from {len(others)} others"
    )
    return JudgedRecords(
        table.setting,
        records,
        everything,
        {metric: "maximize"},
        judge,
        note,
        everything=some_rows(everything, rows, seed),
    )


def _predicted(setting: str, rows: int, seed: int) -> JudgedRecords:
    model, space = surrogate(setting), MRSpace()
    metric = model.metrics[0]

    def judge(codes: NDArray[Any]) -> tuple[Scores, Mapping[str, float]]:
        return model.predict(codes, metrics=[metric]), {metric: np.nan}

    codes = space.sample(rows, seed)
    note = (
        f"no tables: {model.setting} is learned from predictions of the shipped surrogate for "
        f"{rows} random codes, and the same surrogate judges; nothing of this was trained. Its "
        "cross-validated errors are in benchmarks/results/surrogates.md; for an independent judge "
        f"give --root or set {ROOT_VARIABLE}"
    )
    records = Records(space, codes.astype(np.float64), judge(codes)[0])
    return JudgedRecords(model.setting, records, records, {metric: "maximize"}, judge, note)
