"""Arithmetic on the columns of codes: ranges, grids, logarithms and categories, as arrays.

Notation
    D, d       numbers of dimensions, and of columns (one per integer or float, one per category)
    values     (n, D), one per dimension: a number, or the position of a category among the choices
    code       (..., d) in natural units; a categorical is one-hot
    unit code  (..., d) in [0, 1]; log columns are scaled logarithmically
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.space.dimensions import (
    STEP_TOLERANCE,
    Categorical,
    Dimension,
    Integer,
    columns,
    decode,
    n_values,
)
from ncp_sampler.space.one_hot import OneHot

FloatArray: TypeAlias = NDArray[np.float64]
_Operation: TypeAlias = tuple[np.ufunc, FloatArray]  # function and its second operand, a row (d,)
Numbers = TypeVar("Numbers", FloatArray, torch.Tensor)

_CONTINUOUS_STEP = 0.05  # Distance to a neighbor in a continuous column, as a fraction of the range
_LOOP = 256  # Target length of NumPy's inner loops; several short codes share a loop


class Columns:
    """Converter between values, codes and unit codes of the given dimensions.

    Attributes:
        names: Names of the d columns.
        slices: Parameter's name -> slice of its columns.
        owner: Position of the dimension to which each column belongs, (d,).
        numeric: Positions of the numeric dimensions, integers and floats.
        numeric_columns: Columns of these dimensions.
        categoricals: Position -> dimension, for the categoricals.
        low, high: Smallest and largest value (D,) of each dimension.
        step: Distance (D,) between values; 0 for a continuous dimension.
        dtype: Type of valid codes: int64 if every column contains integers, otherwise float64.
        conditions: Conditions for parameters to exist; empty here, see ``ConditionalColumns``.
        middle: Params in the middle of all ranges; empty without conditions.
        key: Hashable value that is equal for equal conditions.
    """

    conditions: Mapping[str, Any] = {}
    middle: Mapping[str, Any] = {}
    key: tuple[Any, ...] = ()

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._dimensions = tuple(dimensions)
        names = [columns(dim) for dim in dimensions]
        self.names: tuple[str, ...] = tuple(name for group in names for name in group)
        widths = [len(group) for group in names]
        self._first = np.cumsum([0, *widths])[:-1]  # first column of each dimension
        self.slices = {
            dim.name: slice(first, first + width)
            for dim, first, width in zip(dimensions, self._first.tolist(), widths, strict=True)
        }
        self.owner = np.repeat(np.arange(len(names)), widths)
        self.categoricals = {
            i: dim for i, dim in enumerate(dimensions) if isinstance(dim, Categorical)
        }
        self._categorical = list(self.categoricals)
        self._one_hot = OneHot([len(dim.choices) for dim in self.categoricals.values()])
        self.numeric = np.setdiff1d(np.arange(len(names)), self._categorical)
        self.numeric_columns = self._first[self.numeric]
        # NumPy indexes with a slice faster than with an array
        self._numeric = _as_slice(self.numeric_columns)
        self._hot = _as_slice(np.flatnonzero(np.isin(self.owner, self._categorical)))

        rows = [  # a categorical is represented by the integer position of its category
            (0.0, len(dim.choices) - 1.0, 1.0, False, True)
            if isinstance(dim, Categorical)
            else (dim.low, dim.high, dim.step or 0.0, dim.log, isinstance(dim, Integer))
            for dim in dimensions
        ]
        self.low, self.high, self.step = np.array([row[:3] for row in rows], dtype=float).T
        log, integer = np.array([row[3:] for row in rows]).T
        self._set_scales(log[self.owner], integer[self.owner])
        self._set_draws(log)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the dimensions, because the arrays are twenty times as large."""
        return Columns, (self._dimensions,)

    def _set_scales(self, log: NDArray[np.bool_], integer: NDArray[np.bool_]) -> None:
        """Set the arrays that are used to round and scale each column."""
        low, high, step = (row[self.owner] for row in (self.low, self.high, self.step))
        high[self._hot] = 1.0
        self._is_log, self._log, self._integer = log, np.flatnonzero(log), integer
        self._steps, self._grid = step, step > 0
        self.dtype = np.dtype(np.int64 if integer.all() else np.float64)
        # four units in the last place, computed at half the bound, because the largest float has
        # no successor
        rounding = 8 * np.spacing(np.maximum(-low, high) / 2)
        self._tolerance = np.where(self._grid, step * STEP_TOLERANCE + rounding, 0.0)
        ends = np.stack([low, high])
        ends[:, log] = np.log(ends[:, log])
        self._offset, self._scale = ends[0], ends[1] - ends[0]
        spread = np.where(self._scale > 0, self._scale, 1.0)
        self._to_unit = _tiled([(np.subtract, self._offset), (np.divide, spread)])
        self._from_unit = _tiled([(np.multiply, self._scale), (np.add, self._offset)])

        low, high, step = (row[self.numeric] for row in (self.low, self.high, self.step))
        divisor = np.where(step > 0, step, 1.0)
        self._continuous = np.flatnonzero(step == 0)  # positions among numbers
        self._clip = _tiled([(np.maximum, low), (np.minimum, high)])
        self._to_steps = _tiled([(np.subtract, low), (np.divide, divisor)])
        self._from_steps = _tiled([(np.multiply, step), (np.add, low), (np.minimum, high)])

    def _set_draws(self, log: NDArray[np.bool_]) -> None:
        """Set the arrays that are used to draw values from each dimension's grid or (log) range."""
        start, end, half = self.low.copy(), self.high.copy(), self.step[log] / 2  # as in Optuna
        start[log] = [math.log(number) for number in self.low[log] - half]
        end[log] = [math.log(number) for number in self.high[log] + half]
        stepped = (self.step > 0) & ~log
        self._draws = start, np.where(stepped, self.step, end - start)
        self._draw_log, self._draw_steps = np.flatnonzero(log), np.flatnonzero(stepped)
        counts = [int(n_values(self._dimensions[i])) for i in self._draw_steps]
        self._count, self._last = (np.array([n - k for n in counts], dtype=float) for k in (0, 1))

    def check_shape(self, code: ArrayLike | torch.Tensor) -> FloatArray:
        """Check the shape of a code, and return the code as an array of floats.

        Raises:
            ValueError: The number of columns is wrong, or an element is NaN or not a number.
        """
        if isinstance(code, torch.Tensor):
            code = code.detach().cpu().double().numpy()
        try:
            numbers = np.asarray(code, dtype=np.float64)
        except (TypeError, ValueError):
            numbers = np.zeros(())
        if numbers.ndim == 0:
            raise checks.refusal("code", code, f"be numbers of shape (n, {len(self.names)})")
        if numbers.shape[-1] != len(self.names):
            raise ValueError(
                f"code has shape {numbers.shape}; its last axis must be the "
                f"{len(self.names)} columns of the space"
            )
        nan = np.isnan(numbers)
        if nan.any():
            bad = self.names[int(np.argwhere(nan)[0][-1])]
            raise ValueError(f"code is NaN at {bad!r}; replace it with a number")
        return numbers

    def check_valid(self, code: FloatArray) -> FloatArray:
        """Check that a code is valid, and return it with rounding errors of integers removed.

        Raises:
            ValueError: A number is outside its range or off its grid.
        """
        valid = self.round(code)
        wrong = np.abs(code - valid) > self._tolerance
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            raise ValueError(
                f"{self.names[at[-1]]}={code[at].item():.12g} is not a value of "
                f"{self._dimensions[self.owner[at[-1]]]}; "
                f"the nearest valid value is {valid[at].item():.12g}"
            )
        exact: FloatArray = np.where(self._integer, valid, code + 0.0)
        return exact

    def round(self, numbers: FloatArray) -> FloatArray:
        """Return the nearest valid code, as floats."""
        if not self._categorical:
            return self._round_numeric(numbers)
        valid = np.empty(numbers.shape)
        if len(self.numeric):
            valid[..., self._numeric] = self._round_numeric(numbers[..., self._numeric])
        valid[..., self._hot] = self._one_hot.nearest(numbers[..., self._hot])
        return valid

    def _round_numeric(self, numbers: FloatArray) -> FloatArray:
        valid: FloatArray = np.array(numbers, order="C")
        _apply(self._clip, valid)
        continuous = valid[..., self._continuous]
        _apply(self._to_steps, valid)
        np.rint(valid, out=valid)
        with np.errstate(over="ignore"):  # the last step may end beyond the largest float
            _apply(self._from_steps, valid)
        valid[..., self._continuous] = continuous
        valid += 0.0  # no -0.0
        return valid

    def normalize(self, code: FloatArray) -> FloatArray:
        """Return the unit code of a code that has passed ``check_shape``.

        Raises:
            ValueError: A number in a log dimension is not positive.
        """
        unit: FloatArray = np.array(code, order="C")
        if len(self._log):
            numbers = code[..., self._log]
            if (numbers <= 0).any():
                raise ValueError("code has a number <= 0 in a log dimension; round it first")
            unit[..., self._log] = np.log(numbers)
        _apply(self._to_unit, unit)
        return unit

    def denormalize(self, unit: Numbers) -> Numbers:
        """Return the unrounded code of a unit code; differentiable if given a tensor."""
        if isinstance(unit, torch.Tensor):
            unit = unit if unit.is_floating_point() else unit.double()
            scale, offset = (torch.from_numpy(x).to(unit) for x in (self._scale, self._offset))
            scaled = unit * scale + offset
            if not len(self._log):
                return scaled
            mask = torch.as_tensor(self._is_log, device=unit.device)
            return torch.where(mask, torch.where(mask, scaled, 0.0).exp(), scaled)
        code: FloatArray = np.array(self.check_shape(unit), order="C")
        with np.errstate(over="ignore"):  # the range may end at the largest float
            _apply(self._from_unit, code)
            if len(self._log):
                code[..., self._log] = np.exp(code[..., self._log])
        return code

    def from_values(self, values: FloatArray) -> FloatArray:
        """Return the codes (n, d) of values."""
        if not self._categorical:
            return values
        code: FloatArray = values.take(self.owner, axis=1)
        code[:, self._hot] = self._one_hot.encode(values[:, self._categorical])
        return code

    def to_values(self, code: FloatArray) -> FloatArray:
        """Return the values of valid codes (n, d)."""
        values: FloatArray = code.take(self._first, axis=1)
        if self._categorical:
            values[:, self._categorical] = self._one_hot.decode(code[:, self._hot])
        return values

    def at(self, index: NDArray[np.intp]) -> FloatArray:
        """Return the codes (n, d) of the grid values with indices (n, D), counted from 0."""
        return self.from_values(self.low + self.step * index)

    def from_uniform(self, u: FloatArray) -> FloatArray:
        """Return unrounded codes (n, d) for numbers (n, D) in [0, 1].

        Raises:
            ValueError: The shape is wrong, or a number is outside [0, 1].
        """
        if u.ndim != 2 or u.shape[1] != len(self._dimensions):
            raise ValueError(f"u has shape {u.shape}; it must be (n, {len(self._dimensions)})")
        if not ((u >= 0) & (u <= 1)).all():
            raise ValueError("u has a number outside [0, 1]; take it from a uniform distribution")
        start, size = self._draws
        drawn = u.copy()
        drawn[:, self._draw_steps] = np.minimum(
            np.floor(u[:, self._draw_steps] * self._count), self._last
        )
        drawn *= size
        drawn += start
        drawn[:, self._draw_log] = np.exp(drawn[:, self._draw_log])
        return self.from_values(drawn)

    def neighbors(self, base: FloatArray) -> FloatArray:
        """Return the valid codes (m, d) one step or one category away from a valid code (d,)."""
        signs = np.array([[-1.0], [1.0]])
        with np.errstate(over="ignore"):  # such as the largest float plus a step
            shifted = base + signs * self._steps
        if not self._grid.all():
            continuous = self.denormalize(self.normalize(base) + signs * _CONTINUOUS_STEP)
            shifted = np.where(self._grid, shifted, continuous)
        valid = Columns.round(self, shifted)  # without conditions: each column changes alone
        side, column = np.nonzero(valid[:, self.numeric_columns] != base[self.numeric_columns])
        column = self.numeric_columns[column]
        moved = np.repeat(base[None], len(column), axis=0)
        moved[np.arange(len(column)), column] = valid[side, column]
        if not self._categorical:
            return moved
        blocks = self._one_hot.neighbors(base[self._hot])
        switched = np.repeat(base[None], len(blocks), axis=0)
        switched[:, self._hot] = blocks
        return np.concatenate([moved, switched])

    def exists(self, values: FloatArray) -> NDArray[np.bool_]:
        """Return a mask (n, D) of existing parameters; True everywhere without conditions."""
        return np.ones(values.shape, dtype=bool)

    def exists_by_column(self, valid: FloatArray) -> NDArray[np.bool_]:
        """Return a mask (n, d) of the columns of parameters that exist in valid codes (n, d)."""
        return self.exists(self.to_values(valid)).take(self.owner, axis=1)

    def may_follow(self, i: int, params: Mapping[str, Any]) -> bool:
        """Return True if the i-th parameter exists, given the params that precede it."""
        return True

    def existing(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names of the parameters that exist: all of them without conditions."""
        return list(self.slices)

    def effective(self, unit: torch.Tensor) -> torch.Tensor:
        """Return unit codes (n, d) with the middle for parameters that do not exist."""
        return unit

    def to_params(self, valid: FloatArray) -> list[dict[str, Any]]:
        """Return params of valid codes (n, d)."""
        by_name = map(decode, self._dimensions, self.to_values(valid).T)
        return [dict(zip(self.slices, row, strict=True)) for row in zip(*by_name, strict=True)]

    def order(self) -> list[int]:
        """Return the positions of all dimensions, in order."""
        return list(range(len(self._dimensions)))

    def size(self) -> float:
        """Return the number of valid codes, infinite if a dimension is continuous."""
        return math.prod(float(n_values(dim)) for dim in self._dimensions)

    def enumerate(self, first: int, last: int) -> FloatArray:
        """Return the unrounded codes (n, d) at positions ``first`` to ``last - 1``."""
        counts = np.array([int(n_values(dim)) for dim in self._dimensions])
        size = math.prod(counts.tolist())
        positions = np.arange(first, min(last, size))
        return self.at(positions[:, None] // (size // np.cumprod(counts)) % counts)


def unique_codes(codes: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct codes (k, d) among (n, d), sorted like ``np.unique(codes, axis=0)``.

    ``np.unique`` compares column by column and takes seconds for thousands of columns.
    """
    bits = np.ascontiguousarray(codes, dtype=">f8").view(">u8")  # floats >= 0 sort as their bytes
    negative = codes < 0
    if negative.any():
        bits = np.where(negative, ~bits, bits | np.uint64(1 << 63)).astype(">u8")
    order = bits.view(f"V{bits.itemsize * bits.shape[1]}")[:, 0].argsort(kind="stable")
    bits = bits[order]
    distinct = np.ones(len(codes), dtype=bool)
    distinct[1:] = (bits[1:] != bits[:-1]).any(axis=1)
    return np.asarray(codes[order[distinct]])


def _tiled(operations: list[_Operation]) -> list[_Operation]:
    """Return the operations with repeated rows, as ``_apply`` needs them."""
    return [(ufunc, np.tile(row, max(1, _LOOP // max(1, len(row))))) for ufunc, row in operations]


def _apply(operations: list[_Operation], codes: FloatArray) -> None:
    """Apply operations in place to contiguous codes (..., d), several codes per NumPy loop.

    NumPy's inner loops run over the last axis. Loops over only 27 columns take three times as long.
    """
    flat, width = codes.reshape(-1), len(operations[0][1])
    tail = len(flat) % width
    if tail:
        end = flat[len(flat) - tail :]
        for ufunc, row in operations:
            ufunc(end, row[:tail], out=end)
    if len(flat) > tail:
        blocks = flat[: len(flat) - tail].reshape(-1, width)
        for ufunc, row in operations:
            ufunc(blocks, row, out=blocks)


def _as_slice(at: NDArray[np.intp]) -> Any:
    """Return consecutive columns as a slice, with which NumPy indexes faster."""
    consecutive = len(at) and at[-1] - at[0] == len(at) - 1
    return slice(int(at[0]), int(at[-1]) + 1) if consecutive else at
