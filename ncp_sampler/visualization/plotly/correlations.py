"""Figures of rank correlations for Plotly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from numpy.typing import ArrayLike

from ncp_sampler.visualization.contents.correlations import correlations_of, ranks_of
from ncp_sampler.visualization.plotly.layout import DARK, finish, listed, plain, px
from ncp_sampler.visualization.style import BLUE, COLORS, MEDIUM, RED, SMALL


def plot_correlations(
    names: Sequence[str],
    matrix: ArrayLike,
    *,
    published: ArrayLike | None = None,
    title: str = "",
) -> go.Figure:
    """Draw ``visualization.plot_correlations`` with Plotly.

    Args:
        names: Names of the k settings.
        matrix: Correlations (k, k) in [-1, 1], NaN if missing.
        published: Correlations in the paper (k, k), which are added in small type below those of
            ``matrix``; NaN if missing.
        title: Title of the figure.

    Raises:
        ValueError: If there are no names, a matrix has another shape, or a correlation is outside
            [-1, 1].
    """
    content = correlations_of(names, matrix, published)
    labels = [plain(name) for name in content.names]
    at = list(range(len(labels)))  # positions, because two settings may have the same name
    figure = go.Figure(
        go.Heatmap(
            x=at,
            y=at,
            z=[listed(row) for row in content.matrix],
            customdata=[[f"{a}, {b}" for b in labels] for a in labels],
            zmin=-1,
            zmax=1,
            colorscale=[[0, RED], [0.5, "white"], [1, BLUE]],
            colorbar={"title": {"text": "Spearman's rank correlation", "side": "right"}},
            hovertemplate="%{customdata}: %{z:.3f}<extra></extra>",
        )
    )
    for i, j in itertools.product(at, repeat=2):
        ours, theirs = content.texts(i, j)
        lines = [ours, f'<span style="font-size:{px(SMALL)}px">{theirs}</span>' if theirs else ""]
        ink = "white" if abs(content.matrix[i, j]) > 0.6 else DARK
        text = "<br>".join(filter(None, lines))
        if text:
            figure.add_annotation(x=j, y=i, text=text, showarrow=False, font={"color": ink})
    note = "" if content.published is None else "computed here (published)"
    finish(figure, ": ".join(filter(None, [plain(title), note])))
    ticks = {"tickvals": at, "ticktext": labels, "showgrid": False, "constrain": "domain"}
    figure.update_xaxes(**ticks, tickangle=-45)
    figure.update_yaxes(**ticks, autorange="reversed", scaleanchor="x")
    return figure.update_annotations(font_size=px(MEDIUM))


def plot_ranks(metrics: Mapping[str, ArrayLike], *, title: str = "") -> go.Figure:
    """Draw ``visualization.plot_ranks`` with Plotly.

    Args:
        metrics: Name -> values (n,) of the same n architectures, for at least two metrics. Higher
            values must be better.
        title: Title of the figure.

    Raises:
        ValueError: If there is only one metric, no architecture, an infinite or missing value, or
            if the arrays have different lengths.
    """
    first, others = ranks_of(metrics)
    figure = go.Figure()
    for color, ranks in zip(itertools.cycle(COLORS), others):  # colors repeat if there are many
        dots = go.Scatter(
            x=listed(ranks.first),
            y=listed(ranks.second),
            mode="markers",
            marker={"color": color, "size": 4, "opacity": 0.6},
            name=plain(ranks.label),
            hovertemplate=f"{plain(ranks.label)}<br>%{{x}} and %{{y}}<extra></extra>",
        )
        figure.add_trace(dots)
    finish(figure, plain(title), legend=True)
    figure.update_xaxes(title_text=f"rank by {plain(first)}")
    return figure.update_yaxes(title_text="rank by the others")
