"""The benchmark suite: losses, ranks, real-life studies, and a run that goes on."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial
from scipy.optimize import minimize

from benchmarks.suite.__main__ import main
from benchmarks.suite.peers import AskTellSampler, distributions_of
from benchmarks.suite.problem import Outcome, Problem
from benchmarks.suite.ranks import rank
from benchmarks.suite.real_life import FAILURES, REAL_LIFE, SUFFIX
from benchmarks.suite.report import write_report
from benchmarks.suite.samplers import SAMPLERS, takes
from benchmarks.suite.shifted import SHIFTED, SPARSE
from benchmarks.suite.studies import PROBLEMS, Study, append, curve, load, problem, run
from benchmarks.suite.trainings import TRAININGS

NAN = float("nan")
REAL = [name for name, (family, _) in PROBLEMS.items() if family == REAL_LIFE]
BOWL: dict[str, object] = {"x": 1.0, "y": -2.0, "z": 0.5}
TRAINING = {"lr": 1e-3, "dropout": 0.2, "batch": 8}
MIXED = {"n": 13, "kind": "b", "lr": 1e-3}
BEST: dict[str, dict[str, object]] = {
    "out of memory, 2 params": {"width": 500, "depth": 6},
    "out of memory, 5 params": {"width": 500, "depth": 15, **TRAINING},
    "out of memory, 12 params": {
        **{f"width{i}": 200 for i in range(6)},
        **TRAINING,
        **{"decay": 1e-4, "momentum": 0.9, "resolution": 128},
    },
    "NaN, 2 params": {"lr": 10**-2.5, "momentum": 0.9},
    "NaN, 5 params": {"x": 5.0, "y": -3.0, **MIXED},
    "NaN, 12 params": {**{f"x{i}": 1.5 if i < 4 else -1.0 for i in range(9)}, **MIXED},
    "exceptions, 2 params": {"dim": 256, "heads": 8},
    "exceptions, 5 params": {
        **{"optimizer": "lion", "precision": "bf16", "compile": True},
        **{"kernel": 7, "size": 14},
    },
    "exceptions, 12 params": {
        **{f"width{i}": 3 for i in range(4)},
        **{f"skip{i}": True for i in range(3)},
        **{"activation": "gelu", "norm": "batch", "batch": 4, "lr": 1e-3, "dropout": 0.1},
    },
    "constraints by branch": {"kind": "b", "x": 0.6, "y": 1.0},
    **{name: {"x": 0.6, "y": 0.3, **MIXED} for name in (*REAL[9:12], "8 workers")},
    **{name: {"x": 0.2, "y": 1.0} for name in ("constraint when violated", "late constraint")},
    "range changed once": BOWL,
    **{name: {**BOWL, "lr": 5e-3} for name in REAL[16:20]},
    "stale trials": BOWL,
}


def small_problem(**changed: object) -> Problem:
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
    assert curve(small_problem(), outcomes).tolist() == [np.inf, 3.0, 3.0, 2.5]


def test_of_noisy_trials_that_counts_which_looks_best_by_its_true_value() -> None:
    outcomes = [
        Outcome((5.0,), true=(4.0,)),
        Outcome((6.0,), true=(3.0,)),
        Outcome((7.0,), true=(9.0,)),
    ]
    highest = small_problem(directions=("maximize",), noisy=True)
    assert curve(highest, outcomes).tolist() == [-4.0, -3.0, -9.0]


def test_of_several_objectives_the_hypervolume_beyond_randoms_median_counts() -> None:
    two = small_problem(
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
    ranks = rank(studies, ["ncp", "tpe"], 20)
    assert ranks is not None
    assert ranks.pairs == (("x", 0), ("x", 1))
    assert ranks.mean.tolist() == [1.25, 1.75]
    assert ranks.against("ncp") == {"tpe": (1, 1, 0)}
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
        "ackley",
        "levy 8 in 60, mixed",
        "NK, 30 bits",
        "Potts, 24 of 4",
        "features, 30 bits",
        *(name for name, (family, _) in PROBLEMS.items() if family == TRAININGS),
    ],
)
def test_problems_of_every_class(name: str) -> None:
    """A random trial has as many values as directions; the same params give the same again."""
    instance = problem(name)
    assert (instance.name, instance.family) == (name, PROBLEMS[name][0])
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    params = instance.suggest(trial)
    first, second = (instance.evaluate(params, np.random.default_rng(0)) for _ in range(2))
    assert first == second
    assert len(first.values) == len(instance.directions)
    assert np.isfinite([*first.values, *first.violations]).all()
    assert bool(first.true) == instance.noisy


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


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("hartmann6", -3.32237),
        ("michalewicz", -4.687658),
        ("ackley", 0.0),
        ("levy", 0.0),
        ("griewank", 0.0),
        ("styblinski", -39.16617),
        ("rosenbrock", 0.0),
    ],
)
def test_least_values_that_are_published(name: str, least: float) -> None:
    """Surjanovic & Bingham's library prints them; Styblinski and Tang's is a parameter's share."""
    instance = problem(name)
    assert instance.family == SHIFTED
    assert instance.optimum == pytest.approx(least, abs=1e-5)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    noise = np.random.default_rng(0)
    outcomes = [instance.evaluate(instance.suggest(study.ask()), noise) for _ in range(500)]
    assert instance.losses(outcomes).min() > instance.optimum


