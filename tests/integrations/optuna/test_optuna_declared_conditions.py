"""A declared space with conditions: proposals, limits and checks of what exists alone."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import PartialFixedSampler
from optuna.study import Study
from optuna.trial import Trial, TrialState, create_trial

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    NCPOptimizer,
    NCPSampler,
    SearchSpace,
    Source,
)
from ncp_sampler.integrations.optuna import next_task, report_task, task_values
from tests.conditional_examples import LIMIT, NETWORK, WIDTHS, accuracy, flops, widths
from tests.optuna_examples import NotingSampler


def network(trial: Trial) -> float:
    """A user's objective, layer by layer."""
    for i in range(trial.suggest_int("n_layers", 1, 4)):
        trial.suggest_int(f"w{i}", 16, 128, step=8)
    return accuracy(trial.params)


def limited(**kwargs: Any) -> NCPSampler:
    kwargs = {"space": NETWORK, "seed": 0, "n_startup_trials": 5, **kwargs}
    return NCPSampler(costs={"flops": flops}, limits={"flops": LIMIT}, **kwargs)


def optimized(objective: Any, n_trials: int, sampler: Any = None, **kwargs: Any) -> Study:
    sampler = sampler or limited(independent_sampler=NotingSampler(0))
    study = optuna.create_study(direction="maximize", sampler=sampler, **kwargs)
    study.optimize(objective, n_trials=n_trials)
    return study


def test_every_proposal_has_what_exists_and_keeps_the_limit() -> None:
    """``accuracy`` and ``flops`` raise for params with anything else."""
    noting = NotingSampler(0)
    study = optimized(network, 16, limited(independent_sampler=noting))
    assert noting.drawn == []
    assert max(flops(trial.params) for trial in study.trials) <= LIMIT
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 16
    assert study.best_value > 1.5


def test_it_proposes_as_the_optimizer_does() -> None:
    study = optimized(network, 9)
    optimizer = NCPOptimizer(
        NETWORK, directions={"value": "maximize"}, costs={"flops": flops},
        limits={"flops": LIMIT}, n_startup_trials=5, seed=0,
    )  # fmt: skip
    for trial in study.trials:
        (params,) = optimizer.ask()
        assert params == trial.params
        assert trial.value is not None
        optimizer.tell(params, {"value": trial.value})


def test_a_trial_that_lacks_what_exists_is_refused() -> None:
    study = optuna.create_study(sampler=limited())

    def forgets(trial: Trial) -> float:
        trial.suggest_int("n_layers", 1, 4)
        return 0.0

    with pytest.raises(ValueError, match="parameter 'w0': the objective suggests nothing"):
        study.optimize(forgets, n_trials=1)


def test_what_does_not_exist_may_be_suggested_and_has_the_middle() -> None:
    """An objective may ask for all layers first, and use some: equal codes are equal trials."""
    noting = NotingSampler(0)

    def asks_for_all(trial: Trial) -> float:
        depth = trial.suggest_int("n_layers", 1, 4)
        for name in WIDTHS:
            trial.suggest_int(name, 16, 128, step=8)
        used = {name: trial.params[name] for name in WIDTHS[:depth]}
        return accuracy({"n_layers": depth, **used})

    study = optimized(asks_for_all, 8, limited(independent_sampler=noting))
    for trial in study.trials:
        assert {trial.params[name] for name in WIDTHS[trial.params["n_layers"] :]} <= {72}
    assert noting.drawn == []
    own = optimized(network, 8)  # which learns the same
    for trial, expected in zip(study.trials, own.trials, strict=True):
        assert expected.params.items() <= trial.params.items()


def test_pinned_parents_and_children() -> None:
    with pytest.warns(ExperimentalWarning):
        sampler = PartialFixedSampler({"n_layers": 2, "w3": 16}, limited())
    study = optimized(network, 8, sampler)
    assert {trial.params["n_layers"] for trial in study.trials} == {2}
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 8
    with pytest.warns(ExperimentalWarning):
        study.sampler = PartialFixedSampler({"w1": 24}, limited())
    study.optimize(network, n_trials=4)
    assert {trial.params.get("w1", 24) for trial in study.trials[8:]} == {24}
    assert max(flops(trial.params) for trial in study.trials) <= LIMIT


def test_enqueued_trials() -> None:
    study = optuna.create_study(direction="maximize", sampler=limited())
    study.enqueue_trial({"n_layers": 3})
    study.enqueue_trial({"n_layers": 1, **dict.fromkeys(WIDTHS, 32)})  # more than exists
    study.enqueue_trial({"w0": 40})
    study.enqueue_trial({"n_layers": 2, "w0": 33, "w1": 16})  # off the grid: Optuna warns
    with pytest.warns(UserWarning, match="is out of range|not in|fixed parameter"):
        study.optimize(network, n_trials=6)
    first, second, third, *_ = [trial.params for trial in study.trials]
    assert len(widths(first)) == 3
    assert second == {"n_layers": 1, "w0": 32}
    assert third["w0"] == 40
    assert max(map(flops, (first, second, third))) <= LIMIT


