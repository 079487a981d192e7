"""Plain functions of params as features of unit codes, interpolated between valid codes.

A known property of an architecture is often a function of its params: number of weights, depth,
FLOPs. Such a function has values only at valid codes, and no gradient. Between valid codes, it is
interpolated linearly over simplices (the Lovász extension of each cell). The interpolation is
continuous, exact at every valid code, and needs d + 1 values per point, whereas multilinear
interpolation needs 2^d. If a parameter exists only at some corners of a cell, its value at these
corners is computed from its own columns in the code, as if its parent had the required value.

Notation
    n, d, D, f  unit codes, columns, dimensions, features
    values      (n, D), numbers and positions of categories that define a corner of a cell
    moves       m steps from a cell's first corner to its last one: for each number, one move to the
                next valid value; for each categorical with k categories, k - 1 moves, each to the
                next category
    t           (n, m), completed fraction of each move
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.space.columns import Columns, FloatArray
from ncp_sampler.space.conditions import Condition
from ncp_sampler.space.dimensions import Dimension

ParamFeatures: TypeAlias = Callable[[Mapping[str, Any]], Sequence[float] | float]

_CELLS = 20  # Number of cells per continuous column
_MAX_CACHED = 100_000  # Maximum number of function values in the cache
_MAX_CALLS = 512  # Maximum number of calls for the slopes, in addition to one call per code
_TOLERANCE = 1e-9  # Distance from a valid unit code that counts as 0


class Codec(Protocol):
    """Protocol for the part of a search space that converts codes to params."""

    dimensions: tuple[Dimension, ...]
    columns: tuple[str, ...]
    conditions: dict[str, Condition]

    def round(self, code: FloatArray) -> NDArray[Any]:
        """Return the nearest valid codes, with the middle where a parameter does not exist."""

    def to_params(self, code: NDArray[Any]) -> Any:
        """Return params of valid codes (n, d), as a list."""


class InterpolatedFeatures:
    """Differentiable features of unit codes: the code itself and a plain function of params.

    Args:
        space: Codec that converts codes to params.
        function: Params -> a number, or a sequence of numbers with the same length for all params.
        name: Name of the function in error messages.
        ceiling: Number that replaces infinity in the features; ``at`` still returns infinity. If
            None, an infinite value is an error.

    Raises:
        ValueError: The argument is not a function, raises an error, or does not return finite
            numbers for the first valid params.
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
        self._columns = columns = Columns(space.dimensions)
        categoricals = columns.categoricals.values()
        self._categorical = [columns.slices[dim.name] for dim in categoricals]
        later = [np.arange(1, len(dim.choices)) for dim in categoricals]
        owners = [np.full(len(dim.choices) - 1, i) for i, dim in columns.categoricals.items()]
        self._categories = np.concatenate([np.empty(0), *later])  # ends of the categoricals' moves
        self._moved = np.concatenate([columns.numeric, *owners])  # dimension of each move
        self._known: dict[bytes, FloatArray] = {}
        self.at(columns.round(np.zeros((1, len(space.columns)))))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, InterpolatedFeatures)
            and self._function == other._function
            and self._space.dimensions == other._space.dimensions
            and self._space.conditions == other._space.conditions
        )

    def __hash__(self) -> int:
        return hash(self._space.dimensions)

    def __call__(self, unit: Tensor) -> Tensor:
        """Return features (n, d + f) of unit codes (n, d): the code, then the function's values.

        If a gradient is required, the function is called once per code and at most about
        ``_MAX_CALLS`` further times. If interpolation would take more calls, slopes are computed
        only for the first codes. Each code then has the value of the nearest valid code, and the
        slopes of the nearest of the first codes.

        Raises:
            ValueError: The function does not return finite numbers, or returns the wrong number of
                them.
        """
        x = np.clip(unit.detach().cpu().double().numpy(), 0.0, 1.0)
        nearest = self._columns.round(self._columns.denormalize(x))
        if unit.requires_grad and torch.is_grad_enabled():
            return torch.cat([unit, self._differentiable(unit, nearest)], dim=1)
        valid = (np.abs(self._columns.normalize(nearest) - x) <= _TOLERANCE).all(axis=1)
        if valid.all():
            features = self._finite(self.at(nearest))
        else:
            between = self._interpolated(unit[torch.as_tensor(~valid)])[0].cpu().numpy()
            features = np.empty((len(x), between.shape[1]))
            features[~valid] = between
            if valid.any():
                features[valid] = self._finite(self.at(nearest[valid]))
        return torch.cat([unit, torch.as_tensor(features).to(unit)], dim=1)

    def at(self, codes: NDArray[Any]) -> FloatArray:
        """Return the exact values (n, f) of the function at valid codes (n, d)."""
        return self._at_values(self._columns.to_values(np.asarray(codes, dtype=np.float64)))

    def _differentiable(self, unit: Tensor, nearest: FloatArray) -> Tensor:
        """Return differentiable features (n, f) of the function, given the nearest valid codes."""
        n_slopes = max(1, _MAX_CALLS // (len(self._moved) + 1))
        if len(unit) <= n_slopes:
            return self._interpolated(unit)[0]
        rows = torch.arange(n_slopes)  # a search's best starts come first
        _, slopes = self._interpolated(unit.detach()[rows].requires_grad_(True))
        closest = torch.cdist(unit.detach(), unit.detach()[rows]).argmin(1)
        t = self._moves(unit)[0]
        values = torch.as_tensor(self._finite(self.at(nearest))).to(unit)
        return values + torch.einsum("nm,nmf->nf", t - t.detach(), slopes[closest])

    def _interpolated(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Return the function's features (n, f), and their slopes (n, m, f) along each move.

        Slopes are computed only if a gradient is required.
        """
        t, corner, ends = self._moves(unit)
        t, order = t.sort(dim=1, descending=True, stable=True)
        corners = [corner]
        rows = np.arange(len(corner))
        for move in order.cpu().numpy().T:
            corner = corner.copy()
            corner[rows, self._moved[move]] = ends[rows, move]
            corners.append(corner)
        fractions = t.detach().cpu().numpy()
        weight = -np.diff(fractions, axis=1, prepend=1.0, append=0.0).T  # corner weights of sum 1
        wanted = (weight > 0) | t.requires_grad  # slopes require all differences
        computed = self._finite(self._at_values(np.stack(corners)[wanted]))
        values = np.zeros((*wanted.shape, computed.shape[1]))
        values[wanted] = computed
        if not t.requires_grad:
            features = torch.as_tensor(np.einsum("mn,mnf->nf", weight, values)).to(t)
            return features, features.new_empty(0)
        rises = torch.as_tensor(np.diff(values, axis=0)).to(t)
        features = torch.as_tensor(values[0]).to(t) + torch.einsum("nm,mnf->nf", t, rises)
        by_move = order[..., None].expand(-1, -1, rises.shape[2])
        slopes = torch.zeros_like(by_move, dtype=t.dtype)
        return features, slopes.scatter(1, by_move, rises.transpose(0, 1))

    def _moves(self, unit: Tensor) -> tuple[Tensor, FloatArray, FloatArray]:
        """Return t (n, m), the values of the first corner (n, D), and the value after each move."""
        low, high = self._cell(np.clip(unit.detach().cpu().double().numpy(), 0.0, 1.0))
        shares = [_later_shares(unit[:, where]) for where in self._categorical]
        t = torch.cat([self._numeric_fractions(unit, low, high), *shares], dim=1)
        corner = np.zeros((len(low), len(self._space.dimensions)))
        corner[:, self._columns.numeric] = low
        later = np.broadcast_to(self._categories, (len(low), len(self._categories)))
        return t, corner, np.hstack([high, later])

    def _cell(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the valid numbers at the lower and at the upper end of each number's cell."""
        columns, numeric = self._columns, self._columns.numeric
        low, high, step = columns.low[numeric], columns.high[numeric], columns.step[numeric]
        size = np.where(step > 0, step, 1.0)
        last = np.maximum(np.ceil((high - low) / size - 1e-9) - 1, 0.0)
        # the upper end of a range belongs to the last cell, so that it has a slope, too
        numbers = columns.denormalize(x)[:, columns.numeric_columns]
        steps = np.minimum(np.floor((numbers - low) / size + 1e-9), last)
        cell = np.minimum(np.floor(x * _CELLS), _CELLS - 1)
        ends = []
        for end in (0, 1):
            continuous = columns.denormalize((cell + end) / _CELLS)[:, columns.numeric_columns]
            stepped = np.minimum(low + (steps + end) * step, high)
            ends.append(np.where(step > 0, stepped, continuous))
        return ends[0], ends[1]

    def _numeric_fractions(self, unit: Tensor, low: FloatArray, high: FloatArray) -> Tensor:
        codes = np.zeros((2, len(low), len(self._space.columns)))
        codes[..., self._columns.numeric_columns] = low, high
        start, end = torch.as_tensor(
            self._columns.normalize(codes)[..., self._columns.numeric_columns]
        ).to(unit)
        size = torch.where(end > start, end - start, 1.0)
        t = torch.where(end > start, (unit[:, self._columns.numeric_columns] - start) / size, 0.0)
        # unlike clamp in PyTorch 2.15, this has a slope at valid codes, too
        return torch.where((t >= 0) & (t <= 1), t, t.detach().clamp(0, 1))

    def _at_values(self, values: FloatArray) -> FloatArray:
        """Return the function's values (n, f) at given values (n, D)."""
        if self._space.conditions:  # parameters that do not exist are not part of the params
            codes = self._space.round(self._columns.from_values(values))
            values = self._columns.to_values(codes.astype(np.float64))
        if len(self._known) > _MAX_CACHED:
            self._known.clear()
        keys = [row.tobytes() for row in values]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            codes = self._columns.round(self._columns.from_values(values[[*new.values()]]))
            rows: Any = self._space.to_params(codes)
            for key, params in zip(new, rows, strict=True):
                self._known[key] = self._call(params)
        return np.array([self._known[key] for key in keys])

    def _finite(self, features: FloatArray) -> FloatArray:
        """Return the features with infinity replaced by the ceiling."""
        if self.ceiling is None:
            return features
        return np.where(np.isinf(features), self.ceiling, features)

    def _call(self, params: Mapping[str, Any]) -> FloatArray:
        """Return the function's features (f,) for params."""
        try:
            result = self._function(params)
        except Exception as error:  # a user's function can raise anything
            raise self._refusal(params, f"raises {type(error).__name__}: {error}", error) from error
        try:
            value = np.atleast_1d(np.asarray(result, dtype=np.float64))
        except (OverflowError, TypeError, ValueError) as error:
            raise self._refusal(params, f"gives {checks.shown(result)}") from error
        known = next(iter(self._known.values()), value)
        usable = np.isfinite(value) | ((self.ceiling is not None) & np.isposinf(value))
        if value.ndim != 1 or value.shape != known.shape or not usable.all():
            raise self._refusal(params, f"gives {checks.shown(value.tolist())}")
        return value

    def _refusal(
        self, params: Mapping[str, Any], what: str, error: Exception | None = None
    ) -> ValueError:
        infinite = "" if self.ceiling is None else ", or inf for params over every limit"
        return ValueError(
            f"{self._name} {what} for params {checks.shown(params)}{self._missing(params, error)}; "
            "it must give a finite number, or the same number of finite values for all params"
            f"{infinite}"
        )

    def _missing(self, params: Mapping[str, Any], error: Exception | None) -> str:
        """Return a note on a missing parameter if it caused the function's error."""
        if not isinstance(error, KeyError) or not error.args or error.args[0] in params:
            return ""
        name = error.args[0]
        if name in [dim.name for dim in self._space.dimensions]:
            return f": {name!r} does not exist there; use, for example, params.get({name!r}, 0)"
        names = ", ".join(repr(dim.name) for dim in self._space.dimensions)
        return f": {name!r} is not a parameter; the names are {checks.cut(names)}"


class EffectiveFeatures:
    """Features that do not depend on parameters that do not exist.

    Args:
        effective: Function that sets unit codes (n, d) to the middle where a parameter does not
            exist.
        features: Features of unit codes; None for the unit codes themselves.
    """

    def __init__(
        self, effective: Callable[[Tensor], Tensor], features: Callable[[Tensor], Tensor] | None
    ) -> None:
        self._effective, self._features = effective, features

    def __call__(self, unit: Tensor) -> Tensor:
        """Return features (n, f) of unit codes (n, d)."""
        effective = self._effective(unit)
        if self._features is None:
            return effective
        if isinstance(self._features, InterpolatedFeatures):  # ignores such parameters itself
            own = self._features(unit)[:, unit.shape[1] :]
            return torch.cat([effective, own], dim=1)
        return self._features(effective)


def _later_shares(unit: Tensor) -> Tensor:
    """Return, for each category but the first, its share plus all later shares, (n, k - 1).

    These sums are the fractions t of a categorical's moves. The weight of each category in the
    interpolation is then its share. The order of the moves is fixed, so there is no discontinuity
    where the category with the largest share changes.
    """
    share = torch.where(unit >= 0, unit, 0.0)  # clamp's slope at 0 depends on PyTorch's version
    share = share / share.sum(1, keepdim=True).clamp_min(1e-12)
    return share.flip(1).cumsum(1).flip(1)[:, 1:]
