"""Dimensions of a search space: integers, floats and categoricals."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.space.categories import category_key, json_form, same_category

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

STEP_TOLERANCE = 1e-8  # Tolerance of the grid, in steps, as in Optuna's FloatDistribution
_ENDS = ("low", "high")
_LARGEST = 2**53  # Magnitude up to which all integers are exact in float64, the type of codes
_FINEST = 2.0**-40  # Smallest step, relative to the bounds, of a grid that is exact in float64


@dataclass(frozen=True)
class Integer:
    """Integer parameter with the values ``low, low + step, ..., high``.

    Attributes:
        name: The parameter's name.
        low: Smallest value.
        high: Largest value, an integer number of steps above ``low``.
        step: Distance between neighboring values.
        log: Search on a log scale if True. Optuna supports this only with a step of 1.

    Raises:
        ValueError: The range is empty or exceeds 2**53, the step does not divide the range, or
            ``log`` is True although ``low < 1`` or ``low <= step / 2``.

    Examples:
        >>> Integer("width", 8, 128, step=8)
        Integer(name='width', low=8, high=128, step=8, log=False)
        >>> Integer("batch", 1, 256, log=True).high
        256
    """

    name: str
    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _check_names(self.name, self.log)
        for field in (*_ENDS, "step"):
            value = getattr(self, field)  # unconverted: a float cannot represent 2**53 + 1
            if checks.number(f"{self.name}: {field}", value) % 1:
                raise ValueError(f"{self.name}: {field}={value!r} must be an int; use Float")
            object.__setattr__(self, field, int(value))
        _check_order(self.name, self.low, self.high)
        if max(-self.low, self.high, self.high - self.low) > _LARGEST:
            raise ValueError(
                f"{self.name}: low={self.low} and high={self.high} must stay within 2**53, and "
                f"their difference too; use Float, or divide by a unit"
            )
        if self.step < 1:
            raise ValueError(f"{self.name}: step={self.step} must be at least 1")
        if (self.high - self.low) % self.step:
            top = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"{self.name}: high={self.high} is not an integer number of steps of {self.step} "
                f"above low={self.low}; use high={top}"
            )
        if self.log and (self.low < 1 or 2 * self.low <= self.step):
            raise _no_log(self, "low >= 1 and low > step / 2")


@dataclass(frozen=True)
class Float:
    """Float parameter in ``[low, high]``, on a grid if ``step`` is given.

    Attributes:
        name: The parameter's name.
        low: Smallest value.
        high: Largest value. If there is a step, it must be an integer number k of steps above
            ``low``. It is then computed as ``low + k * step`` in decimal arithmetic, in which
            0.1 + 0.2 is 0.3.
        step: Distance between neighboring values, or None for a continuous dimension.
        log: Search on a log scale if True; requires ``low > 0`` and ``low > step / 2``. Optuna
            supports this only without a step.

    Raises:
        ValueError: The range is empty or infinite, or ``step`` or ``log`` does not fit the range.

    Examples:
        >>> Float("rate", 1e-4, 1e-1, log=True).low
        0.0001
        >>> Float("dropout", 0, 0.5, step=0.1).high
        0.5
    """

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        low, high = (
            checks.number(f"{self.name}: {field}", getattr(self, field)) for field in _ENDS
        )
        _check_names(self.name, self.log)
        object.__setattr__(self, "low", low + 0.0)  # no -0.0
        object.__setattr__(self, "high", high + 0.0)
        _check_order(self.name, self.low, self.high)
        if self.step is not None:
            step = checks.number(f"{self.name}: step", self.step)
            object.__setattr__(self, "step", step)
            object.__setattr__(self, "high", _grid_end(self.name, self.low, self.high, step))
        if self.log and (self.low <= 0 or 2 * self.low <= (self.step or 0.0)):
            raise _no_log(self, "low > 0 and low > step / 2")


@dataclass(frozen=True)
class Categorical:
    """Categorical parameter: one of several categories without an order.

    Attributes:
        name: The parameter's name.
        choices: The categories, which may have any type; they are distinguished by type and
            equality.

    Raises:
        ValueError: There are no categories, or one is repeated.

    Examples:
        >>> norm = Categorical("norm", ["batch", "layer", None])
        >>> norm.index("layer")
        1
    """

    name: str
    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        checks.text("name", self.name)
        if isinstance(self.choices, str) or not isinstance(self.choices, Iterable):
            must = 'be a sequence of values, such as ("relu", "gelu")'
            raise checks.refusal(f"{self.name}: choices", self.choices, must)
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices:
            raise ValueError(f"{self.name}: choices is empty; give at least one value")
        if len(self._positions) < len(self.choices):
            twice = next(
                c for i, c in enumerate(self.choices) if self._positions[category_key(c)] < i
            )
            raise ValueError(f"{self.name}: choices has {twice!r} twice; remove one")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Categorical)
            and (self.name, len(self.choices)) == (other.name, len(other.choices))
            and all(map(same_category, self.choices, other.choices))
        )

    def __hash__(self) -> int:
        return hash((self.name, len(self.choices)))

    def index(self, value: Any) -> int:
        """Return the position of ``value`` among the categories.

        True does not match the category 1, and NaN matches NaN. If 1.0 is not a category itself, it
        matches the category 1. The JSON form of a category also matches it, such as [3, 3] for
        (3, 3) or {"1": 0} for {1: 0}, unless several categories have the same JSON form.

        Raises:
            ValueError: ``value`` is not a category.
        """
        if isinstance(value, np.generic):
            value = value.item()
        position = self._positions.get(category_key(value))
        if position is not None:
            return position
        for i, choice in enumerate(self.choices):
            if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
                return i
        alike = [i for i, form in enumerate(self._json_forms) if form == json_form(value)]
        if len(alike) == 1:
            return alike[0]
        raise ValueError(f"{self.name}={value!r} is not one of {checks.shown(self.choices)}")

    @cached_property
    def _positions(self) -> dict[Hashable, int]:
        """First position of each category."""
        keys = list(map(category_key, self.choices))
        return {keys[i]: i for i in reversed(range(len(keys)))}

    @cached_property
    def _json_forms(self) -> list[Hashable]:
        """JSON form of each category."""
        return [json_form(choice) for choice in self.choices]


Dimension: TypeAlias = Integer | Float | Categorical


def checked_dimensions(given: Any) -> tuple[Dimension, ...]:
    """Return the dimensions of a search space.

    Raises:
        ValueError: An element is not a dimension, there are no dimensions, or two have the same
            name.
    """
    must = "be a sequence of dimensions, such as [Integer('width', 8, 64)]"
    dims = checks.sequence("dimensions", given, (Integer, Float, Categorical), must)
    if not dims:
        raise ValueError("dimensions is empty; a search space needs at least one")
    (name, count), *_ = Counter(dim.name for dim in dims).most_common(1)
    if count > 1:
        raise ValueError(f"dimensions has {name!r} more than once; rename one")
    return tuple(dims)


def columns(dim: Dimension) -> tuple[str, ...]:
    """Return the names of a dimension's columns in a code: one per number, one per category."""
    if not isinstance(dim, Categorical):
        return (dim.name,)
    labels = [str(choice) for choice in dim.choices]
    if len(set(labels)) < len(labels):  # 1 and "1"
        labels = [repr(choice) for choice in dim.choices]
    return tuple(f"{dim.name}={label}" for label in labels)


