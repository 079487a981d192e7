"""Architectures of the multi-resolution space as bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.visualization.style import (
    BLUE,
    CHANNEL_TICKS,
    DPI,
    MEDIUM,
    ORANGE,
    RED,
    SMALL,
)

_DEPTHS = {"b": RED, "n": ORANGE}  # first letter of a name


def architecture_figure(codes: Mapping[str, ArrayLike], space: MRSpace) -> Figure:
    """Architectures as 27 bars each, a row an architecture (paper, Figures 8, 13 and 14).

    Args:
        codes: Label of a row -> code (27,).
        space: Theirs.

    Raises:
        ValueError: No code, an illegal one, or another space than ``MRSpace``.
    """
    if not isinstance(space, MRSpace):
        raise ValueError(f"space={space!r} must be MRSpace; its codes have stages to draw")
    if not codes:
        raise ValueError("codes is empty; give at least one label and code")
    figure = Figure(figsize=(12.0, 1.0 + 1.7 * len(codes)), dpi=DPI, layout="constrained")
    at = np.arange(len(space.names))
    deep = np.array([name[0] in _DEPTHS for name in space.names])
    stages = [_stage(name) for name in space.names]
    for row, (label, code) in enumerate(codes.items()):
        params = space.to_params(np.asarray(code).reshape(-1))  # checks the code
        values = np.array(list(params.values()))
        axes = figure.add_subplot(len(codes), 1, row + 1)
        right = axes.twinx()
        depths = [_DEPTHS[name[0]] for name in space.names if name[0] in _DEPTHS]
        wide = axes.bar(at[~deep], values[~deep], color=BLUE)
        narrow = right.bar(at[deep], values[deep], width=0.5, color=depths)
        axes.bar_label(wide, fontsize=SMALL)
        right.bar_label(narrow, fontsize=SMALL)
        axes.set(ylim=(0, 176), yticks=CHANNEL_TICKS, xlim=(-0.7, len(at) - 0.3))
        right.set(ylim=(0, 5.5), yticks=range(1, 5))  # 4 is as high as 128
        axes.set_ylabel("channels", fontsize=MEDIUM, color=BLUE)
        right.set_ylabel("blocks, units", fontsize=MEDIUM, color=RED)
        axes.set_title(label, fontsize=10, weight="bold", loc="left")
        names = space.names if row == len(codes) - 1 else [""] * len(at)
        axes.set_xticks(at, names, rotation=90)
        for each in (axes, right):
            each.tick_params(labelsize=SMALL)
        for i in np.flatnonzero(np.array(stages[1:]) != np.array(stages[:-1])):
            axes.axvline(i + 0.5, color="0.6", lw=0.8)
        for stage in dict.fromkeys(stages):
            middle = float(np.mean([i for i in at if stages[i] == stage]))
            axes.text(middle, 158, stage, ha="center", fontsize=MEDIUM, color="0.35")
    handles = [
        Patch(color=color, label=label)
        for color, label in ((BLUE, "channels"), (RED, "blocks (b)"), (ORANGE, "units (n)"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=MEDIUM)
    return figure


def _stage(name: str) -> str:
    ends = {"i": "in", "o": "out"}
    return ends.get(name[0], f"stage {name[1]}")
