"""The training examples' smoke runs, as a user starts them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ncp_sampler.training import Checkpoint
from tests.example_runs import run

_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "networks", "arguments"),
    [
        ("classification", ["digits"], []),
        ("segmentation", ["scenes"], ["--max-gflops", "0.004"]),
        ("video", ["clips"], []),
        ("detection3d", ["streets"], []),
        ("two_tasks", ["digits", "scenes"], []),
    ],
)
def test_smoke(name: str, networks: list[str], arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    options = ("--smoke", "--threads", "1", "--out", str(out), *arguments)
    done = run(f"examples/train_{name}.py", *options)
    assert done.returncode == 0, done.stderr
    assert "3 codes trained" in done.stdout
    assert done.stderr.count("\n") == 1  # the progress bar and nothing else
    assert "100%" in done.stderr
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["epochs"] != "0"]
    assert len(rows) == 3
    assert (out / "trials.png").read_bytes().startswith(_PNG)
    kept = [Checkpoint.load(path) for path in sorted(out.glob("trial-*.pt"))]
    assert len(kept) == 1 if arguments else 1 <= len(kept) <= 3
    for checkpoint in kept:
        assert list(checkpoint.states) == list(checkpoint.metrics) == networks
        assert f"{checkpoint.gflops:.4f}" in done.stdout
    assert ("Best compromise: trial" in done.stdout) == (len(networks) > 1)
    if arguments:
        assert all(float(row["gflops"]) <= 0.004 for row in rows)
