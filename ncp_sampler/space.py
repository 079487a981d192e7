"""Search space: params <-> code <-> unit code.

Notation
    D          number of dimensions (parameters)
    d          number of columns: one per number, one per choice of a categorical
    params     dictionary name -> value, the host tool's form
    code       (n, d) in natural units; a categorical is one-hot
    unit code  (n, d) in [0, 1], log dimensions in log; predictors and propagation work on it
"""

from __future__ import annotations

import itertools
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
    Integer,
    columns,
    decode,
    from_uniform,
    is_number,
    n_values,
    suggest,
    values,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Params: TypeAlias = dict[str, Any]
FloatArray: TypeAlias = NDArray[np.float64]
_Numbers = TypeVar("_Numbers", FloatArray, torch.Tensor)

_CONTINUOUS_NEIGHBOUR = 0.05  # of the unit range
MAX_ENUMERATED = 100_000


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
        self._numeric: dict[str, int] = {}  # column of each number
        self._choices: list[slice] = []  # columns of each categorical
        rows: list[tuple[float, float, float, bool, bool]] = []  # of each column
        for dim in self.dimensions:
            where = slice(len(rows), len(rows) + len(columns(dim)))
            self._slices[dim.name] = where
            if isinstance(dim, Categorical):
                self._choices.append(where)
                rows += [(0.0, 1.0, 1.0, False, True)] * len(dim.choices)
            else:
                self._numeric[dim.name] = where.start
                whole = isinstance(dim, Integer)
                rows.append((dim.low, dim.high, dim.step or 0.0, dim.log, whole))
        self._low, self._high, self._step = np.array([row[:3] for row in rows], dtype=float).T
        self._log, self._whole = np.array([row[3:] for row in rows]).T
        self._grid = self._step > 0
        self._divisor = np.where(self._grid, self._step, 1.0)
        rounding = 4 * np.spacing(np.maximum(-self._low, self._high))
        self._tolerance = np.where(self._grid, self._step * STEP_TOLERANCE + rounding, 0.0)
        ends = np.stack([self._low, self._high])
        ends[:, self._log] = np.log(ends[:, self._log])
        self._offset, self._scale = ends[0], ends[1] - ends[0]
        self._dtype = np.dtype(np.int64 if self._whole.all() else np.float64)

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
        return math.prod(float(n_values(dim)) for dim in self.dimensions)

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
        return {dim.name: suggest(dim, trial) for dim in self.dimensions}

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
        if isinstance(params, Mapping):
            code: NDArray[Any] = self.to_code([params], clip=clip)[0]
            return code
        numbers = self._encode(params)
        return self.round(numbers) if clip else self._check_legal(numbers).astype(self._dtype)

    @overload
    def to_params(self, code: Sequence[float] | NDArray[Any]) -> Params: ...
    @overload
    def to_params(self, code: Sequence[Sequence[float]]) -> list[Params]: ...
    def to_params(self, code: Any) -> Params | list[Params]:
        """Params of a legal code: a dictionary for shape (d,), a list of n for (n, d).

        Raises:
            ValueError: Wrong length, NaN, or an illegal number (``round`` gives the nearest code).
        """
        numbers = self._check_legal(self._check_shape(code))
        if numbers.ndim > 2:
            raise ValueError(f"code has shape {numbers.shape}; it must be (d,) or (n, d)")
        code = np.atleast_2d(numbers)
        found = [decode(dim, code[:, self._slices[dim.name]]) for dim in self.dimensions]
        rows = [dict(zip(self._slices, row, strict=True)) for row in zip(*found, strict=True)]
        return rows[0] if numbers.ndim == 1 else rows

    def round(self, code: ArrayLike | torch.Tensor) -> NDArray[Any]:
        """Nearest legal code, shape kept: clipped, on the grid, one choice per categorical.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        return self._round(self._check_shape(code)).astype(self._dtype)

    def normalize(self, code: ArrayLike) -> FloatArray:
        """Unit code of a code, shape kept: ``low`` is 0, ``high`` is 1 (0 if they are equal).

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        scaled = self._check_shape(code)
        if self._log.any():
            if (scaled[..., self._log] <= 0).any():
                raise ValueError("code has a number <= 0 in a log dimension; round it first")
            scaled = scaled.copy()
            scaled[..., self._log] = np.log(scaled[..., self._log])
        unit: FloatArray = (scaled - self._offset) / np.where(self._scale > 0, self._scale, 1.0)
        return unit

    def denormalize(self, unit: _Numbers) -> _Numbers:
        """Code of a unit code, not rounded, shape kept; differentiable for a tensor."""
        if isinstance(unit, torch.Tensor):
            unit = unit if unit.is_floating_point() else unit.double()
            scale, offset = (unit.new_tensor(x) for x in (self._scale, self._offset))
            scaled = unit * scale + offset
            if not self._log.any():
                return scaled
            mask = torch.as_tensor(self._log, device=unit.device)
            return torch.where(mask, torch.where(mask, scaled, 0.0).exp(), scaled)
        code: FloatArray = self._check_shape(unit) * self._scale + self._offset
        code[..., self._log] = np.exp(code[..., self._log])
        return code

    def from_uniform(self, u: ArrayLike) -> NDArray[Any]:
        """Legal codes (n, d) of numbers u (n, D) in [0, 1), each value of a dimension alike.

        A log integer follows Optuna: uniform between the logs of ``low - 1/2`` and
        ``high + 1/2``, then rounded.

        Raises:
            ValueError: Another shape, or a number outside [0, 1].
        """
        numbers = np.asarray(u, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != len(self.dimensions):
            raise ValueError(f"u has shape {numbers.shape}; it must be (n, {len(self.dimensions)})")
        if not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError("u has a number outside [0, 1]; take it from a uniform distribution")
        return self.round(np.hstack(list(map(from_uniform, self.dimensions, numbers.T))))

    def sample(self, n: int, rng: np.random.Generator | int | None = None) -> NDArray[Any]:
        """Draws n >= 0 legal codes, shape (n, d), uniformly (log dimensions in log)."""
        if n < 0:
            raise ValueError(f"n={n} must be at least 0")
        return self.from_uniform(np.random.default_rng(rng).random((n, len(self.dimensions))))

    def neighbours(self, code: ArrayLike) -> NDArray[Any]:
        """Legal codes (m, d) that differ from one code (d,) in one dimension by one step.

        A categorical's neighbours are its other choices; a continuous dimension moves by 5 % of
        its unit range.

        Raises:
            ValueError: Another shape, or NaN.
        """
        base = self._round(self._check_shape(code))
        if base.ndim != 1:
            raise ValueError(f"code has shape {base.shape}; it must be one code, (d,)")
        unit = self.normalize(base)
        numeric = list(self._numeric.values())
        found: list[FloatArray] = []
        for sign in (-1.0, 1.0):
            shifted = self.denormalize(unit + sign * _CONTINUOUS_NEIGHBOUR)
            shifted = np.where(self._grid, base + sign * self._step, shifted)
            moved = np.tile(base, (len(numeric), 1))
            moved[np.arange(len(numeric)), numeric] = shifted[numeric]
            found.append(moved)
        for where in self._choices:
            one_hot = np.eye(where.stop - where.start)
            moved = np.tile(base, (len(one_hot), 1))
            moved[:, where] = one_hot
            found.append(moved)
        legal = self.round(np.concatenate(found))
        moves: NDArray[Any] = legal[(legal != base).any(axis=1)]
        return moves

    def enumerate(self) -> NDArray[Any]:
        """Every legal code, shape (size, d).

        Raises:
            ValueError: More than 100,000 codes, or a continuous dimension.
        """
        if self.size > MAX_ENUMERATED:
            raise ValueError(f"the space has {self.size:.3g} codes, over {MAX_ENUMERATED}")
        counts = [range(int(n_values(dim))) for dim in self.dimensions]
        picked = np.array(list(itertools.product(*counts)))
        return self.round(np.hstack(list(map(values, self.dimensions, picked.T))))

    def _encode(self, rows: Sequence[Mapping[str, Any]]) -> FloatArray:
        for row in rows:
            if row.keys() != self._slices.keys():
                missing = [name for name in self._slices if name not in row]
                unknown = [name for name in row if name not in self._slices]
                raise ValueError(
                    f"params do not fit the space: missing {missing}, unknown {unknown}; "
                    f"give exactly {list(self.names)}"
                )
        code = np.zeros((len(rows), len(self.columns)))
        numbers = [[row[name] for name in self._numeric] for row in rows]
        kinds = set(map(type, itertools.chain.from_iterable(numbers)))
        if not all(map(is_number, kinds)):
            items = ((name, row[name]) for row in rows for name in self._numeric)
            name, value = next(item for item in items if not is_number(type(item[1])))
            raise ValueError(f"{name}={value!r} is not a number; give an int or a float")
        try:
            columns = np.array(numbers, dtype=np.float64).reshape(len(rows), len(self._numeric))
        except OverflowError:
            raise ValueError("params has a number beyond the range of a float") from None
        code[:, list(self._numeric.values())] = columns
        for dim in self.dimensions:
            if isinstance(dim, Categorical):
                picked = np.array([dim.index(row[dim.name]) for row in rows], dtype=int)
                code[:, self._slices[dim.name]] = values(dim, picked)
        return self._check_shape(code)

    def _round(self, numbers: FloatArray) -> FloatArray:
        clipped = np.clip(numbers, self._low, self._high)
        steps = np.rint((clipped - self._low) / self._divisor)
        grid = np.minimum(self._low + steps * self._step, self._high)
        legal: FloatArray = np.where(self._grid, grid, clipped) + 0.0  # no -0.0
        for where in self._choices:
            best = numbers[..., where].argmax(axis=-1, keepdims=True)
            legal[..., where] = np.arange(where.stop - where.start) == best
        return legal

    def _check_shape(self, code: ArrayLike | torch.Tensor) -> FloatArray:
        if isinstance(code, torch.Tensor):
            code = code.detach().cpu().double().numpy()
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

    def _check_legal(self, code: FloatArray) -> FloatArray:
        """The code if it is legal, its whole numbers made exact."""
        legal = self._round(code)
        wrong = np.abs(code - legal) > self._tolerance
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            dim = next(d for d in self.dimensions if at[-1] < self._slices[d.name].stop)
            raise ValueError(
                f"{self.columns[at[-1]]}={code[at].item():.12g} is not a value of {dim}; "
                f"the nearest legal value is {legal[at].item():.12g}"
            )
        exact: FloatArray = np.where(self._whole, legal, code + 0.0)
        return exact
