"""Parallel coordinate plot of several tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ncp_sampler.optimizer.compromise import Compromise
from ncp_sampler.visualization.contents.tasks import tasks_of
from ncp_sampler.visualization.style import BLUE, DPI, GREY, LINE, MEDIUM, RED, SMALL

_TOP = 0.9  # Height above which a value is written below its point, so that it stays on the axis


def plot_tasks(study: Any, chosen: Compromise | None = None) -> Figure:
    """Draw a parallel coordinate plot of a study: an axis per objective, a line per complete trial.

    Higher is better on each axis. Pareto-optimal trials are blue, and the compromise is red, with
    hollow points for predicted values. Values that are worse than the Pareto front and the median
    are below the figure.

    Args:
        study: An Optuna study with several objectives.
        chosen: Result of ``compromise(study)``; None to draw only the trials.

    Raises:
        ValueError: The study has one objective or no complete trial, or ``chosen`` is from another
            study.
    """
    shown = tasks_of(study, chosen)
    m = len(shown.names)
    figure = Figure(figsize=(1.6 + 1.5 * m, 4.0), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    at = np.arange(m)
    for front, color, width, label in (
        (False, GREY, 0.7, "trials"),
        (True, BLUE, 1.2, "Pareto-optimal trials"),
    ):
        rows = shown.heights(shown.values[shown.is_front == front])
        for i, row in enumerate(rows):
            axes.plot(at, row, color=color, lw=width, alpha=0.8, label=None if i else label)
    if chosen is not None:
        values = np.array(list(chosen.values.values()))
        height = shown.heights(values)
        label = f"compromise: trial {chosen.number}"
        axes.plot(at, height, color=RED, lw=2.2, label=label, zorder=3, clip_on=False)
        for k, name in enumerate(chosen.values):
            face = "white" if name in chosen.predicted else RED
            axes.plot(
                at[k], height[k], "o", color=RED, markerfacecolor=face, zorder=4, clip_on=False
            )
            left, below = k == m - 1, height[k] > _TOP
            axes.annotate(
                f"{values[k]:.4g}", (at[k], height[k]), color=RED, fontsize=SMALL,
                xytext=(-6 if left else 6, -4 if below else 4), textcoords="offset points",
                ha="right" if left else "left", va="top" if below else "bottom", zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )  # fmt: skip
    worst, best = shown.ends
    for k in range(m):
        axes.axvline(at[k], color=LINE, lw=0.8)
        for y, value, align in ((1.02, best[k], "bottom"), (-0.02, worst[k], "top")):
            axes.text(at[k], y, f"{value:.4g}", ha="center", va=align, fontsize=SMALL)
    axes.set_xticks(at, shown.names, fontsize=MEDIUM)
    axes.tick_params(axis="x", length=0, pad=12)
    axes.set_yticks([])
    axes.set_ylabel("better →", fontsize=SMALL)
    axes.set_xlim(-0.35, m - 0.65)
    axes.set_ylim(0, 1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL, frameon=False)
    return figure
