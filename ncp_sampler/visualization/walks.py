"""A walk over a complete table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ncp_sampler.nas_bench.settings import NB201
from ncp_sampler.visualization.style import (
    BLUE,
    DPI,
    MEDIUM,
    ORANGE,
)

if TYPE_CHECKING:
    from ncp_sampler.nas_bench import Table, TableWalk


def walk_figure(table: Table, walk: TableWalk, *, start: int = 0) -> Figure:
    """A walk over a complete table, its steps numbered from the start, 0 (paper, Figure 6).

    Args:
        table: The one that was walked on.
        walk: From ``benchmark.walk_table``.
        start: Which of its n walks.

    Raises:
        ValueError: A start outside 0..n-1.
    """
    n_starts = walk.metric.shape[1]
    if not 0 <= start < n_starts:
        raise ValueError(f"start={start} must be between 0 and {n_starts - 1}")
    metric, flops = walk.metric[:, start], walk.flops[:, start]
    every = table.metrics[table.main]
    top = int(every.argmax())
    figure = Figure(figsize=(7.5, 5.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(
        table.flops, every, s=5, color="0.8", lw=0, label=f"all {len(every):,} architectures"
    )
    axes.scatter(
        table.flops[top], every[top], s=420, marker="*", color=ORANGE,
        label=f"best of the table, {every[top]:.2f} %", zorder=2,
    )  # fmt: skip
    axes.plot(
        flops, metric, "o-", color=BLUE, ms=6, lw=1.5,
        label=f"the walk, best step {walk.best[start]:.2f} %",
    )  # fmt: skip
    for step, (x, y) in enumerate(zip(flops, metric, strict=True)):
        turn = 2 * np.pi * step / len(metric)  # numbers of steps on one point stand around it
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
    axes.set_xlabel(f"FLOPs ({'M' if table.setting == NB201 else 'G'})")
    axes.set_ylabel(f"{table.main} (%)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=MEDIUM, markerscale=0.6)
    return figure
