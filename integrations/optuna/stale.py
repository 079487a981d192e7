"""Running trials that will not finish: those of workers that were killed.

Without a heartbeat, Optuna's storages keep such a trial as running for ever. It counts as stale
once far more trials began after it, and finished, than began during any of the latest finished
trials. That depends on the storage alone, so that every worker judges alike.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

_GRACE = 10  # finished later trials that never make a trial stale
_FACTOR = 3  # multiple of the usual number of later trials, from which on it is stale
_RECENT = 100  # latest finished trials that say what is usual


def stale_numbers(trials: Sequence[FrozenTrial], unfinished: Iterable[FrozenTrial]) -> set[int]:
    """Return the numbers of the unfinished trials that count as stale."""
    suspects = [
        trial
        for trial in unfinished
        if trial.state == TrialState.RUNNING and len(trials) - 1 - trial.number > _GRACE
    ]
    if not suspects:
        return set()
    most = _GRACE + _FACTOR * _most_overlapping(trials)
    return {trial.number for trial in suspects if _n_later(trials, trial, most + 1) > most}


def _n_later(trials: Sequence[FrozenTrial], running: FrozenTrial, enough: int) -> int:
    """Count the finished trials that began after a running one, up to ``enough``.

    A later number is not sufficient, since a trial that was enqueued has its number before it
    begins; nor is a later time, since clocks of machines differ.
    """
    n_later = 0
    for trial in trials[running.number + 1 :]:
        n_later += _has_result(trial) and _start(trial) >= _start(running)
        if n_later == enough:
            break
    return n_later


def _most_overlapping(trials: Sequence[FrozenTrial]) -> int:
    """Return the largest number of the latest trials that began while one of them ran."""
    recent: list[FrozenTrial] = []
    for trial in reversed(trials):
        if _has_result(trial):
            recent.append(trial)
        if len(recent) == _RECENT:
            break
    starts = sorted(map(_start, recent))
    return max(
        (bisect_left(starts, _end(t)) - bisect_right(starts, _start(t)) for t in recent), default=0
    )


def _has_result(trial: FrozenTrial) -> bool:
    """Return True for a trial that ran to a result: failures may come in any number at once."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _start(trial: FrozenTrial) -> datetime:
    return trial.datetime_start or datetime.min


def _end(trial: FrozenTrial) -> datetime:
    return trial.datetime_complete or datetime.min
