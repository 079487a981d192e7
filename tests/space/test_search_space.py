from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    SearchSpace,
)
from ncp_sampler.space import Group
from tests.space_examples import CODE, MIXED, PARAMS, SMALL

NAN = float("nan")


def identical(a: Any, b: Any) -> bool:
    """Equal values of the same types; repr tells 1, 1.0 and True apart, and knows NaN."""
    return repr(a) == repr(b)


# The space as a whole


def test_names_columns_size() -> None:
    assert MIXED.names == ("units", "batch", "dropout", "rate", "shift", "act")
    assert MIXED.columns == (*MIXED.names[:-1], "act=relu", "act=None", "act=True", "act=1")
    assert SearchSpace([Categorical("a", (1, "1"))]).columns == ("a=1", "a='1'")
    assert MIXED.column_slice("batch") == slice(1, 2)
    assert MIXED.column_slice("act") == slice(5, 9)
    assert MIXED.size == math.inf
    assert SMALL.size == 3 * 2 * 3
    assert repr(SMALL) == "SearchSpace(3 dimensions, 18 codes)"
    assert SearchSpace([Integer(str(i), 0, 2**52) for i in range(40)]).size == math.inf


def test_wrong_spaces() -> None:
    with pytest.raises(ValueError, match="dimensions is empty"):
        SearchSpace([])
    with pytest.raises(ValueError, match="dimensions has 'a' more than once; rename one"):
        SearchSpace([Integer("a", 0, 1), Float("a", 0, 1)])
    with pytest.raises(ValueError, match="unknown parameter 'x'; the space has"):
        MIXED.column_slice("x")


def test_equality_tells_choices_apart() -> None:
    def space(*choices: Any) -> SearchSpace:
        return SearchSpace([Categorical("a", choices)])

    assert space(1, NAN) == space(1, float("nan"))
    assert space(1) != space(True)
    assert space(1) != space(1.0)
    assert space(1) != space(1, 2)
    assert space(1) != SearchSpace([Integer("a", 1, 1)])
    assert space([1]) == space([1])
    assert hash(space([1])) == hash(space([1]))  # choices need no hash of their own
    assert len({MIXED, copy.deepcopy(MIXED), pickle.loads(pickle.dumps(MIXED)), SMALL}) == 2


def root(params: Mapping[str, Any]) -> float:
    return float(params["a"] ** 0.5)


def test_equality_takes_in_all_that_defines_a_space() -> None:
    """Two spaces that a search would treat differently never share an entry of a cache."""
    dims = SearchSpace([Integer("a", 0, 9), Categorical("b", ("x", "y"))]).dimensions

    class Own(SearchSpace):
        """A space with methods of its own."""

    given: list[dict[str, Any]] = [
        {},
        {"start": {"a": 3, "b": "y"}},
        {"features": torch.square},
        {"features": partial(torch.clamp, min=0.5)},
        {"features": partial(torch.clamp, min=0.1)},
        {"param_features": root},
        {"param_features": lambda params: params["a"]},
        {"units": {"loss": "nats"}},
        {"groups": [Group("All", "number", ("a", "b"))]},
    ]
    cache = {SearchSpace(dims, **hooks): hooks for hooks in given}
    cache[Own(dims)] = {}
    assert len(cache) == len(given) + 1
    for hooks in given:
        assert cache[SearchSpace(dims, **hooks)] is hooks  # made anew, it is the same space
    spaces = [SearchSpace(dims, **hooks) for hooks in given[:6]]
    assert pickle.loads(pickle.dumps(spaces)) == spaces


# Params and codes


def test_one_dictionary_and_many() -> None:
    np.testing.assert_array_equal(MIXED.to_code(PARAMS), CODE)
    np.testing.assert_array_equal(MIXED.to_code([PARAMS, PARAMS]), [CODE, CODE])
    assert identical(MIXED.to_params(CODE), PARAMS)
    assert identical(MIXED.to_params([CODE, CODE]), [PARAMS, PARAMS])
    assert identical(MIXED.to_params(torch.tensor(CODE, dtype=torch.float64)), PARAMS)  # type: ignore[call-overload]
    shuffled = dict(reversed(PARAMS.items()))
    assert list(MIXED.to_params(MIXED.to_code(shuffled))) == list(MIXED.names)


def test_no_codes_at_all() -> None:
    for space in (MIXED, SMALL, MRSpace()):
        empty: Any = space.to_code([])
        assert empty.shape == (0, len(space.columns))
        assert empty.dtype == space.sample(1).dtype
        assert space.to_params(empty) == []
        for same in (space.round(empty), space.normalize(empty), space.denormalize(empty)):
            assert same.shape == empty.shape
        assert space.sample(0).shape == empty.shape


