"""Objectives whose parameters change: added, removed, frozen, or present in some trials only."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from ncp_sampler import Integer, NCPSampler, SearchSpace, Source

GRID = SearchSpace([Integer("a", 0, 30), Integer("b", 0, 30)])


def bowl(trial: Trial) -> float:
    return float(
        (trial.suggest_int("a", 0, 30) - 17) ** 2 + (trial.suggest_int("b", 0, 30) - 4) ** 2
    )


def with_x_at_first(trial: Trial) -> float:
    """The parameter x was removed after the first trial."""
    return bowl(trial) + (trial.suggest_float("x", 0, 1) if trial.number == 0 else 0.0)


def with_x_until_8(trial: Trial) -> float:
    return bowl(trial) + (trial.suggest_float("x", 0, 1) if trial.number < 8 else 0.0)


def frozen_from_8(trial: Trial) -> float:
    low, high = (0.0, 1.0) if trial.number < 8 else (0.5, 0.5)
    return bowl(trial) + trial.suggest_float("x", low, high)


def with_x_in_a_corner(trial: Trial) -> float:
    """No single parameter decides whether x exists."""
    value = bowl(trial)
    corner = trial.params["a"] > 10 and trial.params["b"] > 10
    return value + (trial.suggest_float("x", 0, 1) if corner else 0.0)


def repeated(study: optuna.Study) -> int:
    """Return the number of trials that have exactly the params of an earlier one."""
    params = [tuple(sorted(trial.params.items())) for trial in study.trials]
    return len(params) - len(set(params))


@pytest.mark.parametrize(
    "objective", [with_x_at_first, with_x_until_8, frozen_from_8, with_x_in_a_corner]
)
def test_no_params_are_proposed_twice(objective: Callable[[Trial], float]) -> None:
    study = optuna.create_study(sampler=NCPSampler(seed=0))
    study.optimize(objective, n_trials=28)
    assert repeated(study) == 0
    assert study.best_value < 5


def test_a_parameter_that_recent_trials_lack_is_not_searched_any_more() -> None:
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=100))
    study.optimize(with_x_at_first, n_trials=20)
    assert study.sampler.infer_relative_search_space(study, study.trials[-1]).keys() == {
        "a", "b", "x",
    }  # fmt: skip
    study.optimize(with_x_at_first, n_trials=1)
    assert study.sampler.infer_relative_search_space(study, study.trials[-1]).keys() == {"a", "b"}


@pytest.mark.parametrize("declared", [True, False])
def test_trials_added_from_a_study_with_one_more_parameter(declared: bool) -> None:
    old = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    old.optimize(lambda trial: bowl(trial) + trial.suggest_float("x", 0, 1), n_trials=12)
    study = optuna.create_study(sampler=NCPSampler(space=GRID if declared else None, seed=0))
    study.add_trials(old.trials)
    study.optimize(bowl, n_trials=20)
    new = [(trial.params["a"], trial.params["b"]) for trial in study.trials[12:]]
    assert len(set(new)) == len(new)


def test_an_additional_parameter_of_a_source_is_ignored() -> None:
    old = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    old.optimize(lambda trial: bowl(trial) + trial.suggest_float("x", 0, 1), n_trials=12)
    study = optuna.create_study(sampler=NCPSampler(sources=[Source(old, same_task=True)], seed=0))
    study.optimize(bowl, n_trials=20)
    assert repeated(study) == 0
    assert study.sampler.infer_relative_search_space(study, study.trials[-1]).keys() == {"a", "b"}


def test_a_trial_of_another_type_that_is_added_later_fails_no_trial() -> None:
    study = optuna.create_study(sampler=NCPSampler(seed=0))
    for _ in range(2):
        study.optimize(lambda trial: trial.suggest_float("rate", 1e-5, 1, log=True), n_trials=4)
        study.add_trial(
            optuna.create_trial(
                params={"rate": 2}, distributions={"rate": IntDistribution(1, 5)}, value=1.0
            )
        )
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


@pytest.mark.parametrize(
    ("value", "distribution"),
    [
        (0.1, FloatDistribution(1e-5, 1)),
        (2, IntDistribution(1, 5)),
        (0.1, CategoricalDistribution([0.1, 0.2])),
    ],
)
def test_an_added_trial_with_another_type_fails_no_trial(
    value: float, distribution: BaseDistribution
) -> None:
    """For Optuna, a value proposed for another type of distribution is an error."""
    study = optuna.create_study(sampler=NCPSampler(seed=0))
    study.add_trial(
        optuna.create_trial(params={"rate": value}, distributions={"rate": distribution}, value=1.0)
    )
    study.optimize(lambda trial: trial.suggest_float("rate", 1e-5, 1, log=True), n_trials=5)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_a_trial_that_failed_early_does_not_exclude_the_rest_of_the_space() -> None:
    """Both values of a fail once before b is suggested; the other codes are proposed later."""

    def objective(trial: Trial) -> float:
        a = trial.suggest_int("a", 0, 1)
        if trial.number in (4, 5, 6, 7):
            raise ValueError("out of memory")
        return a + trial.suggest_int("b", 0, 9) / 10

    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=4))
    study.optimize(objective, n_trials=24, catch=ValueError)
    complete = study.get_trials(states=[TrialState.COMPLETE])
    assert len({tuple(trial.params.items()) for trial in complete}) >= 18
    assert study.best_value == 0


def test_a_parameter_that_is_added_later_is_searched_for_all_other_values() -> None:
    """The earlier trials lack it, because the objective had no such parameter yet."""

    def objective(trial: Trial) -> float:
        layers = trial.suggest_int("layers", 1, 3)
        if trial.number < 8:
            return 2.0 + layers
        return layers + (trial.suggest_float("dropout", 0, 1) - 0.3) ** 2

    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=5))
    study.optimize(objective, n_trials=30)
    assert study.best_params["layers"] == 1
    assert study.best_value == pytest.approx(1, abs=1e-4)


def test_a_trial_without_parameters_does_not_exclude_everything() -> None:
    def objective(trial: Trial) -> float:
        return 2000.0 if trial.number == 3 else bowl(trial)

    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=5))
    study.optimize(objective, n_trials=25)
    assert repeated(study) == 0
    assert study.best_value < 5


def test_a_parent_and_its_child_that_were_removed_are_not_searched_any_more() -> None:
    def objective(trial: Trial) -> float:
        value = (trial.suggest_float("x", 0, 1) - 0.3) ** 2
        if trial.number < 12 and trial.suggest_categorical("c", ["a", "b"]) == "a":
            value += trial.suggest_float("p", 0, 1)
        return value

    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=100))
    study.optimize(objective, n_trials=32)
    assert study.sampler.infer_relative_search_space(study, study.trials[-1]).keys() == {"x"}
