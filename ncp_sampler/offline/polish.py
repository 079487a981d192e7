"""Climbs from the codes that propagation leads to: one-step moves, and pairs of them at a bound.

Propagation edits all columns at once and stops where its steps overshoot; from there single steps
still gain. Beside a bound they do not: more of one column is affordable only with less of another,
and no single step does both.

Notation
    v_t(e)     prediction of target t at legal code e, less its caution
    moves      of e: every legal code one step away in one dimension (``SearchSpace.neighbors``)
    pairs      two moves in two dimensions; v_t(e) + sum over both of (v_t(moved) - v_t(e)) tells
               which of them are worth a prediction
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

_PAIRS = 48  # that are predicted for one code; those ahead by the sum of their moves
_LEAST_GAIN = 1e-9  # in utility; less is rounding, and could go on for ever


@dataclass
class _Climber:
    """One code on its way up."""

    code: NDArray[Any]
    utility: float
    done: bool = False
    leader: _Climber | None = None  # another that stood here first, and climbs for both


Allowed: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> (n,)


def polish(
    run: SearchRun, codes: NDArray[Any], *, allowed: Allowed | None = None
) -> tuple[NDArray[Any], FloatArray]:
    """Climbs from legal codes (k, d) until neither a move nor a pair of moves gains.

    Args:
        run: Whose utility is climbed, and which counts the predictions.
        codes: To begin with.
        allowed: Which codes may be reached; all if None.

    Returns:
        The codes reached, (k, d), and their utilities, (k,): at least those of the codes given.
        Where two climbs meet they end alike.
    """
    climbers = [
        _Climber(code, float(value)) for code, value in zip(codes, run.utility(codes), strict=True)
    ]
    while active := _leaders(climbers):
        around = [_kept(run.problem.space.neighbors(one.code), allowed) for one in active]
        values = run.values(np.concatenate([[one.code for one in active], *around]))
        here, moved = values[:, : len(active)], values[:, len(active) :]
        ends = np.cumsum([0, *(len(codes) for codes in around)])
        for i, climber in enumerate(active):
            moves = _Moves(around[i], here[:, i], moved[:, ends[i] : ends[i + 1]])
            _climb(run, climber, moves, allowed)
    tops = [_top(one) for one in climbers]
    return np.array([one.code for one in tops]), np.array([one.utility for one in tops])


@dataclass(frozen=True)
class _Moves:
    """From one code: where they lead (k, d), v here (targets,) and there (targets, k)."""

    around: NDArray[Any]
    here: FloatArray
    moved: FloatArray


def _climb(run: SearchRun, climber: _Climber, moves: _Moves, allowed: Allowed | None) -> None:
    """One move, or else the best pair of moves, or else the end."""
    utility = run.problem.utility_of(moves.moved)
    if len(utility) and utility.max() > climber.utility + _LEAST_GAIN:
        climber.code, climber.utility = moves.around[utility.argmax()], float(utility.max())
        return
    both = _likely_pairs(run, climber.code, moves, allowed)
    gained = run.utility(both) if len(both) else np.full(1, -np.inf)
    if gained.max() > climber.utility + _LEAST_GAIN:
        climber.code, climber.utility = both[gained.argmax()], float(gained.max())
        return
    climber.done = True


def _likely_pairs(
    run: SearchRun, code: NDArray[Any], moves: _Moves, allowed: Allowed | None
) -> NDArray[Any]:
    """Codes (p, d) two moves away, those that are best by the sum of their moves."""
    around, here = moves.around, moves.here
    first, second = np.triu_indices(len(around), k=1)
    apart = ~((around[first] != code) & (around[second] != code)).any(1)  # two dimensions
    first, second = first[apart], second[apart]
    gains = moves.moved - here[:, None]  # (targets, moves)
    summed = run.problem.utility_of(here[:, None] + gains[:, first] + gains[:, second])
    best = np.argsort(-summed, kind="stable")[:_PAIRS]
    both = run.problem.space.round(around[first[best]] + around[second[best]] - code)
    return _kept(both, allowed)


def _kept(codes: NDArray[Any], allowed: Allowed | None) -> NDArray[Any]:
    return codes if allowed is None or not len(codes) else codes[allowed(codes)]


def _leaders(climbers: Sequence[_Climber]) -> list[_Climber]:
    """Those that are on their way; of several at one code the first, whom the others follow."""
    alone = [one for one in climbers if one.leader is None]
    seen: dict[bytes, _Climber] = {}
    for climber in sorted(alone, key=lambda one: not one.done):
        leader = seen.setdefault(code_key(climber.code), climber)
        if leader is not climber:
            climber.leader = leader
    return [one for one in alone if one.leader is None and not one.done]


def _top(climber: _Climber) -> _Climber:
    while climber.leader is not None:
        climber = climber.leader
    return climber
