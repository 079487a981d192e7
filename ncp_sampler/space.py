"""Search space: params <-> code <-> unit code.

Notation
    D          number of dimensions (parameters)
    d          number of columns: one per number, one per choice of a categorical
    params     dictionary name -> value, the host tool's form
    code       (n, d) in natural units; a categorical is one-hot
    unit code  (n, d) in [0, 1], log dimensions in log; predictors and propagation work on it
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.dimensions import (
    STEP_TOLERANCE,
    Categorical,
    Dimension,
    Float,
    Integer,
    columns,
    n_values,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Params: TypeAlias = dict[str, Any]
FloatArray: TypeAlias = NDArray[np.float64]
_Numbers = TypeVar("_Numbers", FloatArray, torch.Tensor)

_CONTINUOUS_NEIGHBOUR = 0.05  # of the unit range
_MAX_ENUMERATED = 100_000


class SearchSpace:
    """An ordered set of dimensions, and the one codec between params, codes and unit codes.

    Args:
        dimensions: ``Integer``, ``Float`` or ``Categorical``, in the order of the code.

    Attributes:
        dimensions: The dimensions, in order.
        columns: Name of each of the d columns of a code: the parameter's name, or
            ``name=choice`` for a categorical.

    Raises:
        ValueError: No dimension, or two of the same name.
    """

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions: tuple[Dimension, ...] = tuple(dimensions)
        names = [dim.name for dim in self.dimensions]
        if not names:
            raise ValueError("dimensions is empty; a search space needs at least one")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"dimensions has {name!r} more than once; rename one")
        self.columns: tuple[str, ...] = tuple(c for dim in self.dimensions for c in columns(dim))
        self._slices: dict[str, slice] = {}
        rows: list[tuple[float, float, float, bool]] = []  # low, high, step, log of each column
        for dim in self.dimensions:
            width = len(columns(dim))
            self._slices[dim.name] = slice(len(rows), len(rows) + width)
            if isinstance(dim, Categorical):
                rows += [(0.0, 1.0, 1.0, False)] * width
            else:
                rows.append((dim.low, dim.high, dim.step or 0.0, dim.log))
        self._low, self._high, self._step = (
            np.array([row[i] for row in rows], dtype=np.float64) for i in range(3)
        )
        self._log = np.array([row[3] for row in rows])
        scaled_low = np.where(self._log, np.log(np.where(self._log, self._low, 1.0)), self._low)
        scaled_high = np.where(self._log, np.log(np.where(self._log, self._high, 1.0)), self._high)
        self._offset = scaled_low
        self._scale = scaled_high - scaled_low
        self._grid = self._step > 0
        self._dtype = np.dtype(
            np.float64 if any(isinstance(dim, Float) for dim in self.dimensions) else np.int64
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.dimensions == other.dimensions

    def __hash__(self) -> int:
        return hash(self.dimensions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.dimensions)} dimensions, {self.size:.3g} codes)"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(dim.name for dim in self.dimensions)

    @property
    def size(self) -> float:
        """Number of legal codes; infinite if a dimension is continuous."""
        return math.prod(n_values(dim) for dim in self.dimensions)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The same space as Optuna distributions, name -> distribution."""
        from optuna import distributions as od

        def convert(dim: Dimension) -> BaseDistribution:
            if isinstance(dim, Categorical):
                return od.CategoricalDistribution(dim.choices)
            if isinstance(dim, Integer):
                return od.IntDistribution(dim.low, dim.high, log=dim.log, step=dim.step)
            return od.FloatDistribution(dim.low, dim.high, log=dim.log, step=dim.step)

        return {dim.name: convert(dim) for dim in self.dimensions}

    def column_slice(self, name: str) -> slice:
        """Columns of a code that hold parameter ``name``.

        Raises:
            ValueError: No such parameter.
        """
        if name not in self._slices:
            raise ValueError(f"unknown parameter {name!r}; the space has {list(self.names)}")
        return self._slices[name]

    def suggest(self, trial: BaseTrial) -> Params:
        """Params of one Optuna trial: calls ``trial.suggest_*`` for each dimension, in order."""
        params: Params = {}
        for dim in self.dimensions:
            if isinstance(dim, Categorical):
                params[dim.name] = trial.suggest_categorical(dim.name, dim.choices)
            elif isinstance(dim, Integer):
                params[dim.name] = trial.suggest_int(
                    dim.name, dim.low, dim.high, step=dim.step, log=dim.log
                )
            else:
                params[dim.name] = trial.suggest_float(
                    dim.name, dim.low, dim.high, step=dim.step, log=dim.log
                )
        return params

    @overload
    def to_code(self, params: Mapping[str, Any], *, clip: bool = ...) -> NDArray[Any]: ...
    @overload
    def to_code(self, params: Sequence[Mapping[str, Any]], *, clip: bool = ...) -> NDArray[Any]: ...
    def to_code(
        self, params: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, clip: bool = False
    ) -> NDArray[Any]:
        """Code of params: shape (d,) for one dictionary, (n, d) for a sequence of n.

        Args:
            params: Exactly the space's parameters, each with a legal value.
            clip: Take the nearest legal value for a number off the range or the grid, rather
                than raise (a study can hold such values: Optuna lets users enqueue them).

        Raises:
            ValueError: A parameter is missing, unknown, or has an illegal value.
        """
        if not isinstance(params, Mapping):
            rows = [self._encode(row) for row in params]
            code = np.array(rows, dtype=np.float64).reshape(len(rows), len(self.columns))
        else:
            code = self._encode(params)
        legal = self.round(code)
        if not clip:
            self._check_legal(code, legal)
            legal = code.astype(self._dtype)
        return legal

    @overload
    def to_params(self, code: Sequence[float] | NDArray[Any]) -> Params: ...
    @overload
    def to_params(self, code: Sequence[Sequence[float]]) -> list[Params]: ...
    def to_params(self, code: Any) -> Params | list[Params]:
        """Params of a legal code: a dictionary for shape (d,), a list of n for (n, d).

        Raises:
            ValueError: Wrong length, NaN, or an illegal number (``round`` gives the nearest code).
        """
        numbers = self._check_shape(code)
        self._check_legal(numbers, self.round(numbers))
        if numbers.ndim == 1:
            return self._decode(numbers)
        return [self._decode(row) for row in numbers]

    def round(self, code: ArrayLike | torch.Tensor) -> NDArray[Any]:
        """Nearest legal code, shape kept: clipped, on the grid, one choice per categorical.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        numbers = self._check_shape(code)
        out = np.clip(numbers, self._low, self._high)
        grid = self._low + np.rint((out - self._low) / np.where(self._grid, self._step, 1.0)) * (
            self._step
        )
        out = np.where(self._grid, np.minimum(grid, self._high), out)
        for dim in self.dimensions:
            if isinstance(dim, Categorical):
                block = numbers[..., self._slices[dim.name]]
                out[..., self._slices[dim.name]] = (
                    np.arange(block.shape[-1]) == block.argmax(-1)[..., None]
                )
        return out.astype(self._dtype)

    def normalize(self, code: ArrayLike) -> FloatArray:
        """Unit code of a code, shape kept: ``low`` is 0, ``high`` is 1 (0 if they are equal).

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        numbers = self._check_shape(code)
        scaled = np.where(self._log, np.log(np.where(self._log, numbers, 1.0)), numbers)
        unit: FloatArray = (scaled - self._offset) / np.where(self._scale > 0, self._scale, 1.0)
        return unit

    def denormalize(self, unit: _Numbers) -> _Numbers:
        """Code of a unit code, not rounded, shape kept; differentiable for a tensor."""
        if isinstance(unit, torch.Tensor):
            scale, offset = (unit.new_tensor(x) for x in (self._scale, self._offset))
            scaled = unit * scale + offset
            if not self._log.any():
                return scaled
            mask = torch.as_tensor(self._log, device=unit.device)
            return torch.where(mask, torch.where(mask, scaled, 0.0).exp(), scaled)
        scaled_array = self._check_shape(unit) * self._scale + self._offset
        return np.where(self._log, np.exp(np.where(self._log, scaled_array, 0.0)), scaled_array)

    def from_uniform(self, u: ArrayLike) -> NDArray[Any]:
        """Legal codes (n, d) of numbers u (n, D) in [0, 1), each value of a dimension alike.

        A log integer follows Optuna: uniform between the logs of ``low - 1/2`` and
        ``high + 1/2``, then rounded.
        """
        numbers = np.asarray(u, dtype=np.float64)
        code = np.zeros((len(numbers), len(self.columns)))
        for column, dim in zip(numbers.T, self.dimensions, strict=True):
            where = self._slices[dim.name]
            if isinstance(dim, Categorical):
                picked = np.floor(column * len(dim.choices)).astype(int)
                code[:, where] = np.eye(len(dim.choices))[picked]
            elif dim.log:
                half = 0.5 if isinstance(dim, Integer) else 0.0
                ends = np.log([dim.low - half, dim.high + half])
                code[:, where.start] = np.exp(ends[0] + column * (ends[1] - ends[0]))
            elif dim.step is None:
                code[:, where.start] = dim.low + column * (dim.high - dim.low)
            else:
                code[:, where.start] = dim.low + dim.step * np.floor(column * n_values(dim))
        return self.round(code)

    def sample(self, n: int, rng: np.random.Generator | int | None = None) -> NDArray[Any]:
        """Draws n legal codes, shape (n, d), uniformly (log dimensions in log)."""
        return self.from_uniform(np.random.default_rng(rng).random((n, len(self.dimensions))))

    def neighbours(self, code: ArrayLike) -> NDArray[Any]:
        """Legal codes (m, d) that differ from one code (d,) in one dimension by one step.

        A categorical's neighbours are its other choices; a continuous dimension moves by 5 % of
        its unit range.
        """
        base = self.round(code).astype(np.float64)
        unit = self.normalize(base)
        found: list[FloatArray] = []
        for dim in self.dimensions:
            where = self._slices[dim.name]
            if isinstance(dim, Categorical):
                for i in range(len(dim.choices)):
                    moved = base.copy()
                    moved[where] = np.eye(len(dim.choices))[i]
                    found.append(moved)
                continue
            for sign in (-1.0, 1.0):
                moved = base.copy()
                if dim.step is not None:
                    moved[where] += sign * dim.step
                else:
                    shifted = unit.copy()
                    shifted[where] += sign * _CONTINUOUS_NEIGHBOUR
                    moved[where] = self.denormalize(shifted)[where]
                found.append(moved)
        legal = self.round(np.array(found))
        moves: NDArray[Any] = (legal != base).any(axis=1)
        return legal[moves]

    def enumerate(self) -> NDArray[Any]:
        """Every legal code, shape (size, d).

        Raises:
            ValueError: More than 100,000 codes, or a continuous dimension.
        """
        if self.size > _MAX_ENUMERATED:
            raise ValueError(f"the space has {self.size:.3g} codes, over {_MAX_ENUMERATED}")
        counts = [int(n_values(dim)) for dim in self.dimensions]
        grid = np.indices(counts).reshape(len(counts), -1).T
        code = np.zeros((len(grid), len(self.columns)))
        for picked, dim in zip(grid.T, self.dimensions, strict=True):
            where = self._slices[dim.name]
            if isinstance(dim, Categorical):
                code[:, where] = np.eye(len(dim.choices))[picked]
            else:
                code[:, where.start] = dim.low + (dim.step or 0.0) * picked
        return self.round(code)

    def _encode(self, params: Mapping[str, Any]) -> FloatArray:
        missing = [name for name in self.names if name not in params]
        unknown = [name for name in params if name not in self._slices]
        if missing or unknown:
            raise ValueError(
                f"params do not fit the space: missing {missing}, unknown {unknown}; "
                f"give exactly {list(self.names)}"
            )
        code = np.zeros(len(self.columns))
        for dim in self.dimensions:
            value = params[dim.name]
            if isinstance(dim, Categorical):
                code[self._slices[dim.name].start + dim.index(value)] = 1.0
                continue
            try:
                code[self._slices[dim.name].start] = float(value)
            except (TypeError, ValueError):
                raise ValueError(f"{dim.name}={value!r} is not a number") from None
        return code

    def _decode(self, code: FloatArray) -> Params:
        params: Params = {}
        for dim in self.dimensions:
            block = code[self._slices[dim.name]]
            if isinstance(dim, Categorical):
                params[dim.name] = dim.choices[int(block.argmax())]
            else:
                number = block[0].item()
                params[dim.name] = round(number) if isinstance(dim, Integer) else number
        return params

    def _check_shape(self, code: ArrayLike | torch.Tensor) -> FloatArray:
        if isinstance(code, torch.Tensor):
            code = code.detach().cpu().numpy()
        try:
            numbers = np.asarray(code, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"code must be numbers of shape (n, {len(self.columns)})") from None
        if numbers.ndim == 0 or numbers.shape[-1] != len(self.columns):
            raise ValueError(
                f"code has shape {numbers.shape}; its last axis must be the "
                f"{len(self.columns)} columns of the space"
            )
        if np.isnan(numbers).any():
            bad = self.columns[int(np.argwhere(np.isnan(numbers))[0][-1])]
            raise ValueError(f"code is NaN at {bad!r}; replace it by a number")
        return numbers

    def _check_legal(self, code: FloatArray, legal: NDArray[Any]) -> None:
        tolerance = np.where(self._grid, self._step * STEP_TOLERANCE, 0.0)
        wrong = np.abs(code - legal) > tolerance
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            name = self.columns[int(at[-1])]
            dim = next(d for d in self.dimensions if name in columns(d))
            raise ValueError(
                f"{name}={code[at].item():g} is not a value of {dim}; "
                f"the nearest legal value is {legal[at].item():g}"
            )
