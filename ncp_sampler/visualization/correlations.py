"""Figures of rank correlations: a heat map for pairs of settings, and ranks by several metrics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ncp_sampler.visualization.contents.correlations import correlations_of, ranks_of
from ncp_sampler.visualization.style import (
    BLUE,
    COLORS,
    DPI,
    MEDIUM,
    RED,
    SMALL,
)


def plot_correlations(
    names: Sequence[str], matrix: ArrayLike, *, published: ArrayLike | None = None
) -> Figure:
    """Draw a heat map of Spearman's rank correlations between settings (paper, Figure 4).

    Args:
        names: Names of the k settings.
        matrix: Correlations (k, k) in [-1, 1], NaN if missing.
        published: Correlations in the paper (k, k), which are added in small type below those of
            ``matrix``; NaN if missing.

    Raises:
        ValueError: If there are no names, a matrix has another shape, or a correlation is outside
            [-1, 1].

    Examples:
        >>> len(plot_correlations(["seg", "video"], [[1.0, -0.02], [-0.02, 1.0]]).axes) > 0
        True
    """
    content = correlations_of(names, matrix, published)
    k = len(content.names)
    side = 2.0 + 0.75 * k
    figure = Figure(figsize=(side + 0.8, side), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    colors = LinearSegmentedColormap.from_list("red-white-blue", [RED, "white", BLUE])
    image = axes.imshow(content.matrix, cmap=colors, vmin=-1, vmax=1)
    for i, j in itertools.product(range(k), repeat=2):
        ink = "white" if abs(content.matrix[i, j]) > 0.6 else "black"
        above = 0.0 if content.published is None else 0.1
        ours, theirs = content.texts(i, j)
        for text, y, size in ((ours, i - above, 10), (theirs, i + 0.25, SMALL)):
            if text:
                axes.text(j, y, text, ha="center", va="center", color=ink, fontsize=size)
    axes.set_xticks(range(k), content.names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(k), content.names)
    if content.published is not None:
        axes.set_title("computed here (published)", fontsize=MEDIUM)
    bar = figure.colorbar(image, shrink=0.8)
    bar.set_label("Spearman's rank correlation")
    return figure


def plot_ranks(metrics: Mapping[str, ArrayLike]) -> Figure:
    """Draw the ranks of architectures by several metrics (paper, Figure 5b).

    The horizontal axis is the rank by the first metric, and the vertical axis is the rank by each
    other metric. The best architecture has rank 1.

    Args:
        metrics: Name -> values (n,) of the same n architectures, for at least two metrics. Higher
            values must be better.

    Raises:
        ValueError: If there is only one metric, no architecture, an infinite or missing value, or
            if the arrays have different lengths.

    Examples:
        >>> figure = plot_ranks({"mIoU": [70, 72, 75], "mAcc": [80, 79, 85]})
        >>> figure.axes[0].get_xlabel()
        'rank by mIoU'
    """
    first, others = ranks_of(metrics)
    figure = Figure(figsize=(5.5, 5.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for color, ranks in zip(itertools.cycle(COLORS), others):  # colors repeat if there are many
        axes.scatter(
            ranks.first, ranks.second, s=5, lw=0, color=color, alpha=0.6, label=ranks.label
        )
    axes.set_xlabel(f"rank by {first}")
    axes.set_ylabel("rank by the others")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=MEDIUM, markerscale=3)
    return figure
