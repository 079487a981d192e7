"""Runs the studies on all splits and writes the report: Markdown with pictures.

In comes the tables' folder; out go `Results`, or a folder with report.md.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ncp_sampler import checks
from ncp_sampler.files import write_atomic
from ncp_sampler.nas_bench.settings import NB201
from ncp_sampler.nas_bench.surrogates import SHIPPED
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.reproduction.effort import FULL, QUICK
from ncp_sampler.reproduction.pages import write_pages
from ncp_sampler.reproduction.parts import one_thread, predict, search_split, walks
from ncp_sampler.reproduction.prediction import correlations
from ncp_sampler.reproduction.results import Results
from ncp_sampler.reproduction.studies import BASIC, PRETRAINING, RESOLUTIONS, SUBSETS

Folder: TypeAlias = str | os.PathLike[str]
Progress: TypeAlias = Callable[[str], None]

_FIRST_SPLIT = 10  # the search's caution and its members were chosen on splits below
_SPLITS = 10
_SETTINGS = tuple(dict.fromkeys((*BASIC, *SUBSETS, *RESOLUTIONS, *PRETRAINING)))


def run(
    root: Folder,
    *,
    quick: bool = False,
    splits: int | None = None,
    processes: int = 2,
    progress: Progress = print,
) -> Results:
    """Runs all studies, each split and each predictor in a process of its own.

    Args:
        root: The tables' folder.
        quick: The three basic settings alone, with less ``Effort``.
        splits: Of the rows, at least 1; None for 10, or 1 with ``quick``.
        processes: At once, one thread each.
        progress: Told what has ended.

    Raises:
        ValueError: No tables there, processes or splits < 1, or an argument of another type.
    """
    quick, splits, processes = _checked(quick, splits, processes, progress)
    bench = NASBenchMR(checks.path("root", root, "the folder of the tables"))
    since = time.perf_counter()
    drawn = range(_FIRST_SPLIT, _FIRST_SPLIT + splits)
    settings, learnt = (BASIC, BASIC) if quick else (_SETTINGS, SHIPPED)
    effort = QUICK if quick else FULL
    # threads are set before NumPy and PyTorch start in a process, hence new interpreters
    with ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=one_thread
    ) as pool:
        searched = [
            pool.submit(search_split, bench.root, split, settings, effort, split == drawn[0])
            for split in drawn
        ]
        fitted = [pool.submit(predict, bench.root, setting, effort) for setting in learnt]
        walked = [pool.submit(walks, bench.root, effort)] if NB201 in bench.settings else []
        everything: list[Future[Any]] = [*searched, *fitted, *walked]
        for i, _ in enumerate(as_completed(everything), start=1):
            progress(f"{i} of {len(everything)} parts, {time.perf_counter() - since:.0f} s")
    parts = [part.result() for part in searched]
    return Results(
        quick=quick,
        splits=len(parts),
        rows=[row for part in parts for row in part.rows],
        predictions=[fit.result() for fit in fitted],
        judge_errors={s: _mean([part.errors[s] for part in parts]) for s in settings},
        extremes={
            s: (
                _mean([part.extremes[s][0] for part in parts]),
                _mean([part.extremes[s][1] for part in parts]),
            )
            for s in settings
        },
        correlations=correlations(bench, list(SHIPPED)),
        segmentation=dict(bench.table("seg").metrics),
        walks=[walk for part in walked for walk in part.result()],
        traces=parts[0].traces,
        clouds=parts[0].clouds,
        seconds=time.perf_counter() - since,
    )


def write_report(
    root: Folder,
    out: Folder,
    *,
    quick: bool = False,
    splits: int | None = None,
    processes: int = 2,
    progress: Progress = print,
) -> Path:
    """Runs the studies and writes ``report.md``, its pictures and ``results.pkl`` into a folder.

    Args:
        root: The tables' folder.
        out: The report's folder, made if need be.
        quick: As `run`.
        splits: As `run`.
        processes: As `run`.
        progress: As `run`.

    Returns:
        The report.

    Raises:
        ValueError: As `run`; or ``out`` is no folder that can be written to.
        OSError: The disk is full.
    """
    quick, splits, processes = _checked(quick, splits, processes, progress)
    root = checks.path("root", root, "the folder of the tables")
    folder = checks.path("out", out, "a folder, which is made if need be")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:  # before a quarter of an hour's work
        raise ValueError(
            f"out={str(folder)!r} cannot be written to ({error.strerror}); give another folder"
        ) from error
    results = run(root, quick=quick, splits=splits, processes=processes, progress=progress)
    write_atomic(folder / "results.pkl", pickle.dumps(results))
    return write_pages(results, folder, root=root)


def _checked(
    quick: bool, splits: int | None, processes: int, progress: Progress
) -> tuple[bool, int, int]:
    must = "be a function of a text, such as print"
    checks.call("progress", progress, must, required=True)
    quick = checks.flag("quick", quick)
    splits = (
        (1 if quick else _SPLITS) if splits is None else checks.integer("splits", splits, low=1)
    )
    return quick, splits, checks.integer("processes", processes, low=1)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
