"""Hard limits on known costs: a penalty during the ascent, and projection to within the limits.

Notation
    n, d, l    codes, columns of a code, limits
    excess     distance above the limits, in units of the costs' spreads, (n,); 0 within the limits
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.known_cost import Costs, KnownCost
from ncp_sampler.space.search_space import SearchSpace

_SLOPE = 100.0  # slope of the penalty per spread of a cost: steeper than a log improvement
_ROUNDS, _PROJECTED = 16, 64  # numbers of rounds of a projection, and of codes projected at once
_MARGIN = 0.02  # spreads by which each round aims further below, as rounding can increase a cost


class Limits:
    """Upper bounds on known costs.

    Args:
        space: The codes' search space.
        costs: Name -> known cost.
        bounds: Name of a known cost -> its upper bound.

    Attributes:
        bounds: As given.
    """

    def __init__(
        self, space: SearchSpace, costs: Mapping[str, KnownCost], bounds: Mapping[str, float]
    ) -> None:
        self.bounds = dict(bounds)
        self._space = space
        self._parents = np.zeros(len(space.columns), dtype=bool)  # columns of parents
        for condition in space.conditions.values():
            self._parents[space.column_slice(condition.parent)] = True
        self._costs = [costs[name] for name in bounds]
        self._ends = np.array(list(bounds.values()), dtype=np.float64)  # (l,)
        for cost, bound in zip(self._costs, self._ends.tolist(), strict=True):
            cost.raise_ceiling(max(cost.ceiling, bound + cost.spread))

    def costs(self, codes: NDArray[Any]) -> FloatArray:
        """Return the limited costs (n, l) of valid codes (n, d)."""
        columns = [cost.at(codes) for cost in self._costs]
        return np.stack(columns, axis=1) if columns else np.empty((len(codes), 0))

    def over(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask (n, l) of the limits that valid codes (n, d) exceed."""
        return np.asarray(self.costs(codes) > self._ends)

    def exceeded(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask (n,) of the valid codes (n, d) over a limit."""
        return np.asarray(self.over(codes).any(axis=1))

    def penalty(self, unit: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return the penalty (n,) of unit codes (n, d), 0 within the limits, and its pullback."""
        excess, pullback = self._excess(unit, 0.0)
        return _SLOPE * excess, lambda g: pullback(_SLOPE * g)

    def kept(self, codes: NDArray[Any], pinned: FloatArray) -> NDArray[Any]:
        """Return the valid codes within the limits; if they are few, add projections of the others.

        Args:
            codes: Valid codes.
            pinned: Values of fixed columns, NaN elsewhere, (d,).
        """
        if not self.bounds:
            return codes
        within = codes[~self.exceeded(codes)]
        if len(within) >= _PROJECTED:
            return within
        projected = self.projected(codes[:_PROJECTED], pinned)
        return np.concatenate([within, projected[~self.exceeded(projected)]])

    def projected(self, codes: NDArray[Any], pinned: FloatArray) -> NDArray[Any]:
        """Return valid codes (n, d), after moving those over a limit below it by gradient descent.

        If a code cannot be moved below a limit, it stays over the limit.

        Args:
            codes: Codes, (n, d).
            pinned: Values of fixed columns, NaN elsewhere, (d,).
        """
        free = np.isnan(pinned)
        valid = self._space.round(np.where(free, codes, pinned))
        unit = self._space.normalize(valid)
        for turn in range(_ROUNDS):
            over = self.exceeded(valid)
            if not over.any():
                break
            margin = _MARGIN * (turn + 1)
            excess, pullback = self._excess(unit[over], margin)
            rounded = np.flatnonzero(over)[excess <= margin]  # over only after rounding
            if self._parents.any() and len(rounded):  # a fractional parent costs too little
                unit_codes = self._space.normalize(valid[rounded])
                unit[rounded] = np.where(self._parents, unit_codes, unit[rounded])
                excess, pullback = self._excess(unit[over], margin)
            # the gradient may be infinite next to an infinite cost
            slope = np.nan_to_num(pullback(np.ones(len(excess)))) * free
            # a column at the end of its range cannot move further, and would take up the other
            # columns' share of the step
            at = unit[over]
            slope[((at <= 0) & (slope > 0)) | ((at >= 1) & (slope < 0))] = 0.0
            size = np.maximum((slope**2).sum(1, keepdims=True), 1e-12)
            unit[over] = np.clip(unit[over] - excess[:, None] * slope / size, 0.0, 1.0)
            back = self._space.denormalize(unit[over])
            valid[over] = self._space.round(np.where(free, back, pinned))
        return valid

    def error(self, codes: NDArray[Any], pinned: FloatArray) -> ValueError:
        """Return the error for codes (n, d), none of which is within the limits."""
        tried = np.concatenate([codes, self.projected(codes[:_PROJECTED], pinned)])
        costs, spreads = self.costs(tried), [cost.spread for cost in self._costs]
        nearest = costs[np.maximum((costs - self._ends) / spreads, 0.0).sum(axis=1).argmin()]
        reached = ", ".join(
            f"{name}={cost:.6g} (limit {bound:g})"
            for (name, bound), cost in zip(self.bounds.items(), nearest, strict=True)
        )
        given = "" if np.isnan(pinned).all() else " with the fixed parameters"
        return ValueError(
            f"limits={self.bounds} leave no code{given}; the nearest found has {reached}; "
            "raise the limits, or widen the space"
        )

    def _excess(
        self, unit: FloatArray, margin: float
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        total = np.zeros(len(unit))
        parts: list[tuple[FloatArray, Callable[[FloatArray], FloatArray]]] = []
        for cost, bound in zip(self._costs, self._ends, strict=True):
            value, pullback = cost.vjp(unit)
            distance = (value - bound) / cost.spread + margin
            total += np.maximum(distance, 0.0)
            parts.append(((distance > 0) / cost.spread, pullback))

        def pull(g: FloatArray) -> FloatArray:
            return np.asarray(sum(pullback(g * slope) for slope, pullback in parts))

        return total, pull


def checked_limits(
    costs: Costs | None, limits: Mapping[str, float] | None, measured: str = "constraints="
) -> dict[str, float]:
    """Check the form of costs and limits, and return the limits.

    Args:
        costs: Name -> known cost.
        limits: Known cost -> its upper bound.
        measured: Argument or option that bounds a measured metric, for the message.

    Raises:
        ValueError: ``costs`` does not map names to functions, ``limits`` does not map names to
            numbers, or a limit has no cost.
    """
    given = {} if costs is None else costs
    checks.instance("costs", given, Mapping, 'map names to functions, as {"flops": costs.flops}')
    for name, function in given.items():
        checks.text("costs", name)
        must = "be a function of codes, such as costs.flops, or of params"
        checks.call(f"costs[{name!r}]", function, must, required=True)
    bounds = {} if limits is None else limits
    checks.instance("limits", bounds, Mapping, "map a known cost to its upper bound")
    numbers = {
        checks.text("limits", name): checks.number(f"limits[{name!r}]", bound)
        for name, bound in bounds.items()
    }
    unknown = [name for name in numbers if name not in given]
    if unknown:
        raise ValueError(
            f"limits has {unknown}, which costs does not compute; give "
            f"costs={{{unknown[0]!r}: function}}, or {measured} for what is measured"
        )
    return numbers
