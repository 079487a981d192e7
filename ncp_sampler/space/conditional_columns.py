"""Arithmetic on codes with conditional parameters.

A code always has all columns. If a parameter does not exist, its columns contain the middle of its
range. Therefore, codes that differ only in such columns become the same code. A single model learns
from all trials, because the columns of parameters that a branch lacks are constant in the branch.

Notation
    n, d, D   codes, columns, dimensions
    values    (n, D), numbers, and positions of categories
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler.space.columns import Columns, FloatArray
from ncp_sampler.space.conditions import Condition, nearest_value
from ncp_sampler.space.dimensions import Categorical, Dimension, decode, n_values

_COUNTED = 100_000  # Maximum number of values of a parent for which codes are counted exactly

_Test: TypeAlias = tuple[int, ...] | range  # values of a number, or positions of categories


class ConditionalColumns(Columns):
    """Converter between values, codes and unit codes of dimensions with conditions.

    Args:
        dimensions: The dimensions.
        conditions: Result of ``checked_conditions``, at least one condition.

    Attributes:
        conditions: As given.
        key: Hashable value that is equal for equal conditions.
        middle: Params with all parameters in the middle, whether they exist or not.
    """

    def __init__(
        self, dimensions: Sequence[Dimension], conditions: Mapping[str, Condition]
    ) -> None:
        super().__init__(dimensions)
        self.conditions = conditions
        at = {dim.name: i for i, dim in enumerate(dimensions)}
        self._parents: dict[int, tuple[int, _Test]] = {  # parents before their children
            at[name]: (
                at[condition.parent],
                _test(dimensions[at[condition.parent]], condition.values),
            )
            for name, condition in conditions.items()
        }
        self._children: dict[tuple[int, _Test], list[int]] = {}  # children that exist together
        for child, condition in self._parents.items():
            self._children.setdefault(condition, []).append(child)
        parents = sorted(self._parents.items())
        self.key = tuple((child, parent, _canonical(test)) for child, (parent, test) in parents)
        code = super().round(self.denormalize(np.full((1, len(self.names)), 0.5)))
        values = self.to_values(code)
        self._middle_code, self._middle_values = code[0], values
        self._middle_unit = self.normalize(code)[0]
        by_name = zip(dimensions, values.T, strict=True)
        self.middle = {dim.name: decode(dim, column)[0] for dim, column in by_name}

    def __reduce__(self) -> tuple[Any, ...]:
        return ConditionalColumns, (self._dimensions, self.conditions)

    def round(self, numbers: FloatArray) -> FloatArray:
        """Return the nearest valid code, as floats, with the middle for absent parameters."""
        valid = super().round(numbers)
        return self._settled(valid, valid)

    def check_valid(self, code: FloatArray) -> FloatArray:
        """Return the code if it is valid, with the middle for parameters that do not exist.

        Raises:
            ValueError: A parameter that exists has a number off its range or grid.
        """
        return super().check_valid(self._settled(code, super().round(code)))

    def neighbors(self, base: FloatArray) -> FloatArray:
        """Return the valid codes (m, d) one step or one category away from a valid code (d,)."""
        near = self.round(super().neighbors(base))
        others: FloatArray = near[(near != base).any(axis=1)]  # some steps lead back to base
        return others

    def effective(self, unit: torch.Tensor) -> torch.Tensor:
        """Return unit codes (n, d), with the middle for parameters the nearest valid code lacks."""
        code = self.denormalize(unit.detach().cpu().double().numpy())
        exists = torch.as_tensor(self.exists_by_column(super().round(code)))
        middle = torch.as_tensor(self._middle_unit).to(unit)
        return torch.where(exists.to(unit.device), unit, middle)

    def exists(self, values: FloatArray) -> NDArray[np.bool_]:
        """Return a mask (n, D) that is True where a parameter exists."""
        exists = np.ones(values.shape, dtype=bool)
        for (parent, test), children in self._children.items():
            holds = exists[:, parent] & _holds(test, values[:, parent])
            exists[:, children] = holds[:, None]
        return exists

    def may_follow(self, i: int, params: Mapping[str, Any]) -> bool:
        """Return True if the i-th parameter exists, given the params that precede it."""
        if i not in self._parents:
            return True
        parent, test = self._parents[i]
        dim = self._dimensions[parent]
        return dim.name in params and nearest_value(dim, params[dim.name]) in test

    def existing(self, params: Mapping[str, Any]) -> list[str]:
        """Return the parameters that exist, given params whose numbers need not be valid.

        A parameter whose parent is missing counts as non-existing.
        """
        exists = [True] * len(self._dimensions)
        for child, (parent, test) in self._parents.items():
            dim = self._dimensions[parent]
            known = exists[parent] and dim.name in params
            exists[child] = known and nearest_value(dim, params[dim.name]) in test
        return [dim.name for dim, there in zip(self._dimensions, exists, strict=True) if there]

    def to_params(self, valid: FloatArray) -> list[dict[str, Any]]:
        """Return params of valid codes (n, d), without the parameters that do not exist."""
        exists, rows = self.exists(self.to_values(valid)).tolist(), super().to_params(valid)
        return [dict(compress(row.items(), own)) for row, own in zip(rows, exists, strict=True)]

    def order(self) -> list[int]:
        """Return the positions of all dimensions, in order, with parents before children."""
        order: dict[int, None] = {}

        def add(i: int) -> None:
            if i in self._parents:
                add(self._parents[i][0])
            order.setdefault(i)

        for i in range(len(self._dimensions)):
            add(i)
        return list(order)

    def size(self) -> float:
        """Return the number of valid codes, infinite if a dimension is continuous.

        The number is an upper bound if a parent has more than 100,000 values.
        """
        below = [float(n_values(dim)) for dim in self._dimensions]  # codes of a subtree
        groups: dict[int, list[tuple[_Test, list[int]]]] = {}
        for (parent, test), children in self._children.items():
            groups.setdefault(parent, []).append((test, children))
        for parent in reversed(self.order()):
            products = [(t, math.prod(below[i] for i in c)) for t, c in groups.get(parent, ())]
            if products and below[parent] > _COUNTED:
                below[parent] *= math.prod(product for _, product in products)
            elif products:
                grid = _grid(self._dimensions[parent])
                counts = [np.where(_holds(test, grid), product, 1.0) for test, product in products]
                with np.errstate(over="ignore"):  # too many codes for a float count as infinite
                    below[parent] = float(np.prod(counts, axis=0).sum())
        return math.prod(n for i, n in enumerate(below) if i not in self._parents)

    def enumerate(self, first: int, last: int) -> FloatArray:
        """Return the unrounded codes (n, d) at positions ``first`` to ``last - 1``."""
        rows = self._middle_values
        for i in self.order():
            there, grid = self.exists(rows)[:, i], _grid(self._dimensions[i])
            added = np.repeat(rows[there], len(grid), axis=0)
            added[:, i] = np.tile(grid, int(there.sum()))
            rows = np.concatenate([rows[~there], added])
        return self.from_values(rows[np.lexsort(rows.T[::-1])][first:last])

    def _settled(self, code: FloatArray, valid: FloatArray) -> FloatArray:
        """Return codes (..., d) with the middle where the valid codes lack a parameter."""
        exists = self.exists_by_column(valid.reshape(-1, valid.shape[-1]))
        return np.where(exists.reshape(valid.shape), code, self._middle_code)


def _test(dim: Dimension, values: tuple[Any, ...] | range) -> _Test:
    """Return a parent's values as numbers or category positions, as a range if evenly spaced.

    Testing a range takes only two comparisons.
    """
    if isinstance(values, range):
        return values
    listed = [dim.index(v) for v in values] if isinstance(dim, Categorical) else list(values)
    step = listed[1] - listed[0] if len(listed) > 1 else 1
    even = range(listed[0], listed[-1] + 1, step) if listed else range(0)
    return even if list(even) == listed else tuple(listed)


def _canonical(test: _Test) -> tuple[int, ...]:
    """Return a canonical form of a test, equal for all tests with the same values."""
    if isinstance(test, range) and len(test):
        return test[0], test[-1], len(test)
    return -1, *test


def _holds(test: _Test, column: FloatArray) -> NDArray[np.bool_]:
    """Return a mask (n,) of the parent's values that satisfy a test."""
    if not len(test):
        return np.zeros(len(column), dtype=bool)
    if isinstance(test, range):
        inside = (column >= test[0]) & (column <= test[-1])
        return np.asarray(inside & ((column - test[0]) % test.step == 0))
    return np.isin(column, np.array(test, dtype=np.float64))


def _grid(dim: Dimension) -> FloatArray:
    """Return all values (k,) of a dimension."""
    index = np.arange(int(n_values(dim)), dtype=np.float64)
    return index if isinstance(dim, Categorical) else dim.low + index * (dim.step or 0.0)
