"""Propagation: equations 3 to 7 of the paper on codes, targets, strategies and traces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    SearchSpace,
)
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench import NASBenchMR
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.propagation import Adam, GradientDescent, Strategy, WinnerTakesAll
from ncp_sampler.propagation.ascent import ascend
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.propagation.targets import Target, label, target_loss
from ncp_sampler.propagation.winner_takes_all import winner_takes_all

SPACE = MRSpace()


@pytest.fixture(scope="module")
def predictor() -> GaussianProcess:
    """Knows an accuracy that likes wide late stages, and the exact FLOPs, of 200 codes."""
    codes = SPACE.sample(200, 0)
    accuracy = 60 + 0.1 * codes[:, -2] + 0.05 * codes[:, 4] - 2 * codes[:, 2]
    return GaussianProcess().fit(
        SPACE.normalize(codes), {"top1": accuracy, "flops": costs.flops(codes).numpy()}
    )


def test_the_papers_search_on_the_papers_predictor(bench: NASBenchMR) -> None:
    """Start code, lambda 0.5, t = p +- 1, learning rate 3, 70 iterations, rounding to 8."""
    table = bench.table("seg")
    unit = SPACE.normalize(table.codes)
    model = MLPEnsemble.paper(n_rows=len(unit), epochs=10)
    model.fit(unit, {"mIoU": table.metrics["mIoU"], "flops": table.flops})
    trace = propagate(
        model,
        SPACE.start,
        [Target("mIoU"), Target("flops", "minimize", weight=0.5)],
        space=SPACE,
        strategy=GradientDescent(rate=3.0, scale=model.x_std),
    )
    assert trace.codes.shape == trace.gradients.shape == (71, 1, 27)
    np.testing.assert_allclose(trace.codes[0, 0], SPACE.start)
    assert trace.predictions["mIoU"][-1, 0] > trace.predictions["mIoU"][0, 0] + 1
    assert SPACE.to_params(trace.final[0])  # valid: channels are multiples of 8


def test_lambda_trades_the_metric_for_the_cost(predictor: GaussianProcess) -> None:
    spent = []
    for weight in (0.0, 0.3, 3.0):
        targets = [Target("top1"), Target("flops", "minimize", weight=weight)]
        trace = propagate(
            predictor, SPACE.start, targets, space=SPACE, strategy=GradientDescent(0.01)
        )
        spent.append(costs.flops(trace.final).item())
    assert spent[0] > spent[1] > spent[2]


def test_an_exact_cost_needs_no_predictor_of_it(predictor: GaussianProcess) -> None:
    targets = [Target("top1"), Target("G", "minimize", bound=0.4, weight=5, cost=costs.flops)]
    trace = propagate(predictor, SPACE.start, targets, space=SPACE, strategy=GradientDescent(0.03))
    np.testing.assert_allclose(
        trace.predictions["G"][:, 0], costs.flops(trace.codes[:, 0]), rtol=1e-9
    )
    assert trace.predictions["G"][-1, 0] < 0.5 < trace.predictions["G"][0, 0]


def test_a_bound_that_holds_pulls_no_more(predictor: GaussianProcess) -> None:
    start = predictor.predict(SPACE.normalize(SPACE.start)[None])[0][0, 0]
    reached = Target("top1", bound=start - 1)
    trace = propagate(predictor, SPACE.start, [reached], space=SPACE)
    assert len(trace.codes) == 1  # nothing to do
    above = Target("top1", bound=start + 2)
    trace = propagate(
        predictor,
        SPACE.start,
        [above],
        space=SPACE,
        strategy=GradientDescent(0.002),
        iterations=500,
    )
    assert trace.predictions["top1"][-1, 0] == pytest.approx(start + 2, abs=0.2)


def test_gradients_of_several_predictors_add_up(predictor: GaussianProcess) -> None:
    """Equation 7."""
    codes = SPACE.sample(100, 1)
    second_task = GaussianProcess().fit(SPACE.normalize(codes), {"top1": 0.2 * codes[:, 0]})
    first, second = Target("top1"), Target("top1", predictor=1, weight=2.0)

    def gradient(*targets: Target) -> NDArray[np.float64]:
        trace = propagate([predictor, second_task], SPACE.start, targets, space=SPACE, iterations=1)
        slope: NDArray[np.float64] = trace.gradients[0]
        return slope

    np.testing.assert_allclose(gradient(first, second), gradient(first) + gradient(second))
    trace = propagate([predictor, second_task], SPACE.start, [first, second], space=SPACE)
    assert set(trace.predictions) == {"top1[0]", "top1[1]"}


def test_target_loss_is_smooth_l1_to_a_moving_target() -> None:
    """Equation 3: |p - t| = step, so the loss is constant and its slope the weight."""
    predicted = np.array([[80.0, 70.0], [3.0, 1.0]])
    targets = [Target("a"), Target("f", "minimize", weight=0.5, step=2.0)]
    loss, slope = target_loss(predicted, targets)
    assert loss.tolist() == [0.5 + 0.5 * 1.5] * 2
    assert slope.tolist() == [[-1.0, -1.0], [0.5, 0.5]]


def test_many_starts_go_their_own_ways(predictor: GaussianProcess) -> None:
    starts = SPACE.sample(5, 3)
    together = propagate(predictor, starts, [Target("top1")], space=SPACE, iterations=5)
    alone = propagate(predictor, starts[2], [Target("top1")], space=SPACE, iterations=5)
    np.testing.assert_allclose(together.codes[:, 2:3], alone.codes, rtol=1e-7)


def test_winner_takes_all_edits_one_column_by_one_step(predictor: GaussianProcess) -> None:
    trace = propagate(
        predictor,
        SPACE.start,
        [Target("top1")],
        space=SPACE,
        strategy=WinnerTakesAll(costs.flops),
        iterations=12,
    )
    step = np.array([1 if name[0] in "bn" else 8 for name in SPACE.names])
    edits = np.diff(trace.codes[:, 0], axis=0)
    assert len(edits) == 12
    assert ((np.abs(edits) > 1e-6).sum(1) == 1).all()
    np.testing.assert_allclose(np.abs(edits).max(1), (np.abs(np.sign(edits)) * step).max(1))


def test_winner_takes_all_follows_equations_4_to_6() -> None:
    space = SearchSpace([Integer("a", 0, 10), Integer("b", 0, 10)])
    x = np.array([[0.5, 0.5]])

    def edit(gradient: list[float]) -> list[float]:
        g = np.array([gradient])
        moved = winner_takes_all(x, g, space=space, cost=lambda e: e[:, 0] + 4 * e[:, 1])
        return (10 * (moved - x)).round(6)[0].tolist()  # type: ignore[no-any-return]

    assert edit([-1.0, -3.0]) == [1.0, 0.0]  # more accuracy per cost in a
    assert edit([-1.0, -5.0]) == [0.0, 1.0]
    assert edit([-9.0, 0.1]) == [0.0, -1.0]  # a decrease that saves both comes first


def test_the_winner_is_that_of_standardized_codes() -> None:
    """With equal gradients per cost of codes in [0, 1], the column with the larger scale wins."""
    space = SearchSpace([Integer("a", 0, 10), Integer("b", 0, 10)])
    x = np.array([[0.5, 0.5]])

    def edit(gradient: list[float], **settings: Any) -> list[float]:
        step = WinnerTakesAll(**settings).begin(space, x)
        return (10 * (step(x, np.array([gradient])) - x)).round(6)[0].tolist()  # type: ignore[no-any-return]

    cost = {"cost": lambda codes: codes[:, 0] + 4 * codes[:, 1]}
    assert edit([-1.0, -4.0], **cost, scale=[0.3, 0.2]) == [1.0, 0.0]
    assert edit([-1.0, -4.0], **cost, scale=[0.2, 0.3]) == [0.0, 1.0]
    assert edit([-1.0, -1.1], scale=[0.3, 0.2]) == [0.0, 1.0]  # the steeper step, in any unit


def test_winner_takes_all_moves_a_categorical_to_another_category() -> None:
    space = SearchSpace([Categorical("op", ("x", "y", "z")), Float("lr", 0.1, 1.0, log=True)])
    x = np.array([[1.0, 0.0, 0.0, 0.5]])
    gradient = np.array([[2.0, -1.0, -3.0, 0.2]])
    moved = winner_takes_all(x, gradient, space=space)
    assert moved.tolist() == [[0.0, 0.0, 1.0, 0.5]]


@pytest.mark.parametrize("strategy", [Adam(), WinnerTakesAll()], ids=lambda s: type(s).__name__)
def test_ascend_raises_an_objective_and_leaves_given_columns(strategy: Strategy) -> None:
    space = SearchSpace([Integer(name, 0, 20) for name in "abc"])
    goal, start = np.array([0.2, 0.9, 0.6]), np.full((4, 3), 0.5)
    end = ascend(
        lambda x: (-((x - goal) ** 2).sum(1), -2 * (x - goal)),
        start,
        space=space,
        strategy=strategy,
        free=np.array([1.0, 1.0, 0.0]),
    )
    np.testing.assert_allclose(end[:, :2], np.tile(goal[:2], (4, 1)), atol=0.07)
    assert (end[:, 2] == 0.5).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": []}, "targets is empty"),
        ({"targets": [Target("mIoU")]}, "metric='mIoU' is not predicted"),
        ({"targets": [Target("top1", predictor=1)]}, "refers to predictor 1"),
        ({"strategy": "greedy"}, "strategy='greedy' must be one of"),
        ({"strategy": GradientDescent}, "must be one of"),
        ({"iterations": 0}, "iterations=0"),
        ({"strategy": GradientDescent(scale=np.ones(3))}, "scale has shape .* 27 numbers above 0"),
        ({"strategy": WinnerTakesAll(scale=[1, 2])}, "scale has shape .* 27 numbers above 0"),
        ({"start": [1, 2]}, "27 columns"),
        ({"start": [float("nan")] * 27}, "NaN"),
    ],
)
def test_bad_arguments_are_refused(
    predictor: GaussianProcess, changes: dict[str, object], message: str
) -> None:
    good = {"start": SPACE.start, "targets": [Target("top1")], "space": SPACE}
    with pytest.raises(ValueError, match=message):
        propagate(predictor, **{**good, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"direction": "up"}, "direction='up' must be one of"),
        ({"weight": -1.0}, "weight=-1.0"),
        ({"step": 0.0}, "step=0.0"),
        ({"bound": float("nan")}, "bound=nan"),
    ],
)
def test_bad_targets_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Target("top1", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [GradientDescent, Adam])
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), "fast"])
def test_a_bad_learning_rate_is_refused(make: Any, rate: Any) -> None:
    with pytest.raises(ValueError, match=f"rate={rate!r} must be"):
        make(rate)


@pytest.mark.parametrize("scale", [np.zeros(27), [1.0, float("nan")], -1.0, "wide"])
def test_a_bad_scale_is_refused(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"scale=.* must be d numbers above 0"):
        GradientDescent(scale=scale)


def test_choices_are_edited_as_shares_that_sum_to_one() -> None:
    """Clamped to [0, 1] each on its own, two choices of positive slope would both rise to 1."""
    space = SearchSpace([Categorical("c", ("a", "b", "d")), Integer("n", 0, 4)])

    def cost(codes: torch.Tensor) -> torch.Tensor:
        return codes @ torch.tensor([1.0, 2.0, 4.0, 0.5], dtype=codes.dtype)

    trace = propagate(
        [],
        [1, 0, 0, 0],
        [Target("gain", cost=cost)],
        space=space,
        strategy=GradientDescent(1),
        iterations=5,
    )
    np.testing.assert_allclose(trace.codes[:, 0, :3].sum(1), 1)
    assert (trace.codes >= 0).all()
    np.testing.assert_allclose(trace.codes[-1, 0], [0, 0, 1, 4])
    # gradient step from the vertex by (1, 2, 4), less the same from each, none below 0
    np.testing.assert_allclose(trace.codes[1, 0, :3], [0, 0, 1])


def test_a_descent_that_settles_ends_at_rest(predictor: GaussianProcess) -> None:
    """At one rate each code jumps to and fro between two sides of the bound for good."""
    targets = [Target("top1"), Target("G", "minimize", bound=0.4, weight=100, cost=costs.flops)]
    starts = np.concatenate([SPACE.start[None], SPACE.sample(7, 0)])

    def moves(settle: bool) -> NDArray[np.float64]:
        strategy = GradientDescent(0.3, settle=settle)
        trace = propagate(predictor, starts, targets, space=SPACE, strategy=strategy)
        return np.diff(trace.predictions["top1"], axis=0)

    plain = moves(False)
    assert len(plain) == 70
    assert (plain[1:] * plain[:-1] < 0)[-10:].any(0).all()
    assert len(moves(True)) < 40  # no step moves any of them any more


def test_targets_of_one_quantity_share_its_name() -> None:
    """A direction and a bound of one cost; metrics of two sources have their numbers."""
    few = Target("flops", "minimize", cost=costs.flops)
    targets = [few, replace(few, bound=1.0), Target("top1"), Target("top1", predictor=1)]
    names = [label(targets, i) for i in range(len(targets))]
    assert names == ["flops", "flops", "top1[0]", "top1[1]"]
