"""Sobol points: those of SciPy, whose import takes longer than a study's first trials."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from ncp_sampler.optimizer.initial_design import MAX_DIMENSIONS, sobol_points


@pytest.mark.parametrize("dimensions", [1, 2, 27, 1111])
@pytest.mark.parametrize("seed", [0, 2**31])
def test_points_are_those_of_scipy(dimensions: int, seed: int) -> None:
    expected = qmc.Sobol(dimensions, rng=np.random.default_rng(seed)).random(64)
    points = sobol_points(dimensions, 64, np.random.default_rng(seed).spawn(1)[0])
    np.testing.assert_array_equal(points, expected)


def test_as_many_dimensions_as_scipy_has() -> None:
    assert MAX_DIMENSIONS == qmc.Sobol.MAXDIM
