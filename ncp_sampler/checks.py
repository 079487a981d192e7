"""Checks of arguments; each raises a ``ValueError`` that names argument, value and remedy.

Each check returns the argument in the type that the caller works with. ``name`` is the name of the
argument, and ``where`` follows its value in the message: "weight=-1 of 'top1' must be ...".
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
LARGEST_SEED = 2**32 - 1  # Largest seed of NumPy's old generators, and so of Optuna

_MAX_SHOWN = 200  # Number of characters of a value in a message


def shown(value: object) -> str:
    """Return a value for a message: on one line, cut if it is long."""
    text = " ".join(repr(value)[: 2 * _MAX_SHOWN].split())
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def refusal(name: str, value: object, must: str, where: str = "") -> ValueError:
    """Return the error ``name=value must must``."""
    return ValueError(f"{name}={shown(value)}{where} must {must}")


def integer(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """Return an integer of any integer type within inclusive bounds; True is none.

    Raises:
        ValueError: Anything else.
    """
    limits = _limits(low=low, high=high)
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise refusal(name, value, f"be an integer{_within(limits)}") from None
    if (low is not None and result < low) or (high is not None and result > high):
        raise refusal(name, result, f"be {limits}")
    return result


def number(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    where: str = "",
) -> float:
    """Return a finite number of any type as a float: >= low, > above, <= high, < below.

    Raises:
        ValueError: Anything else; True is no number.
    """
    limits = _limits(low=low, above=above, high=high, below=below)
    if not is_number(type(value)) or not _is_finite(value):
        raise refusal(name, value, f"be a finite number{_within(limits)}", where)
    result = float(value)
    within = (
        (low is None or result >= low)
        and (above is None or result > above)
        and (high is None or result <= high)
        and (below is None or result < below)
    )
    if not within:
        raise refusal(name, value, f"be {limits}", where)
    return result


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return a string that is one of ``choices``.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise refusal(name, value, f"be one of {tuple(choices)}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return True or False, NumPy's too.

    Raises:
        ValueError: Anything else: a word, such as "no", would count as True.
    """
    if not isinstance(value, bool | np.bool_):
        raise refusal(name, value, "be True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Return a string that is not empty, such as the name of a parameter or a metric.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(value, str) or not value:
        raise refusal(name, value, "be a string that is not empty")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Return names in order; a string alone is refused: its letters would be the names.

    Raises:
        ValueError: Anything else.
    """
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        raise refusal(name, value, "be a sequence of names")
    return tuple(text(name, item) for item in value)


def instance(name: str, value: Any, kind: Any, must: str) -> Any:
    """Return an object of a class; ``must`` is such as "be a SearchSpace, such as MRSpace()".

    Raises:
        ValueError: An object of another class.
    """
    # a class has the methods that a runtime-checkable Protocol looks for
    if isinstance(value, type) or not isinstance(value, kind):
        raise refusal(name, value, must)
    return value


def function(name: str, value: Any, must: str) -> Any:
    """Return what can be called, a class too; ``must`` is such as "be a function of a code".

    Raises:
        ValueError: Anything else.
    """
    if not callable(value):
        raise refusal(name, value, must)
    return value


def sequence(name: str, value: Any, kind: Any, must: str) -> list[Any]:
    """Return a list of objects of a class; a string, or an object alone, is refused.

    Raises:
        ValueError: Anything else.
    """
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or not all(isinstance(item, kind) for item in value):
        raise refusal(name, value, must)
    return list(value)


def call(name: str, value: Any, must: str, *, required: bool = False) -> Any:
    """Return a callable, or None if that is not required.

    Raises:
        ValueError: Anything else.
    """
    if not callable(value) and (required or value is not None):
        raise refusal(name, value, must)
    return value


def seed(value: Any, *, high: int | None = None, name: str = "seed") -> int | None:
    """Return a seed: an integer of at least 0, or None for a fresh one.

    Raises:
        ValueError: Anything else.
    """
    if value is None:
        return None
    result = integer(name, value)
    if result < 0 or (high is not None and result > high):
        limits = "at least 0" if high is None else f"between 0 and {high}"
        raise refusal(name, result, f"be {limits}, or None")
    return result


def generator(value: Any) -> np.random.Generator:
    """Return a random generator as it is, or one made of a seed, as ``numpy.random.default_rng``.

    Raises:
        ValueError: Neither.
    """
    if isinstance(value, np.random.Generator):
        return value
    return np.random.default_rng(seed(value, name="rng"))


def array(name: str, value: Any) -> NDArray[np.float64]:
    """Return an array of numbers, of any shape.

    Raises:
        ValueError: Anything else.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise refusal(name, value, "be numbers") from None


def path(name: str, value: Any, what: str = "a file or a folder") -> Path:
    """Return a path; ``what`` it leads to is for the message.

    Raises:
        ValueError: Neither a string nor a path.
    """
    return Path(instance(name, value, (str, os.PathLike), f"be the path of {what}"))


def directions(value: Any) -> dict[str, str]:
    """Return name of a metric -> "maximize" or "minimize"; at least one.

    Raises:
        ValueError: Anything else.
    """
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(isinstance(name, str) for name in value)
        or any(direction not in DIRECTIONS for direction in value.values())
    ):
        raise refusal("directions", value, f"map at least one metric to one of {DIRECTIONS}")
    return dict(value)


def is_number(kind: type) -> bool:
    """Return True if values of a type count as numbers: bool and str do not."""
    return issubclass(kind, Real) and not issubclass(kind, bool)


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device, after writing a number there and reading it back.

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
    """Return bounds in words; empty without any."""
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}" if high < 1e6 else f"between {low} and {high}"
    if low is not None and below is not None:
        return f"in [{low:g}, {below:g})"
    ends = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{word} {end:g}" for word, end in ends.items() if end is not None)


def _within(limits: str) -> str:
    """Return bounds as they follow "a number": " of at least 1", " between 1 and 4"."""
    return f" {'of ' if limits.startswith('at') else ''}{limits}" if limits else ""
