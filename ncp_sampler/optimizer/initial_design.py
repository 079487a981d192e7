"""Codes proposed without a model: the initial design, and untried codes of an exhausted space.

The design is the middle of the space, followed by points of scrambled Sobol sequences, each
determined by its seed and number. The points equal those of ``scipy.stats.qmc.Sobol``, whose
import would take half a second. PyTorch is imported anyway and has the same direction numbers.

Notation
    D       number of dimensions

References: Joe & Kuo (2008), direction numbers; Matoušek (1998), scrambling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.quasirandom import SobolEngine

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.limits import Limits
from ncp_sampler.search.maximize import Excluded
from ncp_sampler.space.search_space import MAX_ENUMERATED, SearchSpace, code_key

MAX_DIMENSIONS: int = SobolEngine.MAXDIM
_BITS: int = SobolEngine.MAXBIT
_POWERS = 2 ** np.arange(_BITS, dtype=np.int64)
_BLOCK = 64  # number of points of one sequence; a power of two
_DRAWS = 4096  # number of random codes among which an untried code is sought
_MAX_NUMBERS = 20_000_000  # maximum number of elements in codes that are created at once
_TRIES = 256  # number of successive excluded points after which the design counts as exhausted


def design_code(
    space: SearchSpace, seed: int, number: int, pinned: FloatArray, excluded: Excluded
) -> tuple[NDArray[Any] | None, int]:
    """Return the code (d,) of the next point that is not excluded, and the number to go on with.

    The code is None if 256 successive points are excluded, so that there may be no other code.
    """
    for at in range(number, number + _TRIES):
        code = space.from_uniform(_design_point(len(space.dimensions), seed, at)[None])[0]
        code = space.round(np.where(np.isnan(pinned), code, pinned))
        if not excluded(code[None])[0]:
            return code, at + 1
    return None, number + _TRIES


def candidates(space: SearchSpace, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Yield arrays of codes (n, d) that may be untried: all of a small space, some of a large one.

    If a small space has very many columns, a random sample comes first, then all codes in parts.
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


def untried(
    space: SearchSpace,
    pinned: FloatArray,
    rng: np.random.Generator,
    excluded: Excluded,
    limits: Limits,
    failures: Mapping[bytes, int],
) -> NDArray[Any]:
    """Return a code (d,) within the limits that is not excluded.

    If all codes are excluded, return a code with the fewest failures among those that have only
    failed; if there are none, return any code within the limits.

    Args:
        space: The search space.
        pinned: Values of fixed columns, NaN elsewhere, (d,).
        rng: Random generator that draws the code.
        excluded: Predicate for codes that must not be proposed.
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
        pool = codes[times == times[times > 0].min()] if times.any() else codes
    code: NDArray[Any] = pool[rng.integers(len(pool))]
    return code


def _design_point(dimensions: int, seed: int, number: int) -> FloatArray:
    """Return a point in [0, 1)^D, given its number: the middle for 0, then Sobol points.

    Ranges are usually chosen around good guesses, so the middle is better than most points. A new
    sequence begins every 64 points. With too many dimensions for Sobol points, points are random.
    """
    if number == 0:
        return np.full(dimensions, 0.5)
    block, row = divmod(number - 1, _BLOCK)
    if dimensions > MAX_DIMENSIONS:
        points = np.random.default_rng([seed, block]).random((row + 1, dimensions))
    else:
        points = _sobol(dimensions, seed, block)
    return np.asarray(points[row])


@lru_cache(maxsize=4)  # one ask may need several sequences to find an untried code
def _sobol(dimensions: int, seed: int, block: int) -> FloatArray:
    """Return the points of a sequence, (64, D)."""
    rng = np.random.default_rng([seed, block]).spawn(1)[0]  # as in scipy.stats.qmc.Sobol
    return sobol_points(dimensions, _BLOCK, rng)


def sobol_points(dimensions: int, n: int, rng: np.random.Generator) -> FloatArray:
    """Return the first n points of a scrambled Sobol sequence, (n, D) in [0, 1).

    Args:
        dimensions: D, at most ``MAX_DIMENSIONS``.
        n: Number of points, a power of two for a balanced sample.
        rng: Random generator that draws the scrambling.
    """
    engine = SobolEngine(dimensions)
    shift = rng.integers(2, size=(dimensions, _BITS), dtype=np.uint32) @ _POWERS
    matrix = np.tril(rng.integers(2, size=(dimensions, _BITS, _BITS), dtype=np.uint32))
    matrix[:, range(_BITS), range(_BITS)] = 1
    high_first = engine.sobolstate.numpy()[..., None] // _POWERS[::-1] % 2
    scrambled = (high_first @ matrix.swapaxes(1, 2)) % 2 @ _POWERS[::-1]
    engine.sobolstate = torch.from_numpy(scrambled)
    gray = np.arange(n) ^ (np.arange(n) >> 1)
    points = np.tile(shift, (n, 1))
    for bit in range(int(n - 1).bit_length()):
        points ^= np.where((gray >> bit & 1)[:, None], scrambled[:, bit], 0)
    unit: FloatArray = points / 2**_BITS
    return unit
