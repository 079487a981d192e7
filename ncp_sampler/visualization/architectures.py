"""Figures of multi-resolution architectures, and of the params of any space."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.multi_resolution.blueprint import NAMES
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.contents.architectures import (
    DEEP,
    KINDS,
    PARTS,
    TITLES,
    TOP,
    Architectures,
    architectures_of,
    params_of,
)
from ncp_sampler.visualization.style import BLUE, COLORS, DPI, GREY, MEDIUM, RED, SMALL

_AT = np.arange(len(NAMES))


def plot_architectures(codes: Mapping[str, ArrayLike], space: SearchSpace) -> Figure:
    """Draw each architecture as a row of 27 bars (paper, Figures 8, 13 and 14).

    Args:
        codes: Label of the architecture -> code (27,).
        space: Search space of the codes: ``MRSpace()``, or another space with the same 27 integers.

    Raises:
        ValueError: If there are no codes, a code is invalid, or the space has other parameters.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> len(plot_architectures({"start": MRSpace().start}, MRSpace()).axes) > 0
        True
    """
    all_of = architectures_of(codes, space)
    n = len(all_of.rows)
    figure = Figure(figsize=(12.0, 1.0 + 1.7 * n), dpi=DPI, layout="constrained")
    for row, (label, values) in enumerate(all_of.rows.items()):
        axes = figure.add_subplot(n, 1, row + 1)
        _draw(axes, values, all_of)
        axes.set_title(label, fontsize=10, weight="bold", loc="left")
        axes.set_xticks(_AT, NAMES if row == n - 1 else [""] * len(NAMES), rotation=90)
    handles = [Patch(color=color, label=label) for label, color in KINDS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=MEDIUM)
    return figure


def plot_params(codes: Mapping[str, ArrayLike], space: SearchSpace) -> Figure:
    """Draw the position of each parameter's value in the parameter's range, for any space.

    Args:
        codes: Label -> code (d,).
        space: Search space of the codes. Each of its ``groups`` is drawn in a panel of its own.

    Raises:
        ValueError: If there are no codes, a code is invalid, or ``space`` is not a search space.
    """
    content = params_of(codes, space)
    lengths = [len(rows) for rows in content.groups.values()]
    figure = Figure(figsize=(6.4, 1.2 + 0.3 * sum(lengths)), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(len(lengths), 1, height_ratios=lengths)
    for i, (title, rows) in enumerate(content.groups.items()):
        axes = figure.add_subplot(grid[i])
        axes.hlines(range(len(rows)), 0, 1, color=GREY, lw=0.8, zorder=0)
        for k, label in enumerate(content.labels):
            positions = [row.positions[k] for row in rows]
            color = COLORS[k % len(COLORS)]
            axes.plot(positions, range(len(rows)), "o", color=color, label=label)
            for j, row in enumerate(rows):
                if math.isnan(positions[j]):  # the parameter does not exist
                    continue
                where = (positions[j], j)
                shift = (0, 4 if k % 2 == 0 else -10)
                axes.annotate(
                    row.values[k], where, xytext=shift, textcoords="offset points",
                    fontsize=SMALL, color=color, ha="center",
                )  # fmt: skip
        axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=SMALL)
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-0.05, 1.05))
        axes.set_xticks([0, 1], ["low", "high"] if i == len(lengths) - 1 else ["", ""])
        axes.set_title(title, fontsize=MEDIUM, weight="bold", loc="left")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=MEDIUM)
    return figure


def _draw(axes: Axes, values: NDArray[np.int64], all_of: Architectures) -> None:
    """Draw one architecture: channels on the left axis, blocks and units on the right axis."""
    right = axes.twinx()
    wide = axes.bar(_AT[~DEEP], values[~DEEP], color=BLUE)
    colors = [color for color, deep in zip(all_of.colors, DEEP, strict=True) if deep]
    narrow = right.bar(_AT[DEEP], values[DEEP], width=0.5, color=colors)
    axes.bar_label(wide, fontsize=SMALL)
    right.bar_label(narrow, fontsize=SMALL)
    axes.set(ylim=(0, TOP * all_of.widest), yticks=all_of.ticks)
    axes.set(xlim=(-0.7, len(_AT) - 0.3))
    right.set(ylim=(0, TOP * all_of.deepest), yticks=range(1, int(all_of.deepest) + 1))
    axes.set_ylabel("channels", fontsize=MEDIUM, color=BLUE)
    right.set_ylabel("blocks, units", fontsize=MEDIUM, color=RED)
    for each in (axes, right):
        each.tick_params(labelsize=SMALL)
    for title, names in PARTS:
        first, last = NAMES.index(names[0]), NAMES.index(names[-1])
        if first:
            axes.axvline(first - 0.5, color="0.6", lw=0.8)
        middle = (first + last) / 2
        height = TITLES * all_of.widest
        axes.text(middle, height, title, ha="center", fontsize=MEDIUM, color="0.35")
