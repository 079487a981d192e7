"""Architectures of the multi-resolution space as bars, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import DEPTHS, NAMES, OUTPUT, STAGES, STEM
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import Params, SearchSpace
from ncp_sampler.visualization.style import (
    BLUE,
    DPI,
    MEDIUM,
    ORANGE,
    RED,
    SMALL,
    channel_ticks,
)

_PARTS = (  # title, numbers
    ("in", tuple(name for _, name in STEM)),
    *((f"stage {s.number}", (s.blocks, *s.units, *s.widths)) for s in STAGES),
    ("out", (OUTPUT,)),
)
_BLOCKS = {stage.blocks for stage in STAGES}
_TOP, _TITLES = 1.375, 158 / 128  # heights of an axis and of the titles, in its highest numbers

_AT = np.arange(len(NAMES))
_DEEP = np.array([name in DEPTHS for name in NAMES])


def architecture_figure(codes: Mapping[str, ArrayLike], space: SearchSpace) -> Figure:
    """Architectures as 27 bars each, a row an architecture (paper, Figures 8, 13 and 14).

    Args:
        codes: Label of a row -> code (27,).
        space: Theirs: ``MRSpace()``, or another of the same 27 integers.

    Raises:
        ValueError: No code, an illegal one, or a space of other numbers.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> len(architecture_figure({"start": MRSpace().start}, MRSpace()).axes) > 0
        True
    """
    integers = _integers(space)
    if not checks.instance("codes", codes, Mapping, "map labels to codes"):
        raise ValueError("codes is empty; give at least one label and code")
    figure = Figure(figsize=(12.0, 1.0 + 1.7 * len(codes)), dpi=DPI, layout="constrained")
    for row, (label, code) in enumerate(codes.items()):
        params = space.to_params(np.asarray(code).reshape(-1))  # checks the code
        axes = figure.add_subplot(len(codes), 1, row + 1)
        _draw(axes, params, integers)
        axes.set_title(label, fontsize=10, weight="bold", loc="left")
        names = NAMES if row == len(codes) - 1 else [""] * len(NAMES)
        axes.set_xticks(_AT, names, rotation=90)
    handles = [
        Patch(color=color, label=label)
        for color, label in ((BLUE, "channels"), (RED, "blocks (b)"), (ORANGE, "units (n)"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=MEDIUM)
    return figure


def _integers(space: SearchSpace) -> dict[str, Integer]:
    """The 27 dimensions by name."""
    dimensions = space.dimensions if isinstance(space, SearchSpace) else ()
    found = {dim.name: dim for dim in dimensions if isinstance(dim, Integer)}
    if tuple(found) != NAMES or len(dimensions) != len(NAMES):
        raise checks.refusal("space", space, "be MRSpace, whose codes have stages to draw")
    return found


def _draw(axes: Axes, params: Params, integers: Mapping[str, Integer]) -> None:
    """One architecture: channels on the left axis, blocks and units on the right one."""
    values = np.array([params[name] for name in NAMES])
    right = axes.twinx()
    wide = axes.bar(_AT[~_DEEP], values[~_DEEP], color=BLUE)
    colors = [RED if name in _BLOCKS else ORANGE for name in DEPTHS]
    narrow = right.bar(_AT[_DEEP], values[_DEEP], width=0.5, color=colors)
    axes.bar_label(wide, fontsize=SMALL)
    right.bar_label(narrow, fontsize=SMALL)
    # the most blocks or units are as high as the most channels
    widths = [dim for name, dim in integers.items() if name not in DEPTHS]
    fewest, most = min(dim.low for dim in widths), max(dim.high for dim in widths)
    deepest = max(integers[name].high for name in DEPTHS)
    axes.set(ylim=(0, _TOP * most), yticks=channel_ticks(fewest, most))
    axes.set(xlim=(-0.7, len(_AT) - 0.3))
    right.set(ylim=(0, _TOP * deepest), yticks=range(1, deepest + 1))
    axes.set_ylabel("channels", fontsize=MEDIUM, color=BLUE)
    right.set_ylabel("blocks, units", fontsize=MEDIUM, color=RED)
    for each in (axes, right):
        each.tick_params(labelsize=SMALL)
    for title, names in _PARTS:
        first, last = NAMES.index(names[0]), NAMES.index(names[-1])
        if first:
            axes.axvline(first - 0.5, color="0.6", lw=0.8)
        middle = (first + last) / 2
        axes.text(middle, _TITLES * most, title, ha="center", fontsize=MEDIUM, color="0.35")
