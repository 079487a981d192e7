"""Performance loss due to parallel workers, for the same number of trials.

Run from the repository root, in an environment with the package's ``bench`` extra:

    python -m benchmarks.parallel --seeds 3

Each study of 100 trials searches one of the package's surrogates, either one trial at a time or
with several workers. With workers, a new trial starts as soon as the oldest running one has ended.

When a study ends, its row is added to OUT/parallel.csv, and an interrupted run continues from this
file. OUT/parallel.md is the report.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
import torch

from ncp_sampler import NCPSampler
from ncp_sampler.command_line.option_types import integer_at_least
from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table
from ncp_sampler.nas_bench.objectives import Objective, objective
from ncp_sampler.nas_bench.settings import SETTINGS
from ncp_sampler.nas_bench.surrogates import SHIPPED

TRIALS = 100
RANDOM = "random"
Sampler = Callable[[Objective, int], optuna.samplers.BaseSampler]
SAMPLERS: dict[str, Sampler] = {
    "NCP": lambda surrogate, seed: NCPSampler(space=surrogate.space, seed=seed),
    "TPE": lambda _, seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    RANDOM: lambda _, seed: optuna.samplers.RandomSampler(seed=seed),
}
_ALIASES = tuple(setting.alias for setting in SETTINGS if setting.name in SHIPPED)
_HEAD = ("setting", "sampler", "workers", "seed", "best")


class Study(NamedTuple):
    """Best value of one study."""

    setting: str
    sampler: str
    workers: int
    seed: int
    best: float


@cache
def _objective(setting: str) -> Objective:
    return objective(setting)


def run(setting: str, sampler: str, workers: int, seed: int) -> Study:
    """Run a study of ``TRIALS`` trials, of which ``workers`` run at any time."""
    surrogate = _objective(setting)
    with warnings.catch_warnings():  # constant_liar is experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made = SAMPLERS[sampler](surrogate, seed)
    study = optuna.create_study(directions=surrogate.directions, sampler=made)
    running: deque[tuple[optuna.Trial, float]] = deque()
    for _ in range(TRIALS):
        if len(running) == workers:
            study.tell(*running.popleft())
        trial = study.ask()
        code = surrogate.space.to_code(surrogate.space.suggest(trial))
        value, *_ = surrogate.evaluate(code)[0].tolist()
        running.append((trial, value))
    for trial, value in running:
        study.tell(trial, value)
    return Study(setting, sampler, workers, seed, study.best_value)


def read(path: Path) -> list[Study]:
    """Return the studies in a file, or none without a file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return [Study(row[0], row[1], int(row[2]), int(row[3]), float(row[4])) for row in rows]


def write(studies: Sequence[Study], path: Path) -> None:
    """Write all studies in the order in which they finished."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_HEAD)
        rows.writerows([*study[:4], f"{study.best:.4f}"] for study in studies)


def _mean(studies: Sequence[Study], setting: str, sampler: str, workers: int) -> float:
    return float(np.mean([s.best for s in studies if s[:3] == (setting, sampler, workers)]))


def markdown(studies: Sequence[Study], command: str, workers: int) -> str:
    """Return the report."""
    modelled = [name for name in SAMPLERS if name != RANDOM]
    columns = [(name, k) for name in modelled for k in (1, workers)]
    heads = ["setting", RANDOM, *(f"{name}, {k}" for name, k in columns)]
    heads += [f"{name} keeps" for name in modelled]
    table, kept = [], []
    for setting in dict.fromkeys(study.setting for study in studies):
        random = _mean(studies, setting, RANDOM, 1)
        best = {column: _mean(studies, setting, *column) for column in columns}
        kept.append(
            [(best[name, workers] - random) / (best[name, 1] - random) for name in modelled]
        )
        values = [f"{value:.2f}" for value in (random, *best.values())]
        table.append([setting, *values, *(f"{share:.0%}" for share in kept[-1])])
    blank = [""] * (1 + len(columns))
    table.append(["mean", *blank, *(f"{share:.0%}" for share in np.mean(kept, axis=0))])
    seeds = len({study.seed for study in studies})
    return f"""# Several workers

Made by `{command}`.

Best value (%) of the surrogates of NAS-Bench-MR, not of training, after {TRIALS} trials, one at a
time and {workers} at a time; means of {seeds} seeds. *Keeps*: of the gain over random search that
the sampler has with one trial at a time. TPE has `constant_liar=True`.

{markdown_table(heads, table, numbers=True)}"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.parallel")
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="number of studies of each kind")
    add("--first", type=integer_at_least(0), default=0, help="seed of the first study")
    add("--workers", type=int, default=8, help="number of trials that run at any time")
    return parse_benchmark(parser, arguments, "seeds", "workers")


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = options.out / "parallel.csv"
    studies = read(path)
    done = {study[:4] for study in studies}
    kinds = [(name, k) for name in SAMPLERS for k in (1, options.workers)]
    kinds.remove((RANDOM, options.workers))  # it ignores running trials
    seeds = range(options.first, options.first + options.seeds)
    for seed, setting, (name, workers) in product(seeds, _ALIASES, kinds):
        if (setting, name, workers, seed) not in done:
            studies.append(run(setting, name, workers, seed))
            write(studies, path)
    text = markdown(
        studies, shlex.join(["python", "-m", "benchmarks.parallel", *given]), options.workers
    )
    (options.out / "parallel.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
