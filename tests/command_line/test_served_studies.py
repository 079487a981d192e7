"""``ncp-sampler study`` on storages behind a server: Redis and gRPC, both started for real."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalRedisBackend

from ncp_sampler import NCPSampler
from ncp_sampler.command_line.program import main
from tests import preloaded

SERVE = """
import sys
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="localhost", port=int(sys.argv[2]))
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server, from when it listens."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert server.poll() is None
            with socket.socket() as connection:
                if connection.connect_ex(("localhost", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def fill(storage: optuna.storages.BaseStorage | str) -> None:
    for name in ("one", "two"):
        sampler = NCPSampler(seed=0, n_startup_trials=3)
        study = optuna.create_study(storage=storage, study_name=name, sampler=sampler)
        study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=5)


def check(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what it says of a file."""
    assert main(["study", url]) == 2
    assert "holds 2 studies; --name one of 'one', 'two'" in capsys.readouterr().err
    assert main(["study", url, "--name", "two", "--trial", "last", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trials"]["complete"] == 5
    assert result["trial"]["reasons"]["how"] == "search"
    assert main(["study", url, "--name", "one"]) == 0
    assert "best trial" in capsys.readouterr().out


def test_a_study_behind_a_grpc_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("grpc")
    storage, port = f"sqlite:///{tmp_path / 'runs.db'}", free_port()
    fill(storage)
    before = (tmp_path / "runs.db").read_bytes()
    with running([*preloaded.python(), "-c", SERVE, storage, str(port)], port):
        check(f"grpc://localhost:{port}", capsys)
    assert (tmp_path / "runs.db").read_bytes() == before


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs a redis-server")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_study_in_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    redis = pytest.importorskip("redis")
    port = free_port()
    url = f"redis://localhost:{port}/1"
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with running(command, port):
        fill(JournalStorage(JournalRedisBackend(url)))
        with redis.Redis.from_url(url) as client:
            client.set(":snapshot", b"a pickle, which is not read")
            before = {key: client.get(key) for key in client.scan_iter()}
            check(url, capsys)
            assert {key: client.get(key) for key in client.scan_iter()} == before


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://localhost:1", "cannot be read"),  # nothing listens, or redis is missing
        ("redis://localhost:port", "cannot be read"),
        ("grpc://", "cannot be read (ValueError: it must be grpc://HOST or grpc://HOST:PORT"),
        ("grpc://host:port", "cannot be read (ValueError: Port could not be cast"),
    ],
)
def test_a_server_that_cannot_be_reached(
    url: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", url]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ncp-sampler: error: {url} {problem}")
    assert error.count("\n") == 1
