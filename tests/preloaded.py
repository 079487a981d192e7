"""Processes that run programs as ``python`` does, but start in a tenth of a second.

An import of PyTorch, SciPy, scikit-learn and Optuna takes most of the seconds of a short program. A
server imports them once for all tests, and forks a process for each program. Beyond these imports
a program has nothing in common with another one: arguments, folder, environment, streams, signals
and exit status are its own. What a program imports is ``test_package``'s matter, which starts true
ones.

``tests/conftest.py`` names the socket, and ends the server.
"""

from __future__ import annotations

import ast
import gc
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import types
from importlib import import_module
from pathlib import Path

import numpy as np

SOCKET = "NCP_TESTS_SOCKET"  # environment variable: path of the server's socket
_ROOT = Path(__file__).resolve().parents[1]
_CLIENT = Path(__file__).with_name("preloaded_client.py")
_MODULES = (  # none that starts threads or reads the environment, such as Ray
    "lightgbm",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "ncp_sampler.command_line.program",
    "ncp_sampler.integrations.optuna",
    "ncp_sampler.training",
    "ncp_sampler.visualization",
    "optuna",
    "optuna.importance",
    "pandas",
    "pytest",
    "rich.progress",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.ensemble",
    "sqlalchemy",
    "torch._dynamo",  # of the first optimizer
)


def python() -> list[str]:
    """Return the command that stands for ``python``, and start the server if need be."""
    if not hasattr(os, "fork"):  # as on Windows
        return [sys.executable]
    import fcntl

    path = Path(os.environ[SOCKET])
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other processes of the same tests
        if not path.exists():
            _start(path)
    return [sys.executable, "-IS", str(_CLIENT), str(path)]


def programs(folder: Path) -> Path:
    """Write ``python`` and ``ncp-sampler`` into a folder, for a shell's path."""
    folder.mkdir(exist_ok=True)
    command = " ".join(f"'{part}'" for part in python())
    for name, module in (("python", ""), ("ncp-sampler", "-m ncp_sampler ")):
        (folder / name).write_text(f'#!/bin/sh\nexec {command} {module}"$@"\n')
        (folder / name).chmod(0o755)
    return folder


def _start(path: Path) -> None:
    """Start the server, and return when it listens."""
    subprocess.run(
        [sys.executable, "-m", "tests.preloaded", str(path), str(os.getpid())],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the tests
        check=True,
    )


def _serve(path: str, tests: int) -> None:
    """Fork a process for each request, until the socket or the process of the tests is gone."""
    for name in _MODULES:
        try:
            import_module(name)
        except ImportError:  # an extra that is not installed
            continue
    gc.freeze()  # a collection in the fork would copy the pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.settimeout(2)
        if os.fork():
            os._exit(0)  # the socket is ready
        for number in (1, 2):
            os.dup2(0, number)
        while Path(path).exists() and _runs(tests):
            try:
                client, _ = listening.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _keep(client)
            client.close()
    Path(path).unlink(missing_ok=True)
    os._exit(0)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _keep(client: socket.socket) -> None:
    """Run the program of a request in a fork; pass on signals to it, and its exit status."""
    client.settimeout(None)
    head, streams, _, _ = socket.recv_fds(client, 8, 3)
    size, request = int.from_bytes(head, "big"), b""
    while len(request) < size:
        request += client.recv(size - len(request))
    worker = os.fork()
    if worker == 0:
        client.close()
        _become(streams, *ast.literal_eval(request.decode()))

    def listen() -> None:
        while signals := client.recv(1):
            os.kill(worker, signals[0])
        os.killpg(worker, signal.SIGKILL)  # the client is gone

    for stream in streams:
        os.close(stream)
    threading.Thread(target=listen, daemon=True).start()
    _, status = os.waitpid(worker, 0)
    client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    os._exit(0)


def _become(
    streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]
) -> None:
    """Run a program in this process, as ``python`` would, and end it."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    np.random.seed()  # noqa: NPY002 - the state is that of the other forks
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(
        2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False
    )
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.modules["__mp_main__"] = main  # its name in processes that multiprocessing spawns
    first, *rest = arguments
    added = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [*added, *(part for part in sys.path if part not in ("", str(_ROOT)))]
    if first == "-m":
        sys.path.insert(0, folder)
        sys.argv = rest
        runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined]
    elif first == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.path.insert(0, str(Path(first).resolve().parent))
        sys.argv = arguments
        main.__file__ = first
        exec(compile(Path(first).read_bytes(), first, "exec"), main.__dict__)
    sys.exit()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
