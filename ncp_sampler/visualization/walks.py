"""Figure of a walk over a complete table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.style import (
    BLUE,
    DPI,
    MEDIUM,
    ORANGE,
    with_unit,
)


@runtime_checkable
class CompleteTable(Protocol):
    """Table of N architectures on which a walk is drawn, such as ``nas_bench.Table``."""

    @property
    def space(self) -> SearchSpace:
        """Search space of the codes, with units."""

    @property
    def main(self) -> str:
        """Name of the main metric."""

    @property
    def metrics(self) -> Mapping[str, NDArray[np.float64]]:
        """Name -> values (N,) in percent."""

    @property
    def flops(self) -> NDArray[np.float64]:
        """FLOPs (N,)."""


@runtime_checkable
class Walk(Protocol):
    """Walks of S steps from n starts, such as ``nas_bench.TableWalk``."""

    @property
    def metric(self) -> NDArray[np.float64]:
        """Metric of each step (S + 1, n), the starts first."""

    @property
    def flops(self) -> NDArray[np.float64]:
        """FLOPs of each step (S + 1, n)."""

    @property
    def best(self) -> NDArray[np.float64]:
        """Best metric of each walk (n,)."""


def walk_figure(table: CompleteTable, walk: Walk, *, start: int = 0) -> Figure:
    """Draw one walk over a complete table; numbers are steps, 0 is the start (paper, Figure 6).

    Args:
        table: Table of the walk.
        walk: Result of ``nas_bench.walk_table``.
        start: Index of the walk, 0 to n - 1.

    Raises:
        ValueError: If ``start`` is out of range, or if an argument is not a table or a walk.
    """
    checks.instance("table", table, CompleteTable, "be a Table, as NASBenchMR(root).table gives it")
    checks.instance("walk", walk, Walk, "be a TableWalk, as walk_table returns it")
    checks.integer("start", start, low=0, high=walk.metric.shape[1] - 1)
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
        turn = 2 * np.pi * step / len(metric)  # Spreads labels around a point
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
    axes.set_xlabel(with_unit("flops", table.space.units))
    axes.set_ylabel(with_unit(table.main, table.space.units))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=MEDIUM, markerscale=0.6)
    return figure
