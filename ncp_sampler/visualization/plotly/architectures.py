"""Figures of architectures and params for Plotly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from ncp_sampler.multi_resolution.blueprint import NAMES
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.contents.architectures import (
    DEEP,
    KINDS,
    PARTS,
    TOP,
    Architectures,
    architectures_of,
    params_of,
)
from ncp_sampler.visualization.plotly.layout import finish, listed, plain, px, titles_left
from ncp_sampler.visualization.style import BLUE, COLORS, GREY, RED, SMALL

_AT = np.arange(len(NAMES))


def plot_architectures(
    codes: Mapping[str, ArrayLike], space: SearchSpace, *, title: str = ""
) -> go.Figure:
    """Draw ``visualization.plot_architectures`` with Plotly.

    Args:
        codes: Label of the architecture -> code (27,).
        space: Search space of the codes: ``MRSpace()``, or another space with the same 27 integers.
        title: Title of the figure.

    Raises:
        ValueError: If there are no codes, a code is invalid, or the space has other parameters.
    """
    all_of = architectures_of(codes, space)
    n = len(all_of.rows)
    figure = make_subplots(
        n,
        1,
        specs=[[{"secondary_y": True}]] * n,
        subplot_titles=[f"<b>{plain(label)}</b>" for label in all_of.rows],
        vertical_spacing=0.28 / n,
    )
    for row, values in enumerate(all_of.rows.values(), start=1):
        _draw(figure, row, values, all_of, _top(n))
    titles_left(figure)
    finish(figure, plain(title), legend=True)
    figure.update_yaxes(mirror=False, showgrid=False)
    figure.update_xaxes(tickmode="array", tickvals=_AT.tolist(), ticktext=[""] * len(NAMES))
    figure.update_xaxes(range=[-0.7, len(NAMES) - 0.3], showgrid=False)
    figure.update_xaxes(ticktext=list(NAMES), tickangle=-90, row=n, col=1)
    for row in range(1, n + 1):
        _name_parts(figure, row, _top(n) * all_of.widest)
    return figure


def plot_params(
    codes: Mapping[str, ArrayLike], space: SearchSpace, *, title: str = ""
) -> go.Figure:
    """Draw ``visualization.plot_params`` with Plotly.

    Args:
        codes: Label -> code (d,).
        space: Search space of the codes. Each of its ``groups`` is drawn in a panel of its own.
        title: Title of the figure.

    Raises:
        ValueError: If there are no codes, a code is invalid, or ``space`` is not a search space.
    """
    content = params_of(codes, space)
    lengths = [len(rows) for rows in content.groups.values()]
    figure = make_subplots(
        len(lengths),
        1,
        row_heights=lengths,
        subplot_titles=[f"<b>{plain(name)}</b>" for name in content.groups],
        vertical_spacing=0.2 / len(lengths),
    )
    for row, rows in enumerate(content.groups.values(), start=1):
        names = [plain(entry.name) for entry in rows]
        for k, label in enumerate(content.labels):
            color = COLORS[k % len(COLORS)]
            points = go.Scatter(
                x=listed([entry.positions[k] for entry in rows]),
                y=names,
                text=[plain(entry.values[k]) for entry in rows],
                mode="markers+text",
                marker={"color": color, "size": 9},
                textfont={"color": color, "size": px(SMALL)},
                textposition="top center" if k % 2 == 0 else "bottom center",
                name=plain(label),
                legendgroup=label,
                showlegend=row == 1,
                cliponaxis=False,
                hovertemplate="%{y}: %{text}",
            )
            figure.add_trace(points, row, 1)
    titles_left(figure)
    finish(figure, plain(title), legend=True)
    figure.update_yaxes(autorange="reversed", type="category", gridcolor=GREY, mirror=False)
    ticks = {"tickvals": [0, 1], "range": [-0.06, 1.06], "showgrid": False, "mirror": False}
    figure.update_xaxes(**ticks, ticktext=["", ""])
    figure.update_xaxes(ticktext=["low", "high"], row=len(lengths), col=1)
    return figure


def _top(n: int) -> float:
    """Return the height of an axis relative to its maximum; several rows need more for titles."""
    return TOP if n < 3 else 1.25 * TOP


def _draw(
    figure: go.Figure, row: int, values: NDArray[np.int64], all_of: Architectures, top: float
) -> None:
    """Draw one architecture: channels on the left axis, blocks and units on the right axis."""
    colors = np.array(all_of.colors)
    for kind, color in KINDS.items():
        selected = colors == color
        deep = bool(DEEP[selected].all())
        bars = go.Bar(
            x=_AT[selected].tolist(),
            y=values[selected].tolist(),
            text=values[selected].tolist(),
            width=0.5 if deep else 0.8,
            marker_color=color,
            textposition="outside",
            textangle=0,
            textfont={"size": px(SMALL)},
            cliponaxis=False,
            name=kind,
            legendgroup=kind,
            showlegend=row == 1,
            customdata=[
                name for name, is_selected in zip(NAMES, selected, strict=True) if is_selected
            ],
            hovertemplate="%{customdata}: %{y}<extra></extra>",
        )
        figure.add_trace(bars, row, 1, secondary_y=deep)
    left = {"tickvals": [*all_of.ticks], "title_text": "channels", "color": BLUE}
    figure.update_yaxes(**left, range=[0, top * all_of.widest], row=row, secondary_y=False)
    depths = [*range(1, int(all_of.deepest) + 1)]
    right = {"tickvals": depths, "title_text": "blocks, units", "color": RED}
    figure.update_yaxes(**right, range=[0, top * all_of.deepest], row=row, secondary_y=True)


def _name_parts(figure: go.Figure, row: int, height: float) -> None:
    """Draw the titles of the parts of an architecture, and lines between the parts."""
    for name, names in PARTS:
        first, last = NAMES.index(names[0]), NAMES.index(names[-1])
        if first:
            figure.add_vline(first - 0.5, line={"color": "#999999", "width": 1}, row=row, col=1)
        figure.add_annotation(
            text=name,
            x=(first + last) / 2,
            y=height,
            showarrow=False,
            yanchor="top",
            font={"size": px(SMALL), "color": "#595959"},
            row=row,
            col=1,
        )
