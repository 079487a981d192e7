"""One study of one method on one problem, and the file with the results of studies."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import optuna
import torch
from moocore import hypervolume
from threadpoolctl import threadpool_limits

from benchmarks.several_tasks.methods import METHODS
from benchmarks.several_tasks.problems import FloatArray, Tasks, problem
from ncp_sampler import costs

CHECKPOINTS = (20, 50, 100)


@dataclass(frozen=True)
class Study:
    """Results of a study after some trials: a row of a CSV file.

    Attributes:
        family: Benchmark that the tasks belong to.
        problem: Key of ``PROBLEMS``.
        method: Key of ``METHODS``.
        seed: Seed of the method.
        trials: Number of trials.
        worst: True regret of the answer in its worst task.
        mean: Mean true regret of the answer over the tasks.
        hypervolume: Share of the box from medians to best values that all trials dominate; for
            FLOPs, the box extends from the median of their logarithm to a tenth of the median.
    """

    family: str
    problem: str
    method: str
    seed: int
    trials: int
    worst: float
    mean: float
    hypervolume: float


def run(name: str, method: str, seed: int, trials: int) -> list[Study]:
    """Run one study with a number of trials on one thread."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of peers, each trial
    tasks = problem(name)
    with threadpool_limits(1):
        done = METHODS[method][1](tasks, seed, [n for n in CHECKPOINTS if n <= trials])
    studies = []
    for n, code in done.answers.items():
        regrets = tasks.regrets(tasks.evaluate(code[None]))[0]
        tried = done.codes[: n * len(done.codes) // max(done.answers)]
        worst, mean = float(regrets.max()), float(regrets.mean())
        volume = dominated(tasks, tried)
        studies.append(Study(tasks.family, name, method, seed, n, worst, mean, volume))
    return studies


def dominated(tasks: Tasks, codes: FloatArray) -> float:
    """Return the hypervolume of codes (n, d), as defined by ``Study``."""
    losses = tasks.regrets(tasks.evaluate(codes))
    if tasks.flops:
        middle = np.median(np.log10(costs.flops(tasks.space.sample(1000, 0)).numpy()))
        used = np.log10(costs.flops(codes).numpy())
        losses = np.column_stack([losses, used - middle + 1])
    inside = losses[(losses < 1).all(axis=1)]
    return float(hypervolume(inside, ref=np.ones(losses.shape[1]))) if len(inside) else 0.0


def append(studies: Sequence[Study], path: Path) -> None:
    """Add rows to a file."""
    begins = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [column.name for column in fields(Study)], lineterminator="\n")
        if begins:
            rows.writeheader()
        for study in studies:
            row = asdict(study)
            rows.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def load(path: Path) -> list[Study]:
    """Return the rows in a file, or none if it is missing."""
    if not path.exists():
        return []
    kinds = {column.name: {"str": str, "int": int, "float": float}[str(column.type)]
             for column in fields(Study)}  # fmt: skip
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Study(**{name: kinds[name](text) for name, text in row.items()})
            for row in csv.DictReader(file)
        ]
