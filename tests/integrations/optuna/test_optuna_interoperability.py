"""NCPSampler beside the rest of Optuna: other samplers, pruners, studies, threads, copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import Trial, TrialState

from ncp_sampler import (
    Categorical,
    Integer,
    NCPSampler,
    SearchSpace,
)
from tests.optuna_examples import SPACE, new_study, objective, params_of


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.mark.parametrize("pins", [{"op": "pool"}, {"op": "pool", "rate": 0.01}, {"op": "??"}])
def test_partial_fixed_sampler(pins: dict[str, Any]) -> None:
    study = new_study(NCPSampler(space=SPACE, seed=0, n_startup_trials=2))
    study.optimize(objective, n_trials=3)
    with pytest.warns(ExperimentalWarning):
        study.sampler = optuna.samplers.PartialFixedSampler(pins, study.sampler)
    if pins["op"] == "??":
        with pytest.raises(ValueError, match="not in"):  # Optuna's own
            study.optimize(objective, n_trials=1)
        return
    study.optimize(objective, n_trials=3)
    assert all(trial.params | pins == trial.params for trial in study.trials[3:])


def test_partial_fixed_sampler_learns_from_all_trials_and_repeats_none() -> None:
    space = SearchSpace([Integer("a", 0, 3), Integer("b", 0, 1)])
    study = new_study(NCPSampler(space=space, seed=0, n_startup_trials=2))
    study.optimize(lambda trial: sum(space.suggest(trial).values()), n_trials=4)
    done = sum(trial.params["b"] == 1 for trial in study.trials)
    with pytest.warns(ExperimentalWarning):
        study.sampler = optuna.samplers.PartialFixedSampler({"b": 1}, study.sampler)
    study.optimize(lambda trial: sum(space.suggest(trial).values()), n_trials=4 - done)
    assert {t.params["a"] for t in study.trials if t.params["b"] == 1} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "suggest",
    [
        lambda t: t.suggest_int("width", 40, 64, step=8),  # values resampled by Optuna
        lambda t: t.suggest_int("width", 8, 64, step=8),  # every value fits
        lambda t: t.suggest_int("width", 8, 32),
    ],
)
def test_objective_that_does_not_fit_the_declared_space(suggest: Callable[[Trial], float]) -> None:
    study = new_study(NCPSampler(space=SPACE, seed=0))
    study.optimize(objective, n_trials=2)
    with pytest.raises(ValueError, match=r"'width'.*IntDistribution.*IntDistribution.*leave"):
        study.optimize(suggest, n_trials=5)
    assert len(study.trials) == 3  # the first such trial ends the run; nothing is lost
    assert [trial.state for trial in study.trials[:2]] == [TrialState.COMPLETE] * 2
    if study.trials[2].params:  # its value was recorded before the error
        assert study.trials[2].values == [study.trials[2].params["width"]]


def test_declared_parameter_that_is_not_suggested() -> None:
    def narrow(trial: Trial) -> float:
        return trial.suggest_int("width", 8, 32, step=8) + trial.suggest_float("rate", 1e-4, 1e-1)

    def pruned(trial: Trial) -> float:
        trial.suggest_int("width", 8, 32, step=8)
        raise optuna.TrialPruned

    study = new_study(NCPSampler(space=SPACE, seed=0))
    study.optimize(pruned, n_trials=1)  # may end before it has suggested all
    declared = SearchSpace([Integer("width", 8, 32, step=8), Categorical("op", ("a", "b"))])
    study.sampler = NCPSampler(space=declared, seed=0)
    with pytest.raises(ValueError, match=r"'op': .* nothing of this name.*Categorical.*leave"):
        study.optimize(narrow, n_trials=5)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert study.trials[1].value == sum(study.trials[1].params.values())  # kept


def test_another_kind_than_declared_is_optunas_error() -> None:
    study = new_study()
    with pytest.raises(ValueError, match="different distribution kind"):
        study.optimize(lambda trial: trial.suggest_float("width", 8, 32), n_trials=1)


def test_several_studies_in_turn_and_of_the_same_name(caplog: pytest.LogCaptureFixture) -> None:
    sampler = NCPSampler(seed=0, n_startup_trials=2)
    first, second, namesake = (new_study(sampler, study_name=name) for name in ("a", "b", "a"))
    for _ in range(3):
        first.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        second.optimize(lambda trial: trial.suggest_int("x", 5, 9), n_trials=2)
        namesake.optimize(lambda trial: trial.suggest_int("y", 50, 90), n_trials=1)
    assert not caplog.messages
    assert [trial.params.keys() for trial in namesake.trials] == [{"y"}] * 3
    for i in range(9):
        new_study(sampler, study_name=str(i)).optimize(objective, n_trials=1)
    assert len(sampler._studies) <= 4


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda study: pickle.loads(pickle.dumps(study))]
)
def test_copies_continue_alike(duplicate: Callable[[Study], Study]) -> None:
    study = new_study(NCPSampler(space=SPACE, seed=0, n_startup_trials=2))
    study.optimize(objective, n_trials=3)
    twin = duplicate(study)
    assert twin.sampler is not study.sampler
    for each in (study, twin):
        each.optimize(objective, n_trials=3)
    assert params_of(twin) == params_of(study)


def test_reseeding_parts_copies() -> None:
    study = new_study()
    study.optimize(objective, n_trials=1)
    twin = copy.deepcopy(study)
    for each in (study, twin):
        each.sampler.reseed_rng()  # also for spaces that are new after it
        each.optimize(lambda trial: objective(trial) + trial.suggest_int("a", 0, 99), n_trials=3)
    assert params_of(study)[:1] == params_of(twin)[:1]
    assert params_of(study) != params_of(twin)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_torch_defaults_of_the_user_do_not_matter(mode: Callable[[], Any]) -> None:
    def run() -> list[dict[str, Any]]:
        study = new_study(NCPSampler(space=SPACE, seed=0, n_startup_trials=2))
        study.optimize(objective, n_trials=4)
        return params_of(study)

    usual = run()
    dtype = torch.get_default_dtype()
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        with mode():
            changed = run()
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(dtype)
    assert changed == usual


@pytest.mark.parametrize("space", [SPACE, None])
def test_hyperband(space: SearchSpace | None) -> None:
    def pruned(trial: Trial) -> float:
        value = objective(trial)
        for step in range(4):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2)
    sampler = NCPSampler(space=space, seed=0, n_startup_trials=6)
    # a trial's bracket is a hash of the study's name, which would be another in each run
    study = new_study(sampler, pruner=pruner, study_name="brackets")
    with pytest.warns(ExperimentalWarning):
        study.set_metric_names(["accuracy"])
    study.optimize(pruned, n_trials=20)
    assert {TrialState.COMPLETE, TrialState.PRUNED} == {t.state for t in study.trials}


def test_threads_share_one_sampler_and_repeat_nothing() -> None:
    space = SearchSpace([Integer("a", 0, 3), Integer("b", 0, 3)])
    study = new_study(NCPSampler(space=space, seed=0, n_startup_trials=6))
    study.optimize(lambda trial: sum(space.suggest(trial).values()), n_trials=16, n_jobs=4)
    assert len({tuple(sorted(p.items())) for p in params_of(study)}) == 16


def test_repeats_only_when_no_code_is_left_or_the_objective_is_noisy() -> None:
    for deterministic, distinct in ((True, {0, 1, 2}), (False, None)):
        space = SearchSpace([Integer("x", 0, 2)])
        sampler = NCPSampler(space=space, seed=0, deterministic_objective=deterministic)
        study = new_study(sampler)
        study.optimize(lambda trial: trial.suggest_int("x", 0, 2), n_trials=5)
        drawn = [p["x"] for p in params_of(study)]
        assert distinct is None or set(drawn[:3]) == distinct


def test_two_objectives_with_constraints_and_infinite_values() -> None:
    study = new_study(
        NCPSampler(space=SPACE, seed=0, n_startup_trials=2), directions=["maximize", "minimize"]
    )
    infinities = iter([np.inf, -np.inf, 0.0, 1.0, 2.0, 3.0])

    def constrained(trial: Trial) -> tuple[float, float]:
        value = objective(trial)
        if hasattr(trial, "set_constraint"):  # from Optuna 5 on
            trial.set_constraint("budget", value - 20)
        return value, next(infinities)

    study.optimize(constrained, n_trials=6)
    assert len(study.best_trials) >= 1
