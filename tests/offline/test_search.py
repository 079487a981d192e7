"""Offline searches: what they find, what bounds and beta change, and what they refuse."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ncp_sampler import Integer, SearchSpace
from ncp_sampler.command_line.search_options import add_search
from ncp_sampler.multi_resolution import costs
from ncp_sampler.offline import BETA
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.recipes import fit_paper, learn
from ncp_sampler.offline.search import code_scale, default_starts, propagate_search
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation import WinnerTakesAll, propagate
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records
from tests.search_examples import SPACE, fitted, records, trade_off, truth

ROWS = records()
MODEL = fitted(ROWS)
FEW = Target("gflops", "minimize", cost=costs.flops)


def test_records_alone_are_enough() -> None:
    """A mixture is fitted to them; the solution is better than every row."""
    found = propagate_search(ROWS, [Target("mIoU", beta=2.0)], iterations=10)
    np.testing.assert_array_equal(SPACE.round(found.code), found.code)
    assert truth(found.code[None], 0.7)[0] > ROWS.values("mIoU").max()
    assert abs(found.predictions["mIoU"] - truth(found.code[None], 0.7)[0]) < 1
    assert found.uncertainty["mIoU"] > 0


def test_the_given_space_comes_before_the_records_own() -> None:
    """It has the same codes, and may have what the records' space lacks: a start, say."""
    plain = replace(ROWS, space=SearchSpace(SPACE.dimensions))
    problem = SearchProblem([plain, MODEL], trade_off(), space=SPACE)
    assert problem.space is SPACE


def test_models_the_metrics_asked_for() -> None:
    space = SearchSpace([Integer("n", 1, 9)])
    codes = np.arange(1.0, 10.0)[:, None]
    rows = replace(
        ROWS, space=space, codes=codes, metrics={"a": codes[:, 0] ** 2, "b": codes[:, 0]}
    )
    model = learn(rows, metrics=["b"])
    mean, _ = model.predict(space.normalize(codes))
    assert model.names == ("b",)
    assert np.abs(mean[:, 0] - codes[:, 0]).mean() < 1


def test_more_weight_on_cost_finds_fewer_flops() -> None:
    sizes = [
        propagate_search(MODEL, trade_off(weight), space=SPACE).predictions["gflops"]
        for weight in (0.05, 1.0, 20.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_joint_search_serves_both_tasks() -> None:
    tasks = [fitted(records(best=0.2)), fitted(records(best=0.8))]
    both = [Target("mIoU", predictor=0), Target("mIoU", predictor=1)]
    alone = [propagate_search(tasks, [both[i]], space=SPACE, starts=SPACE.start) for i in range(2)]
    joint = propagate_search(tasks, both, space=SPACE, starts=SPACE.start)
    assert joint.predictions.keys() == {"mIoU[0]", "mIoU[1]"}
    for i, best in enumerate((0.2, 0.8)):
        other = truth(alone[1 - i].code[None], best)[0]
        assert truth(joint.code[None], best)[0] > other + 1


@pytest.mark.parametrize("strategy", ["continuous", "winner_takes_all"])
def test_keeps_bounds_that_can_be_kept(strategy: str) -> None:
    within = [Target("mIoU"), Target("limit", "minimize", bound=1.0, cost=costs.flops)]
    found = propagate_search(MODEL, within, space=SPACE, strategy=strategy)
    assert found.holds
    assert costs.flops(found.code).item() <= 1.0
    best = float(np.quantile(ROWS.values("mIoU"), 0.8))
    least = propagate_search(
        MODEL, [Target("mIoU", bound=best), FEW], space=SPACE, strategy=strategy
    )
    assert least.holds
    assert least.predictions["mIoU"] >= best


@pytest.mark.parametrize("strategy", ["continuous", "winner_takes_all"])
def test_a_bound_of_weight_0_is_a_bound(strategy: str) -> None:
    within = [Target("mIoU"), Target("limit", "minimize", weight=0, bound=1.0, cost=costs.flops)]
    problem = SearchProblem(MODEL, within, space=SPACE)
    found = propagate_search(problem, strategy=strategy)
    assert found.holds
    assert costs.flops(found.code).item() <= 1.0
    wide = SPACE.round(np.full(27, 128.0))
    assert problem.violation(problem.values(wide))[0] > 0


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3)])
def test_seeds_of_numpy_are_seeds(seed: Any) -> None:
    rows = records(30)
    problem = SearchProblem(MODEL, trade_off(), space=SPACE)
    found = [propagate_search(problem, iterations=2, seed=one).code for one in (seed, 3)]
    assert (found[0] == found[1]).all()
    predicted = [learn(rows, seed=one).predict(SPACE.normalize(rows.codes)) for one in (seed, 3)]
    assert (predicted[0][0] == predicted[1][0]).all()
    paper = fit_paper(rows, seed=seed, epochs=1)
    assert paper.names == ("mIoU", "flops")
    assert SearchProblem(rows, trade_off(), seed=seed).predictors[0].names == ("mIoU",)


