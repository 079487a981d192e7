"""Several answers: unlike ones, and the front of a trade-off."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler import Float, Integer, SearchSpace
from ncp_sampler.multi_resolution import costs
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.offline.solutions import propagate_answers, propagate_front
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records
from tests.search_examples import SPACE, fitted, records, trade_off

MODEL = fitted(records())
WITHIN = [Target("mIoU"), Target("limit", "minimize", bound=1.0, cost=costs.flops)]


def test_answers_are_unlike_good_and_within_bounds() -> None:
    problem = SearchProblem(MODEL, WITHIN, space=SPACE)
    answers = propagate_answers(problem, n=4, apart=6, iterations=20)
    assert len(answers) == 4
    best = propagate_search(problem, iterations=20)
    assert (answers[0].code == best.code).all()
    assert [one.utility for one in answers] == sorted((o.utility for o in answers), reverse=True)
    for i, one in enumerate(answers):
        assert one.holds
        for other in answers[:i]:
            assert (one.code != other.code).sum() >= 6
    random = problem.utility(SPACE.sample(1000, 0))
    assert answers[-1].utility > random.max()


def test_a_space_without_more_gives_fewer() -> None:
    space = SearchSpace([Integer("n", 0, 1), Integer("m", 0, 1)])
    model = GaussianProcess().fit(space.enumerate(), {"a": [0.0, 1, 2, 3]})
    answers = propagate_answers(model, [Target("a")], n=5, apart=2, space=space)
    assert [one.code.tolist() for one in answers] == [[1, 1], [0, 0]]


def test_front_falls_evenly_and_nothing_in_it_is_dominated() -> None:
    problem = SearchProblem(MODEL, trade_off(), space=SPACE)
    front = propagate_front(problem, n=6, iterations=20)
    assert 4 <= len(front) <= 6
    sizes = [one.predictions["gflops"] for one in front]
    scores = [one.predictions["mIoU"] for one in front]
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)
    assert max(np.diff(np.log(sizes))) < 0.6 * np.log(sizes[-1] / sizes[0])
    for one in front:
        assert one.utility == pytest.approx(problem.utility(one.code[None])[0])
    # no weighting of the two finds what dominates a point
    for weight in (0.1, 0.5, 2.0):
        other = propagate_search(MODEL, trade_off(weight), space=SPACE, iterations=20)
        size, score = other.predictions["gflops"], other.predictions["mIoU"]
        for one_size, one_score in zip(sizes, scores, strict=True):
            assert not (size < 0.97 * one_size and score > one_score + 0.3)


def test_front_along_a_learnt_metric() -> None:
    front = propagate_front(MODEL, trade_off(), n=3, along="mIoU", space=SPACE, iterations=10)
    scores = [one.predictions["mIoU"] for one in front]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("targets", "given", "message"),
    [
        (trade_off(), {"n": 1}, "n=1 must be at least 2"),
        (trade_off(), {"along": "top1"}, "along='top1' must be one of"),
        (WITHIN, {}, "targets has 1 without a bound"),
    ],
)
def test_fronts_that_cannot_be(
    targets: list[Target], given: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        propagate_front(MODEL, targets, space=SPACE, **given)  # type: ignore[arg-type]


def test_floats_of_answers_differ_by_more_than_a_little() -> None:
    space = SearchSpace([Integer("width", 1, 8), Float("lr", 1e-4, 1e-1, log=True)])
    codes = space.sample(40, 0)
    score = codes[:, 0] - (np.log10(codes[:, 1]) + 2) ** 2
    answers = propagate_answers(Records(space, codes, {"score": score}), [Target("score")], n=4)
    unit = space.normalize(np.array([answer.code for answer in answers]))
    apart = np.abs(unit[:, None] - unit[None])[np.triu_indices(len(answers), 1)]
    assert ((apart[:, 0] > 0) | (apart[:, 1] > 0.05)).all()
