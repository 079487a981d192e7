"""The examples, run as a user runs them, at the smallest size."""

from __future__ import annotations

import csv
import subprocess
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from ncp_sampler import MRSpace, NCPSampler, nas_bench
from tests.example_runs import refusal, run

_TRIALS, _STARTUP = 14, 10
_LABELS = {"random": "random", "tpe": "TPE", "cma": "CMA-ES", "ncp": "NCP"}
_PNG = b"\x89PNG\r\n\x1a\n"


def _compare(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("examples/compare_samplers.py", "--out", str(out), *arguments)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


_TINY = ("--trials", str(_TRIALS), "--samplers", ",".join(_LABELS))


@pytest.fixture(scope="module")
def comparison(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path_factory.mktemp("comparison") / "new" / "folder"
    done = _compare(out, *_TINY, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    return done, out


Comparison = tuple[subprocess.CompletedProcess[str], Path]


def _values(rows: list[dict[str, str]], sampler: str, seed: int) -> list[float]:
    mine = [row for row in rows if (row["sampler"], row["seed"]) == (sampler, str(seed))]
    assert [int(row["trial"]) for row in mine] == list(range(1, _TRIALS + 1))
    return [float(row["value"]) for row in mine]


def test_csv_has_every_trial(comparison: Comparison) -> None:
    rows = _read(comparison[1] / "seg.csv")
    columns = ["setting", "sampler", "seed", "trial", "value", "best", "ask_seconds"]
    assert list(rows[0]) == columns
    assert len(rows) == 4 * 2 * _TRIALS
    for sampler in _LABELS:
        for seed in (0, 1):
            mine = [r for r in rows if (r["sampler"], r["seed"]) == (sampler, str(seed))]
            best = np.maximum.accumulate(_values(rows, sampler, seed))
            assert [float(row["best"]) for row in mine] == best.tolist()
    assert all(float(row["ask_seconds"]) >= 0 and row["setting"] == "seg" for row in rows)


def test_samplers_share_the_first_trials_and_no_more(comparison: Comparison) -> None:
    rows = _read(comparison[1] / "seg.csv")
    for seed in (0, 1):
        values = [_values(rows, sampler, seed) for sampler in _LABELS]
        assert len({tuple(run_values[:_STARTUP]) for run_values in values}) == 1
        assert len({tuple(run_values[_STARTUP:]) for run_values in values}) == 4
    assert _values(rows, "ncp", 0)[:_STARTUP] != _values(rows, "ncp", 1)[:_STARTUP]


def test_values_are_the_surrogates_of_a_plain_study(comparison: Comparison) -> None:
    """The shared trials are the sampler's own first ones, and those after follow from them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=NCPSampler(space=MRSpace(), seed=0, n_startup_trials=_STARTUP)
    )
    study.optimize(nas_bench.objective("seg"), n_trials=_STARTUP)
    expected = [trial.value for trial in study.trials]
    assert _values(_read(comparison[1] / "seg.csv"), "ncp", 0)[:_STARTUP] == expected


def test_table(comparison: Comparison) -> None:
    done, out = comparison
    rows = _read(out / "seg.csv")
    final = {
        label: np.array([max(_values(rows, name, seed)) for seed in (0, 1)])
        for name, label in _LABELS.items()
    }
    printed = [
        (label, line)
        for line in done.stdout.splitlines()
        for label in final
        if f"│ {label} " in line
    ]
    assert {label for label, _ in printed} == set(final)
    means = [final[label].mean() for label, _ in printed]
    assert means == sorted(means, reverse=True)  # the best first; ties in any order
    for label, line in printed:
        mean, error = final[label].mean(), final[label].std(ddof=1) / np.sqrt(2)
        assert f"{mean:.2f} ± {error:.2f}" in line
    assert "*" in printed[0][1]
    assert "predictions, not results of training" in done.stdout
    assert str(out / "seg.png") in done.stdout.replace("\n", "")


def test_progress_and_nothing_else_on_stderr(comparison: Comparison) -> None:
    lines = comparison[0].stderr.splitlines()
    assert len(lines) == 4
    assert all(f"{2 * _TRIALS}/{2 * _TRIALS}" in line for line in lines)


def test_figure(comparison: Comparison) -> None:
    data = (comparison[1] / "seg.png").read_bytes()
    assert data.startswith(_PNG)
    assert len(data) > 10_000


def test_same_seed_same_values(comparison: Comparison, tmp_path: Path) -> None:
    done = _compare(tmp_path, *_TINY, "--seeds", "1", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    again, first = _read(tmp_path / "seg.csv"), _read(comparison[1] / "seg.csv")
    for sampler in _LABELS:
        assert _values(again, sampler, 0) == _values(first, sampler, 0)
    assert "±" not in done.stdout  # one seed has no standard error


@pytest.mark.parametrize("folder", ["examples", "benchmarks"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--setting", "nonsense"), "nonsense"),
        (("--setting", "3ddet"), "3ddet"),
        (("--samplers", "tpe,nonsense"), "--samplers must name some of gp,ncp,tpe,cma,random"),
        (("--samplers", "tpe,tpe"), "each once"),
        (("--samplers", ","), "--samplers"),
        (("--trials", "10"), "--trials 10 must exceed the 10"),
        (("--seeds", "0"), "--seeds 0 must be at least 1"),
        (("--jobs", "-1"), "--jobs -1 must be at least 1"),
        (("--threads", "0"), "--threads 0 must be at least 1"),
        (("--trials", "many"), "many"),
    ],
)
def test_bad_argument(
    folder: str,
    arguments: tuple[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The example and the full comparison say the same."""
    program = import_module(f"{folder}.compare_samplers")
    assert message in refusal(program.parse, ["--out", str(tmp_path), *arguments], capsys)


def test_out_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = _compare(tmp_path / "file" / "folder", *_TINY)
    assert done.returncode == 2
    assert "must be a folder that can be written to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_full_comparison(tmp_path: Path) -> None:
    options = ("--settings", "seg,cls-a", "--samplers", "ncp,tpe,cma", "--trials", "12")
    few = ("--seeds", "2", "--jobs", "1")  # each job of each setting has a process of its own
    done = run("-m", "benchmarks.compare_samplers", *options, *few, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "samplers.md").read_text(encoding="utf-8")
    assert "## seg: mIoU (%)" in text
    assert "## cls-a: top1 (%)" in text
    assert "NCP's time per ask over TPE's" in text
    rows = _read(tmp_path / "samplers.csv")
    assert len(rows) == 2 * 3 * 2
    assert {row["trials"] for row in rows} == {"12"}
    mean = np.mean(
        [float(r["best"]) for r in rows if (r["setting"], r["sampler"]) == ("seg", "cma")]
    )
    assert f"| CMA-ES | {mean:.2f}" in text.replace("*", "")
