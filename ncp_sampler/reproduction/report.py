"""Runs the studies on all splits and writes the report: Markdown with pictures."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import (
    NASBenchMR,
    TableWalk,
    table_predictor,
    walk_table,
)
from ncp_sampler.nas_bench.settings import NB201
from ncp_sampler.nas_bench.surrogates import SHIPPED
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.propagation import GradientDescent, Strategy, Trace, WinnerTakesAll
from ncp_sampler.reproduction.laboratory import Row, prepare
from ncp_sampler.reproduction.prediction import Prediction, correlations, predict_held_out
from ncp_sampler.reproduction.studies import (
    BASIC,
    PRETRAINING,
    RESOLUTIONS,
    SUBSETS,
    all_rows,
)

Progress = Callable[[str], None]

_FULL_SPLITS = range(10, 20)  # the search's caution was chosen on 0 to 4
_EPOCHS, _QUICK_EPOCHS = 200, 60  # of the published recipe's predictor
_EXTREMES = 10
# draws of rows; the walk's settings were chosen on others
_WALK_SEEDS, _WALK_STARTS = range(400, 420), 10


@dataclass(frozen=True)
class Results:
    """Everything that the report shows.

    Attributes:
        quick: Whether only the basic settings and one split were run.
        splits: Number of splits.
        rows: Searches, judged.
        predictions: Of each setting.
        judge_errors: Setting -> mean L1 of its judges, percent.
        extremes: Setting -> the ten best rows that a judge did not see: means of what they were
            trained to and of what they are judged, percent.
        correlations: Spearman between `SHIPPED`, (8, 8).
        walks: NAS-Bench-201, one for each seed of the 500 rows.
        traces: Strategy -> a propagation on segmentation from the start code.
        seconds: Of the whole run.
    """

    quick: bool
    splits: int
    rows: list[Row]
    predictions: list[Prediction]
    judge_errors: dict[str, float]
    extremes: dict[str, tuple[float, float]]
    correlations: NDArray[np.float64]
    walks: list[TableWalk]
    traces: dict[str, Trace]
    seconds: float


def run(
    root: str | os.PathLike[str],
    *,
    quick: bool = False,
    processes: int = 2,
    progress: Progress = print,
) -> Results:
    """Runs all studies, each split and each predictor in a process of its own.

    Args:
        root: The tables' folder.
        quick: One split and the three basic settings alone.
        processes: At once, one thread each.
        progress: Told what has ended.

    Raises:
        ValueError: No tables there, or processes < 1.
    """
    if processes < 1:
        raise ValueError(f"processes={processes} must be at least 1")
    bench = NASBenchMR(root)
    since = time.perf_counter()
    splits = _FULL_SPLITS[:1] if quick else _FULL_SPLITS
    epochs = _QUICK_EPOCHS if quick else _EPOCHS
    wanted = (
        BASIC if quick else tuple(dict.fromkeys((*BASIC, *SUBSETS, *RESOLUTIONS, *PRETRAINING)))
    )
    learnt = BASIC if quick else SHIPPED
    # threads are set before NumPy and PyTorch start in a process, hence new interpreters
    with ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread
    ) as pool:
        searches = [pool.submit(_split, bench.root, split, wanted, epochs) for split in splits]
        fits = [pool.submit(_predict, bench.root, setting, epochs) for setting in learnt]
        walk = pool.submit(_walks, bench.root) if NB201 in bench.settings else None
        everything: list[Future[Any]] = [*searches, *fits, *([walk] if walk else [])]
        for i, _ in enumerate(as_completed(everything), start=1):
            progress(f"{i} of {len(everything)} parts, {time.perf_counter() - since:.0f} s")
    parts = [part.result() for part in searches]
    return Results(
        quick=quick,
        splits=len(splits),
        rows=[row for part in parts for row in part.rows],
        predictions=[fit.result() for fit in fits],
        judge_errors={
            setting: float(np.mean([part.errors[setting] for part in parts])) for setting in wanted
        },
        extremes={
            setting: (
                float(np.mean([part.extremes[setting][0] for part in parts])),
                float(np.mean([part.extremes[setting][1] for part in parts])),
            )
            for setting in wanted
        },
        correlations=correlations(bench, list(SHIPPED)),
        walks=walk.result() if walk else [],
        traces=parts[0].traces,
        seconds=time.perf_counter() - since,
    )


def write_report(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    quick: bool = False,
    processes: int = 2,
    progress: Progress = print,
) -> Path:
    """Runs the studies and writes ``report.md``, its pictures and ``results.pkl`` into a folder.

    Args:
        root: The tables' folder.
        out: The report's folder, made if need be.
        quick: As `run`.
        processes: As `run`.
        progress: As `run`.

    Returns:
        The report.

    Raises:
        ValueError: As `run`.
    """
    from ncp_sampler.reproduction.pages import write_pages

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    results = run(root, quick=quick, processes=processes, progress=progress)
    with (folder / "results.pkl").open("wb") as file:
        pickle.dump(results, file)
    return write_pages(results, folder, root=root)


def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class _Part:
    """What one split adds to the results."""

    rows: list[Row]
    errors: dict[str, float]
    extremes: dict[str, tuple[float, float]]
    traces: dict[str, Trace]


def _split(root: Path, split: int, settings: Sequence[str], epochs: int) -> _Part:
    bench = NASBenchMR(root)
    halves = {setting: prepare(bench, setting, split, epochs=epochs) for setting in settings}
    rows = list(all_rows(halves, split))
    errors = {setting: half.judge.errors["mean"] for setting, half in halves.items()}
    traces: dict[str, Trace] = {}
    if split == _FULL_SPLITS[0]:
        start = MRSpace().start
        strategies: dict[str, Strategy] = {
            "continuous": GradientDescent(rate=0.3),
            "winner_takes_all": WinnerTakesAll(),
        }
        for name, strategy in strategies.items():
            found = propagate_search(halves["seg"].problem(0.5), strategy=strategy, starts=start)
            assert found.trace is not None
            traces[name] = found.trace
    extremes = {}
    for setting, half in halves.items():
        best = half.records.take(half.records.best(half.main)[:_EXTREMES])
        judged = half.judge.score(best.codes.astype(np.int64))
        extremes[setting] = float(best.values(half.main).mean()), float(judged.mean())
    return _Part(rows, errors, extremes, traces)


def _predict(root: Path, setting: str, epochs: int) -> Prediction:
    return predict_held_out(NASBenchMR(root), setting, epochs=epochs)


def _walks(root: Path) -> list[TableWalk]:
    table = NASBenchMR(root).table(NB201)
    return [
        walk_table(table, table_predictor(table, seed=seed), n_starts=_WALK_STARTS)
        for seed in _WALK_SEEDS
    ]
