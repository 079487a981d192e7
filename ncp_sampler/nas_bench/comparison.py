"""Comparison of samplers on a surrogate.

For each seed, all samplers have the same first trials: the quasi-random codes with which NCPSampler
starts. Each sampler proposes the remaining trials of its study. The studies run in separate
processes, several of them simultaneously.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.queues import SimpleQueue

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ncp_sampler import checks
from ncp_sampler.integrations.optuna.sampler import NCPSampler
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.objectives import Objective, objective
from ncp_sampler.optimizer.optimizer import NCPOptimizer

STARTUP = 10  # Number of trials that all samplers share
ASKS_TIMED = 20  # Number of last proposals whose median time is reported

# Name -> function of a seed that returns a sampler, the slowest first. CMA-ES uses only its own
# trials and starts in the middle of the space. Its margin option, which is meant for integers, gave
# better results here.
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

_ticks: SimpleQueue[str]  # Queue through which a worker reports finished trials


@dataclass(frozen=True)
class Run:
    """Results of one study.

    Attributes:
        setting: Name of the setting.
        sampler: Key of ``SAMPLERS``.
        seed: Seed of the sampler and of the shared first codes.
        values: Value of each trial, which is maximized.
        ask_seconds: CPU time of each proposal in seconds; empty if it was not measured.

    Raises:
        ValueError: If an attribute has another type.
    """

    setting: str
    sampler: str
    seed: int
    values: tuple[float, ...]
    ask_seconds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        checks.text("setting", self.setting)
        checks.one_of("sampler", self.sampler, tuple(SAMPLERS))
        checks.integer("seed", self.seed, low=0)
        for name in ("values", "ask_seconds"):
            must = "be numbers, one for each trial"
            for number in checks.sequence(name, getattr(self, name), object, must):
                checks.number(name, number)
        if len(self.ask_seconds) not in {0, len(self.values)}:
            raise ValueError(
                f"ask_seconds has {len(self.ask_seconds)} numbers, but values has "
                f"{len(self.values)}; give one for each trial, or none"
            )

    @property
    def best(self) -> NDArray[np.float64]:
        """Best value up to each trial."""
        return np.maximum.accumulate(np.array(self.values))

    def ask_ms(self, n_trials: int) -> float:
        """Return the median CPU time in milliseconds of the last proposals up to a trial.

        At most 20 proposals count, and only those of the sampler itself.

        Raises:
            ValueError: If ``n_trials`` is at most ``STARTUP``, or exceeds the number of timed
                trials.
        """
        if len(self.ask_seconds) <= STARTUP:
            raise ValueError(
                f"ask_seconds of {self.sampler!r} has {len(self.ask_seconds)} numbers; time the "
                f"asks of more than {STARTUP} trials, which all samplers share"
            )
        checks.integer("n_trials", n_trials, low=STARTUP + 1, high=len(self.ask_seconds))
        own = self.ask_seconds[max(STARTUP, n_trials - ASKS_TIMED) : n_trials]
        return 1000 * float(np.median(own))


def run_study(
    setting: str, sampler: str, seed: int, n_trials: int, tick: Callable[[], object]
) -> Run:
    """Run one study, and call ``tick`` after each trial.

    The arguments are as for ``run_all``, but for a single sampler and seed.

    Raises:
        ValueError: As for ``run_all``.
        ImportError: If LightGBM, or a package of the sampler, is not installed.
    """
    benchmark = _check(setting, [sampler], [seed], n_trials)
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](seed))
    # the first proposals of NCPSampler(seed=seed)
    first = NCPOptimizer(benchmark.space, directions={"value": "maximize"}, seed=seed).ask(STARTUP)
    for params in first:
        study.enqueue_trial(params)
    distributions = benchmark.space.distributions
    values, seconds = [], []
    for _ in range(n_trials):
        start = time.process_time()
        trial = study.ask(distributions)  # suggests all params
        seconds.append(time.process_time() - start)
        values.append(float(benchmark.evaluate(benchmark.space.to_code(trial.params))[0, 0]))
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
    """Run a study for each sampler and seed, with a progress bar on stderr.

    Args:
        setting: Setting of a shipped surrogate, such as "seg".
        samplers: Keys of ``SAMPLERS``.
        seeds: Nonnegative seeds.
        n_trials: Number of trials of each study, more than ``STARTUP``.
        jobs: Number of studies that run simultaneously.
        threads: Number of threads of each study, for PyTorch and BLAS.

    Raises:
        ValueError: If an argument is not as described.
        ImportError: If LightGBM, or a package of a sampler, is not installed.
    """
    _check(setting, checks.texts("samplers", samplers), seeds, n_trials)
    checks.integer("jobs", jobs, low=1)
    checks.integer("threads", threads, low=1)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)  # for the new processes
    context = get_context("spawn")
    ticks: SimpleQueue[str] = context.SimpleQueue()
    with (
        progress_bars() as progress,
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


def progress_bars() -> Progress:
    """Return a progress display on stderr, to which a bar can be added for each sampler."""
    columns = (TextColumn("{task.description:7}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))


def be_quiet() -> None:
    """Silence Optuna's messages about trials and its warnings about experimental features."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def _check(setting: str, samplers: Sequence[str], seeds: Sequence[int], n_trials: int) -> Objective:
    for sampler in samplers:
        checks.one_of("sampler", sampler, tuple(SAMPLERS))
    for seed in checks.sequence("seeds", seeds, int, "be integers, such as range(5)"):
        checks.integer("seed", seed, low=0)
    checks.integer("n_trials", n_trials, low=STARTUP + 1)
    return objective(setting)


def _start_worker(ticks: SimpleQueue[str], threads: int) -> None:
    global _ticks  # noqa: PLW0603 -- a pool can only pass a queue to its workers here
    _ticks = ticks
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    threading.Thread(target=_end_with_parent, daemon=True).start()
    be_quiet()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()  # returns if the parent was killed; a normal exit ends this process first
        os._exit(1)


def _work(setting: str, sampler: str, seed: int, n_trials: int) -> Run:
    return run_study(setting, sampler, seed, n_trials, lambda: _ticks.put(sampler))
