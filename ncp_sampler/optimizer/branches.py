"""When a study leaves the branch of its best trial: to learn whether another one is better.

Of parameters that exist only under a choice, a model knows little before they are searched. In the
best trial's branch it knows much, and expects a little from any further step there: so little, for
certain, that more elsewhere, hardly likely, counts for less. A study then ends in the first branch
that was good. Once its steps gain next to nothing, every other proposal is of another branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.goals import Told
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.conditional import ConditionalSpace
from ncp_sampler.space.search_space import SearchSpace

_RECENT = 8  # trials that gained next to nothing
_NEXT_TO_NOTHING = 0.01  # of the way from the median trial to the best


def in_a_branch(
    space: SearchSpace,
    pinned: FloatArray,
    told: Told,
    codes: NDArray[Any],
    waiting: Sequence[NDArray[Any]],
    rng: np.random.Generator,
) -> FloatArray:
    """What is given of the next proposal, (d,): a branch, where it is another one's turn.

    Args:
        space: The search space.
        pinned: Numbers of columns that are given anyway, NaN elsewhere, (d,).
        told: The trials; of several objectives there is no best branch.
        codes: Theirs, in the order they were told, (n, d).
        waiting: Codes of the trials that run.
        rng: As of ``other_branch``.
    """
    if not isinstance(space, ConditionalSpace) or told.values.shape[1] != 1:
        return pinned
    if not np.isnan(pinned).all():
        return pinned
    merit = np.where(told.feasible, told.values[:, 0], np.nan)
    begun = np.concatenate([codes, np.reshape(waiting, (-1, codes.shape[1]))])
    other = other_branch(space, begun, merit, rng)
    return pinned if other is None else other


def other_branch(
    space: SearchSpace, codes: NDArray[np.float64], merit: FloatArray, rng: np.random.Generator
) -> FloatArray | None:
    """Columns (d,) of what decides another branch, NaN elsewhere; None to go on as before.

    Args:
        space: The search space; one without conditions has no branches.
        codes: Of the trials in the order they were told, and then of those that run, (n, d).
        merit: Of those told, to be maximized, NaN where unknown, (at most n,).
        rng: Draws among branches that were tried as rarely.
    """
    if not isinstance(space, ConditionalSpace) or not space.conditions:
        return None
    merit = np.concatenate([merit, np.full(len(codes) - len(merit), np.nan)])
    known = ~np.isnan(merit)
    if not known.any():
        return None
    present = space.exists(codes)
    best = int(np.nanargmax(merit))
    least = _NEXT_TO_NOTHING * (merit[best] - float(np.median(merit[known])))
    if (present[-1] != present[best]).any() or not _stalls(merit[known], least):
        return None
    branches, which = np.unique(present, axis=0, return_inverse=True)
    which = which.reshape(-1)
    others = {
        i: int((which == i).sum())
        for i in range(len(branches))
        if i != which[best] and not _stalls(merit[(which == i) & known], least)
    }
    if not others:
        return None
    rarest = [i for i, count in others.items() if count == min(others.values())]
    chosen = np.flatnonzero(which == rng.choice(rarest))
    at = chosen[np.argmax(np.nan_to_num(merit[chosen], nan=-np.inf))]
    pinned = np.full(len(space.columns), np.nan)
    for parent in {one.parent for one in space.conditions}:
        if present[at, space.names.index(parent)]:
            where = space.column_slice(parent)
            pinned[where] = codes[at, where]
    return pinned


def _stalls(merit: FloatArray, least: float) -> bool:
    """Whether the last trials of a branch, or of all, gained no more than the least."""
    if len(merit) <= _RECENT:
        return False
    return bool(merit.max() - merit[:-_RECENT].max() <= least)
