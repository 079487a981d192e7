"""Sources of offline searches: rows for fitting and a held-out evaluator.

Tables are read and checked immediately. An evaluator is fitted only when it is called.
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
from ncp_sampler.nas_bench import HeldOutEvaluator, NASBenchMR, halves, surrogate
from ncp_sampler.nas_bench.tables import ROOT_VARIABLE
from ncp_sampler.records.records import Records

FloatArray = NDArray[np.float64]
Scores: TypeAlias = Mapping[str, FloatArray]  # metric -> (n,)
# codes (n, d) -> scores, and metric -> mean absolute error of the evaluator on rows that were not
# used to fit it, in the metric's unit; NaN if unknown
Evaluator: TypeAlias = Callable[[NDArray[Any]], tuple[Scores, Mapping[str, float]]]

PREDICTED_ROWS = 2000  # number of generated rows without tables; the published tables have as many


@dataclass(frozen=True)
class SearchSource:
    """Source of an offline search: records for fitting and a held-out evaluator.

    Attributes:
        name: Name of the setting or file.
        records: Rows for fitting; the metrics in ``logged`` are logarithms.
        table: All rows, with metrics in their own units.
        directions: Metric -> "maximize" or "minimize", for metrics that are optimized.
        evaluator: Held-out evaluator, which is fitted when it is called; None if there are too few
            rows.
        note: Sentence about the rows used for fitting and about the evaluator.
        everything: All rows, including the evaluator's, for the final refit; None if ``records``
            has all rows.
        logged: Metrics that are modeled as logarithms.
        columns: Role of every column of a file; empty for a setting.
    """

    name: str
    records: Records
    table: Records
    directions: Mapping[str, str]
    evaluator: Evaluator | None
    note: str
    everything: Records | None = None
    logged: frozenset[str] = frozenset()
    columns: Sequence[Mapping[str, str]] = field(default=(), repr=False)

    @property
    def main(self) -> str:
        """Name of the main metric, which is the first one."""
        return next(iter(self.records.metrics))


def setting_records(
    settings: Sequence[str],
    *,
    root: str | os.PathLike[str] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> list[SearchSource]:
    """Return settings of NAS-Bench-MR as sources, each with its main metric.

    With the published tables, the predictor is fitted to one half of the rows and the evaluator to
    the other half. Without the tables, the shipped surrogate provides the rows and evaluates the
    answer.

    Args:
        settings: Folder names or short names.
        root: Folder of the tables; ``NCP_BENCH_ROOT`` if None. If neither is given, no tables are
            read.
        rows: Maximum number of rows for fitting, at least 1.
        seed: Seed for the split and the random codes, at least 0.

    Raises:
        ValueError: A setting is unknown or repeated, no settings are given, tables cannot be read,
            or ``rows`` or ``seed`` is out of range.
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
    """Return at most ``rows`` random rows, in their original order; all rows for None."""
    if rows is None or rows >= len(records):
        return records
    return records.take(np.sort(np.random.default_rng(seed).permutation(len(records))[:rows]))


def _tabled(bench: NASBenchMR, setting: str, rows: int | None, seed: int) -> SearchSource:
    table = bench.table(setting)
    mine, others = halves(len(table.codes), seed)
    metric, codes = table.main, table.codes.astype(np.float64)
    everything = Records(table.space, codes, {metric: table.metrics[metric]})
    records = some_rows(everything.take(mine), rows, seed)

    def evaluate(codes: NDArray[Any]) -> tuple[Scores, Mapping[str, float]]:
        trees = HeldOutEvaluator(table, others)
        return {metric: trees.score(codes)}, {metric: trees.errors["mean"]}

    note = (
        f"{table.setting}: learned from {len(records)} of {len(table.codes)} trained architectures"
        f"; the held-out evaluator (boosted trees and a kernel model) from {len(others)} others"
    )
    return SearchSource(
        table.setting,
        records,
        everything,
        {metric: "maximize"},
        evaluate,
        note,
        everything=some_rows(everything, rows, seed),
    )


def _predicted(setting: str, rows: int, seed: int) -> SearchSource:
    model, space = surrogate(setting), MRSpace()
    metric = model.metrics[0]

    def evaluate(codes: NDArray[Any]) -> tuple[Scores, Mapping[str, float]]:
        return model.predict(codes, metrics=[metric]), {metric: np.nan}

    codes = space.sample(rows, seed)
    note = (
        f"no tables: {model.setting} is learned from predictions of the shipped surrogate for "
        f"{rows} random codes, none of which was trained; the surrogate also evaluates the answer. "
        "Its cross-validated errors are in benchmarks/results/surrogates.md; for an independent "
        f"evaluator, give --root or set {ROOT_VARIABLE}"
    )
    records = Records(space, codes.astype(np.float64), evaluate(codes)[0])
    return SearchSource(model.setting, records, records, {metric: "maximize"}, evaluate, note)
