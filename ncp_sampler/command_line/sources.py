"""What the command line searches: rows to learn from, and a judge that the search never saw."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import (
    Judge,
    NASBenchMR,
    halves,
    surrogate,
)
from ncp_sampler.nas_bench.tables import ROOT_VARIABLE
from ncp_sampler.offline.recipes import learn
from ncp_sampler.records.csv_records import csv_names, read_csv
from ncp_sampler.records.records import Records

FloatArray = NDArray[np.float64]
Score = Callable[[NDArray[Any]], Mapping[str, FloatArray]]  # codes (n, d) -> metric -> (n,)

PREDICTED_ROWS = 2000  # as many as the published tables have
LEAST_JUDGED_ROWS = 40  # half of fewer teaches neither a search nor a judge


@dataclass(frozen=True)
class JudgedRecords:
    """One source of an offline search: records to learn from, and who judges codes.

    Attributes:
        name: Setting or file.
        records: Rows to learn from.
        minimized: Those of its metrics that shall fall.
        judge: Scores codes; None where no rows are left for one.
        errors: Metric -> the judge's own mean absolute error on rows that it never saw, in the
            metric's unit; NaN where unknown.
        note: What was learnt from what, and who judges.
        everything: All rows, the judge's too, to learn the answer from; None where ``records`` are
            all.
    """

    name: str
    records: Records
    judge: Score | None
    errors: Mapping[str, float]
    note: str
    minimized: tuple[str, ...] = ()
    everything: Records | None = None

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

    With the tables, one half of the rows is learnt from and the other fits the judge. Without,
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
    _check_numbers(rows, seed)
    given = root or os.environ.get(ROOT_VARIABLE)
    if not given:
        return [_predicted(name, rows or PREDICTED_ROWS, seed) for name in settings]
    bench = NASBenchMR(given)
    return [_tabled(bench, name, rows, seed) for name in settings]


def table_records(
    path: str | os.PathLike[str],
    *,
    metrics: Sequence[str],
    minimized: Sequence[str] = (),
    rows: int | None = None,
    seed: int = 0,
) -> JudgedRecords:
    """A user's own table, read by ``read_csv``; one with MRSpace's 27 columns has its codes.

    Of 40 rows or more one half is learnt from; a second predictor of the other half judges.

    Args:
        path: CSV file.
        metrics: Its columns that are metrics, the main one first.
        minimized: Those of them that shall fall.
        rows: Learn from so many at most; at least 1.
        seed: At least 0, of the halves, and of the judge.

    Raises:
        ValueError: As ``read_csv``; or ``minimized`` names another column, or rows or a seed are
            out of range.
    """
    metrics = checks.texts("metrics", metrics)
    unknown = [name for name in checks.texts("minimized", minimized) if name not in metrics]
    if unknown:
        raise ValueError(f"minimized={unknown} must be among metrics={list(metrics)}")
    _check_numbers(rows, seed)
    code_names = set(csv_names(path)) - set(metrics)
    space = MRSpace() if set(MRSpace().names) <= code_names else None
    table, name = read_csv(path, metrics=metrics, space=space), os.path.basename(path)
    _check_measured(name, "rows", table)
    if len(table) < LEAST_JUDGED_ROWS:
        records, judge, errors = _some(table, rows, seed), None, dict.fromkeys(metrics, np.nan)
        everything = None
        note = (
            f"{name}: learnt from {len(records)} of {len(table)} rows; with fewer than "
            f"{LEAST_JUDGED_ROWS} none are left for a judge, so that the figures are the search's "
            "own predictions"
        )
    else:
        mine, others = (table.take(half) for half in halves(len(table), seed))
        _check_measured(name, "rows to learn from", mine)
        _check_measured(name, "rows to judge by", others)
        records, judge = _some(mine, rows, seed), _second_predictor(others, seed)
        everything = _some(table, rows, seed)
        seen = judge(mine.codes)
        errors = {m: float(np.nanmean(np.abs(seen[m] - mine.values(m)))) for m in metrics}
        note = (
            f"{name}: learnt from {len(records)} of {len(table)} rows; the judge is a second "
            f"predictor of the same kind, of {len(others)} other rows"
        )
    return JudgedRecords(name, records, judge, errors, note, tuple(minimized), everything)


def _check_numbers(rows: int | None, seed: int) -> None:
    if rows is not None:
        checks.integer("rows", rows, low=1)
    checks.integer("seed", seed, low=0)


def _check_measured(name: str, what: str, records: Records) -> None:
    """Raises ValueError if a metric has no value in some rows."""
    for metric, values in records.metrics.items():
        if np.isnan(values).all():
            raise ValueError(
                f"{name} has no value of {metric!r} in its {len(records)} {what}; add rows that do"
            )


def _tabled(bench: NASBenchMR, setting: str, rows: int | None, seed: int) -> JudgedRecords:
    table = bench.table(setting)
    mine, others = halves(len(table.codes), seed)
    judge, metric = Judge(table, others), table.main
    codes = table.codes.astype(np.float64)
    everything = Records(table.space, codes, {metric: table.metrics[metric]})
    records = _some(everything.take(mine), rows, seed)
    note = (
        f"{table.setting}: learnt from {len(records)} of {len(table.codes)} trained architectures; "
        f"the judge, boosted trees and a kernel model, from {len(others)} others"
    )
    return JudgedRecords(
        table.setting,
        records,
        lambda legal: {metric: judge.score(legal)},
        {metric: judge.errors["mean"]},
        note,
        everything=_some(everything, rows, seed),
    )


def _predicted(setting: str, rows: int, seed: int) -> JudgedRecords:
    model, space = surrogate(setting), MRSpace()
    metric = model.metrics[0]

    def score(codes: NDArray[Any]) -> Mapping[str, FloatArray]:
        return model.predict(codes, metrics=[metric])

    codes = space.sample(rows, seed)
    note = (
        f"no tables: {model.setting} is learnt from predictions of the shipped surrogate for "
        f"{rows} random codes, and the same surrogate judges; nothing of this was trained. Its "
        "cross-validated errors are in benchmarks/results/surrogates.md; for an independent judge "
        f"give --root or set {ROOT_VARIABLE}"
    )
    records = Records(space, codes.astype(np.float64), score(codes))
    return JudgedRecords(model.setting, records, score, {metric: np.nan}, note)


def _second_predictor(records: Records, seed: int) -> Score:
    predictor = learn(records, seed=seed)

    def score(codes: NDArray[Any]) -> Mapping[str, FloatArray]:
        mean, _ = predictor.predict(records.space.normalize(codes))
        return dict(zip(predictor.names, mean.T, strict=True))

    return score


def _some(records: Records, rows: int | None, seed: int) -> Records:
    if rows is None or rows >= len(records):
        return records
    return records.take(np.sort(np.random.default_rng(seed).permutation(len(records))[:rows]))
