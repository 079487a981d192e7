"""One dimension of a search space: a whole number, a real number, or a choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

STEP_TOLERANCE = 1e-8  # of one step, as optuna.distributions.FloatDistribution


@dataclass(frozen=True)
class Integer:
    """A whole number in ``low, low + step, ..., high``, both ends included.

    Attributes:
        name: The parameter's name.
        low: Smallest value.
        high: Largest value, a whole number of steps above ``low``.
        step: Distance between neighbouring values; 1 if ``log``.
        log: Whether the dimension is searched in log.

    Raises:
        ValueError: An empty range, a step that does not divide it, or ``log`` with a step or
            with ``low < 1``.
    """

    name: str
    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.name, self.low, self.high)
        for field in ("low", "high", "step"):
            value = getattr(self, field)
            if isinstance(value, bool) or int(value) != value:
                raise ValueError(f"{self.name}: {field}={value!r} must be an int; use Float")
            object.__setattr__(self, field, int(value))
        if self.step < 1:
            raise ValueError(f"{self.name}: step={self.step} must be at least 1")
        if (self.high - self.low) % self.step:
            top = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"{self.name}: high={self.high} is no whole number of steps of {self.step} "
                f"above low={self.low}; use high={top}"
            )
        if self.log and (self.step != 1 or self.low < 1):
            raise ValueError(
                f"{self.name}: log=True needs step=1 and low >= 1, got step={self.step} and "
                f"low={self.low}"
            )


@dataclass(frozen=True)
class Float:
    """A real number in ``[low, high]``, on a grid if ``step`` is given.

    Attributes:
        name: The parameter's name.
        low: Smallest value.
        high: Largest value, a whole number of steps above ``low`` if there is a step.
        step: Distance between neighbouring values, or None for a continuous dimension.
        log: Whether the dimension is searched in log; needs ``low > 0`` and no step.

    Raises:
        ValueError: An empty or infinite range, or a step or log that does not fit it.
    """

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.name, self.low, self.high)
        for field in ("low", "high", "step"):
            value = getattr(self, field)
            object.__setattr__(self, field, None if value is None else float(value))
        if self.step is not None:
            if not self.step > 0:
                raise ValueError(f"{self.name}: step={self.step} must be above 0")
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > STEP_TOLERANCE:
                raise ValueError(
                    f"{self.name}: high={self.high} is no whole number of steps of {self.step} "
                    f"above low={self.low}; use high={self.low + math.floor(steps) * self.step}"
                )
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError(
                f"{self.name}: log=True needs step=None and low > 0, got step={self.step} and "
                f"low={self.low}"
            )


@dataclass(frozen=True)
class Categorical:
    """One of ``choices``, without an order between them.

    Attributes:
        name: The parameter's name.
        choices: The values; of any type, told apart by type and equality.

    Raises:
        ValueError: No choice at all.
    """

    name: str
    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices:
            raise ValueError(f"{self.name}: choices is empty; give at least one value")

    def index(self, value: Any) -> int:
        """Position of ``value`` among the choices; True is not 1, and NaN is NaN.

        Raises:
            ValueError: ``value`` is not among them.
        """
        for i, choice in enumerate(self.choices):
            if type(choice) is type(value) and (choice == value or _both_nan(choice, value)):
                return i
        for i, choice in enumerate(self.choices):
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return i
        raise ValueError(f"{self.name}={value!r} is not one of {self.choices!r}")


Dimension: TypeAlias = Integer | Float | Categorical


def columns(dim: Dimension) -> tuple[str, ...]:
    """Names of the dimension's columns in a code: one per number, one per choice."""
    if isinstance(dim, Categorical):
        return tuple(f"{dim.name}={choice}" for choice in dim.choices)
    return (dim.name,)


def n_values(dim: Dimension) -> float:
    """Number of legal values, infinite for a continuous dimension."""
    if isinstance(dim, Categorical):
        return len(dim.choices)
    if dim.low == dim.high:
        return 1
    if dim.step is None:
        return math.inf
    return round((dim.high - dim.low) / dim.step) + 1


def _check_range(name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name}: low={low} and high={high} must be finite")
    if low > high:
        raise ValueError(f"{name}: low={low} is above high={high}; swap them")


def _both_nan(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
