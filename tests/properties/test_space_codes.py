"""Any space: what it draws, rounds, lists and moves to is valid, and codes lead back to params."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ncp_sampler import Categorical, SearchSpace
from ncp_sampler.integrations.optuna import to_distributions, to_space
from tests.properties.invariants import check_valid, same
from tests.properties.strategies import (
    Dimensions,
    Draw,
    near,
    params_of,
    seeds,
    spaces,
)

_DRAWS = 8
_LISTED = 2_000


@dataclass(frozen=True)
class SpaceCase:
    """A space, valid params in it, and params that count as their nearest valid ones."""

    dimensions: Dimensions
    params: Mapping[str, Any]
    moved: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@st.composite
def cases(draw: Draw) -> SpaceCase:
    dims = draw(spaces())
    moved = st.fixed_dictionaries({dim.name: near(dim) for dim in dims})
    return SpaceCase(dims, draw(params_of(dims)), draw(moved), draw(seeds))


def check(case: SpaceCase) -> int:
    """Raises at the first thing that does not hold; returns the number of proposals, none."""
    dims = case.dimensions
    space = SearchSpace(dims)
    valid = space.to_params(space.round(space.to_code(case.params)))
    check_valid(dims, valid)
    for params in (valid, space.to_params(space.to_code(case.moved, clip=True))):
        check_valid(dims, params)
        back = space.to_params(space.round(space.to_code(params)))
        assert all(same(back[name], params[name]) for name in params), (
            f"{params} comes back as {back}"
        )
    code = space.to_code(valid, clip=True)
    unit = space.normalize(code)
    assert ((unit >= -1e-9) & (unit <= 1 + 1e-9)).all(), f"unit code {unit} of {valid}"
    check_valid(dims, space.to_params(space.round(space.denormalize(unit))))
    corners = np.stack([np.zeros(len(dims)), np.ones(len(dims))])
    for drawn in (*space.sample(_DRAWS, case.seed), *space.from_uniform(corners)):
        check_valid(dims, space.to_params(drawn))
    near_codes = space.neighbors(code)
    assert not (near_codes == code).all(axis=1).any(), "a code is its own neighbor"
    for neighbor in near_codes[:: max(1, len(near_codes) // _DRAWS)]:
        check_valid(dims, space.to_params(neighbor))
    if space.size <= _LISTED:
        every = space.enumerate()
        assert len(np.unique(every, axis=0)) == len(every) == space.size
        space.to_params(every)
    try:
        distributions = to_distributions(space)
    except ValueError:  # a grid that Optuna counts otherwise
        return 0
    assert to_space(distributions) == space
    return 0


EQUAL_FOR_OPTUNA = SpaceCase(
    dimensions=(Categorical("x0", (False, 0)),), params={"x0": False}, moved={"x0": False}, seed=0
)


@settings(max_examples=60)
@example(EQUAL_FOR_OPTUNA)
@given(cases())
def test_codes_of_any_space_are_valid_and_lead_back(case: SpaceCase) -> None:
    check(case)