def test_each_seed_has_its_optimum_elsewhere() -> None:
    """Found by descents from many starts, at least a tenth of each range from its ends."""
    shared = problem("hartmann6")
    assert shared.instance is not None
    optima = []
    for seed in (1, 2):
        evaluate = shared.instance(seed).evaluate
        noise = np.random.default_rng(seed)

        def value(x: np.ndarray, evaluate: object = evaluate, noise: object = noise) -> float:
            params = {f"x{i}": each for i, each in enumerate(x)}
            return float(evaluate(params, noise).values[0])  # type: ignore[operator]

        starts = [min(noise.random((200, 6)), key=value) for _ in range(6)]
        ends = [minimize(value, start, bounds=[(0, 1)] * 6) for start in starts]
        best = min(ends, key=lambda end: float(end.fun))
        assert best.fun == pytest.approx(shared.optimum, abs=1e-4)
        assert best.x.min() > 0.09
        assert best.x.max() < 0.91
        optima.append(best.x)
    assert np.abs(optima[0] - optima[1]).max() > 0.05


def test_of_a_sparse_space_few_parameters_matter() -> None:
    counts = {}
    for name in (name for name, (family, _) in PROBLEMS.items() if family == SPARSE):
        instance, noise = problem(name), np.random.default_rng(0)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        params, drawn = instance.suggest(study.ask()), instance.suggest(study.ask())
        value = instance.evaluate(params, noise).values
        changed = [instance.evaluate({**params, key: drawn[key]}, noise).values for key in params]
        counts[name] = (len(params), sum(each != value for each in changed))
    assert counts["ackley 4 in 100"] == (100, 4)
    assert counts["hartmann6 in 60"] == (60, 6)
    assert all(60 <= d <= 100 and 1 <= active <= 8 for d, active in counts.values())


