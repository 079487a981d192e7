"""Hypothesis strategies: search spaces, values and metrics, including unusual ones.

All of it is drawn as plain values whose ``repr`` can be pasted into a test, and shrinks to few,
short and round ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from hypothesis import reject
from hypothesis import strategies as st

from ncp_sampler.space.dimensions import Categorical, Dimension, Float, Integer

LARGEST_INTEGER = 2**53  # beyond, a float does not tell whole numbers apart
_WIDEST = 8.9e307  # ends whose difference is a number still
_MAX_COLUMNS = 900  # of a case's space, for its time

Dimensions: TypeAlias = tuple[Dimension, ...]
Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Setup:
    """A search's metrics and settings."""

    directions: tuple[str, ...] = ("minimize",)
    seed: int = 0
    n_startup_trials: int = 1
    strategy: str = "continuous"
    deterministic_objective: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        """All but the directions, by name."""
        return {name: value for name, value in vars(self).items() if name != "directions"}


setups = st.builds(
    Setup,
    directions=st.lists(st.sampled_from(["minimize", "maximize"]), min_size=1, max_size=4).map(
        tuple
    ),
    seed=seeds,
    n_startup_trials=st.integers(1, 3),  # few: the predictor is what is tried
    strategy=st.sampled_from(["continuous", "winner_takes_all"]),
    deterministic_objective=st.sampled_from([True, True, True, False]),
)


def rarely(one_in: int = 16) -> st.SearchStrategy[bool]:
    """True for about one case in so many."""
    return st.sampled_from([False] * (one_in - 1) + [True])


@st.composite
def floats(draw: Draw, name: str = "x") -> Float:
    """A float dimension: linear, log or stepped; a few ulps, a single value, or all floats wide."""
    kind = draw(st.sampled_from(["linear", "log", "step", "narrow", "tiny", "wide"]))
    if kind == "step":
        return _stepped(draw, name)
    log = kind == "log" or (kind != "linear" and draw(st.booleans()))
    least = math.ulp(0.0) if log else -_WIDEST
    if kind == "narrow":
        low = draw(st.floats(least, _WIDEST))
        high = low
        for _ in range(draw(st.integers(0, 5))):
            high = math.nextafter(high, math.inf)
    elif kind == "tiny":  # below the least normal number
        low, high = sorted(draw(st.tuples(*[st.floats(max(least, -1e-307), 1e-307)] * 2)))
    elif kind == "wide":
        high = draw(st.floats(1e300, 1.7e308 if log else _WIDEST))
        low = draw(st.floats(least, 1e-300)) if log else -draw(st.floats(1e-300, _WIDEST))
    else:
        ends = st.floats(1e-9 if log else -1e9, 1e9)
        low, high = sorted(draw(st.tuples(ends, ends)))
    return Float(name, low, high, log=log)


def _stepped(draw: Draw, name: str) -> Float:
    """Low, step and count of steps are drawn; the high end follows."""
    exponent = draw(st.one_of(st.integers(-3, 3), st.integers(-290, 290)))
    step = draw(st.integers(1, 999)) * 10.0**exponent
    count = draw(st.one_of(st.integers(1, 12), st.integers(1, 10**9)))
    offset = draw(st.one_of(st.integers(-12, 12), st.integers(-(10**10), 10**10)))
    low = float(offset * Decimal(str(step)))
    if draw(rarely(8)):  # anywhere; few such grids end where Optuna's do
        low = draw(st.floats(-1e9, 1e9)) * step
    try:
        high = float(Decimal(str(low)) + count * Decimal(str(step)))
        return Float(name, low, high, step=step)
    except ValueError:  # a grid too fine for its bounds
        return reject()


@st.composite
def integers(draw: Draw, name: str = "x") -> Integer:
    """An integer dimension: few values or up to 2**53 of them; steps or log."""
    log = draw(st.booleans())
    ends = st.one_of(st.integers(-20, 20), st.integers(-(2**52), 2**52))
    if log:
        ends = st.one_of(st.integers(1, 20), st.integers(1, LARGEST_INTEGER))
    low, high = sorted(draw(st.tuples(ends, ends)))
    if log:
        return Integer(name, low, high, log=True)
    step = draw(st.one_of(st.integers(1, 4), st.integers(1, 2**40)))
    return Integer(name, low, high - (high - low) % step, step=step)


def choices(*, alike: bool = True) -> st.SearchStrategy[tuple[Any, ...]]:
    """Choices of mixed types, rarely hundreds.

    Args:
        alike: Whether choices may be equal and of unlike types, as True, 1 and 1.0.
    """
    value = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
    )
    few = st.lists(value, min_size=1, max_size=6, unique_by=repr if alike else _equality)
    many = st.integers(7, 400).map(lambda n: tuple(range(n)))
    return rarely().flatmap(lambda rare: many if rare else few.map(tuple))


