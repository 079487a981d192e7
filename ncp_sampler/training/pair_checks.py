"""Checks of arguments that are pairs of numbers, such as a height and width or a range."""

from __future__ import annotations

from typing import Any

from ncp_sampler import checks


def check_size(name: str, value: Any, *, low: int) -> tuple[int, int]:
    """Return a height and a width after checking that they are integers of at least ``low``.

    Raises:
        ValueError: The value is anything else.
    """
    try:
        height, width = (checks.integer(name, side, low=low) for side in value)
    except (TypeError, ValueError):
        must = f"be a height and a width of at least {low}"
        raise checks.refusal(name, value, must) from None
    return height, width


def check_range(name: str, value: Any) -> tuple[float, float]:
    """Return the ends of a range after checking that 0 < low <= high.

    Raises:
        ValueError: The value is anything else.
    """
    try:
        low, high = (checks.number(name, end, above=0) for end in value)
        checks.number(name, high, low=low)
    except (TypeError, ValueError):
        must = "be a low end above 0 and a high end that is not below it"
        raise checks.refusal(name, value, must) from None
    return low, high
