"""Functions in processes of their own, which start at once: see ``preloaded``.

What a process here has in common with the tests' own are its arguments and the files that both
know.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests import preloaded

_CALL = "import pickle, sys; function, given = pickle.load(sys.stdin.buffer); function(*given)"


def start(
    function: Callable[..., None], *arguments: Any, errors: Path | None = None
) -> subprocess.Popen[bytes]:
    """Call a function of a module in another process, with what it says on stderr in a file."""
    with ExitStack() as files:
        process = subprocess.Popen(
            [*preloaded.python(), "-c", _CALL],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # has the tests' folders
            stdin=subprocess.PIPE,
            stderr=None if errors is None else files.enter_context(errors.open("wb")),
        )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(pickle.dumps((function, arguments)))
    return process


def finish(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Return the exit code, -n of one that signal n has ended; kill what takes longer."""
    try:
        return process.wait(seconds)
    finally:
        process.kill()
        process.wait()
