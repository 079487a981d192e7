"""Figures carry the data that they are given, with names and units, and refuse other data."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    NB201Space,
    SearchSpace,
)
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.blueprint import dimensions
from ncp_sampler.nas_bench import NASBenchMR, Table, TableWalk
from ncp_sampler.propagation import GradientDescent
from ncp_sampler.propagation.propagate import Trace, propagate
from ncp_sampler.propagation.targets import Target
from ncp_sampler.space.hooks import Group
from ncp_sampler.visualization import (
    plot_architectures,
    plot_correlations,
    plot_gradient,
    plot_proposal,
    plot_trace,
    plot_walk,
)
from tests.search_examples import fitted, records
from tests.space_examples import MIXED

SPACE = MRSpace()
STARTS = 2


def edited(space: SearchSpace, seed: int = 0) -> Trace:
    """A propagation towards an exact target, which likes high numbers and each second choice."""

    def score(codes: torch.Tensor) -> torch.Tensor:
        return codes[:, ::2].sum(1)

    starts = space.sample(STARTS, seed)
    targets = [Target("top1", cost=score)]
    if isinstance(space, MRSpace):
        targets.append(Target("flops", "minimize", weight=0.5, cost=costs.flops))
    return propagate([], starts, targets, space=space, strategy=GradientDescent(0.01), iterations=8)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return edited(SPACE)


def lines(figure: Figure) -> dict[str, NDArray[np.float64]]:
    """Name in a legend, or of a strip -> y values."""
    return {
        str(line.get_label()): np.asarray(line.get_ydata())
        for axes in figure.axes
        for line in axes.lines
    }


def panel(figure: Figure, name: str) -> Axes:
    """The axes that have a line of this name."""
    return next(
        axes for axes in figure.axes if name in [str(line.get_label()) for line in axes.lines]
    )


def bars(axes: Axes) -> dict[int, float]:
    """Position -> height."""
    return {
        round(bar.get_x() + bar.get_width() / 2): bar.get_height()
        for bar in axes.patches
        if isinstance(bar, Rectangle)
    }


@pytest.mark.parametrize("start", range(STARTS))
def test_a_trace_shows_every_column_prediction_cost_and_what_falls(
    trace: Trace, start: int
) -> None:
    figure = plot_trace(trace, SPACE, start=start, costs={"params": costs.params})
    drawn = lines(figure)
    for i, name in enumerate(SPACE.names):
        np.testing.assert_array_equal(drawn[name], trace.codes[:, start, i])
    np.testing.assert_array_equal(drawn["top1 (%)"], trace.predictions["top1"][:, start])
    np.testing.assert_array_equal(drawn["FLOPs (G)"], trace.predictions["flops"][:, start])
    np.testing.assert_allclose(drawn["params (M)"], costs.params(trace.codes[:, start]))
    length = np.linalg.norm(trace.gradients[:, start], axis=-1)
    np.testing.assert_array_equal(
        drawn["gradient's length"], length
    )  # the loss of steps is constant
    bounded = replace(trace, loss=trace.loss * np.linspace(1, 0, len(trace.loss))[:, None])
    drawn = lines(plot_trace(bounded, SPACE, start=start))
    np.testing.assert_array_equal(drawn["loss"], bounded.loss[:, start])


@pytest.mark.parametrize(
    ("name", "fellows", "quantity"),
    [
        ("b1", {"b1", "b2", "b3", "b4"}, "blocks"),
        ("n1_1", {"n1_1", "n2_1", "n2_2", "n3_1", "n3_2", "n3_3"}, "residual units"),
        ("n4_1", {"n4_1", "n4_2", "n4_3", "n4_4"}, "residual units"),
        ("i1", {"i1", "i2", "o1"}, "channels"),
        ("c3_2", {"c1_1", "c2_1", "c2_2", "c3_1", "c3_2", "c3_3"}, "channels"),
        ("c4_4", {"c4_1", "c4_2", "c4_3", "c4_4"}, "channels"),
        ("FLOPs (G)", {"FLOPs (G)"}, "FLOPs (G)"),
    ],
)
def test_the_code_is_grouped_and_each_axis_says_what_it_is(
    trace: Trace, name: str, fellows: set[str], quantity: str
) -> None:
    axes = panel(plot_trace(trace, SPACE), name)
    assert {line.get_label() for line in axes.lines} == fellows
    assert axes.get_ylabel() == quantity
    if len(fellows) > 1:
        legend = axes.get_legend()
        assert legend is not None
        assert {text.get_text() for text in legend.get_texts()} == fellows


@pytest.mark.parametrize(
    ("space", "panels"),
    [
        (SPACE, 6),
        (NB201Space(), 6),
        (MIXED, 6),  # its floats have ranges of their own
        (SearchSpace([Float("a", 0, 1), Float("b", 0, 1)]), 1),
        (SearchSpace([Float(f"x{i}", 0, i + 1) for i in range(9)]), 6),  # as unit code
        (SearchSpace([Categorical("c", tuple(range(12)))]), 1),
        (SearchSpace([Float(f"{i}{'-long' * 9}", 0, i + 1) for i in range(8)]), 6),
    ],
)
def test_any_space_has_at_most_six_panels_beside_the_predictions(
    space: SearchSpace, panels: int
) -> None:
    trace = edited(space)
    figure = plot_trace(trace, space)
    assert len(figure.axes) == len(trace.predictions) + 1 + panels
    assert sum(len(axes.lines) for axes in figure.axes[-panels:]) == len(space.columns)
    assert any(axes.get_xlabel() == "iteration" for axes in figure.axes)
    figure.draw_without_rendering()  # lays it out: warnings are errors
    assert min(axes.get_position().width for axes in figure.axes) > 0.1  # beside the legends


def test_a_crowded_panel_names_the_lines_that_moved_farthest() -> None:
    space = SearchSpace([Categorical("c", tuple(range(12)))])
    trace = edited(space)
    moved = np.ptp(trace.codes[:, 0], axis=0)
    legend = plot_trace(trace, space).axes[-1].get_legend()
    assert legend is not None
    named = {int(text.get_text()) for text in legend.get_texts()}
    assert len(named) == 8
    assert moved[sorted(named)].min() >= moved[sorted(set(range(12)) - named)].max()


def test_a_cost_that_is_a_step_and_a_bound_is_drawn_once() -> None:
    limit = Target("limit", "minimize", bound=2.0, cost=costs.flops)
    step = Target("flops", "minimize", cost=costs.flops)
    trace = propagate([], SPACE.start, [step, limit], space=SPACE, iterations=2)
    drawn = lines(plot_trace(trace, SPACE))
    assert "FLOPs (G)" in drawn
    assert "limit" not in drawn


def test_units_are_the_tables_or_ones_own(trace: Trace) -> None:
    assert "FLOPs (G)" in lines(plot_trace(trace, SPACE))
    renamed = replace(trace, predictions={"top1[1]": trace.predictions["top1"]})
    assert "top1[1] (%)" in lines(plot_trace(renamed, SPACE))
    elsewhere = edited(MIXED)
    assert "top1" in lines(plot_trace(elsewhere, MIXED))
    assert "top1 (s)" in lines(plot_trace(elsewhere, MIXED, units={"top1": "s"}))


def test_a_space_says_what_belongs_together_and_in_which_units() -> None:
    space = SearchSpace(
        [Integer("wide", 16, 256, step=16), Float("rate", 0, 1), Categorical("act", ("a", "b"))],
        units={"top1": "s"},
        groups=[Group("Widths", "channels", ("wide",)), Group("Rest", "share", ("act", "rate"))],
    )
    figure = plot_trace(edited(space), space)
    assert "top1 (s)" in lines(figure)
    assert {str(line.get_label()) for line in panel(figure, "rate").lines} == {
        "rate",
        "act=a",
        "act=b",
    }
    widths = panel(figure, "wide")
    assert widths.get_ylabel() == "channels"
    assert widths.get_yticks().tolist() == [16, 64, 128, 192, 256]


def test_a_narrower_space_has_the_same_groups_within_its_range() -> None:
    space = MRSpace(width=32, depth=2)
    figure = plot_trace(edited(space), space)
    channels, blocks = panel(figure, "c4_1"), panel(figure, "b1")
    assert {line.get_label() for line in channels.lines} == {"c4_1", "c4_2", "c4_3", "c4_4"}
    assert channels.get_yticks().tolist() == [8, 16, 24, 32]
    assert channels.get_ylim()[1] < 40
    assert blocks.get_ylim()[1] < 3


def test_bars_of_an_explanation_are_the_largest_pushes(trace: Trace) -> None:
    (axes,) = plot_gradient(trace, SPACE, start=1, iteration=2, largest=5).axes
    push = -trace.gradients[2, 1]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert widths == [push[SPACE.names.index(name)] for name in names]
    assert min(np.abs(widths)) == np.sort(np.abs(push))[-5]


def test_long_names_of_a_proposal_stay_beside_each_other() -> None:
    metrics = ["validation_accuracy_of_the_moving_average", "latency_on_the_device_in_milliseconds"]
    names = ["encoder.number_of_channels_in_the_first_layer_of_all", "depth", "activation"]
    moves = [
        [name, "RandAugment with two operations", "none", dict.fromkeys(metrics, 0.1 - 0.1 * i)]
        for i, name in enumerate(names)
    ]
    predicted = {name: {"mean": 0.5576, "std": 123.4, "start": 447.7} for name in metrics}
    reasons = {"how": "search", "moves": moves, "metrics": predicted, "left_out": 0}
    figure = plot_proposal(reasons)
    figure.draw_without_rendering()
    boxes = [
        text.get_window_extent()
        for axes in figure.axes
        for text in (axes.title, axes.xaxis.label, *axes.get_yticklabels())
        if text.get_visible() and text.get_text()
    ]
    assert len(boxes) >= 2 * 2 + len(names)
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    assert all(figure.bbox.contains(box.x0, box.y0) for box in boxes)
    assert all(figure.bbox.contains(box.x1, box.y1) for box in boxes)
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels[1] == "depth: RandAugmen…perations → none"
    assert min(axes.get_position().width * figure.get_figwidth() for axes in figure.axes) > 2


def test_an_architectures_bars_are_its_code() -> None:
    codes = {"start": SPACE.start, "drawn": SPACE.sample(1, 0)[0]}
    figure = plot_architectures(codes, SPACE)
    channels = [axes for axes in figure.axes if axes.get_ylabel() == "channels"]
    depths = [axes for axes in figure.axes if axes.get_ylabel() == "blocks, units"]
    assert [axes.get_title(loc="left") for axes in channels] == list(codes)
    for wide, deep, code in zip(channels, depths, codes.values(), strict=True):
        heights = {**bars(wide), **bars(deep)}
        assert [heights[i] for i in range(27)] == code.tolist()
        assert {SPACE.names[i][0] for i in bars(deep)} == {"b", "n"}
    assert [tick.get_text() for tick in channels[-1].get_xticklabels()] == list(SPACE.names)


@pytest.mark.parametrize(
    ("space", "ticks"),
    [
        (MRSpace(width=16, depth=1), ([8, 12, 16], [1])),
        (SearchSpace(dimensions(width=64)), ([8, 16, 32, 48, 64], [1, 2, 3, 4])),
    ],
)
def test_architectures_of_a_narrower_space_fill_its_own_axes(
    space: SearchSpace, ticks: tuple[list[int], list[int]]
) -> None:
    code = space.sample(1, 0)[0]
    wide, deep = plot_architectures({"drawn": code}, space).axes
    assert [{**bars(wide), **bars(deep)}[i] for i in range(27)] == code.tolist()
    assert (wide.get_yticks().tolist(), deep.get_yticks().tolist()) == ticks
    assert [text.get_text() for text in wide.texts][-6:] == [
        "in",
        *[f"stage {s}" for s in range(1, 5)],
        "out",
    ]


def test_a_walk_is_numbered_over_the_whole_table(bench: NASBenchMR) -> None:
    table = bench.table("nas-bench-201")
    rows = np.arange(14).reshape(7, STARTS) * 1000
    walk = TableWalk(table.codes[rows], table.metrics["Acc"][rows], table.flops[rows])
    (axes,) = plot_walk(table, walk, start=1).axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), table.flops[rows[:, 1]])
    np.testing.assert_array_equal(line.get_ydata(), table.metrics["Acc"][rows[:, 1]])
    assert [text.get_text() for text in axes.texts] == list("0123456")
    assert len(np.asarray(axes.collections[0].get_offsets())) == len(table.codes)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("FLOPs (M)", "Acc (%)")


def test_correlations_stand_beside_the_published_ones() -> None:
    ours = np.array([[1, -0.0154, np.nan], [-0.0154, 1, 0.7161], [np.nan, 0.7161, 1]])
    published = np.full((3, 3), np.nan)
    published[1, 2] = 0.639
    figure = plot_correlations(["a", "b", "c"], ours, published=published)
    texts = {(t.get_position()[0], t.get_text()) for t in figure.axes[0].texts}
    assert {(1, "−0.015"), (2, "0.716"), (2, "(0.639)")} <= texts
    assert len(figure.axes[0].texts) == 8  # none in the cells without a number
    assert figure.axes[1].get_ylabel() == "Spearman's rank correlation"


def test_a_walks_units_are_its_tables() -> None:
    (axes,) = plot_walk(TABLE, WALK).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("FLOPs (G)", "mIoU (%)")


TABLE = Table("seg", SPACE.sample(3, 0), {"mIoU": np.ones(3)}, np.ones(3), np.ones(3))
WALK = TableWalk(TABLE.codes[:, None], np.ones((3, 1)), np.ones((3, 1)))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda trace: plot_trace(trace, SPACE, start=2), r"start=2 must be between 0 and 1"),
        (lambda trace: plot_trace(trace, SPACE, start=1.5), "start=1.5 must be an integer"),  # type: ignore[arg-type]
        (lambda trace: plot_trace(trace, NB201Space()), "27 columns, but space has 30"),
        (lambda trace: plot_trace(trace.codes, SPACE), "must be a Trace, as"),
        (lambda trace: plot_trace(trace, "MRSpace"), "space='MRSpace' must be"),  # type: ignore[arg-type]
        (lambda trace: plot_trace(trace, SPACE, costs={"x": 1}), r"costs\['x'\]=1 must be"),  # type: ignore[dict-item]
        (lambda trace: plot_trace(trace, SPACE, units="G"), "units='G' must map names"),  # type: ignore[arg-type]
        (lambda trace: plot_trace(trace, SPACE, title=3), "title=3 must be a string"),  # type: ignore[arg-type]
        (lambda trace: plot_gradient(trace, SPACE, start=-1), "start=-1"),
        (lambda trace: plot_gradient(trace, SPACE, iteration=9), "iteration=9.*0 and 8"),
        (lambda trace: plot_gradient(trace, SPACE, largest=0), "largest=0"),
        (lambda _: plot_architectures({}, SPACE), "codes is empty"),
        (lambda _: plot_architectures({"x": SPACE.start + 1}, SPACE), "not a value of"),
        (lambda _: plot_architectures({"x": SPACE.start[:5]}, SPACE), "shape"),
        (lambda _: plot_architectures({"x": MIXED.sample(1, 0)[0]}, MIXED), "must be MRSpace"),
        (lambda _: plot_architectures([SPACE.start], SPACE), "must map labels to codes"),  # type: ignore[arg-type]
        (lambda _: plot_walk(TABLE, WALK, start=1), "start=1"),
        (lambda _: plot_walk(WALK, WALK), "must be a Table, as"),  # type: ignore[arg-type]
        (lambda _: plot_walk(TABLE, TABLE), "must be a TableWalk, as"),  # type: ignore[arg-type]
        (lambda _: plot_correlations(["a"], "b"), r"matrix='b' must be a matrix of numbers"),
        (lambda _: plot_correlations(["a", "b"], np.eye(3)), r"matrix has shape \(3, 3\)"),
        (lambda _: plot_correlations(["a"], [[1.0]], published=[[2.0]]), "published.*outside"),
        (lambda _: plot_correlations([], np.empty((0, 0))), "0 names"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw: Callable[[Trace], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(edited(SPACE))


def test_a_search_s_picture_says_what_is_drawn() -> None:
    """A prediction less beta deviations is named so; dotted, the best code so far."""
    model = fitted(records())
    few = Target("limit", "minimize", bound=1.0, cost=costs.flops)
    targets = [Target("mIoU", beta=3.0), few]
    strategy = GradientDescent(0.05)
    drawn = propagate(model, SPACE.start, targets, space=SPACE, strategy=strategy, iterations=12)
    axes = plot_trace(drawn, SPACE).axes[0]
    assert axes.get_ylabel() == "mIoU − 3 σ (%)"
    best = next(np.asarray(line.get_ydata()) for line in axes.lines if line.get_linestyle() == ":")
    size, score = (drawn.predictions[name][:, 0] for name in ("limit", "mIoU"))
    at = min(range(13), key=lambda i: (max(size[i] - 1, 0), -score[i]))
    assert best[-1] == score[at]
