"""The benchmark of several tasks: what it measures, and that it repeats itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.several_tasks.__main__ import main
from benchmarks.several_tasks.methods import least_regret
from benchmarks.several_tasks.problems import PROBLEMS, problem
from benchmarks.several_tasks.studies import dominated, load, run

PAIR = "nbg-cora+citeseer"


def test_regrets_and_hypervolume_of_a_pair_are_those_of_its_table() -> None:
    tasks = problem(PAIR)
    codes = tasks.space.enumerate()
    values = tasks.evaluate(codes)
    assert values.max(axis=0).tolist() == tasks.best.tolist()
    assert tasks.regrets(tasks.best).tolist() == [0, 0]
    assert tasks.regrets(tasks.median).tolist() == [1, 1]
    few, many = dominated(tasks, codes[:300]), dominated(tasks, codes[:3000])
    assert 0 < few < many < dominated(tasks, codes) <= 1


def test_the_answer_loses_the_least_in_its_worst_task() -> None:
    assert least_regret(np.array([[0.0, 10.0], [6.0, 5.0], [10.0, 0.0]])) == 1
    assert len([name for name in PROBLEMS if name.startswith("nbg-")]) == 28


@pytest.mark.slow
def test_half_of_the_reports_is_a_study_as_any_other() -> None:
    studies = run(PAIR, "ncp-half", 0, 20)
    assert [study.trials for study in studies] == [20]
    assert 0 <= studies[0].mean <= studies[0].worst < 1


@pytest.mark.slow
def test_the_program_repeats_itself_and_goes_on(tmp_path: Path) -> None:
    options = ["--problems", PAIR, "--methods", "random,tpe-sum", "--out", str(tmp_path)]
    options += ["--trials", "20"]
    assert main([*options, "--seeds", "1"]) == 0
    path = tmp_path / "several_tasks" / "random.csv"
    begun = path.read_text()
    assert main([*options, "--seeds", "2", "--resume"]) == 0
    assert path.read_text().startswith(begun)
    assert [study.seed for study in load(path)] == [0, 1]
    page = (tmp_path / "several_tasks" / "report.md").read_text()
    assert "1 problem, 2 seeds." in page


def test_wrong_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        (["--methods", "gpt"], "--methods has ['gpt']"),
        (["--problems", "mnist"], "match none of"),
        (["--problems", "nbg-*", "--draw", "29"], "--draw 29 must be from 1 to 28"),
    ):
        with pytest.raises(SystemExit):
            main([*options, "--out", str(tmp_path)])
        assert message in capsys.readouterr().err
    assert main(["--report", "--out", str(tmp_path)]) == 1
