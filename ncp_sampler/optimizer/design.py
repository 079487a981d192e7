"""The first trials: points of scrambled Sobol sequences, each known by its seed and number."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from ncp_sampler.predictors.predictor import FloatArray

_MAX_SOBOL_DIMENSIONS = 21_201  # scipy.stats.qmc.Sobol.MAXDIM
_BLOCK = 64  # points of one sequence; a power of two


def design_point(dimensions: int, seed: int, number: int) -> FloatArray:
    """The point of a number, from 0 on, in [0, 1)^D; a new sequence begins every 64 points."""
    block, row = divmod(number, _BLOCK)
    rng = np.random.default_rng([seed, block])
    if dimensions > _MAX_SOBOL_DIMENSIONS:
        points = rng.random((row + 1, dimensions))
    else:
        points = qmc.Sobol(dimensions, rng=rng).random(_BLOCK)
    point: FloatArray = points[row]
    return point
