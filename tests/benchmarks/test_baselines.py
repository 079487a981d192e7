"""The baselines: budgets kept, calls counted, seeds obeyed, and each better than chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import baselines
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import Solution
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.predictor import FloatArray
from tests.search_examples import SPACE, records, trade_off


class Counting(GaussianProcess):
    """A process that counts the codes whose mean it predicts."""

    codes = 0

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        self.codes += len(x)
        return super().mean_vjp(x)


ROWS = records(60)
MODEL = Counting()
MODEL.fit(SPACE.normalize(ROWS.codes), {"mIoU": ROWS.values("mIoU")})
OF_THE_SOLUTION = 1  # predictions that do not count
SEARCHES: dict[str, Callable[[SearchProblem, int], Solution]] = {
    "random": lambda p, seed: baselines.random_search(p, calls=60, seed=seed),
    "predictor": lambda p, seed: baselines.neural_predictor(p, calls=60, top=1, seed=seed)[0],
    "greedy": lambda p, _: baselines.net_adapt(p, start=SPACE.start, calls=200),
    "evolution": lambda p, seed: baselines.evolution_search(p, calls=60, population=20, seed=seed),
}


@pytest.fixture
def problem() -> SearchProblem:
    return SearchProblem(MODEL, trade_off(), space=SPACE)


@pytest.mark.parametrize("name", SEARCHES)
def test_counts_what_it_asked_and_repeats_by_seed(problem: SearchProblem, name: str) -> None:
    before = MODEL.codes
    searched = SEARCHES[name](problem, 3)
    assert MODEL.codes - before == searched.calls + OF_THE_SOLUTION
    assert searched.calls <= 200 if name == "greedy" else searched.calls == 60
    again = SEARCHES[name](problem, 3)
    np.testing.assert_array_equal(again.code, searched.code)
    assert again.calls == searched.calls
    assert searched.utility == pytest.approx(problem.utility(searched.code[None])[0])


def test_random_search_takes_the_best(problem: SearchProblem) -> None:
    searched = baselines.random_search(problem, calls=80, seed=5)
    assert searched.utility == pytest.approx(problem.utility(SPACE.sample(80, 5)).max())


def test_neural_predictor_ranks_its_answers(problem: SearchProblem) -> None:
    searched = baselines.neural_predictor(problem, calls=80, top=4, seed=5)
    utility = [solution.utility for solution in searched]
    assert utility == sorted(utility, reverse=True)
    assert {solution.calls for solution in searched} == {80}
    assert utility == pytest.approx(np.sort(problem.utility(SPACE.sample(80, 5)))[:-5:-1])


def test_greedy_climbs_one_step_at_a_time(problem: SearchProblem) -> None:
    climbed = [baselines.net_adapt(problem, start=SPACE.start, iterations=n) for n in range(1, 5)]
    utility = [problem.utility(SPACE.start[None])[0], *(solution.utility for solution in climbed)]
    assert (np.diff(utility) > 0).all()
    codes = np.array([SPACE.start, *(solution.code for solution in climbed)])
    assert ((np.diff(codes, axis=0) != 0).sum(1) == 1).all()


def test_greedy_ends_where_no_step_is_better(problem: SearchProblem) -> None:
    end = baselines.net_adapt(problem, start=SPACE.start)
    assert problem.utility(SPACE.neighbors(end.code)).max() <= end.utility


def test_greedy_stays_where_the_budget_is_too_small(problem: SearchProblem) -> None:
    searched = baselines.net_adapt(problem, start=SPACE.start, calls=10)
    np.testing.assert_array_equal(searched.code, SPACE.start)
    assert searched.calls == 1


def test_evolution_beats_its_first_population(problem: SearchProblem) -> None:
    searched = baselines.evolution_search(problem, calls=150, population=20, seed=1)
    first = baselines.evolution_search(problem, calls=20, population=20, seed=1)
    assert searched.utility > first.utility


@pytest.mark.parametrize(
    "call",
    [
        lambda p: baselines.random_search(p, calls=0),
        lambda p: baselines.neural_predictor(p, calls=0),
        lambda p: baselines.neural_predictor(p, calls=5, top=6),
        lambda p: baselines.net_adapt(p, start=SPACE.start, calls=0),
        lambda p: baselines.net_adapt(p, start=SPACE.start, iterations=0),
        lambda p: baselines.evolution_search(p, calls=0),
    ],
)
def test_refuses_budgets_out_of_range(
    problem: SearchProblem, call: Callable[[SearchProblem], Any]
) -> None:
    with pytest.raises(ValueError, match=r"must be (at least 1|between 1 and 5)"):
        call(problem)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p: baselines.evolution_search(p, calls="x"),  # type: ignore[arg-type]
            "calls='x' must be an integer",
        ),
        (lambda p: baselines.evolution_search(p, population=0), "population=0 must be at least 1"),
        (lambda p: baselines.net_adapt(p, start="x"), "start='x' must be numbers"),
        (lambda p: baselines.net_adapt(p, start=[1]), r"start=\[1\] must be finite codes of shape"),
        (lambda p: baselines.net_adapt(p, start=[SPACE.start] * 2), "start=.* must be one code"),
        (
            lambda p: baselines.net_adapt(p, start=np.full(27, np.nan)),
            r"start=array\(\[nan, .* must be finite codes",
        ),
    ],
)
def test_a_wrong_argument_is_called_by_its_own_name(
    problem: SearchProblem, call: Callable[[SearchProblem], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(problem)
