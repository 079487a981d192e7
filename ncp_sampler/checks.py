"""How arguments are refused: one ``ValueError``, which names the argument, its value, the remedy.

Each function returns the argument in the type that the caller works with. ``name`` is the
argument's, and ``where`` follows its value in the message: "weight=-1 of 'top1' must be ...".
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

DIRECTIONS = ("maximize", "minimize")
LARGEST_SEED = 2**32 - 1  # NumPy's old generators, and so Optuna, take no larger one

_SHOWN = 200  # characters of a value in a message


def shown(value: object) -> str:
    """The value as a message has it: on one line, long ones cut."""
    text = " ".join(repr(value)[: 2 * _SHOWN].split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refusal(name: str, value: object, must: str, where: str = "") -> ValueError:
    """The one wording: ``name=value must must``."""
    return ValueError(f"{name}={shown(value)}{where} must {must}")


def whole(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """A whole number of any type, within bounds that count themselves; True is none.

    Raises:
        ValueError: Anything else.
    """
    limits = _limits(low=low, high=high)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise refusal(name, value, f"be a whole number{_within(limits)}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        raise refusal(name, number, f"be {limits}")
    return number


def real(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    where: str = "",
) -> float:
    """A finite number of any type: at least ``low`` or ``above``, at most ``high`` or ``below``.

    Raises:
        ValueError: Anything else; True is no number.
    """
    limits = _limits(low=low, above=above, high=high, below=below)
    if not is_number(type(value)) or not _is_finite(value):
        raise refusal(name, value, f"be a finite number{_within(limits)}", where)
    number = float(value)
    within = (
        (low is None or number >= low)
        and (above is None or number > above)
        and (high is None or number <= high)
        and (below is None or number < below)
    )
    if not within:
        raise refusal(name, value, f"be {limits}", where)
    return number


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of some words.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise refusal(name, value, f"be one of {tuple(choices)}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False, also NumPy's.

    Raises:
        ValueError: Anything else: a word, such as "no", would count as True.
    """
    if not isinstance(value, bool | np.bool_):
        raise refusal(name, value, "be True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """A string that is not empty, such as a parameter's or a metric's name.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(value, str) or not value:
        raise refusal(name, value, "be a string that is not empty")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Names in order; a string alone is none, since its letters would be taken for them.

    Raises:
        ValueError: Anything else.
    """
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        raise refusal(name, value, "be a sequence of names")
    return tuple(text(name, one) for one in value)


def instance(name: str, value: Any, kind: Any, must: str) -> Any:
    """An object of a class; ``must`` says what to give, "be a SearchSpace, such as MRSpace()".

    Raises:
        ValueError: An object of another.
    """
    if not isinstance(value, kind):
        raise refusal(name, value, must)
    return value


def sequence(name: str, value: Any, kind: Any, must: str) -> list[Any]:
    """A list of objects of one class; neither a string nor an object of the class alone.

    Raises:
        ValueError: Anything else.
    """
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or not all(isinstance(one, kind) for one in value):
        raise refusal(name, value, must)
    return list(value)


def call(name: str, value: Any, must: str, *, required: bool = False) -> Any:
    """Something that can be called, or None where it is not required.

    Raises:
        ValueError: Anything else.
    """
    if not callable(value) and (required or value is not None):
        raise refusal(name, value, must)
    return value


def seed(value: Any, *, high: int | None = None, name: str = "seed") -> int | None:
    """A seed of random choices: a whole number from 0 on, or None for a fresh one.

    Raises:
        ValueError: Anything else.
    """
    if value is None:
        return None
    number = whole(name, value)
    if number < 0 or (high is not None and number > high):
        limits = "at least 0" if high is None else f"between 0 and {high}"
        raise refusal(name, number, f"be {limits}, or None")
    return number


def generator(value: Any) -> np.random.Generator:
    """A random generator as it is, or the one of a seed, as ``numpy.random.default_rng``.

    Raises:
        ValueError: Neither of them.
    """
    if isinstance(value, np.random.Generator):
        return value
    return np.random.default_rng(seed(value, name="rng"))


def array(name: str, value: Any) -> NDArray[np.float64]:
    """Numbers of any shape.

    Raises:
        ValueError: Anything else.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise refusal(name, value, "be numbers") from None


def path(name: str, value: Any, what: str = "a file or a folder") -> Path:
    """The path of something.

    Raises:
        ValueError: Neither a string nor a path.
    """
    return Path(instance(name, value, (str, os.PathLike), f"be the path of {what}"))


def directions(value: Any) -> dict[str, str]:
    """Metric's name -> "maximize" or "minimize"; at least one.

    Raises:
        ValueError: Anything else.
    """
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(isinstance(name, str) for name in value)
        or any(one not in DIRECTIONS for one in value.values())
    ):
        raise refusal("directions", value, f"map at least one metric to one of {DIRECTIONS}")
    return dict(value)


def is_number(kind: type) -> bool:
    """Whether values of a type count as numbers: bool and str do not."""
    return issubclass(kind, Real) and not issubclass(kind, bool)


def usable_device(device: str | torch.device) -> torch.device:
    """The device, once a number was put there and read back.

    Raises:
        ValueError: PyTorch does not know it, or cannot compute on it here.
    """
    try:
        torch.zeros(1, device=device).item()  # "meta" holds no numbers
        return torch.device(device)
    except Exception as error:  # AssertionError, RuntimeError, ...: each backend has its own
        raise ValueError(
            f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); use 'cpu', or "
            "a device that PyTorch lists as available"
        ) from error


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        return False


def _limits(
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> str:
    """In words; empty without any."""
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}" if high < 1e6 else f"between {low} and {high}"
    if low is not None and below is not None:
        return f"in [{low:g}, {below:g})"
    ends = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{word} {end:g}" for word, end in ends.items() if end is not None)


def _within(limits: str) -> str:
    """What follows "a number": " of at least 1", " between 1 and 4"."""
    return f" {'of ' if limits.startswith('at') else ''}{limits}" if limits else ""
