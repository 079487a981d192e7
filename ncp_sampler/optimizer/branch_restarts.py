"""Exploration of other conditional branches once the best trial's branch makes no progress.

Before the parameters that exist only under a category are searched, a model knows little about
them. In the branch of the best trial, the model knows much and expects a small but nearly certain
gain from any further step. A larger but unlikely gain in another branch then has a lower expected
improvement, and the study stays in the first good branch. Therefore, once a branch makes no
progress, every second proposal explores another branch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.search_space import SearchSpace

# Space, codes, merit, random generator and exhausted parts -> columns that select a part of the
# space; None to search the whole space
Elsewhere: TypeAlias = Callable[
    [SearchSpace, NDArray[np.float64], FloatArray, np.random.Generator, Sequence[FloatArray]],
    FloatArray | None,
]

_RECENT = 8  # number of trials without progress after which a branch stalls
_PROGRESS = 0.01  # minimum progress, as a fraction of the distance from the median to the best


def other_branch(
    space: SearchSpace,
    codes: NDArray[np.float64],
    merit: FloatArray,
    rng: np.random.Generator,
    without: Sequence[FloatArray] = (),
) -> FloatArray | None:
    """Return the columns (d,) that select another branch, NaN elsewhere; None to search all.

    Args:
        space: The search space; a space without conditions has no branches.
        codes: Codes of the observations in order, then of pending trials, (n, d).
        merit: Merit of the observations, to be maximized, NaN where unknown, (at most n,).
        rng: Random generator that draws a branch if several were tried equally rarely.
        without: Columns that select exhausted branches, (d,) each.
    """
    if not space.conditions:
        return None
    merit = np.concatenate([merit, np.full(len(codes) - len(merit), np.nan)])
    known = ~np.isnan(merit)
    if not known.any():
        return None
    present = space.exists(codes)
    best = int(np.nanargmax(merit))
    progress = least_progress(merit)
    if (present[-1] != present[best]).any() or not stalls(merit[known], progress):
        return None
    branches, which = np.unique(present, axis=0, return_inverse=True)
    which = which.reshape(-1)
    others = {
        i: int((which == i).sum())
        for i in range(len(branches))
        if i != which[best] and not stalls(merit[(which == i) & known], progress)
    }
    while others:
        rarest = [i for i, count in others.items() if count == min(others.values())]
        drawn = int(rng.choice(rarest))
        chosen = np.flatnonzero(which == drawn)
        at = chosen[np.argmax(np.nan_to_num(merit[chosen], nan=-np.inf))]
        pinned = np.full(len(space.columns), np.nan)
        for parent in {condition.parent for condition in space.conditions.values()}:
            if present[at, space.names.index(parent)]:
                where = space.column_slice(parent)
                pinned[where] = codes[at, where]
        if not is_among(pinned, without):
            return pinned
        del others[drawn]
    return None


def is_among(pinned: FloatArray, known_columns: Sequence[FloatArray]) -> bool:
    """Return True if the columns (d,) that select a part of the space are in a list."""
    return any(np.array_equal(pinned, known, equal_nan=True) for known in known_columns)


def least_progress(merit: FloatArray) -> float:
    """Return the progress, in units of merit, below which a search counts as stalled.

    Args:
        merit: Merit of the observations, to be maximized, NaN where unknown, (n,).
    """
    known = merit[~np.isnan(merit)]
    return _PROGRESS * float(known.max() - np.median(known)) if len(known) else 0.0


def stalls(merit: FloatArray, progress: float) -> bool:
    """Return True if the most recent trials made at most the given progress."""
    if len(merit) <= _RECENT:
        return False
    return bool(merit.max() - merit[:-_RECENT].max() <= progress)
