"""Contents of figures of architectures and of params."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import DEPTHS, NAMES, OUTPUT, STAGES, STEM
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import Params, SearchSpace
from ncp_sampler.visualization.style import BLUE, ORANGE, RED, channel_ticks

PARTS = (  # title and parameters of each part of an architecture
    ("in", tuple(name for _, name in STEM)),
    *((f"stage {s.number}", (s.blocks, *s.units, *s.widths)) for s in STAGES),
    ("out", (OUTPUT,)),
)
DEEP = np.array([name in DEPTHS for name in NAMES])
KINDS = {"channels": BLUE, "blocks (b)": RED, "units (n)": ORANGE}
TOP, TITLES = 1.375, 158 / 128  # Heights of an axis and of its titles, relative to its maximum

_BLOCKS = {stage.blocks for stage in STAGES}


@dataclass(frozen=True)
class Architectures:
    """Architectures, each described by the 27 integers of ``MRSpace``.

    Attributes:
        rows: Label -> integers (27,).
        colors: Color of each of the 27 bars.
        widest: Maximum number of channels.
        ticks: Ticks of the axis for channels.
        deepest: Maximum number of blocks or units, drawn at the height of ``widest``.
    """

    rows: dict[str, NDArray[np.int64]]
    colors: tuple[str, ...]
    widest: float
    ticks: tuple[float, ...]
    deepest: float


class Row(NamedTuple):
    """Values of one parameter in several sets of params.

    Attributes:
        name: Name of the parameter.
        positions: Position of each value in the range, from 0 (lowest value or first category) to
            1; NaN where the parameter does not exist.
        values: The values as text.
    """

    name: str
    positions: tuple[float, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class ParamGroups:
    """Params of any space, by group of parameters.

    Attributes:
        labels: Label of each set of params.
        groups: Title of the group -> rows of its parameters.
    """

    labels: tuple[str, ...]
    groups: dict[str, tuple[Row, ...]]


def has_stages(space: SearchSpace) -> bool:
    """Return True if a space has the 27 integers of ``MRSpace``."""
    dims = space.dimensions
    return space.names == NAMES and all(isinstance(dim, Integer) for dim in dims)


def architectures_of(codes: Mapping[str, ArrayLike], space: SearchSpace) -> Architectures:
    """Return the content of ``plot_architectures``.

    Raises:
        ValueError: If there are no codes, a code is invalid, or the space has other parameters.
    """
    if not isinstance(space, SearchSpace) or not has_stages(space):
        raise checks.refusal("space", space, "be MRSpace, whose codes have stages to draw")
    integers = {dim.name: dim for dim in space.dimensions if isinstance(dim, Integer)}
    rows = {}
    for label, params in _all_params(codes, space).items():
        rows[label] = np.array([params[name] for name in NAMES])
    widths = [dim for name, dim in integers.items() if name not in DEPTHS]
    fewest, most = min(dim.low for dim in widths), max(dim.high for dim in widths)
    deep = {name: RED if name in _BLOCKS else ORANGE for name in DEPTHS}
    return Architectures(
        rows=rows,
        colors=tuple(deep.get(name, BLUE) for name in NAMES),
        widest=most,
        ticks=tuple(channel_ticks(fewest, most)),
        deepest=max(integers[name].high for name in DEPTHS),
    )


def params_of(codes: Mapping[str, ArrayLike], space: SearchSpace) -> ParamGroups:
    """Return the content of ``plot_params``.

    Raises:
        ValueError: If there are no codes, a code is invalid, or ``space`` is not a search space.
    """
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the codes")
    known = _all_params(codes, space)
    unit = np.array([space.normalize(space.to_code(params)) for params in known.values()])
    grouped = {title: names for title, _, names in space.groups}
    rest = tuple(name for name in space.names if not any(name in g for g in grouped.values()))
    groups = {}
    for title, names in {**grouped, ("Others" if grouped else ""): rest}.items():
        if names:
            groups[title] = tuple(
                Row(
                    name,
                    tuple(
                        _position(space, name, column) if name in params else math.nan
                        for column, params in zip(unit, known.values(), strict=True)
                    ),
                    tuple(_text(params.get(name, "")) for params in known.values()),
                )
                for name in names
            )
    return ParamGroups(tuple(known), groups)


def _all_params(codes: Mapping[str, ArrayLike], space: SearchSpace) -> dict[str, Params]:
    if not checks.instance("codes", codes, Mapping, "map labels to codes"):
        raise ValueError("codes is empty; give at least one label and code")
    return {label: space.to_params(np.asarray(code).reshape(-1)) for label, code in codes.items()}


def _position(space: SearchSpace, name: str, unit: NDArray[np.float64]) -> float:
    """Return the position, from 0 to 1, of a value in its range or a category in its list."""
    part = unit[space.column_slice(name)]
    if len(part) == 1:
        return float(part[0])
    return float(part.argmax()) / (len(part) - 1)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
