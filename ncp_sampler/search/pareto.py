"""Pareto fronts, box decompositions of the region beyond a front, and scalarizations.

All objectives are to be maximized. The region that is better than a reference point and not
dominated by the front is divided into disjoint boxes. To compute the hypervolume that a point y
adds, max(min(y_k, high_k) - low_k, 0) is multiplied over the objectives k, and the products are
summed over the boxes.

Notation
    p, m       points of a front, objectives
    front      (p, m)
    low, high  corners of boxes, (boxes, m); high may be infinite
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray

_ADVANCE = 0.05  # minimum advance of a front that counts, as a fraction of the first trials' spread
_WINDOW = 200  # number of trials per window; the latest one or two are searched for advances
_EARLY = 10  # number of first trials; the reference point lies below their worst values
# Weight of the sum relative to the minimum. With nearly the minimum alone (0.05 in ParEGO), a
# search improves one objective at a time and falls behind in all
_AUGMENTATION = 1.0


def pareto_front(values: FloatArray) -> NDArray[np.intp]:
    """Return the positions of Pareto-optimal points (n, m); of equal points, only the first."""
    left = np.argsort(-values.sum(axis=1), kind="stable")  # no point is dominated by a later one
    front = []
    while len(left):
        front.append(left[0])
        left = left[(values[left] > values[left[0]]).any(axis=1)]
    return np.array(front, dtype=np.intp)


def thinned(front: FloatArray, limit: int) -> FloatArray:
    """Return at most ``limit`` points of a front: the best per objective, then distant others."""
    if len(front) <= limit:
        return front
    spread = np.ptp(front, axis=0)
    scaled = front / np.where(spread > 0, spread, 1.0)
    kept = list(dict.fromkeys(front.argmax(axis=0).tolist()))[:limit]
    distance = np.min([np.abs(scaled - scaled[i]).max(axis=1) for i in kept], axis=0)
    while len(kept) < limit:
        kept.append(int(distance.argmax()))
        distance = np.minimum(distance, np.abs(scaled - scaled[kept[-1]]).max(axis=1))
    return np.asarray(front[np.sort(kept)])


def boxes_beyond(front: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return boxes that cover the region above the reference (m,) that no front point dominates.

    Each point removes the part that it dominates from every box; the rest of the box is divided
    along each objective in turn. If points are sorted by the first objective, few boxes are
    divided more than once.
    """
    m = len(reference)
    low, high = reference[None], np.full((1, m), np.inf)
    for point in front[np.argsort(-front[:, 0], kind="stable")]:
        cut = (low < point).all(axis=1)
        lows, highs = [low[~cut]], [high[~cut]]
        rest_low, rest_high = low[cut], high[cut]
        for k in range(m):
            above = rest_high[:, k] > point[k]
            part_low, part_high = rest_low[above].copy(), rest_high[above]
            part_low[:, k] = point[k]
            lows.append(part_low)
            highs.append(part_high)
            rest_high = rest_high.copy()
            rest_high[:, k] = np.minimum(rest_high[:, k], point[k])
        low, high = np.concatenate(lows), np.concatenate(highs)
    return low, high


def reference_point(values: FloatArray) -> FloatArray:
    """Return the point (m,) beyond which hypervolume counts, given trials in order of observation.

    In each objective, the point lies a tenth of the spread below the worst of the first trials,
    which were not chosen by a search. Therefore, the point stays in place, and an extreme but
    useless observation (such as the lowest cost) does not change the weight of others.
    """
    point = []
    for column in values.T:
        early = column[~np.isnan(column)][:_EARLY]
        spread = np.ptp(early) if np.ptp(early) > 0 else np.nanstd(column)
        point.append(early.min() - 0.1 * spread)
    return np.array(point)


def advances(
    values: FloatArray, feasible: NDArray[np.bool_], reference: FloatArray, n_startup: int
) -> FloatArray:
    """Return the number of advances of the front so far, at each trial that advances it.

    A trial advances the front if it is better than each point of the front in some objective, by a
    fraction of the first trials' spread. Smaller gains, and points between two points of the front,
    are always possible.

    Args:
        values: Trials in the order of observation, (n, m).
        feasible: Mask of trials that may be on the front, (n,).
        reference: Point beyond which hypervolume counts, (m,).
        n_startup: Number of startup trials among them.

    Returns:
        Array (1 + later,): 0 for the startup trials, then the number of advances for each trial
        that advances the front, and -inf for all other trials.
    """
    spread = np.array([np.ptp(column[~np.isnan(column)][:_EARLY]) for column in values.T])
    begin = min(max(n_startup, (len(values) // _WINDOW - 1) * _WINDOW), len(values))
    feasible = feasible & (values > reference).all(axis=1)
    front = values[:begin][feasible[:begin]]
    front = front[pareto_front(front)]
    counts = np.full(1 + len(values) - begin, -np.inf)
    counts[0] = count = 0
    for i in np.flatnonzero(feasible[begin:]):
        point = values[begin + i]
        if (point > front + _ADVANCE * spread).any(axis=1).all():
            count += 1
            counts[1 + i] = count
        front = np.concatenate([front[(front > point).any(axis=1)], point[None]])
    return counts


def chebyshev(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the augmented Chebyshev scalarization over the last axis, and its gradient.

    The scalarization min_k w_k f_k + sum_k w_k f_k is that of ParEGO (Knowles 2006, equation 2)
    with a larger weight for the sum, for maximization with an ideal point at 0.
    """
    weighted = values * weights
    smallest = weighted.argmin(-1)[..., None]
    gradient = np.full(values.shape, _AUGMENTATION) * weights
    np.put_along_axis(
        gradient, smallest, np.take_along_axis(gradient, smallest, -1) + weights[smallest], -1
    )
    least = np.take_along_axis(weighted, smallest, -1)[..., 0]
    return least + _AUGMENTATION * weighted.sum(-1), gradient
