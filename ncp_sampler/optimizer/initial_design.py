"""Codes that no model proposes: the initial design, and untried codes of an exhausted space.

The design is the middle of the space, then points of scrambled Sobol sequences, each determined by
its seed and number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.observations import Observations
from ncp_sampler.optimizer.sobol import MAX_DIMENSIONS, sobol_points
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.limits import Limits
from ncp_sampler.search.maximize import Excluded
from ncp_sampler.space.search_space import MAX_ENUMERATED, SearchSpace, code_key

_MIN_VALUES = 3  # trials with a value before those without count as startup trials
_BLOCK = 64  # points of one sequence; a power of two
_DRAWS = 4096  # random codes searched for an untried one
_MAX_NUMBERS = 20_000_000  # numbers in the codes that are made at once
_TRIES = 256  # successive points that may all be excluded


def in_startup(observations: Observations, n_startup: int) -> bool:
    """Return True as long as quasi-random trials are to be proposed.

    Trials without a value count, once some have one: where much of the space fails, as many values
    as usual would take most of a study.

    Args:
        observations: The observations.
        n_startup: Number of trials with a result before the predictor is used.
    """
    missing = n_startup - observations.n_informative
    if missing <= 0:
        return False
    without_value = len(observations) - observations.n_informative
    return observations.n_informative < min(_MIN_VALUES, n_startup) or without_value < missing


def design_point(dimensions: int, seed: int, number: int) -> FloatArray:
    """Return the point of a number, from 0 on, in [0, 1)^D: the middle, then Sobol points.

    Ranges are chosen around good guesses, so that the middle is better than most points. A new
    sequence begins every 64 points.
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
    space: SearchSpace, seed: int, number: int, pinned: FloatArray, excluded: Excluded
) -> tuple[NDArray[Any] | None, int]:
    """Return the code (d,) of the first point not excluded, from a number on, and the next number.

    The code is None after so many excluded ones that there may be no other.
    """
    for at in range(number, number + _TRIES):
        point = design_point(len(space.dimensions), seed, at)
        code = space.from_uniform(point[None])[0]
        code = np.where(np.isnan(pinned), code, pinned).astype(code.dtype)
        if not excluded(code[None])[0]:
            return code, at + 1
    return None, number + _TRIES


def excluded_codes(
    observations: Observations | None,
    pending: Sequence[NDArray[Any]],
    limits: Limits,
    retried: Collection[bytes] = (),
) -> Excluded:
    """Return a predicate that excludes codes over a limit, already observed, or pending.

    Args:
        observations: The observations; None to exclude codes over a limit alone.
        pending: Pending codes.
        limits: Limits on known costs.
        retried: Keys of observed codes that may be tried again.
    """

    def excluded(codes: NDArray[Any]) -> NDArray[np.bool_]:
        over = limits.exceeded(codes) if limits.bounds else np.zeros(len(codes), dtype=bool)
        return over if observations is None else over | observations.seen(codes, pending, retried)

    return excluded


@lru_cache(maxsize=4)  # one ask may look at all points of four, each a search for an untried code
def _sobol(dimensions: int, seed: int, block: int) -> FloatArray:
    """Return the points of a sequence, (64, D)."""
    rng = np.random.default_rng([seed, block]).spawn(1)[0]  # as scipy.stats.qmc.Sobol does
    return sobol_points(dimensions, _BLOCK, rng)


def candidates(space: SearchSpace, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Yield codes (n, d) to search for an untried one: all of a small space, some of a large one.

    Those of a small space with very many columns come in parts, after a random sample.
    """
    width = len(space.columns)
    small = space.size <= MAX_ENUMERATED
    if small and space.size * width <= _MAX_NUMBERS:
        yield space.enumerate()
        return
    part = max(1, _MAX_NUMBERS // width)
    yield space.sample(min(_DRAWS, part), rng)
    if small:
        for start in range(0, int(space.size), part):
            yield space.enumerate(start, start + part)


def nearest_codes(
    space: SearchSpace, params: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[Any], list[bool]]:
    """Return the valid codes (n, d) nearest to params, and whether each is exact.

    Raises:
        ValueError: A missing parameter, an unknown category, or a value that is not a number.
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
    """Return the values of columns whose parameter is fixed, NaN elsewhere, (d,)."""
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
    excluded: Excluded,
    limits: Limits,
    failures: Mapping[bytes, int],
) -> NDArray[Any]:
    """Return a code (d,) within the limits that is not excluded.

    If none is left, return one that has only failed so far, the least often; then any.

    Args:
        space: The search space.
        pinned: Values of fixed columns, NaN elsewhere, (d,).
        rng: Draws the code.
        excluded: Predicate of codes that must not be proposed.
        limits: Limits on known costs.
        failures: Key of a code that has only failed -> number of failures.

    Raises:
        ValueError: No code within the limits was found.
    """
    for drawn in candidates(space, rng):
        valid = space.round(np.where(np.isnan(pinned), drawn, pinned))
        codes = limits.kept(valid, pinned)
        left = codes[~excluded(codes)]
        if len(left):
            break
    if not len(codes):
        raise limits.error(valid, pinned)
    pool = left
    if not len(pool):
        times = np.array([failures.get(code_key(code), 0) for code in codes])
        fewest = times[times > 0].min(initial=np.iinfo(times.dtype).max)
        pool = codes[times == fewest] if times.any() else codes
    code: NDArray[Any] = pool[rng.integers(len(pool))]
    return code
