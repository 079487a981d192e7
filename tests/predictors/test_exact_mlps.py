"""MLPs with an exact last layer, of finite and of infinite width: that they learn, and how."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import MRSpace, NCPOptimizer
from ncp_sampler.predictors import BayesianMLP, InfiniteMLP
from ncp_sampler.predictors.bayesian_mlp import Network
from ncp_sampler.predictors.guided import Guided
from ncp_sampler.predictors.infinite_mlp import ArcCosine
from ncp_sampler.predictors.kernels import Kernel, Matern
from ncp_sampler.predictors.process import ExactProcess

BOTH = [InfiniteMLP, lambda: BayesianMLP(width=256)]

Array = NDArray[np.float64]


def _codes_and_parameters(n: int = 12) -> tuple[Tensor, Tensor]:
    """Codes (n, 4), and the kernel's parameters for two metrics, (2, 6)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, 4, dtype=torch.float64, generator=generator)
    return x, 0.5 * torch.randn(2, 6, dtype=torch.float64, generator=generator)


def _data(n: int = 60, seed: int = 0) -> tuple[Array, Array]:
    x = np.random.default_rng(seed).random((n, 5))
    return x, 70 + 10 * np.sin(3 * x[:, 0]) - 5 * x[:, 1] * x[:, 2]


def test_covariance_is_that_of_wide_random_networks() -> None:
    """Of 20 networks of two hidden layers of 2,000 ReLU, with a bias unit in each layer."""
    x, theta = _codes_and_parameters()
    generator = torch.Generator().manual_seed(1)
    (weights, bias), width = (theta[0, :-2].exp(), theta[0, -2].exp()), 2_000
    ones = bias.sqrt().expand(len(x), 1)
    found = torch.zeros(len(x), len(x), dtype=torch.float64)
    for _ in range(20):
        hidden = torch.cat([(x - 0.5) * weights, ones], 1)
        for _ in range(2):
            drawn = torch.randn(hidden.shape[1], width, dtype=x.dtype, generator=generator)
            hidden = torch.cat([torch.relu(hidden @ drawn) * math.sqrt(2 / width), ones], 1)
        found += hidden @ hidden.T / 20
    found *= theta[0, -1].exp() / found.diagonal().mean()
    exact = ArcCosine().covariance(x, theta)[0][0]
    assert (found - exact).abs().max() < 0.02 * exact.max()


def test_wide_networks_approach_the_infinite_one() -> None:
    x, theta = _codes_and_parameters()
    exact = ArcCosine().covariance(x, theta)[0]
    misses = [
        float((Network(width, 0).covariance(x, theta)[0] - exact).abs().max() / exact.max())
        for width in (16, 256, 4_096)
    ]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] < 0.05


@pytest.mark.parametrize(
    "kernel",
    [ArcCosine(), Network(32, 0), Matern(), Guided(InfiniteMLP(), 2)._kernel],
    ids=["infinite", "finite", "Matern", "guided"],
)
def test_gradients_are_those_of_finite_differences(kernel: Kernel) -> None:
    """By the parameters and by the codes."""
    x, theta = _codes_and_parameters()
    theta = theta[:, : len(kernel.prior(4)[0])]
    weights = torch.randn(2, 12, 12, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    weights = weights + weights.mT
    gradient = kernel.covariance(x, theta)[1](weights)
    for j in range(theta.shape[1]):
        step = torch.zeros_like(theta)
        step[:, j] = 1e-6
        ends = [
            (weights * kernel.covariance(x, theta + sign * step)[0]).sum((-1, -2)) / 2
            for sign in (1, -1)
        ]
        numeric = (ends[0] - ends[1]) / 2e-6
        torch.testing.assert_close(gradient[:, j], numeric, rtol=1e-5, atol=1e-6)
    cross = kernel.cross(x, theta)
    k, variance, _ = cross(x)
    torch.testing.assert_close(k, kernel.covariance(x, theta)[0])
    torch.testing.assert_close(variance.expand(2, 12), k.diagonal(dim1=1, dim2=2))
    z = torch.cat([x[:1], torch.full((1, 4), 0.5, dtype=x.dtype)])  # a known code, and the middle
    k, variance, pull = cross(z)
    by_k, by_variance = torch.randn_like(k), torch.randn_like(variance)
    by_code = pull(by_k, by_variance)
    assert by_code.isfinite().all()
    assert torch.equal(by_code, pull(by_k, by_variance))  # it may be asked again
    for j in range(z.shape[1]):
        step = torch.zeros_like(z)
        step[:, j] = 1e-6
        (high_k, high, _), (low_k, low, _) = cross(z + step), cross(z - step)
        numeric = (by_k * (high_k - low_k)).sum((0, 2)) + (by_variance * (high - low)).sum(0)
        torch.testing.assert_close(by_code[1, j], numeric[1] / 2e-6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("new", BOTH)
def test_learns_and_knows_what_it_does_not_know(new: Callable[[], ExactProcess]) -> None:
    x, y = _data()
    held_out, truth = _data(seed=1)
    mean, std = new().fit(x, {"top1": y}).predict(held_out)
    error = np.abs(mean[:, 0] - truth)
    assert error.mean() < 0.1 * truth.std()
    near = new().fit(0.2 * x, {"top1": y})
    assert near.predict(np.ones((1, 5)))[1] > 5 * near.predict(0.2 * x)[1].max()
    assert 0.4 < (error < std[:, 0]).mean() <= 1


@pytest.mark.parametrize("new", BOTH)
def test_saved_state_goes_on_as_if_never_stopped(new: Callable[[], ExactProcess]) -> None:
    x, y = _data()
    model, other = new().fit(x, {"a": y, "b": -y}), new()
    other.load_state_dict(model.state_dict())
    other.fit(x, {"a": y, "b": -y}, steps=0)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


@pytest.mark.parametrize("n_metrics", [1, 2])
def test_proposes_codes(n_metrics: int) -> None:
    """In place of the default, for one metric and for two; better than the quasi-random start."""
    space = MRSpace()
    names = ["a", "b"][:n_metrics]
    optimizer = NCPOptimizer(
        space, directions=dict.fromkeys(names, "maximize"), seed=0, predictor=InfiniteMLP()
    )
    values = []
    for _ in range(18):
        (params,) = optimizer.ask()
        unit = space.normalize(space.to_code(params))
        values.append(float(unit.mean() - unit[:5].mean()))
        optimizer.tell(params, dict(zip(names, [values[-1], -(values[-1] ** 2)], strict=False)))
    assert n_metrics == 2 or max(values[10:]) > max(values[:10])