def test_one_row_is_fitted() -> None:
    rows = records(1)
    mean, std = learn(rows, metrics=["mIoU"]).predict(SPACE.normalize(rows.codes))
    assert mean[0, 0] == pytest.approx(rows.values("mIoU")[0], abs=0.5)
    assert np.isfinite(std).all()


def test_says_that_a_bound_cannot_be_kept() -> None:
    found = propagate_search(MODEL, [Target("mIoU", bound=99.0), FEW], space=SPACE)
    assert not found.holds
    assert found.predictions["mIoU"] < 99


def test_beta_keeps_the_search_where_the_predictor_is_certain() -> None:
    few = fitted(records(40))
    free, careful = (
        propagate_search(few, [Target("mIoU", beta=beta)], space=SPACE) for beta in (0.0, 5.0)
    )
    assert careful.uncertainty["mIoU"] < free.uncertainty["mIoU"]


def test_winner_takes_all_has_the_scale_of_the_records() -> None:
    problem = SearchProblem(MODEL, trade_off(), records=[ROWS])

    def path(scale: Any) -> Any:
        strategy = WinnerTakesAll(costs.flops, scale=scale)
        found = propagate_search(problem, strategy=strategy, iterations=20, climbs=0)
        assert found.trace is not None
        return found.trace.codes

    np.testing.assert_array_equal(path(None), path(code_scale(problem)))
    assert (path(None) != path(1.0)).any()


def test_winner_takes_all_moves_one_step_an_iteration() -> None:
    found = propagate_search(
        MODEL,
        trade_off(),
        space=SPACE,
        strategy="winner_takes_all",
        starts=SPACE.start,
        iterations=12,
    )
    assert found.trace is not None
    moves = np.abs(np.diff(found.trace.codes[:, 0], axis=0))
    steps = np.where([name[0] in "bn" for name in SPACE.names], 1.0, 8.0)
    assert (np.isclose(moves, 0) | np.isclose(moves, steps)).all()
    assert ((moves > 0.5).sum(1) <= 1).all()
    assert (
        found.utility > SearchProblem(MODEL, trade_off(), space=SPACE).utility(SPACE.start[None])[0]
    )


def test_finds_the_best_code_that_any_start_passed_by() -> None:
    problem = SearchProblem(MODEL, trade_off(), space=SPACE)
    starts = SPACE.sample(3, 1)
    found = propagate_search(problem, starts=starts, iterations=8, climbs=0)
    assert found.trace is not None
    assert found.trace.codes.shape == (9, 3, 27)
    passed = SPACE.round(found.trace.codes)
    utility = problem.utility(passed.reshape(-1, 27))
    assert found.utility == pytest.approx(utility.max())
    assert (passed[:, found.start] == found.code).all(1).any()


def test_counts_every_prediction() -> None:
    problem = SearchProblem(MODEL, trade_off(), space=SPACE)
    found = propagate_search(problem, starts=SPACE.start, iterations=4, climbs=0)
    assert found.trace is not None
    distinct = np.unique(SPACE.round(found.trace.codes[:, 0]), axis=0)
    assert found.calls == 5 + len(distinct)
    assert propagate_search(problem, starts=SPACE.start, iterations=4).calls > found.calls


def test_starts_are_the_default_and_the_best_records() -> None:
    rows = records(40)
    problem = SearchProblem(MODEL, [FEW], records=[rows])
    starts = default_starts(problem, n=4)
    np.testing.assert_array_equal(starts[0], SPACE.start)
    least = rows.take(rows.best("flops", "minimize")[:3])
    np.testing.assert_array_equal(starts[1:], least.codes)
    np.testing.assert_allclose(code_scale(problem), SPACE.normalize(rows.codes).std(0))


