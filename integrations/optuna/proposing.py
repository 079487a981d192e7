"""Proposals for workers that share only a storage; no two workers run the same params.

A *stale* trial belongs to a worker that was killed. Without a heartbeat, Optuna's storages keep it
running forever. A running trial counts as stale once far more trials have started after it and
finished than started during any recent finished trial. All workers agree on this rule.
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

_MAX_TRIES = 10  # Maximum number of choices: the first, and nine after collisions
_GRACE = 10  # Number of later finished trials that never make a trial stale
_FACTOR = 3  # Multiple of the usual number of later trials beyond which a trial is stale
_RECENT = 100  # Number of latest finished trials that define the usual number


def propose(
    study: Study,
    trial: FrozenTrial,
    trials: Sequence[FrozenTrial],
    history: SpaceHistory,
    fixed: Params,
) -> Params:
    """Choose and publish params, which have not been tried if the objective is deterministic.

    Workers that share no memory can choose the same code at the same time. Each worker publishes
    its code before it reads the others', so at least one of two workers sees the other's code. A
    worker whose code is taken chooses another one by its rank among the rivals, so that even
    identical workers diverge (renaming, Attiya et al. 1990). The rank also grows with every
    attempt, so that fast workers do not overtake a slow one again and again.
    """
    rank = 0
    for tries in range(1, _MAX_TRIES + 1):
        history.read(trials)
        pending = pending_params(history, trials, trial.number)
        # both may change when other workers' trials are read, if these have new parameters
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
    # a parameter that is inferred not to exist may exist nevertheless
    return claimed if history.inferred else asked[chosen]


def pending_params(
    history: SpaceHistory, trials: Sequence[FrozenTrial], number: int
) -> dict[int, Params]:
    """Return the valid params of other unfinished trials that are not stale, if all are known."""
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
    """Return the current trials in the storage."""
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
        # a later number alone is not sufficient, because an enqueued trial has its number before it
        # begins; nor is a later time, because the clocks of machines differ
        later = (
            trial
            for trial in trials[suspect.number + 1 :]
            if _has_result(trial) and _start(trial) >= _start(suspect)
        )
        return next(islice(later, most, None), None) is not None

    return {trial.number for trial in suspects if is_stale(trial)}


def _has_result(trial: FrozenTrial) -> bool:
    """Return True if a trial has a result; the rest do not count, as many may fail at once."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _start(trial: FrozenTrial) -> datetime:
    return trial.datetime_start or datetime.min


def _end(trial: FrozenTrial) -> datetime:
    return trial.datetime_complete or datetime.min
