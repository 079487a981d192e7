"""Exploration of a rarely tried category once a search without branches makes no progress.

If only a few trials had a category, most of them with random values of the other parameters, these
trials were usually poor, and the model attributes this to the category. Proposals then stay with
the categories of the best trial. Therefore, once a search makes no progress, every third proposal
has the least tried category of a randomly drawn categorical, until trials with that category make
no progress, either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.branch_restarts import is_among, least_progress, stalls
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

_TURNS = 3  # number of proposals per exploration of a category
_MOST_CATEGORIES = 16  # maximum number of categories; to try each of more would take too long


def other_category(
    space: SearchSpace,
    codes: NDArray[np.float64],
    merit: FloatArray,
    rng: np.random.Generator,
    without: Sequence[FloatArray] = (),
) -> FloatArray | None:
    """Return the columns (d,) that select a category, NaN elsewhere; None to search all categories.

    Args:
        space: The search space.
        codes: Codes of the observations in order, then of pending trials, (n, d).
        merit: Merit of the observations, to be maximized, NaN where unknown, (at most n,).
        rng: Random generator that draws the categorical and, if several categories are equally
            rare, the category.
        without: Columns that select exhausted categories, (d,) each.
    """
    dimensions = [
        dim
        for dim in space.dimensions
        if isinstance(dim, Categorical) and 1 < len(dim.choices) <= _MOST_CATEGORIES
    ]
    known = merit[~np.isnan(merit)]
    if not dimensions or len(codes) % _TURNS or not stalls(known, least_progress(merit)):
        return None
    where = space.column_slice(dimensions[rng.integers(len(dimensions))].name)
    block = codes[:, where] > 0
    progress = least_progress(merit)
    others = [
        i
        for i, own in enumerate(block[: len(merit)].T)
        if not block[int(np.nanargmax(merit)), i]
        and not stalls(merit[own & ~np.isnan(merit)], progress)
    ]
    tried = block.sum(axis=0)
    while others:
        rarest = [i for i in others if tried[i] == tried[others].min()]
        drawn = int(rng.choice(rarest))
        pinned = np.full(len(space.columns), np.nan)
        pinned[where] = 0.0
        pinned[where.start + drawn] = 1.0
        if not is_among(pinned, without):
            return pinned
        others.remove(drawn)
    return None
