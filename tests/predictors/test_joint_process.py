"""Correlated metrics: what is observed of one informs the others."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler.predictors import GaussianProcess
from ncp_sampler.predictors.joint_process import Coregionalized, JointProcess
from ncp_sampler.predictors.kernels import NNGP, Matern52, Sum

RNG = np.random.default_rng(0)
X = RNG.random((40, 3))
FIRST = np.sin(3 * X[:, 0]) + X[:, 1] ** 2
SECOND = 10 * FIRST + X[:, 2]
FEW = np.where(np.arange(40) % 5 == 0, SECOND, np.nan)


def test_a_metric_that_few_rows_have_learns_from_the_other() -> None:
    grid = RNG.random((200, 3))
    truth = 10 * (np.sin(3 * grid[:, 0]) + grid[:, 1] ** 2) + grid[:, 2]
    joint = JointProcess(GaussianProcess()).fit(X, {"first": FIRST, "second": FEW})
    alone = GaussianProcess().fit(X, {"second": FEW})
    error = np.abs(joint.predict(grid)[0][:, 1] - truth).mean()
    assert error < 0.5 * np.abs(alone.predict(grid)[0][:, 0] - truth).mean()


def test_a_metric_of_opposite_sign_helps_as_well() -> None:
    grid = RNG.random((200, 3))
    truth = -10 * (np.sin(3 * grid[:, 0]) + grid[:, 1] ** 2) - grid[:, 2]
    joint = JointProcess(GaussianProcess()).fit(X, {"first": FIRST, "second": -FEW})
    alone = GaussianProcess().fit(X, {"second": -FEW})
    error = np.abs(joint.predict(grid)[0][:, 1] - truth).mean()
    assert error < np.abs(alone.predict(grid)[0][:, 0] - truth).mean()


def test_gradients_are_those_of_finite_differences() -> None:
    joint = JointProcess(GaussianProcess()).fit(X, {"first": FIRST, "second": FEW})
    z, by_mean, by_std = RNG.random((6, 3)), *RNG.standard_normal((2, 6, 2))
    gradient = joint.moments(z).vjp(by_mean, by_std)
    for k in range(3):
        step = np.zeros((6, 3))
        step[:, k] = 1e-6
        (mean, std), (lower, less) = joint.predict(z + step), joint.predict(z - step)
        rise = ((mean - lower) * by_mean + (std - less) * by_std).sum(1) / 2e-6
        np.testing.assert_allclose(gradient[:, k], rise, rtol=1e-3, atol=1e-4)


def test_gradients_by_the_parameters_are_those_of_finite_differences() -> None:
    kernel = Coregionalized(Sum(NNGP(), Matern52()), 2)
    x = np.concatenate([RNG.random((8, 3)), RNG.integers(2, size=(8, 1))], axis=1)
    theta = np.array(kernel.prior(4)[0]) + 0.1 * RNG.standard_normal(len(kernel.prior(4)[0]))
    w = RNG.standard_normal((8, 8))
    w = w + w.T
    _, pullback = kernel.covariance(x, theta)
    for k, slope in enumerate(pullback(w)):
        step = np.zeros(len(theta))
        step[k] = 1e-6
        higher, lower = (kernel.covariance(x, theta + s)[0] for s in (step, -step))
        assert slope == pytest.approx(np.vdot(w, higher - lower) / 4e-6, rel=1e-4, abs=1e-6)


def test_conditioning_keeps_the_mean_and_reduces_the_variance() -> None:
    joint = JointProcess(GaussianProcess()).fit(X, {"first": FIRST, "second": FEW})
    z = RNG.random((4, 3))
    mean, std = joint.predict(z)
    after, less = joint.condition(z).predict(z)
    np.testing.assert_allclose(after, mean, rtol=1e-6)
    assert (less < std).all()


def test_a_restored_process_goes_on_alike() -> None:
    first, second = JointProcess(GaussianProcess()), JointProcess(GaussianProcess())
    metrics = {"first": FIRST, "second": FEW}
    first.fit(X, metrics)
    second.load_state_dict(first.state_dict())
    second.fit(X, metrics, steps=0)
    np.testing.assert_array_equal(first.predict(X)[0], second.predict(X)[0])


def test_residuals_of_missing_values_are_missing() -> None:
    joint = JointProcess(GaussianProcess()).fit(X, {"first": FIRST, "second": FEW})
    residuals = joint.sequential_residuals([34, 35, 36])
    assert np.isnan(residuals).tolist() == [[False] * 3, [True, False, True]]
    assert np.abs(residuals[~np.isnan(residuals)]).max() < 4
