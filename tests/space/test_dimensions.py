from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    SearchSpace,
)

NAN = float("nan")


def identical(a: Any, b: Any) -> bool:
    """Equal values of the same types; repr tells 1, 1.0 and True apart, and knows NaN."""
    return repr(a) == repr(b)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Integer, (5, 1), "a: low=5 is above high=1; swap them"),
        (Integer, (0, 10, 3), "a: high=10 .* steps of 3 above low=0; use high=9"),
        (Integer, (0, 10, 0), "a: step=0 must be at least 1"),
        (Integer, (0, 2.5), "a: high=2.5 must be an int; use Float"),
        (Integer, (True, 3), "a: low=True must be a finite number"),
        (Integer, ("1", 3), "a: low='1' must be a finite number"),
        (Integer, (0, None), "a: high=None must be a finite number"),
        (Integer, (0, math.inf), "a: high=inf must be a finite number"),
        (Integer, (0, 10**400), "a: high=1000.* must be a finite number"),
        (Integer, (0, 2**54), r"a: low=0 and high=\d+ must stay within 2\*\*53"),
        (Integer, (-(2**53), 2**53), r"must stay within 2\*\*53, and their difference too"),
        (Integer, (0, 8, 1, True), "a: log=True needs low >= 1 and low > step / 2, got step=1"),
        (Integer, (2, 10, 4, True), "a: log=True needs low >= 1 and low > step / 2"),
        (Float, (1, 0), "a: low=1.0 is above high=0.0; swap them"),
        (Float, (NAN, 1), "a: low=nan must be a finite number"),
        (Float, (0, False), "a: high=False must be a finite number"),
        (Float, (-1e308, 1e308), "a: .* too far apart; narrow them"),
        (Float, (0, 1, 0.3), "a: high=1.0 .* steps of 0.3 above low=0.0; use high=0.9"),
        (Float, (0, 1, 0), "a: step=0.0 must be above 0"),
        (Float, (0, 1, -0.1), "a: step=-0.1 must be above 0"),
        (Float, (0, 1, NAN), "a: step=nan must be a finite number"),
        (Float, (0, 1, 1e-20), "a: step=1e-20 .*; use step=None"),
        (Float, (0, 1, None, True), "a: log=True needs low > 0 and low > step / 2, got step=None"),
        (Float, (0.25, 1.25, 0.5, True), "a: log=True needs low > 0 and low > step / 2"),
        (Categorical, ((),), "a: choices is empty"),
        (Categorical, ((1, 2, 1),), "a: choices has 1 twice; remove one"),
        (Categorical, ((NAN, float("nan")),), "a: choices has nan twice"),
    ],
)
def test_wrong_dimensions(kind: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind("a", *arguments)


def test_numbers_become_builtin() -> None:
    numbers: list[Any] = [np.int64(1), np.float32(4), -0.0, Fraction(1, 2)]
    assert identical(Integer("a", numbers[0], numbers[1], 3), Integer("a", 1, 4, 3))
    assert identical(Float("a", numbers[2], numbers[3]), Float("a", 0.0, 0.5))


@pytest.mark.parametrize(
    ("low", "high", "step", "end"),
    [
        (0, 1, 0.1, 1.0),
        (0, 0.1 + 0.2, 0.1, 0.3),
        (0, 1, 1 / 3, 0.9999999999999999),
        (1e6 + 0.1, 1e6 + 0.1 + 186 * 0.001, 0.001, 1000000.286),
        (-5, -5, 2, -5.0),
    ],
)
def test_steps_with_tiny_errors_end_as_in_optuna(
    low: float, high: float, step: float, end: float
) -> None:
    dim = Float("a", low, high, step)
    assert dim.high == end
    (distribution,) = SearchSpace([dim]).distributions.values()  # warns if it adjusts high
    assert isinstance(distribution, optuna.distributions.FloatDistribution)
    assert distribution.high == end
    space = SearchSpace([dim])
    assert space.to_params(space.round([high])) == {"a": end}
    assert space.to_params(space.to_code({"a": high})) == {"a": high}


@pytest.mark.parametrize(
    ("choices", "value", "index"),
    [
        ((1, 1.0, True, "1"), True, 2),
        ((1, 1.0, True, "1"), 1.0, 1),
        ((1, 1.0, True, "1"), np.float64(1), 1),
        ((1, 1.0, True, "1"), np.bool_(True), 2),
        ((1, 1.0, True, "1"), "1", 3),
        ((True, 1), 1.0, 1),
        ((0.5, 1), 1.0, 1),
        ((None, NAN), float("nan"), 1),
        ((None, NAN), np.float32("nan"), 1),
        (("a", "b"), np.str_("b"), 1),
        (((1, 2), ()), (), 1),
        ((torch.nn.ReLU, torch.nn.SiLU), torch.nn.SiLU, 1),
        (((3, 3), (5, 5)), [5, 5], 1),  # as JSON has it, and what follows
        (({1: "a"}, {1: "b"}), {"1": "b"}, 1),
        (([(1, 2)], ((1, NAN),)), [[1, NAN]], 1),
        (([3], (3,)), [3], 0),  # itself first
        (({2: 0, None: 1}, {1: 0, None: 1}), {"1": 0, "null": 1}, 1),
        ((("1", torch.nn.ReLU), (1, torch.nn.ReLU)), [1, torch.nn.ReLU], 1),
    ],
)
def test_index_of_a_choice(choices: tuple[Any, ...], value: Any, index: int) -> None:
    assert Categorical("a", choices).index(value) == index


@pytest.mark.parametrize(
    ("choices", "value"),
    [
        ((True,), 1),
        ((1,), True),
        ((0, None), False),
        ((NAN,), None),
        (("1",), 1),
        (((1,), ("1",)), [True]),
        (((1, (2,)), (1, [2])), [1, [2]]),  # JSON has the same for both
    ],
)
def test_what_is_no_choice(choices: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(ValueError, match=r"a=.* is not one of \("):
        Categorical("a", choices).index(value)


@pytest.mark.parametrize(
    "dim", [Integer("a", 2, 100, step=2, log=True), Float("a", 0.1, 1.5, step=0.1, log=True)]
)
def test_steps_in_log(dim: Integer | Float) -> None:
    """Every value on the grid, small ones more often; the way to unit codes and back is exact."""
    space = SearchSpace([dim])
    every = space.enumerate()
    params: Any = space.to_params(every)
    np.testing.assert_array_equal(space.to_code(params), every)
    np.testing.assert_array_equal(space.round(space.denormalize(space.normalize(every))), every)
    np.testing.assert_allclose(every[:, 0] / dim.step, np.arange(1, len(every) + 1))
    drawn = space.sample(4_000, 0)[:, 0]
    assert {*drawn.tolist()} == {*every[:, 0].tolist()}
    middle = math.sqrt(dim.low * dim.high)
    assert 0.4 < (drawn < middle).mean() < 0.6
    with pytest.raises(ValueError, match=r"a: Optuna has no step=.* with log=True"):
        _ = space.distributions
    with pytest.raises(ValueError, match=r"a: Optuna has no step=.* with log=True"):
        space.suggest(optuna.create_study().ask())
