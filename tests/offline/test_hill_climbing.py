"""Climbing on from what propagation passed: nothing near is better, nothing given gets worse."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.baselines import net_adapt
from ncp_sampler import Categorical, Integer, SearchSpace
from ncp_sampler.multi_resolution import costs
from ncp_sampler.offline.hill_climbing import hill_climb
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation.targets import Target
from tests.search_examples import SPACE, fitted, records, trade_off

MODEL = fitted(records())
TASKS = [fitted(records(best=0.2)), fitted(records(best=0.8, seed=1))]
WITHIN = [
    Target("mIoU", beta=1.0),
    Target("limit", "minimize", bound=1.0, cost=costs.flops),
]
PROBLEMS = {
    "trade-off": SearchProblem(MODEL, trade_off(), space=SPACE),
    "bound": SearchProblem(MODEL, WITHIN, space=SPACE),
    "joint": SearchProblem(TASKS, [Target("mIoU"), Target("mIoU", predictor=1)], space=SPACE),
}


@pytest.mark.parametrize("strategy", ["continuous", "winner_takes_all"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_no_single_step_gains_on_an_answer(name: str, strategy: str) -> None:
    problem = PROBLEMS[name]
    found = propagate_search(problem, strategy=strategy, starts=SPACE.sample(3, 0), iterations=20)
    assert problem.utility(SPACE.neighbors(found.code)).max() <= found.utility + 1e-8
    assert net_adapt(problem, start=found.code).utility <= found.utility + 1e-8
    alone = propagate_search(
        problem, strategy=strategy, starts=SPACE.sample(3, 0), iterations=20, climbs=0
    )
    assert found.utility >= alone.utility
    assert found.calls > alone.calls


def test_pairs_of_steps_pass_a_bound_that_stops_single_ones() -> None:
    """Worth 3a + 4b at a cost of 2a + b, at most 8: from (4, 0) only two steps at once gain."""
    space = SearchSpace([Integer("a", 0, 8), Integer("b", 0, 8)])
    codes = np.array([*itertools.product(range(9), range(9))], dtype=np.float64)
    model = GaussianProcess().fit(space.normalize(codes), {"worth": codes @ [3, 4]})
    targets = [
        Target("worth"),
        Target("cost", "minimize", bound=8, cost=lambda code: 2 * code[:, 0] + code[:, 1]),
    ]
    problem = SearchProblem(model, targets, space=space)
    assert net_adapt(problem, start=[4, 0]).code.tolist() == [4, 0]
    codes_reached, utility = hill_climb(SearchRun(problem), np.array([[4, 0]]))
    assert codes_reached.tolist() == [[0, 8]]
    assert utility[0] == pytest.approx(problem.utility(space.enumerate()).max())


def test_categoricals_and_small_spaces() -> None:
    space = SearchSpace([Categorical("kind", ("x", "y", "z")), Integer("n", 1, 3)])
    codes = space.enumerate()
    worth = np.array([5, 1, 4, 0, 9, 2, 3, 3, 8.0])
    model = GaussianProcess().fit(space.normalize(codes), {"worth": worth})
    problem = SearchProblem(model, [Target("worth")], space=space)
    reached, utility = hill_climb(SearchRun(problem), codes)
    assert (utility >= problem.utility(codes) - 1e-9).all()
    assert (reached == codes[worth.argmax()]).all(1).any()
    single = SearchSpace([Integer("n", 2, 2)])
    model = GaussianProcess().fit(np.zeros((1, 1)), {"worth": [1.0]})
    alone = SearchProblem(model, [Target("worth")], space=single)
    assert hill_climb(SearchRun(alone), np.array([[2]]))[0].tolist() == [[2]]


def test_climbs_that_meet_end_alike_and_stay_where_allowed() -> None:
    problem, codes = PROBLEMS["trade-off"], SPACE.sample(4, 2)
    run = SearchRun(problem)
    twice = np.concatenate([codes, codes])
    reached, utility = hill_climb(run, twice)
    np.testing.assert_array_equal(reached[:4], reached[4:])
    alone = SearchRun(problem)
    hill_climb(alone, codes)
    assert run.calls == alone.calls + len(codes)  # the four given twice

    def narrow(codes: NDArray[Any]) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = codes[:, 0] == codes_given[0]
        return kept

    codes_given = codes[0]
    inside, _ = hill_climb(SearchRun(problem), codes[:1], allowed=narrow)
    assert inside[0, 0] == codes[0, 0]
    assert problem.utility(inside)[0] <= utility[0] + 1e-8


def test_weights_of_0_and_a_bound_out_of_reach() -> None:
    targets = [replace(WITHIN[0], weight=0.0), replace(WITHIN[1], bound=1e-6)]
    found = propagate_search(MODEL, targets, space=SPACE, starts=SPACE.start, iterations=5)
    assert not found.holds
    least = costs.flops(SPACE.round(np.zeros(27))).item()
    assert costs.flops(found.code).item() == pytest.approx(least)
