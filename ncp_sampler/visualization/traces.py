"""Figures of traces (edits and gradients of one code) and of the origin of a proposal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import Cost
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.contents.descents import descent_of
from ncp_sampler.visualization.contents.traces import Curve, Edits, Panel, edits_of, pushes_of
from ncp_sampler.visualization.style import (
    COLORS,
    DPI,
    GREY,
    LARGE,
    LINE,
    MEDIUM,
    SMALL,
    sign_colors,
)

_DASHES = ("-", "--", "-.", ":")
_LEGEND = 42  # Number of characters that fit above a panel
_HANDLE = 7  # Width of a line sample in the legend, in characters


def plot_trace(
    trace: Trace,
    space: SearchSpace,
    *,
    start: int = 0,
    costs: Mapping[str, Cost] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the edits of one start code by a propagation (paper, Figures 3, 9 to 12).

    The left column shows the prediction of each target, made worse by beta standard deviations,
    each cost, and the loss, on separate axes. If the loss is constant, as with step targets only,
    the norm of its gradient is shown instead. Dotted lines show the values at the best code so far,
    which violates the bounds least and, if several codes do, improves the targets most. Equal
    curves, such as those of a cost with both a step and a bound, are drawn once.

    Up to six panels to the right of this column show the code. The panels are the ``groups`` of the
    space, such as the blocks, residual units and channels of ``MRSpace`` by stage. A space without
    groups has one panel for all numeric parameters with the same range, and one for the category
    shares of each categorical. With more than six such groups, the columns are distributed over six
    panels in the order of the code and drawn as unit codes. In each panel, the eight lines that
    moved farthest are named.

    Args:
        trace: Result of ``propagation.propagate``, or ``Solution.trace`` of a search.
        space: Search space of the codes.
        start: Index of the start code, 0 to n - 1.
        costs: Additional costs to draw: name -> function of codes (n, d), such as
            ``{"flops": costs.flops}``.
        units: Name of a prediction or cost -> unit, which replaces the unit given by the space.
        title: Title of the figure.

    Raises:
        ValueError: If the start is outside 0..n-1, if the trace belongs to another space, or if an
            argument is not as described.

    Examples:
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.propagation import Target, propagate
        >>> target = Target("flops", "minimize", cost=costs.flops)
        >>> trace = propagate([], MRSpace().start, [target], space=MRSpace(), iterations=3)
        >>> figure = plot_trace(trace, MRSpace())  # figure.savefig("trace.png")
        >>> len(figure.axes) > 0
        True
    """
    edits = edits_of(trace, space, start=start, costs=costs, units=units, title=title)
    return _draw(edits)


