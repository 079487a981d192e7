"""Plotly's figures have what Matplotlib's have, and plain JSON that any viewer reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
import pytest

from ncp_sampler import Categorical, Float, Integer, MRSpace, NB201Space, NCPSampler, SearchSpace
from ncp_sampler.nas_bench import Table, TableWalk
from ncp_sampler.propagation import GradientDescent
from ncp_sampler.propagation.propagate import Trace, propagate
from ncp_sampler.propagation.targets import Target
from ncp_sampler.space import Dimension, Group
from tests.optimizer_examples import MIXED as OPTIMIZED
from tests.optimizer_examples import mixed_loss
from tests.space_examples import MIXED

plotly = import_module("ncp_sampler.visualization.plotly")
import ncp_sampler.visualization as matplotlib  # noqa: E402

SPACE = MRSpace()
ODD: list[Dimension] = [
    Float("a<b> & c", 1e-4, 1, log=True),
    Integer("$n$", 1, 9),
    Categorical("k", ("x", "y")),
]
ODD_SPACE = SearchSpace(ODD, groups=[Group("Odd & <b>", "value", ("a<b> & c", "$n$"))])


def edited(space: SearchSpace) -> Trace:
    targets = [Target("top1", cost=lambda codes: codes[:, ::2].sum(1))]
    strategy = GradientDescent(0.01)
    return propagate([], space.sample(2, 0), targets, space=space, strategy=strategy, iterations=5)


def plain(figure: Any) -> Any:
    """As its JSON has it: lists, no packed arrays and no NaN."""
    text = figure.to_json()
    assert "bdata" not in text
    return json.loads(text, parse_constant=pytest.fail)


def texts(figure: Any) -> list[str]:
    return [annotation["text"] for annotation in plain(figure)["layout"].get("annotations", ())]


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(sampler=NCPSampler(space=OPTIMIZED, seed=0, n_startup_trials=5))
    made.optimize(lambda trial: mixed_loss(OPTIMIZED.suggest(trial)), n_trials=12)
    return made


@pytest.mark.parametrize("space", [SPACE, NB201Space(), MIXED, ODD_SPACE])
def test_a_trace_has_the_same_lines(space: SearchSpace) -> None:
    trace = edited(space)
    drawn = plain(plotly.plot_trace(trace, space, start=1, title="a <title>"))
    theirs = matplotlib.plot_trace(trace, space, start=1, title="a <title>")
    lines = [np.asarray(line.get_ydata()) for axes in theirs.axes for line in axes.lines]
    assert len(drawn["data"]) == len(lines)
    for mine, line in zip(drawn["data"], lines, strict=True):
        np.testing.assert_allclose(mine["y"], line)
    colors = [line.get_color() for axes in theirs.axes for line in axes.lines]
    assert [mine["line"]["color"] for mine in drawn["data"]] == colors
    assert drawn["layout"]["title"]["text"] == "a &lt;title&gt;"
    panels = len(theirs.axes)
    assert len([key for key in drawn["layout"] if key.startswith("xaxis")]) == panels


def test_pushes_and_moves_have_the_same_bars(study: optuna.Study) -> None:
    trace = edited(SPACE)
    (bars,) = plain(plotly.plot_gradient(trace, SPACE, iteration=2, largest=5))["data"]
    (axes,) = matplotlib.plot_gradient(trace, SPACE, iteration=2, largest=5).axes
    assert bars["x"] == [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    moves = plotly.plot_proposal(study.trials[-1], title="t")
    theirs = matplotlib.plot_proposal(study.trials[-1]).axes[0]
    (bars,) = plain(moves)["data"]
    assert bars["x"] == [bar.get_width() for bar in theirs.patches]  # type: ignore[attr-defined]
    assert bars["customdata"] == [tick.get_text() for tick in theirs.get_yticklabels()]
    assert texts(moves) == [theirs.get_title()]


def test_calibrations_are_the_same(study: optuna.Study) -> None:
    drawn = plotly.plot_calibration(study)
    (theirs,) = matplotlib.plot_calibration(study).axes
    assert texts(drawn) == [theirs.get_title()]
    _, points = plain(drawn)["data"]
    assert points["x"] == np.asarray(theirs.lines[1].get_xdata()).tolist()
    assert points["customdata"] == list(range(5, 12))
    assert plain(drawn)["layout"]["xaxis"]["range"] == list(theirs.get_xlim())


def test_a_descent_ends_at_the_trial_and_follows_the_reasons(study: optuna.Study) -> None:
    for figures in (matplotlib, plotly):
        assert figures.plot_descent(study, OPTIMIZED) is not None
    last = study.trials[-1]
    drawn = plain(plotly.plot_descent(study, OPTIMIZED, trial=last.number))
    error_bars, values = drawn["data"][:2]
    numbers = [int(name) for name in values["x"]]
    assert numbers[-1] == last.number
    assert values["y"] == [study.trials[n].value for n in numbers]
    for before, after in pairwise(numbers):
        assert study.trials[after].system_attrs["ncp:reasons"]["start"]["trial"] == before
    predicted = last.system_attrs["ncp:reasons"]["metrics"]["value"]
    assert error_bars["y"][-1] == predicted["mean"]
    assert error_bars["error_y"]["array"][-1] == 2 * predicted["std"]
    lines = {trace["name"]: trace["y"] for trace in drawn["data"] if "name" in trace}
    name = next(d.name for d in OPTIMIZED.dimensions if not isinstance(d, Categorical))
    assert lines[name] == [pytest.approx(study.trials[n].params[name]) for n in numbers]
    (axes, *_) = matplotlib.plot_descent(study, OPTIMIZED, trial=last.number).axes
    np.testing.assert_array_equal(np.asarray(axes.lines[0].get_ydata()), values["y"])


@pytest.mark.parametrize("n", [1, 3])
def test_architectures_have_the_same_bars(n: int) -> None:
    codes = {f"code {i}": code for i, code in enumerate(SPACE.sample(n, 0))}
    drawn = plain(plotly.plot_architectures(codes, SPACE, title="t"))
    for i, code in enumerate(codes.values()):
        bars = drawn["data"][3 * i : 3 * i + 3]
        heights = {x: y for bar in bars for x, y in zip(bar["x"], bar["y"], strict=True)}
        assert [heights[k] for k in range(27)] == code.tolist()
    shown = texts(plotly.plot_architectures(codes, SPACE))
    assert shown[:n] == [f"<b>{label}</b>" for label in codes]
    assert shown.count("stage 4") == n


@pytest.mark.parametrize("space", [MIXED, ODD_SPACE, NB201Space(), MRSpace(width=16, depth=1)])
def test_params_of_any_space(space: SearchSpace) -> None:
    codes = dict(zip("ab", space.sample(2, 0), strict=True))
    drawn = plain(plotly.plot_params(codes, space))
    axes = matplotlib.plot_params(codes, space).axes
    assert sum(len(axis.get_yticks()) for axis in axes) == len(space.names)
    assert {trace["name"] for trace in drawn["data"]} == {"a", "b"}
    for label, code in codes.items():
        mine = [trace for trace in drawn["data"] if trace["name"] == label]
        values = [value for trace in mine for value in trace["text"]]
        params = space.to_params(code)
        assert len(values) == len(params)
        positions = [x for trace in mine for x in trace["x"]]
        assert min(positions) >= 0
        assert max(positions) <= 1


def test_correlations_stand_in_the_same_cells() -> None:
    ours = [[1, -0.0154, np.nan], [-0.0154, 1, 0.7161], [np.nan, 0.7161, 1]]
    published = np.full((3, 3), np.nan)
    published[1, 2] = 0.639
    drawn = plotly.plot_correlations(["a", "b", "<c>"], ours, published=published)
    (cells,) = plain(drawn)["data"]
    assert cells["z"] == [[1, -0.0154, None], [-0.0154, 1, 0.7161], [None, 0.7161, 1]]
    shown = {
        (annotation["x"], annotation["y"]): annotation["text"]
        for annotation in plain(drawn)["layout"]["annotations"]
    }
    assert shown[0, 1] == "−0.015"
    assert shown[2, 1].startswith("0.716<br>")
    assert "(0.639)" in shown[2, 1]
    assert len(shown) == 7  # none in the cells without a number
    assert plain(drawn)["layout"]["xaxis"]["ticktext"] == ["a", "b", "&lt;c&gt;"]


def test_ranks_are_the_same_dots() -> None:
    metrics = {"mIoU": [70, 75, 72], "mAcc": [80, 85, 79], "aAcc": [1, 2, 3]}
    drawn = plain(plotly.plot_ranks(metrics, title="Three"))
    (axes,) = matplotlib.plot_ranks(metrics).axes
    for mine, dots in zip(drawn["data"], axes.collections, strict=True):
        np.testing.assert_array_equal(np.transpose([mine["x"], mine["y"]]), dots.get_offsets())
        assert mine["name"] == dots.get_label()
    assert drawn["layout"]["xaxis"]["title"]["text"] == axes.get_xlabel()


def test_trade_offs_have_the_same_points() -> None:
    front = [[1.0, 84.0, 4.0], [2.0, 85.0, 8.0]]
    others = {"NetAdapt": [2.0, 84.5, 6.0]}
    seg = matplotlib.TradeOff(front=front, cloud=[[1, 2, 3], [4, 5, 6]], others=others)
    drawn = plain(plotly.plot_trade_offs({"Seg": seg, "Cls": matplotlib.TradeOff(front=front)}))
    known, ours, baseline, again = drawn["data"]
    assert (known["x"], known["y"]) == ([1, 4], [2, 5])
    assert (ours["x"], ours["y"], ours["customdata"]) == ([1, 2], [84, 85], [4, 8])
    assert (baseline["name"], baseline["x"]) == ("NetAdapt", [2])
    small, large = ours["marker"]["size"]
    assert large**2 == pytest.approx(2 * small**2)  # areas are as the sizes
    assert (ours["showlegend"], again["showlegend"]) == (True, False)
    assert drawn["layout"]["xaxis"]["type"] == drawn["layout"]["xaxis2"]["type"] == "log"
    assert (
        drawn["layout"]["xaxis"]["range"][0]
        < 0
        < np.log10(4)
        < drawn["layout"]["xaxis"]["range"][1]
    )


def test_a_walk_is_numbered() -> None:
    rng = np.random.default_rng(0)
    table = Table("seg", SPACE.sample(9, 0), {"mIoU": rng.random(9)}, rng.random(9), np.ones(9))
    rows = np.array([[0, 1], [2, 3], [4, 5]])
    walk = TableWalk(table.codes[rows], table.metrics["mIoU"][rows], table.flops[rows])
    every, best, path = plain(plotly.plot_walk(table, walk, start=1, title="t"))["data"]
    assert every["x"] == table.flops.tolist()
    assert best["y"] == [table.metrics["mIoU"].max()]
    assert (path["x"], path["text"]) == (table.flops[rows[:, 1]].tolist(), ["0", "1", "2"])
    assert [every["name"], best["name"], path["name"]] == [
        str(artist.get_label())
        for (axes,) in [matplotlib.plot_walk(table, walk, start=1).axes]
        for artist in (*axes.collections, *axes.lines)
    ]


def test_both_libraries_have_the_same_figures() -> None:
    assert {name for name in matplotlib.__all__ if name.startswith("plot_")} == set(plotly.__all__)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda f, study: f.plot_descent(5, SPACE), "study=5 must be an Optuna study"),
        (lambda f, study: f.plot_descent(study, 5), "space=5 must be the SearchSpace"),
        (lambda f, study: f.plot_descent(study, SPACE), r"space has \['i1'.*lack them; give"),
        (lambda f, study: f.plot_descent(study, OPTIMIZED, trial=99), "trial=99 is not in"),
        (lambda f, study: f.plot_descent(study, OPTIMIZED, trial="x"), "trial='x' must"),
        (lambda f, study: f.plot_descent(optuna.create_study(), MIXED), "has no best trial"),
        (lambda f, study: f.plot_params({}, SPACE), "codes is empty"),
        (lambda f, study: f.plot_params(5, SPACE), "codes=5 must map labels to codes"),
        (lambda f, study: f.plot_params({"a": SPACE.start}, 5), "space=5 must be the SearchSp"),
        (lambda f, study: f.plot_architectures({"a": SPACE.start}, MIXED), "must be MRSpace"),
        (lambda f, study: f.plot_proposal(study.trials[0]), "proposed without a prediction"),
        (lambda f, study: f.plot_calibration(5), "study=5 must be an Optuna study"),
        (lambda f, study: f.plot_trace(5, SPACE), "trace=5 must be a Trace"),
        (lambda f, study: f.plot_correlations(["a"], [[2.0]]), "matrix has a number outside"),
        (lambda f, study: f.plot_ranks({"a": [1, 2]}), "metrics has shapes"),
        (lambda f, study: f.plot_trade_offs({}), "panels is empty"),
        (lambda f, study: f.plot_walk(5, 5), "table=5 must be a Table"),
    ],
)
def test_what_cannot_be_drawn_is_named_by_both(
    draw: Callable[[Any, optuna.Study], Any], message: str, study: optuna.Study
) -> None:
    for figures in (matplotlib, plotly):
        with pytest.raises(ValueError, match=message):
            draw(figures, study)
