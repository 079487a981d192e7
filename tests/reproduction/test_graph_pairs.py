"""Pairs of NAS-Bench-Graph's tasks, on a made-up package of the same form with 106 networks."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.reproduction.graph_pairs import graph_gains, main, true_gains
from benchmarks.reproduction.graph_tasks import TASKS, GraphTasks, load_graph_tasks
from benchmarks.reproduction.joint_gain import TRUE_VALUES, read_gains

LINKS, OPERATIONS = [[0, 0, 0, 0], [0, 1, 2, 3]], ["gcn", "gat", "skip"]


class Arch:
    """An architecture whose first two operations may change places."""

    def __init__(self, link: list[int], ops: list[str]) -> None:
        self.link, self.ops = link, ops

    def valid_hash(self) -> int:
        first, second, *others = (OPERATIONS.index(op) for op in self.ops)
        number = LINKS.index(self.link)
        for digit in (*sorted((first, second)), *others):
            number = 10 * number + digit
        return number


def light_read(task: str) -> dict[int, dict[str, float]]:
    """Accuracies that differ from task to task; the network of "skip" alone was not trained."""
    k = TASKS.index(task)
    keys = {
        Arch(link, list(ops)).valid_hash()
        for link in LINKS
        for ops in itertools.product(OPERATIONS, repeat=4)
        if set(ops) != {"skip"}
    }
    return {key: {"perf": 0.5 + (key * (k + 3) % 97) / 400 + key / 1e5} for key in keys}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> GraphTasks:
    package: Any = ModuleType("nas_bench_graph")
    package.light_read, package.Arch = light_read, Arch
    kinds: Any = ModuleType("nas_bench_graph.architecture")
    kinds.link_list, kinds.gnn_list = LINKS, OPERATIONS
    monkeypatch.setitem(sys.modules, "nas_bench_graph", package)
    monkeypatch.setitem(sys.modules, "nas_bench_graph.architecture", kinds)
    return load_graph_tasks()


def test_equal_networks_are_one_row_and_untrained_ones_score_nothing(tasks: GraphTasks) -> None:
    assert len(tasks.codes) == 2 * (6 * 9 - 1)  # 6 unordered pairs, 9 ordered ones, less "skip"
    rest = {"links": "0123", "layer3": "gcn", "layer4": "gcn"}
    mirrored = tasks.space.to_code({**rest, "layer1": "gcn", "layer2": "gat"})
    same = tasks.space.to_code({**rest, "layer1": "gat", "layer2": "gcn"})
    for task in TASKS:
        assert tasks.score(task, mirrored) == tasks.score(task, same) > 0
        assert max(tasks.rank[task]) == 100
    untrained = dict.fromkeys(("layer1", "layer2", "layer3", "layer4"), "skip")
    assert tasks.score("cora", tasks.space.to_code({"links": "0000", **untrained})) == 0


def test_a_joint_search_by_true_values_cannot_gain(tasks: GraphTasks) -> None:
    gains = true_gains(tasks)
    assert len(gains) == 28
    assert all(gain.gain_first <= 0 and gain.gain_second <= 0 for gain in gains)


@pytest.mark.slow
def test_every_pair_is_searched_alone_and_together(tasks: GraphTasks) -> None:
    gains = graph_gains(tasks, draw=3, rows=20)
    assert [gain.search for gain in gains] == ["beta 0"] * 28 + ["beta 3"] * 28
    assert {(gain.first, gain.second) for gain in gains} == set(itertools.combinations(TASKS, 2))
    assert all(abs(gain.gain_first) < 100 and gain.split == 3 for gain in gains)


def test_the_program_writes_gains(
    tasks: GraphTasks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--draws", "0", "--out", str(tmp_path / "gains.csv")])
    assert {gain.search for gain in read_gains(tmp_path / "gains.csv")} == {TRUE_VALUES}
    assert TRUE_VALUES in capsys.readouterr().out


def test_without_the_package_the_program_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nas_bench_graph", None)
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "nas_bench_graph is not installed; pip install" in capsys.readouterr().err
