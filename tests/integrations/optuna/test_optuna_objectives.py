"""Costs, limits and constraints in a study: how Optuna says them, and that they are heeded."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
import torch
from optuna.samplers import PartialFixedSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from ncp_sampler import Integer, MRSpace, NCPSampler, SearchSpace, costs
from tests.optuna_examples import constrain

PLANE = SearchSpace([Integer("x", 0, 100), Integer("y", 0, 100), Integer("one", 1, 1)])


def _sum(codes: torch.Tensor) -> torch.Tensor:
    return codes[:, 0] + codes[:, 1]


def _gain(trial: Trial) -> float:
    params = PLANE.suggest(trial)
    return float(params["x"] + 2 * params["y"])


def _broken(trial: Trial) -> float:
    """x + 2 y, where x + y <= 60; a third of the trials fail, once that is known of them."""
    value = _gain(trial)
    constrain(trial, "sum", trial.params["x"] + trial.params["y"] - 60)
    if trial.number % 3 == 2:
        raise optuna.TrialPruned if trial.number % 2 else RuntimeError
    return value


@pytest.mark.parametrize("declared", [PLANE, None])
def test_set_constraint_is_learnt(declared: SearchSpace | None) -> None:
    sampler = NCPSampler(space=declared, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(_broken, n_trials=32, catch=(RuntimeError,))
    feasible = [t.params for t in study.trials if t.params["x"] + t.params["y"] <= 60]
    # proposed, that is: it is not proposed again if it is one of the trials that fail
    assert max(params["x"] + 2 * params["y"] for params in feasible) == 120


def test_constraints_func_is_taken() -> None:
    def excess(trial: FrozenTrial) -> tuple[float, ...]:
        return (trial.params["x"] + trial.params["y"] - 60,)

    sampler = NCPSampler(space=PLANE, seed=0, constraints_func=excess)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(_gain, n_trials=26)
    assert study.trials[3].system_attrs["constraints"] == [excess(study.trials[3])[0]]
    feasible = [trial.value for trial in study.trials if excess(trial)[0] <= 0]
    assert max(value or 0 for value in feasible) >= 118


def test_constraints_func_that_gives_no_numbers() -> None:
    sampler = NCPSampler(space=PLANE, seed=0, constraints_func=lambda trial: [None])  # type: ignore[list-item]
    study = optuna.create_study(sampler=sampler)
    with pytest.raises(ValueError, match=r"constraints_func=.* which returns \[None\] for trial 0"):
        study.optimize(_gain, n_trials=1)


def test_constraints_of_another_samplers_study_are_learnt() -> None:
    """Old form and new; some trials without, which hold."""
    study = optuna.create_study(direction="maximize", sampler=NCPSampler(space=PLANE, seed=0))
    codes: list[list[float]] = PLANE.sample(24, 0).tolist()
    for i in range(24):
        params = PLANE.to_params(codes[i])
        left = float(params["x"] + params["y"] - 60)
        new = {"constraints:0": left}
        forms: list[dict[str, Any]] = [{"constraints": [left]}, new, {} if left <= 0 else new]
        study.add_trial(
            optuna.create_trial(
                params=params,
                distributions=PLANE.distributions,
                value=float(params["x"] + 2 * params["y"]),
                system_attrs=forms[i % 3],
            )
        )
    proposed = [study.ask(PLANE.distributions).params for _ in range(4)]
    assert all(params["x"] + params["y"] <= 75 for params in proposed)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("key", [1, "sum"])
def test_a_known_objective_by_index_or_name(key: Any) -> None:
    sampler = NCPSampler(space=PLANE, seed=0, costs={key: _sum}, limits={key: 90})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.set_metric_names(["gain", "sum"])
    study.optimize(lambda trial: (_gain(trial), trial.params["x"] + trial.params["y"]), 16)
    assert all(trial.values[1] <= 90 for trial in study.trials)
    ends = [trial.params for trial in study.best_trials]
    assert len(ends) >= 6
    assert max(params["y"] for params in ends) >= 85  # most of the better one


def test_an_index_that_the_study_does_not_have() -> None:
    sampler = NCPSampler(space=PLANE, seed=0, costs={2: _sum})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    with pytest.raises(ValueError, match=r"costs has the objectives \[2\], but the study has 2"):
        study.ask(PLANE.distributions)


def test_a_weight_of_no_objective_is_refused_when_the_first_trial_suggests() -> None:
    """A study's objectives are unknown to the constructor; the space is inferred."""
    study = optuna.create_study(
        directions=["maximize", "maximize"],
        sampler=NCPSampler(seed=0, objective_weights={"diabet": 2.0}),
    )
    with pytest.raises(ValueError, match=r"\['diabet'\], not among the objectives \['value_0', "):
        study.ask().suggest_float("x", 0, 1)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_limits_hold_from_the_first_trial_on_and_given_what_is_fixed() -> None:
    """Also where a fixed value is off the range: then for the nearest valid one."""
    space = MRSpace()
    sampler = NCPSampler(
        space=space, seed=0, n_startup_trials=3, costs={"flops": costs.flops}, limits={"flops": 0.3}
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({"b1": 4})
    study.enqueue_trial({"b2": 9})
    with pytest.warns(UserWarning, match="out of range"):
        study.optimize(lambda trial: float(space.suggest(trial)["o1"]), n_trials=5)
    fixed = PartialFixedSampler({"i1": 64, "c1_1": 64}, sampler)
    study.sampler = fixed
    study.optimize(lambda trial: float(space.suggest(trial)["o1"]), n_trials=2)
    trials = study.get_trials(states=[TrialState.COMPLETE])
    codes = space.to_code([trial.params for trial in trials], clip=True)
    assert costs.flops(codes).max() <= 0.3
    assert [trial.params["c1_1"] for trial in trials[-2:]] == [64, 64]


def test_trials_over_a_limit_that_a_user_gives_are_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An enqueued trial with all params runs as given, and an older trial has run."""
    sampler = NCPSampler(space=PLANE, seed=0, costs={"sum": _sum}, limits={"sum": 60})
    study = optuna.create_study(direction="maximize", sampler=sampler)
    older = {"x": 70, "y": 7, "one": 1}
    study.add_trial(optuna.trial.create_trial(
        params=older, distributions=PLANE.distributions, value=84.0
    ))  # fmt: skip
    enqueued = {"x": 100, "y": 100, "one": 1}
    study.enqueue_trial(enqueued)
    study.enqueue_trial({"x": 20, "y": 40})
    study.optimize(_gain, n_trials=14)
    assert study.best_trial.number == 1
    assert all(trial.params["x"] + trial.params["y"] <= 60 for trial in study.trials[2:])
    over = [message for message in caplog.messages if "exceeds the limit" in message]
    assert over == [
        f"trial with {params} (observation {i}) exceeds the limit sum<=60: {cost}; hard limits "
        "apply to proposals only, and the trial counts like any other"
        for i, (params, cost) in enumerate([(older, 77), (enqueued, 200)])
    ]


def test_costs_want_all_parameters() -> None:
    sampler = NCPSampler(space=PLANE, seed=0, costs={"sum": _sum})
    study = optuna.create_study(sampler=sampler)
    with pytest.raises(ValueError, match=r"costs cannot be computed without \['y'\]"):
        sampler.sample_relative(
            study, study.ask()._cached_frozen_trial, {"x": PLANE.distributions["x"]}
        )


def test_two_workers_with_constraints_and_objectives_propose_no_code_twice() -> None:
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=NCPSampler(space=PLANE, seed=0)
    )

    def objective(trial: Trial) -> tuple[float, float]:
        value = _gain(trial)
        constrain(trial, "sum", trial.params["x"] + trial.params["y"] - 60)
        return value, abs(trial.params["x"] - 20)

    study.optimize(objective, n_trials=24, n_jobs=4)
    assert len({json.dumps(trial.params) for trial in study.trials}) == 24
