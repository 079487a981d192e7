"""The scripts of the page "With other tools" run, each with the tool that it is about.

A section of the page is one program: its titled blocks are files, and its shell blocks start them,
in one folder. A section is skipped where its tool is not installed, or its server is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import preloaded

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "how-to" / "other-tools.md"
SECONDS = 300  # limit of one section, on a machine that does other work
_BLOCK = re.compile(
    r'^(<!-- not run: .*\n)?```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL
)


class Tool(NamedTuple):
    """Requirements of a section.

    Attributes:
        packages: Distributions, as pip names them.
        server: Program of the server that the section needs, or "".
        port: Port in the section's code; the test puts a free one in its place.
        output: Pattern that must occur in the output.
    """

    packages: tuple[str, ...] = ()
    server: str = ""
    port: int | None = None
    output: str = "Trial 11 (finished|pruned)"


TOOLS = {
    "Journal file": Tool(output="Trial 15 finished"),
    "PostgreSQL": Tool(("psycopg",), "postgres", 5432, output="Trial 15 finished"),
    "Redis": Tool(("redis",), "redis-server", 6379, output="Trial 15 finished"),
    "gRPC": Tool(("grpcio", "protobuf"), port=13000),
    "Dask": Tool(("dask", "distributed", "optuna-integration"), output="Trial 13 finished"),
    "joblib": Tool(("joblib",), output="Trial 13 finished"),
    "Hydra": Tool(("hydra-core", "hydra-optuna-sweeper"), output="Sampler: NCPSampler"),
    "Hugging Face": Tool(("transformers", "accelerate")),
    "MLflow": Tool(("mlflow", "optuna-integration")),
    "Weights and Biases": Tool(("wandb", "optuna-integration")),
    "LightGBM": Tool(("lightgbm", "optuna-integration"), output="Trial 13 (finished|pruned)"),
    "scikit-learn": Tool(("optuna-integration",), output="Trial 13 finished"),
    "Ray's OptunaSearch": Tool(("ray",), output="12 TERMINATED"),
}


def sections() -> dict[str, str]:
    """Return the text of each section that has code, by its title."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_section_has_a_row_and_a_test() -> None:
    assert sections().keys() == TOOLS.keys()
    head = PAGE.read_text(encoding="utf-8").partition("## ")[0]
    assert re.findall(r"^\| \[(.*)\]\(", head, re.MULTILINE) == list(TOOLS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOLS)
def test_code_of_a_section_runs(name: str, tmp_path: Path) -> None:
    tool = TOOLS[name]
    for package in tool.packages:
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed; {PAGE.name} says how to install it")
    if tool.server and not shutil.which(tool.server):
        pytest.skip(f"no program {tool.server} on the path; install the server")
    text, port, shell = sections()[name], free_port(), []
    if tool.port:
        text = text.replace(str(tool.port), str(port))
    for skipped, language, title, code in _BLOCK.findall(text):
        if skipped:
            continue
        if language == "sh":
            shell.append(code)
        else:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(code, encoding="utf-8")
    with ExitStack() as stack:
        if tool.server:
            stack.enter_context(SERVERS[tool.server](port))
        output = run("\n".join(shell), tmp_path)
    assert re.search(tool.output, output), output


def run(code: str, folder: Path) -> str:
    """Run shell code in a folder that is home, too; return its output once it has succeeded."""
    bin = preloaded.programs(folder / ".bin")
    path = [str(bin), str(Path(sys.executable).parent), os.environ["PATH"]]
    sources = filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
    environment = os.environ | {
        "HOME": str(folder),  # of Ray's results, and of what other tools keep
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONIOENCODING": "utf-8",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (folder / "output").open("w+", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(SECONDS)
        finally:  # servers in the background, and what hangs
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    output = (folder / "output").read_text(encoding="utf-8")
    assert status == 0, output
    failed = re.search("^Traceback", output, re.MULTILINE)  # also a worker in the background
    assert not failed, output
    return output


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return int(opened.getsockname()[1])


@contextmanager
def redis(port: int) -> Iterator[None]:
    """Run a Redis server without persistence."""
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
        assert server.stdout is not None
        assert any("Ready to accept connections" in line for line in server.stdout)
        yield
        server.terminate()


@contextmanager
def postgres(port: int) -> Iterator[None]:
    """Run a PostgreSQL server, which refuses to run as root, with an empty database."""
    programs = Path(shutil.which("postgres") or "").resolve().parent
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        if user:
            shutil.chown(folder, user)

        def call(program: str, *arguments: str) -> None:
            command = [str(programs / program), *arguments]
            subprocess.run(command, user=user, cwd=folder, stdout=subprocess.DEVNULL, check=True)

        data, control = f"{folder}/data", ("-D", f"{folder}/data", "-w")
        call("initdb", "-D", data, "-U", "optuna", "--auth=trust", "--no-sync")
        options = f"-p {port} -h localhost -k {folder} -F"
        call("pg_ctl", *control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            call("createdb", "-h", "localhost", "-p", str(port), "-U", "optuna", "optuna")
            yield
        finally:
            call("pg_ctl", *control, "-m", "immediate", "stop")


SERVERS = {"redis-server": redis, "postgres": postgres}
