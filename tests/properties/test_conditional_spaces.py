"""Spaces with conditions: whatever the tree, what exists, codes, costs and proposals agree.

A plain recursion over params, apart from the package's own, says here which parameters exist.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ncp_sampler import NCPOptimizer, SearchSpace
from ncp_sampler.space import Categorical, Integer
from ncp_sampler.space.dimensions import n_values
from ncp_sampler.space.search_space import code_key
from tests.properties.invariants import misfit
from tests.properties.strategies import (
    Dimensions,
    Draw,
    Setup,
    dimensions,
    metric_lists,
    named,
    params_of,
    setups,
    values_of,
)

_LISTED = 64  # values of an integer that may be a parent, at most
_ENUMERATED = 2000  # codes

Conditions = Mapping[str, tuple[str, list[Any]]]


@dataclass(frozen=True)
class ConditionalCase:
    dimensions: Dimensions
    conditions: Conditions
    metrics: tuple[tuple[float, ...], ...] = ()
    setup: Setup = field(default_factory=Setup)
    quantile: float = 0.5  # of sampled codes, that the limit leaves

    @property
    def space(self) -> SearchSpace:
        return SearchSpace(self.dimensions, conditions=self.conditions)

    def existing(self, params: Mapping[str, Any]) -> list[str]:
        """The parameters that exist by the values of all parameters."""

        def there(name: str) -> bool:
            if name not in self.conditions:
                return True
            parent, values = self.conditions[name]
            alike = (type(v) is type(params[parent]) and _same(v, params[parent]) for v in values)
            return there(parent) and any(alike)

        return [dim.name for dim in self.dimensions if there(dim.name)]

    def failed(self, values: tuple[float, ...]) -> bool:
        """Return True if a trial with these metrics has failed, or has diverged in one of them."""
        ways = zip(self.setup.directions, values, strict=True)
        bad = [value == (-math.inf if way == "maximize" else math.inf) for way, value in ways]
        return any(bad) or all(map(math.isnan, values))

    def cost(self, params: Mapping[str, Any]) -> float:
        """A number for each parameter that exists, and for the place of its value."""
        dims = {dim.name: dim for dim in self.dimensions}
        total = 0.0
        for i, (name, value) in enumerate(params.items()):
            dim = dims[name]
            if isinstance(dim, Categorical):
                share = dim.index(value) / len(dim.choices)
            else:
                share = (value - dim.low) / ((dim.high - dim.low) or 1.0)
            total += 1 + (i + 1) * share
        return total


def _same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)


@st.composite
def cases(draw: Draw, *, searched: bool = False) -> ConditionalCase:
    """One to six dimensions, most of which have a parent among those that can be one."""
    count = draw(st.integers(1, 6))
    dims: Dimensions = tuple(draw(dimensions(f"x{i}")) for i in range(count))
    order = draw(st.permutations(range(count)))  # a child may come before its parent
    conditions: dict[str, tuple[str, list[Any]]] = {}
    for at, i in enumerate(order):
        may = [dims[j] for j in order[:at] if _may_decide(dims[j])]
        if may and draw(st.integers(0, 3)):
            parent = draw(st.sampled_from(may))
            values = draw(st.lists(values_of(parent), min_size=1, max_size=4))
            conditions[dims[i].name] = parent.name, values
    setup = draw(setups) if searched else Setup()
    n = setup.n_startup_trials + draw(st.integers(1, 3)) if searched else 0
    metrics = tuple(draw(metric_lists(n, len(setup.directions))))
    return ConditionalCase(dims, conditions, metrics, setup, draw(st.sampled_from([0.2, 0.6, 1.0])))


def _may_decide(dim: Any) -> bool:
    return isinstance(dim, Categorical) or (isinstance(dim, Integer) and n_values(dim) <= _LISTED)


@settings(max_examples=60)
@given(cases(), st.data())
def test_params_and_codes_are_the_same_both_ways(case: ConditionalCase, data: Any) -> None:
    space = case.space
    full = data.draw(params_of(case.dimensions))
    own = {name: full[name] for name in case.existing(full)}
    assert space.missing(own) == []
    code = space.to_code(own)
    np.testing.assert_array_equal(space.to_code(full), code)  # the others are ignored
    np.testing.assert_array_equal(space.to_code(space.to_params(code)), code)
    assert [*space.to_params(code)] == [*own]
    for name in own:
        lacking = {key: value for key, value in own.items() if key != name}
        assert name in space.missing(lacking)
    codes = np.vstack([space.sample(8, 0), space.neighbors(space.round(code))])
    np.testing.assert_array_equal(space.round(codes), codes)
    for each, exists in zip(codes, space.exists(codes), strict=True):
        params = space.to_params(each)
        assert case.existing({**full, **params}) == [*params]
        assert [name for name, there in zip(space.names, exists, strict=True) if there] == [*params]
        np.testing.assert_array_equal(space.round(space.to_code(params)), each)
    assert code_key(space.round(code)) not in {code_key(near) for near in codes[8:]}
    if space.size <= _ENUMERATED:
        every = space.enumerate()
        assert len({code_key(each) for each in every}) == len(every) == space.size


@settings(max_examples=30)
@given(cases(searched=True))
def test_proposals_exist_are_new_and_within_the_limit(case: ConditionalCase) -> None:
    space = case.space
    sampled = [case.cost(space.to_params(code)) for code in space.sample(64, 0)]
    limit = sorted(sampled)[round(case.quantile * 63)]
    optimizer = NCPOptimizer(
        space,
        directions=named(case.setup.directions),
        costs={"cost": case.cost},
        limits={"cost": limit},
        **case.setup.arguments,
    )
    seen: set[bytes] = set()
    for values in case.metrics:
        (params,) = optimizer.ask()
        assert case.cost(params) <= limit
        full = {dim.name: params.get(dim.name) for dim in case.dimensions}
        assert case.existing(full) == [*params]
        for dim in case.dimensions:
            assert dim.name not in params or misfit(dim, params[dim.name]) is None
        code = space.to_code(params)
        assert repr(space.to_params(code)) == repr(params)
        key = code_key(space.round(code))
        if case.setup.deterministic_objective and key in seen:
            others = space.enumerate() if space.size <= _ENUMERATED else space.sample(512, 1)
            left = [each for each in others if code_key(each) not in seen]
            assert all(case.cost(space.to_params(each)) > limit for each in left)
        seen.add(key)
        optimizer.tell(params, named(values))
        if case.failed(values):  # it may be tried again
            seen.discard(key)
