"""Figure of a walk over a complete table."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ncp_sampler.visualization.contents.walks import CompleteTable, Walk, steps_of
from ncp_sampler.visualization.style import BLUE, DPI, MEDIUM, ORANGE


def plot_walk(table: CompleteTable, walk: Walk, *, start: int = 0) -> Figure:
    """Draw a walk over a complete table, with steps numbered from 0 (paper, Figure 6).

    Args:
        table: Table over which the walk goes.
        walk: Result of ``nas_bench.walk_table``, with n walks.
        start: Index of the walk to draw, 0 to n - 1.

    Raises:
        ValueError: If ``start`` is out of range, or if an argument is not a table or a walk.
    """
    steps = steps_of(table, walk, start)
    every, best, path = steps.labels
    figure = Figure(figsize=(7.5, 5.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(steps.every_flops, steps.every_metric, s=5, color="0.8", lw=0, label=every)
    axes.scatter(
        steps.every_flops[steps.top], steps.every_metric[steps.top], s=420, marker="*",
        color=ORANGE, label=best, zorder=2,
    )  # fmt: skip
    axes.plot(steps.flops, steps.metric, "o-", color=BLUE, ms=6, lw=1.5, label=path)
    for step, (x, y) in enumerate(zip(steps.flops, steps.metric, strict=True)):
        turn = 2 * np.pi * step / len(steps.flops)  # so that labels at one point do not overlap
        axes.annotate(
            str(step),
            (x, y),
            xytext=(11 * np.sin(turn), 11 * np.cos(turn)),
            textcoords="offset points",
            ha="center",
            va="center",
            weight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
    axes.set_xlabel(steps.flops_label)
    axes.set_ylabel(steps.metric_label)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=MEDIUM, markerscale=0.6)
    return figure