def n_values(dim: Dimension) -> float:
    """Return the number of valid values; infinite for a continuous dimension."""
    if isinstance(dim, Categorical):
        return len(dim.choices)
    if dim.low == dim.high:
        return 1
    if dim.step is None:
        return math.inf
    return round((dim.high - dim.low) / dim.step) + 1


def decode(dim: Dimension, values: NDArray[np.float64]) -> list[Any]:
    """Return the params (n,) for a dimension's numbers, or for positions of its categories."""
    if isinstance(dim, Categorical):
        return [dim.choices[i] for i in values.astype(np.intp).tolist()]
    return list((values.astype(np.int64) if isinstance(dim, Integer) else values).tolist())


def check_in_optuna(dim: Dimension) -> None:
    """Raise ValueError for a log grid, which Optuna does not support."""
    plain = 1 if isinstance(dim, Integer) else None
    if not isinstance(dim, Categorical) and dim.log and dim.step != plain:
        raise ValueError(
            f"{dim.name}: Optuna has no step={dim.step} with log=True; leave one of them out, or "
            "search with NCPOptimizer or NCPSearch"
        )


def suggest(dim: Dimension, trial: BaseTrial) -> Any:
    """Return the value that an Optuna trial suggests.

    Raises:
        ValueError: As for ``check_in_optuna``.
    """
    check_in_optuna(dim)
    if isinstance(dim, Categorical):
        return trial.suggest_categorical(dim.name, dim.choices)
    if isinstance(dim, Integer):
        return trial.suggest_int(dim.name, dim.low, dim.high, step=dim.step, log=dim.log)
    return trial.suggest_float(dim.name, dim.low, dim.high, step=dim.step, log=dim.log)


def _check_names(name: Any, log: Any) -> None:
    checks.text("name", name)
    checks.flag(f"{name}: log", log)


def _no_log(dim: Integer | Float, needs: str) -> ValueError:
    return ValueError(f"{dim.name}: log=True needs {needs}, got step={dim.step} and low={dim.low}")


def _check_order(name: str, low: float, high: float) -> None:
    if low > high:
        raise ValueError(f"{name}: low={low} is above high={high}; swap them")
    if math.isinf(high - low):
        raise ValueError(f"{name}: low={low} and high={high} are too far apart; narrow them")


def _grid_end(name: str, low: float, high: float, step: float) -> float:
    """Return the last value of a grid, computed in decimal arithmetic as in Optuna."""
    largest = max(-low, high)
    if step <= 0 or step < _FINEST * largest:
        raise ValueError(
            f"{name}: step={step} must be above 0 and at least 2**-40 times the bounds; "
            f"use step=None for a continuous dimension"
        )
    steps = (high - low) / step
    rounding = 4 * sys.float_info.epsilon * largest / step
    on_grid = abs(steps - round(steps)) <= STEP_TOLERANCE + rounding
    count = round(steps) if on_grid else math.floor(steps)
    end = float(Decimal(str(low)) + count * Decimal(str(step)))
    if not on_grid:
        raise ValueError(
            f"{name}: high={high} is not an integer number of steps of {step} above low={low}; "
            f"use high={end}"
        )
    return end
