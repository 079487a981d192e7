"""A propagation's trace: how one start's code was edited, and why.

Notation
    T, n, d    iterations, starts, columns of a code
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import Cost
from ncp_sampler.space.dimensions import Categorical, Integer
from ncp_sampler.space.hooks import Group
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.style import (
    BLUE,
    COLORS,
    DPI,
    LARGE,
    MEDIUM,
    RED,
    SMALL,
    channel_ticks,
    with_unit,
)

_CONSTANT = 1e-6  # of a loss; less is rounding
_DASHES = ("-", "--", "-.", ":")
_PANELS = 6  # of a code, in three columns
_NAMED = 8  # lines of a panel that are told apart
_LEGEND = 42  # letters that fit over a panel
_HANDLE = 7  # of them, a line's sample


class _Panel(NamedTuple):
    """Columns of a code that share axes."""

    title: str
    quantity: str
    columns: list[int]


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

    The left column has each target's prediction, each cost, and the loss (the length of its
    gradient where the loss is constant, as of steps alone), on axes of their own;
    up to six panels beside it have the code: the space's ``groups``, such as ``MRSpace``'s blocks,
    residual units and channels by stage; for spaces without them numbers of one range together,
    and a categorical's choices as their shares. Where there are more than six such groups, the
    columns are split in the code's order and drawn as unit code. A panel names the eight lines
    that moved farthest. Curves that are equal throughout, as of a cost that is both a step and a
    bound, are drawn once.

    Args:
        trace: From ``propagation.propagate``, or a search's ``Found.trace``.
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
    codes = _codes(trace, space, start)  # (T + 1, d)
    checks.instance("title", title, str | None, "be a string, or None")
    curves = _curves(trace, space, codes, start, costs or {}, units or {})
    panels = _panels(space)
    n_columns = 1 + (len(panels) + 1) // 2
    figure = Figure(figsize=(3.0 * n_columns, 6.2), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(2, n_columns)
    _draw_curves(figure, grid[:, 0], curves)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(grid[i % 2, 1 + i // 2])
        _draw_code(axes, panel, codes, space)
        _finish(axes, last=i % 2 == 1 or i == len(panels) - 1)
    if title:
        figure.suptitle(title, fontsize=LARGE)
    return figure


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
    codes = _codes(trace, space, start)
    checks.whole("iteration", iteration, low=0, high=len(codes) - 1)
    checks.whole("largest", largest, low=1)
    push = -trace.gradients[iteration, start]
    picked = np.argsort(-np.abs(push), kind="stable")[:largest]
    figure = Figure(figsize=(6.0, 1.2 + 0.24 * len(picked)), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    names = [space.columns[i] for i in picked]
    axes.barh(names, push[picked], color=np.where(push[picked] > 0, BLUE, RED))
    axes.invert_yaxis()
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xlabel(
        f"push at iteration {iteration}: −d loss / d unit code\n(blue raises, red lowers)",
        fontsize=MEDIUM,
    )
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _codes(trace: Trace, space: SearchSpace, start: int) -> NDArray[np.float64]:
    """One start's codes, (T + 1, d)."""
    checks.instance("trace", trace, Trace, "be a Trace, as propagate returns it")
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the trace's codes")
    if trace.codes.shape[2] != len(space.columns):
        raise ValueError(
            f"trace has codes of {trace.codes.shape[2]} columns, space has {len(space.columns)}; "
            "give the space that was searched"
        )
    checks.whole("start", start, low=0, high=trace.codes.shape[1] - 1)
    return trace.codes[:, start]


def _curves(
    trace: Trace,
    space: SearchSpace,
    codes: NDArray[np.float64],
    start: int,
    costs: Mapping[str, Cost],
    units: Mapping[str, str],
) -> list[tuple[str, NDArray[np.float64]]]:
    """Labels and values (T + 1,) of what differs, the loss or its gradient last."""
    checks.instance("costs", costs, Mapping, "map names to functions of codes")
    known = {**space.units, **checks.instance("units", units, Mapping, "map names to units")}
    named = {name: values[:, start] for name, values in trace.predictions.items()}
    for name, cost in costs.items():
        if not callable(cost):
            must = "be a function of codes, such as costs.flops"
            raise checks.refusal(f"costs[{name!r}]", cost, must)
        named[name] = np.asarray(cost(torch.as_tensor(codes)).detach().cpu())
    first: dict[bytes, str] = {}
    for name, values in named.items():
        first.setdefault(values.tobytes(), name)
    curves = [(with_unit(name, known), named[name]) for name in first.values()]
    return [*curves, _what_falls(trace, start)]


def _what_falls(trace: Trace, start: int) -> tuple[str, NDArray[np.float64]]:
    """The loss; where it is constant, as of steps set anew each time, its gradient's length."""
    loss = trace.loss[:, start]
    if float(np.ptp(loss)) > _CONSTANT * max(float(np.abs(loss).max()), 1e-12):
        return "loss", loss
    return "gradient's length", np.linalg.norm(trace.gradients[:, start], axis=-1)


