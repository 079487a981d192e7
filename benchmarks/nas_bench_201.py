"""NAS-Bench-201: number of trials until the best cell is found, and the walk of Appendix C.

Run from the repository root, with the tables in NCP_BENCH_ROOT:

    python -m benchmarks.nas_bench_201

writes OUT/nas_bench_201.md and OUT/nas_bench_201.csv. Every value is looked up in the table.
"""

from __future__ import annotations

import argparse
import csv
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from benchmarks.baselines import regularized_evolution
from ncp_sampler import NB201Space, NCPOptimizer, NCPSampler
from ncp_sampler.command_line.options import make_parser
from ncp_sampler.formatting import markdown_table
from ncp_sampler.nas_bench import (
    NASBenchMR,
    Table,
    TableObjective,
    TableWalk,
    table_objective,
    table_predictor,
    walk_table,
)
from ncp_sampler.propagation import GradientDescent

STARTUP = 10  # number of first codes, which are the same for all methods
CHECKPOINTS = (50, 100, 200)
POPULATION, SAMPLE = 50, 10  # best of six pairs that were tried, see `report`
WALK_SEED = 400  # first draw of the rows; the settings were chosen on other draws
PAPER = 46.8  # accuracy (%) that the paper's walk reaches in 6 steps
PACKAGES = ("ncp_sampler", "optuna", "torch", "numpy")

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "NCP": lambda seed: NCPSampler(space=NB201Space(), seed=seed, n_startup_trials=STARTUP),
    "TPE": lambda seed: TPESampler(seed=seed, n_startup_trials=STARTUP),
    "random": lambda seed: RandomSampler(seed=seed),
}
EVOLUTION = "regularized evolution"
METHODS = ("NCP", EVOLUTION, "TPE", "random")


@dataclass(frozen=True)
class Search:
    """One search for the best cell.

    Attributes:
        method: One of ``METHODS``.
        seed: Seed of the method and of the shared first codes.
        best: Best accuracy up to each trial; it ends with the table's best, or at the cap.
        seconds: CPU seconds of the whole search.
    """

    method: str
    seed: int
    best: NDArray[np.float64]
    seconds: float

    def best_at(self, n: int) -> float:
        """Return the best accuracy of the first n trials."""
        return float(self.best[min(n, len(self.best)) - 1])


def search(method: str, objective: TableObjective, *, top: float, seed: int, cap: int) -> Search:
    """Search until a code with accuracy ``top`` is found, for at most ``cap`` trials."""
    start = time.process_time()
    space = objective.space
    first = NCPOptimizer(space, directions={"Acc": "maximize"}, seed=seed).ask(STARTUP)
    if method == EVOLUTION:
        values = regularized_evolution(
            lambda codes: objective.evaluate(codes)[:, 0],
            space,
            budget=cap,
            population=POPULATION,
            sample=SAMPLE,
            seed=seed,
            start=space.to_code(first),
        ).values
    else:
        study = optuna.create_study(direction="maximize", sampler=SAMPLERS[method](seed))
        for params in first:
            study.enqueue_trial(params)
        accuracies: list[float] = []
        while len(accuracies) < cap and (not accuracies or accuracies[-1] < top):
            trial = study.ask()
            value = objective(trial)
            assert isinstance(value, float)
            study.tell(trial, value)
            accuracies.append(value)
        values = np.array(accuracies)
    hit = np.flatnonzero(values >= top)
    values = values[: hit[0] + 1] if len(hit) else values
    return Search(method, seed, np.maximum.accumulate(values), time.process_time() - start)


def trials_needed(searches: Sequence[Search], top: float) -> NDArray[np.float64]:
    """Return the trials of each search until the best cell; infinite if the cap came first."""
    return np.array([len(s.best) if s.best[-1] >= top else np.inf for s in searches])


