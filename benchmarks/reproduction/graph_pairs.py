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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.reproduction.graph_tasks import METRIC, TASKS, GraphTasks, load_graph_tasks
from benchmarks.reproduction.joint_gain import TRUE_VALUES, PairGain, gain_test, write_gains
from ncp_sampler.defaults import BETA
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.recipes import learn
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records

GRAPH_PAIRS = Path(__file__).resolve().parents[1] / "results/reproduction/graph_pairs.csv"
ROWS = 150

_DRAWS = 10


def graph_gains(tasks: GraphTasks, draw: int, *, rows: int = ROWS) -> list[PairGain]:
    """Search all tasks alone and in pairs, on the rows of one draw."""
    order = np.random.default_rng(draw).permutation(len(tasks.codes))[:rows]
    learned = {}
    for task in TASKS:
        records = tasks.records(task, order)
        learned[task] = learn(records, seed=draw), records
    gains = []
    for beta in (0.0, BETA):
        scores: dict[tuple[str, ...], dict[str, float]] = {}
        for group in _groups():
            problem = _problem([learned[task] for task in group], beta)
            code = propagate_search(problem).code
            scores[group] = {task: tasks.score(task, code) for task in group}
        gains += _gains(tasks, f"beta {beta:g}", draw, scores)
    return gains


def true_gains(tasks: GraphTasks) -> list[PairGain]:
    """Return the gains of the tables' optima, where the optimum of two tasks has the best sum."""
    scores: dict[tuple[str, ...], dict[str, float]] = {}
    for group in _groups():
        total = sum(tasks.accuracy[task] / tasks.accuracy[task].std() for task in group)
        best = int(np.argmax(total))
        scores[group] = {task: float(tasks.rank[task][best]) for task in group}
    return _gains(tasks, TRUE_VALUES, 0, scores)


def _groups() -> list[tuple[str, ...]]:
    return [*((task,) for task in TASKS), *itertools.combinations(TASKS, 2)]


def _problem(learned: Sequence[tuple[Predictor, Records]], beta: float) -> SearchProblem:
    targets = [
        Target(METRIC, beta=beta, predictor=i, scale=float(records.values(METRIC).std()))
        for i, (_, records) in enumerate(learned)
    ]
    records = [records for _, records in learned]
    return SearchProblem([predictor for predictor, _ in learned], targets, records=records)


def _gains(
    tasks: GraphTasks, search: str, draw: int, scores: dict[tuple[str, ...], dict[str, float]]
) -> list[PairGain]:
    gains = []
    for first, second in itertools.combinations(TASKS, 2):
        correlation = spearmanr(tasks.accuracy[first], tasks.accuracy[second]).statistic
        joint = scores[first, second]
        by = {task: joint[task] - scores[task,][task] for task in (first, second)}
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
        tasks = load_graph_tasks()
    except ValueError as error:
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
