"""Figures of proposals: effects of moves (changed parameters), and predictions against results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ncp_sampler.visualization.contents.proposals import Calibration, calibrations_of, moves_of
from ncp_sampler.visualization.style import BLUE, DPI, GREY, LINE, MEDIUM, SMALL, sign_colors

_PANEL = 38  # Number of characters that fit above a panel
_LETTER = 0.065  # Width of a character in the smallest font, in inches


def plot_proposal(trial: Any) -> Figure:
    """Draw the moves from the start code to a proposal, with the predicted effect on each metric.

    A move is a change of one parameter.

    Args:
        trial: A trial that NCPSampler proposed, or the reasons for a trial.

    Raises:
        ValueError: If the trial has no reasons, or was proposed without a prediction.
    """
    moves = moves_of(trial, lambda n: _PANEL)
    rows, columns = max(len(moves.labels), 3), max(len(moves.metrics), 1)
    room = _LETTER * max(map(len, moves.labels), default=0)
    size = (0.6 + room + 3.0 * columns, 1.6 + 0.28 * rows)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, columns, sharey=True))
    at = range(len(moves.labels))
    for axes, metric in zip(panels, moves.metrics, strict=False):
        axes.barh(at, metric.numbers, color=sign_colors(metric.numbers))
        axes.axvline(0, color=LINE, linewidth=0.8)
        axes.set_title("\n".join(metric.title), fontsize=MEDIUM)
        axes.set_xlabel("change by the move", fontsize=SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize=SMALL)
    if not moves.labels:
        panels[0].text(0.5, 0.5, "nothing moved", ha="center", transform=panels[0].transAxes)
    panels[0].set_yticks(at, moves.labels, fontsize=SMALL)
    panels[0].invert_yaxis()
    if moves.left_out:
        panels[0].set_ylabel(f"and {moves.left_out} smaller moves", fontsize=SMALL)
    if moves.title:
        figure.suptitle(moves.title, fontsize=MEDIUM)
    return figure


def plot_calibration(study: Any, *, results: Mapping[str, Sequence[float]] | None = None) -> Figure:
    """Draw predicted against observed values of the trials, with bars of two standard deviations.

    Args:
        study: A study whose trials NCPSampler proposed; or a sequence of reasons, such as
            ``NCPSearch.reasons.values()``.
        results: Metric -> observed values in the order of the reasons, NaN if missing; required if
            reasons are given.

    Raises:
        ValueError: If no trial has both a prediction and a value.
    """
    metrics = calibrations_of(study, results)
    size = (0.6 + 3.6 * len(metrics), 3.8)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(metrics)))
    for axes, metric in zip(panels, metrics, strict=True):
        _calibration(axes, metric)
    return figure


def _calibration(axes: Axes, metric: Calibration) -> None:
    axes.plot(metric.diagonal, metric.diagonal, color=LINE, linewidth=0.8)
    axes.errorbar(
        metric.mean, metric.value, xerr=2 * metric.std, fmt="o", markersize=3, linewidth=0.8,
        color=BLUE, ecolor=GREY,
    )  # fmt: skip
    axes.set_title(metric.title, fontsize=MEDIUM)
    axes.set_xlabel("predicted, ± 2 σ")
    axes.set_ylabel("observed")
    axes.set_xlim(*metric.limits)
