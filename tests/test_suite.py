"""The benchmark suite: what counts as found, how samplers are ranked, and a run that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest

from benchmarks.suite.__main__ import main
from benchmarks.suite.problem import Outcome, Problem
from benchmarks.suite.ranks import rank
from benchmarks.suite.studies import PROBLEMS, Study, curve, load, problem, run


def some(**changed: object) -> Problem:
    """A problem of one number, to be minimized."""
    given: dict[str, object] = {
        "name": "x",
        "family": "f",
        "suggest": lambda trial: {"x": trial.suggest_float("x", 0, 1)},
        "evaluate": lambda params, _: Outcome((params["x"],)),
    }
    return Problem(**{**given, **changed})  # type: ignore[arg-type]


def study(sampler: str, seed: int, steps: str, name: str = "x") -> Study:
    return Study("f", name, sampler, seed, 30, steps, "", "", 0.0)


def test_what_breaks_a_constraint_is_not_found() -> None:
    outcomes = [
        Outcome((1.0,), violations=(0.5,)),
        Outcome((3.0,), violations=(0.0, -1.0)),
        Outcome((2.0,), violations=(-1.0, 1e-9)),
        Outcome((2.5,), violations=(-1.0, -1.0)),
    ]
    assert curve(some(), outcomes).tolist() == [np.inf, 3.0, 3.0, 2.5]


def test_of_noisy_trials_that_counts_which_looks_best_by_its_true_value() -> None:
    outcomes = [
        Outcome((5.0,), true=(4.0,)),
        Outcome((6.0,), true=(3.0,)),
        Outcome((7.0,), true=(9.0,)),
    ]
    highest = some(directions=("maximize",), noisy=True)
    assert curve(highest, outcomes).tolist() == [-4.0, -3.0, -9.0]


def test_of_several_objectives_the_hypervolume_beyond_randoms_median_counts() -> None:
    two = some(
        evaluate=lambda params, _: Outcome((params["x"], params["x"])),
        directions=("minimize", "maximize"),
    )
    a, b = two.middle
    assert a == -b
    outcomes = [Outcome((a - 0.2, -b + 0.1)), Outcome((a + 1, 9.0)), Outcome((a - 0.1, -b + 0.3))]
    np.testing.assert_allclose(curve(two, outcomes), [-0.02, -0.02, -0.04])


def test_ranks_are_of_pairs_that_all_samplers_have() -> None:
    studies = [
        study("ncp", 0, "1:3 20:1"),
        study("tpe", 0, "1:2"),
        study("ncp", 1, "1:2"),
        study("tpe", 1, "1:2"),
        study("ncp", 2, "1:0"),
    ]
    found = rank(studies, ["ncp", "tpe"], 20)
    assert found is not None
    assert found.pairs == (("x", 0), ("x", 1))
    assert found.mean.tolist() == [1.25, 1.75]
    assert found.against("ncp") == {"tpe": (1, 1, 0)}
    early = rank(studies, ["ncp", "tpe"], 19)
    assert early is not None
    assert early.mean.tolist() == [1.75, 1.25]
    assert rank(studies, ["ncp", "random"], 20) is None


@pytest.mark.parametrize(
    "name",
    [
        "seg",
        "seg, flops",
        "video, flops, params",
        "video, params <= 5 M",
        "nb201-cifar10",
        "car",
        "kc1, one training",
        "slice_localization, size",
        "bbob-8-5d",
        "bbob-mixint-3-10d",
        "bbob-constrained-14-5d",
        "bbob-biobj-12-5d",
        "bbob-8-5d, noise",
        "classifier, breast cancer",
        "jenatton",
        "DTLZ2, 7 params",
        "pressure vessel",
        "welded beam",
    ],
)
def test_problems_of_every_class(name: str) -> None:
    """A random trial has as many values as directions; the same params give the same again."""
    one = problem(name)
    assert (one.name, one.family) == (name, PROBLEMS[name][0])
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    params = one.suggest(trial)
    first, second = (one.evaluate(params, np.random.default_rng(0)) for _ in range(2))
    assert first == second
    assert len(first.values) == len(one.directions)
    assert np.isfinite([*first.values, *first.violations]).all()
    assert bool(first.true) == one.noisy


def test_the_front_of_dtlz2_is_a_part_of_a_sphere() -> None:
    """Its best codes have all but the first two parameters in the middle."""
    best = {"x0": 0.3, "x1": 0.8, **{f"x{i}": 0.5 for i in range(2, 12)}}
    values = problem("DTLZ2, 12 params").evaluate(best, np.random.default_rng(0)).values
    assert sum(value**2 for value in values) == pytest.approx(1)


def test_best_designs_that_are_published() -> None:
    """Gandomi, Yang & Alavi (2013) and Coello (2000) print these."""
    noise = np.random.default_rng(0)
    vessel = problem("pressure vessel").evaluate(
        {"shell": 0.8125, "head": 0.4375, "radius": 42.0984456, "length": 176.6365958}, noise
    )
    assert vessel.values[0] == pytest.approx(6059.714, abs=0.01)
    assert max(vessel.violations[:2]) < 1e-6
    assert vessel.violations[2] == pytest.approx(0, abs=5)
    beam = problem("welded beam").evaluate(
        {"h": 0.20573, "l": 3.470489, "t": 9.036624, "b": 0.20573}, noise
    )
    assert beam.values[0] == pytest.approx(1.72485, abs=1e-4)
    assert max(beam.violations[2:]) < 1e-3


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    which = ["--out", str(tmp_path), "--problems", "two integers", "--samplers", "random,tpe,nsga2"]
    assert main([*which, "--seeds", "1"]) == 0
    assert main([*which, "--seeds", "2", "--resume"]) == 0
    assert "| TPE |" in capsys.readouterr().out
    assert (tmp_path / "suite.png").stat().st_size > 10_000
    assert (tmp_path / "suite.md").read_text(encoding="utf-8").count("## ") == 4
    kept = load(tmp_path / "suite" / "tpe.csv")
    assert [one.seed for one in kept] == [0, 1]
    again = run("two integers", "tpe", 1)
    assert (kept[1].steps, kept[1].worse) == (again.steps, again.worse)
    assert not (tmp_path / "suite" / "nsga2.csv").exists()  # it is for several objectives


def test_what_is_unknown_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, message in (
        (["--samplers", "tpee"], "--samplers has ['tpee']"),
        (["--problems", "nowhere"], "match none"),
        (["--first-seed", "-1"], "--first-seed -1 must be at least 0"),
        (["--seeds", "0"], "--seeds 0 must be at least 1"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["--out", str(tmp_path), *wrong])
        assert message in capsys.readouterr().err
