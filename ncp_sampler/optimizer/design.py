"""Codes that no prediction guides: the first trials, and what is left of a space.

The first are the middle of the space and points of scrambled Sobol sequences, each known by its
seed and number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.history import History
from ncp_sampler.optimizer.limits import Limits
from ncp_sampler.optimizer.sobol import MAX_DIMENSIONS, sobol_points
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.search_space import MAX_ENUMERATED, SearchSpace, code_key

_FEWEST_VALUES = 3  # trials with a value before those without count as startup's
_BLOCK = 64  # points of one sequence; a power of two
_DRAWS = 4096
_MOST_NUMBERS = 20_000_000  # in the codes made at once
_TRIES = 256  # points in a row, all of them known

Known: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> ruled out


def in_startup(history: History, n_startup: int) -> bool:
    """Return True as long as quasi-random trials are to be proposed.

    Trials without a value count, once some have one: where much of the space fails, as many values
    as usual would take most of a study.

    Args:
        history: The observations.
        n_startup: Number of trials with a result before the predictor is used.
    """
    missing = n_startup - history.n_learnable
    if missing <= 0:
        return False
    without_value = len(history) - history.n_learnable
    return history.n_learnable < min(_FEWEST_VALUES, n_startup) or without_value < missing


def design_point(dimensions: int, seed: int, number: int) -> FloatArray:
    """The point of a number, from 0 on, in [0, 1)^D: the middle first, then Sobol's.

    Ranges are chosen around what is thought good, so that the middle is better than most points. A
    new sequence begins every 64 points.
    """
    if number == 0:
        return np.full(dimensions, 0.5)
    block, row = divmod(number - 1, _BLOCK)
    if dimensions > MAX_DIMENSIONS:
        points = np.random.default_rng([seed, block]).random((row + 1, dimensions))
    else:
        points = _sobol(dimensions, seed, block)
    point: FloatArray = points[row].copy()
    return point


def design_code(
    space: SearchSpace, seed: int, number: int, pinned: FloatArray, known: Known
) -> tuple[NDArray[Any] | None, int]:
    """The code (d,) of the first point from a number on that is not known, and the next number.

    None after so many known ones that there may be no other.
    """
    for at in range(number, number + _TRIES):
        point = design_point(len(space.dimensions), seed, at)
        code = space.from_uniform(point[None])[0]
        code = np.where(np.isnan(pinned), code, pinned).astype(code.dtype)
        if not known(code[None])[0]:
            return code, at + 1
    return None, number + _TRIES


def known_codes(
    history: History | None,
    waiting: Sequence[NDArray[Any]],
    limits: Limits,
    retried: Collection[bytes] = (),
) -> Known:
    """Return a predicate that excludes codes over a limit, already observed, or pending.

    Args:
        history: The observations; None to exclude codes over a limit alone.
        waiting: Pending codes.
        limits: Of known costs.
        retried: Keys of observed codes that may be tried again.
    """
    pending = {code_key(code) for code in waiting}

    def known(codes: NDArray[Any]) -> NDArray[np.bool_]:
        over = limits.exceeded(codes)
        if history is None:
            return over
        keys = map(code_key, codes)
        seen = [
            key in pending or (code in history and key not in retried)
            for key, code in zip(keys, codes, strict=True)
        ]
        return np.asarray(over | np.array(seen, dtype=bool))

    return known


@lru_cache(maxsize=4)  # one ask may look at all points of four, each a search for an untried code
def _sobol(dimensions: int, seed: int, block: int) -> FloatArray:
    """The points of a sequence, (64, D)."""
    rng = np.random.default_rng([seed, block]).spawn(1)[0]  # as scipy.stats.qmc.Sobol does
    return sobol_points(dimensions, _BLOCK, rng)


def candidates(space: SearchSpace, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Codes (n, d) to look for an untried one in: all of a small space, some of a large one.

    Those of a small space with very many columns come in parts, after some at random.
    """
    width = len(space.columns)
    small = space.size <= MAX_ENUMERATED
    if small and space.size * width <= _MOST_NUMBERS:
        yield space.enumerate()
        return
    part = max(1, _MOST_NUMBERS // width)
    yield space.sample(min(_DRAWS, part), rng)
    if small:
        for start in range(0, int(space.size), part):
            yield space.enumerate(start, start + part)


def nearest_codes(
    space: SearchSpace, params: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[Any], list[bool]]:
    """Return the valid codes (n, d) nearest to params, and whether each is exact.

    Raises:
        ValueError: A missing parameter, an unknown category or no number.
    """
    codes = space.to_code(list(params), clip=True)
    try:
        space.to_code(list(params))
    except ValueError:
        return codes, [_is_exact(space, one) for one in params]
    return codes, [True] * len(params)


def _is_exact(space: SearchSpace, params: Mapping[str, Any]) -> bool:
    try:
        space.to_code(dict(params))
    except ValueError:
        return False
    return True


def pinned_columns(space: SearchSpace, fixed: Mapping[str, Any]) -> FloatArray:
    """The numbers of columns whose parameter is given, NaN elsewhere, (d,)."""
    pinned = np.full(len(space.columns), np.nan)
    for name, value in fixed.items():
        where = space.column_slice(name)
        dim = next(dim for dim in space.dimensions if dim.name == name)
        alone = SearchSpace([dim])
        pinned[where] = alone.round(alone.to_code({name: value}))
    return pinned


def untried(
    space: SearchSpace,
    pinned: FloatArray,
    rng: np.random.Generator,
    known: Known,
    limits: Limits,
    failures: Mapping[bytes, int],
) -> NDArray[Any]:
    """Return a code (d,) within the limits that is not known yet.

    If none is left, it is one that has only failed so far, the least often; then any.

    Args:
        space: To look in.
        pinned: Numbers of columns that are given, NaN elsewhere, (d,).
        rng: Draws it.
        known: Codes (n, d) -> whether each is ruled out.
        limits: Of known costs.
        failures: Key of a code that has only failed -> how often.

    Raises:
        ValueError: No code within the limits was found.
    """
    for some in candidates(space, rng):
        looked_at = space.round(np.where(np.isnan(pinned), some, pinned))
        codes = limits.kept(looked_at, pinned)
        left = codes[~known(codes)]
        if len(left):
            break
    if not len(codes):
        raise limits.nearest(looked_at, pinned)
    pool = left
    if not len(pool):
        times = np.array([failures.get(code_key(code), 0) for code in codes])
        fewest = times[times > 0].min(initial=np.iinfo(times.dtype).max)
        pool = codes[times == fewest] if times.any() else codes
    code: NDArray[Any] = pool[rng.integers(len(pool))]
    return code
