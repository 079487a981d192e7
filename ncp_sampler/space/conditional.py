"""Search space in which parameters exist only under certain values of others.

A code has all columns nevertheless. Those of a parameter that does not exist hold the middle of its
range, so that codes which differ in nothing else are one code, and a predictor learns from every
trial in one model: what a branch does not have is the same in all of it.

Notation
    n, d, D   codes, columns, dimensions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.space.dimensions import Categorical, Dimension
from ncp_sampler.space.search_space import SearchSpace


@dataclass(frozen=True)
class Condition:
    """Condition for a parameter to exist: its parent exists, with none of the values ``without``.

    Attributes:
        name: The parameter.
        parent: The parameter that decides, a categorical or an integer.
        having: Values of the parent with which it is known to exist.
        without: Values with which it is known not to. Any further category counts as having it,
            any further number as the nearest of both.
    """

    name: str
    parent: str
    having: tuple[Any, ...]
    without: tuple[Any, ...]

    def holds(self, dim: Dimension, block: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return True where the parameter exists, (n,), by the parent's columns (n, k)."""
        if isinstance(dim, Categorical):
            excluded = np.array([value in self.without for value in dim.choices])
            return np.asarray(~block[:, excluded].any(axis=1))
        near, far = (
            np.abs(block - np.array(numbers, dtype=np.float64)).min(axis=1)
            for numbers in (self.having, self.without)
        )
        return np.asarray(near <= far)


class ConditionalSpace(SearchSpace):
    """Search space with conditions.

    Args:
        dimensions: As for ``SearchSpace``.
        conditions: At most one for each parameter. A parent may have a condition itself.

    Attributes:
        conditions: As given, parents before their children.

    Raises:
        ValueError: An unknown or repeated parameter, or conditions that go round in a circle.
    """

    def __init__(self, dimensions: Sequence[Dimension], conditions: Sequence[Condition]) -> None:
        super().__init__(dimensions, features=self._effective)
        must = "be a sequence of Condition"
        given = checks.sequence("conditions", conditions, Condition, must)
        self.conditions = _parents_first(given, self.names)
        middle = np.full((1, len(self.columns)), 0.5)
        self._middle = super().round(self.denormalize(middle))[0]
        self._unit_middle = self.normalize(self._middle)
        # conditions that hold together are tested once
        self._children: list[tuple[Condition, list[int]]] = []
        for new in self.conditions:
            pairs = (pair for pair in self._children if replace(pair[0], name=new.name) == new)
            if (pair := next(pairs, None)) is None:
                self._children.append(pair := (new, []))
            pair[1].append(self.names.index(new.name))

    def __hash__(self) -> int:
        try:
            return hash((type(self), *self._codec()))
        except TypeError:  # a list among the values
            return super().__hash__()

    def round(self, code: ArrayLike | Tensor) -> NDArray[Any]:
        """Return the nearest valid code, with the middle where a parameter does not exist.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        valid = super().round(code)
        if not self.conditions:
            return valid
        present = self._present(valid.reshape(-1, valid.shape[-1]))
        return np.where(present.reshape(valid.shape), valid, self._middle)

    def exists(self, codes: ArrayLike) -> NDArray[np.bool_]:
        """Return True where a parameter exists in valid codes (n, d), shape (n, D)."""
        code = np.atleast_2d(np.asarray(codes, dtype=np.float64))
        exists = np.ones((len(code), len(self.dimensions)), dtype=bool)
        for condition, children in self._children:
            parent = self.names.index(condition.parent)
            block = code[:, self.column_slice(condition.parent)]
            holds = exists[:, parent] & condition.holds(self.dimensions[parent], block)
            exists[:, children] = holds[:, None]
        return exists

    def _codec(self) -> tuple[Any, ...]:
        return self.dimensions, tuple(sorted(self.conditions, key=lambda c: c.name))

    def _present(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return True for columns of parameters that exist, (n, d)."""
        return self.exists(codes).take(self._columns.owner, axis=1)

    def _effective(self, unit: Tensor) -> Tensor:
        """Return unit codes with the middle where a parameter does not exist, for predictors."""
        code = super().round(self.denormalize(unit.detach().cpu().double().numpy()))
        present = torch.as_tensor(self._present(code), device=unit.device)
        return torch.where(present, unit, torch.as_tensor(self._unit_middle).to(unit))


def _parents_first(conditions: Sequence[Condition], names: Sequence[str]) -> tuple[Condition, ...]:
    left = {condition.name: condition for condition in conditions}
    if len(left) < len(conditions) or not {*left, *(c.parent for c in conditions)} <= {*names}:
        raise ValueError(f"conditions={conditions!r} must name parameters of the space, each once")
    ordered: list[Condition] = []
    while left:
        ready = [condition for condition in left.values() if condition.parent not in left]
        if not ready:
            raise ValueError(f"conditions={conditions!r} go round in a circle")
        ordered += ready
        left = {name: c for name, c in left.items() if c not in ready}
    return tuple(ordered)
