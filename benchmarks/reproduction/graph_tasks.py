"""The eight tasks of NAS-Bench-Graph as tables of one search space.

NAS-Bench-Graph (Qin et al. 2022) has the results of training all 26,206 distinct graph networks of
its space on each data set. So the true value of an architecture can be looked up, and need not be
predicted. The values come from the package ``nas-bench-graph``
(``pip install nas-bench-graph``). The ninth data set, proteins, has a smaller space and is left
out.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ncp_sampler.records.records import FloatArray, Records
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

TASKS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")
METRIC = "accuracy"
_LAYERS = 4


@dataclass(frozen=True)
class GraphTasks:
    """Accuracies of all distinct architectures on every task.

    Attributes:
        space: Space with a categorical for the links between layers, and one for the operation of
            each layer.
        codes: Code of each distinct architecture, (n, d).
        accuracy: Task -> test accuracy, percent, (n,).
        rank: Task -> percentage of the architectures that are no better, (n,).
        row_of: Values of params -> row of their architecture; different params can describe the
            same network.
    """

    space: SearchSpace
    codes: NDArray[np.float64]
    accuracy: Mapping[str, FloatArray]
    rank: Mapping[str, FloatArray]
    row_of: Mapping[tuple[str, ...], int]

    def records(self, task: str, rows: NDArray[np.int64]) -> Records:
        """Return some rows of a task's table."""
        return Records(self.space, self.codes[rows], {METRIC: self.accuracy[task][rows]})

    def score(self, task: str, code: FloatArray) -> float:
        """Return the rank of a code on a task, percent; 0 for a network that was not trained."""
        params = self.space.to_params(code)
        row = self.row_of.get(tuple(params[name] for name in self.space.names))
        return 0.0 if row is None else float(self.rank[task][row])


def load_graph_tasks() -> GraphTasks:
    """Read the tables of the package ``nas-bench-graph``.

    Raises:
        ValueError: The package is not installed.
    """
    try:
        bench = importlib.import_module("nas_bench_graph")
        kinds = importlib.import_module("nas_bench_graph.architecture")
    except ImportError as error:
        must = "pip install nas-bench-graph, or put its folder on PYTHONPATH"
        raise ValueError(f"nas_bench_graph is not installed; {must}") from error
    tables = {task: bench.light_read(task) for task in TASKS}
    links = {"".join(map(str, link)): link for link in kinds.link_list}
    layers = [Categorical(f"layer{i + 1}", tuple(kinds.gnn_list)) for i in range(_LAYERS)]
    space = SearchSpace([Categorical("links", tuple(links)), *layers])
    row_of: dict[tuple[str, ...], int] = {}
    rows: dict[int, int] = {}  # hash of an architecture -> its row
    first: list[dict[str, str]] = []
    for values in itertools.product(links, *[kinds.gnn_list] * _LAYERS):
        link, *operations = values
        key = bench.Arch(list(links[link]), operations).valid_hash()
        if key not in tables[TASKS[0]]:
            continue
        if key not in rows:
            rows[key] = len(first)
            first.append(dict(zip(space.names, values, strict=True)))
        row_of[values] = rows[key]
    accuracy = {
        task: 100 * np.array([table[key]["perf"] for key in rows]) for task, table in tables.items()
    }
    return GraphTasks(
        space=space,
        codes=np.array([space.to_code(params) for params in first], dtype=np.float64),
        accuracy=accuracy,
        rank={
            task: 100 * rankdata(values, method="max") / len(values)
            for task, values in accuracy.items()
        },
        row_of=row_of,
    )
