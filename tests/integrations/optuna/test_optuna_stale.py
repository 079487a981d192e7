"""Running trials of killed workers: they repel the search for a while, and then no longer."""

from __future__ import annotations

import datetime
import heapq
import random
from collections.abc import Callable

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from ncp_sampler import Float, Integer, NCPSampler, SearchSpace
from ncp_sampler.integrations.optuna.proposing import pending_params, stale_numbers

_BEGIN = datetime.datetime(2026, 1, 1)


def simulate(
    duration: Callable[[random.Random], float], n_workers: int, n_killed: int
) -> tuple[set[int], int | None]:
    """Run 300 trials with killed ones at the start, in simulated time.

    Returns:
        Honest trials that ever counted as stale; number of trials at which all killed ones did.
    """
    rng = random.Random(0)
    trials: list[FrozenTrial] = []
    queue: list[tuple[float, int]] = []

    def begin(now: float, runs: bool) -> None:
        trial = create_trial(state=TrialState.RUNNING)
        trial.number = len(trials)
        trial.datetime_start = _BEGIN + datetime.timedelta(seconds=now)
        trials.append(trial)
        if runs:
            heapq.heappush(queue, (now + duration(rng), trial.number))

    for i in range(n_killed + n_workers):
        begin(1e-3 * i, runs=i >= n_killed)
    misjudged: set[int] = set()
    expired = None
    while len(trials) < 300:
        now, number = heapq.heappop(queue)
        trials[number].state = TrialState.COMPLETE
        trials[number].datetime_complete = _BEGIN + datetime.timedelta(seconds=now)
        stale = stale_numbers(trials, [t for t in trials if t.state == TrialState.RUNNING])
        misjudged |= stale - {*range(n_killed)}
        if expired is None and {*range(n_killed)} <= stale:
            expired = len(trials)
        begin(now + 1e-4, runs=True)
    return misjudged, expired


@pytest.mark.parametrize(
    ("duration", "within"),
    [
        (lambda rng: 1 + 0.1 * rng.random(), 70),
        (lambda rng: 10 ** rng.random(), 100),
        (lambda rng: 10.0 if rng.random() < 0.05 else 1.0, 100),
    ],
)
def test_honest_workers_are_not_misjudged(
    duration: Callable[[random.Random], float], within: int
) -> None:
    """Eight workers beside eight killed ones, with trials up to ten times as long as others."""
    assert len(simulate(duration, 8, 0)[0]) <= 3
    _, expired = simulate(duration, 8, 8)
    assert expired is not None
    assert expired <= within
    assert simulate(duration, 1, 8)[1] == 8 + 1 + 10  # one worker: after ten trials


def test_a_batch_that_is_told_in_any_order_is_not_stale() -> None:
    space = SearchSpace([Integer("x", 0, 99)])
    study = optuna.create_study(sampler=NCPSampler(space=space, seed=0))
    trials = [study.ask(space.distributions) for _ in range(40)]
    for trial in trials[1:]:
        study.tell(trial, 0.0)
    stored = study.get_trials(deepcopy=False)
    assert not stale_numbers(stored, [stored[0]])


def test_stale_trials_give_their_codes_back() -> None:
    """The best code was lost with its worker; without others left, it is tried again."""
    space = SearchSpace([Integer("x", 0, 14)])
    study = optuna.create_study(sampler=NCPSampler(space=space, seed=0))
    study.enqueue_trial({"x": 7})
    study.ask(space.distributions)  # and never told
    study.optimize(lambda trial: abs(trial.suggest_int("x", 0, 14) - 7), n_trials=15)
    assert study.best_params == {"x": 7}
    assert [t.state for t in study.trials].count(TrialState.RUNNING) == 1


def test_stale_trials_do_not_repel_the_search_for_ever() -> None:
    """Trials of eight killed workers are pending until ten later ones have finished."""
    space = SearchSpace([Float("x", -5, 5)])
    sampler = NCPSampler(space=space, seed=0, n_startup_trials=100)
    study = optuna.create_study(sampler=sampler)
    for _ in range(8):
        space.suggest(study.ask())  # and never told
    n_pending = []
    for _ in range(12):
        study.optimize(lambda trial: abs(trial.suggest_float("x", -5, 5)), n_trials=1)
        [history] = [h for s in sampler._studies.values() for h in s.spaces]
        n_pending.append(len(pending_params(history, study.trials, study.trials[-1].number)))
    assert n_pending == [8] * 10 + [0] * 2
