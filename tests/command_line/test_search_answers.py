"""Answers of ``ncp-sampler search``: limits, ranking, warnings and held-out evaluation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ncp_sampler.command_line.program import main
from tests.command_line.test_own_columns import ROLES, answer_of, gflops, newcomer_table


def test_each_answer_says_whether_it_satisfies_the_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the upper bound of the prediction, which is in JSON; the table names the order."""
    options = ["--metrics", "top1", "--id", "arch_id", "--ignore", "date", "--n", "4"]
    options += ["--table", str(newcomer_table(tmp_path)), "--bound", "gflops<=0.5"]
    result = answer_of(capsys, *options)
    for answer in result["answers"]:
        (limit,) = answer["limits"]
        assert (limit["metric"], limit["limit"], limit["beta"]) == ("gflops", "gflops<=0.5", 3)
        assert limit["logarithm"]  # the table's costs span more than a decade
        mean, std = answer["predicted"]["gflops"], answer["predicted_std"]["gflops"]
        assert limit["compared"] == pytest.approx(mean * np.exp(3 * std / mean))
        satisfied = (
            "yes" if limit["compared"] <= 0.5 else "only by its mean" if mean <= 0.5 else "no"
        )
        assert answer["satisfies_limits"] == satisfied
        assert answer["bounds_hold"] == (satisfied == "yes")
    order = [
        (not answer["bounds_hold"], -answer["expected_improvement"]) for answer in result["answers"]
    ]
    assert order == sorted(order)
    assert main(["search", *options, "--no-picture"]) == 0
    text = capsys.readouterr().out
    for part in (
        "answers, those that satisfy the limits first, then by expected improvement",
        "satisfies",
        "prediction plus 3 standard deviations of the logarithm, to be compared with gflops<=0.5",
    ):
        assert part in text
    assert "100%" not in text


def test_a_known_cost_keeps_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In predictions and of measured rows, whether the table or a function gives it."""
    monkeypatch.chdir(tmp_path)
    options = ["--table", str(newcomer_table(tmp_path)), "--metrics", "top1", "--id", "arch_id"]
    options += ["--ignore", "date", "--bound", "gflops<=0.5"]
    here = "tests.command_line.test_own_columns:gflops"
    result = answer_of(capsys, *options, "--cost", here)
    assert result["predicted"].keys() == {"top1", "gflops"}
    assert result["predicted"]["gflops"] == pytest.approx(gflops(result["params"]))
    assert result["best_rows"][0]["metrics"]["gflops"] <= 0.5


def test_a_limit_that_nobody_keeps_is_a_warning_beside_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--table", str(newcomer_table(tmp_path)), "--metrics", "top1", "--id", "arch_id"]
    options += ["--ignore", "date,gflops", "--bound", "top1>=99", "--no-picture"]
    assert main(["search", *options]) == 0
    text = capsys.readouterr().out
    after_the_answer = text[text.index("parameter") :]
    for part in (
        "limit top1>=99: not satisfied; the lower bound of the prediction is",
        "no measured row satisfies them; the nearest has top1 ",
        "The answer does not satisfy them either",
    ):
        assert part in after_the_answer


def test_the_check_of_the_method_is_apart_from_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The evaluator scores the architecture found with half of the rows: perhaps another."""
    options = ["--table", str(newcomer_table(tmp_path, 48)), *ROLES.split(), "--no-picture"]
    assert main(["search", *options]) == 0
    text = capsys.readouterr().out
    predictions, check = text.index("predicted ± std"), text.index("held-out score")
    assert "the architecture found with one half of the rows" in text[predictions:check]
    assert main(["search", *options, "--no-refit"]) == 0
    assert "Check of the method: this architecture" in capsys.readouterr().out


def test_json_does_without_rich(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "ncp_sampler.command_line.answer", raising=False)
    options = ["--table", str(newcomer_table(tmp_path)), *ROLES.split()]
    assert "params" in answer_of(capsys, *options)
    assert main(["search", *options, "--no-picture"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "rich, which draws the tables, is not installed: pip install rich" in output.err
