"""Scrambled Sobol points, as ``scipy.stats.qmc.Sobol`` draws them, without its import.

``import scipy.stats`` takes half a second. PyTorch, which is loaded anyway, has the same direction
numbers.

Notation
    D, B    dimensions, bits of a number
    v       direction numbers, (D, B)

References: Joe & Kuo (2008), direction numbers; Matoušek (1998), scrambling.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.quasirandom import SobolEngine

from ncp_sampler.predictors.predictor import FloatArray

MAX_DIMENSIONS: int = SobolEngine.MAXDIM
_BITS: int = SobolEngine.MAXBIT
_POWERS = 2 ** np.arange(_BITS, dtype=np.int64)


def sobol_points(dimensions: int, n: int, rng: np.random.Generator) -> FloatArray:
    """Return the first n points of a scrambled Sobol sequence, (n, D) in [0, 1).

    Args:
        dimensions: D, at most ``MAX_DIMENSIONS``.
        n: Number of points, a power of two for a balanced sample.
        rng: Draws the scrambling.
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
