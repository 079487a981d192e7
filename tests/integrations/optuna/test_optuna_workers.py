"""Equal NCPSamplers without shared memory, at work on one study."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial, create_trial

from ncp_sampler import (
    Categorical,
    Integer,
    NCPSampler,
    SearchSpace,
)
from ncp_sampler.integrations.optuna import proposing as adapter
from ncp_sampler.integrations.optuna.claims import publish_claim
from ncp_sampler.space.search_space import Params

SPACE = SearchSpace([Integer("x", 0, 40, step=10), Categorical("op", ("a", "b"))])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def new_study() -> Study:
    return optuna.create_study(sampler=NCPSampler(space=SPACE, seed=0))


def new_trial(study: Study) -> FrozenTrial:
    return study._storage.get_trial(study.ask()._trial_id)


@pytest.mark.parametrize("both_look_after_both_published", [True, False])
def test_equal_workers_never_run_the_same_code(
    monkeypatch: pytest.MonkeyPatch, both_look_after_both_published: bool
) -> None:
    """Two workers with one seed and no shared memory, in the two orders that can collide."""
    study = new_study()
    workers = [copy.deepcopy(study.sampler) for _ in range(2)]
    trials = [study._storage.get_trial(study.ask()._trial_id) for _ in range(2)]
    chosen: dict[int, Params] = {}
    met = threading.Barrier(2, timeout=30)
    first_tries: list[Params] = []

    def run(i: int) -> None:
        chosen[i] = workers[i].sample_relative(study, trials[i], SPACE.distributions)

    def publish(study: Study, trial: FrozenTrial, params: Params, distributions: Any) -> None:
        first_tries.append(params)
        is_first = len(first_tries) <= 2
        if is_first and both_look_after_both_published:
            met.wait()
        elif len(first_tries) == 1:
            run(1)  # the other chooses, publishes and looks, before this one publishes
        publish_claim(study, trial, params, distributions)
        if is_first and both_look_after_both_published:
            met.wait()

    monkeypatch.setattr(adapter, "publish_claim", publish)
    if both_look_after_both_published:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, range(2)))
    else:
        run(0)
    assert first_tries[0] == first_tries[1]
    assert chosen[0] != chosen[1]


def test_a_slow_worker_is_not_starved_by_a_fast_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast one runs a whole trial whenever the slow one is about to publish its choice."""
    study = new_study()
    slow, fast = study.sampler, copy.deepcopy(study.sampler)
    slow_trial = new_trial(study)
    tries: list[Params] = []
    taken: list[Params] = []

    def publish(study: Study, trial: FrozenTrial, params: Params, distributions: Any) -> None:
        if trial.number == slow_trial.number and len(taken) < 8:
            tries.append(params)
            concurrent = new_trial(study)
            taken.append(fast.sample_relative(study, concurrent, SPACE.distributions))
            for name, value in taken[-1].items():
                distribution = SPACE.distributions[name]
                internal = distribution.to_internal_repr(value)
                study._storage.set_trial_param(concurrent._trial_id, name, internal, distribution)
            study.tell(concurrent.number, float(len(taken)))
        publish_claim(study, trial, params, distributions)

    monkeypatch.setattr(adapter, "publish_claim", publish)
    chosen = slow.sample_relative(study, slow_trial, SPACE.distributions)
    assert tries[0] == taken[0]
    assert chosen not in taken
    assert len(tries) < 5


@pytest.mark.parametrize("n_left", [1, 2, 3])
def test_ranks_beyond_the_codes_left_repeat_nothing(
    monkeypatch: pytest.MonkeyPatch, n_left: int
) -> None:
    """The last free code but ``n_left - 1`` is lost to another worker just before the look."""
    study = new_study()
    codes = [SPACE.to_params(code) for code in SPACE.enumerate()]
    n_used = len(codes) - n_left - 1

    def add(params: Params) -> None:
        study.add_trial(create_trial(params=params, distributions=SPACE.distributions, value=0.0))

    for params in codes[:n_used]:
        add(params)
    lost: list[Params] = []

    def publish(study: Study, trial: FrozenTrial, params: Params, distributions: Any) -> None:
        publish_claim(study, trial, params, distributions)
        if not lost:
            lost.append(params)
            add(params)

    monkeypatch.setattr(adapter, "publish_claim", publish)
    for _ in range(n_left):
        trial = study.ask()
        assert SPACE.suggest(trial) in codes[n_used:]
        study.tell(trial, 0.0)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == len(codes)


def test_a_new_parameter_of_another_worker_while_one_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other trial ends in between, with a parameter that makes the search begin anew."""
    study = optuna.create_study(sampler=NCPSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    concurrent = study.ask()
    concurrent.suggest_float("x", 0, 1)

    def publish(*arguments: Any) -> None:
        publish_claim(*arguments)
        monkeypatch.setattr(adapter, "publish_claim", publish_claim)
        concurrent.suggest_float("new", 0, 1)
        study.tell(concurrent, 1.0)

    monkeypatch.setattr(adapter, "publish_claim", publish)
    trial = study.ask()
    assert 0 <= trial.suggest_float("x", 0, 1) <= 1
    assert study.trials[trial.number].system_attrs["ncp:reasons"]["how"]
