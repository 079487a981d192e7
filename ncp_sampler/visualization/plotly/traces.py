"""Figures of traces and of the origin of a proposal for Plotly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import Cost
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.contents.descents import descent_of
from ncp_sampler.visualization.contents.traces import (
    Curve,
    Edits,
    FloatArray,
    Panel,
    edits_of,
    pushes_of,
)
from ncp_sampler.visualization.plotly.layout import DASHES, bold, finish, listed, plain, titles_left
from ncp_sampler.visualization.style import COLORS, GREY, LINE, sign_colors


def plot_trace(
    trace: Trace,
    space: SearchSpace,
    *,
    start: int = 0,
    costs: Mapping[str, Cost] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw ``visualization.plot_trace`` with Plotly; hovering over a line shows its name.

    Args:
        trace: Result of ``propagation.propagate``, or ``Solution.trace`` of a search.
        space: Search space of the codes.
        start: Index of the start code, 0 to n - 1.
        costs: Additional costs to draw: name -> function of codes (n, d).
        units: Name of a prediction or cost -> unit, which replaces the unit given by the space.
        title: Title of the figure.

    Raises:
        ValueError: If the start is outside 0..n-1, if the trace belongs to another space, or if an
            argument is not as described.
    """
    return _draw(edits_of(trace, space, start=start, costs=costs, units=units, title=title))


def plot_descent(study: Any, space: SearchSpace, *, trial: int | None = None) -> go.Figure:
    """Draw ``visualization.plot_descent`` with Plotly.

    Args:
        study: A study whose trials NCPSampler proposed.
        space: Search space of the trials, or the part of it that all trials of the chain have.
        trial: Number of the last trial of the chain; None for the best trial or, with several
            objectives, the latest trial on the Pareto front.

    Raises:
        ValueError: If there is no such trial, or if a trial lacks a parameter of the space.
    """
    return _draw(descent_of(study, space, trial=trial))


def plot_gradient(
    trace: Trace, space: SearchSpace, *, start: int = 0, iteration: int = 0, largest: int = 15
) -> go.Figure:
    """Draw ``visualization.plot_gradient`` with Plotly.

    Args:
        trace: Result of ``propagation.propagate``.
        space: Search space of the codes.
        start: Index of the start code, 0 to n - 1.
        iteration: Iteration of the code at which the gradient is drawn; 0 is the start code.
        largest: Maximum number of bars; only the largest bars are drawn.

    Raises:
        ValueError: If a start, iteration or number of bars is out of range, or if the trace
            belongs to another space.
    """
    names, push = pushes_of(trace, space, start=start, iteration=iteration, largest=largest)
    bars = go.Bar(
        x=listed(push),
        y=[plain(name) for name in names],
        orientation="h",
        marker_color=sign_colors(push),
        hovertemplate="%{y}: %{x:+.3g}<extra></extra>",
    )
    figure = finish(go.Figure(bars))
    figure.add_vline(0, line={"color": LINE, "width": 1})
    text = f"push at iteration {iteration}: −d loss / d unit code (blue raises, red lowers)"
    figure.update_xaxes(title_text=text)
    return figure.update_yaxes(autorange="reversed", type="category")


def _draw(edits: Edits) -> go.Figure:
    """Draw the curves in the left column, and the panels of the code in two rows to its right."""
    n_curves, n_panels = len(edits.curves), len(edits.panels)
    columns = 1 + (n_panels + 1) // 2
    rows = 2 * n_curves  # a curve takes two rows of the grid, a panel half of all rows
    specs: list[list[Any]] = [[None] * columns for _ in range(rows)]
    titles = []
    for i in range(rows):
        if i % 2 == 0:
            specs[i][0] = {"rowspan": 2}
            titles.append(bold(edits.heading) if i == 0 else "")
        if i % n_curves == 0:
            for column in range(1, columns):
                k = 2 * (column - 1) + i // n_curves
                if k < n_panels:
                    specs[i][column] = {"rowspan": n_curves}
                    titles.append(bold(edits.panels[k].title))
    figure = make_subplots(
        rows,
        columns,
        specs=specs,
        subplot_titles=titles,
        horizontal_spacing=0.24 / columns,
        vertical_spacing=min(0.14, 0.9 / (rows - 1)),  # leaves room for titles of two lines
    )
    for i, curve in enumerate(edits.curves):
        _draw_curve(figure, 2 * i + 1, curve, edits, last=i == n_curves - 1)
    for k, panel in enumerate(edits.panels):
        where = 1 + (k % 2) * n_curves, 2 + k // 2
        _draw_panel(figure, where, panel, edits, last=k % 2 == 1 or k == n_panels - 1)
    titles_left(figure)
    return finish(figure, plain(edits.title), top=80)


