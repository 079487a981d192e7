"""Maximization of an acquisition function over spaces with categoricals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ncp_sampler import Categorical, Float, SearchSpace
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Step, Strategy
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.search.maximize import Maximizer
from ncp_sampler.search.trust_region import TrustRegion

BITS = [Categorical(f"x{i}", (False, True)) for i in range(24)]


class Linear:
    """An acquisition function that is linear in the columns of a code."""

    lowest, has_floor = -np.inf, False

    def __init__(self, slopes: NDArray[np.float64]) -> None:
        self.slopes, self.n_evaluated = slopes, 0

    def __call__(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        self.n_evaluated += len(unit)
        return np.asarray(unit @ self.slopes)

    def value_and_gradient(
        self, unit: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self(unit), np.broadcast_to(self.slopes, unit.shape).copy()


def maximizer(
    space: SearchSpace,
    slopes: NDArray[np.float64],
    pinned: dict[str, bool] | None = None,
    strategy: Strategy | None = None,
) -> Maximizer:
    fixed = np.full(len(space.columns), np.nan)
    for name, value in (pinned or {}).items():
        fixed[space.column_slice(name)] = [not value, value]
    return Maximizer(
        Linear(slopes),  # type: ignore[arg-type]
        space,
        strategy or Adam(),
        fixed,
        lambda codes: np.zeros(len(codes), dtype=bool),
        TrustRegion.whole(len(space.columns)),
    )


@pytest.mark.parametrize("strategy", [Adam(), WinnerTakesAll()])
def test_all_categories_change_that_increase_the_acquisition_value(strategy: Strategy) -> None:
    """The best code differs from every start in many categories."""
    space = SearchSpace(BITS)
    searched = maximizer(space, np.tile([0.0, 1.0], 24), strategy=strategy)
    start = space.normalize(space.to_code({dim.name: False for dim in BITS}))
    maximum = searched.maximize(start[None], np.random.default_rng(0))
    assert maximum is not None
    assert maximum.value == 24
    assert all(space.to_params(maximum.code).values())


def test_a_given_category_does_not_change() -> None:
    space = SearchSpace(BITS)
    searched = maximizer(space, np.tile([0.0, 1.0], 24), {"x3": False})
    maximum = searched.maximize(space.normalize(space.sample(3, 0)), np.random.default_rng(0))
    assert maximum is not None
    params = space.to_params(maximum.code)
    assert not params.pop("x3")
    assert all(params.values())


def test_numbers_and_categories_are_searched_together() -> None:
    space = SearchSpace([Float("width", 0, 1), *BITS])
    searched = maximizer(space, np.array([-1.0, *[0.0, 1.0] * 24]))
    maximum = searched.maximize(space.normalize(space.sample(3, 0)), np.random.default_rng(0))
    assert maximum is not None
    params = space.to_params(maximum.code)
    assert params.pop("width") == pytest.approx(0)
    assert all(params.values())


def test_a_strategy_with_its_own_steps_edits_categories() -> None:
    """Only the steps of ``Adam()`` are known to be too short to change a category."""
    space = SearchSpace(BITS)
    begun = []

    class Own(Adam):
        def begin(self, space: SearchSpace, x: NDArray[np.float64]) -> Step:
            begun.append(len(x))
            return super().begin(space, x)

    searched = maximizer(space, np.tile([0.0, 1.0], 24), strategy=Own())
    assert searched.maximize(space.normalize(space.sample(3, 0)), np.random.default_rng(0))
    assert begun


def test_the_number_of_evaluated_codes_is_limited() -> None:
    """One round over all categories of this space evaluates 2,610 codes."""
    names = tuple(range(30))
    space = SearchSpace([Categorical(f"x{i}", names) for i in range(30)])
    searched = maximizer(space, np.tile(np.arange(30.0), 30))
    assert searched.maximize(space.normalize(space.sample(3, 0)), np.random.default_rng(0))
    assert searched.acquisition.n_evaluated < 12_000  # type: ignore[attr-defined]


def test_the_search_ends_where_all_codes_are_equally_good() -> None:
    space = SearchSpace(BITS)
    searched = maximizer(space, np.zeros(48))
    assert searched.maximize(space.normalize(space.sample(3, 0)), np.random.default_rng(0))
    assert searched.acquisition.n_evaluated < 1000  # type: ignore[attr-defined]
