"""Objectives as parallel axes: the trials, the front and the compromise."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType
from typing import Any

import optuna
import pytest
from matplotlib.text import Annotation

from ncp_sampler import visualization
from ncp_sampler.integrations.optuna import compromise
from ncp_sampler.visualization import plotly
from ncp_sampler.visualization.contents.tasks import tasks_of

VALUES = [[90.0, 0.5], [80.0, 0.1], [85.0, 0.2], [10.0, 9.0], [20.0, 8.0]]


def _study(values: list[list[float]] = VALUES) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for i, row in enumerate(values):
        x = optuna.distributions.FloatDistribution(0, 1)
        trial = optuna.trial.create_trial(params={"x": i / 10}, distributions={"x": x}, values=row)
        study.add_trial(trial)
    return study


def test_up_is_better_and_the_worst_trials_set_no_axis() -> None:
    shown = tasks_of(_study(), None)
    worst, best = shown.ends
    assert best.tolist() == [90.0, 0.1]
    assert worst.tolist() == [80.0, 0.5]  # of the front, and no worse than the median
    assert shown.is_front.tolist() == [True, True, True, False, False]
    assert shown.heights(shown.values[0]).tolist() == [1.0, 0.0]


def test_matplotlib_draws_a_line_for_each_trial_and_the_compromise() -> None:
    study = _study()
    axes = visualization.plot_tasks(study, compromise(study)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["value_0", "value_1"]
    labels = [line.get_label() for line in axes.lines]
    assert f"compromise: trial {compromise(study).number}" in labels
    assert {"trials", "Pareto-optimal trials"} <= set(labels)


@pytest.mark.parametrize("values", [[[90.0, 0.5], [89.9, 0.1]], [[90.0, 0.1], [80.0, 0.5]]])
def test_values_of_the_compromise_do_not_cover_the_ends_of_the_axes(
    values: list[list[float]],
) -> None:
    study = _study(values)
    figure = visualization.plot_tasks(study, compromise(study))
    figure.canvas.draw()  # which places the texts
    axes = figure.axes[0]
    chosen = [text for text in axes.texts if isinstance(text, Annotation)]
    ends = [text for text in axes.texts if text not in chosen]
    assert (len(chosen), len(ends)) == (2, 4)
    for text in chosen:
        assert text.get_window_extent().count_overlaps([e.get_window_extent() for e in ends]) == 0


def test_plotly_draws_the_same() -> None:
    study = _study()
    figure = plotly.plot_tasks(study, compromise(study), title="Both")
    assert len(figure.data) == len(VALUES) + 1
    assert figure.data[-1].name == f"compromise: trial {compromise(study).number}"
    assert "trial 3: 10" in figure.data[3].text


@pytest.mark.parametrize("plots", [visualization, plotly])
def test_an_infinite_cost_of_the_compromise_is_below_the_figure(plots: ModuleType) -> None:
    study = _study()
    chosen = replace(compromise(study), values={"value_0": 90.0, "value_1": math.inf})
    assert [end.tolist() for end in tasks_of(study, chosen).ends] == [[80.0, 0.5], [90.0, 0.1]]
    figure = plots.plot_tasks(study, chosen)
    if plots is visualization:
        figure.canvas.draw()


@pytest.mark.parametrize("plots", [visualization, plotly])
@pytest.mark.parametrize(
    ("study", "chosen", "message"),
    [
        ("study", None, "study='study' must"),
        (optuna.create_study(), None, "study=.* must"),
        (optuna.create_study(directions=["minimize"] * 2), None, "study=.* must"),
        (_study(), 3, "chosen=3 must"),
    ],
)
def test_other_arguments_are_refused(
    plots: ModuleType, study: Any, chosen: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plots.plot_tasks(study, chosen)
