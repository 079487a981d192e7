"""Utilities: equal to their definitions, usable where those underflow, with exact gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from ncp_sampler.search.acquisition import _MIN_GAIN, _floored
from ncp_sampler.search.pareto import boxes_beyond, chebyshev, pareto_front
from ncp_sampler.search.utilities import (
    LogChebyshevEI,
    LogEHVI,
    LogEI,
    LogSampledHVI,
    LogWeightedEI,
    Utility,
    log_expected_improvement,
    log_probability_above,
)

Array = NDArray[np.float64]
RNG = np.random.default_rng(0)
POINTS = RNG.random((12, 2))
FRONT = POINTS[pareto_front(POINTS)]

UTILITIES: dict[str, tuple[Utility, int]] = {
    "LogEI": (LogEI(0.3), 1),
    "LogEI of a known cost": (LogEI(0.3, known=True), 1),
    "LogWeightedEI": (LogWeightedEI(0.5, np.array([0.3, 1.0, 0.0])), 3),
    "LogEHVI": (LogEHVI(FRONT, np.full(2, -0.1), (False, False)), 2),
    "LogEHVI with a known cost": (LogEHVI(FRONT, np.full(2, -0.1), (False, True)), 2),
    "LogChebyshevEI": (
        LogChebyshevEI(np.zeros(3), -0.1, np.array([0.2, 0.5, 0.3]), RNG.standard_normal((16, 3))),
        3,
    ),
    "LogSampledHVI": (
        LogSampledHVI.of(
            FRONT, np.full(2, -0.1), RNG.standard_normal((64, 2)), RNG.standard_normal((64, 2))
        ),
        2,
    ),
}


@pytest.mark.parametrize("name", UTILITIES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    utility, m = UTILITIES[name]
    rng = np.random.default_rng(1)
    mean, std = rng.uniform(-1, 1, (6, m)), rng.uniform(0.05, 0.6, (6, m))
    value, pullback = utility(mean, std)
    assert value.shape == (6,)
    by_mean, by_std = pullback(np.ones(6))
    for k in range(m):
        step = np.zeros((6, m))
        step[:, k] = 1e-6
        rise = utility(mean + step, std)[0] - utility(mean - step, std)[0]
        np.testing.assert_allclose(by_mean[:, k], rise / 2e-6, rtol=1e-4, atol=1e-6)
        rise = utility(mean, std + step)[0] - utility(mean, std - step)[0]
        np.testing.assert_allclose(by_std[:, k], rise / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", UTILITIES)
def test_there_is_a_slope_where_nothing_improves(name: str) -> None:
    utility, m = UTILITIES[name]
    mean = np.full((3, m), -40.0)
    mean[1], mean[2] = 0.499999, 1e6
    value, pullback = utility(mean, np.full((3, m), 0.1))
    by_mean, _ = pullback(np.ones(3))
    assert np.isfinite(value).all()
    assert np.isfinite(by_mean).all()
    assert (by_mean >= 0).all()
    assert (by_mean.max(1) > 0).all()


@pytest.mark.parametrize("mean", [-3.0, -1.01, -0.99, 0.0, 2.5])
@pytest.mark.parametrize("std", [0.1, 1.0, 4.0])
def test_log_expected_improvement_is_the_integral(mean: float, std: float) -> None:
    best = 0.3
    f = np.linspace(best, best + 60 * std, 2_000_001)
    density = np.exp(-0.5 * ((f - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    value, _ = LogEI(best)(np.array([[mean]]), np.array([[std]]))
    assert math.exp(value[0]) == pytest.approx(trapezoid((f - best) * density, f), rel=1e-4)


def test_log_expected_improvement_rises_without_end_or_gap() -> None:
    z = -np.logspace(6, -3, 400)
    value, slope, _ = log_expected_improvement(z, np.ones_like(z))
    assert np.isfinite(value).all()
    assert (np.diff(value) > 0).all()
    assert np.isfinite(slope).all()
    assert (slope > 0).all()


def test_the_probability_above_zero_is_finite_far_below() -> None:
    logs, slope = log_probability_above(np.array([0.0, -1.0, -1e4]), np.array([1.0, 2.0, 1.0]))
    assert logs[0] == pytest.approx(math.log(0.5))
    assert logs[1] == pytest.approx(math.log(0.5 * math.erfc(0.5 / math.sqrt(2))))
    assert np.isfinite(logs).all()
    assert slope[2] == pytest.approx(1e4, rel=1e-3)


def test_gains_below_the_floor_keep_their_order_within_one() -> None:
    gain = np.linspace(-60, 3, 500)
    floored = _floored(gain)
    above = gain > _MIN_GAIN
    np.testing.assert_array_equal(floored[above], gain[above])
    assert (np.diff(floored) > 0).all()
    assert floored.min() > _MIN_GAIN - 1
    assert _floored(np.array([-np.inf]))[0] == _MIN_GAIN - 1


def test_scalarized_improvement_is_the_expectation_over_draws() -> None:
    normal = np.random.default_rng(0).standard_normal((4000, 2))
    mean, std = np.array([[0.2, -0.1], [-0.5, 0.4]]), np.array([[0.3, 0.5], [0.4, 0.2]])
    weights = np.array([0.3, 0.7])
    value, _ = LogChebyshevEI(np.zeros(2), -0.05, weights, normal)(mean, std)
    draws, _ = chebyshev(mean + normal[:, None] * std, weights)
    expected = np.log(np.maximum(draws + 0.05, 0).mean(0))
    np.testing.assert_allclose(value, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_hypervolume_improvement_is_the_expectation_over_draws(m: int) -> None:
    rng = np.random.default_rng(m)
    points = rng.random((30, m))
    front, reference = points[pareto_front(points)], np.full(m, -0.1)
    mean, std = rng.uniform(0.2, 1.2, (4, m)), rng.uniform(0.05, 0.5, (4, m))
    std[:, -1] = 0.0
    value, _ = LogEHVI(front, reference, (False,) * (m - 1) + (True,))(mean, std)
    low, high = boxes_beyond(front, reference)
    draws = mean + rng.standard_normal((40_000, 1, m)) * std
    sides = [(np.minimum(draws, h) - lo).clip(0).prod(-1) for lo, h in zip(low, high, strict=True)]
    np.testing.assert_allclose(np.exp(value), np.sum(sides, 0).mean(0), rtol=0.04, atol=1e-4)


@pytest.mark.parametrize("deviation", [1e-4, 0.3])
def test_sampled_hypervolume_improvement_is_near_the_exact_one(deviation: float) -> None:
    rng = np.random.default_rng(3)
    mean, reference = rng.uniform(0, 1.4, (40, 2)), np.full(2, -0.1)
    std = np.full((40, 2), deviation)
    exact, _ = LogEHVI(FRONT, reference, (False, False))(mean, std)
    draws, normal = rng.standard_normal((2, 4096, 2))
    sampled, _ = LogSampledHVI.of(FRONT, reference, draws, normal)(mean, std)
    improves = exact > np.log(0.05)
    ratio = np.exp(sampled[improves] - exact[improves])
    # the volume of the unit ball's positive part is the constant of proportion
    np.testing.assert_allclose(ratio, 4 / np.pi, rtol=0.15)
