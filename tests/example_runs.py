"""Runs an example as a user runs it, or asks it for its objections."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests import preloaded

_ROOT = Path(__file__).resolve().parents[1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """``python COMMAND`` in the repository, with the package from there; its output in UTF-8."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(_ROOT), environment.get("PYTHONPATH")])
    )
    return subprocess.run(
        [*preloaded.python(), *command],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def refusal(
    parse: Callable[[Sequence[str]], object],
    arguments: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Return the stderr of a program that refuses arguments with exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        parse(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err
