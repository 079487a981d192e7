"""The columns of a code: their ranges, grids and logs, as arrays.

Notation
    d          number of columns: one per number, one per choice of a categorical
    code       (..., d) in natural units; a categorical is one-hot
    unit code  (..., d) in [0, 1], log columns in log
"""

from __future__ import annotations

from collections.abc import Sequence
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
)

FloatArray: TypeAlias = NDArray[np.float64]
_Numbers = TypeVar("_Numbers", FloatArray, torch.Tensor)

_CONTINUOUS_NEIGHBOUR = 0.05  # of the unit range


class Columns:
    """What rounds and scales the codes of some dimensions.

    Attributes:
        names: Of the d columns.
        slices: Parameter's name -> its columns.
        numeric: Name of a number -> its column.
        choices: Columns of each categorical.
        grid: (d,), whether a column has steps.
        step: (d,), 0 without.
        dtype: Of legal codes: integers where every column is whole.
    """

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.names: tuple[str, ...] = tuple(c for dim in dimensions for c in columns(dim))
        self.slices: dict[str, slice] = {}
        self.numeric: dict[str, int] = {}
        self.choices: list[slice] = []
        self._dimensions = tuple(dimensions)
        rows: list[tuple[float, float, float, bool, bool]] = []  # of each column
        for dim in dimensions:
            where = slice(len(rows), len(rows) + len(columns(dim)))
            self.slices[dim.name] = where
            if isinstance(dim, Categorical):
                self.choices.append(where)
                rows += [(0.0, 1.0, 1.0, False, True)] * len(dim.choices)
            else:
                self.numeric[dim.name] = where.start
                whole = isinstance(dim, Integer)
                rows.append((dim.low, dim.high, dim.step or 0.0, dim.log, whole))
        widths = {where.stop - where.start for where in self.choices}
        self._choices_alike = [  # columns of categoricals of one width, (categoricals, width)
            np.array([w.start for w in self.choices if w.stop - w.start == width])[:, None]
            + np.arange(width)
            for width in sorted(widths)
        ]
        self._low, self._high, self.step = np.array([row[:3] for row in rows], dtype=float).T
        self._log, self._whole = np.array([row[3:] for row in rows]).T
        self._any_log = bool(self._log.any())
        self.grid = self.step > 0
        self._divisor = np.where(self.grid, self.step, 1.0)
        # four last digits; of half the bound, as those of the largest float have no size
        rounding = 8 * np.spacing(np.maximum(-self._low, self._high) / 2)
        self._tolerance = np.where(self.grid, self.step * STEP_TOLERANCE + rounding, 0.0)
        ends = np.stack([self._low, self._high])
        ends[:, self._log] = np.log(ends[:, self._log])
        self._offset, self._scale = ends[0], ends[1] - ends[0]
        self._spread = np.where(self._scale > 0, self._scale, 1.0)
        self.dtype = np.dtype(np.int64 if self._whole.all() else np.float64)

    def check_shape(self, code: ArrayLike | torch.Tensor) -> FloatArray:
        """A code's numbers.

        Raises:
            ValueError: Wrong number of columns, no numbers, or NaN.
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
        if np.isnan(numbers).any():
            bad = self.names[int(np.argwhere(np.isnan(numbers))[0][-1])]
            raise ValueError(f"code is NaN at {bad!r}; replace it by a number")
        return numbers

    def check_legal(self, code: FloatArray) -> FloatArray:
        """The code if it is legal, its whole numbers made exact.

        Raises:
            ValueError: A number is off its range or grid.
        """
        legal = self.round(code)
        wrong = np.abs(code - legal) > self._tolerance
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            dim = next(d for d in self._dimensions if at[-1] < self.slices[d.name].stop)
            raise ValueError(
                f"{self.names[at[-1]]}={code[at].item():.12g} is not a value of {dim}; "
                f"the nearest valid value is {legal[at].item():.12g}"
            )
        exact: FloatArray = np.where(self._whole, legal, code + 0.0)
        return exact

    def round(self, numbers: FloatArray) -> FloatArray:
        """Nearest legal code, as floats."""
        legal: FloatArray = np.clip(numbers, self._low, self._high)
        grid = legal - self._low
        grid /= self._divisor  # in place: of thousands of wide codes, new arrays take the time
        np.rint(grid, out=grid)
        with np.errstate(over="ignore"):  # of a last step that ends beyond the largest float
            grid *= self.step
            grid += self._low
        np.minimum(grid, self._high, out=grid)
        np.copyto(legal, grid, where=self.grid)
        legal += 0.0  # no -0.0
        for where in self._choices_alike:
            best = numbers[..., where].argmax(axis=-1)
            legal[..., where] = np.eye(where.shape[1])[best]
        return legal

    def normalize(self, scaled: FloatArray) -> FloatArray:
        """Unit code of a code that ``check_shape`` has passed.

        Raises:
            ValueError: A number that has no log.
        """
        if self._any_log:
            if (scaled[..., self._log] <= 0).any():
                raise ValueError("code has a number <= 0 in a log dimension; round it first")
            scaled = scaled.copy()
            scaled[..., self._log] = np.log(scaled[..., self._log])
        unit: FloatArray = (scaled - self._offset) / self._spread
        return unit

    def denormalize(self, unit: _Numbers) -> _Numbers:
        """Code of a unit code, not rounded; differentiable for a tensor."""
        if isinstance(unit, torch.Tensor):
            unit = unit if unit.is_floating_point() else unit.double()
            scale, offset = (torch.from_numpy(x).to(unit) for x in (self._scale, self._offset))
            scaled = unit * scale + offset
            if not self._any_log:
                return scaled
            mask = torch.as_tensor(self._log, device=unit.device)
            return torch.where(mask, torch.where(mask, scaled, 0.0).exp(), scaled)
        with np.errstate(over="ignore"):  # beyond a range that ends at the largest float
            code: FloatArray = self.check_shape(unit) * self._scale + self._offset
            if self._any_log:
                code[..., self._log] = np.exp(code[..., self._log])
        return code

    def neighbors(self, base: FloatArray) -> FloatArray:
        """Legal codes (m, d) one step or one choice from a legal code (d,)."""
        unit = self.normalize(base)
        numeric = np.array(list(self.numeric.values()), dtype=np.intp)
        found: list[FloatArray] = []
        for sign in (-1.0, 1.0):
            shifted = self.denormalize(unit + sign * _CONTINUOUS_NEIGHBOUR)
            with np.errstate(over="ignore"):  # as the largest float and a step
                stepped = base + sign * self.step
            legal = self.round(np.where(self.grid, stepped, shifted))
            changed = numeric[legal[numeric] != base[numeric]]
            moved = np.tile(base, (len(changed), 1))
            moved[np.arange(len(changed)), changed] = legal[changed]
            found.append(moved)
        for where in self.choices:
            others = np.flatnonzero(base[where] == 0)
            moved = np.tile(base, (len(others), 1))
            moved[:, where] = np.eye(where.stop - where.start)[others]
            found.append(moved)
        return np.concatenate(found)


def unique_codes(codes: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct codes (k, d) of (n, d), sorted as by ``np.unique(codes, axis=0)``.

    That compares column by column, and takes seconds of thousands of them.
    """
    bits = codes.astype(">f8").view(">u8")  # numbers >= 0 sort as their bytes do
    negative = codes < 0
    if negative.any():
        bits = np.where(negative, ~bits, bits | np.uint64(1 << 63)).astype(">u8")
    positions = {row.tobytes(): i for i, row in enumerate(bits)}
    return codes[[positions[key] for key in sorted(positions)]]
