"""Kernels: that they are the covariances they claim to be, and that their gradients are exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler.predictors.kernels import (
    NNGP,
    Columns,
    Kernel,
    Linear,
    Matern52,
    Sum,
)
from ncp_sampler.predictors.random_relu import RandomReLU

Array = NDArray[np.float64]

KERNELS: dict[str, Kernel] = {
    "Matern52": Matern52(),
    "NNGP": NNGP(),
    "RandomReLU": RandomReLU(width=32),
    "Linear": Linear(),
    "Sum": Sum(NNGP(), Matern52()),
    "linear term": Sum(Columns(NNGP(), 0, -1), Columns(Linear(), -1)),
}


def _codes(n: int = 12, d: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random((n, d))


def _parameters(kernel: Kernel, d: int = 4) -> Array:
    """Parameters some way from the middle of the prior."""
    mean, _ = kernel.prior(d)
    return np.array(mean) + 0.4 * np.random.default_rng(1).standard_normal(len(mean))


@pytest.fixture(params=list(KERNELS))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return KERNELS[request.param]


def test_matern_is_the_textbook_formula() -> None:
    x, kernel = _codes(), Matern52()
    theta = _parameters(kernel)
    distance = np.sqrt((((x[:, None] - x) / np.exp(theta[:-1])) ** 2).sum(-1))
    u = math.sqrt(5) * distance
    expected = math.exp(theta[-1]) * (1 + u + u**2 / 3) * np.exp(-u)
    np.testing.assert_allclose(kernel.covariance(x, theta)[0], expected, rtol=1e-5)


def test_nngp_is_the_covariance_of_wide_random_networks() -> None:
    """The 20 networks have two hidden layers of 2,000 ReLU and a bias unit in each layer."""
    x, kernel = _codes(), NNGP()
    theta = _parameters(kernel)
    rng, width = np.random.default_rng(2), 2_000
    ones = np.full((len(x), 1), math.exp(theta[-2] / 2))
    total = np.zeros((len(x), len(x)))
    for _ in range(20):
        hidden = np.concatenate([(x - 0.5) * np.exp(theta[:-2]), ones], 1)
        for _ in range(2):
            weights = rng.standard_normal((hidden.shape[1], width))
            hidden = np.concatenate([np.maximum(hidden @ weights, 0) * (2 / width) ** 0.5, ones], 1)
        total += hidden @ hidden.T / 20
    total *= math.exp(theta[-1]) / total.diagonal().mean()
    exact, _ = kernel.covariance(x, theta)
    assert np.abs(total - exact).max() < 0.02 * exact.max()


def test_wide_networks_approach_the_infinite_one() -> None:
    x, theta = _codes(), _parameters(NNGP())
    exact, _ = NNGP().covariance(x, theta)
    errors = [
        np.abs(RandomReLU(width).covariance(x, theta)[0] - exact).max() / exact.max()
        for width in (16, 256, 4_096)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_gradients_by_the_parameters_are_those_of_finite_differences(kernel: Kernel) -> None:
    x, theta = _codes(), _parameters(kernel)
    w = np.random.default_rng(3).standard_normal((len(x), len(x)))
    w += w.T
    gradient = kernel.covariance(x, theta)[1](w)
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-6
        ends = [np.vdot(w, kernel.covariance(x, theta + s * step)[0]) / 2 for s in (1, -1)]
        assert gradient[j] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_queries_agree_with_the_covariance_and_are_differentiable(kernel: Kernel) -> None:
    x, theta = _codes(), _parameters(kernel)
    query = kernel.query(x, theta)
    k, _ = kernel.covariance(x, theta)
    np.testing.assert_allclose(query(x).covariance, k, rtol=1e-12)
    np.testing.assert_allclose(query(x).variance, k.diagonal(), rtol=1e-9)
    z = np.concatenate([x[:1], np.full((1, 4), 0.5), _codes(2, seed=5)])  # one is observed
    rng = np.random.default_rng(4)
    by_k, by_v = rng.standard_normal((len(z), len(x))), rng.standard_normal(len(z))
    cross = query(z)
    gradient = cross.vjp(by_k, by_v)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(cross.vjp(by_k, by_v), gradient)  # it can be called again
    for j in range(z.shape[1]):
        step = np.zeros(z.shape)
        step[1:, j] = 1e-6
        high, low = query(z + step), query(z - step)
        rise = (by_k * (high.covariance - low.covariance)).sum(1)
        rise += by_v * (high.variance - low.variance)
        np.testing.assert_allclose(gradient[1:, j], rise[1:] / 2e-6, rtol=1e-4, atol=1e-6)


def test_further_codes_follow_the_observed_ones(kernel: Kernel) -> None:
    x, extra, theta = _codes(), _codes(3, seed=6), _parameters(kernel)
    z = _codes(2, seed=7)
    joined, alone = kernel.query(x, theta, extra)(z), kernel.query(x, theta)(z)
    np.testing.assert_allclose(joined.covariance[:, : len(x)], alone.covariance, rtol=1e-12)
    back = kernel.query(x, theta)(extra).covariance
    np.testing.assert_allclose(kernel.query(x, theta, extra)(x).covariance[:, len(x) :], back.T)


def test_gradients_are_those_of_pytorch() -> None:
    """Compare with the same kernel in tensor operations, differentiated by autograd."""
    x, z = _codes(), _codes(3, seed=8)
    theta = _parameters(NNGP())

    def nngp(a: torch.Tensor) -> torch.Tensor:
        t = torch.as_tensor(theta)
        b = (torch.as_tensor(x) - 0.5) * t[:-2].exp()
        a, bias = (a - 0.5) * t[:-2].exp(), t[-2].exp()
        q, p, k = (a * a).sum(1) + bias, (b * b).sum(1) + bias, a @ b.T + bias
        for layer in range(2):
            size = (q + layer * bias).sqrt()[:, None] * (p + layer * bias).sqrt()
            angle = (k / size).arccos()
            k = size * (angle.sin() + (math.pi - angle) * angle.cos()) / math.pi + bias
        return k * t[-1].exp() / (p + 2 * bias).mean()

    leaf = torch.tensor(z, requires_grad=True)
    k = nngp(leaf)
    by_k = np.random.default_rng(9).standard_normal((3, len(x)))
    expected: Any = torch.autograd.grad((k * torch.as_tensor(by_k)).sum(), leaf)[0].numpy()
    cross = NNGP().query(x, theta)(z)
    np.testing.assert_allclose(cross.covariance, k.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(cross.vjp(by_k, np.zeros(3)), expected, rtol=1e-8, atol=1e-10)
