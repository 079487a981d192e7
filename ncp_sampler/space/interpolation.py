"""Plain functions of params as features of unit codes: interpolated between legal codes.

What somebody knows of an architecture is often a function of its params: how many weights, how
deep, how many FLOPs. It has values at legal codes only, and no gradient. Between them it is
interpolated linearly over simplices (the Lovász extension of each cell): continuous, exact at every
legal code, and of d + 1 values a point, where multilinear interpolation would take 2^d.

Notation
    n, d, f   unit codes, columns, features
    place     params as (numbers, then categoricals): values, and which choice
    moves     what leads from a cell's corner to the others: one for each number, to its next legal
              value, and k - 1 for each categorical of k choices, to its next one
    t         (n, moves), how far each goes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.space.columns import Columns
from ncp_sampler.space.dimensions import Categorical, Dimension

FloatArray: TypeAlias = NDArray[np.float64]
ParamFeatures: TypeAlias = Callable[[Mapping[str, Any]], Sequence[float] | float]

_CELLS = 20  # of a continuous column
_KEPT = 100_000  # values that are remembered
_CALLS = 512  # params asked for by one differentiable call, beside one for each code
_LEGAL = 1e-9  # of a unit code, within which it is a legal one


class Codec(Protocol):
    """What is asked of a search space."""

    dimensions: tuple[Dimension, ...]
    columns: tuple[str, ...]

    def to_params(self, code: NDArray[Any]) -> Any:
        """Params of legal codes (n, d), as a list."""


class InterpolatedFeatures:
    """Unit codes, and a plain function of the params behind them, differentiable.

    Args:
        space: Makes params of codes.
        function: Params -> a number, or a sequence of as many numbers for all params.
        name: Of the argument that it came by, for refusals.
        ceiling: The number that stands for infinity between legal params; None refuses infinity.

    Raises:
        ValueError: No function, or one that raises or gives no finite number for the first legal
            params.
    """

    def __init__(
        self,
        space: Codec,
        function: ParamFeatures,
        *,
        name: str = "param_features",
        ceiling: float | None = None,
    ) -> None:
        self._space, self._name, self.ceiling = space, name, ceiling
        must = "be a function of params, such as lambda params: [params['width'] ** 2]"
        self._function = checks.call(name, function, must, required=True)
        self._columns = Columns(space.dimensions)
        numbers = [dim for dim in space.dimensions if not isinstance(dim, Categorical)]
        self._numeric = np.array(list(self._columns.numeric.values()), dtype=np.intp)
        self._low = np.array([float(dim.low) for dim in numbers])
        self._high = np.array([float(dim.high) for dim in numbers])
        self._step = self._columns.step[self._numeric]
        self._known: dict[bytes, FloatArray] = {}
        self.at(self._columns.round(np.zeros((1, len(space.columns)))))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, InterpolatedFeatures)
            and self._function == other._function
            and self._space.dimensions == other._space.dimensions
        )

    def __hash__(self) -> int:
        return hash(self._space.dimensions)

    def __call__(self, unit: Tensor) -> Tensor:
        """Features (n, d + f) of unit codes (n, d): the code itself, then the function's.

        With a gradient, at most about ``_CALLS`` params are asked for, and one for each code: where
        interpolation would take more, the first codes lend their slopes to those near them.

        Raises:
            ValueError: The function gives no finite numbers, or another number of them.
        """
        x = np.clip(unit.detach().cpu().double().numpy(), 0.0, 1.0)
        nearest = self._columns.round(self._columns.denormalize(x))
        if unit.requires_grad and torch.is_grad_enabled():
            return torch.cat([unit, self._differentiable(unit, nearest)], dim=1)
        legal = (np.abs(self._columns.normalize(nearest) - x) <= _LEGAL).all(axis=1)
        if legal.all():
            made = self._finite(self.at(nearest))
        else:
            between = self._interpolated(unit[torch.as_tensor(~legal)])[0].cpu().numpy()
            made = np.empty((len(x), between.shape[1]))
            made[~legal] = between
            if legal.any():
                made[legal] = self._finite(self.at(nearest[legal]))
        return torch.cat([unit, torch.as_tensor(made).to(unit)], dim=1)

    def _differentiable(self, unit: Tensor, nearest: FloatArray) -> Tensor:
        """Return the function's features (n, f), from the values at the nearest legal codes."""
        moves = sum(where.stop - where.start - 1 for where in self._columns.choices)
        own = max(1, _CALLS // (len(self._numeric) + moves + 1))
        if len(unit) <= own:
            return self._interpolated(unit)[0]
        rows = torch.arange(own)  # a search's best starts come first
        _, slopes = self._interpolated(unit.detach()[rows].requires_grad_(True))
        lender = torch.cdist(unit.detach(), unit.detach()[rows]).argmin(1)
        t = self._moves(unit)[0].t
        values = torch.as_tensor(self._finite(self.at(nearest))).to(unit)
        return values + torch.einsum("nk,nkf->nf", t - t.detach(), slopes[lender])

    def _interpolated(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Return the function's features (n, f), and their slopes along each move, (n, moves, f).

        Without a gradient there are no slopes.
        """
        moves, corner = self._moves(unit)
        t, order = moves.t.sort(dim=1, descending=True, stable=True)
        corners = [corner]
        for k in order.cpu().numpy().T:
            corners.append(moves.go(corners[-1], k))
        far = t.detach().cpu().numpy()
        weight = -np.diff(far, axis=1, prepend=1.0, append=0.0).T  # of each corner, sum 1
        wanted = weight > 0
        if t.requires_grad:  # then every rise counts
            wanted[:] = True
        places = np.stack(corners)
        found = self._finite(self._values(places[wanted]))
        values = np.zeros((*wanted.shape, found.shape[1]))
        values[wanted] = found
        if not t.requires_grad:
            made = torch.as_tensor(np.einsum("kn,knf->nf", weight, values)).to(t)
            return made, made.new_empty(0)
        rises = torch.as_tensor(np.diff(values, axis=0)).to(t)
        made = torch.as_tensor(values[0]).to(t) + torch.einsum("nk,knf->nf", t, rises)
        by_move = order[..., None].expand(-1, -1, rises.shape[2])
        return made, torch.zeros_like(by_move, dtype=t.dtype).scatter(
            1, by_move, rises.transpose(0, 1)
        )

    def _moves(self, unit: Tensor) -> tuple[_Moves, FloatArray]:
        """Return the moves from each code's cell's first corner, and that corner."""
        x = np.clip(unit.detach().cpu().double().numpy(), 0.0, 1.0)
        low, high = self._cell(x)
        moves = self._numeric_moves(unit, low, high)
        corner = np.zeros((len(x), len(self._space.dimensions)))
        corner[:, : len(self._low)] = low
        for i, where in enumerate(self._columns.choices, start=len(self._low)):
            moves = moves.joined(_choice_moves(unit[:, where], i))
        return moves, corner

    def at(self, codes: NDArray[Any]) -> FloatArray:
        """The function's own values (n, f) at legal codes (n, d)."""
        given = np.asarray(codes, dtype=np.float64)
        picked = [given[:, where].argmax(1) for where in self._columns.choices]
        return self._values(np.column_stack([given[:, self._numeric], *picked]))

    def _finite(self, values: FloatArray) -> FloatArray:
        """Return the values with the ceiling in place of infinity."""
        return values if self.ceiling is None else np.where(np.isinf(values), self.ceiling, values)

    def _cell(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The legal values at both ends of each number's step, (n, numbers)."""
        grid = self._step > 0
        numbers = self._columns.denormalize(x)[:, self._numeric]
        size = np.where(grid, self._step, 1.0)
        last = np.maximum(np.ceil((self._high - self._low) / size - 1e-9) - 1, 0.0)
        # the upper end belongs to the last step: there too it has a slope
        steps = np.minimum(np.floor((numbers - self._low) / size + 1e-9), last)
        cell = np.minimum(np.floor(x * _CELLS), _CELLS - 1)
        ends = []
        for more in (0, 1):
            continuous = self._columns.denormalize((cell + more) / _CELLS)[:, self._numeric]
            stepped = np.minimum(self._low + (steps + more) * self._step, self._high)
            ends.append(np.where(grid, stepped, continuous))
        return ends[0], ends[1]

    def _numeric_moves(self, unit: Tensor, low: FloatArray, high: FloatArray) -> _Moves:
        start, end = (self._unit(ends).to(unit) for ends in (low, high))
        size = torch.where(end > start, end - start, 1.0)
        t = torch.where(end > start, (unit[:, self._numeric] - start) / size, 0.0)
        # at a legal code too it has a slope, which clamp has not with PyTorch 2.15
        t = torch.where((t >= 0) & (t <= 1), t, t.detach().clamp(0, 1))
        return _Moves(t, np.arange(len(self._low)), high)

    def _unit(self, numbers: FloatArray) -> Tensor:
        """Unit columns of numbers (n, numbers)."""
        codes = self._columns.round(np.zeros((len(numbers), len(self._space.columns))))
        codes[:, self._numeric] = numbers
        return torch.as_tensor(self._columns.normalize(codes)[:, self._numeric])

    def _values(self, places: FloatArray) -> FloatArray:
        """The function's values (n, f) at places (n, dimensions)."""
        if len(self._known) > _KEPT:
            self._known.clear()
        keys = [row.tobytes() for row in places]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            codes = self._codes(places[[*new.values()]])
            for key, params in zip(new, self._space.to_params(codes), strict=True):
                self._known[key] = self._value(params)
        return np.array([self._known[key] for key in keys])

    def _codes(self, places: FloatArray) -> FloatArray:
        """Legal codes (n, d)."""
        codes = np.zeros((len(places), len(self._space.columns)))
        codes[:, self._numeric] = places[:, : len(self._low)]
        rows = np.arange(len(places))
        for where, picked in zip(self._columns.choices, places.T[len(self._low) :], strict=True):
            codes[rows, where.start + picked.astype(np.intp)] = 1.0
        return self._columns.round(codes)

    def _value(self, params: Mapping[str, Any]) -> FloatArray:
        try:
            found = self._function(params)
        except Exception as error:  # a user's function raises anything
            raise self._refusal(params, f"raises {type(error).__name__}: {error}") from error
        try:
            value = np.atleast_1d(np.asarray(found, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise self._refusal(params, f"gives {checks.shown(found)}") from error
        known = next(iter(self._known.values()), value)
        usable = np.isfinite(value) | ((self.ceiling is not None) & np.isposinf(value))
        if value.ndim != 1 or value.shape != known.shape or not usable.all():
            raise self._refusal(params, f"gives {checks.shown(value.tolist())}")
        return value

    def _refusal(self, params: Mapping[str, Any], what: str) -> ValueError:
        infinite = "" if self.ceiling is None else ", or inf for params over every limit"
        return ValueError(
            f"{self._name} {what} for {checks.shown(params)}; it must give a finite number, or as "
            f"many of them for all params{infinite}"
        )


@dataclass(frozen=True)
class _Moves:
    """What leads from a place on.

    Attributes:
        t: (n, moves), differentiable.
        dimensions: (moves,), which one a move sets.
        values: (n, moves), to what.
    """

    t: Tensor
    dimensions: NDArray[np.intp]
    values: FloatArray

    def joined(self, more: _Moves) -> _Moves:
        return _Moves(
            torch.cat([self.t, more.t], dim=1),
            np.concatenate([self.dimensions, more.dimensions]),
            np.hstack([self.values, more.values]),
        )

    def go(self, places: FloatArray, ids: NDArray[np.intp]) -> FloatArray:
        """Places after one move each."""
        rows = np.arange(len(places))
        moved = places.copy()
        moved[rows, self.dimensions[ids]] = self.values[rows, ids]
        return moved


def _choice_moves(unit: Tensor, dimension: int) -> _Moves:
    """From the first choice to each later one; t is what it and the later ones have.

    Then each choice's weight in the sum over corners is its own share, and as their order never
    changes, the sum has no step where another choice comes to have most.
    """
    share = torch.where(unit >= 0, unit, 0.0)  # clamp's slope at 0 depends on PyTorch's version
    share = share / share.sum(1, keepdim=True).clamp_min(1e-12)
    t = share.flip(1).cumsum(1).flip(1)[:, 1:]
    values = np.broadcast_to(np.arange(1.0, unit.shape[1]), t.shape)
    return _Moves(t, np.full(t.shape[1], dimension), values)
