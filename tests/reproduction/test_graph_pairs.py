"""Pairs of NAS-Bench-Graph's tasks, on a made-up package of the same form with 106 networks."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.from_tables.tasks import ABSENT, GRAPH_DATA, task
from benchmarks.reproduction.graph_pairs import (
    Tasks,
    graph_gains,
    load_tasks,
    main,
    score,
    true_gains,
)
from benchmarks.reproduction.joint_gain import TRUE_VALUES, read_gains

LINKS, OPERATIONS = [[0, 0, 0, 0], [0, 1, 2, 3]], ["gcn", "gat", "skip"]


class Arch:
    """An architecture whose first two operations may change places."""

    def __init__(self, link: list[int], ops: list[str]) -> None:
        self.link, self.ops = link, ops

    def hash_arch(self) -> int:
        number = LINKS.index(self.link)
        for op in self.ops:
            number = 10 * number + OPERATIONS.index(op)
        return number

    def valid_hash(self) -> int:
        """Return the hash of the two operations in the order that ``enumerate`` has last."""
        first, second, *others = self.ops
        ordered = sorted((first, second), key=OPERATIONS.index, reverse=True)
        return Arch(self.link, [*ordered, *others]).hash_arch()


def light_read(data: str) -> dict[int, dict[str, float]]:
    """Accuracies that differ from task to task; the network of "skip" alone was not trained."""
    k = GRAPH_DATA.index(data)
    keys = {
        Arch(link, list(ops)).valid_hash()
        for link in LINKS
        for ops in itertools.product(OPERATIONS, repeat=4)
        if set(ops) != {"skip"}
    }
    return {key: {"perf": 0.5 + (key * (k + 3) % 97) / 400 + key / 1e5} for key in keys}


@pytest.fixture
def uncached() -> Iterator[None]:
    """Keep the made-up tables out of other tests."""
    task.cache_clear()
    yield
    task.cache_clear()


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, uncached: None) -> Tasks:
    package: Any = ModuleType("nas_bench_graph")
    package.light_read, package.Arch = light_read, Arch
    package.link_list, package.gnn_list = LINKS, OPERATIONS
    monkeypatch.setitem(sys.modules, "nas_bench_graph", package)
    return load_tasks()


def test_equal_networks_are_one_row_and_untrained_ones_score_nothing(tasks: Tasks) -> None:
    cora = tasks["cora"]
    assert len(cora.codes) == 2 * (6 * 9 - 1)  # 6 unordered pairs, 9 ordered ones, less "skip"
    rest = {"link": "0123", "op3": "gcn", "op4": "gcn"}
    codes = cora.space.to_code(
        [{**rest, "op1": "gcn", "op2": "gat"}, {**rest, "op1": "gat", "op2": "gcn"}]
    )
    for table in tasks.values():
        assert score(table, codes[0]) == score(table, codes[1]) > 0
        assert max(score(table, code) for code in table.codes) == 100
    untrained = dict.fromkeys(("op1", "op2", "op3", "op4"), "skip")
    assert score(cora, cora.space.to_code({"link": "0000", **untrained})) == 0


def test_rows_are_in_the_order_of_first_codes(tasks: Tasks) -> None:
    table = tasks["arxiv"]
    every = table.space.enumerate()
    _, first = np.unique(rows := table.rows(every), return_index=True)
    np.testing.assert_array_equal(table.codes, every[first[rows[first] != ABSENT]])
    np.testing.assert_array_equal(table.rows(table.codes), np.arange(len(table.codes)))
    values = light_read("arxiv")
    params = table.space.to_params(table.codes[20])
    link = [int(digit) for digit in params.pop("link")]
    key = Arch(link, [str(op) for op in params.values()]).valid_hash()
    assert table.truth[20] == 100 * values[key]["perf"]


def test_a_joint_search_by_true_values_cannot_gain(tasks: Tasks) -> None:
    gains = true_gains(tasks)
    assert len(gains) == 28
    assert all(gain.gain_first <= 0 and gain.gain_second <= 0 for gain in gains)


@pytest.mark.slow
def test_every_pair_is_searched_alone_and_together(tasks: Tasks) -> None:
    gains = graph_gains(tasks, draw=3, rows=20)
    assert [gain.search for gain in gains] == ["beta 0"] * 28 + ["beta 3"] * 28
    assert {(gain.first, gain.second) for gain in gains} == set(
        itertools.combinations(GRAPH_DATA, 2)
    )
    assert all(abs(gain.gain_first) < 100 and gain.split == 3 for gain in gains)


def test_the_program_writes_gains(
    tasks: Tasks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--draws", "0", "--out", str(tmp_path / "gains.csv")])
    assert {gain.search for gain in read_gains(tmp_path / "gains.csv")} == {TRUE_VALUES}
    assert TRUE_VALUES in capsys.readouterr().out


def test_without_the_package_the_program_says_so(
    monkeypatch: pytest.MonkeyPatch, uncached: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nas_bench_graph", None)
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "nas_bench_graph is not installed; install the suite" in capsys.readouterr().err
