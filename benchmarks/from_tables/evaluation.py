"""Evaluation of one method on one draw of rows, and the files with the results."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import optuna
import torch
from threadpoolctl import threadpool_limits

from benchmarks.from_tables.methods import METHODS, Answer, Case
from benchmarks.from_tables.tasks import ABSENT, task


@dataclass(frozen=True)
class Evaluation:
    """True values of one answer: a row of a CSV file.

    Attributes:
        family: Benchmark that the table belongs to.
        task: Name of the table.
        rows: Number of rows known.
        draw: Number of the draw, also the method's seed.
        method: Key of ``METHODS``.
        known: True value of the known row with the best measured value.
        known_rank: Share of the table whose true value is better, in %.
        recommended: True value of the recommended architecture.
        recommended_rank: Rank of the recommended architecture.
        recommended_new: 1 if the recommended architecture is not a known row, 0 otherwise.
        best: True value of the best new architecture; NaN without any.
        best_rank: Rank of the best new architecture; NaN without any.
        new: Number of distinct new architectures in the answer that the table contains.
    """

    family: str
    task: str
    rows: int
    draw: int
    method: str
    known: float
    known_rank: float
    recommended: float
    recommended_rank: float
    recommended_new: int
    best: float
    best_rank: float
    new: int

    @property
    def case(self) -> tuple[str, int, int]:
        """Task, rows and draw, which together determine the start of a method."""
        return self.task, self.rows, self.draw


def evaluate(case: Case, method: str, draw: int, answer: Answer) -> Evaluation:
    """Look an answer up in the table."""
    table = case.task
    recommended, known = table.rows(answer.recommended), np.array([case.best])
    new = table.rows(answer.new) if len(answer.new) else np.zeros(0, dtype=np.intp)
    values, nothing = table.true_values(new), not len(new)
    return Evaluation(
        family=table.family,
        task=table.name,
        rows=len(case.rows),
        draw=draw,
        method=method,
        known=float(table.truth[case.best]),
        known_rank=float(table.ranks(known)[0]),
        recommended=float(table.true_values(recommended)[0]),
        recommended_rank=float(table.ranks(recommended)[0]),
        recommended_new=int(recommended[0] not in case.rows),
        best=float("nan") if nothing else float(values.max()),
        best_rank=float("nan") if nothing else float(table.ranks(new).min()),
        new=len(set(new.tolist()) - {ABSENT, *case.rows.tolist()}),
    )


def run(name: str, rows: int, draw: int, methods: Sequence[str]) -> list[Evaluation]:
    """Evaluate some methods on one draw of rows, on one thread."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = task(name)
    case = Case(table, table.draw(rows, draw), seed=draw)
    with threadpool_limits(
        1
    ):  # otherwise, threads of parallel runs wait for one another for minutes
        return [evaluate(case, method, draw, METHODS[method](case)) for method in methods]


def file_of(folder: Path, method: str) -> Path:
    """Return the file of a method's evaluations."""
    return folder / f"{method}.csv"


def load(path: Path) -> list[Evaluation]:
    """Return the evaluations in a file, or none if the file is missing."""
    if not path.exists():
        return []
    kinds = {"str": str, "int": int, "float": float}
    read = {column.name: kinds[str(column.type)] for column in fields(Evaluation)}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Evaluation(**{name: read[name](text) for name, text in row.items()})
            for row in csv.DictReader(file)
        ]


def append(evaluations: Iterable[Evaluation], folder: Path) -> None:
    """Add evaluations to the files of their methods."""
    for evaluation in evaluations:
        path = file_of(folder, evaluation.method)
        begins = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, list(asdict(evaluation)), lineterminator="\n")
            if begins:
                rows.writeheader()
            texts = {
                name: f"{value:.8g}" if isinstance(value, float) else value
                for name, value in asdict(evaluation).items()
            }
            rows.writerow(texts)


def sort(path: Path) -> None:
    """Sort a file's evaluations by task, rows and draw."""
    evaluations = sorted(load(path), key=lambda evaluation: (evaluation.family, *evaluation.case))
    path.unlink(missing_ok=True)
    append(evaluations, path.parent)