def test_a_training_that_looks_best_counts_by_the_mean_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every trial that looks better than all before is evaluated again, and its mean counts."""
    values, repeated = iter([3.0, 2.0, 1.0, 5.0]), []

    def mean(params: dict[str, float]) -> tuple[float, ...]:
        repeated.append(params)
        return (10.0 * len(repeated),)

    instance = small_problem(evaluate=lambda *_: Outcome((next(values),)), trials=4, mean=mean)
    monkeypatch.setitem(PROBLEMS, "mean", (instance.family, lambda: instance))
    assert run("mean", "random", 0).steps == "1:10 2:20 3:30"
    assert len(repeated) == 3


class Halving:
    """An optimizer that halves x each time, and keeps what it observes."""

    def __init__(self) -> None:
        self.x, self.losses = 1.0, list[float]()

    def ask(self) -> tuple[dict[str, float], float]:
        self.x /= 2
        return {"x": self.x}, self.x

    def tell(self, token: float, params: Mapping[str, float], loss: float) -> None:
        assert params == {"x": token}
        self.losses.append(loss)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_any_optimizer_takes_part(direction: Literal["minimize", "maximize"]) -> None:
    """It minimizes, learns a failed trial as the worst so far, and leaves what is new to chance."""
    optimizer, instance = Halving(), small_problem()
    sampler = AskTellSampler(optimizer, distributions_of(instance), seed=0)
    study = optuna.create_study(sampler=sampler, direction=direction)
    for value in (None, 3.0, None, 2.0):
        trial = study.ask()
        params = {**instance.suggest(trial), "y": trial.suggest_float("y", 0, 1)}
        assert params["x"] == 0.5 ** (trial.number + 1)
        if value is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)
    expected = [3.0, 3.0, 2.0] if direction == "minimize" else [-3.0, -3.0, -2.0]
    assert optimizer.losses == expected


def test_which_problems_peers_take() -> None:
    taken = {
        name
        for name in ("ackley", "jenatton", "welded beam", "DTLZ2, 7 params", "late constraint")
        if takes("ngopt", problem(name))
    }
    assert taken == {"ackley"}


@pytest.mark.parametrize("name", REAL)
def test_the_optimum_of_each_real_life_problem(name: str) -> None:
    """Its params have the value, and none of 500 random trials has a better feasible one."""
    instance = problem(name)
    assert instance.optimum is not None
    noise = np.random.default_rng(0)
    best = instance.evaluate(BEST[name], noise)
    assert max(best.violations, default=0.0) < 1e-9
    assert best.values == pytest.approx([instance.optimum], abs=1e-9)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    outcomes = [instance.evaluate(instance.suggest(study.ask()), noise) for _ in range(500)]
    assert curve(instance, outcomes)[-1] >= instance.optimum
    assert instance.losses(outcomes)[:, 0].min() < np.inf


def test_a_failed_trial_has_no_loss() -> None:
    """An infinite value is observed, but is never the best."""
    infinite = Outcome((np.inf,))
    outcomes = [Outcome(()), infinite, Outcome((NAN,)), Outcome((2.0,)), Outcome(())]
    assert [outcome.failed for outcome in outcomes] == [True, False, True, False, True]
    assert curve(small_problem(), outcomes).tolist() == [np.inf, np.inf, np.inf, 2.0, 2.0]
    two = small_problem(directions=("minimize", "maximize"))
    assert two.losses([Outcome(()), Outcome((1.0, 3.0))]).tolist() == [[np.inf] * 2, [1.0, -3.0]]


def stored_study(name: str, instance: Problem, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    """Run a problem under a name by random search, and return the Optuna study."""
    studies: list[optuna.Study] = []

    def create(**options: object) -> optuna.Study:
        studies.append(make(**options))  # type: ignore[arg-type]
        return studies[-1]

    make = optuna.create_study
    assert instance.middle.shape  # of a study of its own
    monkeypatch.setitem(PROBLEMS, name, (instance.family, lambda: instance))
    monkeypatch.setattr(optuna, "create_study", create)
    row = run(name, "random", 3)
    assert row.failures == str(sum(t.state == TrialState.FAIL for t in studies[0].trials))
    return studies[0]


def test_trials_report_the_constraints_that_the_problem_lets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = small_problem(
        name="partial",
        evaluate=lambda params, _: Outcome(
            (params["x"],),
            violations=(params["x"] - 0.5, 1.0),
            unreported=frozenset({1} if params["x"] > 0.5 else {0, 1}),
        ),
        trials=20,
        reported_from=8,
    )
    trials = stored_study("partial", instance, monkeypatch).trials
    for trial in trials:
        value = trial.values[0]
        reports = trial.number >= 8 and value > 0.5
        assert trial.constraints == ({"c0": value - 0.5} if reports else {})
    assert any(trial.constraints for trial in trials)
    assert not takes("gp", problem("late constraint"))  # it raises ValueError there


def test_workers_finish_out_of_order_beside_trials_that_were_there_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At most 4 trials of 4 workers run at once; NaN and failures are counted."""
    stale = create_trial(
        state=TrialState.RUNNING,
        params={"x": 0.25},
        distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
    )
    ends: list[float] = []

    def evaluate(params: dict[str, float], _: np.random.Generator) -> Outcome:
        ends.append(params["x"])
        return Outcome((NAN,) if params["x"] > 0.8 else () if params["x"] < 0.2 else (1.0,))

    instance = small_problem(
        name="parallel", evaluate=evaluate, trials=30, workers=4, earlier=(stale,)
    )
    study = stored_study("parallel", instance, monkeypatch)
    first, *trials = study.trials
    assert (first.state, first.params) == (TrialState.RUNNING, {"x": 0.25})
    order = [trial.params["x"] for trial in trials]
    assert sorted(ends[-30:]) == sorted(order)
    assert ends[-30:] != order
    assert all(end in order[: n + 4] for n, end in enumerate(ends[-30:]))
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.FAIL}


