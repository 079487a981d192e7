"""Trust region: a box around the best code, whose width depends on the success of proposals.

This is the trust region of TuRBO (Eriksson et al. 2019, section 3), with two differences. The
region begins as the whole space. Once it has shrunk below a minimum, it becomes the whole space
again and all observations are kept, so that a study can leave the first basin that it found.
Everything is computed from the ordered observations, so a restored study continues with the same
region.

If the search is for a front, the region of each proposal is centered on a randomly drawn point of
the front. All regions have the same width (MORBO, Daulton et al. 2022, uses a separate width for
each). Without a trust region, a hypervolume improvement would be expected wherever little is known,
such as in the corners.

Notation
    d       dimensions of the space
    side    side length of the region in unit codes; 2 is the whole space for any center
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.objectives import ScaledObservations
from ncp_sampler.search.pareto import advances
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

_ROUNDING = 1e-9
_WHOLE = 2.0
_SHORTEST = 2.0**-7
_SUCCESSES = 3  # number of successes in a row after which the side length doubles
_MIN_FAILURES = 4  # least number of failures in a row that halve it; d or, for a front, d / 3


@dataclass(frozen=True)
class TrustRegion:
    """Box of unit codes that is searched for a proposal.

    Attributes:
        low: Lower corner, (d,), at least 0.
        high: Upper corner, (d,), at most 1.
    """

    low: FloatArray
    high: FloatArray

    @classmethod
    def whole(cls, columns: int) -> TrustRegion:
        """Return the region of all unit codes with the given number of columns."""
        return cls(np.zeros(columns), np.ones(columns))

    @property
    def is_whole(self) -> bool:
        """True if the region contains every unit code."""
        return not ((self.low > 0).any() or (self.high < 1).any())

    def contains(self, unit: FloatArray, columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask (n,) of the unit codes (n, d) inside the region in all selected columns.

        ``columns`` is a mask of the selected columns, (d,) or (n, d).
        """
        inside = (unit >= self.low - _ROUNDING) & (unit <= self.high + _ROUNDING)
        return np.asarray((inside | ~columns).all(axis=1), dtype=bool)

    def clip(self, unit: FloatArray) -> FloatArray:
        """Return the nearest unit codes (n, d) inside the region."""
        return np.clip(unit, self.low, self.high)


def trust_region_of(
    space: SearchSpace,
    center: FloatArray,
    observed: ScaledObservations,
    order: NDArray[np.intp],
    n_startup: int,
    plateau: int,
) -> TrustRegion:
    """Return the trust region around the best observation, or around a point of the front.

    Args:
        space: The search space.
        center: Unit code of the first observation in ``order``, (d,).
        observed: The observations, in the order in which they were made.
        order: Positions of comparable observations, best first; for a front, in random order.
        n_startup: Number of startup trials among them.
        plateau: The ``plateau_length`` of the observations.
    """
    if observed.is_front:
        if not observed.feasible[order[0]]:
            return TrustRegion.whole(len(center))
        moves = advances(observed.values, observed.feasible, observed.reference, n_startup)
        return trust_region(space, center, moves, front=True)
    merit = np.full(len(observed.values), -np.inf)
    merit[order] = -np.arange(len(order))
    startup, rest = np.split(merit, [max(n_startup, plateau)])
    return trust_region(space, center, np.array([startup.max(), *rest]))


def plateau_length(observed: ScaledObservations, order: NDArray[np.intp]) -> int:
    """Return the largest number of first trials among which more than half tie for the best.

    The choice of a center among these ties would be arbitrary: an accuracy at chance level or a
    reward of 0 does not show where the space is better.

    Args:
        observed: Observations.
        order: Positions of all observations, best first, (n,).
    """
    n = len(order)
    rank = np.empty(n, dtype=np.intp)
    rank[order] = np.arange(n)
    level = np.zeros(n, dtype=np.intp)
    for column in [*observed.values.T, *np.minimum(observed.slack, 0.0).T]:  # sorting rows is slow
        _, own = np.unique(column, return_inverse=True, equal_nan=False)
        _, level = np.unique(level * n + own, return_inverse=True)
    leading = level[order[np.minimum.accumulate(rank)]]  # level of the best trial so far
    tied = np.zeros(n, dtype=np.intp)
    for best in np.unique(leading):
        tied[leading == best] = np.cumsum(level == best)[leading == best]
    flat = np.flatnonzero(2 * tied > np.arange(1, n + 1))
    return int(flat[-1]) + 1 if len(flat) else 0


def trust_region(
    space: SearchSpace, center: FloatArray, merit: FloatArray, *, front: bool = False
) -> TrustRegion:
    """Return the trust region around a center.

    All categories, all values of parameters that do not exist, and the next steps on a grid are
    always inside the region. If it contained only its center, the search would end.

    Args:
        space: The search space.
        center: Unit code of the best observation, one number per column.
        merit: Merit of the best startup trial, followed by that of the later trials in order, (n,);
            to be maximized, NaN if unknown. For a front, ``pareto.advances``.
        front: True if the center was drawn at random from the points of a front.
    """
    half = np.full(len(center), side_length(merit, len(space.dimensions), front=front) / 2)
    stepped = np.zeros(len(center), dtype=bool)
    for dim in space.dimensions:
        where = space.column_slice(dim.name)
        if isinstance(dim, Categorical):
            half[where] = _WHOLE
        else:
            stepped[where] = dim.step is not None
    code = space.round(space.denormalize(center))
    if space.conditions:
        for dim, there in zip(space.dimensions, space.exists(code)[0], strict=True):
            if not there:
                half[space.column_slice(dim.name)] = _WHOLE
    low, high = np.clip(center - half, 0.0, 1.0), np.clip(center + half, 0.0, 1.0)
    next_steps = space.normalize(space.neighbors(code))
    if len(next_steps):
        low = np.where(stepped, np.minimum(low, next_steps.min(0)), low)
        high = np.where(stepped, np.maximum(high, next_steps.max(0)), high)
    return TrustRegion(low, high)


def side_length(merit: FloatArray, d: int, *, front: bool = False) -> float:
    """Return the side length after trials with merit (n,), the best startup trial first."""
    first = merit[:1] if not np.isnan(merit[0]) else np.array([-np.inf])
    best = np.fmax.accumulate(np.concatenate([first, merit[1:]]))
    successes = np.flatnonzero(merit[1:] > best[:-1]).tolist()
    length, in_a_row, last = _WHOLE, 0, -1
    patience = max(_MIN_FAILURES, d // 3 if front else d)
    for at in [*successes, len(merit) - 1]:  # each ends a run of failures
        failures = at - last - 1
        for _ in range(failures // patience):
            length = length / 2 if length / 2 >= _SHORTEST else _WHOLE
        in_a_row = 1 if failures else in_a_row + 1
        if in_a_row == _SUCCESSES and at < len(merit) - 1:
            length, in_a_row = min(2 * length, _WHOLE), 0
        last = at
    return length
