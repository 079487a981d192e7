"""Figures of rank correlations: a heat map of settings, and ranks by several metrics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, spearmanr

from ncp_sampler import checks
from ncp_sampler.visualization.style import (
    BLUE,
    COLORS,
    DPI,
    MEDIUM,
    RED,
    SMALL,
)


def correlation_figure(
    names: Sequence[str], matrix: ArrayLike, *, published: ArrayLike | None = None
) -> Figure:
    """Draw a heat map of Spearman's rank correlations between settings (paper, Figure 4).

    Args:
        names: Names of the k settings.
        matrix: Correlations (k, k) in [-1, 1], NaN if missing.
        published: Correlations of the paper (k, k), drawn in small type below; NaN if missing.

    Raises:
        ValueError: If there are no names, a matrix has another shape, or a correlation is outside
            [-1, 1].

    Examples:
        >>> len(correlation_figure(["seg", "video"], [[1.0, -0.02], [-0.02, 1.0]]).axes) > 0
        True
    """
    k = len(checks.texts("names", names))
    ours = _correlations("matrix", matrix, k)
    theirs = None if published is None else _correlations("published", published, k)
    side = 2.0 + 0.75 * k
    figure = Figure(figsize=(side + 0.8, side), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    colors = LinearSegmentedColormap.from_list("red-white-blue", [RED, "white", BLUE])
    image = axes.imshow(ours, cmap=colors, vmin=-1, vmax=1)
    for i, j in itertools.product(range(k), repeat=2):
        ink = "white" if abs(ours[i, j]) > 0.6 else "black"
        above = 0.0 if theirs is None else 0.1
        for value, form, y, size in (
            (ours[i, j], "{}", i - above, 10),
            (np.nan if theirs is None else theirs[i, j], "({})", i + 0.25, SMALL),
        ):
            if not np.isnan(value):
                text = form.format(f"{value:.3f}".replace("-", "−"))
                axes.text(j, y, text, ha="center", va="center", color=ink, fontsize=size)
    axes.set_xticks(range(k), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(k), names)
    if theirs is not None:
        axes.set_title("computed here (published)", fontsize=MEDIUM)
    bar = figure.colorbar(image, shrink=0.8)
    bar.set_label("Spearman's rank correlation")
    return figure


def ranking_figure(metrics: Mapping[str, ArrayLike]) -> Figure:
    """Draw ranks by other metrics against ranks by the first; 1 is the best (paper, Figure 5b).

    Args:
        metrics: Name -> values (n,) of the same n architectures, higher is better; at least two
            names.

    Raises:
        ValueError: If there is one metric, no architecture, or arrays of different lengths.

    Examples:
        >>> figure = ranking_figure({"mIoU": [70, 72, 75], "mAcc": [80, 79, 85]})
        >>> figure.axes[0].get_xlabel()
        'rank by mIoU'
    """
    checks.instance("metrics", metrics, Mapping, "map names to numbers")
    columns = {name: checks.array(f"metrics[{name!r}]", values) for name, values in metrics.items()}
    shapes = {column.shape for column in columns.values()}
    if len(columns) < 2 or len(shapes) > 1 or len(min(shapes)) != 1 or not min(shapes)[0]:
        raise ValueError(
            f"metrics has {len(columns)} of shapes {sorted(shapes)}; give two or more of one (n,)"
        )
    if not all(np.isfinite(column).all() for column in columns.values()):
        raise ValueError("metrics has a NaN or an infinity; leave such architectures out")
    first, *others = columns
    figure = Figure(figsize=(5.5, 5.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for color, name in zip(itertools.cycle(COLORS), others):  # Repeats the colors
        label = f"{name}, Spearman {spearmanr(columns[first], columns[name]).statistic:.3f}"
        x, y = (rankdata(-columns[one]) for one in (first, name))
        axes.scatter(x, y, s=5, lw=0, color=color, alpha=0.6, label=label)
    axes.set_xlabel(f"rank by {first}")
    axes.set_ylabel("rank by the others")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=MEDIUM, markerscale=3)
    return figure


def _correlations(name: str, matrix: ArrayLike, k: int) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise checks.refusal(name, matrix, f"be a matrix of numbers, ({k}, {k})") from None
    if k < 1 or numbers.shape != (k, k):
        raise ValueError(f"{name} has shape {numbers.shape}; for {k} names it must be ({k}, {k})")
    if (np.abs(numbers) > 1 + 1e-9).any():
        raise ValueError(f"{name} has a number outside [-1, 1]; give rank correlations")
    return numbers
