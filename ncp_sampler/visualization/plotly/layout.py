"""What the figures of Plotly share: the layout, beside the colours and sizes of ``style``.

Numbers are given as lists: arrays would be written in a form that older viewers cannot read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ncp_sampler.visualization.style import LARGE, MEDIUM, SMALL

DASHES = ("solid", "dash", "dashdot", "dot")  # as Matplotlib's "-", "--", "-.", ":"
DARK = "#333333"  # of texts
GRID = "#E6E6E6"

_PIXELS = 4 / 3  # of a point


def finish(figure: Any, title: str = "", *, legend: bool = False, top: int = 60) -> Any:
    """The same figure with the common layout; as large as the room it is shown in.

    Args:
        figure: Of Plotly.
        title: Above it, or empty.
        legend: Whether it has one, below.
        top: Pixels above the panels.
    """
    figure.update_layout(
        title={"text": title, "font": {"size": px(LARGE)}, "x": 0.01, "xanchor": "left"},
        template="none",
        font={"size": px(SMALL), "color": DARK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 10, "r": 10, "t": top if title else top - 20, "b": 10},
        showlegend=legend,
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.12, "yanchor": "top"},
        bargap=0.2,
    )
    axes = {"gridcolor": GRID, "zeroline": False, "automargin": True, "ticks": "outside"}
    axes |= {"tickcolor": GRID, "linecolor": "#999999", "showline": True, "mirror": True}
    figure.update_xaxes(**axes, title_font_size=px(SMALL), title_standoff=6)
    figure.update_yaxes(**axes, title_font_size=px(SMALL), title_standoff=4)
    figure.update_annotations(font_size=px(MEDIUM))  # the panels' titles
    return figure


def titles_left(figure: Any) -> None:
    """Moves the panels' titles, which make_subplots centers, to the panels' left edges."""
    domains = [axis.domain for axis in figure.select_xaxes()]
    for title in figure.layout.annotations:
        left = max(low for low, high in domains if low <= title.x <= high)
        title.update(x=left, xanchor="left", align="left")


def px(points: float) -> float:
    """Pixels of a font size in points."""
    return round(points * _PIXELS, 1)


def listed(values: ArrayLike) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    flat = np.asarray(values, dtype=np.float64).tolist()
    return [value if np.isfinite(value) else None for value in flat]


def bold(text: str) -> str:
    """A panel's title, in two lines where it has two parts; names are shown as they are."""
    return f"<b>{plain(text).replace(', ', ',<br>', 1)}</b>"


def plain(text: str) -> str:
    """A text whose signs are no markup of Plotly's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
