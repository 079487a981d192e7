"""Colors, sizes, ticks and labels of all figures, which are drawn at 100 dots per inch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Colors of Okabe and Ito, which readers with color blindness can distinguish
BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
COLORS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)
GREY, LINE = "#BFBFBF", BLACK  # Color of secondary lines; color of zero lines and diagonals
DPI = 100
SMALL, MEDIUM, LARGE = 8, 9, 11  # Font sizes in points


def channel_ticks(fewest: float, most: float) -> list[float]:
    """Return ticks at the lowest number of channels, and at each quarter of the highest number."""
    quarters = (most * i / 4 for i in range(1, 5))
    return sorted({fewest, *(tick for tick in quarters if tick >= fewest)})


def shorten(text: str, room: int) -> str:
    """Shorten a text to at most ``room`` characters by replacing its middle with an ellipsis."""
    if len(text) <= room:
        return text
    tail = (room - 1) // 2
    return f"{text[: room - 1 - tail]}…{text[len(text) - tail :]}"


def wrap(text: str, room: int) -> list[str]:
    """Return a text as one line, or as two lines of at most ``room`` characters.

    The line break is after a space or another character that separates parts of a name, if the
    second half of the first line has one.
    """
    if len(text) <= room:
        return [text]
    breaks = [i + 1 for i, c in enumerate(text[:room]) if c in " _./-:" and i >= room // 2]
    at = breaks[-1] if breaks else room
    return [text[:at].rstrip(), shorten(text[at:].lstrip(), room)]


def sign_colors(numbers: Iterable[float]) -> list[str]:
    """Return the colors of bars: blue for nonnegative numbers, red for negative numbers."""
    return [BLUE if number >= 0 else RED for number in numbers]


def with_unit(name: str, units: Mapping[str, str]) -> str:
    """Return a name with its unit; the name may contain a predictor's index, as in ``top1[1]``."""
    unit = units.get(name, units.get(name.split("[", maxsplit=1)[0]))
    shown = name.replace("flops", "FLOPs")
    return f"{shown} ({unit})" if unit else shown