def search_table(searches: Sequence[Search], *, top: float, cap: int) -> str:
    headings = ["method", "median", "lower quartile", "upper quartile", "found", "NCP sooner"]
    headings += [f"best at {n}" for n in CHECKPOINTS] + ["s per search"]
    rows = []
    needed = {m: trials_needed(_of(searches, m), top) for m in METHODS}
    for method, trials in needed.items():
        own = _of(searches, method)
        # quartiles are values of searches, since an infinite value cannot be averaged
        quartiles = np.quantile(trials, [0.5, 0.25, 0.75], method="higher")
        cells = [f"{q:.0f}" if np.isfinite(q) else f"> {cap}" for q in quartiles]
        sooner = "" if method == "NCP" else f"{(needed['NCP'] < trials).sum()} of {len(trials)}"
        best = [f"{np.mean([s.best_at(n) for s in own]):.2f}" for n in CHECKPOINTS]
        seconds = f"{np.mean([s.seconds for s in own]):.1f}"
        count = f"{np.isfinite(trials).sum()} of {len(trials)}"
        rows.append([method, *cells, count, sooner, *best, seconds])
    return markdown_table(headings, rows, numbers=True)


def walk_grid(table: Table, seeds: int) -> str:
    """Return a table of settings of the walk: default, neighbors, and the paper's argmax."""
    headings = ["rounding", "λ", "learning rate", f"reach {PAPER} %", "median best"]
    headings += ["median of medians", "FLOPs (M) of the best", "at step"]
    rows = []
    predictors = [table_predictor(table, seed=WALK_SEED + s) for s in range(seeds)]
    for revisit in (False, True):
        for weight in (0.0, 0.05, 0.1):
            for rate in (0.5, 0.7, 1.0):
                strategy = GradientDescent(rate)
                walks = [
                    walk_table(
                        table, model, flops_weight=weight, strategy=strategy, revisit=revisit
                    )
                    for model in predictors
                ]
                rounding = "argmax" if revisit else "nearest new"
                rows.append([rounding, f"{weight:g}", f"{rate:g}", *_statistics(walks)])
    return markdown_table(headings, rows, numbers=True)


def _statistics(walks: Sequence[TableWalk]) -> list[str]:
    """Return the share of walks that reach the paper's accuracy, and median best steps."""
    best = np.array([walk.best for walk in walks])
    metric = np.stack([walk.metric for walk in walks])  # (seeds, S + 1, n)
    flops = np.stack([walk.flops for walk in walks])
    step = metric[:, 1:].argmax(1) + 1
    at_best = np.take_along_axis(flops, step[:, None], axis=1)
    return [
        f"{(best >= PAPER).mean():.0%}",
        f"{np.median(best):.2f}",
        f"{np.median(np.median(best, axis=1)):.2f}",
        f"{np.median(at_best):.1f}",
        f"{np.median(step):.0f}",
    ]


def one_walk(table: Table) -> str:
    start = time.process_time()
    predictor = table_predictor(table, seed=WALK_SEED)
    fitted = time.process_time()
    walk = walk_table(table, predictor)
    seconds = f"{fitted - start:.1f} s of CPU, the ten walks {time.process_time() - fitted:.1f} s"
    space = NB201Space()
    rows = []
    for step, (code, accuracy, flops) in enumerate(
        zip(walk.codes[:, 0], walk.metric[:, 0], walk.flops[:, 0], strict=True)
    ):
        cell = space.to_string(code).replace("|", "\\|")
        rows.append([str(step), f"{accuracy:.2f}", f"{flops:.2f}", f"`{cell}`"])
    heads, numbers = ["step", "accuracy (%)", "FLOPs (M)", "cell"], [True, True, True, False]
    text = f"The first walk, at the defaults; the fit took {seconds}:"
    return f"{text}\n\n{markdown_table(heads, rows, numbers=numbers)}"


