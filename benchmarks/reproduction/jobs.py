"""Jobs of a run, each in its own process: splits, predictor errors, walks."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from benchmarks.reproduction.budgets import FULL, QUICK, Budget
from benchmarks.reproduction.prediction import Prediction, correlations, predict_held_out
from benchmarks.reproduction.results import BASIC, Results, SearchResult
from benchmarks.reproduction.setting_split import SettingSplit, prepare
from benchmarks.reproduction.studies import (
    all_searches,
    basic,
    fronts,
    ncp_search,
)
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.settings import NB201, SETTINGS
from ncp_sampler.nas_bench.table_walk import TableWalk, table_predictor, walk_table
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.records.records import FloatArray

Progress: TypeAlias = Callable[[str], None]

_FIRST_SPLIT = 10  # defaults of the search were chosen on splits below this number
_FIRST_WALK_SEED = 400  # settings of the walk were chosen on seeds below this number
_WALK_STARTS = 10


@dataclass(frozen=True)
class _Split:
    """Results of one split; only the first split has traces and clouds."""

    searches: list[SearchResult]
    evaluator_errors: dict[str, float]
    extremes: dict[str, tuple[float, float]]
    traces: dict[str, Trace]
    clouds: dict[str, FloatArray]


def run(
    bench: NASBenchMR, *, quick: bool, splits: int, processes: int, progress: Progress
) -> Results:
    """Run all jobs, and combine their results.

    Args:
        bench: The tables.
        quick: Run the basic settings only, with the budget `QUICK`.
        splits: Number of splits of the rows.
        processes: Number of processes, of one thread each.
        progress: Function that is called with a message when a job has ended.
    """
    started = time.perf_counter()
    first, root = _FIRST_SPLIT, bench.root
    tables = tuple(s.name for s in SETTINGS if s.name != "3ddet" or s.name in bench.settings)
    settings = tuple(name for name in BASIC if name in tables) if quick else tables
    budget = QUICK if quick else FULL
    # A process must set its number of threads before NumPy and PyTorch start, hence "spawn"
    with ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as pool:
        searched = [
            pool.submit(_run_split, root, split, settings, budget, split == first)
            for split in range(first, first + splits)
        ]
        fitted = [pool.submit(_predict, root, setting, budget) for setting in settings]
        walked = [pool.submit(_walk, root, budget)] if NB201 in bench.settings else []
        jobs: list[Future[Any]] = [*searched, *fitted, *walked]
        for i, _ in enumerate(as_completed(jobs), start=1):
            progress(f"{i} of {len(jobs)} parts, {time.perf_counter() - started:.0f} s")
    parts = [job.result() for job in searched]
    extremes = {s: np.mean([part.extremes[s] for part in parts], axis=0) for s in settings}
    return Results(
        quick=quick,
        settings=tables,
        splits=splits,
        searches=[result for part in parts for result in part.searches],
        predictions=[job.result() for job in fitted],
        evaluator_errors={
            s: float(np.mean([part.evaluator_errors[s] for part in parts])) for s in settings
        },
        extremes={s: (float(trained), float(score)) for s, (trained, score) in extremes.items()},
        correlations=correlations(bench, list(tables)),
        segmentation=dict(bench.table("seg").metrics),
        walks=[walk for job in walked for walk in job.result()],
        traces=parts[0].traces,
        clouds=parts[0].clouds,
        seconds=time.perf_counter() - started,
    )


def _run_split(
    root: Path, split: int, names: Sequence[str], budget: Budget, with_figures: bool
) -> _Split:
    """Run all searches of a split, including those that are shown only in figures."""
    bench = NASBenchMR(root)
    settings = {name: prepare(bench, name, split, budget) for name in names}
    return _Split(
        searches=[
            *all_searches(settings, split),
            *(fronts(settings, split) if with_figures else ()),
        ],
        evaluator_errors={name: s.evaluator.errors["mean"] for name, s in settings.items()},
        extremes={name: s.extremes() for name, s in settings.items()},
        traces=_traces(settings["seg"]) if with_figures else {},
        clouds={name: settings[name].cloud() for name in basic(settings)} if with_figures else {},
    )


def _predict(root: Path, setting: str, budget: Budget) -> Prediction:
    """Measure the predictors' errors on a setting (Table 6)."""
    return predict_held_out(NASBenchMR(root), setting, epochs=budget.epochs)


def _walk(root: Path, budget: Budget) -> list[TableWalk]:
    """Walk over NAS-Bench-201 once per training set (Figure 6)."""
    table = NASBenchMR(root).table(NB201)
    return [
        walk_table(table, table_predictor(table, seed=seed), n_starts=_WALK_STARTS)
        for seed in range(_FIRST_WALK_SEED, _FIRST_WALK_SEED + budget.walk_seeds)
    ]


def _traces(setting: SettingSplit) -> dict[str, Trace]:
    """Return the propagation of the start code under each strategy (Figure 3)."""
    strategies: dict[str, Strategy] = {
        "continuous": GradientDescent(rate=0.3),
        "winner_takes_all": WinnerTakesAll(costs.flops, scale=setting.code_scale()),
    }
    traces = {}
    for name, strategy in strategies.items():
        solution = ncp_search(
            setting.problem(0.5), setting.budget, strategy=strategy, starts=MRSpace().start
        )
        assert solution.trace is not None  # only baselines have none
        traces[name] = solution.trace
    return traces
