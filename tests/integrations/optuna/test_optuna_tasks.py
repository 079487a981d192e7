"""Several tasks in one Optuna study: reported one by one, planned, and the best compromise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from ncp_sampler import Float, Integer, NCPSampler, SearchSpace
from ncp_sampler.integrations.optuna import compromise, next_task, report_task, task_values

SPACE = SearchSpace([Float("x", 0, 1), Integer("width", 1, 64)])
WAYS: list[Any] = ["maximize", "minimize"]


def _value(task: int, params: dict[str, Any]) -> float:
    """An accuracy that is best at x = 0.3, and an error that is best at x = 0.6."""
    off = (params["x"] - (0.3, 0.6)[task]) ** 2 + (params["width"] / 64 - 0.5) ** 2
    return float(1 - off if task == 0 else off)


def _study(storage: Any = None, **options: Any) -> optuna.Study:
    options = {"objective_weights": "compromise", "seed": 0, **options}
    sampler = NCPSampler(**options)
    return optuna.create_study(directions=WAYS, sampler=sampler, storage=storage)


def _one_in_turn(trial: optuna.Trial) -> list[float]:
    params = SPACE.suggest(trial)
    task = trial.number % 2
    report_task(trial, task, _value(task, params))
    return task_values(trial)  # raises TrialPruned


def test_trials_of_one_task_each_find_the_compromise() -> None:
    study = _study()
    study.optimize(_one_in_turn, n_trials=30)
    assert {trial.state for trial in study.trials} == {TrialState.PRUNED}
    chosen = compromise(study)
    assert chosen.params == study.trials[chosen.number].params
    assert chosen.params["x"] == pytest.approx(0.45, abs=0.1)
    assert len(chosen.predicted) == 1
    assert "(predicted)" in str(chosen)


def test_reports_are_read_from_a_storage_by_another_process(tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    _study(storage).optimize(_one_in_turn, n_trials=16)
    name = optuna.get_all_study_names(storage)[0]
    again = optuna.load_study(study_name=name, storage=storage, sampler=NCPSampler(seed=1))
    assert compromise(again).number < 16
    again.optimize(_one_in_turn, n_trials=2)
    assert again.trials[-1].system_attrs["ncp:reasons"]["how"] == "search"


@pytest.mark.parametrize("state", ["pruned", "failed"])
def test_what_was_reported_is_learned_however_the_trial_ends(state: str) -> None:
    """The second task crashes where x > 0.5: it is avoided, and what the first said is kept."""
    study = _study()

    def objective(trial: optuna.Trial) -> list[float]:
        params = SPACE.suggest(trial)
        report_task(trial, 0, _value(0, params))
        if params["x"] > 0.5:
            raise optuna.TrialPruned if state == "pruned" else MemoryError
        report_task(trial, 1, _value(1, params))
        return task_values(trial)

    study.optimize(objective, n_trials=40, catch=MemoryError)
    assert sum(trial.params["x"] > 0.5 for trial in study.trials[20:]) <= 5
    assert compromise(study).params["x"] == pytest.approx(0.45, abs=0.12)


def test_a_planner_leaves_out_what_is_not_worth_its_cost() -> None:
    study = _study()

    def objective(trial: optuna.Trial) -> list[float]:
        params = SPACE.suggest(trial)
        while (task := next_task(trial, costs={0: 1.0, 1: 10.0})) is not None:
            report_task(trial, task, _value(int(task[-1]), params))
        return task_values(trial)

    study.optimize(objective, n_trials=30)
    pruned = study.get_trials(states=[TrialState.PRUNED])
    assert pruned
    cheap_first = [set(trial.user_attrs) == {"ncp:task:0"} for trial in pruned]
    assert sum(cheap_first) > len(pruned) / 2
    assert compromise(study).params["x"] == pytest.approx(0.45, abs=0.1)


def _random(trial: optuna.Trial) -> list[float]:
    params = SPACE.suggest(trial)
    return [_value(0, params), _value(1, params)]


@pytest.mark.parametrize(
    "sampler", [optuna.samplers.RandomSampler(seed=0), optuna.samplers.TPESampler(seed=0)]
)
def test_a_study_of_any_sampler_has_a_compromise(sampler: optuna.samplers.BaseSampler) -> None:
    study = optuna.create_study(directions=WAYS, sampler=sampler)
    study.optimize(_random, n_trials=40)
    chosen = compromise(study)
    assert chosen.number in {trial.number for trial in study.best_trials}
    assert list(chosen.values.values()) == study.trials[chosen.number].values
    assert compromise(study, "knee").number in {trial.number for trial in study.best_trials}
    best = max(study.trials, key=lambda trial: trial.values[0])
    assert compromise(study, {0: 1.0, 1: 0.0}).number == best.number


def test_a_planner_without_this_sampler_trains_every_task() -> None:
    study = optuna.create_study(directions=WAYS, sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    assert next_task(trial) == "value_0"
    report_task(trial, 0, 1.0)
    assert next_task(trial) == "value_1"
    report_task(trial, "value_1", 2.0)
    assert next_task(trial) is None
    assert task_values(trial) == [1.0, 2.0]


def test_a_known_cost_is_no_task_and_needs_no_report() -> None:
    cost: Callable[[Any], float] = lambda params: float(params["width"])  # noqa: E731
    study = optuna.create_study(
        directions=["maximize", "maximize", "minimize"],
        sampler=NCPSampler(space=SPACE, costs={2: cost}, seed=0),
    )
    for n in range(14):
        trial = study.ask()
        params = SPACE.suggest(trial)
        report_task(trial, n % 2, params["x"] + params["width"] if n % 2 else -params["x"])
        assert next_task(trial) in (f"value_{1 - n % 2}", None)
        study.tell(trial, state=TrialState.PRUNED)
    assert study.trials[-1].system_attrs["ncp:reasons"]["how"] == "search"
    trial = study.ask()
    params = SPACE.suggest(trial)
    report_task(trial, 0, 1.0)
    numbers: Any = np.int64(1), np.float32(2.0)
    report_task(trial, *numbers)
    report_task(trial, 2, params["width"])  # known, and may be reported all the same
    assert next_task(trial, costs={0: 1, 1: 1, 2: 1}) is None
    assert task_values(trial) == [1.0, 2.0, params["width"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda trial: report_task(trial, 2, 1.0), "task=2 must"),
        (lambda trial: report_task(trial, "seg", 1.0), "task='seg' must"),
        (lambda trial: report_task(trial, 0, float("nan")), "value=nan must"),
        (lambda trial: report_task("trial", 0, 1.0), "trial='trial' must"),  # type: ignore[arg-type]
        (lambda trial: next_task(trial, costs={0: 0.0}), "costs\\['value_0'\\]=0.0 must"),
        (compromise, "study=.* must"),
        (lambda trial: compromise(trial.study, "best"), "objective_weights='best' must"),
        (lambda trial: compromise(trial.study, "knees"), "one of \\('compromise', 'knee', 'std'"),
        (lambda trial: compromise(trial.study, {"value": 2}), "\\['value'\\], not among the obj"),
        (lambda trial: compromise(trial.study, None), "objective_weights=None must"),  # type: ignore[arg-type]
        (lambda trial: next_task(trial.study, costs={}), "trial=.* must"),
        (lambda trial: next_task(trial, costs={0: 1, "value_0": 2}), "'value_0' twice"),
        (
            lambda trial: compromise(trial.study, {5: 1.0}),
            "objective_weights has the objectives \\[5\\]",
        ),
        (lambda trial: compromise(trial.study), "no finished trial"),
    ],
)
def test_wrong_arguments_are_refused(call: Callable[[Any], Any], message: str) -> None:
    trial = _study().ask()
    with pytest.raises(ValueError, match=message):
        call(trial)


def test_a_study_of_one_objective_has_no_tasks() -> None:
    trial = optuna.create_study(sampler=NCPSampler()).ask()
    with pytest.raises(ValueError, match="has one objective"):
        report_task(trial, 0, 1.0)


def _added(values: list[float] | None, **options: Any) -> Any:
    """Return a finished trial of a study whose one parameter is x."""
    x = options.pop("x", 0.5)
    return optuna.trial.create_trial(
        params={"x": x},
        distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
        values=values,
        **options,
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_planner_in_a_conditional_space(seed: int) -> None:
    study = _study(seed=seed)

    def objective(trial: optuna.Trial) -> list[float]:
        branch = trial.suggest_categorical("branch", ["a", "b"])
        x = trial.suggest_float("x", 0, 1) if branch == "a" else 0.5
        while (task := next_task(trial)) is not None:
            report_task(trial, task, _value(int(task[-1]), {"x": x, "width": 32}))
        return task_values(trial)

    study.optimize(objective, n_trials=15)
    chosen = compromise(study)
    assert chosen.params == study.trials[chosen.number].params  # of a trial without x, none


def test_params_are_those_of_the_trial_where_a_range_has_changed() -> None:
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        x = trial.suggest_float("x", 0, 1 if trial.number < 8 else 0.4)
        trial.suggest_int("always", 3, 3)
        return abs(x - 0.7), abs(x - 0.75)

    study.optimize(objective, n_trials=12)
    chosen = compromise(study)
    assert chosen.params == study.trials[chosen.number].params
    assert chosen.params["x"] > 0.4


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_names_may_be_set_after_reports() -> None:
    study = _study()
    study.optimize(_one_in_turn, n_trials=14)
    study.set_metric_names(["accuracy", "error"])
    assert set(compromise(study).values) == {"accuracy", "error"}
    study.optimize(_one_in_turn, n_trials=2)
    trial = study.ask()
    SPACE.suggest(trial)
    assert next_task(trial) in ("accuracy", "error")
    report_task(trial, "accuracy", 0.5)
    reasons = study.trials[-1].system_attrs["ncp:reasons"]
    assert reasons["how"] == "search"
    assert "succeeds" not in reasons  # nothing has failed


def test_a_trial_that_is_predicted_to_be_infeasible_is_not_chosen() -> None:
    study = _study()
    for i in range(15):
        x = 0.02 + i / 15
        study.add_trial(_added([1 - x, x], x=x, system_attrs={"constraints:size": 0.3 - x}))
    report = {"ncp:task:0": 1.0}
    study.add_trial(_added(None, x=0.0, state=TrialState.PRUNED, user_attrs=report))
    assert study.trials[compromise(study).number].params["x"] > 0.3


def test_neither_a_failed_trial_nor_a_value_of_no_trial_is_chosen() -> None:
    study = _study()
    study.add_trial(_added(None, state=TrialState.FAIL, user_attrs={"ncp:task:0": 9.0}))
    study.add_trial(_added(None, state=TrialState.PRUNED, user_attrs={"ncp:task:0": 1.0}))
    with pytest.raises(ValueError, match=r"no trial has a finite value of \['value_1'\]"):
        compromise(study)
    study.add_trial(_added([0.5, 0.5], x=0.1))
    assert compromise(study).number in (1, 2)


def test_a_weight_of_0_leaves_the_choice_among_equals_to_the_others() -> None:
    study = optuna.create_study(directions=["maximize"] * 2)
    study.add_trials([_added([1.0, 0.0], x=0.1), _added([1.0, 5.0], x=0.2)])
    assert compromise(study, {0: 1.0, 1: 0.0}).number == 1


def test_no_outlier_sets_a_unit() -> None:
    study = optuna.create_study(directions=["maximize"] * 2)
    for i, x in enumerate(np.random.default_rng(0).permutation(20) / 19):
        low = -1e6 if i == 3 else -((x - 0.8) ** 2)
        study.add_trial(_added([-((x - 0.2) ** 2), low], x=float(x)))
    for weights in ("std", "range", "compromise"):
        assert 0.4 < compromise(study, weights).params["x"] < 0.6


def test_objectives_that_are_all_known_costs_have_a_compromise() -> None:
    sampler = NCPSampler(space=SPACE, costs={0: _share, 1: _width}, seed=0)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        params = SPACE.suggest(trial)
        return _share(params), _width(params)

    study.optimize(objective, n_trials=6)
    assert compromise(study).number < 6


def _share(params: dict[str, Any]) -> float:
    return float(params["x"])


def _width(params: dict[str, Any]) -> float:
    return float(params["width"])
