"""Figure of a walk over a complete table for Plotly."""

from __future__ import annotations

import plotly.graph_objects as go

from ncp_sampler.visualization.contents.walks import CompleteTable, Walk, steps_of
from ncp_sampler.visualization.plotly.layout import finish, listed, plain, px
from ncp_sampler.visualization.style import BLUE, GREY, MEDIUM, ORANGE

_POSITIONS = ("top center", "middle right", "bottom center", "middle left")


def plot_walk(table: CompleteTable, walk: Walk, *, start: int = 0, title: str = "") -> go.Figure:
    """Draw ``visualization.plot_walk`` with Plotly.

    Args:
        table: Table over which the walk goes.
        walk: Result of ``nas_bench.walk_table``, with n walks.
        start: Index of the walk to draw, 0 to n - 1.
        title: Title of the figure.

    Raises:
        ValueError: If ``start`` is out of range, or if an argument is not a table or a walk.
    """
    steps = steps_of(table, walk, start)
    every, best, path = steps.labels
    n = len(steps.flops)
    figure = go.Figure()
    figure.add_scattergl(  # WebGL, because a table may have many thousands of architectures
        x=listed(steps.every_flops), y=listed(steps.every_metric), mode="markers",
        marker={"color": GREY, "size": 4}, name=every, hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=[float(steps.every_flops[steps.top])], y=[float(steps.every_metric[steps.top])],
        mode="markers", marker={"color": ORANGE, "size": 22, "symbol": "star"}, name=best,
        hovertemplate="%{x:.4g}, %{y:.4g}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=listed(steps.flops), y=listed(steps.metric), mode="lines+markers+text",
        text=[str(step) for step in range(n)],
        textposition=[_POSITIONS[step % len(_POSITIONS)] for step in range(n)],
        textfont={"size": px(MEDIUM)}, line={"color": BLUE, "width": 2}, name=path,
        hovertemplate="step %{text}: %{x:.4g}, %{y:.4g}<extra></extra>",
    )  # fmt: skip
    finish(figure, plain(title), legend=True)
    figure.update_xaxes(title_text=plain(steps.flops_label))
    return figure.update_yaxes(title_text=plain(steps.metric_label))
