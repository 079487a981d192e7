"""The command line that the training examples share."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from examples.training_program import main
from ncp_sampler import MRSpace
from ncp_sampler.training import TrainingProblem
from tests import preloaded
from tests.training_examples import narrow_problem, width_problem


def run_main(out: Path, *arguments: str) -> int:
    return main(
        "Widths.",
        lambda smoke: [width_problem()],
        trials=5,
        out="unused",
        arguments=["--out", str(out), *arguments],
    )


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(tmp_path / "new", "--epochs", "2", "--threads", "1") == 0
    printed = capsys.readouterr().out
    with (tmp_path / "new" / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == list("01234")
    assert {(row["state"], row["epochs"]) for row in rows} == {("complete", "2")}
    for row in rows:
        code = MRSpace().from_string(row["code"])
        assert float(row["width half"]) == code[-1] / 2 + 2
        assert float(row["gflops"]) == pytest.approx(code.sum() / 1000)
    best = max(rows, key=lambda row: float(row["width half"]))
    assert f"{float(best['width half']):.2f}" in printed
    assert best["code"] in printed
    assert "5 codes trained, 0 of them stopped early" in printed
    assert (tmp_path / "new" / "trials.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_report_of_fewer_trials_than_were_enqueued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of the two start codes is trained; the other one waits, and has no code yet."""
    assert run_main(tmp_path, "--trials", "1") == 0
    assert "1 codes trained, 0 of them stopped early." in capsys.readouterr().out
    assert len((tmp_path / "trials.csv").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize("limit", ["1.0", "narrow=1.0", "narrow=1.0,width=0.6"])
def test_two_tasks_under_a_limit_end_in_their_compromise(
    limit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each network keeps its limit: that of ``narrow_problem`` costs twice as much."""

    def two(smoke: bool) -> list[TrainingProblem]:
        return [width_problem(), narrow_problem()]

    options = ["--out", str(tmp_path), "--max-gflops", limit, "--trials", "8"]
    assert main("Two.", two, trials=5, out="unused", arguments=options) == 0
    printed = capsys.readouterr().out
    assert "8 codes trained" in printed
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert max(float(row["narrow gflops"]) for row in rows) <= 1.0
    assert max(float(row["width gflops"]) for row in rows) <= (0.6 if "width" in limit else 0.5)
    match = re.search(r"Best compromise: trial (\d+), code (\S+)", printed)
    assert match
    assert rows[int(match[1])]["code"] == match[2]
    assert f"trial-{int(match[1]):03}.pt" in printed
    assert (tmp_path / f"trial-{int(match[1]):03}.pt").exists()
    regret = re.search(r"Regret .*: width (\d+)%, narrow (\d+)%", printed)
    assert regret
    metrics = [[float(row[name]) for row in rows] for name in ("width half", "narrow half")]
    for values, given in zip(metrics, regret.groups(), strict=True):
        own = values[int(match[1])]
        expected = (max(values) - own) / (max(values) - np.median(values))  # of the first ten
        assert float(given) == pytest.approx(100 * expected, abs=0.51)


def test_smoke_run_of_as_many_trials_as_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(tmp_path, "--smoke", "--trials", "5") == 0  # the default without --smoke
    assert "5 codes trained" in capsys.readouterr().out


def test_study_in_which_all_fails_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ruined(smoke: bool) -> list[TrainingProblem]:
        return [width_problem(ruin=8)]

    arguments = ["--out", str(tmp_path), "--trials", "1", "--width", "8", "--depth", "1"]
    assert main("", ruined, trials=5, out="unused", arguments=arguments) == 1
    assert "No trial ran to its end" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trials", "0"), "--trials: 0 must be at least 1"),
        (("--max-gflops", "nan"), "--max-gflops: nan must be above 0"),
        (("--max-gflops", "width=0"), "--max-gflops: 0 must be above 0"),
        (("--max-gflops", "depth=1"), "map some of the problems ('width',) to numbers"),
        (("--max-gflops", "0.001"), "max_gflops=0.001 must be at least"),
        (("--width", "20"), "width=20 must be a multiple of 8"),
        (("--device", "nonsense"), "device='nonsense' cannot be used here"),
        (("--seed", "-1"), "seed=-1"),
    ],
)
def test_bad_option(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_main(tmp_path, *arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_networks_of_an_earlier_study_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(tmp_path) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SystemExit):
        run_main(tmp_path)
    assert "holds networks of an earlier study" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_out_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):
        run_main(tmp_path / "file")
    assert "must be a folder that can be written to" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_report_is_refused_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trials.csv").mkdir()
    with pytest.raises(SystemExit) as ended:
        run_main(tmp_path)
    assert ended.value.code == 2
    assert "has a folder trials.csv; name another" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_a_full_disk_ends_a_study_with_one_line_that_says_so(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond what a first checkpoint has."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.command_line.test_training_command import run_main\n"
        f"signal.signal({int(signal.SIGXFSZ)}, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "sys.exit(run_main(Path(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [*preloaded.python(), "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    line = r".*error: \[Errno 27\] File too large: nothing was written, .*trial-000.pt'"
    *_, last = done.stderr.splitlines()  # before it Optuna logs the trial that failed
    assert re.fullmatch(line, last)
    assert not list(tmp_path.iterdir())
