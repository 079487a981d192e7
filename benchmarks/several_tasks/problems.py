"""Tasks that share one search space: an architecture has a value for each.

Notation
    m        tasks
    value    quantity that is maximized: an accuracy, or a similar metric
    regret   (best - value) / (best - median) of one task: 0 at the best known value of the task, 1
             at the median of the space
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.from_tables.tasks import GRAPH_DATA, task
from benchmarks.several_tasks import trainings
from ncp_sampler import MRSpace, SearchSpace, nas_bench

GRAPHS = "NAS-Bench-Graph, two tasks"
CELLS = "NAS-Bench-201, three data sets"
SURROGATES = "NAS-Bench-MR surrogates, two tasks"
COSTED = "NAS-Bench-MR surrogates, four tasks and FLOPs"
TRAININGS = "trainings of small networks, two tasks"

_SURROGATE_DATA = ("cls-a", "seg", "video", "seg-4x")
_SAMPLE = 20_000  # random codes that give a surrogate's median and the start of its best value
_TRAINED = 300  # random codes that give a training's median and its best known value
_CLIMBS = 5  # best random codes from which its best value is sought

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Tasks:
    """Tasks with a common search space.

    Attributes:
        name: Key of ``PROBLEMS``.
        family: Benchmark that the tasks belong to.
        space: Their search space.
        names: Names of the tasks, m of them.
        evaluate: Valid codes (n, d) -> values (n, m).
        best: Best known value of each task, (m,).
        median: Median of each task over the space, (m,).
        flops: True if FLOPs are an objective beside the tasks, a known cost.
    """

    name: str
    family: str
    space: SearchSpace
    names: tuple[str, ...]
    evaluate: Callable[[ArrayLike], FloatArray] = field(repr=False)
    best: FloatArray = field(repr=False)
    median: FloatArray = field(repr=False)
    flops: bool = False

    def regrets(self, values: FloatArray) -> FloatArray:
        """Return the regret (n, m) of values (n, m) in every task."""
        return np.asarray((self.best - values) / (self.best - self.median))


@cache
def problem(name: str) -> Tasks:
    """Return a problem, created once per process."""
    return PROBLEMS[name][1]()


def _looked_up(name: str, family: str, tables: tuple[str, ...]) -> Tasks:
    """Return tasks whose values are looked up, for the architectures that all tables have."""
    tasks = [task(table) for table in tables]

    def evaluate(codes: ArrayLike) -> FloatArray:
        return np.stack([task.true_values(task.rows(codes)) for task in tasks], axis=1)

    return Tasks(
        name,
        family,
        tasks[0].space,
        tables,
        evaluate,
        best=np.array([task.truth.max() for task in tasks]),
        median=np.array([np.median(task.truth) for task in tasks]),
    )


def _predicted(name: str, family: str, settings: tuple[str, ...], flops: bool) -> Tasks:
    """Return tasks whose values are predictions of the package's surrogates."""
    surrogates = [nas_bench.objective(setting) for setting in settings]
    space = MRSpace()
    signs = np.array(
        [1 if surrogate.directions[0] == "maximize" else -1 for surrogate in surrogates]
    )

    def evaluate(codes: ArrayLike) -> FloatArray:
        values = [surrogate.evaluate(codes)[:, 0] for surrogate in surrogates]
        return np.asarray(np.stack(values, axis=1) * signs)

    sample = space.sample(_SAMPLE, 0)
    values = evaluate(sample)
    best = [_climbed(space, partial(_column, evaluate, k), sample, values[:, k])
            for k in range(len(surrogates))]  # fmt: skip
    return Tasks(
        name, family, space, settings, evaluate,
        best=np.array(best), median=np.median(values, axis=0), flops=flops,
    )  # fmt: skip


def _trained(name: str, pair: tuple[str, ...]) -> Tasks:
    """Return tasks whose values are accuracies of newly trained networks.

    The best values are those of random codes, so codes with a regret below 0 are better than all
    of these.
    """
    evaluate = partial(trainings.accuracies, pair)
    values = evaluate(trainings.SPACE.sample(_TRAINED, 0))
    return Tasks(
        name, TRAININGS, trainings.SPACE, pair, evaluate,
        best=values.max(axis=0), median=np.median(values, axis=0),
    )  # fmt: skip


def _column(evaluate: Callable[[ArrayLike], FloatArray], k: int, codes: NDArray[Any]) -> FloatArray:
    return evaluate(codes)[:, k]


def _climbed(
    space: SearchSpace,
    value: Callable[[NDArray[Any]], FloatArray],
    codes: NDArray[Any],
    values: FloatArray,
) -> float:
    """Return the best value that hill climbing from the best codes finds."""
    reached = []
    for start in np.argsort(-values)[:_CLIMBS]:
        code, current = codes[start], float(values[start])
        while True:
            neighbors = space.neighbors(code)
            around = value(neighbors)
            if around.max() <= current:
                break
            code, current = neighbors[around.argmax()], float(around.max())
        reached.append(current)
    return max(reached)


def _listed() -> Iterator[tuple[str, str, Callable[[], Tasks]]]:
    for a, b in combinations(GRAPH_DATA, 2):
        name = f"nbg-{a}+{b}"
        yield name, GRAPHS, partial(_looked_up, name, GRAPHS, (f"nbg-{a}", f"nbg-{b}"))
    three = tuple(f"nb201-{data}" for data in ("cifar10", "cifar100", "imagenet"))
    yield "nb201", CELLS, partial(_looked_up, "nb201", CELLS, three)
    for pair in combinations(_SURROGATE_DATA, 2):
        name = "mr-" + "+".join(pair)
        yield name, SURROGATES, partial(_predicted, name, SURROGATES, pair, False)
    yield "mr-flops", COSTED, partial(_predicted, "mr-flops", COSTED, _SURROGATE_DATA, True)
    for pair in combinations(trainings.TASKS, 2):
        name = "train-" + "+".join(pair)
        yield name, TRAININGS, partial(_trained, name, pair)


PROBLEMS: dict[str, tuple[str, Callable[[], Tasks]]] = {
    name: (family, make) for name, family, make in _listed()
}
