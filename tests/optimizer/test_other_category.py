"""A study without branches: it does not stay with the categories that were good first."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ncp_sampler import Categorical, Float, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.explanation_table import explain_markdown
from ncp_sampler.optimizer.other_category import other_category

SPACE = SearchSpace([Categorical("kind", ("a", "b", "c")), Float("x", 0, 1)])
RNG = np.random.default_rng(0)


def trials(kinds: str) -> NDArray[np.float64]:
    """Codes of one trial for each letter."""
    return SPACE.to_code([{"kind": k, "x": 0.05 * i} for i, k in enumerate(kinds)]).astype(float)


def test_once_a_search_stalls_the_category_tried_least_has_every_third_trial() -> None:
    stalled = np.array([0.0, 1, 2, 9, *[5] * 11])
    assert other_category(SPACE, trials("bbcaaaaaaaaaaa"), stalled[:14], RNG) is None  # of 14
    pinned = other_category(SPACE, trials("bbcaaaaaaaaaaaa"), stalled, RNG)
    assert pinned is not None
    np.testing.assert_array_equal(pinned, [0, 0, 1, np.nan])


def test_while_it_gains_all_categories_are_searched() -> None:
    assert other_category(SPACE, trials("bbcaaaaaaaaaaaa"), np.arange(15.0), RNG) is None


def test_a_category_that_stalls_too_is_left_alone() -> None:
    codes = trials("a" + "b" * 10 + "c" * 10)
    stalled = np.array([9.0, *[5] * 20])
    assert other_category(SPACE, codes, stalled, RNG) is None
    stalled[20] = 5.5  # the last of c has gained
    pinned = other_category(SPACE, codes, stalled, RNG)
    assert pinned is not None
    assert pinned[:3].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "space", [SearchSpace([Float("x", 0, 1)]), SearchSpace([Categorical("k", tuple(range(40)))])]
)
def test_numbers_and_many_categories_have_no_turns(space: SearchSpace) -> None:
    codes = space.sample(15, 0).astype(float)
    assert other_category(space, codes, np.array([9.0, *[5] * 14]), RNG) is None


def test_a_narrow_optimum_of_another_category_is_found() -> None:
    """The other kind is worse wherever it is not better; its reasons say when it had its turn."""
    optimizer = NCPOptimizer(SPACE, directions={"loss": "minimize"}, seed=0)
    losses, turns = [], []
    for _ in range(60):
        (params,) = optimizer.ask()
        reasons = optimizer.reasons[0]
        x, best = params["x"], {"a": 0.2, "b": 0.5, "c": 0.85}[params["kind"]]
        losses.append(abs(x - best) + 0.3 if params["kind"] != "c" else min(1.0, 8 * abs(x - best)))
        optimizer.tell(params, {"loss": losses[-1]})
        if "category" in reasons:
            turns.append(params["kind"])
            assert reasons["category"] == {"kind": params["kind"]}
            assert f"explores the rarely tried kind = {params['kind']}" in explain_markdown(reasons)
    assert min(losses) < 0.1
    assert turns