def test_parameters_of_one_value() -> None:
    """Optuna suggests them itself: a parent, and a child that may not exist."""
    space = SearchSpace(
        [
            Categorical("kind", ("net",)),
            Integer("depth", 1, 3),
            Integer("bits", 8, 8),
            Float("rate", 0.0, 1.0),
            Float("decay", 0.0, 1.0),
        ],
        conditions={
            "bits": ("depth", [2, 3]),
            "decay": ("bits", [8]),  # whenever bits exist
            "rate": ("kind", ["net"]),  # always
        },
    )

    def objective(trial: Trial) -> float:
        params = space.suggest(trial)
        assert ("bits" in params) == ("decay" in params) == (params["depth"] > 1)
        return float(params["rate"] + params.get("decay", 0.5) + params["depth"])

    study = optimized(objective, 9, NCPSampler(space=space, seed=0, n_startup_trials=4))
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)

    def leaves_out(trial: Trial) -> float:  # what has one value
        rate = trial.suggest_float("rate", 0, 1)
        if trial.suggest_int("depth", 1, 3) == 1:
            return rate
        return rate + trial.suggest_float("decay", 0, 1)

    study.optimize(leaves_out, n_trials=4)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_workers_run_different_networks(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/a.db"
    studies = [
        optuna.create_study(
            storage=storage, study_name="s", direction="maximize", load_if_exists=True,
            sampler=limited(seed=0),
        )
        for _ in range(2)
    ]  # fmt: skip
    proposed = []
    for _ in range(6):
        trials = [study.ask() for study in studies]  # both run at once
        for study, trial in zip(studies, trials, strict=True):
            value = network(trial)
            assert flops(trial.params) <= LIMIT
            proposed.append(tuple(trial.params.items()))
            study.tell(trial, value)
    assert len(set(proposed)) == len(proposed)


def test_trials_of_other_samplers_and_of_before(caplog: pytest.LogCaptureFixture) -> None:
    """Trials with values of everything count, those that lack a layer do not."""
    study = optuna.create_study(direction="maximize", sampler=limited(n_startup_trials=3))
    dists = NETWORK.distributions
    full = {"n_layers": 1, "w0": 64, "w1": 24, "w2": 128, "w3": 128}
    for params in (full, {"n_layers": 2, "w0": 64, "w1": 64}, {"n_layers": 3, "w0": 16, "w1": 16}):
        given = {name: dists[name] for name in params}
        study.add_trial(create_trial(params=params, distributions=given, value=1.0))
    with caplog.at_level(logging.WARNING, "ncp_sampler"):
        study.optimize(network, n_trials=4)
    assert "trial 2 lacks ['w2']" in caplog.text
    new = [trial.params for trial in study.trials[3:]]
    assert {"n_layers": 1, "w0": 64} not in new
    assert {"n_layers": 2, "w0": 64, "w1": 64} not in new


def test_a_pickled_sampler_goes_on_the_same() -> None:
    studies = [optimized(network, 7) for _ in range(2)]
    studies[1].sampler = pickle.loads(pickle.dumps(studies[1].sampler))
    for study in studies:
        study.optimize(network, n_trials=3)
    first, second = ([trial.params for trial in study.trials] for study in studies)
    assert first == second


def test_a_known_cost_as_an_objective() -> None:
    sampler = NCPSampler(
        space=NETWORK, costs={1: flops}, limits={1: LIMIT}, seed=0, n_startup_trials=4
    )
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(lambda trial: (network(trial), flops(trial.params)), n_trials=9)
    for trial in study.trials:
        known = sampler.known_costs(study, trial.params)
        assert known == {"value_1": flops(trial.params)}
    assert sampler.known_costs(study, {"n_layers": 2, "w0": 16}) == {}


def test_tasks_of_what_exists() -> None:
    sampler = NCPSampler(space=NETWORK, seed=0, n_startup_trials=4)
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)

    def two_tasks(trial: Trial) -> list[float]:
        depth = trial.suggest_int("n_layers", 1, 4)
        with pytest.raises(ValueError, match=r"trial has no \['w0'"):
            next_task(trial)
        for i in range(depth):
            trial.suggest_int(f"w{i}", 16, 128, step=8)
        while (task := next_task(trial)) is not None:
            value = accuracy(trial.params) - (task == "value_1") * flops(trial.params) / 1e5
            report_task(trial, task, value)
        return task_values(trial)

    study.optimize(two_tasks, n_trials=8)
    assert all(trial.state.is_finished() for trial in study.trials)


def test_an_earlier_study_is_a_source() -> None:
    earlier = optimized(network, 8)
    study = optimized(network, 4, limited(sources=[Source(earlier, same_task=True)]))
    tried = [trial.params for trial in earlier.trials]
    assert all(trial.params not in tried for trial in study.trials)


def test_a_branch_is_explored_and_named() -> None:
    """A depth whose networks do not improve is left for another one, every other time."""
    space = SearchSpace(
        [Integer("n", 1, 3), *(Float(f"x{i}", 0, 1) for i in range(3))],
        conditions={f"x{i}": ("n", [i + 1]) for i in range(3)},
    )

    def flat(trial: Trial) -> float:
        params = space.suggest(trial)
        return float(params["n"] + 1e-6 * trial.number)

    study = optuna.create_study(sampler=NCPSampler(space=space, seed=0, n_startup_trials=5))
    study.optimize(flat, n_trials=25)
    reasons = [trial.system_attrs["ncp:reasons"] for trial in study.trials]
    turns = [
        (r["branch"], t.params["n"])
        for r, t in zip(reasons, study.trials, strict=True)
        if "branch" in r
    ]
    assert turns
    assert all(branch == {"n": n} for branch, n in turns)


def test_a_known_cost_of_params_without_one_that_has_a_single_value() -> None:
    """Such a parameter need not be suggested."""
    space = SearchSpace([Integer("one", 3, 3), Float("x", 0, 1)])
    sampler = NCPSampler(space=space, costs={1: lambda params: params["one"] + params["x"]})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    assert sampler.known_costs(study, {"x": 0.5}) == {"value_1": 3.5}
    assert sampler.known_costs(study, {"one": 3}) == {}