def _draw_curves(
    figure: Figure, where: SubplotSpec, curves: list[tuple[str, NDArray[np.float64]]]
) -> None:
    """Each curve on axes of its own, one above the other; the last is at least 0."""
    strips = where.subgridspec(len(curves), 1)
    for i, (label, values) in enumerate(curves):
        axes = figure.add_subplot(strips[i])
        _draw_line(axes, values, 0, label)
        axes.set_ylabel(label, fontsize=MEDIUM)
        axes.ticklabel_format(axis="y", useOffset=False)
        if i == 0:
            last = "loss" if curves[-1][0] == "loss" else "gradient"
            axes.set_title(f"Predictions and {last}", fontsize=MEDIUM, weight="bold", loc="left")
        if i == len(curves) - 1:
            axes.set_ylim(0.0, 1.1 * max(float(values.max()), 1e-6))
        _finish(axes, last=i == len(curves) - 1)


def _panels(space: SearchSpace) -> list[_Panel]:
    """At most six groups of columns."""
    panels = [
        _Panel(title, quantity, [i for name in names for i in _columns(space, name)])
        for title, quantity, names in space.groups or _ranges(space)
    ]
    if len(panels) <= _PANELS:
        return panels
    names = space.columns
    parts = np.array_split(np.arange(len(names)), _PANELS)
    return [_Panel(f"{names[p[0]]} to {names[p[-1]]}", "unit code", p.tolist()) for p in parts]


def _columns(space: SearchSpace, name: str) -> range:
    at = space.column_slice(name)
    return range(at.start, at.stop)


def _ranges(space: SearchSpace) -> list[Group]:
    """Numbers of one range together, a categorical alone."""
    groups: dict[str, Group] = {}
    for dim in space.dimensions:
        if isinstance(dim, Categorical):
            title, quantity = dim.name, "share of a choice"
        else:
            title = f"From {dim.low:g} to {dim.high:g}{', log' if dim.log else ''}"
            quantity = "value"
        names = groups[title].names if title in groups else ()
        groups[title] = Group(title, quantity, (*names, dim.name))
    return list(groups.values())


def _draw_code(axes: Axes, panel: _Panel, codes: NDArray[np.float64], space: SearchSpace) -> None:
    """Lines of a panel's columns; those that moved farthest by name, the others grey."""
    unit = space.normalize(codes)[:, panel.columns]
    values = unit if panel.quantity == "unit code" else codes[:, panel.columns]
    moved = np.argsort(np.ptp(unit, axis=0), kind="stable")
    named = set(moved[-_NAMED:].tolist())
    for i, column in enumerate(panel.columns):
        name = _shorten(space.columns[column].removeprefix(f"{panel.title}="))
        _draw_line(axes, values[:, i], i if i in named else None, name)
    _limit(axes, panel, space)
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


def _limit(axes: Axes, panel: _Panel, space: SearchSpace) -> None:
    """The range of a panel's numbers along y."""
    numbers = [
        dim
        for dim in space.dimensions
        if space.column_slice(dim.name).start in panel.columns and not isinstance(dim, Categorical)
    ]
    if panel.quantity == "unit code" or not numbers:
        axes.set_ylim(-0.04, 1.04)
        return
    low, high = min(dim.low for dim in numbers), max(dim.high for dim in numbers)
    if all(dim.log for dim in numbers):
        axes.set_yscale("log")
        ratio = (high / low) ** 0.04
        axes.set_ylim(low / max(ratio, 1.1), high * max(ratio, 1.1))
    else:
        margin = 0.04 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=isinstance(numbers[0], Integer)))
    if panel.quantity == "channels":
        axes.set_yticks(channel_ticks(low, high))


def _shorten(name: str) -> str:
    """The name as far as a legend has room: a wider one would leave the panel no width."""
    room = _LEGEND - _HANDLE
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _draw_line(axes: Axes, values: NDArray[np.float64], i: int | None, name: str) -> None:
    """Values (T + 1,) over iterations, in the i-th colour, or grey and without a name."""
    axes.plot(
        values,
        _DASHES[(i or 0) % len(_DASHES)],
        color="0.75" if i is None else COLORS[i % len(COLORS)],
        label=name if i is not None else f"_{name}",  # legends leave out names that start with _
        lw=1.0 if i is None else 2.6 - 0.2 * (i % len(COLORS)),  # the lower ones show beside
        marker="o" if len(values) == 1 else "",
        zorder=1 if i is None else 2,
    )


def _finish(axes: Axes, *, last: bool) -> None:
    """Iterations along x, named at the lowest axes of a column alone."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if last:
        axes.set_xlabel("iteration", fontsize=MEDIUM)
    axes.tick_params(labelsize=SMALL, labelbottom=last)
    axes.grid(alpha=0.3)
