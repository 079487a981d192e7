"""Compare Ray Tune searchers on a surrogate of NAS-Bench-MR, starting from the same first trials.

Run it from the repository root: ``python -m examples.compare_searchers``. For each seed, the first
trials of all searchers are the same codes, those with which NCPSearch starts. ``--concurrent``
trials run at a time, so a searcher must make suggestions before all results are known. The program
prints a table, and draws the best value over completed trials as a figure (DIR/SETTING.png).

The values are predictions of the surrogate; no network is trained.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the progress bar shows enough
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

import numpy as np
import optuna
import ray
import torch
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch
from rich.console import Console
from rich.table import Table

from ncp_sampler import MRSpace, NCPOptimizer, NCPSearch, nas_bench
from ncp_sampler.command_line.comparison import check_comparison
from ncp_sampler.command_line.options import check_at_least_one, make_parser
from ncp_sampler.nas_bench.comparison import LABELS, STARTUP, Run, progress_bars
from ncp_sampler.nas_bench.comparison_report import best_table, group, write_figure
from ncp_sampler.space.search_space import Params

STORE = 100 * 2**20  # size of the shared memory, in bytes

# name -> constructor from a seed and the first configs
SEARCHERS: dict[str, Callable[[int, list[Params]], Any]] = {
    "ncp": lambda seed, first: NCPSearch(
        seed=seed, n_startup_trials=STARTUP, points_to_evaluate=first
    ),
    "tpe": lambda seed, first: OptunaSearch(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
        points_to_evaluate=first,
    ),
    "random": lambda seed, first: BasicVariantGenerator(
        random_state=seed, points_to_evaluate=first
    ),
}


@dataclass(frozen=True)
class Timed:
    """Run with its wall-clock time in seconds."""

    run: Run
    seconds: float


class Order(tune.Callback):
    """Callback that records the trials' values in the order of completion."""

    def __init__(self, metric: str, tick: Callable[[], object]) -> None:
        self.values: list[float] = []
        self._metric, self._tick = metric, tick

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles the callback with the run; a progress bar cannot be pickled

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.values.append(float(result[self._metric]))
        self._tick()


def evaluate(config: dict[str, Any]) -> None:
    """Run one trial: report the surrogate's prediction for a code."""
    torch.set_num_threads(1)
    objective = nas_bench.objective(config["setting"])
    value = objective.evaluate(MRSpace().from_config(config))[0, 0]
    tune.report({objective.metrics[0]: float(value)})


def run_search(
    setting: str, searcher: str, seed: int, n_trials: int, *, concurrent: int, tick: Any
) -> Timed:
    """Run one search; ``tick`` is called after each trial."""
    space, metric = MRSpace(), nas_bench.objective(setting).metrics[0]
    optimizer = NCPOptimizer(space, directions={metric: "maximize"}, seed=seed)
    search = SEARCHERS[searcher](seed, optimizer.ask(min(STARTUP, n_trials)))
    order = Order(metric, tick)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            evaluate,
            param_space={**space.tune_space(), "setting": setting},
            tune_config=tune.TuneConfig(
                search_alg=search,
                metric=metric,
                mode="max",
                num_samples=n_trials,
                max_concurrent_trials=concurrent,
                reuse_actors=True,
                trial_dirname_creator=_folder_of,
            ),
            run_config=tune.RunConfig(
                name="run", storage_path=folder, verbose=0, callbacks=[order]
            ),
        ).fit()
    seconds = time.perf_counter() - start
    return Timed(Run(setting, searcher, seed, tuple(order.values)), seconds)


def run_all(options: argparse.Namespace) -> list[Timed]:
    """Run every searcher with every seed, one run after the other, with a progress bar."""
    done = []
    with progress_bars() as progress:
        total = options.seeds * options.trials
        bars = {name: progress.add_task(LABELS[name], total=total) for name in options.searchers}
        for seed in range(options.seeds):
            for name in options.searchers:
                done.append(
                    run_search(
                        options.setting,
                        name,
                        seed,
                        options.trials,
                        concurrent=options.concurrent,
                        tick=lambda bar=bars[name]: progress.advance(bar),
                    )
                )
    return done


def make_table(timed: Sequence[Timed], metric: str, concurrent: int) -> Table:
    """Return the table of results, best searcher first."""
    runs = [timing.run for timing in timed]
    seconds = {
        name: f"{np.mean([timing.seconds for timing in timed if timing.run.sampler == name]):.1f}"
        for name in group(runs)
    }
    how = f", {concurrent} at a time"
    return best_table(runs, metric, kind="searcher", how=how, times={"s/run": seconds})


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m examples.compare_searchers")
    add = parser.add_argument
    add("--setting", default="seg", help="cls-a, cls-b, cls-c, cls-10c, seg, seg-4x, video, ...")
    add("--searchers", default="ncp,tpe,random", help=f"of {','.join(SEARCHERS)}")
    add("--trials", type=int, default=60, help="number of trials of each run")
    add(
        "--seeds", type=int, default=2, help="number of runs of each searcher, with seeds 0, 1, ..."
    )
    add("--concurrent", type=int, default=2, help="number of trials that run at a time")
    add("--out", type=Path, default=Path("comparison"), help="output folder for the figure")
    options = parser.parse_args(arguments)
    try:
        check_at_least_one(options, "concurrent")
        options.searchers = check_comparison(
            options, [options.setting], kind="searchers", known=SEARCHERS
        )
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    ray.init(
        "local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=STORE,
    )
    try:
        timed = run_all(options)
    finally:
        ray.shutdown()
    path = options.out / f"{options.setting}-ray.png"
    metric = nas_bench.objective(options.setting).metrics[0]
    write_figure([timing.run for timing in timed], metric, path)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(make_table(timed, metric, options.concurrent))
    console.print(
        "* the highest. The values are the surrogate's predictions, not results of training.\n"
        f"Per seed, all searchers start from the same {STARTUP} codes.\n"
        f"s/run: wall clock, most of it Ray's own. Curves: {path}",
        highlight=False,
    )
    return 0


def _folder_of(trial: Any) -> str:
    return str(trial.trial_id)


if __name__ == "__main__":
    sys.exit(main())
