"""Content of the figure that shows a walk over a complete table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.style import with_unit

FloatArray = NDArray[np.float64]


@runtime_checkable
class CompleteTable(Protocol):
    """Protocol of a table of N architectures, such as ``nas_bench.Table``."""

    @property
    def space(self) -> SearchSpace:
        """Search space of the codes, with the units of metrics and costs."""

    @property
    def main(self) -> str:
        """Name of the main metric."""

    @property
    def metrics(self) -> Mapping[str, FloatArray]:
        """Name -> values (N,) in percent."""

    @property
    def flops(self) -> FloatArray:
        """FLOPs (N,)."""


@runtime_checkable
class Walk(Protocol):
    """Protocol of walks of S steps from n starts, such as ``nas_bench.TableWalk``."""

    @property
    def metric(self) -> FloatArray:
        """Metric at the starts and after each step, (S + 1, n)."""

    @property
    def flops(self) -> FloatArray:
        """FLOPs at the starts and after each step, (S + 1, n)."""

    @property
    def best(self) -> FloatArray:
        """Best metric on each walk, (n,)."""


@dataclass(frozen=True)
class Steps:
    """Content of the figure of one walk over a table.

    Attributes:
        flops: FLOPs at the start and after each step, (S + 1,).
        metric: Metric at the start and after each step, (S + 1,).
        every_flops: FLOPs of all architectures (N,).
        every_metric: Metric of all architectures (N,).
        top: Index of the best architecture.
        labels: Labels of all architectures, of the best one and of the walk.
        flops_label: Label of the horizontal axis.
        metric_label: Label of the vertical axis.
    """

    flops: FloatArray
    metric: FloatArray
    every_flops: FloatArray
    every_metric: FloatArray
    top: int
    labels: tuple[str, str, str]
    flops_label: str
    metric_label: str


def steps_of(table: CompleteTable, walk: Walk, start: int) -> Steps:
    """Return the content of ``plot_walk``.

    Raises:
        ValueError: If ``start`` is out of range, or if an argument is not a table or a walk.
    """
    checks.instance("table", table, CompleteTable, "be a Table, as NASBenchMR(root).table gives it")
    checks.instance("walk", walk, Walk, "be a TableWalk, as walk_table returns it")
    checks.integer("start", start, low=0, high=walk.metric.shape[1] - 1)
    every = table.metrics[table.main]
    top = int(every.argmax())
    return Steps(
        flops=walk.flops[:, start],
        metric=walk.metric[:, start],
        every_flops=table.flops,
        every_metric=every,
        top=top,
        labels=(
            f"all {len(every):,} architectures",
            f"best of the table, {every[top]:.2f} %",
            f"the walk, best step {walk.best[start]:.2f} %",
        ),
        flops_label=with_unit("flops", table.space.units),
        metric_label=with_unit(table.main, table.space.units),
    )