def write_csv(searches: Sequence[Search], top: float, path: Path) -> None:
    """Write one row per search; ``trials`` is empty if the cap came first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        names = [f"best_{n}" for n in CHECKPOINTS]
        rows.writerow(["method", "seed", "trials", *names, "seconds"])
        for search in searches:
            trials = len(search.best) if search.best[-1] >= top else ""
            best = [f"{search.best_at(n):.3f}" for n in CHECKPOINTS]
            rows.writerow([search.method, search.seed, trials, *best, f"{search.seconds:.2f}"])


def _of(searches: Sequence[Search], method: str) -> list[Search]:
    return [s for s in searches if s.method == method]


def report(table: Table, searches: Sequence[Search], options: argparse.Namespace) -> str:
    top = float(table.metrics["Acc"].max())
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""# NAS-Bench-201: searches evaluated on the table itself

Made by `{options.command}`.

Accuracy is ImageNet-16-120's, looked up in the table of 15,625 cells; {top:.3f} % is its best, held
by one cell. Nothing is trained. Python {platform.python_version()}, {versions}, one thread.

## Trials until the best cell

Each method searches until it finds the best cell, with {options.seeds} seeds, at most
{options.cap} trials. For a seed, the first {STARTUP} codes of all methods are the same. NCP is
`NCPSampler(space=NB201Space())`, six categoricals, at its defaults; TPE and random are Optuna's.
Regularized evolution has a population of {POPULATION} and tournaments of {SAMPLE}, which needed
the fewest trials of (10, 3), (20, 5), (30, 10), (50, 10), (50, 25) and (100, 25); it never tries
a cell twice. Quartiles are searches: of two middle ones the later. "NCP sooner": seeds in which
NCP needed fewer trials. "Best at": mean of the best accuracy (%) after so many trials. Seconds
are CPU time of a whole search.

{search_table(searches, top=top, cap=options.cap)}
## The walk of Appendix C

A predictor (Gaussian process) is fitted on 500 random rows; from each of ten starts, the rows of
least accuracy among the 10 % of highest FLOPs, six steps are made of 10 iterations each, towards
higher accuracy and, with a weight λ above 0, lower FLOPs (both standardized, the accuracy through
`warp`). Figures are over {options.walk_seeds} draws of the rows times ten starts: the share of
walks of which a step has at least {PAPER} % (10 of 15,625 cells have; the paper reports one walk,
to 46.8 % at 90.36 M), and the best accuracy of a walk's steps. "Argmax" is the paper's rounding;
"nearest new" takes a cell that the walk was not in yet. The defaults, "nearest new" with λ = 0 and
learning rate 0.7, were chosen on draws 0 to 35 and 300 to 329 of the rows; these are draws
{WALK_SEED} to {WALK_SEED + options.walk_seeds - 1}.

{walk_grid(table, options.walk_seeds)}
{one_walk(table)}"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.nas_bench_201")
    add = parser.add_argument
    add("--root", help="folder of the tables; default: NCP_BENCH_ROOT")
    add("--seeds", type=int, default=20, help="number of searches per method, with seeds 0, 1, ...")
    add("--cap", type=int, default=1000, help="maximum number of trials of a search")
    add("--walk-seeds", type=int, default=20, help="number of draws of the predictor's 500 rows")
    add("--out", type=Path, default=Path("benchmarks/results"), help="output folder")
    options = parser.parse_args(arguments)
    if min(options.seeds, options.walk_seeds) < 1 or options.cap < POPULATION:
        parser.error(f"--seeds and --walk-seeds must be at least 1, --cap {POPULATION}")
    options.command = shlex.join(["python", "-m", "benchmarks.nas_bench_201", *arguments])
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else list(arguments))
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = NASBenchMR(options.root).table("nas-bench-201")
    objective = table_objective(table)
    top = float(table.metrics["Acc"].max())
    searches: list[Search] = []
    for method in METHODS:
        for seed in range(options.seeds):
            searches.append(search(method, objective, top=top, seed=seed, cap=options.cap))
            print(f"{method} {seed}: {len(searches[-1].best)} trials", file=sys.stderr)
    write_csv(searches, top, options.out / "nas_bench_201.csv")
    text = report(table, searches, options)
    (options.out / "nas_bench_201.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
