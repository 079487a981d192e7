"""Option types for argparse: numbers within limits, names, metrics, bounds and functions."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # so that --help does not import NumPy
    import numpy as np
    from numpy.typing import NDArray

_DIRECTIONS = {"max": "maximize", "min": "minimize", "maximize": "maximize", "minimize": "minimize"}


class Bound(NamedTuple):
    """Limit on a column or a cost: at most (minimize) or at least (maximize) a value."""

    name: str
    direction: str
    value: float

    def is_satisfied_by(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return a mask of the values within the limit; False for missing values (NaN)."""
        return values <= self.value if self.direction == "minimize" else values >= self.value

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.direction == 'minimize' else '>='}{self.value:g}"


class CostTerm(NamedTuple):
    """Name of a cost, and the module and name of its function."""

    name: str
    module: str
    function: str


def at_least(low: float) -> Callable[[str], float]:
    """Return an argparse type for finite numbers that are at least ``low``."""

    def number(text: str) -> float:
        return _within(text, float(text), f"at least {low:g}", lambda value: value >= low)

    return number


def above(low: float) -> Callable[[str], float]:
    """Return an argparse type for finite numbers above ``low``."""

    def number(text: str) -> float:
        return _within(text, float(text), f"above {low:g}", lambda value: value > low)

    return number


def integer_at_least(low: int) -> Callable[[str], int]:
    """Return an argparse type for integers that are at least ``low``."""

    def number(text: str) -> int:
        return int(_within(text, int(text), f"at least {low}", lambda value: value >= low))

    return number


def numbers(text: str) -> tuple[float, ...]:
    """Return nonnegative numbers, given as text separated by commas."""
    return tuple(at_least(0)(part) for part in names(text))


def limits(text: str) -> float | dict[str, float]:
    """Return a positive number, or name -> number for ``NAME=NUMBER`` pairs separated by commas."""
    if "=" not in text:
        return above(0)(text)
    terms = [term.rpartition("=")[::2] for term in names(text)]
    return {name.strip(): above(0)(value) for name, value in terms}


def names(text: str) -> tuple[str, ...]:
    """Return names, given as text separated by commas, in order and without empty names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def metrics(text: str) -> tuple[tuple[str, str], ...]:
    """Return (metric, direction) pairs, given as ``NAME[:max|min]`` separated by commas."""
    terms = []
    for term in names(text):
        name, _, end = term.rpartition(":")
        direction = _DIRECTIONS.get(end.strip()) if name else None
        terms.append((name.strip(), direction) if direction else (term, "maximize"))
    return tuple(terms)


def bound(text: str) -> Bound:
    """Return the limit given as ``NAME<=NUMBER`` or ``NAME>=NUMBER``."""
    match = re.fullmatch(r"\s*(.*[^\s<>=])\s*([<>])=\s*(\S+)\s*", text)
    try:
        value = float(match[3] if match else "")
        if match and math.isfinite(value):
            return Bound(match[1], "minimize" if match[2] == "<" else "maximize", value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} must be NAME<=NUMBER or NAME>=NUMBER in quotation marks, such as 'gflops<=0.5'"
    )


def cost(text: str) -> CostTerm:
    """Return the cost given as ``[NAME=]MODULE:FUNCTION``."""
    match = re.fullmatch(r"(?:(.+)=)?([\w.]+):(\w+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be [NAME=]MODULE:FUNCTION, such as gflops=mycosts:gflops for the "
            "function gflops(params) of mycosts.py"
        )
    return CostTerm(match[1] or match[3], match[2].removesuffix(".py"), match[3])


def _within(text: str, value: float, limits: str, holds: Callable[[float], bool]) -> float:
    if not (math.isfinite(value) and holds(value)):
        raise argparse.ArgumentTypeError(f"{text} must be {limits}")  # argparse names the option
    return value
