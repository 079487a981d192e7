"""Figures of proposals for Plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ncp_sampler.visualization.contents.proposals import calibrations_of, moves_of
from ncp_sampler.visualization.plotly.layout import finish, listed, plain
from ncp_sampler.visualization.style import BLUE, GREY, LINE, sign_colors

_PANELS = 78  # Number of characters that fit above all panels together, at the usual width
_FEWEST = 16  # Minimum number of characters above each panel


def plot_proposal(trial: Any, *, title: str = "") -> go.Figure:
    """Draw ``visualization.plot_proposal`` with Plotly.

    Args:
        trial: A trial that NCPSampler proposed, or the reasons for a trial.
        title: Title of the figure.

    Raises:
        ValueError: If the trial has no reasons, or was proposed without a prediction.
    """
    moves = moves_of(trial, lambda n: max(_PANELS // n, _FEWEST))
    metrics = moves.metrics
    figure = make_subplots(
        1,
        max(len(metrics), 1),
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=["<br>".join(map(plain, metric.title)) for metric in metrics],
    )
    labels = [plain(label) for label in moves.labels]
    at = list(range(len(labels)))  # positions, because two shortened labels may be equal
    for column, metric in enumerate(metrics, start=1):
        bars = go.Bar(
            x=listed(metric.numbers),
            y=at,
            customdata=labels,
            orientation="h",
            marker_color=sign_colors(metric.numbers),
            hovertemplate="%{customdata}<br>%{x:+.3g}<extra></extra>",
        )
        figure.add_trace(bars, 1, column)
        figure.add_vline(0, line={"color": LINE, "width": 1}, row=1, col=column)
        figure.update_xaxes(title_text="change by the move", row=1, col=column)
    most_lines = max((len(metric.title) for metric in metrics), default=1)
    finish(figure, " — ".join(filter(None, [plain(title), moves.title])))
    figure.update_yaxes(autorange="reversed", tickvals=at, ticktext=labels)
    figure.update_layout(margin_t=figure.layout.margin.t + 18 * (most_lines - 1))
    if moves.left_out:
        figure.update_yaxes(title_text=f"and {moves.left_out} smaller moves", row=1, col=1)
    if not labels:
        figure.add_annotation(text="nothing moved", x=0.5, y=0.5, showarrow=False)
    return figure


def plot_calibration(
    study: Any, *, results: Mapping[str, Sequence[float]] | None = None, title: str = ""
) -> go.Figure:
    """Draw ``visualization.plot_calibration`` with Plotly.

    Args:
        study: A study whose trials NCPSampler proposed; or a sequence of reasons.
        results: Metric -> observed values in the order of the reasons, NaN if missing; required if
            reasons are given.
        title: Title of the figure.

    Raises:
        ValueError: If no trial has both a prediction and a value.
    """
    metrics = calibrations_of(study, results)
    titles = [plain(metric.title) for metric in metrics]
    figure = make_subplots(1, len(metrics), subplot_titles=titles, horizontal_spacing=0.12)
    for column, metric in enumerate(metrics, start=1):
        ends = listed(metric.diagonal)
        diagonal = {"color": LINE, "width": 1}
        figure.add_trace(
            go.Scatter(x=ends, y=ends, mode="lines", line=diagonal, hoverinfo="skip"), 1, column
        )
        points = go.Scatter(
            x=listed(metric.mean),
            y=listed(metric.value),
            error_x={"array": listed(2 * metric.std), "color": GREY, "thickness": 1, "width": 0},
            mode="markers",
            marker={"color": BLUE, "size": 6},
            customdata=[*metric.trials],
            hovertemplate="trial %{customdata}<br>predicted %{x:.4g}, observed %{y:.4g}"
            "<extra></extra>",
        )
        figure.add_trace(points, 1, column)
        figure.update_xaxes(range=metric.limits, title_text="predicted, ± 2 σ", row=1, col=column)
        figure.update_yaxes(title_text="observed", row=1, col=column)
    return finish(figure, plain(title))