@pytest.mark.parametrize("sampler", ["random", "tpe", "cma"])
def test_ranges_change_as_optuna_lets_them(sampler: str) -> None:
    for name in ("range changed once", "range widened", "step dropped", "log switched"):
        instance = problem(name)
        study = optuna.create_study(sampler=SAMPLERS[sampler](instance, 0))
        study.add_trials(instance.earlier)
        for _ in range(30):
            trial = study.ask()
            study.tell(
                trial, instance.evaluate(instance.suggest(trial), np.random.default_rng(0)).values
            )
        used = [trial.distributions for trial in study.trials]
        changes = [i for i in range(1, len(used)) if used[i] != used[i - 1]]
        expected = {"range changed once": [3, 4], "range widened": [25], "step dropped": [15]}
        assert changes == expected.get(name, [len(instance.earlier) - 1])


def test_random_failures_are_of_the_same_trials_for_every_sampler() -> None:
    name = f"seg{SUFFIX}"
    assert PROBLEMS[name][0] == FAILURES
    instance, plain = problem(name), problem("seg")
    assert (instance.space, instance.directions, instance.trials) == (
        plain.space,
        plain.directions,
        plain.trials,
    )
    failed = []
    for sampler_seed in range(2):
        sampler = optuna.samplers.RandomSampler(seed=sampler_seed)
        trials = optuna.create_study(directions=instance.directions, sampler=sampler)
        noise = np.random.default_rng(5)
        params = [instance.suggest(trials.ask()) for _ in range(60)]
        outcomes = [instance.evaluate(each, noise) for each in params]
        failed.append([n for n, outcome in enumerate(outcomes) if outcome.failed])
        finished = next(n for n in range(60) if n not in failed[-1])
        assert outcomes[finished] == plain.evaluate(params[finished], noise)
    assert failed[0] == failed[1]
    assert 1 <= len(failed[0]) <= 9


def test_the_report_has_failures_and_regret_by_problem(tmp_path: Path) -> None:
    def row(family: str, name: str, seed: int, steps: str, failures: str) -> Study:
        return Study(family, name, "tpe", seed, 50, steps, "", "1.0", 0.0, "", failures)

    rows = [row(REAL_LIFE, "NaN, 2 params", s, f"2:{s + 1}", str(3 * s)) for s in range(3)]
    for seed in range(2):
        rows.append(row("architectures", "seg", seed, "1:5 9:1", "0"))
        rows.append(row(FAILURES, f"seg{SUFFIX}", seed, f"2:5 9:{1 + seed}", "4"))
    text = write_report(rows, tmp_path / "suite.md")
    assert "| NaN, 2 params | 3 | 2 (1.0) |" in text
    assert "| NaN, 2 params | 50 | 3 (0 to 6) |" in text
    assert "| TPE | 2 | 0.0000 | 0.1250 | +0.1250 | 0.1250 |" in text


def test_rows_of_an_older_version_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "tpe.csv"
    append(study("tpe", 0, "1:3"), path)
    head, row = path.read_text(encoding="utf-8").splitlines()
    older = head.removesuffix(",failures") + "\n" + row.removesuffix(",") + "\n"
    path.write_text(older, encoding="utf-8")
    append(study("tpe", 1, "1:2"), path)
    assert load(path) == [study("tpe", 0, "1:3"), study("tpe", 1, "1:2")]


def test_rows_may_be_compressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report is made of both kinds of file."""
    folder = tmp_path / "suite"
    folder.mkdir()
    for sampler in ("ncp", "tpe"):
        row = replace(study(sampler, 0, "1:3 9:1"), family=SHIFTED, ask_ms="1.0")
        append(row, folder / f"{sampler}.csv")
    plain, packed = folder / "tpe.csv", folder / "tpe.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    rows = load(plain)
    plain.unlink()
    assert load(packed) == rows
    assert main(["--out", str(tmp_path), "--report"]) == 0
    assert "| TPE |" in capsys.readouterr().out


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    which = ["--out", str(tmp_path), "--problems", "two integers", "--samplers", "random,tpe,nsga2"]
    assert main([*which, "--seeds", "1"]) == 0
    assert main([*which, "--seeds", "2", "--resume"]) == 0
    assert "| TPE |" in capsys.readouterr().out
    assert (tmp_path / "suite.png").stat().st_size > 10_000
    assert (tmp_path / "suite.md").read_text(encoding="utf-8").count("## ") == 4
    kept = load(tmp_path / "suite" / "tpe.csv")
    assert [study.seed for study in kept] == [0, 1]
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
