"""One-hot blocks of categoricals, side by side.

Notation
    C, k    numbers of categoricals and of all their categories
    blocks  (..., k), 1 for one category of each categorical and 0 for all others
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OneHot:
    """Converter between positions of categories and one-hot blocks.

    Args:
        widths: Number of categories of each categorical.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self._first = np.cumsum([0, *widths])[:-1]
        self._owner = np.repeat(np.arange(len(widths)), widths)
        self._position = np.arange(len(self._owner)) - self._first[self._owner]

    def __bool__(self) -> bool:
        return len(self._first) > 0

    def nearest(self, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return blocks with the category of the largest weight; the first of several if tied."""
        best = self._largest(weights)
        if np.count_nonzero(best) > len(self._first) * weights[..., 0].size:
            best = self._largest(np.where(best, -self._position, -np.inf))
        return best

    def encode(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return blocks (n, k) for categories at positions (n, C)."""
        return np.asarray(positions[:, self._owner] == self._position)

    def decode(self, blocks: NDArray[Any]) -> NDArray[Any]:
        """Return the positions (n, C) of the categories in blocks (n, k)."""
        return np.add.reduceat(blocks * self._position, self._first, axis=1)

    def neighbors(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return all blocks (m, k) that differ from the given ones (k,) in one categorical."""
        new = np.flatnonzero(blocks == 0)
        old = np.flatnonzero(blocks)[self._owner[new]]
        moved = np.repeat(blocks[None], len(new), axis=0)
        rows = np.arange(len(new))
        moved[rows, new], moved[rows, old] = 1.0, 0.0
        return moved

    def _largest(self, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        top = np.maximum.reduceat(weights, self._first, axis=-1)
        return np.asarray(weights == top.take(self._owner, axis=-1))
