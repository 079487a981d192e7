"""Compares samplers on a surrogate of NAS-Bench-MR, from the same first trials.

For each seed, the first trials of all samplers are the same: the quasi-random codes with which
NCPSampler starts. From there on each sampler proposes its own. Written are a table, the curves as
a figure (DIR/SETTING.png) and every trial (DIR/SETTING.csv). Run ``--help`` for the options.

The values are the surrogate's predictions: nothing is trained.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ncp_sampler import (
    MRSpace,
    NCPOptimizer,
    NCPSampler,
    nas_bench,
)

STARTUP = 10  # trials that all samplers share
ASKS_TIMED = 20  # the median time of an ask is that of so many asks, the last ones
CHECKPOINTS = (25, 50, 100, 200, 500, 1000)

# name -> constructor from a seed, the slowest first. CMA-ES learns from its own trials alone, and
# starts in the middle of the space; its margin is for integers, and measured better here.
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "gp": lambda seed: optuna.samplers.GPSampler(
        seed=seed, n_startup_trials=STARTUP, deterministic_objective=True
    ),
    "ncp": lambda seed: NCPSampler(space=MRSpace(), seed=seed, n_startup_trials=STARTUP),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
    "cma": lambda seed: optuna.samplers.CmaEsSampler(
        seed=seed, n_startup_trials=STARTUP, with_margin=True
    ),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
LABELS = {"gp": "GP", "ncp": "NCP", "tpe": "TPE", "cma": "CMA-ES", "random": "random"}
# colours of Okabe and Ito, told apart by colour-blind readers too; and line styles
STYLES = {
    "gp": ("#CC79A7", (0, (3, 1, 1, 1))),
    "ncp": ("#D55E00", "-"),
    "tpe": ("#0072B2", "--"),
    "cma": ("#009E73", "-."),
    "random": ("#000000", ":"),
}


@dataclass(frozen=True)
class Run:
    """One study, trial by trial.

    Attributes:
        setting: Name of the benchmark's setting.
        sampler: Key of ``SAMPLERS``.
        seed: The sampler's seed, and that of the shared first codes.
        values: Value of each trial, to be maximized.
        ask_seconds: CPU seconds that the sampler took to propose each trial.
    """

    setting: str
    sampler: str
    seed: int
    values: tuple[float, ...]
    ask_seconds: tuple[float, ...]

    @property
    def best(self) -> NDArray[np.float64]:
        """Best value up to each trial."""
        return np.maximum.accumulate(np.array(self.values))

    def ask_ms(self, n_trials: int) -> float:
        """Median milliseconds of an ask, just before a study has ``n_trials`` trials."""
        own = self.ask_seconds[max(STARTUP, n_trials - ASKS_TIMED) : n_trials]
        return 1000 * float(np.median(own))


def run_study(
    setting: str, sampler: str, seed: int, n_trials: int, tick: Callable[[], object]
) -> Run:
    """Runs one study; ``tick`` is called after each trial."""
    objective = nas_bench.objective(setting)
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](seed))
    # what NCPSampler(seed=seed) proposes first
    first = NCPOptimizer(objective.space, directions={"value": "maximize"}, seed=seed).ask(STARTUP)
    for params in first:
        study.enqueue_trial(params)
    distributions = objective.space.distributions
    values, seconds = [], []
    for _ in range(n_trials):
        start = time.process_time()
        trial = study.ask(distributions)  # suggests all params
        seconds.append(time.process_time() - start)
        values.append(float(objective.evaluate(objective.space.to_code(trial.params))[0, 0]))
        study.tell(trial, values[-1])
        tick()
    return Run(setting, sampler, seed, tuple(values), tuple(seconds))


def run_all(
    setting: str,
    samplers: Sequence[str],
    seeds: Sequence[int],
    n_trials: int,
    *,
    jobs: int,
    threads: int,
) -> list[Run]:
    """Runs a study for each sampler and seed, ``jobs`` at once, under a progress bar (stderr)."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)  # for the new processes
    context = get_context("spawn")
    ticks: SimpleQueue[str] = context.SimpleQueue()
    columns = (TextColumn("{task.description:7}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(jobs, context, _start_worker, (ticks, threads)) as pool,
    ):
        bars = {s: progress.add_task(LABELS[s], total=len(seeds) * n_trials) for s in samplers}
        slowest_first = sorted(samplers, key=list(SAMPLERS).index)
        tasks = [
            pool.submit(_work, setting, sampler, seed, n_trials)
            for sampler in slowest_first
            for seed in seeds
        ]
        unfinished = set(tasks)
        while unfinished:
            done, unfinished = wait(unfinished, timeout=0.1)
            while not ticks.empty():
                progress.advance(bars[ticks.get()])
            if any(task.exception() for task in done):
                pool.shutdown(wait=False, cancel_futures=True)
                break
    return [task.result() for task in tasks if not task.cancelled()]


_ticks: SimpleQueue[str]  # of a worker


def _start_worker(ticks: SimpleQueue[str], threads: int) -> None:
    global _ticks  # noqa: PLW0603 -- a pool hands its queue over in no other way
    _ticks = ticks
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_quiet()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()  # killed, or it would have ended this process
        os._exit(1)


def _work(setting: str, sampler: str, seed: int, n_trials: int) -> Run:
    return run_study(setting, sampler, seed, n_trials, lambda: _ticks.put(sampler))


def _be_quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def checkpoints(n_trials: int) -> list[int]:
    """Trials at which results are shown; the last is always among them."""
    return [n for n in CHECKPOINTS if n < n_trials] + [n_trials]


def group(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by sampler, the one with the highest final mean first."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.sampler, []).append(run)
    final = {name: np.mean([run.best[-1] for run in of_one]) for name, of_one in by_name.items()}
    return {name: by_name[name] for name in sorted(by_name, key=lambda name: -final[name])}


def summarize(runs: Sequence[Run]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean best value after each trial, and its standard error (NaN for a single run)."""
    best = np.stack([run.best for run in runs])
    if len(runs) == 1:
        return best[0], np.full(best.shape[1], np.nan)
    return best.mean(axis=0), best.std(axis=0, ddof=1) / np.sqrt(len(runs))


def cells(grouped: dict[str, list[Run]], at: Sequence[int]) -> dict[str, list[str]]:
    """Texts "mean ± standard error" at the given trials; the highest of each trial has a ``*``."""
    summaries = {name: summarize(runs) for name, runs in grouped.items()}
    texts: dict[str, list[str]] = {name: [] for name in grouped}
    for n in at:
        highest = max(mean[n - 1] for mean, _ in summaries.values())
        for name, (mean, error) in summaries.items():
            text = f"{mean[n - 1]:.2f}"
            if np.isfinite(error[n - 1]):
                text += f" ± {error[n - 1]:.2f}"
            texts[name].append(text + ("*" if mean[n - 1] == highest else " "))
    return texts


def make_table(runs: Sequence[Run], metric: str) -> Table:
    """The results as printed, the best sampler first."""
    n_trials, n_seeds = len(runs[0].values), len({run.seed for run in runs})
    at, grouped = checkpoints(n_trials), group(runs)
    spread = f", mean ± standard error of {n_seeds} seeds" if n_seeds > 1 else ", one seed"
    table = Table(title=f"{runs[0].setting}: best {metric} (%) after n trials{spread}")
    table.title_justify = "left"
    table.add_column("sampler")
    for n in at:
        table.add_column(f"n = {n} ", justify="right", no_wrap=True)
    table.add_column("s/study", justify="right", no_wrap=True)
    table.add_column("ms/ask", justify="right", no_wrap=True)
    for name, texts in cells(grouped, at).items():
        seconds = np.mean([sum(run.ask_seconds) for run in grouped[name]])
        ask = np.median([run.ask_ms(n_trials) for run in grouped[name]])
        marked = [f"[bold]{text}[/bold]" if text.endswith("*") else text for text in texts]
        table.add_row(LABELS[name], *marked, f"{seconds:.2f}", f"{ask:.1f}")
    return table


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """Writes every trial."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["setting", "sampler", "seed", "trial", "value", "best", "ask_seconds"])
        for run in runs:
            who = (run.setting, run.sampler, run.seed)
            columns = zip(run.values, run.best.tolist(), run.ask_seconds, strict=True)
            for trial, (value, best, ask) in enumerate(columns, start=1):
                rows.writerow([*who, trial, value, best, f"{ask:.6f}"])


def write_figure(runs: Sequence[Run], metric: str, path: Path) -> None:
    """Draws mean and standard error of the best value over the trials."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    n_trials, n_seeds = len(runs[0].values), len({run.seed for run in runs})
    trials = np.arange(1, n_trials + 1)
    band: dict[str, Any] = {"alpha": 0.18, "linewidth": 0, "step": "post"}
    lowest, highest = np.inf, -np.inf
    for name, of_one in group(runs).items():
        mean, error = summarize(of_one)
        color, dashes = STYLES[name]
        axes.plot(trials, mean, color=color, ls=dashes, lw=2, label=LABELS[name], ds="steps-post")
        axes.fill_between(trials, mean - error, mean + error, color=color, **band)
        lowest = min(lowest, mean[STARTUP - 1])
        highest = max(highest, np.nanmax([mean, mean + error]))
    margin = 0.06 * (highest - lowest) or 1.0
    axes.set_ylim(lowest - 2 * margin, highest + margin)
    axes.set_xlim(1, n_trials)
    axes.axvspan(1, STARTUP, color="0.93", zorder=0)
    axes.text(STARTUP, highest, f" the first {STARTUP} are shared", color="0.35", va="center")
    axes.set_xlabel("Trials")
    axes.set_ylabel(f"Best {metric} so far (%, predicted by the surrogate)")
    numbers = "seed 0" if n_seeds == 1 else f"mean ± standard error over seeds 0 to {n_seeds - 1}"
    axes.set_title(f"NAS-Bench-MR, {runs[0].setting} surrogate: {numbers}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--setting", default="seg", help="cls-a, cls-b, cls-c, cls-10c, seg, seg-4x, video, ...")
    add("--samplers", default="random,tpe,cma,ncp", help=f"of {','.join(SAMPLERS)}")
    add("--trials", type=int, default=100, help="of each study")
    add("--seeds", type=int, default=3, help="studies of each sampler, with seeds 0, 1, ..")
    add("--jobs", type=int, default=2, help="studies at once")
    add("--threads", type=int, default=1, help="threads of a study, for torch and BLAS")
    add("--out", type=Path, default=Path("comparison"), help="folder of the figure and the CSV")
    options = parser.parse_args(arguments)
    options.samplers = [name.strip() for name in options.samplers.split(",") if name.strip()]
    unknown = [name for name in options.samplers if name not in SAMPLERS]
    if unknown or not options.samplers or len({*options.samplers}) < len(options.samplers):
        parser.error(f"--samplers must name some of {','.join(SAMPLERS)}, each once")
    if options.trials <= STARTUP:
        parser.error(f"--trials {options.trials} must exceed {STARTUP}, which all samplers share")
    for name in ("seeds", "jobs", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)} must be at least 1")
    try:
        options.metric = nas_bench.objective(options.setting).metrics[0]
        for name in options.samplers:
            SAMPLERS[name](0)  # cmaes may be missing
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.out):
            pass
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"--out {options.out} must be a folder that can be written to: {error}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    _be_quiet()
    options = parse(arguments)
    try:
        runs = run_all(
            options.setting,
            options.samplers,
            range(options.seeds),
            options.trials,
            jobs=options.jobs,
            threads=options.threads,
        )
    except KeyboardInterrupt:
        return 130
    stem = options.out / options.setting
    write_csv(runs, stem.with_suffix(".csv"))
    write_figure(runs, options.metric, stem.with_suffix(".png"))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(make_table(runs, options.metric))
    console.print(
        f"* the highest. The values are the surrogate's predictions, not results of training.\n"
        f"Per seed, all samplers start from the same {STARTUP} codes; CMA-ES does not use them.\n"
        f"s/study: the sampler's CPU seconds; ms/ask: their median, last {ASKS_TIMED} trials.\n"
        f"Curves: {stem.with_suffix('.png')}, all trials: {stem.with_suffix('.csv')}",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
