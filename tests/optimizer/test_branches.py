"""A study with branches: it does not end in the first one that was good."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.branch_restarts import other_branch
from ncp_sampler.optimizer.explanation_table import explain_markdown

SPACE = SearchSpace(
    [Categorical("kind", ("a", "b", "c")), Float("xa", 0, 1), Float("xb", 0, 1)],
    conditions={"xa": ("kind", ["a"]), "xb": ("kind", ["b"])},
)
RNG = np.random.default_rng(0)


def trials(kinds: str) -> np.ndarray:
    """Codes of one trial for each letter."""
    rows = [{"kind": kind, "xa": 0.1 * (i % 9), "xb": 0.5} for i, kind in enumerate(kinds)]
    return SPACE.round(SPACE.to_code(rows))


def kind_of(pinned: np.ndarray | None) -> str | None:
    """The choice that is given; nothing else is."""
    if pinned is None:
        return None
    given = np.flatnonzero(~np.isnan(pinned))
    assert given.tolist() == [0, 1, 2]
    return "abc"[int(pinned[:3].argmax())]


def test_while_the_branch_gains_it_is_searched_alone() -> None:
    codes = trials("bcaaaaaaaaaaa")
    gaining = np.arange(13.0)
    assert other_branch(SPACE, codes, gaining, RNG) is None


def test_once_it_stalls_the_branch_tried_least_is_next() -> None:
    codes = trials("bbcaaaaaaaaaa")
    stalling = np.array([0.0, 1, 2, 9, *[5] * 9])
    assert kind_of(other_branch(SPACE, codes, stalling, RNG)) == "c"
    turn = trials("bbcaaaaaaaaaac")  # every other proposal
    assert other_branch(SPACE, turn, np.append(stalling, 3), RNG) is None


def test_a_branch_that_stalls_too_is_left_alone() -> None:
    codes = trials("b" * 9 + "c" * 9 + "a" * 10)
    merit = np.array([3.0, *[1] * 8, 4, *[1] * 8, 9, *[5] * 9])
    assert other_branch(SPACE, codes, merit, RNG) is None
    merit[17] = 4.5  # the last of c has gained
    assert kind_of(other_branch(SPACE, codes, merit, RNG)) == "c"


def test_trials_that_run_count_as_turns() -> None:
    """Several workers do not leave the best branch all at once, nor for the same other one."""
    stalling = np.array([0.0, 1, 2, 9, *[5] * 9])
    running = trials("bbcaaaaaaaaaac")  # the last one
    assert other_branch(SPACE, running, stalling, RNG) is None
    assert kind_of(other_branch(SPACE, trials("bbcaaaaaaaaaacca"), stalling, RNG)) == "b"


def test_failed_trials_count_for_nothing() -> None:
    codes = trials("bcaaaaaaaaaaa")
    merit = np.array([1.0, np.nan, 9, *[np.nan] * 9, 5])
    assert other_branch(SPACE, codes, merit, RNG) is None  # too few to say that it stalls
    assert other_branch(SPACE, codes, np.full(13, np.nan), RNG) is None


@pytest.mark.parametrize("dims", [[Float("x", 0, 1)], [Categorical("kind", ("a", "b"))]])
def test_without_conditions_there_are_no_branches(dims: list[Float]) -> None:
    space = SearchSpace(dims)
    codes = space.sample(20, 0)
    assert other_branch(space, codes, np.zeros(20), RNG) is None


def test_a_proposal_says_when_it_is_another_branch_s_turn() -> None:
    """The best branch ends in a plain; others are asked, and the reasons name them."""
    optimizer = NCPOptimizer(SPACE, directions={"loss": "minimize"}, n_startup_trials=6, seed=0)
    level = {"a": 0.0, "b": 1.0, "c": 2.0}
    turns = []
    for i in range(30):
        (params,) = optimizer.ask()
        reasons = optimizer.reasons[0]
        optimizer.tell(params, {"loss": level[params["kind"]] + 1e-6 * i})  # nothing ties
        if "branch" in reasons:
            turns.append(params["kind"])
            assert reasons["branch"] == {"kind": params["kind"]}
            asked = "explores another branch, because the best one makes no progress: kind ="
            assert f"{asked} {params['kind']}" in explain_markdown(reasons)
        else:
            assert "another branch" not in explain_markdown(reasons)
    assert turns
    assert set(turns) <= {"b", "c"}
