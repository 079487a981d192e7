"""A propagation's trace: how one start's code was edited, and why; and a proposal's descent."""

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
_LEGEND = 42  # letters that fit over a panel
_HANDLE = 7  # of them, a line's sample


def trace_figure(
    trace: Trace,
    space: SearchSpace,
    *,
    start: int = 0,
    costs: Mapping[str, Cost] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """How a propagation edited one start's code (paper, Figures 3 and 9 to 12).

    The left column has each target's prediction, less beta standard deviations where it has a
    beta, each cost, and the loss (the length of its gradient where the loss is constant, as of
    steps alone), on axes of their own; dotted, their values at the best code so far, the bounds
    coming first;
    up to six panels beside it have the code: the space's ``groups``, such as ``MRSpace``'s blocks,
    residual units and channels by stage; for spaces without them numbers of one range together,
    and a categorical's choices as their shares. Where there are more than six such groups, the
    columns are split in the code's order and drawn as unit code. A panel names the eight lines
    that moved farthest. Curves that are equal throughout, as of a cost that is both a step and a
    bound, are drawn once.

    Args:
        trace: From ``propagation.propagate``, or a search's ``Solution.trace``.
        space: The codes' search space.
        start: Which of the n starts.
        costs: Further costs to show, name -> function of codes (n, d), such as
            ``{"flops": costs.flops}``.
        units: Name of a prediction or cost -> its unit, beside and before the space's ``units``.
        title: Above the figure.

    Raises:
        ValueError: A start outside 0..n-1, a trace of another space, or an argument that is not
            as described.

    Examples:
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.propagation import Target, propagate
        >>> target = Target("flops", "minimize", cost=costs.flops)
        >>> trace = propagate([], MRSpace().start, [target], space=MRSpace(), iterations=3)
        >>> figure = trace_figure(trace, MRSpace())  # figure.savefig("trace.png")
        >>> len(figure.axes) > 0
        True
    """
    edits = edits_of(trace, space, start=start, costs=costs, units=units, title=title)
    return _draw(edits)


def descent_figure(study: Any, space: SearchSpace, *, trial: int | None = None) -> Figure:
    """How a trial's params came about, proposal by proposal, each from an earlier trial.

    The left column has what each of those trials brought, and what was predicted of it (± 2 σ);
    the panels beside it have the code, as in ``trace_figure``.

    Args:
        study: A study of Optuna whose trials NCPSampler proposed.
        space: The search space, or a part that all those trials have.
        trial: Number of the last one; None for the best, of several objectives the latest of the
            front.

    Raises:
        ValueError: No such trial, or one that lacks a parameter of the space.
    """
    return _draw(descent_of(study, space, trial=trial))


def explain_figure(
    trace: Trace, space: SearchSpace, *, start: int = 0, iteration: int = 0, largest: int = 15
) -> Figure:
    """Which columns the gradient pushes which way, as horizontal bars.

    A bar is minus the loss's derivative by the unit code: to the right, the column is raised.

    Args:
        trace: From ``propagation.propagate``.
        space: The codes' search space.
        start: Which of the n starts.
        iteration: At which iteration's code, 0 the start.
        largest: Bars, at most; the largest ones.

    Raises:
        ValueError: A start, iteration or number of bars out of range, or a trace of another space.

    Examples:
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.propagation import Target, propagate
        >>> target = Target("flops", "minimize", cost=costs.flops)
        >>> trace = propagate([], MRSpace().start, [target], space=MRSpace(), iterations=3)
        >>> len(explain_figure(trace, MRSpace()).axes) > 0
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
    """Curves in the left column, the code's panels in two rows beside it."""
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
    """Each curve on axes of its own, one above the other."""
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
    """What was predicted of each step, ± 2 σ, as grey bars."""
    if curve.expected is not None:
        mean, std = curve.expected
        at = np.arange(len(mean))
        axes.errorbar(at, mean, yerr=2 * std, fmt="o", color=GREY, markersize=3, zorder=1)


def _draw_code(axes: Axes, panel: Panel) -> None:
    """Lines of a panel's columns; those that moved farthest by name, the others grey."""
    for line in panel.lines:
        _draw_line(axes, line.values, line.color, _shorten(line.name))
    axes.set_ylim(*panel.limits)
    if panel.log:
        axes.set_yscale("log")
    elif panel.quantity != "unit code":
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=panel.whole))
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
    """The name as far as a legend has room: a wider one would leave the panel no width."""
    room = _LEGEND - _HANDLE
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _draw_line(axes: Axes, values: NDArray[np.float64], i: int | None, name: str) -> None:
    """Values (T + 1,) over the steps, in the i-th colour, or grey and without a name."""
    axes.plot(
        values,
        _DASHES[(i or 0) % len(_DASHES)],
        color=GREY if i is None else COLORS[i % len(COLORS)],
        label=name if i is not None else f"_{name}",  # legends leave out names that start with _
        lw=1.0 if i is None else 2.6 - 0.2 * (i % len(COLORS)),  # the lower ones show beside
        marker="o" if len(values) == 1 else "",
        zorder=1 if i is None else 2,
    )


def _finish(axes: Axes, edits: Edits, *, last: bool) -> None:
    """Steps along x, named at the lowest axes of a column alone."""
    if edits.names is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xticks(range(len(edits.names)), edits.names)
    if last:
        axes.set_xlabel(edits.step, fontsize=MEDIUM)
    axes.tick_params(labelsize=SMALL, labelbottom=last)
    axes.grid(alpha=0.3)
