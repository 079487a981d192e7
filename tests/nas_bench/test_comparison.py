"""Comparisons of samplers: a study's trials, and what a table makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ncp_sampler.nas_bench.comparison import (
    ASKS_TIMED,
    LABELS,
    SAMPLERS,
    STARTUP,
    Run,
    run_all,
    run_study,
)
from ncp_sampler.nas_bench.comparison_report import (
    best_table,
    cells,
    checkpoints,
    group,
    make_table,
    summarize,
    write_csv,
    write_figure,
)

RUNS = [
    Run("seg", sampler, seed, tuple(70.0 + start + seed + i for i in range(12)), (0.002,) * 12)
    for sampler, start in (("random", 0.0), ("tpe", 5.0))
    for seed in (0, 1)
]

SHORT = Run("seg", "tpe", 0, (1.0, 2.0))  # stopped early, its asks not timed


def test_every_sampler_has_a_label() -> None:
    assert SAMPLERS.keys() == LABELS.keys()


def test_a_study_has_its_trials_and_tells_of_each() -> None:
    ticks: list[None] = []
    run = run_study("seg", "random", 3, STARTUP + 2, lambda: ticks.append(None))
    assert len(run.values) == len(run.ask_seconds) == len(ticks) == STARTUP + 2
    assert (run.setting, run.sampler, run.seed) == ("seg", "random", 3)
    assert run.best.tolist() == np.maximum.accumulate(run.values).tolist()


def test_an_asks_time_is_the_median_of_the_last_ones_behind_the_shared_trials() -> None:
    seconds = tuple(i / 1000 for i in range(STARTUP + ASKS_TIMED + 5))
    run = Run("seg", "ncp", 0, seconds, seconds)
    assert run.ask_ms(STARTUP + 3) == pytest.approx(STARTUP + 1)
    assert run.ask_ms(len(seconds)) == pytest.approx(np.median(range(15, 35)))


@pytest.mark.parametrize(("n", "at"), [(1, [1]), (25, [25]), (60, [25, 50, 60])])
def test_the_last_trial_is_a_checkpoint(n: int, at: list[int]) -> None:
    assert checkpoints(n) == at


def test_the_best_sampler_comes_first_and_is_marked() -> None:
    grouped = group(RUNS)
    assert list(grouped) == ["tpe", "random"]
    assert cells(grouped, [1, 12]) == {
        "tpe": ["75.50 ± 0.50*", "86.50 ± 0.50*"],
        "random": ["70.50 ± 0.50 ", "81.50 ± 0.50 "],
    }
    assert cells(group(RUNS[:1]), [2]) == {"random": ["71.00*"]}  # one seed has no error


def test_a_summary_has_every_trial() -> None:
    mean, error = summarize(RUNS[:2])
    np.testing.assert_allclose(mean, np.arange(70.5, 82.5))
    np.testing.assert_allclose(error, np.full(12, 0.5))
    assert np.isnan(summarize(RUNS[:1])[1]).all()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda _: run_study("nonsense", "tpe", 0, 20, list), "unknown setting 'nonsense'"),
        (lambda _: run_study("seg", "nonsense", 0, 20, list), "sampler='nonsense' must be one of"),
        (lambda _: run_study("seg", "tpe", -1, 20, list), "seed=-1 must be at least 0"),
        (lambda _: run_study("seg", "tpe", 0, 10, list), "n_trials=10 must be at least 11"),
        (lambda _: run_all("seg", "tpe", [0], 20, jobs=1, threads=1), "samplers='tpe' must be a"),
        (lambda _: run_all("seg", ["x"], [0], 20, jobs=1, threads=1), "sampler='x' must be one"),
        (lambda _: run_all("seg", ["tpe"], 3, 20, jobs=1, threads=1), "seeds=3 must be integers"),  # type: ignore[arg-type]
        (lambda _: run_all("seg", ["tpe"], [0], 20, jobs=0, threads=1), "jobs=0 must be at least"),
        (lambda _: run_all("seg", ["tpe"], [0], 20, jobs=1, threads=0), "threads=0 must be"),
        (lambda _: RUNS[0].ask_ms(STARTUP), "n_trials=10 must be between 11 and 12"),
        (lambda _: checkpoints(0), "n_trials=0 must be at least 1"),
        (lambda _: group([]), r"runs=\[\] must be the runs of one setting"),
        (lambda _: summarize(RUNS[0]), "runs=Run.* must be the runs"),  # type: ignore[arg-type]
        (lambda _: make_table([], "mIoU"), "runs="),
        (lambda folder: write_csv([], folder / "runs.csv"), "runs="),
        (lambda _: checkpoints(20, 5), "candidates=5 must be integers"),  # type: ignore[arg-type]
        (lambda _: checkpoints("x"), "n_trials='x' must be an integer"),  # type: ignore[arg-type]
        (lambda _: group("x"), "runs='x' must be the runs"),  # type: ignore[arg-type]
        (lambda _: group([*RUNS, replace(RUNS[0], setting="video")]), "the runs of one setting"),
        (lambda _: group([*RUNS, SHORT]), r"runs have \[2, 12\] trials; .* equal lengths"),
        (lambda _: group([replace(SHORT, values=())]), r"runs have \[0\] trials"),
        (lambda _: cells(5, [1]), "grouped=5 must map samplers"),  # type: ignore[arg-type]
        (lambda _: cells(group(RUNS), "x"), "at='x' must be numbers"),  # type: ignore[arg-type]
        (lambda _: cells(group(RUNS), [13]), "at=13 must be between 1 and 12"),
        (lambda _: make_table([SHORT], "mIoU"), "ask_seconds of 'tpe' has 0 numbers; time the"),
        (lambda _: make_table(RUNS, 5), "metric=5 must be a string"),  # type: ignore[arg-type]
        (lambda _: best_table(RUNS, "a", times=5), "times=5 must map"),  # type: ignore[arg-type]
        (lambda _: write_csv(RUNS, 5), "path=5 must be the path"),  # type: ignore[arg-type]
        (lambda folder: write_csv(RUNS, folder), "must be a file; this is a folder"),
        (lambda folder: write_csv(RUNS, folder / "no" / "a.csv"), "in a folder that exists"),
        (lambda folder: write_figure(RUNS, "a", folder / "a.txt"), "must end in a format of pic"),
        (lambda _: replace(SHORT, values="x"), "values='x' must be num"),  # type: ignore[arg-type]
        (lambda _: replace(SHORT, values=(1.0, float("nan"))), "values=nan must be a finite"),
        (lambda _: replace(SHORT, ask_seconds=(1.0,)), "ask_seconds has 1 numbers, but values has"),
        (lambda _: replace(SHORT, sampler="x"), "sampler='x' must be one of"),
        (lambda folder: write_figure([], "mIoU", folder / "runs.png"), "runs="),
    ],
)
def test_what_cannot_be_compared_is_named(
    use: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        use(tmp_path)
    assert not list(tmp_path.iterdir())


def test_runs_that_were_not_timed_are_written_and_drawn(tmp_path: Path) -> None:
    write_csv([SHORT], tmp_path / "runs.csv")
    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert lines[1:] == ["seg,tpe,0,1,1.0,1.0,", "seg,tpe,0,2,2.0,2.0,"]
    for run in (SHORT, replace(SHORT, values=(1.0,))):
        write_figure([run], "mIoU", tmp_path / "runs.png")
        assert (tmp_path / "runs.png").stat().st_size > 10_000
