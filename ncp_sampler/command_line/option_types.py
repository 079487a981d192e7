"""Types of options for argparse: numbers within limits, names with commas between."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def at_least(low: float) -> Callable[[str], float]:
    """A finite number from ``low`` on."""

    def number(text: str) -> float:
        return _within(text, float(text), f"at least {low:g}", lambda value: value >= low)

    return number


def above(low: float) -> Callable[[str], float]:
    """A finite number beyond ``low``."""

    def number(text: str) -> float:
        return _within(text, float(text), f"above {low:g}", lambda value: value > low)

    return number


def whole(low: int) -> Callable[[str], int]:
    """A whole number from ``low`` on."""

    def number(text: str) -> int:
        return int(_within(text, int(text), f"at least {low}", lambda value: value >= low))

    return number


def names(text: str) -> tuple[str, ...]:
    """Names with commas between, in order; empty ones are left out."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _within(text: str, value: float, limits: str, holds: Callable[[float], bool]) -> float:
    if not (math.isfinite(value) and holds(value)):
        raise argparse.ArgumentTypeError(f"{text} must be {limits}")  # argparse names the option
    return value