@pytest.mark.parametrize(
    "value",
    [8, 8.0, np.int32(8), np.float32(8), Fraction(8), 8 + 1e-9, 8 - 1e-9],
)
def test_any_number_type_is_one_integer(value: Any) -> None:
    params_back = MIXED.to_params(MIXED.to_code({**PARAMS, "units": value}))
    assert identical(params_back["units"], 8)
    integers = SearchSpace([Integer("a", 0, 16, step=4)])
    assert identical(integers.to_params(integers.to_code({"a": value})), {"a": 8})


@pytest.mark.parametrize("value", [0.3, 0.1 + 0.2, 0.7, 0.7000000000000001])
def test_grid_values_keep_their_last_digit(value: float) -> None:
    code = MIXED.to_code({**PARAMS, "dropout": value})
    assert identical(MIXED.to_params(code)["dropout"], value)
    rounded = {
        MIXED.round(MIXED.to_code({**PARAMS, "dropout": v})).tobytes() for v in (0.3, 0.1 * 3)
    }
    assert len(rounded) == 1


def test_no_negative_zero() -> None:
    space = SearchSpace([Float("x", -1, 1)])
    assert identical(space.to_params(space.to_code({"x": -0.0})), {"x": 0.0})
    assert space.round([-0.0]).tobytes() == space.to_code({"x": 0}).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": 9}, r"units=9 is not a value of Integer\(.*nearest valid value is 8"),
        ({"units": 68}, r"units=68 is not a value .* nearest valid value is 64"),
        ({"units": True}, "units=True is not a number"),
        ({"units": "8"}, "units='8' is not a number; give an int or a float"),
        ({"units": None}, "units=None is not a number"),
        ({"units": np.bool_(True)}, "units=.*True.* is not a number"),
        ({"units": NAN}, "NaN at 'units'"),
        ({"units": 10**400}, "beyond the range of a float"),
        ({"dropout": 0.35}, "dropout=0.35 is not a value"),
        ({"rate": 0}, "rate=0 is not a value of Float.* nearest valid value is 1e-05"),
        ({"shift": 1.0000000000000002}, "shift=1 is not a value"),
        ({"act": "tanh"}, r"act='tanh' is not one of \('relu', None, True, 1\)"),
        ({"act": False}, "act=False is not one of"),
        ({"more": 1}, r"missing \[\], unknown \['more'\]; give exactly \['units'"),
    ],
)
def test_wrong_params(change: dict[str, Any], message: str) -> None:
    params = {**PARAMS, **change}
    with pytest.raises(ValueError, match=message):
        MIXED.to_code(params)
    with pytest.raises(ValueError, match=message):
        MIXED.to_code([PARAMS, params])


def test_missing_params() -> None:
    with pytest.raises(ValueError, match=r"missing \['units', 'act'\], unknown \[\]"):
        MIXED.to_code({k: v for k, v in PARAMS.items() if k not in ("units", "act")})


