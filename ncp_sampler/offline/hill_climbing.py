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

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.offline.problem import SearchRun
from ncp_sampler.records.records import FloatArray
from ncp_sampler.space.search_space import code_key

_PAIRS = 48  # number of pairs predicted per code
_LEAST_GAIN = 1e-9  # smallest gain in utility; less is rounding, and could go on forever

Allowed: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> True if so
_Point: TypeAlias = tuple[NDArray[Any], float]  # code (d,), and its utility


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
    ends: dict[bytes, _Point] = {}  # of the climb through a code
    reached: list[_Point] = []
    for code, utility in zip(codes, run.utility(codes), strict=True):
        point: _Point | None = (code, float(utility))
        path = []
        while point is not None and code_key(point[0]) not in ends:
            path.append(point)
            point = _step(run, *point, allowed)
        end = path[-1] if point is None else ends[code_key(point[0])]
        ends |= {code_key(passed): end for passed, _ in path}
        reached.append(end)
    return np.array([code for code, _ in reached]), np.array([utility for _, utility in reached])


def _step(
    run: SearchRun, code: NDArray[Any], utility: float, allowed: Allowed | None
) -> _Point | None:
    """Return the best move, or else the best pair of moves, or None at a local maximum."""
    moves = _kept(run.problem.space.neighbours(code), allowed)
    values = run.values(np.concatenate([code[None], moves]))
    here, moved = values[:, :1], values[:, 1:]
    best = _best(moves, run.problem.utility_of(moved), utility)
    if best is not None:
        return best
    first, second = np.triu_indices(len(moves), k=1)
    apart = ~((moves[first] != code) & (moves[second] != code)).any(1)
    first, second = first[apart], second[apart]
    summed = run.problem.utility_of(moved[:, first] + moved[:, second] - here)
    top = np.argsort(-summed, kind="stable")[:_PAIRS]
    pairs = run.problem.space.round(moves[first[top]] + moves[second[top]] - code)
    pairs = _kept(pairs, allowed)
    return _best(pairs, run.utility(pairs), utility) if len(pairs) else None


def _best(codes: NDArray[Any], utilities: FloatArray, least: float) -> _Point | None:
    """Return the best code if it gains."""
    if not len(codes) or utilities.max() <= least + _LEAST_GAIN:
        return None
    return codes[utilities.argmax()], float(utilities.max())


def _kept(codes: NDArray[Any], allowed: Allowed | None) -> NDArray[Any]:
    return codes if allowed is None or not len(codes) else codes[allowed(codes)]
