"""The Ray examples, run as a user runs them, at the smallest size."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import preloaded
from tests.example_runs import refusal

_ROOT = Path(__file__).resolve().parents[1]
_PNG = b"\x89PNG\r\n\x1a\n"


def _start(*command: str, **environment: str) -> subprocess.Popen[str]:
    """In an environment without the variables that quieten the other tests."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [*preloaded.python(), *command],
        cwd=_ROOT,
        env={**own, "COLUMNS": "120", "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def _finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Its output and error output; it must have succeeded."""
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, out + error
    return out, error


def _wait_for(process: subprocess.Popen[str], folder: Path, pattern: str, n: int) -> None:
    deadline = time.monotonic() + 200
    while len(list(folder.glob(pattern))) < n:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_digits_interrupted_and_resumed(tmp_path: Path) -> None:
    """The second part adds what the first one left, and neither says anything but its own."""
    run = ("examples/ray_tune.py", "--smoke", "--out", str(tmp_path), "--concurrent", "1")
    first = _start(*run)
    _wait_for(first, tmp_path, "digits/*/checkpoint_*", 3)  # in the middle of the second trial
    first.send_signal(signal.SIGINT)
    out, error = _finish(first)
    assert "The run was interrupted; --resume goes on with it." in out

    out, error = _finish(_start(*run, "--resume"))
    assert "The best of 4 trials" in out
    assert "was interrupted" not in out
    rows = re.findall(r"│ (\w{8}) │ +([\d.]+) │ +([\d.]+) │", out)
    assert len(rows) == 4
    accuracies = [float(val) for _, val, _ in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert (tmp_path / "digits.png").read_bytes().startswith(_PNG)
    assert [line[:6] for line in error.splitlines() if line] == ["trials"], error
    assert "4/4" in error


def test_searchers_compared(tmp_path: Path) -> None:
    trials = "12"
    command = ("-m", "examples.compare_searchers", "--trials", trials, "--seeds", "1")
    options = ("--concurrent", "1", "--out", str(tmp_path))  # each has processes, slow to start
    out, error = _finish(_start(*command, *options))
    matches = re.findall(r"│ (NCP|TPE|random) +│ +([\d.]+)\*? │", out)
    assert {name for name, _ in matches} == {"NCP", "TPE", "random"}
    best = [float(value) for _, value in matches]
    assert best == sorted(best, reverse=True)
    assert "predictions, not results of training" in out
    assert (tmp_path / "seg-ray.png").read_bytes().startswith(_PNG)
    lines = [line for line in error.splitlines() if line]
    assert len(lines) == 3, error  # bars, and nothing of Ray's
    assert all(f"{trials}/{trials}" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trials", "0"), "--trials 0 must be at least 1"),
        (("--seed", "-1"), "--seed -1 must be at least 0"),
        (("--cpus", "0"), "--cpus 0.0 and --gpus 0: give one"),
        (("--width", "12"), "width=12 must be a multiple of 8"),
        (("--resume",), "holds no run to go on with"),
    ],
)
def test_bad_argument_of_the_digits(
    arguments: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from examples import ray_tune

    assert message in refusal(ray_tune.parse, ["--out", str(tmp_path), *arguments], capsys)
