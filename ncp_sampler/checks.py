"""Argument checks that raise a ``ValueError`` with the argument, its value and the remedy.

Each check returns the argument in the type that the caller uses. ``name`` is the name of the
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
LARGEST_SEED = 2**32 - 1  # Largest seed of NumPy's legacy generators and of Optuna
# Requirement in messages about a search space; a bare list of dimensions is a common mistake
A_SPACE = "be a SearchSpace, such as SearchSpace([Float('x', 0, 1)]) or MRSpace()"

_MAX_SHOWN = 200  # Maximum number of characters of a value in a message


def shown(value: object) -> str:
    """Format a value for a message on one line, and shorten it if it is long."""
    try:
        printed = repr(value)
    except ValueError:  # Python does not print integers of more than 4,300 digits
        printed = f"<{type(value).__name__} with too many digits>"
    return cut(" ".join(printed[: 2 * _MAX_SHOWN].split()))


def cut(text: str) -> str:
    """Shorten a text for a message if it is long."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def refusal(name: str, value: object, must: str, where: str = "") -> ValueError:
    """Return the error "name=value must ..."."""
    return ValueError(f"{name}={shown(value)}{where} must {must}")


def integer(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """Return an integer (of any integer type) within inclusive bounds; reject booleans.

    Raises:
        ValueError: For any other value.
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
    """Return a finite number of any numeric type within the given bounds, as a float.

    Raises:
        ValueError: For any other value, including booleans.
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
        ValueError: For any other value.
    """
    if not isinstance(value, str) or value not in choices:
        raise refusal(name, value, f"be one of {tuple(choices)}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return a Python or NumPy boolean.

    Raises:
        ValueError: For any other value; a string such as "no" would count as True.
    """
    if not isinstance(value, bool | np.bool_):
        raise refusal(name, value, "be True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Return a non-empty string, such as the name of a parameter or a metric.

    Raises:
        ValueError: For any other value.
    """
    if not isinstance(value, str) or not value:
        raise refusal(name, value, "be a string that is not empty")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Return names in order; reject a string, because each letter would be taken as a name.

    Raises:
        ValueError: For any other value.
    """
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        raise refusal(name, value, "be a sequence of names")
    return tuple(text(name, item) for item in value)


def instance(name: str, value: Any, kind: Any, must: str) -> Any:
    """Return an instance of a class; ``must`` states the requirement, such as "be a function".

    Raises:
        ValueError: For an object of another class.
    """
    # A class has the methods that a runtime-checkable Protocol looks for
    if isinstance(value, type) or not isinstance(value, kind):
        raise refusal(name, value, must)
    return value


def function(name: str, value: Any, must: str) -> Any:
    """Return a callable, such as a function or a class; ``must`` as for ``instance``.

    Raises:
        ValueError: For any other value.
    """
    if not callable(value):
        raise refusal(name, value, must)
    return value


def sequence(name: str, value: Any, kind: Any, must: str) -> list[Any]:
    """Return a list of instances of a class; reject a string or a single object.

    Raises:
        ValueError: For any other value.
    """
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or not all(isinstance(item, kind) for item in value):
        raise refusal(name, value, must)
    return list(value)


def call(name: str, value: Any, must: str, *, required: bool = False) -> Any:
    """Return a callable; accept None unless ``required`` is True.

    Raises:
        ValueError: For any other value.
    """
    if not callable(value) and (required or value is not None):
        raise refusal(name, value, must)
    return value


def seed(value: Any, *, high: int | None = None, name: str = "seed") -> int | None:
    """Return a seed: a nonnegative integer, or None for a random seed.

    Raises:
        ValueError: For any other value.
    """
    if value is None:
        return None
    result = integer(name, value)
    if result < 0 or (high is not None and result > high):
        limits = "at least 0" if high is None else f"between 0 and {high}"
        raise refusal(name, result, f"be {limits}, or None")
    return result


def generator(value: Any) -> np.random.Generator:
    """Return a random generator, or create one from a seed like ``numpy.random.default_rng``.

    Raises:
        ValueError: For any other value.
    """
    if isinstance(value, np.random.Generator):
        return value
    return np.random.default_rng(seed(value, name="rng"))


def array(name: str, value: Any) -> NDArray[np.float64]:
    """Return an array of numbers, of any shape.

    Raises:
        ValueError: For any other value.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise refusal(name, value, "be numbers") from None


def scales(value: Any, d: int | None = None) -> NDArray[np.float64]:
    """Return the ``scale`` of a strategy as an array, which is 1 for None.

    Raises:
        ValueError: It is not positive numbers; or d is given, and it is neither one nor d numbers.
    """
    try:
        scale = np.asarray(1.0 if value is None else value, dtype=np.float64)
    except (TypeError, ValueError):
        scale = np.zeros(1)
    if scale.ndim > 1 or not (np.isfinite(scale) & (scale > 0)).all():
        raise refusal("scale", value, "be d numbers above 0, or None")
    if d is not None and scale.shape not in ((), (d,)):
        raise ValueError(f"scale has shape {scale.shape}; it must be {d} numbers above 0")
    return scale


def path(name: str, value: Any, what: str = "a file or a folder") -> Path:
    """Return a path; ``what`` describes the file or folder in the message.

    Raises:
        ValueError: For a value that is neither a string nor a path.
    """
    return Path(instance(name, value, (str, os.PathLike), f"be the path of {what}"))


def directions(value: Any) -> dict[str, str]:
    """Return metric names -> "maximize" or "minimize"; there must be at least one.

    Raises:
        ValueError: For any other value.
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
    """Return True if a type is numeric; bool and str are not."""
    return issubclass(kind, Real) and not issubclass(kind, bool)


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device after writing a number to it and reading it back.

    Raises:
        ValueError: If PyTorch does not know the device, or cannot compute on it here.
    """
    try:
        torch.zeros(1, device=device).item()  # The device "meta" stores no numbers
        return torch.device(device)
    except Exception as error:  # The type of the error depends on the backend
        raise ValueError(
            f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); use 'cpu', or "
            "a device that PyTorch lists as available"
        ) from error


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # Integer beyond the range of floats
        return False


def _limits(
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> str:
    """Return the bounds in words; an empty string if there are none."""
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}" if high < 1e6 else f"between {low} and {high}"
    if low is not None and below is not None:
        return f"in [{low:g}, {below:g})"
    ends = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{word} {end:g}" for word, end in ends.items() if end is not None)


def _within(limits: str) -> str:
    """Return the bounds as a phrase to append to "a number", such as " of at least 1"."""
    return f" {'of ' if limits.startswith('at') else ''}{limits}" if limits else ""
