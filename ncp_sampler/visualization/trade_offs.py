"""Figure of trade-offs: architectures by cost and metric, with their sizes shown as areas."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncp_sampler.visualization.contents.trade_offs import AREA, FRONT, Points, TradeOff, points_of
from ncp_sampler.visualization.style import BLUE, COLORS, DPI, GREY, MEDIUM

_LEGEND = 40.0  # Area of a circle in the legend, in points²
_DOT = 4.0  # Area of a dot that shows a known architecture, in points²


def plot_trade_offs(panels: Mapping[str, TradeOff]) -> Figure:
    """Draw a metric against a cost on a log scale; circle areas show sizes (paper, Figure 7).

    Args:
        panels: Title of each panel -> its content.

    Raises:
        ValueError: If there are no panels, or if points have another shape.

    Examples:
        >>> panel = TradeOff(front=[[1.0, 84.0, 4.0], [2.0, 85.0, 6.0]], metric="top1 (%)")
        >>> len(plot_trade_offs({"Classification": panel}).axes)
        1
    """
    contents = points_of(panels)
    figure = Figure(figsize=(5.0 * len(contents), 4.4), dpi=DPI, layout="constrained")
    row = figure.subplots(1, len(contents), squeeze=False)[0]
    for axes, panel in zip(row, contents, strict=True):
        _draw(axes, panel)
    return figure


def _draw(axes: Axes, panel: Points) -> None:
    cloud = panel.cloud
    if len(cloud):
        axes.scatter(
            cloud[:, 0], cloud[:, 1], s=_DOT, color=GREY, lw=0, label=panel.cloud_label, zorder=1
        )
    axes.plot(*panel.shown[FRONT].T[:2], color=BLUE, lw=1.0, zorder=2)
    for i, (label, points) in enumerate(panel.shown.items()):
        color, areas = COLORS[i % len(COLORS)], AREA * points[:, 2]
        axes.scatter(
            points[:, 0], points[:, 1], s=areas, color=color, alpha=0.75, lw=0.5,
            edgecolor="white", label=label, zorder=3,
        )  # fmt: skip
    axes.set_title(panel.title)
    axes.set_xscale("log")
    axes.set_xlabel(panel.cost)
    axes.set_ylabel(panel.metric)
    axes.grid(alpha=0.3)
    for handle in axes.legend(loc="lower right", fontsize=MEDIUM).legend_handles:
        handle.set_sizes([_LEGEND])  # type: ignore[union-attr] # each is of a scatter
