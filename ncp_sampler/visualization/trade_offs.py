"""Figure of trade-offs: architectures by cost and metric, with their size as area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.visualization.style import BLUE, COLORS, DPI, GREY, MEDIUM

_AREA = 14.0  # Area of a circle in points² per unit of size
_LEGEND = 40.0  # Area of circles in the legend
_DOT = 4.0  # Area of a dot of the cloud


@dataclass(frozen=True, kw_only=True)
class TradeOff:
    """One panel of ``trade_off_figure``. A point has a cost (> 0), a metric and a size.

    Attributes:
        front: Points (k, 3) that a search proposes, drawn as circles on a line.
        cloud: Known points (n, 3), such as the rows of a table, drawn as dots of equal size.
        others: Label -> other points, (k, 3) or (3,).
        cost: Label of the horizontal axis.
        metric: Label of the vertical axis.

    Examples:
        >>> panel = TradeOff(front=[[1.0, 84.0, 4.0], [2.0, 85.0, 6.0]])
        >>> panel.cost
        'FLOPs (G)'
    """

    front: ArrayLike
    cloud: ArrayLike = ()
    others: Mapping[str, ArrayLike] = field(default_factory=dict)
    cost: str = "FLOPs (G)"
    metric: str = "metric (%)"


def trade_off_figure(panels: Mapping[str, TradeOff]) -> Figure:
    """Draw the metric over the logarithm of the cost; area shows the size (paper, Figure 7).

    Args:
        panels: Title -> content of the panel.

    Raises:
        ValueError: If there are no panels, or if points have another shape.

    Examples:
        >>> panel = TradeOff(front=[[1.0, 84.0, 4.0], [2.0, 85.0, 6.0]], metric="top1 (%)")
        >>> len(trade_off_figure({"Classification": panel}).axes)
        1
    """
    checks.instance("panels", panels, Mapping, "map titles to their TradeOff")
    if not panels:
        raise ValueError("panels is empty; give at least one, such as {'Seg': TradeOff(front=...)}")
    figure = Figure(figsize=(5.0 * len(panels), 4.4), dpi=DPI, layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, panel) in zip(row, panels.items(), strict=True):
        _draw(axes, checks.instance(f"panels[{title!r}]", panel, TradeOff, "be a TradeOff"))
        axes.set_title(title)
    return figure


def _draw(axes: Axes, panel: TradeOff) -> None:
    cloud, front = _points("cloud", panel.cloud), _points("front", panel.front)
    checks.instance("others", panel.others, Mapping, "map labels to their points")
    if len(cloud):
        label = f"{len(cloud):,} known"
        axes.scatter(cloud[:, 0], cloud[:, 1], s=_DOT, color=GREY, lw=0, label=label, zorder=1)
    axes.plot(*front.T[:2], color=BLUE, lw=1.0, zorder=2)
    shown = {"NCP": front, **{k: _points(f"others[{k!r}]", v) for k, v in panel.others.items()}}
    for i, (label, points) in enumerate(shown.items()):
        color, areas = COLORS[i % len(COLORS)], _AREA * points[:, 2]
        axes.scatter(
            points[:, 0], points[:, 1], s=areas, color=color, alpha=0.75, lw=0.5,
            edgecolor="white", label=label, zorder=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(checks.text("cost", panel.cost))
    axes.set_ylabel(checks.text("metric", panel.metric))
    axes.grid(alpha=0.3)
    for handle in axes.legend(loc="lower right", fontsize=MEDIUM).legend_handles:
        handle.set_sizes([_LEGEND])  # type: ignore[union-attr] # each is of a scatter


def _points(name: str, points: ArrayLike) -> NDArray[np.float64]:
    numbers = checks.array(name, points)
    if not numbers.size:
        return np.empty((0, 3))
    if numbers.ndim not in (1, 2) or numbers.shape[-1] != 3:
        raise ValueError(f"{name} has shape {numbers.shape}; it must be (n, 3): cost, metric, size")
    rows = np.atleast_2d(numbers)
    if not (np.isfinite(rows).all() and (rows[:, 0] > 0).all() and (rows[:, 2] >= 0).all()):
        raise ValueError(f"{name} must be finite, costs above 0 and sizes of at least 0")
    return rows
