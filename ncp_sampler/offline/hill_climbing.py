"""Hill climbing from valid codes: one-step moves, and pairs of them at a bound.

Propagation edits all columns at once and stops where its steps overshoot; single steps still gain
from there. At a bound they do not: a larger column is affordable only with a smaller one, and no
single step changes both.

Notation
    v       values of a valid code: predictions of the targets, less beta, (targets,)
    moves   valid codes one step away in one dimension (``SearchSpace.neighbours``)
    pairs   two moves in two dimensions, screened by v + the sum of both moves' changes of v
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.offline.problem import SearchRun
from ncp_sampler.records.records import FloatArray
from ncp_sampler.space.search_space import code_key

_PAIRS = 48  # number of pairs predicted per code
_LEAST_GAIN = 1e-9  # smallest gain in utility; less is rounding, and could go on forever

Allowed: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> True if so


def hill_climb(
    run: SearchRun, codes: NDArray[Any], *, allowed: Allowed | None = None
) -> tuple[NDArray[Any], FloatArray]:
    """Climb from valid codes (k, d) until neither a move nor a pair of moves gains.

    Args:
        run: The search, which counts the predictions.
        codes: Codes to start from.
        allowed: Predicate of the codes that may be reached; all if None.

    Returns:
        The codes reached, (k, d), and their utilities, (k,), at least those of the starts. Climbs
        that meet end alike.
    """
    utilities = run.utility(codes)
    climbers = [_Climber(code, float(u)) for code, u in zip(codes, utilities, strict=True)]
    while active := _unfinished(climbers):
        moves = [_kept(run.problem.space.neighbours(one.code), allowed) for one in active]
        values = run.values(np.concatenate([[one.code for one in active], *moves]))
        ends = np.cumsum([len(active), *map(len, moves)])
        for i, climber in enumerate(active):
            _climb(run, climber, moves[i], values[:, i], values[:, ends[i] : ends[i + 1]], allowed)
    tops = [climber.top for climber in climbers]
    return np.array([top.code for top in tops]), np.array([top.utility for top in tops])


@dataclass
class _Climber:
    """One climb.

    Attributes:
        code: Where it is, (d,).
        utility: Utility of the code.
        done: True at a local maximum.
        leader: Another climber that was at this code first, and climbs for both.
    """

    code: NDArray[Any]
    utility: float
    done: bool = False
    leader: _Climber | None = None

    @property
    def top(self) -> _Climber:
        """The climber that it follows in the end, or itself."""
        return self if self.leader is None else self.leader.top

    def moves_to(self, codes: NDArray[Any], utilities: FloatArray) -> bool:
        """Move to the best code, and return True, if that gains."""
        if not len(codes) or utilities.max() <= self.utility + _LEAST_GAIN:
            return False
        self.code, self.utility = codes[utilities.argmax()], float(utilities.max())
        return True


def _climb(
    run: SearchRun,
    climber: _Climber,
    moves: NDArray[Any],
    here: FloatArray,
    moved: FloatArray,
    allowed: Allowed | None,
) -> None:
    """Take the best move, or else the best pair of moves, or else end.

    Args:
        run: The search.
        climber: The climber.
        moves: Its moves, (k, d).
        here: Values of its code, (targets,).
        moved: Values of the moves, (targets, k).
        allowed: As in ``hill_climb``.
    """
    if climber.moves_to(moves, run.problem.utility_of(moved)):
        return
    first, second = np.triu_indices(len(moves), k=1)
    apart = ~((moves[first] != climber.code) & (moves[second] != climber.code)).any(1)
    first, second = first[apart], second[apart]
    summed = run.problem.utility_of(moved[:, first] + moved[:, second] - here[:, None])
    best = np.argsort(-summed, kind="stable")[:_PAIRS]
    pairs = run.problem.space.round(moves[first[best]] + moves[second[best]] - climber.code)
    pairs = _kept(pairs, allowed)
    climber.done = not (len(pairs) and climber.moves_to(pairs, run.utility(pairs)))


def _kept(codes: NDArray[Any], allowed: Allowed | None) -> NDArray[Any]:
    return codes if allowed is None or not len(codes) else codes[allowed(codes)]


def _unfinished(climbers: Sequence[_Climber]) -> list[_Climber]:
    """Return the climbers that go on; of several at one code the first, which the others follow."""
    alone = [one for one in climbers if one.leader is None]
    seen: dict[bytes, _Climber] = {}
    for climber in sorted(alone, key=lambda one: not one.done):
        leader = seen.setdefault(code_key(climber.code), climber)
        if leader is not climber:
            climber.leader = leader
    return [one for one in alone if one.leader is None and not one.done]
