"""Joint searches of all 28 pairs of NAS-Bench-Graph's tasks, scored by its tables.

    python -m benchmarks.reproduction.graph_pairs

Each draw selects 150 architectures, which are the same for all tasks. It fits a predictor per task,
and searches every task alone and every pair together, without a cost. The score of an architecture
is the percentage of all 26,206 architectures whose true value is no better. "true values" are the
optima of the tables themselves, with which a joint search cannot gain.

The package ``nas-bench-graph`` is needed (``pip install nas-bench-graph``). Ten draws take a
quarter of an hour on an idle core.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.from_tables.tasks import ABSENT, GRAPH_DATA, Task, task
from benchmarks.reproduction.joint_gain import TRUE_VALUES, PairGain, gain_test, write_gains
from ncp_sampler.defaults import BETA
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.recipes import learn
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import FloatArray, Records

GRAPH_PAIRS = Path(__file__).resolve().parents[1] / "results/reproduction/graph_pairs.csv"
ROWS = 150

_DRAWS = 10
_METRIC = "accuracy"

Tasks: TypeAlias = Mapping[str, Task]  # data set -> its task


def load_tasks() -> Tasks:
    """Return the tasks, whose rows are in the order of each architecture's first code.

    The draws of the committed results depend on this order.

    Raises:
        ImportError: The package is not installed.
    """
    return {data: _by_first_code(task(f"nbg-{data}")) for data in GRAPH_DATA}


def _by_first_code(table: Task) -> Task:
    """Return a task with each architecture's first code in ``space.enumerate``, in that order."""
    codes = table.space.enumerate()
    rows, first = np.unique(table.rows(codes), return_index=True)
    order = np.argsort(first)
    order = order[rows[order] != ABSENT]
    rows, codes = rows[order], codes[first[order]]
    position = {row: i for i, row in enumerate(rows.tolist())}
    return replace(
        table,
        codes=codes,
        measured=table.measured[rows],
        truth=table.truth[rows],
        row_of={code: position[row] for code, row in table.row_of.items()},
    )


def graph_gains(tasks: Tasks, draw: int, *, rows: int = ROWS) -> list[PairGain]:
    """Search all tasks alone and in pairs, on the rows of one draw."""
    n = len(tasks[GRAPH_DATA[0]].codes)
    order = np.random.default_rng(draw).permutation(n)[:rows]
    learned = {}
    for name, table in tasks.items():
        records = Records(table.space, table.codes[order], {_METRIC: table.measured[order]})
        learned[name] = learn(records, seed=draw), records
    gains = []
    for beta in (0.0, BETA):
        scores: dict[tuple[str, ...], dict[str, float]] = {}
        for group in _groups():
            problem = _problem([learned[name] for name in group], beta)
            code = propagate_search(problem).code
            scores[group] = {name: score(tasks[name], code) for name in group}
        gains += _gains(tasks, f"beta {beta:g}", draw, scores)
    return gains


def score(table: Task, code: FloatArray) -> float:
    """Return the percentage of architectures that are no better; 0 if the code was not trained."""
    return 100 - float(table.ranks(table.rows(code))[0])


def true_gains(tasks: Tasks) -> list[PairGain]:
    """Return the gains of the tables' own optima: of one task, and of two tasks' sum in sigmas."""
    scores: dict[tuple[str, ...], dict[str, float]] = {}
    for group in _groups():
        total = sum(tasks[name].truth / tasks[name].truth.std() for name in group)
        best = int(np.argmax(total))
        scores[group] = {name: score(tasks[name], tasks[name].codes[best]) for name in group}
    return _gains(tasks, TRUE_VALUES, 0, scores)


def _groups() -> list[tuple[str, ...]]:
    return [*((name,) for name in GRAPH_DATA), *itertools.combinations(GRAPH_DATA, 2)]


def _problem(learned: Sequence[tuple[Predictor, Records]], beta: float) -> SearchProblem:
    targets = [
        Target(_METRIC, beta=beta, predictor=i, scale=float(records.values(_METRIC).std()))
        for i, (_, records) in enumerate(learned)
    ]
    records = [records for _, records in learned]
    return SearchProblem([predictor for predictor, _ in learned], targets, records=records)


def _gains(
    tasks: Tasks, search: str, draw: int, scores: dict[tuple[str, ...], dict[str, float]]
) -> list[PairGain]:
    gains = []
    for first, second in itertools.combinations(GRAPH_DATA, 2):
        correlation = spearmanr(tasks[first].truth, tasks[second].truth).statistic
        joint = scores[first, second]
        by = {name: joint[name] - scores[name,][name] for name in (first, second)}
        pair = first, second, draw, float(correlation), by[first], by[second]
        gains.append(PairGain(search, *pair))
    return gains


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduction.graph_pairs",
        description=(__doc__ or "").split("\n", maxsplit=1)[0],
    )
    parser.add_argument(
        "--draws", type=int, default=_DRAWS, help="number of draws of the rows to fit"
    )
    parser.add_argument("--out", type=Path, default=GRAPH_PAIRS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        tasks = load_tasks()
    except ImportError as error:
        parser.error(str(error))
    gains = true_gains(tasks)
    write_gains(gains, options.out)
    for draw in range(options.draws):
        gains += graph_gains(tasks, draw)
        write_gains(gains, options.out)
        print(f"draw {draw + 1} of {options.draws}", flush=True)
    for search in dict.fromkeys(gain.search for gain in gains):
        print(search, gain_test(gain for gain in gains if gain.search == search))


if __name__ == "__main__":
    main()