def test_clip_takes_the_nearest_value() -> None:
    off = {**PARAMS, "units": 9, "batch": 0, "dropout": 0.36, "rate": -1, "shift": math.inf}
    params_back = MIXED.to_params(MIXED.to_code(off, clip=True))
    nearest = {"units": 8, "batch": 1, "dropout": 0.4, "rate": 1e-5, "shift": 1.0}
    assert identical(params_back, {**PARAMS, **nearest})
    with pytest.raises(ValueError, match="act='tanh' is not one of"):
        MIXED.to_code({**PARAMS, "act": "tanh"}, clip=True)
    with pytest.raises(ValueError, match="NaN at 'rate'"):
        MIXED.to_code({**PARAMS, "rate": NAN}, clip=True)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE[:-1], r"shape \(8,\); its last axis must be the 9 columns"),
        (8.0, "code=8.0 must be numbers"),
        ([], r"shape \(0,\)"),
        ("code", r"code=.* must be numbers"),
        ([CODE, CODE[:-1]], r"code=.* must be numbers"),
        ([[[*CODE]]], r"shape \(1, 1, 9\); it must be \(d,\) or \(n, d\)"),
        ([*CODE[:3], NAN, *CODE[4:]], "code is NaN at 'rate'; replace it with a number"),
        ([9.0, *CODE[1:]], "units=9 is not a value of .*; the nearest valid value is 8"),
        ([*CODE[:-1], 1.0], "act=1=1 is not a value of Categorical.* nearest valid value is 0"),
        ([*CODE[:-4], 0.0, 0.0, 0.0, 0.0], "act=relu=0 .* nearest valid value is 1"),
    ],
)
def test_wrong_codes(code: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MIXED.to_params(code)


# Rounding and the unit box


def test_round_takes_the_nearest_code() -> None:
    code = [9.9, 3.4, 0.36, 0.011, 7.0, 0.1, 0.3, 0.2, -5.0]
    valid = [8.0, 3.0, 0.4, 0.011, 1.0, 0.0, 1.0, 0.0, 0.0]
    np.testing.assert_array_equal(MIXED.round(code), valid)
    np.testing.assert_array_equal(MIXED.round([[code] * 2] * 3), [[valid] * 2] * 3)
    np.testing.assert_array_equal(MIXED.round(torch.tensor(code)), MIXED.round(np.array(code, "f")))
    infinite = MIXED.round([math.inf, -math.inf, *code[2:]])
    np.testing.assert_array_equal(infinite, [64.0, 1.0, *valid[2:]])


def test_integers_and_choices_alone_have_integer_codes() -> None:
    space = SearchSpace([Integer("n", 1, 3), Categorical("c", ("a", "b"))])
    assert space.to_code({"n": 2, "c": "b"}).tolist() == [2, 0, 1]
    assert space.to_code({"n": 2, "c": "b"}).dtype == space.round([0, 0, 0]).dtype == np.int64
    assert space.normalize([2, 0, 1]).tolist() == [0.5, 0.0, 1.0]


def test_integers_up_to_the_last_exact_float() -> None:
    space = SearchSpace([Integer("a", 0, 2**53), Integer("b", -(2**52), 2**52)])
    for value in (0, 1, 2**52 + 1, 2**53 - 1, 2**53):
        params = {"a": value, "b": min(value, 2**52) - 1}
        assert space.to_params(space.to_code(params)) == params
    assert (2**53 - 1, 2**52) in map(tuple, space.neighbors([2**53, 2**52]).tolist())


def test_unit_box() -> None:
    low = [4.0, 1.0, 0.0, 1e-5, -1.0, 0.0, 0.0, 0.0, 0.0]
    high = [64.0, 512.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    middle = [34.0, math.sqrt(512), 0.5, math.sqrt(1e-5), 0.0, 0.5, 0.5, 0.5, 0.5]
    for code, unit in ((low, 0.0), (middle, 0.5), (high, 1.0)):
        np.testing.assert_allclose(MIXED.normalize(code), np.full(9, unit), atol=1e-15)
        np.testing.assert_allclose(MIXED.denormalize(np.full(9, unit)), code, rtol=1e-14)
    with pytest.raises(ValueError, match="number <= 0 in a log dimension; round it first"):
        MIXED.normalize([4.0, 0.0, *low[2:]])


def test_single_values() -> None:
    space = SearchSpace(
        [
            Integer("n", 3, 3),
            Integer("m", 7, 7, log=True),
            Float("x", 0.1, 0.1),
            Float("y", 0.1, 0.1, log=True),
            Categorical("c", (None,)),
        ]
    )
    params = {"n": 3, "m": 7, "x": 0.1, "y": 0.1, "c": None}
    assert space.size == 1
    for code in (space.sample(1, 0)[0], space.enumerate()[0], space.round(np.zeros(5))):
        assert identical(space.to_params(code), params)
    code = space.to_code(params)
    assert space.normalize(code).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    for unit in (0.0, 1.0):
        assert identical(space.to_params(space.round(space.denormalize(np.full(5, unit)))), params)
    assert space.neighbors(code).shape == (0, 5)
    assert SearchSpace([Integer(str(i), 0, 0) for i in range(99)]).enumerate().shape == (1, 99)


def test_denormalize_is_differentiable() -> None:
    unit = torch.rand(3, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(MIXED.denormalize(unit), MIXED.denormalize(unit.numpy()))
    assert torch.autograd.gradcheck(MIXED.denormalize, (unit.requires_grad_(),))
    single = MIXED.denormalize(unit.detach().float())
    assert single.dtype == torch.float32
    assert MIXED.denormalize(torch.ones(9, dtype=torch.int64))[3].item() == pytest.approx(1.0)


def test_default_device_is_left_alone() -> None:
    unit = torch.full((2, 9), 0.5)
    torch.set_default_device("meta")
    try:
        assert MIXED.denormalize(unit).device.type == "cpu"
        assert MIXED.round(unit).shape == (2, 9)
    finally:
        torch.set_default_device(None)


def test_arguments_are_not_changed() -> None:
    code = np.array([[9.9, 3.4, 0.36, 0.011, 7.0, 0.1, 0.3, 0.2, -5.0]])
    before = code.copy()
    MIXED.round(code)
    MIXED.normalize(code)
    MIXED.denormalize(code)
    MIXED.neighbors(code[0])
    np.testing.assert_array_equal(code, before)
