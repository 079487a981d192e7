"""A space some of whose parameters exist only where another one has certain values.

A code has all columns all the same. Those of a parameter that does not exist hold the middle of its
range, whatever was proposed, so that codes which differ in nothing else are one code, and a
predictor learns from every trial in one model: what a branch does not have is alike in all of it.

Notation
    n, d, D   codes, columns, dimensions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """When a parameter exists: where its parent does, and not with the values ``without``.

    Attributes:
        name: The parameter.
        parent: The one that decides, a categorical or an integer.
        having: Values of the parent with which it is known to exist.
        without: Values with which it is known not to. Any other choice counts as having it; any
            other number as the nearest of both.
    """

    name: str
    parent: str
    having: tuple[Any, ...]
    without: tuple[Any, ...]

    def holds(self, dim: Dimension, block: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the parameter exists with each value (n,) of the parent's columns (n, k)."""
        if isinstance(dim, Categorical):
            lost = np.array([value in self.without for value in dim.choices])
            return np.asarray(~block[:, lost].any(axis=1))
        near, far = (
            np.abs(block - np.array(some, dtype=np.float64)).min(axis=1)
            for some in (self.having, self.without)
        )
        return np.asarray(near <= far)


class ConditionalSpace(SearchSpace):
    """A search space with conditions.

    Args:
        dimensions: As for ``SearchSpace``.
        conditions: At most one for each parameter. A parent may have a condition itself.

    Attributes:
        conditions: As given, parents before what depends on them.

    Raises:
        ValueError: An unknown or repeated parameter, or conditions that go round in a circle.
    """

    def __init__(self, dimensions: Sequence[Dimension], conditions: Sequence[Condition]) -> None:
        super().__init__(dimensions, features=self._as_it_counts)
        must = "be a sequence of Condition"
        given = checks.sequence("conditions", conditions, Condition, must)
        self.conditions = _parents_first(given, self.names)
        middle = np.full((1, len(self.columns)), 0.5)
        self._middle = super().round(self.denormalize(middle))[0]
        self._unit_middle = self.normalize(self._middle)
        slices = map(self.column_slice, self.names)
        self._widths = [where.stop - where.start for where in slices]

    def __hash__(self) -> int:
        try:
            return hash((type(self), *self._codec()))
        except TypeError:  # a list among the values
            return super().__hash__()

    def round(self, code: ArrayLike | Tensor) -> NDArray[Any]:
        """Nearest legal code, shape kept, with the middle where a parameter does not exist.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        legal = super().round(code)
        if not self.conditions:
            return legal
        counts = self._counts(legal.reshape(-1, legal.shape[-1]))
        return np.where(counts.reshape(legal.shape), legal, self._middle)

    def exists(self, codes: ArrayLike) -> NDArray[np.bool_]:
        """Whether each parameter exists in legal codes (n, d), shape (n, D)."""
        code = np.atleast_2d(np.asarray(codes, dtype=np.float64))
        found = np.ones((len(code), len(self.dimensions)), dtype=bool)
        for one in self.conditions:
            child, parent = self.names.index(one.name), self.names.index(one.parent)
            block = code[:, self.column_slice(one.parent)]
            found[:, child] = found[:, parent] & one.holds(self.dimensions[parent], block)
        return found

    def _codec(self) -> tuple[Any, ...]:
        return self.dimensions, tuple(sorted(self.conditions, key=lambda one: one.name))

    def _counts(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each column is one of a parameter that exists, (n, d)."""
        return np.repeat(self.exists(codes), self._widths, axis=1)

    def _as_it_counts(self, unit: Tensor) -> Tensor:
        """Unit codes with the middle where a parameter does not exist: what predictors see."""
        code = super().round(self.denormalize(unit.detach().cpu().double().numpy()))
        counts = torch.as_tensor(self._counts(code), device=unit.device)
        return torch.where(counts, unit, torch.as_tensor(self._unit_middle).to(unit))


def _parents_first(conditions: Sequence[Condition], names: Sequence[str]) -> tuple[Condition, ...]:
    left = {one.name: one for one in conditions}
    if len(left) < len(conditions) or not {*left, *(c.parent for c in conditions)} <= {*names}:
        raise ValueError(f"conditions={conditions!r} must name parameters of the space, each once")
    ordered: list[Condition] = []
    while left:
        ready = [one for one in left.values() if one.parent not in left]
        if not ready:
            raise ValueError(f"conditions={conditions!r} go round in a circle")
        ordered += ready
        left = {name: one for name, one in left.items() if one not in ready}
    return tuple(ordered)
