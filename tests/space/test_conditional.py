"""Spaces whose parameters exist only under others: one code for what counts, one model for all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from ncp_sampler import Categorical, Float, Integer, SearchSpace
from ncp_sampler.space import Dimension

DIMENSIONS = (
    Integer("width_2", 8, 64, step=8),
    Categorical("model", ("net", "tree", "none")),
    Integer("depth", 1, 4),
    Categorical("norm", ("batch", "layer")),
    Float("momentum", 0.0, 1.0),
)
CONDITIONS = {
    "momentum": ("norm", ["batch"]),  # a child before its parent
    "norm": ("model", ["net"]),
    "width_2": ("depth", [3, 4]),
}
SPACE = SearchSpace(DIMENSIONS, conditions=CONDITIONS)
LAYERS = SearchSpace(
    [Integer("n_layers", 1, 4), *(Integer(f"w{i}", 1, 3) for i in range(4))],
    conditions={f"w{i}": ("n_layers", range(i + 1, 5)) for i in range(4)},
)


def test_what_exists_under_its_parents() -> None:
    params = [
        {"width_2": 8, "model": "net", "depth": 4, "norm": "batch", "momentum": 0.9},
        {"model": "net", "depth": 1, "norm": "layer"},
        {"width_2": 8, "model": "tree", "depth": 3},
    ]
    codes = SPACE.to_code(params)
    assert SPACE.exists(codes).tolist() == [
        [True, True, True, True, True],
        [False, True, True, True, False],
        [True, True, True, False, False],
    ]
    assert SPACE.exists(codes, by_column=True).shape == codes.shape
    again: Any = SPACE.to_params(codes)
    assert again == params
    assert [*SPACE.conditions] == ["norm", "width_2", "momentum"]  # parents first
    assert SPACE.conditions["width_2"] == ("depth", (3, 4))


def test_a_condition_that_always_holds_is_none() -> None:
    assert [*LAYERS.conditions] == ["w1", "w2", "w3"]
    nested = SearchSpace(
        [Categorical("a", (0, 1)), Categorical("b", (0, 1)), Integer("c", 0, 9)],
        conditions={"b": ("a", [1]), "c": ("b", [0, 1])},  # c whenever b exists
    )
    assert nested.to_params(nested.to_code({"a": 0})) == {"a": 0}
    assert nested.missing({"a": 1, "b": 0}) == ["c"]


@pytest.mark.parametrize(
    ("params", "missing", "reason"),
    [
        ({"n_layers": 3, "w0": 1, "w2": 2}, ["w1"], "'w1' exists with n_layers=3"),
        ({"n_layers": 2}, ["w0", "w1"], "'w1' exists with n_layers=2"),
        ({"w0": 2, "w1": 2}, ["n_layers"], "give exactly ['n_layers', 'w0']"),
    ],
)
def test_what_exists_must_be_given(params: dict[str, Any], missing: list[str], reason: str) -> None:
    assert LAYERS.missing(params) == missing
    with pytest.raises(ValueError, match="params do not fit the space: missing") as raised:
        LAYERS.to_code(params)
    assert reason in str(raised.value)


def test_what_does_not_exist_may_be_given_and_is_ignored() -> None:
    """Trials of before the conditions have values of everything, and tables NaN."""
    full = LAYERS.to_code({"n_layers": 1, "w0": 3, "w1": 2, "w2": float("nan"), "w3": None})
    np.testing.assert_array_equal(full, LAYERS.to_code({"n_layers": 1, "w0": 3}))
    with pytest.raises(ValueError, match=r"unknown \['w4'\]"):
        LAYERS.to_code({"n_layers": 1, "w0": 3, "w4": 2})


def test_a_parent_off_its_range_counts_as_the_nearest() -> None:
    params = {"n_layers": 9, **dict.fromkeys(("w0", "w1", "w2", "w3"), 2)}
    assert LAYERS.to_params(LAYERS.to_code(params, clip=True)) == {**params, "n_layers": 4}
    assert LAYERS.to_params(LAYERS.to_code({"n_layers": 0.7, "w0": 1}, clip=True)) == {
        "n_layers": 1,
        "w0": 1,
    }
    for wrong in ("three", float("nan"), None):
        with pytest.raises(ValueError, match=r"n_layers|NaN"):
            LAYERS.to_code({**params, "n_layers": wrong}, clip=True)


def test_spaces_with_other_conditions_are_others() -> None:
    selected = {name: CONDITIONS[name] for name in ("momentum", "norm")}
    spaces = [
        SPACE,
        SearchSpace(DIMENSIONS, conditions=selected),
        SearchSpace(DIMENSIONS, conditions={"norm": ("model", ["net", "none"])}),
        SearchSpace(DIMENSIONS),
    ]
    assert len(dict.fromkeys(spaces)) == len(set(map(hash, spaces))) == len(spaces)
    assert [SPACE.same_codes(space) for space in spaces] == [True, *[False] * 3]
    turned = dict(reversed([*CONDITIONS.items()])) | {"width_2": ("depth", range(3, 5))}
    again = SearchSpace(DIMENSIONS, conditions=turned)
    assert {SPACE: 1}[again] == {again: 1}[pickle.loads(pickle.dumps(SPACE))] == 1
    assert SearchSpace(DIMENSIONS, conditions=SPACE.conditions) == SPACE
    alike = Categorical("a", ([1], True, 1))  # no hash, and equal to each other
    dims: list[Dimension] = [alike, Float("x", 0, 1)]
    listed = [SearchSpace(dims, conditions={"x": ("a", [[1]])}) for _ in range(2)]
    conditional = SearchSpace(dims, conditions={"x": ("a", [True])})
    assert len({*listed, conditional}) == 2
    assert conditional.missing({"a": 1}) == []


def test_codes_that_differ_in_what_does_not_exist_are_one() -> None:
    tree = {"width_2": 8, "model": "tree", "depth": 1, "norm": "batch", "momentum": 0.9}
    tree_norm = {"width_2": 64, "model": "tree", "depth": 1, "norm": "layer", "momentum": 0.1}
    codes = SPACE.to_code([tree, tree_norm])
    assert (codes[0] == codes[1]).all()
    assert codes[0].tolist() == [40, 0, 1, 0, 1, 1, 0, 0.5]  # the middle, rounded
    assert SPACE.to_params(codes[0]) == {"model": "tree", "depth": 1}
    drawn = SPACE.sample(500, 0)
    np.testing.assert_array_equal(drawn, SPACE.round(drawn))
    assert (drawn[:, SPACE.column_slice("depth")] < 3).any()
    loose = SPACE.denormalize(np.random.default_rng(0).random((500, drawn.shape[1])))
    np.testing.assert_array_equal(SPACE.round(loose), SPACE.round(SPACE.round(loose)))


def test_each_code_is_counted_and_enumerated_once() -> None:
    assert LAYERS.size == 3 + 3**2 + 3**3 + 3**4
    codes = LAYERS.enumerate()
    assert len(codes) == len(np.unique(codes, axis=0)) == LAYERS.size
    np.testing.assert_array_equal(codes, LAYERS.round(codes))
    np.testing.assert_array_equal(codes[7:30], LAYERS.enumerate(7, 30))
    assert LAYERS.to_params(codes[0]) == {"n_layers": 1, "w0": 1}
    assert SPACE.size == np.inf
    # of ten kinds with ten options each, without a grid of 10**11 codes
    kinds = SearchSpace(
        [Categorical("kind", tuple(range(10))), *(Integer(f"x{i}", 1, 10) for i in range(10))],
        conditions={f"x{i}": ("kind", [i]) for i in range(10)},
    )
    assert len(kinds.enumerate()) == kinds.size == 100


def test_a_range_of_very_many_values_is_not_listed() -> None:
    space = SearchSpace(
        [Integer("n", 0, 2**40), Integer("x", 0, 1)],
        conditions={"x": ("n", range(2**40, 5, -1))},
    )
    assert space.missing({"n": 2**39}) == space.missing({"n": 6}) == ["x"]
    assert space.missing({"n": 5}) == []
    assert space.size == 2 * (2**40 + 1)  # an upper bound
    assert space.exists(space.to_code({"n": 5}))[0].tolist() == [True, False]


def test_neighbors_differ_in_what_exists() -> None:
    code = LAYERS.to_code({"n_layers": 2, "w0": 1, "w1": 3})
    near: Any = LAYERS.to_params(LAYERS.neighbors(code))
    assert near == [
        {"n_layers": 1, "w0": 1},
        {"n_layers": 2, "w0": 1, "w1": 2},
        {"n_layers": 3, "w0": 1, "w1": 3, "w2": 2},  # a layer more begins in the middle
        {"n_layers": 2, "w0": 2, "w1": 3},
    ]


def test_a_predictor_sees_the_middle_and_no_slope_where_a_parameter_does_not_exist() -> None:
    code = SPACE.to_code({"model": "net", "depth": 2, "norm": "batch", "momentum": 0.9})
    unit = torch.as_tensor(SPACE.normalize(code))
    unit[0] = 0.0  # as an edit on the way may have it
    unit = unit[None].requires_grad_(True)
    assert SPACE.features is not None
    seen = SPACE.features(unit)
    (slope,) = torch.autograd.grad(seen.sum(), unit)
    width, momentum = (SPACE.column_slice(name).start for name in ("width_2", "momentum"))
    assert seen[0, width].item() == pytest.approx(4 / 7)
    assert seen[0, momentum].item() == pytest.approx(0.9)
    assert slope[0, width].item() == 0
    assert slope[0, momentum].item() == 1


def test_features_of_params_get_only_those_that_exist() -> None:
    calls = []

    def total(params: Mapping[str, Any]) -> float:
        calls.append(params)
        assert not LAYERS.missing(params)
        return float(sum(params[f"w{i}"] for i in range(params["n_layers"])))

    space = SearchSpace(LAYERS.dimensions, conditions=LAYERS.conditions, param_features=total)
    codes = space.enumerate()
    assert space.features is not None
    features = space.features(torch.as_tensor(space.normalize(codes))).numpy()
    assert features[:, -1].tolist() == [total(space.to_params(code)) for code in codes]
    called = [tuple(params.items()) for params in calls[: int(space.size) + 1]]
    assert len(set(called)) == space.size  # once for each, but for the first that is tried


def test_own_features_get_the_middle_for_what_does_not_exist() -> None:
    space = SearchSpace(
        LAYERS.dimensions, conditions=LAYERS.conditions, features=lambda unit: unit**2
    )
    assert space.features is not None
    seen = space.features(torch.tensor([[0.0, 1.0, 0.9, 0.9, 0.9]]))
    assert seen.tolist() == [[0.0, 1.0, 0.25, 0.25, 0.25]]


def test_a_trial_is_asked_for_what_exists_parents_first() -> None:
    trial = optuna.trial.FixedTrial(
        {"model": "net", "depth": 1, "norm": "batch", "momentum": 0.2, "width_2": 8}
    )
    params = SPACE.suggest(trial)
    assert params == {"model": "net", "depth": 1, "norm": "batch", "momentum": 0.2}
    assert [*params] == ["model", "depth", "norm", "momentum"]


def test_it_pickles() -> None:
    again = pickle.loads(pickle.dumps(SPACE))
    drawn = SPACE.sample(20, 0)
    np.testing.assert_array_equal(again.exists(drawn), SPACE.exists(drawn))
    np.testing.assert_array_equal(again.round(drawn), drawn)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"x": ("nothing", [1])}, "conditions\\['x'\\] has the parent 'nothing'; the space has"),
        ({"y": ("a", [1])}, "conditions has 'y', which is not a parameter of the space"),
        ({"a": ("b", [1]), "b": ("a", [1])}, "\\['a', 'b'\\] form a cycle"),
        ({"a": ("a", [1])}, "\\['a'\\] form a cycle"),
        ({"a": ("x", [0.5])}, "has the parent 'x', a float; give a categorical or an integer"),
        ({"x": ("a", [2])}, "conditions\\['x'\\]: a=2 is not one of \\(0, 1\\)"),
        ({"x": ("n", [2, 5])}, "conditions\\['x'\\]: n=5 is not a value of Integer"),
        ({"x": ("n", [2.5])}, "n=2.5 is not a value of"),
        ({"x": ("n", ["2"])}, "n='2' is not a value of"),
        ({"x": ("n", range(3, 9))}, "n=5 is not a value of"),
        ({"x": ("n", [])}, "no value of 'n', so that 'x' never exists"),
        ({"x": ("n", 2)}, "must be a list of values of 'n', or a range"),
        ({"x": ("a", "01")}, "must be a list of values of 'a', or a range"),
        ({"x": "a"}, 'must be a parent and its values, such as \\("n_layers"'),
        ({"x": ("a", [1], [0])}, "must be a parent and its values"),
        ({"x": (1, [1])}, "must be a parent and its values"),
        ([("x", "a")], "must map parameters to a parent and its values"),
    ],
)
def test_wrong_conditions(conditions: Any, message: str) -> None:
    dims: list[Dimension] = [
        Categorical("a", (0, 1)),
        Categorical("b", (0, 1)),
        Float("x", 0, 1),
        Integer("n", 0, 4),
    ]
    with pytest.raises(ValueError, match=message):
        SearchSpace(dims, conditions=conditions)


def test_neighbors_are_one_step_away_in_one_parameter() -> None:
    """A step of the parent, which ends the child, does not stand for the child's own step."""
    space = SearchSpace([Integer("n", 1, 3), Integer("w", 1, 9)], conditions={"w": ("n", [1, 2])})

    def near(**params: int) -> list[dict[str, int]]:
        params_back = space.to_params(space.neighbors(space.to_code(params)))
        assert isinstance(params_back, list)
        return params_back

    below, above, deeper = {"n": 1, "w": 5}, {"n": 1, "w": 7}, {"n": 2, "w": 6}
    assert near(n=1, w=6) == [below, deeper, above]
    assert near(n=2, w=6) == [{"n": 1, "w": 6}, {"n": 2, "w": 5}, {"n": 3}, {"n": 2, "w": 7}]
    assert near(n=3) == [{"n": 2, "w": 5}]  # the middle
