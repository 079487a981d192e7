from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.baselines import regularized_evolution
from ncp_sampler import (
    Categorical,
    Integer,
    MRSpace,
    NB201Space,
    SearchSpace,
)
from ncp_sampler.space.search_space import code_key
from tests.space_examples import MIXED

SPACE = NB201Space()


def _convolutions(codes: NDArray[Any]) -> NDArray[np.float64]:
    """Number of 3x3 convolutions: 6 at best."""
    counts: NDArray[np.float64] = codes[:, 4::5].sum(1).astype(float)
    return counts


def test_it_climbs_beyond_random_codes() -> None:
    searched = regularized_evolution(
        _convolutions, SPACE, budget=300, population=20, sample=5, seed=0
    )
    assert searched.codes.shape == (300, 30)
    np.testing.assert_array_equal(searched.values, _convolutions(searched.codes))
    assert searched.values[:20].max() < 6
    assert searched.values.max() == 6


@pytest.mark.parametrize("space", [SPACE, MRSpace(), MIXED])
def test_codes_are_valid_new_and_the_seed_s_own(space: SearchSpace) -> None:
    def run(seed: int) -> NDArray[Any]:
        searched = regularized_evolution(
            lambda codes: codes.sum(1), space, budget=60, population=10, sample=3, seed=seed
        )
        np.testing.assert_array_equal(space.round(searched.codes), searched.codes)
        assert len({code_key(code) for code in searched.codes}) == 60
        return searched.codes

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


def test_a_child_differs_from_a_living_parent_in_one_dimension() -> None:
    """With a population of one, the parent is the code before."""
    space = MRSpace()
    searched = regularized_evolution(
        lambda codes: codes.sum(1), space, budget=50, population=1, sample=1, seed=0
    )
    assert ((searched.codes[1:] != searched.codes[:-1]).sum(1) == 1).all()


def test_the_oldest_leaves_however_good() -> None:
    """The start is the best code there is; it is forgotten after ``population`` children."""
    space = SearchSpace([Integer("x", 0, 10_000)])
    searched = regularized_evolution(
        lambda codes: codes[:, 0], space, budget=40, population=5, sample=5, seed=0, start=[10_000]
    )
    assert searched.codes[0] == 10_000
    alive = [searched.values[k : k + 5].max() for k in range(35)]
    assert alive[0] == 10_000
    assert alive[1] < 10_000


def test_the_first_population_is_one_call_within_the_budget() -> None:
    calls: list[int] = []

    def objective(codes: NDArray[Any]) -> NDArray[np.float64]:
        calls.append(len(codes))
        return _convolutions(codes)

    regularized_evolution(objective, SPACE, budget=12, population=10, sample=2, seed=0)
    assert calls == [10, 1, 1]
    assert len(regularized_evolution(objective, SPACE, budget=3, seed=0).values) == 3


def test_a_space_of_few_codes_is_tried_again_rather_than_for_ever() -> None:
    space = SearchSpace([Categorical("c", ("a", "b")), Integer("n", 1, 1)])
    searched = regularized_evolution(
        lambda codes: codes[:, 0], space, budget=9, population=2, sample=1, seed=0
    )
    assert len(searched.codes) == 9
    single = SearchSpace([Integer("n", 1, 1)])
    searched = regularized_evolution(
        lambda codes: codes[:, 0], single, budget=3, population=1, sample=1, seed=0
    )
    assert searched.values.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0}, "budget=0 must be at least 1"),
        ({"population": 0, "sample": 0}, "population=0 must be at least 1"),
        ({"population": 4, "sample": 5}, "sample=5 must be between 1 and 4"),
        ({"start": np.eye(30)[:3], "population": 2, "sample": 1}, r"n at most population=2"),
        ({"objective": lambda codes: codes}, r"returned shape \(9, 30\) for 9 codes"),
        ({"objective": lambda codes: [np.nan] * len(codes)}, "that many finite numbers"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    given = {"objective": _convolutions, "space": SPACE, "budget": 9, **arguments}
    with pytest.raises(ValueError, match=message):
        regularized_evolution(**given)