def _draw_curve(figure: go.Figure, row: int, curve: Curve, edits: Edits, *, last: bool) -> None:
    if curve.expected is not None:
        mean, std = curve.expected
        error_bars = {"array": listed(2 * std), "color": GREY, "thickness": 2, "width": 0}
        expected = go.Scatter(
            x=_steps(edits, mean), y=listed(mean), error_y=error_bars, mode="markers",
            marker={"color": GREY, "size": 6},
            hovertemplate="predicted %{y:.4g}<extra></extra>",
        )  # fmt: skip
        figure.add_trace(expected, row, 1)
    _draw_line(figure, (row, 1), curve.values, 0, curve.label, edits)
    if curve.best is not None:
        best = go.Scatter(
            x=_steps(edits, curve.best), y=listed(curve.best), mode="lines",
            line={"color": GREY, "width": 2, "dash": "dot"}, name="best so far",
            hovertemplate=f"best so far: %{{y:.4g}}<extra>{edits.step} %{{x}}</extra>",
        )  # fmt: skip
        figure.add_trace(best, row, 1)
    figure.update_yaxes(title_text=plain(curve.label), row=row, col=1)
    if curve.from_zero:
        figure.update_yaxes(rangemode="tozero", row=row, col=1)
    _name_steps(figure, (row, 1), edits, last=last)


def _draw_panel(
    figure: go.Figure, where: tuple[int, int], panel: Panel, edits: Edits, *, last: bool
) -> None:
    row, column = where
    for line in panel.lines:
        _draw_line(figure, where, line.values, line.color, line.name, edits)
    low, high = panel.limits
    axis: dict[str, Any] = {"range": [low, high]}
    if panel.log:
        axis = {"type": "log", "exponentformat": "e", "range": listed(np.log10([low, high]))}
    if panel.ticks is not None:
        axis["tickvals"] = [*panel.ticks]
    elif panel.is_integer and not panel.log:
        axis["dtick"] = max(1, round((high - low) / 5))
    figure.update_yaxes(**axis, row=row, col=column)
    _name_steps(figure, where, edits, last=last)


def _draw_line(
    figure: go.Figure,
    where: tuple[int, int],
    values: FloatArray,
    i: int | None,
    name: str,
    edits: Edits,
) -> None:
    """Draw values over the steps, in the i-th color, or in gray if ``i`` is None."""
    mode = "lines" if len(values) > 1 else "markers"
    if np.isnan(values).any():  # a line with gaps may consist of single points
        mode = "lines+markers"
    line = go.Scatter(
        x=_steps(edits, values),
        y=listed(values),
        mode=mode,
        line={
            "color": GREY if i is None else COLORS[i % len(COLORS)],
            "width": 1 if i is None else 3 - 0.2 * (i % len(COLORS)),
            "dash": DASHES[(i or 0) % len(DASHES)],
        },
        name=plain(name),
        hovertemplate=f"{plain(name)}: %{{y:.4g}}<extra>{edits.step} %{{x}}</extra>",
    )
    figure.add_trace(line, *where)


def _steps(edits: Edits, values: FloatArray) -> list[Any]:
    return list(range(len(values))) if edits.names is None else list(edits.names)


def _name_steps(figure: go.Figure, where: tuple[int, int], edits: Edits, *, last: bool) -> None:
    row, column = where
    kind = {"type": "category", "nticks": 6, "tickangle": 0} if edits.names is not None else {}
    title = edits.step if last else ""
    figure.update_xaxes(**kind, title_text=title, showticklabels=last, row=row, col=column)