def test_without_records_starts_are_random_and_seeded() -> None:
    problem = SearchProblem(MODEL, trade_off(), space=SPACE)
    np.testing.assert_array_equal(default_starts(problem, seed=3), default_starts(problem, seed=3))
    assert (default_starts(problem, seed=3) != default_starts(problem, seed=4)).any()
    assert len(set(code_scale(problem))) == 1
    with pytest.raises(ValueError, match="n=0 must be at least 1"):
        default_starts(problem, n=0)


def test_a_target_without_scale_takes_the_metrics_spread() -> None:
    problem = SearchProblem(
        MODEL, [*trade_off(), replace(FEW, metric="own", scale=7.0)], space=SPACE
    )
    mean, _ = MODEL.predict(SPACE.normalize(SPACE.sample(4000, 9)))
    assert problem.targets[0].scale == pytest.approx(mean[:, 0].std(), rel=0.1)
    assert problem.targets[2].scale == 7.0


@pytest.mark.parametrize(
    ("sources", "targets", "space", "message"),
    [
        ([], [FEW], SPACE, "sources is empty"),
        (MODEL, [], SPACE, "targets is empty"),
        (MODEL, [FEW], None, "space is missing"),
        (
            MODEL,
            [Target("mIoU", predictor=1)],
            SPACE,
            "refers to source 1, but the number of sources is 1",
        ),
        (MODEL, [Target("top1")], SPACE, "'top1' is not predicted"),
        (records(5), [Target("top1")], None, "'top1' is not in the records"),
        (records(5), [FEW], SearchSpace([Integer("n", 1, 2)]), "different search spaces"),
    ],
)
def test_refuses_what_cannot_be_searched(
    sources: Any, targets: list[Target], space: SearchSpace | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        propagate_search(sources, targets, space=space)


def test_records_that_no_target_uses_are_refused() -> None:
    with pytest.raises(ValueError, match="no target uses source 0"):
        SearchProblem(records(40), [FEW])


def test_a_problem_brings_its_own_targets() -> None:
    problem = SearchProblem(MODEL, trade_off(), space=SPACE)
    with pytest.raises(ValueError, match="a SearchProblem has its own"):
        propagate_search(problem, [FEW])
    with pytest.raises(ValueError, match="starts is empty"):
        propagate_search(problem, starts=np.zeros((0, 27)))


@pytest.mark.parametrize("starts", ["x", [[5.0]], [[np.nan] * 27], np.zeros((1, 1, 27))])
def test_starts_that_are_no_codes_are_refused(starts: Any) -> None:
    problem = SearchProblem(fitted(records(20)), trade_off(), space=SPACE)
    with pytest.raises(ValueError, match=r"starts=.* must be (numbers|finite codes of shape)"):
        propagate_search(problem, starts=starts)


def test_a_target_without_beta_has_that_of_the_command_line() -> None:
    predictor, codes = fitted(records()), SPACE.sample(5, 0)
    problem = SearchProblem(predictor, [Target("mIoU")], space=SPACE)
    command = add_search(argparse.ArgumentParser().add_subparsers())
    assert problem.targets[0].beta == command.parse_args(["--setting", "seg"]).beta == BETA
    mean, std = predictor.predict(SPACE.normalize(codes))
    np.testing.assert_allclose(problem.values(codes)[0], mean[:, 0] - BETA * std[:, 0])
    plain = propagate(predictor, codes, [Target("mIoU")], space=SPACE, iterations=1)
    np.testing.assert_allclose(plain.predictions["mIoU"][0], mean[:, 0])


def test_failed_architectures_do_not_decide_on_the_scale() -> None:
    space = SearchSpace([Integer("a", 0, 20), Integer("b", 0, 20)])
    codes = space.sample(60, 0).astype(float)
    score = codes.sum(1)
    broken = score.copy()
    broken[score < 10] = -1e4
    rows = Records(space, codes, {"score": broken})
    good = score > 15
    searched = SearchProblem(rows, [Target("score", beta=0)])
    error = np.abs(searched.values(codes)[0] - score)[good].mean()
    plain = learn(rows).predict(space.normalize(codes))[0][:, 0]
    assert error < 1
    assert np.abs(plain - score)[good].mean() > 10 * error
    bounded = SearchProblem(
        rows, [Target("score", bound=20.0, beta=0)]
    )  # a bound is about all values
    np.testing.assert_allclose(bounded.values(codes)[0], plain)


NETWORKS = SearchSpace([Integer("width", 16, 128, step=8), Integer("depth", 2, 12)])


def networks(failed: float | None = None, *, rows: int = 1) -> Records:
    """Return 80 networks with their accuracy and latency, of which some rows may have failed."""
    codes = NETWORKS.sample(80, 0).astype(np.float64)
    width, depth = codes.T
    accuracy = 95 - 100 / width - 12 / depth + np.random.default_rng(0).normal(0, 0.1, 80)
    if failed is not None:
        accuracy[:rows] = failed
    return Records(NETWORKS, codes, {"accuracy": accuracy, "ms": width * depth / 40})


@pytest.mark.parametrize("rows", [1, 8])
def test_failed_runs_do_not_reverse_a_trade_off(rows: int) -> None:
    """At chance level, they multiplied the scale of the accuracy, and the smallest network won."""
    small = Target("ms", "minimize", weight=0.5)
    whole, failed = networks(), networks(10.0, rows=rows)
    answers = [propagate_search(table, [Target("accuracy"), small]) for table in (whole, failed)]
    ms = [answer.predictions["ms"] for answer in answers]
    assert min(ms) > 10 > 5 * whole.values("ms").min()
    assert ms[0] == pytest.approx(ms[1], rel=0.1)


@pytest.mark.parametrize(("sign", "direction"), [(1, "maximize"), (-1, "minimize")])
def test_the_scale_leaves_out_failed_runs_alone(sign: int, direction: str) -> None:
    def scale(accuracy: NDArray[np.float64]) -> float:
        table = replace(networks(), metrics={"score": sign * accuracy})
        target = SearchProblem(table, [Target("score", direction)]).targets[0]
        assert target.scale is not None
        return target.scale

    whole, failed = networks().values("accuracy"), networks(10.0).values("accuracy")
    assert scale(whole) == pytest.approx(whole.std())
    assert scale(failed) == pytest.approx(whole[1:].std())
    for counted in (
        networks(75.0).values("accuracy"),  # poor, but close to the others
        networks(200.0).values("accuracy"),  # far better than the others
        networks(10.0, rows=30).values("accuracy"),  # too many for failed runs
        np.repeat([90.0, 10.0], [70, 10]),  # without a range, no gap is wide
    ):
        assert scale(counted) == pytest.approx(counted.std())


def test_a_diverged_run_does_not_decide_on_the_improvement() -> None:
    loss = 1 - networks().values("accuracy") / 100
    diverged = np.where(np.arange(80) == 0, 1e12, loss)
    for values in (loss, diverged):
        table = replace(networks(), metrics={"loss": values})
        answer = propagate_search(table, [Target("loss", "minimize")])
        gains = [trained.expected_improvement for trained in answer.next_trainings]
        assert 0 <= max(gains, default=answer.expected_improvement) < 0.01


def area(params: Mapping[str, Any]) -> float:
    return float(params["width"] * params["depth"])


def test_a_cost_may_be_a_function_of_params() -> None:
    """As on the command line; it is exact, and the same as the function of codes."""
    space = SearchSpace([Integer("width", 1, 16), Integer("depth", 1, 8)])
    codes = space.sample(30, 0).astype(np.float64)
    model = GaussianProcess().fit(space.normalize(codes), {"score": codes.sum(1)})
    found = [
        propagate_search(
            model, [Target("score"), Target("area", "minimize", bound=40, cost=cost)], space=space
        )
        for cost in (area, lambda codes: codes[:, 0] * codes[:, 1])
    ]
    assert found[0].holds
    assert found[0].predictions["area"] == found[0].code.prod() <= 40
    np.testing.assert_array_equal(found[0].code, found[1].code)


def test_a_cost_that_fails_is_named_with_the_params() -> None:
    space = SearchSpace([Integer("width", 1, 16), Integer("height", 1, 8)])
    message = (
        r"Target\('area'\)\.cost raises KeyError: 'depth' for params \{'width': 1, 'height': 1\}"
    )
    with pytest.raises(ValueError, match=message):
        SearchProblem(
            Records(space, space.sample(9, 0).astype(np.float64), {"score": np.arange(9.0)}),
            [Target("score"), Target("area", "minimize", cost=area)],
        )