def plot_descent(study: Any, space: SearchSpace, *, trial: int | None = None) -> Figure:
    """Draw the chain of trials that led to a trial, each proposed from an earlier one.

    The left column shows the observed and the predicted value (± 2 σ) of each trial. The panels to
    the right show the code, as in ``plot_trace``.

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
) -> Figure:
    """Draw the negative gradient of the loss at one code, as horizontal bars.

    Each bar is the negative derivative with respect to a column of the unit code. A bar to the
    right means that gradient descent increases the column.

    Args:
        trace: Result of ``propagation.propagate``.
        space: Search space of the codes.
        start: Index of the start code, 0 to n - 1.
        iteration: Iteration of the code at which the gradient is drawn; 0 is the start code.
        largest: Maximum number of bars; only the largest bars are drawn.

    Raises:
        ValueError: If a start, iteration or number of bars is out of range, or if the trace belongs
            to another space.

    Examples:
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.propagation import Target, propagate
        >>> target = Target("flops", "minimize", cost=costs.flops)
        >>> trace = propagate([], MRSpace().start, [target], space=MRSpace(), iterations=3)
        >>> len(plot_gradient(trace, MRSpace()).axes) > 0
        True
    """
    names, push = pushes_of(trace, space, start=start, iteration=iteration, largest=largest)
    figure = Figure(figsize=(6.0, 1.2 + 0.24 * len(names)), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.barh(names, push, color=sign_colors(push))
    axes.invert_yaxis()
    axes.axvline(0, color=LINE, lw=0.8)
    axes.set_xlabel(
        f"push at iteration {iteration}: −d loss / d unit code\n(blue raises, red lowers)",
        fontsize=MEDIUM,
    )
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _draw(edits: Edits) -> Figure:
    """Draw the curves in the left column, and the panels of the code in two rows to its right."""
    panels = edits.panels
    n_columns = 1 + (len(panels) + 1) // 2
    figure = Figure(figsize=(3.0 * n_columns, 6.2), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(2, n_columns)
    _draw_curves(figure, grid[:, 0], edits)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(grid[i % 2, 1 + i // 2])
        _draw_code(axes, panel)
        _finish(axes, edits, last=i % 2 == 1 or i == len(panels) - 1)
    if edits.title:
        figure.suptitle(edits.title, fontsize=LARGE)
    return figure


def _draw_curves(figure: Figure, where: SubplotSpec, edits: Edits) -> None:
    """Draw each curve on its own axes, one above the other."""
    strips = where.subgridspec(len(edits.curves), 1)
    for i, curve in enumerate(edits.curves):
        axes = figure.add_subplot(strips[i])
        _draw_line(axes, curve.values, 0, curve.label)
        _draw_expected(axes, curve)
        if curve.best is not None:
            axes.plot(curve.best, ":", color=GREY, lw=2.0, label="best so far", zorder=3)
            axes.legend(handles=axes.lines[-1:], fontsize=SMALL, frameon=False)
        axes.set_ylabel(curve.label, fontsize=MEDIUM)
        axes.ticklabel_format(axis="y", useOffset=False)
        if i == 0:
            axes.set_title(edits.heading, fontsize=MEDIUM, weight="bold", loc="left")
        if curve.from_zero:
            axes.set_ylim(0.0, 1.1 * max(float(curve.values.max()), 1e-6))
        _finish(axes, edits, last=i == len(edits.curves) - 1)


def _draw_expected(axes: Axes, curve: Curve) -> None:
    """Draw the prediction of each step, ± 2 σ, as gray bars."""
    if curve.expected is not None:
        mean, std = curve.expected
        at = np.arange(len(mean))
        axes.errorbar(at, mean, yerr=2 * std, fmt="o", color=GREY, markersize=3, zorder=1)


def _draw_code(axes: Axes, panel: Panel) -> None:
    """Draw the lines of a panel; those that moved farthest are named, the others are gray."""
    for line in panel.lines:
        _draw_line(axes, line.values, line.color, _shorten(line.name))
    axes.set_ylim(*panel.limits)
    if panel.log:
        axes.set_yscale("log")
    elif panel.quantity != "unit code":
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=panel.is_integer))
    if panel.ticks is not None:
        axes.set_yticks(panel.ticks)
    axes.set_ylabel(panel.quantity, fontsize=MEDIUM)
    longest = max(len(str(line.get_label())) for line in axes.lines)
    axes.legend(
        title=_shorten(panel.title),
        title_fontproperties={"weight": "bold", "size": MEDIUM},
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=max(1, min(4, _LEGEND // (longest + _HANDLE))),
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0.1,
        columnspacing=1.0,
        handlelength=2.0,
    )


def _shorten(name: str) -> str:
    """Return a name, shortened if necessary so that the legend is not wider than the panel."""
    room = _LEGEND - _HANDLE
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _draw_line(axes: Axes, values: NDArray[np.float64], i: int | None, name: str) -> None:
    """Draw values (T + 1,) over the steps, in the i-th color, or in gray and unnamed for None."""
    axes.plot(
        values,
        _DASHES[(i or 0) % len(_DASHES)],
        color=GREY if i is None else COLORS[i % len(COLORS)],
        label=name if i is not None else f"_{name}",  # legends omit names that start with _
        lw=1.0 if i is None else 2.6 - 0.2 * (i % len(COLORS)),  # wider if drawn below others
        marker="o" if len(values) == 1 or np.isnan(values).any() else "",
        zorder=1 if i is None else 2,
    )


def _finish(axes: Axes, edits: Edits, *, last: bool) -> None:
    """Set the ticks along the steps; label them only at the lowest axes of a column."""
    if edits.names is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xticks(range(len(edits.names)), edits.names)
    if last:
        axes.set_xlabel(edits.step, fontsize=MEDIUM)
    axes.tick_params(labelsize=SMALL, labelbottom=last)
    axes.grid(alpha=0.3)
