"""Parallel coordinate plot of several tasks for Plotly."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from ncp_sampler.optimizer.compromise import Compromise
from ncp_sampler.visualization.contents.tasks import tasks_of
from ncp_sampler.visualization.plotly.layout import finish, listed, plain
from ncp_sampler.visualization.style import BLUE, GREY, RED


def plot_tasks(study: Any, chosen: Compromise | None = None, *, title: str = "") -> Any:
    """Draw ``visualization.plot_tasks``, a parallel coordinate plot, with Plotly.

    Hovering over a point shows its value.

    Args:
        study: An Optuna study with several objectives.
        chosen: Result of ``compromise(study)``; None to draw only the trials.
        title: Title of the figure, or empty.

    Raises:
        ValueError: The study has one objective or no complete trial, or ``chosen`` is from another
            study.
    """
    shown = tasks_of(study, chosen)
    at, figure = list(range(len(shown.names))), go.Figure()
    named = {False: False, True: False}
    for number, values, front in zip(shown.numbers, shown.values, shown.is_front, strict=True):
        is_front = bool(front)
        figure.add_scatter(
            x=at, y=listed(shown.heights(values)), mode="lines", hoverinfo="text",
            text=[f"trial {number}: {value:.5g}" for value in values],
            line={"color": BLUE if is_front else GREY, "width": 1.5 if is_front else 0.8},
            name="Pareto-optimal trials" if is_front else "trials",
            legendgroup=str(is_front), showlegend=not named[is_front],
        )  # fmt: skip
        named[is_front] = True
    if chosen is not None:
        values = np.array(list(chosen.values.values()))
        open_at = [name in chosen.predicted for name in chosen.values]
        figure.add_scatter(
            x=at, y=listed(shown.heights(values)), mode="lines+markers+text",
            text=[f"{value:.4g}" for value in values], textposition="top center",
            line={"color": RED, "width": 3},
            marker={
                "size": 9,
                "symbol": ["circle-open" if is_open else "circle" for is_open in open_at],
            },
            textfont={"color": RED}, name=f"compromise: trial {chosen.number}",
        )  # fmt: skip
    worst, best = shown.ends
    labels = [
        f"<b>{plain(name)}</b><br>{bottom:.4g} to {top:.4g}"
        for name, bottom, top in zip(shown.names, worst, best, strict=True)
    ]
    figure = finish(figure, title, legend=True)
    figure.update_xaxes(tickvals=at, ticktext=labels, range=[-0.35, len(at) - 0.65], mirror=False)
    figure.update_yaxes(showticklabels=False, title_text="better →", range=[0, 1.08])
    return figure
