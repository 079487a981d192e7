"""Where a proposal is looked for: a box around the best code, as wide as proposals succeed in it.

The trust region of TuRBO (Eriksson et al. 2019, section 3), with two differences: it begins as the
whole space, and once it has shrunk to nothing it is the whole space again, with all trials kept, so
that a study leaves the first basin it found. Everything is read off the trials in the order in
which they were told: a restored study goes on with the same box.

Of a front, each proposal has its box around another point of it, drawn at random, and all boxes are
as wide (Daulton et al. 2022, MORBO, keep a width for each). In the whole space, an improvement of
the hypervolume would be expected wherever little is known, such as in the corners.

Notation
    d       dimensions of the space
    side    of the box in unit codes; 2 is the whole space, whatever the centre
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.goals import Told
from ncp_sampler.optimizer.hypervolume import advances
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.conditional import ConditionalSpace
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

_ROUNDING = 1e-9
_WHOLE = 2.0
_LEAST = 2.0**-7
_SUCCESSES = 3  # in a row, after which the side doubles
_FEWEST_FAILURES = 4  # in a row, after which it halves; d in larger spaces, d / 3 for a front


@dataclass(frozen=True)
class Box:
    """Unit codes between two corners.

    Attributes:
        low: (d,), at least 0.
        high: (d,), at most 1.
    """

    low: FloatArray
    high: FloatArray

    @classmethod
    def whole(cls, columns: int) -> Box:
        """All unit codes of a number of columns."""
        return cls(np.zeros(columns), np.ones(columns))

    @property
    def is_whole(self) -> bool:
        """Whether it leaves nothing out."""
        return not ((self.low > 0).any() or (self.high < 1).any())

    def holds(self, unit: FloatArray, columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of some unit codes (n, d) are inside, by some of their columns (d,)."""
        inside = (unit >= self.low - _ROUNDING) & (unit <= self.high + _ROUNDING)
        return np.asarray((inside | ~columns).all(axis=1), dtype=bool)

    def clip(self, unit: FloatArray) -> FloatArray:
        """The nearest unit codes (n, d) inside."""
        return np.clip(unit, self.low, self.high)


def box_of(
    space: SearchSpace, unit: FloatArray, told: Told, order: NDArray[np.intp], n_startup: int
) -> Box:
    """The box around the best trial, or around a point of the front.

    Args:
        space: The search space.
        unit: Unit codes of the trials in the order they were told, (n, d).
        told: The trials.
        order: Positions of those that can be compared, best first; of a front in random order.
        n_startup: How many of the trials were startup's.
    """
    centre = unit[order[0]]
    if told.is_front:
        if not told.feasible[order[0]]:
            return Box.whole(unit.shape[1])
        moves = advances(told.values, told.feasible, told.reference, n_startup)
        return trust_region(space, centre, moves, front=True)
    merit = np.full(len(unit), -np.inf)
    merit[order] = -np.arange(len(order))
    startup, rest = np.split(merit, [max(n_startup, plateau_length(told, order))])
    return trust_region(space, centre, np.array([startup.max(), *rest]))


def plateau_length(told: Told, order: NDArray[np.intp]) -> int:
    """Return the number of first trials among which more than half tie for the best.

    Which of them is the center would be chance, and none of them is a failure beside it: an
    accuracy at chance level or a reward of 0 does not tell where the space is better.

    Args:
        told: Observations.
        order: Positions of all of them, best first, (n,).
    """
    n = len(order)
    rank = np.empty(n, dtype=np.intp)
    rank[order] = np.arange(n)
    rows = np.column_stack([told.values, np.minimum(told.margins, 0.0)])
    level = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)  # NumPy 2.0: a column
    leading = level[order[np.minimum.accumulate(rank)]]  # level of the best trial so far
    tied = np.zeros(n, dtype=np.intp)
    for best in np.unique(leading):
        tied[leading == best] = np.cumsum(level == best)[leading == best]
    flat = np.flatnonzero(2 * tied > np.arange(1, n + 1))
    return int(flat[-1]) + 1 if len(flat) else 0


def trust_region(
    space: SearchSpace, centre: FloatArray, worth: FloatArray, *, front: bool = False
) -> Box:
    """The box to propose in.

    A categorical is free in it, what the best code does not have, and a number's next step on its
    grid: a box that holds no other code would end the search.

    Args:
        space: The search space.
        centre: Unit code of the best trial, (d columns,).
        worth: Of the best trial of startup, then of the others in the order they were told; to be
            maximized, NaN where unknown, (n,). For a front, ``hypervolume.advances``.
        front: Whether the centre is one of several best trials, each of which is the centre of some
            proposals.
    """
    half = np.full(len(centre), side(worth, len(space.dimensions), front=front) / 2)
    stepped = np.zeros(len(centre), dtype=bool)
    for dim in space.dimensions:
        where = space.column_slice(dim.name)
        if isinstance(dim, Categorical):
            half[where] = _WHOLE
        else:
            stepped[where] = dim.step is not None
    code = space.round(space.denormalize(centre))
    if isinstance(space, ConditionalSpace):
        for dim, there in zip(space.dimensions, space.exists(code)[0], strict=True):
            if not there:
                half[space.column_slice(dim.name)] = _WHOLE
    low, high = np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
    near = space.normalize(space.neighbors(code))
    if len(near):
        low = np.where(stepped, np.minimum(low, near.min(0)), low)
        high = np.where(stepped, np.maximum(high, near.max(0)), high)
    return Box(low, high)


def side(worth: FloatArray, d: int, *, front: bool = False) -> float:
    """Side of the box after trials of some worth, the first of which is startup's best."""
    first = worth[:1] if not np.isnan(worth[0]) else np.array([-np.inf])
    best = np.fmax.accumulate(np.concatenate([first, worth[1:]]))
    successes = np.flatnonzero(worth[1:] > best[:-1]).tolist()
    length, in_a_row, last = _WHOLE, 0, -1
    patience = max(_FEWEST_FAILURES, d // 3 if front else d)
    for at in [*successes, len(worth) - 1]:  # a success ends a run of failures, and so does the end
        failures = at - last - 1
        for _ in range(failures // patience):
            length = length / 2 if length / 2 >= _LEAST else _WHOLE
        in_a_row = 1 if failures else in_a_row + 1
        if in_a_row == _SUCCESSES and at < len(worth) - 1:
            length, in_a_row = min(2 * length, _WHOLE), 0
        last = at
    return length
