"""Common layout of the Plotly figures; ``style`` defines their colors and font sizes.

Numbers are passed to Plotly as lists, because older viewers cannot read its array format.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ncp_sampler.visualization.style import LARGE, MEDIUM, SMALL

DASHES = ("solid", "dash", "dashdot", "dot")  # Matplotlib's "-", "--", "-.", ":"
DARK = "#333333"  # Color of texts
GRID = "#E6E6E6"

PIXELS = 4 / 3  # Pixels per point


def finish(figure: Any, title: str = "", *, legend: bool = False, top: int = 60) -> Any:
    """Apply the common layout to a figure, and return the figure.

    Args:
        figure: A Plotly figure.
        title: Title of the figure, or empty.
        legend: True for a legend below the panels.
        top: Margin above the panels, in pixels, if there is a title.
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
    figure.update_annotations(font_size=px(MEDIUM))  # the titles of the panels are annotations
    return figure


def titles_left(figure: Any) -> None:
    """Align the titles of the panels, which make_subplots centers, with the panels' left edges."""
    domains = [axis.domain for axis in figure.select_xaxes()]
    for title in figure.layout.annotations:
        left = max(low for low, high in domains if low <= title.x <= high)
        title.update(x=left, xanchor="left", align="left")


def px(points: float) -> float:
    """Convert a font size in points to pixels."""
    return round(points * PIXELS, 1)


def listed(values: ArrayLike) -> list[float | None]:
    """Return numbers as a list for JSON, with None for NaN and infinity."""
    flat = np.asarray(values, dtype=np.float64).tolist()
    return [value if np.isfinite(value) else None for value in flat]


def bold(text: str) -> str:
    """Return the title of a panel in bold; a title with a comma takes two lines."""
    return f"<b>{plain(text).replace(', ', ',<br>', 1)}</b>"


def plain(text: str) -> str:
    """Return a text, escaped so that Plotly does not interpret it as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
