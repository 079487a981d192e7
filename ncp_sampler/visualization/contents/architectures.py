"""What figures of architectures and of params show: their numbers, part by part."""

from __future__ import annotations

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

PARTS = (  # title, numbers
    ("in", tuple(name for _, name in STEM)),
    *((f"stage {s.number}", (s.blocks, *s.units, *s.widths)) for s in STAGES),
    ("out", (OUTPUT,)),
)
DEEP = np.array([name in DEPTHS for name in NAMES])
KINDS = {"channels": BLUE, "blocks (b)": RED, "units (n)": ORANGE}
TOP, TITLES = 1.375, 158 / 128  # heights of an axis and of the titles, in its highest numbers

_BLOCKS = {stage.blocks for stage in STAGES}


@dataclass(frozen=True)
class Architectures:
    """Architectures of the 27 numbers.

    Attributes:
        rows: Label -> numbers (27,).
        colors: Of the 27.
        widest: Most channels.
        ticks: Of the channels' axis.
        deepest: Most blocks or units, as high as the most channels.
    """

    rows: dict[str, NDArray[np.int64]]
    colors: tuple[str, ...]
    widest: float
    ticks: tuple[float, ...]
    deepest: float


class Row(NamedTuple):
    """A parameter of several params.

    Attributes:
        name: The parameter.
        positions: From 0, the lowest value or the first choice, to 1, for each of the params.
        values: The same as texts.
    """

    name: str
    positions: tuple[float, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class ParamGroups:
    """Params of any space.

    Attributes:
        labels: Of the params, in order.
        groups: Title -> parameters.
    """

    labels: tuple[str, ...]
    groups: dict[str, tuple[Row, ...]]


def has_stages(space: SearchSpace) -> bool:
    """Whether a space has the 27 integers of an architecture."""
    dims = space.dimensions
    return space.names == NAMES and all(isinstance(dim, Integer) for dim in dims)


def architectures_of(codes: Mapping[str, ArrayLike], space: SearchSpace) -> Architectures:
    """What ``architecture_figure`` shows.

    Raises:
        ValueError: No code, an illegal one, or a space of other numbers.
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
    """What ``params_figure`` shows.

    Raises:
        ValueError: No code, an illegal one, or no space.
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
                    tuple(_position(space, name, one) for one in unit),
                    tuple(_text(params[name]) for params in known.values()),
                )
                for name in names
            )
    return ParamGroups(tuple(known), groups)


def _all_params(codes: Mapping[str, ArrayLike], space: SearchSpace) -> dict[str, Params]:
    if not checks.instance("codes", codes, Mapping, "map labels to codes"):
        raise ValueError("codes is empty; give at least one label and code")
    return {label: space.to_params(np.asarray(code).reshape(-1)) for label, code in codes.items()}


def _position(space: SearchSpace, name: str, unit: NDArray[np.float64]) -> float:
    """Of a number its place in the range, of a choice that among the choices."""
    part = unit[space.column_slice(name)]
    if len(part) == 1:
        return float(part[0])
    return float(part.argmax()) / (len(part) - 1)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
