"""Proposals for several workers that share only a storage, so that no two try the same params.

If a worker is killed, its trial becomes *stale*: without a heartbeat, Optuna's storages list the
trial as running forever. A running trial therefore counts as stale if many trials started after it
and have finished, far more than started while any recent finished trial was running. Every worker
applies this rule to the same storage.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.integrations.optuna.claims import claimed_params, publish_claim
from ncp_sampler.integrations.optuna.conversion import REASONS_KEY, nearest_code
from ncp_sampler.integrations.optuna.study_history import SpaceHistory
from ncp_sampler.optimizer.explanation import numbered
from ncp_sampler.space.search_space import Params

_MAX_TRIES = 10  # Maximum number of choices per trial: the first, and nine after collisions
_GRACE = 10  # Number of later trials that is always tolerated before a trial counts as stale
_FACTOR = 3  # Tolerated multiple of the number of trials that start during a recent trial
_RECENT = 100  # Number of latest finished trials that are compared with a running trial


def propose(
    study: Study,
    trial: FrozenTrial,
    trials: Sequence[FrozenTrial],
    history: SpaceHistory,
    fixed: Params,
) -> Params:
    """Choose params for a trial, and write them to the storage so that other workers see them.

    If the objective is deterministic, no other trial has tried or is running the chosen params, as
    long as such params are left. Workers share only the storage, so two of them can choose the same
    code at the same time. Each worker therefore first writes its choice and then reads the choices
    of the others, so that at least one of two workers notices a collision. That worker chooses
    again, by its rank among the trials that collided, so that even identical workers diverge
    (renaming, Attiya et al. 1990). The rank also grows with every attempt, so that fast workers
    cannot repeatedly displace a slow one.
    """
    rank = 0
    for tries in range(1, _MAX_TRIES + 1):
        history.read(trials)
        pending = pending_params(history, trials, trial.number)
        optimizer, numbers = history.optimizer, history.numbers
        asked = optimizer.ask(rank + 1, pending=list(pending.values()), fixed=fixed or None)
        codes = [history.code(params) for params in asked]
        taken = set(map(history.code, pending.values()))
        free = [
            i for i, code in enumerate(codes) if code not in taken and code not in history.codes
        ]
        chosen = free[rank % len(free)] if free else 0
        claimed = history.with_middle(asked[chosen])
        publish_claim(study, trial, claimed, history.distributions)
        if not free or not optimizer.deterministic_objective:
            break
        trials = all_trials(study)
        history.read(trials)
        rivals = [
            number
            for number, claim in pending_params(history, trials, trial.number).items()
            if history.code(claim) == codes[chosen]
        ]
        if not rivals and codes[chosen] not in history.codes:
            break
        rank = tries + sum(number < trial.number for number in rivals)
    reasons = numbered(optimizer.reasons[chosen], numbers)
    study._storage.set_trial_system_attr(trial._trial_id, REASONS_KEY, dict(reasons))
    # an inferred condition may be wrong, so values are given even for parameters that it excludes
    return claimed if history.inferred else asked[chosen]


def pending_params(
    history: SpaceHistory, trials: Sequence[FrozenTrial], number: int
) -> dict[int, Params]:
    """Return trial number -> params of the other unfinished trials.

    Stale trials, and trials whose params are not all known or do not fit the space, are left out.
    Numbers off the range or grid are replaced by the nearest valid values.
    """
    pending = {}
    unfinished = [t for t in history.cursor.unfinished(trials) if t.number != number]
    stale = stale_numbers(trials, unfinished)
    for trial in unfinished:
        params = history.all_params(claimed_params(trial, history.distributions))
        nearest = None if params is None else nearest_code(history.space, params)
        if nearest is not None and trial.number not in stale:
            pending[trial.number] = history.space.to_params(nearest[0])
    return pending


def all_trials(study: Study) -> list[FrozenTrial]:
    """Return all trials that are currently in the storage."""
    return study._get_trials(deepcopy=False, use_cache=False)


def stale_numbers(trials: Sequence[FrozenTrial], unfinished: Sequence[FrozenTrial]) -> set[int]:
    """Return the numbers of the unfinished trials that count as stale."""
    running = [trial for trial in unfinished if trial.state == TrialState.RUNNING]
    suspects = [trial for trial in running if len(trials) - 1 - trial.number > _GRACE]
    if not suspects:
        return set()
    recent = list(islice(filter(_has_result, reversed(trials)), _RECENT))
    starts = sorted(map(_start, recent))
    overlapping = [bisect_left(starts, _end(t)) - bisect_right(starts, _start(t)) for t in recent]
    most = _GRACE + _FACTOR * max(overlapping, default=0)

    def is_stale(suspect: FrozenTrial) -> bool:
        # count only trials with a later number and a later start: an enqueued trial has its number
        # long before it starts, and the clocks of different machines differ
        later = (
            trial
            for trial in trials[suspect.number + 1 :]
            if _has_result(trial) and _start(trial) >= _start(suspect)
        )
        return next(islice(later, most, None), None) is not None

    return {trial.number for trial in suspects if is_stale(trial)}


def _has_result(trial: FrozenTrial) -> bool:
    """Return True if a trial was completed or pruned.

    Failed trials do not count for staleness, because many trials can fail within a short time.
    """
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _start(trial: FrozenTrial) -> datetime:
    return trial.datetime_start or datetime.min


def _end(trial: FrozenTrial) -> datetime:
    return trial.datetime_complete or datetime.min
