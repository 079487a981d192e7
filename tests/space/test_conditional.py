"""Spaces whose parameters exist only under others: one code for what counts, one model for all."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from ncp_sampler import Categorical, Float, Integer, SearchSpace
from ncp_sampler.space.conditional import Condition, ConditionalSpace

SPACE = ConditionalSpace(
    [
        Integer("width_2", 8, 64, step=8),
        Categorical("model", ("net", "tree", "none")),
        Integer("depth", 1, 4),
        Categorical("norm", ("batch", "layer")),
        Float("momentum", 0.0, 1.0),
    ],
    [
        Condition("momentum", "norm", ("batch",), ("layer",)),  # a child before its parent
        Condition("norm", "model", ("net",), ("tree", "none")),
        Condition("width_2", "depth", (3,), (2,)),
    ],
)


def test_what_exists_under_its_parents() -> None:
    params = [
        {"width_2": 8, "model": "net", "depth": 4, "norm": "batch", "momentum": 0.9},
        {"width_2": 8, "model": "net", "depth": 1, "norm": "layer", "momentum": 0.9},
        {"width_2": 8, "model": "tree", "depth": 3, "norm": "batch", "momentum": 0.9},
    ]
    assert SPACE.exists(SPACE.to_code(params)).tolist() == [
        [True, True, True, True, True],
        [False, True, True, True, False],
        [True, True, True, False, False],
    ]
    assert [c.name for c in SPACE.conditions] == ["norm", "width_2", "momentum"]


def test_spaces_with_other_conditions_are_others() -> None:
    dims = SPACE.dimensions
    spaces = [
        SPACE,
        ConditionalSpace(dims, SPACE.conditions[:2]),
        ConditionalSpace(dims, [Condition("norm", "model", ("net", "none"), ("tree",))]),
        ConditionalSpace(dims, []),
        SearchSpace(dims),
    ]
    assert len(dict.fromkeys(spaces)) == len(set(map(hash, spaces))) == len(spaces)
    assert [SPACE.same_codes(space) for space in spaces] == [True, *[False] * 4]
    assert spaces[3].same_codes(spaces[4])
    again = ConditionalSpace(dims, SPACE.conditions[::-1])
    assert {SPACE: 1}[again] == {again: 1}[pickle.loads(pickle.dumps(SPACE))] == 1
    listed = [ConditionalSpace(dims, [Condition("norm", "model", ([1],), ())]) for _ in range(2)]
    assert len({*listed}) == 1  # values need no hash of their own


def test_codes_that_differ_in_what_does_not_exist_are_one() -> None:
    one = {"width_2": 8, "model": "tree", "depth": 1, "norm": "batch", "momentum": 0.9}
    other = {"width_2": 64, "model": "tree", "depth": 1, "norm": "layer", "momentum": 0.1}
    codes = SPACE.to_code([one, other], clip=True)
    assert (codes[0] == codes[1]).all()
    kept = SPACE.to_params(codes[0].tolist())
    assert (kept["model"], kept["depth"]) == ("tree", 1)
    assert (kept["width_2"], kept["momentum"]) == (40, 0.5)  # the middle, rounded
    drawn = SPACE.sample(500, 0)
    np.testing.assert_array_equal(drawn, SPACE.round(drawn))
    assert (drawn[:, SPACE.column_slice("depth")] < 3).any()
    narrow = ConditionalSpace(
        [Categorical("a", (0, 1)), Integer("b", 0, 9)], [Condition("b", "a", (1,), (0,))]
    )
    assert len(np.unique(narrow.round(narrow.enumerate()), axis=0)) == 11


def test_a_predictor_sees_the_middle_and_no_slope_where_a_parameter_does_not_exist() -> None:
    code = SPACE.to_code(
        {"width_2": 8, "model": "net", "depth": 2, "norm": "batch", "momentum": 0.9}
    )
    unit = torch.as_tensor(SPACE.normalize(code))[None].requires_grad_(True)
    assert SPACE.features is not None
    seen = SPACE.features(unit)
    (slope,) = torch.autograd.grad(seen.sum(), unit)
    width, momentum = (SPACE.column_slice(name).start for name in ("width_2", "momentum"))
    assert seen[0, width].item() == pytest.approx(4 / 7)
    assert seen[0, momentum].item() == pytest.approx(0.9)
    assert slope[0, width].item() == 0
    assert slope[0, momentum].item() == 1


def test_values_of_a_parent_that_were_never_seen() -> None:
    """A new choice may have the parameter; a number counts as the nearest known one."""
    space = ConditionalSpace(
        [
            Categorical("kind", ("a", "b", "c")),
            Integer("n", 0, 9),
            Float("x", 0, 1),
            Float("y", 0, 1),
        ],
        [Condition("x", "kind", ("a",), ("b",)), Condition("y", "n", (7,), (2,))],
    )
    codes = space.to_code(
        [{"kind": k, "n": n, "x": 0.2, "y": 0.2} for k, n in (("c", 4), ("b", 5), ("a", 0))]
    )
    assert space.exists(codes)[:, 2:].tolist() == [[True, False], [False, True], [True, False]]


def test_it_pickles() -> None:
    again = pickle.loads(pickle.dumps(SPACE))
    drawn = SPACE.sample(20, 0)
    np.testing.assert_array_equal(again.exists(drawn), SPACE.exists(drawn))


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([Condition("x", "nothing", (1,), (0,))], "must name parameters of the space"),
        ([Condition("x", "a", (1,), (0,))] * 2, "each once"),
        ([Condition("a", "b", (1,), (0,)), Condition("b", "a", (1,), (0,))], "in a circle"),
        ([("x", "a")], "be a sequence of Condition"),
    ],
)
def test_wrong_conditions(conditions: list[Condition], message: str) -> None:
    dims: list[Categorical | Float] = [
        Categorical("a", (0, 1)),
        Categorical("b", (0, 1)),
        Float("x", 0, 1),
    ]
    with pytest.raises(ValueError, match=message):
        ConditionalSpace(dims, conditions)
