"""Spaces of many parameters: how often a user's functions are called, and fast steps of an ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.interpolation import InterpolatedFeatures
from tests.optimizer_examples import run

FLOATS = [Float(f"x{i}", 0, 1) for i in range(60)]


class Size:
    """A plain function of params that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, params: Mapping[str, Any]) -> float:
        self.calls += 1
        return float(np.sum(np.square([*params.values()])))


def distance(params: Mapping[str, Any]) -> float:
    return float(sum((value - 0.7) ** 2 for value in params.values()))


def test_a_plain_cost_is_called_some_thousand_times_an_ask() -> None:
    """With 60 floats and interpolation alone, it was called 80,000 times, which took seconds."""
    size = Size()
    search = NCPOptimizer(
        SearchSpace(FLOATS), directions={"loss": "minimize"}, seed=0, n_startup_trials=4,
        costs={"size": size}, limits={"size": 15.0},
    )  # fmt: skip
    size.calls = 0
    tried = run(search, 8, distance)
    assert size.calls / 8 < 9000
    assert all(size(params) <= 15 for params in tried)


def test_plain_features_are_called_some_thousand_times_an_ask() -> None:
    size = Size()
    space = SearchSpace(FLOATS, param_features=size)
    search = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0, n_startup_trials=4)
    size.calls = 0
    run(search, 8, distance)
    assert size.calls / 8 < 9000


@pytest.mark.parametrize("n", [2, 300])  # interpolated each, and with lent slopes
def test_lent_slopes_are_those_of_a_linear_function(n: int) -> None:
    space = SearchSpace(
        [Float("a", 1, 3), Integer("b", 0, 9), Categorical("c", ("x", "y", "z")), *FLOATS]
    )

    def linear(params: Mapping[str, Any]) -> list[float]:
        own = 2 * params["a"] + params["b"] + 5 * (params["c"] == "z")
        return [own + sum(params[dim.name] for dim in FLOATS), own]

    features = InterpolatedFeatures(space, linear)
    codes = space.sample(n, 0)
    x = torch.as_tensor(space.normalize(codes)).requires_grad_(True)
    made = features(x)[:, -2:]
    expected = [linear(params) for params in space.to_params(codes.tolist())]
    np.testing.assert_allclose(made.detach().numpy(), expected)
    (slope,) = torch.autograd.grad(made.sum(), x)
    numeric = [space.columns.index(name) for name in ("a", "b", "x0")]
    np.testing.assert_allclose(slope[:, numeric].numpy(), np.tile([8.0, 18.0, 1.0], (n, 1)))


@pytest.mark.parametrize("low", [0, -3])
def test_unique_codes_are_sorted_as_numpy_does(low: int) -> None:
    rng = np.random.default_rng(0)
    for codes in (rng.integers(low, 4, (300, 4)), rng.integers(low, 4, (300, 4)) / 7, np.eye(0, 3)):
        unique = unique_codes(codes)
        np.testing.assert_array_equal(unique, np.unique(codes, axis=0))
        assert unique.dtype == codes.dtype


def test_neighbors_are_valid_and_differ_in_one_parameter() -> None:
    space = SearchSpace(
        [Float("a", 1, 3), Float("log", 0.1, 1, log=True), Integer("b", 0, 9, step=3),
         Categorical("c", ("x", "y", "z")), Categorical("d", (0, 1)), Categorical("one", ("x",))]
    )  # fmt: skip
    for code in space.sample(50, 0):
        near = space.neighbors(code)
        np.testing.assert_array_equal(space.round(near), near)
        blocks = [near[:, space.column_slice(name)] != code[space.column_slice(name)]
                  for name in space.names]  # fmt: skip
        assert (sum(block.any(axis=1).astype(int) for block in blocks) == 1).all()
