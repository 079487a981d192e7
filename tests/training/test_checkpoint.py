"""Checkpoints: what is kept of a code, and that no damaged file is taken for it."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ncp_sampler.training import Checkpoint
from tests import preloaded
from tests.training_examples import digits_problem, width_problem

REMEDY = "it must be a file that Checkpoint.save wrote, so copy it again, or train the code again"


def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint.of([2], gflops=0.5, metrics={"a": 90.0}, networks={"a": nn.Linear(3, 2)})


def saved(folder: Path) -> Path:
    path = folder / "kept.pt"
    checkpoint().save(path)
    return path


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    kept, made = Checkpoint.load(saved(tmp_path)), checkpoint()
    assert (kept.code, kept.gflops, kept.metrics) == (made.code, made.gflops, made.metrics)
    for name, value in made.states["a"].items():
        assert torch.equal(kept.states["a"][name], value)


def test_any_reader_of_tensors_can_read_it(tmp_path: Path) -> None:
    """The checksum stands behind what PyTorch reads."""
    assert torch.load(saved(tmp_path), weights_only=True)["code"] == (2,)


def test_a_damaged_file_is_refused_whichever_byte_it_is(tmp_path: Path) -> None:
    """PyTorch itself reads most such files without a word, with other weights."""
    path = saved(tmp_path)
    content = path.read_bytes()
    positions = range(0, len(content), 5)
    for i in positions:
        path.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        with pytest.raises(
            ValueError, match=f"kept.pt' is damaged, or has another format; {REMEDY}"
        ):
            Checkpoint.load(path)
    assert len(positions) > 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda content: content[:-1], "is damaged"),
        (lambda content: content[: len(content) // 2], "is damaged"),
        (lambda content: b"", "is damaged"),
        (lambda content: content + content, "is damaged"),
        (lambda content: content[:512] + bytes(512) + content[1024:], "is damaged"),
    ],
    ids=["one byte short", "half", "empty", "twice", "a block of zeros"],
)
def test_a_truncated_or_overwritten_file_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = saved(tmp_path)
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{message}.*{REMEDY}"):
        Checkpoint.load(path)


def test_other_files_and_folders_are_refused(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "other.pt")
    for name, why in (
        ("other.pt", "is damaged, or has another format"),
        ("none.pt", "No such file"),
    ):
        with pytest.raises(ValueError, match=rf"{name}' .*{why}.*{REMEDY}"):
            Checkpoint.load(tmp_path / name)
    with pytest.raises(ValueError, match=rf"cannot be read: .*directory.*{REMEDY}"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize("path", [5, None, ["a"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    for call in (Checkpoint.load, checkpoint().save):
        with pytest.raises(ValueError, match=r"path=.* must be the path of a file"):
            call(path)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond what the old one has."""
    path = saved(tmp_path)
    before = path.read_bytes()
    program = (
        "import resource, signal, sys, torch\n"
        "from ncp_sampler.training import Checkpoint\n"
        f"signal.signal({int(signal.SIGXFSZ)}, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "net = torch.nn.Linear(1000, 100)\n"
        "made = Checkpoint.of([1], gflops=1.0, metrics={}, networks={'a': net})\n"
        "made.save(sys.argv[1])\n"
    )
    done = subprocess.run(
        [*preloaded.python(), "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert "OSError: [Errno 27] File too large: nothing was written" in done.stderr
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "x"}, "code='x' must be numbers"),
        ({"code": [1.5]}, r"code=\[1.5\] must be integers"),
        ({"gflops": -1}, "gflops=-1 must be at least 0"),
        ({"metrics": 5}, "metrics=5 must map"),
        ({"metrics": {"a": "x"}}, r"metrics\['a'\]='x' must be numbers"),
        ({"networks": [5]}, r"networks=\[5\] must map"),
        ({"networks": {"a": 5}}, r"networks\['a'\]=5 must be a torch.nn.Module"),
    ],
)
def test_what_cannot_be_kept_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"code": [1], "gflops": 0.0, "metrics": {}, "networks": {}}
    with pytest.raises(ValueError, match=message):
        Checkpoint.of(**{**given, **change})


def test_networks_are_by_problem() -> None:
    problem = digits_problem(limit=32)
    kept = Checkpoint(code=(1,), gflops=0.0, metrics={}, states={})
    with pytest.raises(ValueError, match="problem 'digits' is not among"):
        kept.network(problem)
    with pytest.raises(ValueError, match="problem='digits' must be a TrainingProblem"):
        kept.network("digits")  # type: ignore[arg-type]


def test_the_network_of_another_problem_is_refused() -> None:
    problem = width_problem()
    networks = {problem.name: problem.build(np.array([2]))}
    kept = Checkpoint.of([2], gflops=0.0, metrics={}, networks=networks)
    assert isinstance(kept.network(problem), nn.Module)
    changed = replace(problem, build=lambda code: nn.Linear(7, 7))
    with pytest.raises(ValueError, match="builds another network than the checkpoint's"):
        kept.network(changed)
