"""Colours, sizes, ticks and labels that the figures share; they are drawn at 100 dots an inch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Okabe and Ito's, told apart by colour-blind readers too
BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
COLORS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)
GREY, LINE = "#BFBFBF", BLACK  # what is not told apart; axes at 0, diagonals
DPI = 100
SMALL, MEDIUM, LARGE = 8, 9, 11  # font sizes in points


def channel_ticks(fewest: float, most: float) -> list[float]:
    """The fewest channels and quarters of the most: 8, 32, 64, 96 and 128."""
    quarters = (most * i / 4 for i in range(1, 5))
    return sorted({fewest, *(tick for tick in quarters if tick >= fewest)})


def sign_colors(numbers: Iterable[float]) -> list[str]:
    """Of bars: blue where a number is 0 or above, red where it is below."""
    return [BLUE if number >= 0 else RED for number in numbers]


def with_unit(name: str, units: Mapping[str, str]) -> str:
    """Name with its unit, also of a name with its predictor: ``top1[1]``."""
    unit = units.get(name, units.get(name.split("[", maxsplit=1)[0]))
    shown = name.replace("flops", "FLOPs")
    return f"{shown} ({unit})" if unit else shown
