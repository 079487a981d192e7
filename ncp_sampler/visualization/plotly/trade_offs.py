"""Figure of trade-offs for Plotly."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ncp_sampler.visualization.contents.trade_offs import AREA, FRONT, Points, TradeOff, points_of
from ncp_sampler.visualization.plotly.layout import PIXELS, finish, listed, plain
from ncp_sampler.visualization.style import COLORS, GREY


def plot_trade_offs(panels: Mapping[str, TradeOff], *, title: str = "") -> go.Figure:
    """Draw ``visualization.plot_trade_offs`` with Plotly; hovering over a point shows its values.

    Args:
        panels: Title of each panel -> its content.
        title: Title of the figure.

    Raises:
        ValueError: If there are no panels, or if points have another shape.
    """
    contents = points_of(panels)
    titles = [f"<b>{plain(panel.title)}</b>" for panel in contents]
    figure = make_subplots(1, len(contents), subplot_titles=titles, horizontal_spacing=0.12)
    named: set[str] = set()
    for column, panel in enumerate(contents, start=1):
        _draw(figure, column, panel, named)
    return finish(figure, plain(title), legend=True)


def _draw(figure: go.Figure, column: int, panel: Points, named: set[str]) -> None:
    """Draw one panel; labels of earlier panels are not repeated in the legend."""
    if len(panel.cloud):
        dots = {"color": GREY, "size": 3}
        known = go.Scatter(
            x=listed(panel.cloud[:, 0]), y=listed(panel.cloud[:, 1]), mode="markers", marker=dots,
            name=panel.cloud_label, hovertemplate="%{x:.4g}, %{y:.4g}<extra></extra>",
        )  # fmt: skip
        figure.add_trace(known, 1, column)
    for i, (label, points) in enumerate(panel.shown.items()):
        color = COLORS[i % len(COLORS)]
        diameters = listed(PIXELS * np.sqrt(4 / math.pi * AREA * points[:, 2]))
        circles = go.Scatter(
            x=listed(points[:, 0]),
            y=listed(points[:, 1]),
            mode="lines+markers" if label == FRONT else "markers",
            line={"color": color, "width": 1},
            marker={"color": color, "size": diameters, "opacity": 0.75},
            customdata=listed(points[:, 2]),
            name=plain(label),
            legendgroup=label,
            showlegend=label not in named,
            hovertemplate=f"{plain(label)}: %{{x:.4g}}, %{{y:.4g}}, size %{{customdata:.4g}}"
            "<extra></extra>",
        )
        figure.add_trace(circles, 1, column)
        named.add(label)
    everywhere = np.concatenate([panel.cloud, *panel.shown.values()])[:, 0]
    low, high = np.log10([everywhere.min(), everywhere.max()]) if len(everywhere) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.1
    axis = {"type": "log", "nticks": 5, "range": listed([low - margin, high + margin])}
    figure.update_xaxes(**axis, title_text=plain(panel.cost), row=1, col=column)
    figure.update_yaxes(title_text=plain(panel.metric), row=1, col=column)
