"""Hill climbing over valid codes, and the choice of promising new codes to measure.

Propagation edits all columns at once and stops where its steps overshoot. From there, steps in a
single dimension often lead to further improvements. At a bound, however, one parameter can be
increased only if another is decreased, so pairs of steps are tried where no single step helps.

Notation
    v         values of a valid code that determine its utility, (k,)
    moves     valid codes one step away in one dimension (``SearchSpace.neighbors``)
    pairs     combinations of two moves in different dimensions; they are screened by assuming that
              the changes of v by the two moves add up
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.offline.measured import Improvement
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.records.records import FloatArray
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.dimensions import Float
from ncp_sampler.space.search_space import SearchSpace, code_key

_PAIRS = 48  # number of best screened pairs that are predicted per code
_FLOAT_DIFFERENCE = 0.05  # minimum difference of a float, as a share of its range
_LEAST_GAIN = 1e-9  # minimum increase in utility; less may be rounding, and lead to endless loops
_ROWS = 10  # number of best measured rows whose neighbors are candidates
_RANDOM = 256  # number of random candidates
_APART = 5  # default for the number of dimensions in which codes must differ

Allowed: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> True if allowed
_Point: TypeAlias = tuple[NDArray[Any], float]  # code (d,) and its utility


class Objective(Protocol):
    """Function of codes to be maximized, such as a ``SearchRun`` or an ``Improvement``."""

    problem: SearchProblem

    def values(self, codes: NDArray[Any]) -> FloatArray:
        """Return values (k, n) of codes (n, d); the effects of two moves on them nearly add up."""

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Return the utility (n,) of values (k, n)."""


def hill_climb(
    objective: Objective, codes: NDArray[Any], *, allowed: Allowed | None = None
) -> tuple[NDArray[Any], FloatArray]:
    """Climb from valid codes (k, d) until no move and no pair of moves is an improvement.

    Args:
        objective: Function to maximize.
        codes: Codes from which to start.
        allowed: Predicate for the codes that may be reached; None to allow all codes.

    Returns:
        The final codes, (k, d), and their utilities, (k,), which are at least those of the starts.
        Climbs whose paths meet end at the same code.
    """
    ends: dict[bytes, _Point] = {}  # key of a visited code -> end of the climb through it
    reached: list[_Point] = []
    utilities = objective.utility_of(objective.values(codes))
    for code, utility in zip(codes, utilities, strict=True):
        point: _Point | None = (code, float(utility))
        path = []
        while point is not None and code_key(point[0]) not in ends:
            path.append(point)
            point = _step(objective, *point, allowed)
        end = path[-1] if point is None else ends[code_key(point[0])]
        ends |= {code_key(passed): end for passed, _ in path}
        reached.append(end)
    return np.array([code for code, _ in reached]), np.array([utility for _, utility in reached])


def new_codes(
    run: SearchRun,
    passed: NDArray[Any],
    *,
    n: int,
    apart: int,
    seed: int,
    begun: Sequence[NDArray[Any]] = (),
) -> list[NDArray[Any]]:
    """Return up to n new codes that differ from one another in several dimensions.

    The codes are chosen one after another, each by hill climbing from the best candidate. The
    objective is the expected improvement over the best measured row, assuming that the codes chosen
    so far have been measured; if there is no such row, it is the utility. Candidates are the
    neighbors of the best measured rows (one step or one category away), random codes, and the codes
    in ``passed``.

    Args:
        run: The search.
        passed: Valid codes that a search has visited, (k, d).
        n: Number of codes, including ``begun``.
        apart: Minimum number of dimensions in which two codes differ.
        seed: Seed of the random candidates.
        begun: Codes that are already chosen, if any.
    """
    space, measured = run.problem.space, run.measured
    neighbors = [space.neighbors(code) for code in measured.codes[:_ROWS]]
    pool = unique_codes(np.concatenate([passed, *neighbors, space.sample(_RANDOM, seed)]))
    pool = pool[measured.is_new(pool)]
    improvement = None if measured.best is None else Improvement(run.problem, measured.best)
    chosen = list(begun)
    while len(chosen) < n:
        objective: Objective = run if improvement is None else improvement
        allowed = partial(_allowed, run, chosen, apart)
        candidates = pool[allowed(pool)]
        if not len(candidates):
            break
        utility = objective.utility_of(objective.values(candidates))
        codes, _ = hill_climb(objective, candidates[[utility.argmax()]], allowed=allowed)
        chosen.append(codes[0])
        if improvement is not None:
            run.calls += improvement.calls
            improvement = improvement.believing(codes[0])
    return chosen


def usual_apart(space: SearchSpace) -> int:
    """Return the default for the number of dimensions in which codes must differ.

    The default is 5, or a third of the space's dimensions if that is fewer.
    """
    return max(1, min(_APART, len(space.dimensions) // 3))


def _allowed(
    run: SearchRun, chosen: list[NDArray[Any]], apart: int, codes: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return a mask (n,) of the codes (n, d) that are new and differ from all chosen codes."""
    allowed = run.measured.is_new(codes)
    for code in chosen:
        allowed &= differences(run.problem.space, codes, code) >= apart
    return allowed


def differences(space: SearchSpace, codes: NDArray[Any], code: NDArray[Any]) -> NDArray[np.intp]:
    """Return the number (n,) of dimensions in which codes (n, d) differ from a code (d,).

    A float differs if it is farther away than a twentieth of its range.
    """
    unlike = codes != code
    if any(isinstance(dimension, Float) for dimension in space.dimensions):
        far = np.abs(space.normalize(codes) - space.normalize(code[None])) > _FLOAT_DIFFERENCE
        for name, dimension in zip(space.names, space.dimensions, strict=True):
            if isinstance(dimension, Float):
                at = space.column_slice(name)
                unlike[:, at] &= far[:, at]
    by_dimension = [unlike[:, space.column_slice(name)].any(1) for name in space.names]
    return np.asarray(np.sum(by_dimension, axis=0, dtype=np.intp))


def _step(
    objective: Objective, code: NDArray[Any], utility: float, allowed: Allowed | None
) -> _Point | None:
    """Return the best move if it is an improvement, or else the best pair; None at a maximum."""
    space = objective.problem.space
    moves = _filtered(space.neighbors(code), allowed)
    values = objective.values(np.concatenate([code[None], moves]))
    here, moved = values[:, :1], values[:, 1:]
    best = _best(moves, objective.utility_of(moved), utility)
    if best is not None:
        return best
    first, second = np.triu_indices(len(moves), k=1)
    apart = ~((moves[first] != code) & (moves[second] != code)).any(1)
    first, second = first[apart], second[apart]
    summed = objective.utility_of(moved[:, first] + moved[:, second] - here)
    top = np.argsort(-summed, kind="stable")[:_PAIRS]
    pairs = _filtered(space.round(moves[first[top]] + moves[second[top]] - code), allowed)
    if not len(pairs):
        return None
    return _best(pairs, objective.utility_of(objective.values(pairs)), utility)


def _best(codes: NDArray[Any], utilities: FloatArray, least: float) -> _Point | None:
    """Return the best code and its utility if this exceeds ``least``; otherwise None."""
    if not len(codes) or utilities.max() <= least + _LEAST_GAIN:
        return None
    return codes[utilities.argmax()], float(utilities.max())


def _filtered(codes: NDArray[Any], allowed: Allowed | None) -> NDArray[Any]:
    return codes if allowed is None or not len(codes) else codes[allowed(codes)]
