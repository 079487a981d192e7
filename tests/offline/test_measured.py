"""The answer beside what is known: the best measured row, and the improvement over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler import Categorical, Integer, SearchSpace
from ncp_sampler.offline.confidence import choose_beta
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import LimitCheck
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.offline.solutions import propagate_answers
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records
from ncp_sampler.space.search_space import code_key

CELLS = SearchSpace([Categorical(f"op{i}", ("skip", "conv", "pool", "none")) for i in range(6)])
GRID = SearchSpace([Integer("a", 0, 9), Integer("b", 0, 9)])
UP = Target("score")
UP_ACCURACY = Target("accuracy")


def fitted(rows: Records) -> GaussianProcess:
    return GaussianProcess().fit(rows.space.normalize(rows.codes), rows.metrics)


def problem_of(rows: Records, *targets: Target) -> SearchProblem:
    return SearchProblem(fitted(rows), targets or [UP], records=[rows])


def cells(n: int = 60, *, noise: float = 0.0, signal: float = 1.0) -> Records:
    """Cells whose score is the number of convolutions less half that of poolings."""
    codes = CELLS.sample(n, 0).astype(np.float64)
    one_hot = codes.reshape(n, 6, 4)
    score = signal * (one_hot[:, :, 1].sum(1) - 0.5 * one_hot[:, :, 2].sum(1))
    return Records(CELLS, codes, {"score": score + noise * np.random.default_rng(1).normal(size=n)})


def test_a_better_cell_is_recommended_where_the_rows_agree() -> None:
    rows = cells()
    solution = propagate_search(problem_of(rows, replace(UP, beta=1.0)))
    assert solution.best is not None
    assert solution.best.metrics["score"] == rows.values("score").max() < 6
    assert solution.is_new
    assert solution.code.reshape(6, 4)[:, 1].all()  # convolutions alone
    gain = 6 - rows.values("score").max()
    # one standard deviation less than the prediction, which the search chose as the best
    assert gain / 2 < solution.expected_improvement < gain
    assert solution.probability > 0.9
    assert solution.next_trainings == ()
    assert "better than the best measured row" in solution.note
    assert "100%" not in solution.note  # an estimate is never certain


def test_the_best_row_is_recommended_where_nothing_promises_more() -> None:
    """The scores have nothing to do with the cells; what to train next is named all the same."""
    rows = cells(signal=0.0, noise=1.0)
    solution = propagate_search(problem_of(rows, replace(UP, beta=3.0)))
    np.testing.assert_array_equal(solution.code, rows.codes[rows.best("score")[0]])
    assert not solution.is_new
    assert (solution.expected_improvement, solution.probability) == (0.0, 0.0)
    assert "no new code is clearly better" in solution.note
    known = {code_key(code) for code in rows.codes}
    codes = {code_key(one.code) for one in solution.next_trainings}
    assert len(codes) == 5
    assert not codes & known
    promised = [one.expected_improvement for one in solution.next_trainings]
    assert promised == sorted(promised, reverse=True)
    assert all(0 < one.probability < 0.9 for one in solution.next_trainings)


def test_new_candidates_are_new_apart_within_bounds_and_ranked() -> None:
    rows = cells(noise=0.1)

    def skips(codes: torch.Tensor) -> torch.Tensor:
        return codes[:, 0::4].sum(1)

    few = Target("skips", "minimize", bound=1, cost=skips)
    answers = propagate_answers(problem_of(rows, UP, few), n=5, apart=2)
    known = {code_key(code) for code in rows.codes}
    assert len(answers) == 5
    for i, one in enumerate(answers):
        assert one.holds
        assert one.code[0::4].sum() <= 1
        assert code_key(one.code) not in known
        for other in answers[:i]:
            assert (one.code != other.code).reshape(6, 4).any(1).sum() >= 2
    promised = [one.expected_improvement for one in answers]
    assert promised == sorted(promised, reverse=True)
    assert promised[0] > 0


def test_a_space_whose_codes_are_all_known_has_no_candidates() -> None:
    codes = GRID.enumerate().astype(np.float64)
    rows = Records(GRID, codes, {"score": codes.sum(1)})
    problem = problem_of(rows)
    assert propagate_answers(problem, n=3) == []
    solution = propagate_search(problem)
    assert solution.code.tolist() == [9, 9]
    assert solution.next_trainings == ()


def test_the_best_row_keeps_the_bounds_as_measured() -> None:
    codes = np.array([[1.0, 1], [5, 5], [9, 9], [3, 7]])
    rows = Records(GRID, codes, {"score": [1.0, 2, 3, np.nan], "ms": [1.0, 4, 9, 2]})  # type: ignore[dict-item]
    fast = Target("ms", "minimize", bound=5)
    best = propagate_search(problem_of(rows, UP, fast)).best
    assert best is not None
    assert best.code.tolist() == [5, 5]
    assert best.metrics == {"score": 2.0, "ms": 4.0}
    none = propagate_search(problem_of(rows, UP, replace(fast, bound=0.5)))
    assert none.best is None
    assert np.isnan([none.expected_improvement, none.probability]).all()
    assert none.note.startswith("no measured row satisfies the limits; the nearest has ms 1;")
    assert none.nearest == {"ms": 1.0}


def test_repeated_measurements_count_by_their_mean_and_noise_draws_them_in() -> None:
    rng = np.random.default_rng(0)
    codes = GRID.enumerate()[23:].astype(np.float64)  # those after (2, 2)
    codes[:3] = [2, 2]
    score = codes.sum(1) / 4 + rng.normal(size=len(codes))
    score[:3] = 40, 1, 1  # once lucky
    best = propagate_search(problem_of(Records(GRID, codes, {"score": score}))).best
    assert best is not None
    assert best.code.tolist() == [2, 2]
    assert best.metrics["score"] == 14
    assert best.expected["score"] < best.metrics["score"]
    assert best.uncertainty["score"] > 0


def test_rows_of_two_tasks_count_by_predictions_where_they_were_not_measured() -> None:
    codes = GRID.sample(40, 0).astype(np.float64)
    tables = [
        Records(GRID, codes[:20], {"score": codes[:20, 0]}),
        Records(GRID, codes[20:], {"score": codes[20:, 1]}),
    ]
    targets = [UP, replace(UP, predictor=1)]
    joint = SearchProblem([fitted(table) for table in tables], targets, records=tables)
    best = propagate_search(joint).best
    assert best is not None
    assert best.metrics.keys() == {"score[0]", "score[1]"}
    assert sum(best.metrics.values()) == pytest.approx(codes.sum(1).max(), abs=1.5)


def test_what_a_search_without_rows_cannot_tell() -> None:
    solution = propagate_search(fitted(cells()), [UP], space=CELLS)
    assert solution.best is None
    assert solution.is_new


def test_a_metric_may_have_a_bound_and_a_direction() -> None:
    """Two targets of one metric: the improvement counts its values once for each."""
    rows = cells()
    limited = Records(CELLS, rows.codes, {**rows.metrics, "size": rows.codes[:, 1::4].sum(1)})
    targets = [
        replace(UP, beta=1.0),
        Target("size", "minimize", weight=0.1),
        Target("size", "minimize", bound=3.0, weight=0.0),
    ]
    solution = propagate_search(problem_of(limited, *targets))
    assert solution.best is not None
    assert solution.best.metrics["size"] <= 3
    assert np.isfinite(solution.expected_improvement)


@pytest.mark.parametrize("constant", [0.0, 3.0, 1e6, -1e90])
@pytest.mark.parametrize("known", [True, False])
def test_a_constant_changes_nothing(constant: float, known: bool) -> None:
    """A cost or metric that all architectures share, however large."""
    rows = cells()

    def cost(codes: torch.Tensor) -> torch.Tensor:
        return codes[:, 0] * 0 + constant

    if not known:
        rows = Records(CELLS, rows.codes, {**rows.metrics, "same": np.full(len(rows), constant)})
    same = Target("same", "minimize", weight=0.5, cost=cost if known else None)
    alone = propagate_search(problem_of(cells(), replace(UP, beta=1.0)))
    found = propagate_search(problem_of(rows, replace(UP, beta=1.0), same))
    np.testing.assert_array_equal(found.code, alone.code)
    assert found.best is not None
    assert found.best.metrics["score"] == rows.values("score").max()


def test_each_limit_is_beside_the_value_that_is_compared_with_it() -> None:
    """The mean plus beta standard deviations of a metric, the value itself of a known cost."""
    rows = cells()
    limited = Records(CELLS, rows.codes, {**rows.metrics, "size": rows.codes[:, 1::4].sum(1)})

    def skips(params: Mapping[str, Any]) -> float:
        return float(sum(op == "skip" for op in params.values()))

    small = Target("size", "minimize", bound=3.0, beta=2.0)
    few = Target("skips", "minimize", bound=1.0, cost=skips)
    answers = propagate_answers(problem_of(limited, UP, small, few), n=5, apart=2)
    for one in answers:
        size, skipped = one.limits
        mean, std = one.predictions["size"], one.uncertainty["size"]
        assert size.compared == pytest.approx(mean + 2 * std)
        assert skipped.compared == one.predictions["skips"]
        assert one.holds == (one.satisfies_limits == "yes")


def test_answers_satisfy_limits_by_what_was_measured_alone() -> None:
    """To believe the answers before it makes the size of the next one no more certain."""
    rows = cells(30)
    limited = Records(CELLS, rows.codes, {**rows.metrics, "size": rows.codes[:, 1::4].sum(1)})
    small = Target("size", "minimize", bound=3.5)
    answers = propagate_answers(problem_of(limited, UP, small), n=8, apart=1)
    assert [one.satisfies_limits for one in answers] == ["yes"] * 8
    gains = [one.expected_improvement for one in answers]
    assert gains == sorted(gains, reverse=True)


def test_a_limit_kept_only_by_the_mean_says_so() -> None:
    check = LimitCheck.of("ms", "minimize", 5.0, mean=4.0, beta=3.0, compared=7.0)
    assert check.satisfied == "only by its mean"
    assert str(check).endswith(
        "upper bound 7 (+ 3 standard deviations); satisfied: only by its mean"
    )


def test_a_prediction_is_called_so_even_without_a_margin() -> None:
    rows = untrained(above=15)
    limit = Target("ms", "maximize", bound=20, beta=0)
    [predicted] = propagate_search(rows, [UP_ACCURACY, limit]).limits
    assert (predicted.beta, predicted.is_exact) == (0, False)
    assert str(predicted).endswith(f"{predicted.mean:.4g} predicted; satisfied: yes")
    codes = NETWORKS.sample(30, 0)
    known = Records(NETWORKS, codes, {"accuracy": accuracy(codes)})
    small = Target("work", "minimize", bound=600, cost=work)
    [exact] = propagate_search(known, [UP_ACCURACY, small]).limits
    assert exact.is_exact
    assert str(exact) == f"work<=600: {exact.mean:.4g}; satisfied: yes"


def test_rows_within_a_limit_come_before_all_others_where_a_cost_spans_decades() -> None:
    """The penalty of a violation is relative to the spread of the cost, which is huge."""
    space = SearchSpace([Integer("a", 1, 8), Integer("b", 1, 8), Categorical("c", ("x", "y"))])
    codes = np.unique(space.sample(60, 0), axis=0).astype(float)
    accuracy = 0.1 * codes[:, 0] - 0.02 * (codes[:, 1] - 4) ** 2
    size = Target("params", "minimize", bound=1e3, cost=lambda params: 10.0 ** params["a"])
    found = propagate_search(Records(space, codes, {"acc": accuracy}), [Target("acc"), size])
    assert found.holds
    assert space.to_params(found.code)["a"] <= 3
    assert found.best is not None
    assert "no measured row keeps" not in found.note


def over_7(codes: torch.Tensor) -> torch.Tensor:
    return torch.where(codes[:, 0] > 7, torch.inf, 1.0) * (1 + codes[:, 1])


@pytest.mark.parametrize(
    "cost", [over_7, lambda params: np.inf if params["a"] > 7 else 1.0 + params["b"]]
)
def test_an_infinite_cost_is_shown_as_infinite(cost: Any) -> None:
    """The search itself has a finite number in its place."""
    codes = np.array([[a, b] for a in (8.0, 9.0) for b in range(10)])
    rows = Records(GRID, codes, {"score": codes.sum(1)})
    found = propagate_search(problem_of(rows, UP, Target("kg", "minimize", weight=0.1, cost=cost)))
    assert found.best is not None
    assert found.code[0] > 7
    assert found.predictions["kg"] == found.best.metrics["kg"] == np.inf
    assert np.isfinite([found.utility, found.best.utility, found.best.expected["kg"]]).all()
    assert found.trace is not None
    assert np.isfinite(found.trace.predictions["kg"]).all()
    problem = problem_of(rows, UP, Target("kg", "minimize", bound=0.5, cost=cost))
    assert propagate_search(problem).nearest == {"kg": np.inf}
    (limit,) = SearchRun(problem).solution(codes[0]).limits
    assert (limit.mean, limit.compared, limit.satisfied) == (np.inf, np.inf, "no")


def accuracy(codes: NDArray[Any]) -> NDArray[np.float64]:
    """Return an accuracy that is far lower for small networks."""
    return np.asarray(90 - 100 / codes[:, 0] - 10 / codes[:, 1])


def work(codes: Any) -> Any:
    return codes[:, 0] * codes[:, 1]


NETWORKS = SearchSpace([Integer("width", 8, 128, step=8), Integer("depth", 1, 12)])


def test_under_a_limit_that_leaves_poor_rows_predictions_have_their_scale() -> None:
    """The tail of poor values was compressed, so that poor codes seemed better than poor rows."""
    missed, worse = [], 0
    for seed in range(6):
        codes = NETWORKS.sample(60, seed)
        rows = Records(NETWORKS, codes, {"accuracy": accuracy(codes)})
        for bound in (16, 40, 64):
            limit = Target("work", "minimize", bound=bound, cost=work)
            solution = propagate_search(rows, [UP_ACCURACY, limit])
            if solution.best is not None:
                true = accuracy(solution.code[None])[0]
                worse += int(true < solution.best.metrics["accuracy"])
                missed.append(solution.predictions["accuracy"] - true)
    assert len(missed) > 12
    assert worse <= 1
    assert np.mean(missed) < 1.0


def test_a_row_whose_limited_metric_is_missing_needs_the_margin_of_a_new_code() -> None:
    codes = NETWORKS.sample(25, 8)
    rng = np.random.default_rng(8)
    ms = work(codes) / 50 * np.exp(rng.normal(0, 0.1, 25))
    ms[rng.random(25) < 0.6] = np.nan
    rows = Records(NETWORKS, codes, {"accuracy": accuracy(codes), "ms": ms})
    limit = Target("ms", "minimize", bound=10)
    best = propagate_search(rows, [Target("accuracy"), limit]).best
    assert best is not None
    measured = dict(zip(map(code_key, rows.codes), ms, strict=True))
    if "ms" in best.predicted:
        assert best.expected["ms"] + 3 * best.uncertainty["ms"] <= 10
        assert "(predicted)" in str(best)
    else:
        assert measured[code_key(best.code)] <= 10


def untrained(*, above: float) -> Records:
    """Return all networks with their latency, and the accuracy of those up to a latency."""
    codes = NETWORKS.enumerate().astype(np.float64)
    ms = work(codes) / 50
    known = np.where(ms <= above, accuracy(codes), np.nan)
    return Records(NETWORKS, codes, {"accuracy": known, "ms": ms})


def test_architectures_that_are_listed_but_not_trained_are_new() -> None:
    """They were never recommended, although the table had no value of their accuracy."""
    rows = untrained(above=15)
    solution = propagate_search(rows, [replace(UP_ACCURACY, beta=0.5)])
    listed = {code_key(code): row for row, code in enumerate(rows.codes)}
    assert solution.is_new
    assert np.isnan(rows.values("accuracy")[listed[code_key(solution.code)]])
    codes = np.stack([trained.code for trained in propagate_answers(rows, [UP_ACCURACY], n=3)])
    assert np.isnan(rows.values("accuracy")[[listed[code_key(code)] for code in codes]]).all()
    # all latencies are known, so that each architecture is measured if the latency is optimized
    assert propagate_answers(rows, [UP_ACCURACY, Target("ms", "minimize")], n=3) == []


def test_rows_that_satisfy_the_limits_but_are_not_trained_are_counted() -> None:
    rows = untrained(above=15)
    slow = Target("ms", "maximize", bound=20)
    solution = propagate_search(rows, [UP_ACCURACY, slow])
    n = int((rows.values("ms") >= 20).sum())
    assert n > 1
    assert solution.n_unmeasured == n
    assert solution.note.startswith(
        f"no measured row satisfies the limits ({n} in the tables satisfy them, but the optimized "
        "metric is missing); the nearest has ms 14.56"
    )


def test_a_limit_that_only_predictions_satisfy_is_shown_with_its_margin() -> None:
    codes = NETWORKS.sample(60, 0)
    ms = np.where(work(codes) / 50 > 12, work(codes) / 50, np.nan)  # small ones were not measured
    rows = Records(NETWORKS, codes, {"accuracy": accuracy(codes), "ms": ms})
    solution = propagate_search(rows, [UP_ACCURACY, Target("ms", "minimize", bound=11)])
    [check] = solution.limits
    assert check.beta == 3
    if not solution.is_new:
        assert solution.best is not None
        assert solution.best.predicted == ("ms",)


@pytest.mark.parametrize("scale", [1e-9, 1e-13, 1e-100])
def test_answers_do_not_depend_on_the_unit_of_a_metric(scale: float) -> None:
    codes = NETWORKS.sample(40, 0)

    def answers(unit: float) -> list[list[float]]:
        rows = Records(NETWORKS, codes, {"score": (accuracy(codes) - 85) * unit})
        return [answer.code.tolist() for answer in propagate_answers(rows, [UP], n=3)]

    assert answers(scale) == answers(1.0)


def test_two_costs_need_two_names() -> None:
    rows = Records(NETWORKS, NETWORKS.sample(20, 0), {"score": np.arange(20.0)})
    costs = [
        Target("cost", "minimize", cost=work),
        Target("cost", "minimize", bound=9, cost=lambda codes: codes[:, 1]),
    ]
    with pytest.raises(ValueError, match="two costs named 'cost'"):
        propagate_search(rows, [UP, *costs])
    same = [costs[0], Target("cost", "minimize", bound=900, cost=work)]
    assert propagate_search(rows, [UP, *same]).predictions["cost"] <= 900


def cliff(codes: NDArray[Any]) -> NDArray[np.float64]:
    """Return a score that is far lower, and less regular, for narrow networks."""
    w, d = codes.T.astype(np.float64)
    return np.asarray(np.where(w > 30, w / 200 + d / 40, -8.0 - (30 - w) / 10 + 2 * np.sin(d)))


WIDE = SearchSpace([Integer("w", 1, 200), Integer("d", 1, 40)])


@pytest.mark.parametrize("layout", ["one table", "two tables", "a missing cell"])
def test_a_limit_on_poor_rows_holds_in_every_layout_of_the_tables(layout: str) -> None:
    """Only narrow networks satisfy the limit; their scores are in the tail of the table."""
    for seed in (0, 5):
        codes = WIDE.sample(80, seed)
        score, ms = cliff(codes), codes[:, 0].astype(np.float64)
        if layout == "a missing cell":
            ms[score.argmax()] = np.nan
        tables = [Records(WIDE, codes, {"score": score, "ms": ms})]
        if layout == "two tables":
            tables = [Records(WIDE, codes, {"score": score}), Records(WIDE, codes, {"ms": ms})]
        limit = Target("ms", "minimize", bound=30, predictor=len(tables) - 1)
        solution = propagate_search(SearchProblem(tables, [UP, limit]))
        assert solution.best is not None
        assert cliff(solution.code[None])[0] >= solution.best.metrics["score"]


def test_a_compromise_of_two_tables_is_compared_in_one_scale() -> None:
    for seed in range(3):
        codes = WIDE.sample(80, seed)
        high = -cliff(codes) / 8
        tables = [Records(WIDE, codes, {"a": high}), Records(WIDE, codes, {"b": cliff(codes)})]
        targets = [Target("a", weight=2), Target("b", predictor=1)]
        problem = SearchProblem(tables, targets)
        solution = propagate_search(problem)
        assert solution.best is not None
        true = np.array([-cliff(solution.code[None])[0] / 8, cliff(solution.code[None])[0]])
        best = [solution.best.metrics["a"], solution.best.metrics["b"]]
        assert problem.weights @ true >= problem.weights @ best - 0.05


def test_one_cost_may_be_a_direction_and_a_limit_of_a_problem_built_again() -> None:
    rows = Records(NETWORKS, NETWORKS.sample(60, 0), {"score": np.arange(60.0)})

    def size(params: Any) -> float:
        return float(params["width"] * params["depth"])

    targets = [
        UP,
        Target("size", "minimize", weight=0.1, cost=size),
        Target("size", "minimize", bound=100, cost=size),
    ]
    again = SearchProblem(rows, SearchProblem(rows, targets).targets)
    assert propagate_search(again).predictions["size"] <= 100
    assert choose_beta(rows, targets, betas=(0.0, 3.0)).beta in (0.0, 3.0)


def test_the_nearest_row_is_shown_with_its_prediction() -> None:
    """Accuracy and milliseconds were measured for different networks."""
    codes = NETWORKS.sample(60, 0)
    ms = work(codes) / 10.0
    half = np.arange(60) < 30
    rows = Records(
        NETWORKS,
        codes,
        {"accuracy": np.where(half, accuracy(codes), np.nan), "ms": np.where(half, np.nan, ms)},
    )
    solution = propagate_search(rows, [UP_ACCURACY, Target("ms", "minimize", bound=-50)])
    assert solution.best is None
    assert abs(solution.nearest["ms"] - ms[half].min()) < 10
