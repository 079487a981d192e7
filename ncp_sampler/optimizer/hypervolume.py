"""Fronts, and what lies beyond them as boxes: exact, of any number of objectives.

All objectives are to be maximized. What is better than a reference point and dominated by no point
of a front is cut into boxes that do not overlap; the hypervolume that a point y adds is then the
sum over boxes of the product over objectives k of min(y_k, high_k) - low_k, where above 0.

Notation
    p, m       points of a front, objectives
    front      (p, m)
    low, high  (boxes, m), the corners; high may be infinite
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray

_ADVANCE = 0.05  # of the spread of the first trials
_WINDOW = 200  # trials; of one or two of them it is seen which moved the front
_EARLY = 10  # trials, from whose worst values on hypervolume counts


def pareto_front(values: FloatArray) -> NDArray[np.intp]:
    """Positions of the points (n, m) that no other one dominates, of equal ones the first."""
    left = np.argsort(-values.sum(axis=1), kind="stable")  # no point is dominated by a later one
    found = []
    while len(left):
        found.append(left[0])
        left = left[(values[left] > values[left[0]]).any(axis=1)]
    return np.array(found, dtype=np.intp)


def thinned(front: FloatArray, most: int) -> FloatArray:
    """At most so many points of a front: the best by each objective, then the farthest apart."""
    if len(front) <= most:
        return front
    spread = np.ptp(front, axis=0)
    scaled = front / np.where(spread > 0, spread, 1.0)
    kept = list(dict.fromkeys(front.argmax(axis=0).tolist()))[:most]
    distance = np.min([np.abs(scaled - scaled[i]).max(axis=1) for i in kept], axis=0)
    while len(kept) < most:
        kept.append(int(distance.argmax()))
        distance = np.minimum(distance, np.abs(scaled - scaled[kept[-1]]).max(axis=1))
    few: FloatArray = front[np.sort(kept)]
    return few


def boxes_beyond(front: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What is better than the reference (m,) and not dominated by the front, as boxes.

    Each point cuts off every box the part that it dominates; what is left of the box is cut along
    each objective in turn. Taken by the first objective, few boxes are cut more than once.
    """
    m = len(reference)
    low, high = reference[None], np.full((1, m), np.inf)
    for point in front[np.argsort(-front[:, 0], kind="stable")]:
        cut = (low < point).all(axis=1)
        left_low, left_high = [low[~cut]], [high[~cut]]
        rest_low, rest_high = low[cut], high[cut]
        for k in range(m):
            above = rest_high[:, k] > point[k]
            some_low, some_high = rest_low[above].copy(), rest_high[above]
            some_low[:, k] = point[k]
            left_low.append(some_low)
            left_high.append(some_high)
            rest_high = rest_high.copy()
            rest_high[:, k] = np.minimum(rest_high[:, k], point[k])
        low, high = np.concatenate(left_low), np.concatenate(left_high)
    return low, high


def reference_of(values: FloatArray) -> FloatArray:
    """The point (m,) beyond which hypervolume counts, read off the trials in the order told.

    In each objective a tenth of the spread below the worst of the first trials, which no search had
    chosen yet: it stays where it is, ends that nobody seeks (the least cost, of no use) do not
    count for more as soon as they are known, and everything in between counts whole.
    """
    found = []
    for column in values.T:
        early = column[~np.isnan(column)][:_EARLY]
        spread = np.ptp(early) if np.ptp(early) > 0 else np.nanstd(column)
        found.append(early.min() - 0.1 * spread)
    return np.array(found)


def advances(
    values: FloatArray, able: NDArray[np.bool_], reference: FloatArray, n_startup: int
) -> FloatArray:
    """How often later trials have moved the front, for each that did, (1 + later trials,).

    A trial moves it that is ahead of each of its points in an objective, by a share of the spread
    that the first trials have: a little beyond, or between two of them, there is always something.

    Args:
        values: Of the trials in the order told, (n, m).
        able: Which of them may be on the front, (n,).
        reference: Beyond which hypervolume counts, (m,).
        n_startup: How many of them were startup's.

    Returns:
        0 for the startup, then the moves so far for each trial that makes one; -inf for others.
    """
    spread = np.array([np.ptp(column[~np.isnan(column)][:_EARLY]) for column in values.T])
    begin = min(max(n_startup, (len(values) // _WINDOW - 1) * _WINDOW), len(values))
    able = able & (values > reference).all(axis=1)
    front = values[:begin][able[:begin]]
    front = front[pareto_front(front)]
    found = np.full(1 + len(values) - begin, -np.inf)
    found[0] = moves = 0
    for i in np.flatnonzero(able[begin:]):
        point = values[begin + i]
        if (point > front + _ADVANCE * spread).any(axis=1).all():
            moves += 1
            found[1 + i] = moves
        front = np.concatenate([front[(front > point).any(axis=1)], point[None]])
    return found
