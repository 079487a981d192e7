"""Contents of figures of edited codes: curves, and panels with the columns of the code.

Notation
    T, n, d    number of iterations, starts, and columns of a code
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import Cost, Target, label
from ncp_sampler.space.dimensions import Categorical, Integer
from ncp_sampler.space.hooks import Group
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.style import channel_ticks, with_unit

FloatArray = NDArray[np.float64]

_CONSTANT = 1e-6  # Range below which a loss counts as constant, relative to its maximum
_PANELS = 6  # Maximum number of panels for a code
_NAMED = 8  # Maximum number of lines in a panel that have a name and a color


class Curve(NamedTuple):
    """Values of one quantity over the steps.

    Attributes:
        label: Name of the quantity, with its unit.
        values: Values (T + 1,), NaN if missing.
        expected: Predicted means and standard deviations, each (T + 1,), NaN if missing; None if
            the values are themselves predictions.
        from_zero: True if the axis starts at 0.
        best: Value at the best code so far, (T + 1,); None if this is always equal to ``values``.
    """

    label: str
    values: FloatArray
    expected: tuple[FloatArray, FloatArray] | None = None
    from_zero: bool = False
    best: FloatArray | None = None


class Line(NamedTuple):
    """Values of one column of a code over the steps.

    Attributes:
        name: Name of the column, without the title of its panel.
        values: Values (T + 1,).
        color: Index of the line's color in the panel, or None for a gray line.
    """

    name: str
    values: FloatArray
    color: int | None


@dataclass(frozen=True)
class Panel:
    """Columns of a code that share axes.

    Attributes:
        title: Title of the group.
        quantity: Label of the axis.
        lines: One line for each column.
        limits: Limits of the axis, which are the parameters' range with a margin.
        log: True if the axis is logarithmic.
        ticks: Positions of the ticks, or None.
        is_integer: True if the numbers are integers.
    """

    title: str
    quantity: str
    lines: tuple[Line, ...]
    limits: tuple[float, float]
    log: bool
    ticks: tuple[float, ...] | None
    is_integer: bool


@dataclass(frozen=True)
class Edits:
    """Edits of a code, step by step.

    Attributes:
        heading: Heading of the curves.
        curves: Predictions, costs, and the loss or the norm of its gradient.
        panels: Panels of columns, at most six.
        step: Word for a step, such as "iteration".
        names: Names of the T + 1 steps; None if they are numbered from 0.
        title: Title of the figure, or empty.
    """

    heading: str
    curves: tuple[Curve, ...]
    panels: tuple[Panel, ...]
    step: str = "iteration"
    names: tuple[str, ...] | None = None
    title: str = ""


def edits_of(
    trace: Trace,
    space: SearchSpace,
    *,
    start: int = 0,
    costs: Mapping[str, Cost] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Edits:
    """Return the content of ``plot_trace`` for one start.

    Raises:
        ValueError: If the start is outside 0..n-1, if the trace belongs to another space, or if an
            argument is not as described there.
    """
    codes = codes_of(trace, space, start)  # (T + 1, d)
    checks.instance("title", title, str | None, "be a string, or None")
    curves = _curves(trace, space, codes, start, costs or {}, units or {})
    falls = "loss" if curves[-1].label == "loss" else "gradient"
    return Edits(
        heading=f"Predictions and {falls}",
        curves=tuple(curves),
        panels=panels_of(space, codes),
        title=title or "",
    )


def pushes_of(
    trace: Trace, space: SearchSpace, *, start: int, iteration: int, largest: int
) -> tuple[list[str], list[float]]:
    """Return names of columns and the negative derivatives of the loss, the largest first.

    Raises:
        ValueError: If a start, iteration or number of bars is out of range, or if the trace
            belongs to another space.
    """
    codes = codes_of(trace, space, start)
    checks.integer("iteration", iteration, low=0, high=len(codes) - 1)
    checks.integer("largest", largest, low=1)
    push = -trace.gradients[iteration, start]
    picked = np.argsort(-np.abs(push), kind="stable")[:largest]
    return [space.columns[i] for i in picked], push[picked].tolist()


def codes_of(trace: Trace, space: SearchSpace, start: int) -> FloatArray:
    """Return the codes (T + 1, d) of one start.

    Raises:
        ValueError: If there is no such start, or if the trace belongs to another space.
    """
    checks.instance("trace", trace, Trace, "be a Trace, as propagate returns it")
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the trace's codes")
    if trace.codes.shape[2] != len(space.columns):
        raise ValueError(
            f"trace has codes with {trace.codes.shape[2]} columns, but space has "
            f"{len(space.columns)}; give the space that was searched"
        )
    checks.integer("start", start, low=0, high=trace.codes.shape[1] - 1)
    return trace.codes[:, start]


def panels_of(space: SearchSpace, codes: FloatArray) -> tuple[Panel, ...]:
    """Return the panels, at most six, that show codes (T + 1, d)."""
    unit = space.normalize(codes)
    exists = space.exists(space.round(codes), by_column=True)
    return tuple(
        _panel(title, quantity, columns, space, codes, unit, exists)
        for title, quantity, columns in _grouped(space)
    )


def _curves(
    trace: Trace,
    space: SearchSpace,
    codes: FloatArray,
    start: int,
    costs: Mapping[str, Cost],
    units: Mapping[str, str],
) -> list[Curve]:
    """Return the distinct curves; the last one is the loss or the norm of its gradient."""
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
    targets = {label(trace.targets, i): target for i, target in enumerate(trace.targets)}
    best = _best_so_far(trace, start) if targets.keys() == trace.predictions.keys() else None
    curves = []
    for name in first.values():
        values = named[name]
        text = _curve_label(name, known, targets.get(name))
        falls_back = best is not None and not np.array_equal(values[best], values)
        curves.append(Curve(text, values, best=values[best] if falls_back else None))
    return [*curves, _what_falls(trace, start)]


def _curve_label(name: str, units: Mapping[str, str], target: Target | None) -> str:
    """Return the label of a prediction: name, standard deviations added or subtracted, unit."""
    text, shown = with_unit(name, units), with_unit(name, {})
    if target is None or not target.beta or target.cost is not None:
        return text
    sign = "−" if target.sign > 0 else "+"
    return f"{shown} {sign} {target.beta:g} σ{text.removeprefix(shown)}"


def _best_so_far(trace: Trace, start: int) -> NDArray[np.intp]:
    """Return, for each iteration, the iteration of the best code so far, (T + 1,).

    The best code violates the bounds least. Among codes with equal violations, it is the code with
    the best weighted sum of the other targets.
    """
    gain, missed = np.zeros((2, len(trace.loss)))
    for i, target in enumerate(trace.targets):
        value = trace.predictions[label(trace.targets, i)][:, start]
        unit = target.scale or 1.0
        if target.bound is None:
            gain += target.sign * target.weight * value / unit
        else:
            missed += np.maximum(target.sign * (target.bound - value), 0.0) / unit
    best = [0]
    for i in range(1, len(gain)):
        better = (-missed[i], gain[i]) > (-missed[best[-1]], gain[best[-1]])
        best.append(i if better else best[-1])
    return np.array(best)


def _what_falls(trace: Trace, start: int) -> Curve:
    """Return the curve of the loss; if the loss is constant, of the norm of its gradient."""
    loss = trace.loss[:, start]
    if float(np.ptp(loss)) > _CONSTANT * max(float(np.abs(loss).max()), 1e-12):
        return Curve("loss", loss, from_zero=True)
    length = np.linalg.norm(trace.gradients[:, start], axis=-1)
    return Curve("gradient's length", length, from_zero=True)


def _grouped(space: SearchSpace) -> Iterator[tuple[str, str, list[int]]]:
    """Yield the title, the quantity and the columns of each panel, at most six."""
    groups = space.groups or _ranges(space)
    if len(groups) <= _PANELS:
        for title, quantity, names in groups:
            yield title, quantity, [i for name in names for i in _columns(space, name)]
        return
    names = space.columns
    for part in np.array_split(np.arange(len(names)), _PANELS):
        yield f"{names[part[0]]} to {names[part[-1]]}", "unit code", part.tolist()


def _columns(space: SearchSpace, name: str) -> range:
    at = space.column_slice(name)
    return range(at.start, at.stop)


def _ranges(space: SearchSpace) -> list[Group]:
    """Return groups of numeric parameters with the same range, and one group per categorical."""
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


def _panel(
    title: str,
    quantity: str,
    columns: list[int],
    space: SearchSpace,
    codes: FloatArray,
    unit: FloatArray,
    exists: NDArray[np.bool_],
) -> Panel:
    """Return a panel with a line for each of the given columns.

    Values are NaN where a parameter does not exist. Only the lines that moved farthest have colors.
    """
    values = np.where(exists, unit if quantity == "unit code" else codes, np.nan)
    moved = np.argsort(np.ptp(unit[:, columns], axis=0), kind="stable")
    told_apart = set(moved[-_NAMED:].tolist())
    lines = tuple(
        Line(
            space.columns[column].removeprefix(f"{title}="),
            values[:, column],
            i if i in told_apart else None,
        )
        for i, column in enumerate(columns)
    )
    numbers = [
        dim
        for dim in space.dimensions
        if space.column_slice(dim.name).start in columns and not isinstance(dim, Categorical)
    ]
    if quantity == "unit code" or not numbers:
        return Panel(title, quantity, lines, (-0.04, 1.04), False, None, False)
    low, high = min(dim.low for dim in numbers), max(dim.high for dim in numbers)
    log = all(dim.log for dim in numbers)
    if log:
        ratio = max((high / low) ** 0.04, 1.1)
        limits = low / ratio, high * ratio
    else:
        margin = 0.04 * (high - low) or 1.0
        limits = low - margin, high + margin
    ticks = tuple(channel_ticks(low, high)) if quantity == "channels" else None
    return Panel(title, quantity, lines, limits, log, ticks, isinstance(numbers[0], Integer))
