"""The long run's command, on few cases: its files, going on where it stopped, and its findings."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks import fuzz
from ncp_sampler import Integer
from tests.properties import test_ask_tell


@pytest.mark.slow  # two processes start
def test_a_run_writes_figures_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--cases", "20", "--jobs", "1", "--seed", "3", "--out", str(tmp_path)]
    assert fuzz.main(arguments) == 0
    figures = (tmp_path / "fuzz.md").read_text(encoding="utf-8")
    assert "| all | 20 |" in figures
    lines = (tmp_path / "fuzz.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    assert [row["cases"] for row in csv.DictReader(lines)] == ["2", "3", *["2"] * 7, "1"]
    (tmp_path / "fuzz.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    capsys.readouterr()
    assert fuzz.main([*arguments, "--resume"]) == 0
    assert capsys.readouterr().out.count(": ok\n") == 1
    assert "| all | 20 |" in (tmp_path / "fuzz.md").read_text(encoding="utf-8")


def test_a_finding_is_a_script_that_raises_the_same() -> None:
    tell = test_ask_tell.Tell(params={"x": 7})
    case = test_ask_tell.AskTellCase(
        (Integer("x", 0, 3),), (tell, test_ask_tell.Ask(fixed={"y": 1}))
    )
    tally = fuzz.Tally(test_ask_tell)
    with pytest.raises(ValueError, match="unknown parameter 'y'"):
        tally.try_case(case)
    (shown,) = tally.failures.values()
    script = shown.removeprefix("```python\n").partition("```")[0]
    with pytest.raises(ValueError, match="unknown parameter 'y'"):
        exec(script, {})
    assert tally.cases == 0