def json_choices() -> st.SearchStrategy[tuple[Any, ...]]:
    """Choices that JSON can hold but changes: tuples, and dictionaries with integers as keys."""
    plain = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=2))
    row = st.lists(st.integers(0, 3), max_size=3)
    keys = st.one_of(st.integers(0, 3), st.sampled_from(["a", "b"]))
    value = st.one_of(
        plain,
        row,
        row.map(tuple),
        st.tuples(row.map(tuple), row.map(tuple)),
        st.dictionaries(keys, st.one_of(plain, row.map(tuple)), min_size=1, max_size=2),
    )
    return st.lists(value, min_size=1, max_size=5, unique_by=_json_form).map(tuple)


def _json_form(choice: Any) -> str:
    return json.dumps(json.loads(json.dumps(choice)), sort_keys=True)


def _equality(choice: Any) -> Any:
    """Equal for choices that a host cannot tell apart."""
    return "nan" if isinstance(choice, float) and math.isnan(choice) else choice


@st.composite
def categoricals(draw: Draw, name: str = "x", *, alike: bool = True) -> Categorical:
    return Categorical(name, draw(choices(alike=alike)))


def dimensions(name: str = "x", *, alike: bool = True) -> st.SearchStrategy[Any]:
    return st.one_of(integers(name), floats(name), categoricals(name, alike=alike))


@st.composite
def spaces(draw: Draw, *, alike: bool = True) -> Dimensions:
    """One to five dimensions, rarely a few repeated to as many as 300; odd names among them."""
    prefix = draw(st.sampled_from(["x", "x", "x", "a/", "ä = ", "0"]))
    drawn = [draw(dimensions(f"{prefix}{i}", alike=alike)) for i in range(draw(st.integers(1, 5)))]
    if draw(rarely()):
        widths = [len(dim.choices) if isinstance(dim, Categorical) else 1 for dim in drawn]
        most = max(1, min(300, _MAX_COLUMNS // max(widths)))
        copies = draw(st.integers(1, most))
        drawn = [_renamed(drawn[i % len(drawn)], f"{prefix}{i}") for i in range(copies)]
    return tuple(drawn)


def _renamed(dim: Dimension, name: str) -> Dimension:
    if isinstance(dim, Categorical):
        return Categorical(name, dim.choices)
    if isinstance(dim, Integer):
        return Integer(name, dim.low, dim.high, dim.step, dim.log)
    return Float(name, dim.low, dim.high, dim.step, dim.log)


def values_of(dim: Dimension) -> st.SearchStrategy[Any]:
    """A valid value of a dimension."""
    if isinstance(dim, Categorical):
        return st.sampled_from(dim.choices)
    if isinstance(dim, Integer):
        return st.integers(0, (dim.high - dim.low) // dim.step).map(
            lambda k: dim.low + k * dim.step
        )
    if dim.step is None:
        return st.floats(dim.low, dim.high)
    low, step = Decimal(str(dim.low)), Decimal(str(dim.step))
    return st.integers(0, round((dim.high - dim.low) / dim.step)).map(
        lambda k: float(low + k * step)
    )


def near(dim: Dimension) -> st.SearchStrategy[Any]:
    """A value that a user may hold for valid: a number off the range or the grid."""
    if isinstance(dim, Categorical):
        return values_of(dim)
    if isinstance(dim, Integer):
        return st.integers(max(dim.low - 3, 1 if dim.log else -(2**60)), dim.high + 3)
    least = math.ulp(0.0) if dim.log else -1e300  # Optuna and Ray refuse what has no log
    return st.one_of(st.floats(dim.low, dim.high), st.floats(least, 1e300))


def params_of(dims: Dimensions, *, valid: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """A value for each dimension."""
    return st.fixed_dictionaries({dim.name: (values_of if valid else near)(dim) for dim in dims})


def some_params_of(dims: Dimensions, *, valid: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Values for some dimensions: one, half of them, or all."""
    parts = st.sampled_from(sorted({1, (len(dims) + 1) // 2, len(dims)}))
    first = st.integers(0, len(dims) - 1)
    return st.tuples(parts, first).flatmap(
        lambda part: params_of((dims + dims)[part[1] : part[1] + part[0]], valid=valid)
    )


@st.composite
def metric_lists(draw: Draw, n_trials: int, n_metrics: int) -> list[tuple[float, ...]]:
    """Values of each trial: of any size, ties, all equal, apart by a few ulps; odd ones among."""
    kind = draw(st.sampled_from(["plain", "any", "ties", "equal", "ulps", "scales"]))
    base = draw(st.floats(allow_nan=False, allow_infinity=False))
    if kind == "scales":
        value = st.integers(-323, 308).map(lambda e: float(f"1e{e}"))
    elif kind == "ulps":
        value = st.integers(-4, 4).map(lambda k: base + k * math.ulp(base))
    else:
        value = {
            "plain": st.floats(-10, 10),
            "any": st.floats(),
            "ties": st.integers(0, 2).map(float),
            "equal": st.just(base),
        }[kind]
    odd = st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0])
    metric = st.one_of(value, value, value, odd)
    row = st.tuples(*[metric] * n_metrics)
    return [draw(row) for _ in range(n_trials)]


def named(values: Sequence[Any], *, missing: bool = False) -> dict[str, Any]:
    """Values or directions by metric, as many as there are; without the NaN if ``missing``."""
    rows = {f"m{i}": value for i, value in enumerate(values)}
    return {k: v for k, v in rows.items() if not (missing and math.isnan(v))}
