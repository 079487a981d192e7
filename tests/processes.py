"""Processes that start at once, forked from a server which has imported the packages, and no more.

An import of torch takes seconds of each process that is started from nothing. What a process here
has in common with the tests' own are its arguments and the files that both know.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "optuna", "torch", "ncp_sampler.integrations.optuna"])


def start(
    function: Callable[..., None], *arguments: Any, errors: Path | None = None
) -> BaseProcess:
    """Call a function of a module in another process, with what it says on stderr in a file."""
    process = _CONTEXT.Process(target=_call, args=(function, arguments, errors), daemon=True)
    process.start()
    return process


def finish(process: BaseProcess, seconds: float) -> int:
    """Return the exit code, -n of one that signal n has ended; kill what takes longer."""
    process.join(seconds)
    code = process.exitcode
    process.kill()
    process.join()
    assert code is not None, f"the process has not ended within {seconds} s"
    return code


def _call(function: Callable[..., None], arguments: tuple[Any, ...], errors: Path | None) -> None:
    import torch

    torch.set_num_threads(1)
    if errors is not None:
        file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 2)
    function(*arguments)
