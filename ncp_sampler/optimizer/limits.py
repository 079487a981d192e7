"""Costs that are known to the last digit, and limits on them that no proposal exceeds.

A known cost is a function of codes or of params. On the way to a proposal codes lie between legal
ones, so it is needed there too, with a gradient; whether a limit holds is seen at legal codes.

Notation
    n, d       codes, columns of a code
    excess     (n,) how far over the limits, in the costs' spreads; 0 within
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.space.interpolation import InterpolatedFeatures
from ncp_sampler.space.search_space import Params, SearchSpace

CostFunction: TypeAlias = Callable[[Tensor], Tensor] | Callable[[Params], float]
Costs: TypeAlias = Mapping[str, CostFunction]

_SPREAD_CODES = 64  # random codes whose costs say how much a cost differs
_SLOPE = 100.0  # of the penalty, per spread of a cost: steeper than a log improvement
_ROUNDS, _MOVED = 16, 64  # of the way back into the limits; codes at once
_MARGIN = 0.02  # of a spread, by which each round aims lower, as rounding can add


class KnownCost:
    """A cost of a code, computed rather than learnt.

    Args:
        name: Of the cost.
        function: Of codes, a tensor (n, d) in natural units, to a tensor (n,), differentiable;
            or a plain function of params, which is interpolated between legal codes.
        space: Of the codes.

    Attributes:
        spread: Standard deviation of finite costs over the space.
        ceiling: What stands for an infinite cost where a finite one is needed.

    Raises:
        ValueError: It is neither: it raises an error, or gives something else.
    """

    def __init__(
        self,
        name: str,
        function: CostFunction,
        space: SearchSpace,
    ) -> None:
        self.name = name
        self._space = space
        self._function = cast(Any, function)  # of which kind, only trying tells
        self._of_params: InterpolatedFeatures | None = None
        codes = torch.as_tensor(space.sample(2, 0).astype(np.float64)).requires_grad_(True)
        try:
            with warnings.catch_warnings():  # a function of params warns of anything, too
                warnings.simplefilter("ignore")
                found: Any = self._function(codes)
            why = f"gives {checks.shown(found)}"
        except Exception as error:  # a function of params raises anything when given a tensor
            found, why = None, f"raises {type(error).__name__}: {error}"
        if isinstance(found, Tensor) and found.shape == (2,):
            if not found.requires_grad:
                must = "be differentiable by the codes: give a function made of tensor operations"
                raise checks.refusal(f"costs[{name!r}]", function, must)
        else:
            try:
                self._of_params = InterpolatedFeatures(
                    space, self._function, name=f"costs[{name!r}]", ceiling=0.0
                )
            except Exception as error:
                raise ValueError(
                    f"costs[{name!r}]={checks.shown(function)} must be a differentiable function "
                    f"of codes, a tensor (n, {len(space.columns)}) -> (n,), which {why}; or of "
                    f"params, which is refused: {error}"
                ) from error
        sampled = self.at(space.sample(_SPREAD_CODES, 0))
        finite = sampled[np.isfinite(sampled)]
        self.spread = (float(np.std(finite)) if len(finite) else 0.0) or 1.0
        self.raise_ceiling(float(finite.max(initial=0.0)) + self.spread)

    def at(self, codes: NDArray[Any]) -> FloatArray:
        """Return the cost (n,) of legal codes (n, d); inf is over every limit.

        Raises:
            ValueError: The function raises an error, or gives NaN or -inf.
        """
        if not len(codes):
            return np.empty(0)
        if self._of_params is not None:
            return self._of_params.at(codes)[:, 0]
        try:
            with torch.no_grad():
                found = self._function(torch.as_tensor(np.asarray(codes, dtype=np.float64)))
            values: FloatArray = found.double().cpu().numpy()
        except Exception as error:  # a user's function raises anything
            what = f"raises {type(error).__name__}: {error}"
            raise self._refusal(what, codes[0], len(codes)) from error
        wrong = np.isnan(values) | np.isneginf(values)
        if wrong.any():
            at = int(wrong.argmax())
            raise self._refusal(f"gives {values[at]}", codes[at], 1)
        return values

    def finite(self, codes: NDArray[Any]) -> FloatArray:
        """Return the cost (n,) of legal codes (n, d), with the ceiling in place of inf."""
        values = self.at(codes)
        return np.where(np.isinf(values), self.ceiling, values)

    def raise_ceiling(self, ceiling: float) -> None:
        """Set what stands for an infinite cost."""
        self.ceiling = ceiling
        if self._of_params is not None:
            self._of_params.ceiling = ceiling

    def __call__(self, unit: Tensor) -> Tensor:
        """The cost (n,) at unit codes (n, d), differentiable; between legal codes too."""
        if self._of_params is not None:
            return self._of_params(unit)[:, -1]
        value: Tensor = self._function(self._space.denormalize(unit))
        return torch.where(value.isposinf(), self.ceiling, value).to(unit)

    def _refusal(self, what: str, code: NDArray[Any], n: int) -> ValueError:
        """Return the error for a cost of legal codes, of which the params of one are named."""
        params = checks.shown(self._space.to_params(code.tolist()))
        where = params if n == 1 else f"{n} codes, such as that of {params}"
        return ValueError(
            f"costs[{self.name!r}] {what} for {where}; give a function that gives a number for "
            "every legal code, inf for one over every limit"
        )


class Limits:
    """What known costs must not exceed.

    Args:
        space: Of the codes.
        costs: Name -> known cost.
        bounds: Name -> its limit.

    Attributes:
        bounds: As given.
    """

    def __init__(
        self, space: SearchSpace, costs: Mapping[str, KnownCost], bounds: Mapping[str, float]
    ) -> None:
        self.bounds = dict(bounds)
        self._space = space
        self._costs = [costs[name] for name in self.bounds]
        self._spreads = [cost.spread for cost in self._costs]
        for cost, bound in zip(self._costs, self.bounds.values(), strict=True):
            cost.raise_ceiling(max(cost.ceiling, bound + cost.spread))

    def exceeded(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether legal codes (n, d) are over a limit, (n,)."""
        over = np.zeros(len(codes), dtype=bool)
        for cost, bound in zip(self._costs, self.bounds.values(), strict=True):
            over |= cost.at(codes) > bound
        return over

    def cost(self, name: str) -> KnownCost:
        """The known cost of a limit."""
        return self._costs[list(self.bounds).index(name)]

    def over(self, name: str, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether legal codes (n, d) are over one limit, (n,)."""
        return np.asarray(self.cost(name).at(codes) > self.bounds[name])

    def penalty(self, unit: Tensor) -> Tensor:
        """What unit codes (n, d) lose by being over the limits, (n,); 0 within, differentiable."""
        return _SLOPE * self._excess(unit, 0.0)

    def kept(self, codes: NDArray[Any], pinned: FloatArray) -> NDArray[Any]:
        """Of legal codes (n, d) those within the limits, and others moved there.

        Args:
            codes: Any.
            pinned: Numbers of columns that are given, NaN elsewhere, (d,).
        """
        if not self.bounds:
            return codes
        within = codes[~self.exceeded(codes)]
        if len(within) >= _MOVED:
            return within
        moved = self.moved(codes[:_MOVED], pinned)
        return np.concatenate([within, moved[~self.exceeded(moved)]])

    def moved(self, codes: NDArray[Any], pinned: FloatArray) -> NDArray[Any]:
        """Legal codes, those over a limit moved below it along the costs' gradient, (n, d).

        Where it cannot be reached, they end over it.

        Args:
            codes: Legal or not, (n, d).
            pinned: Numbers of columns that are given, NaN elsewhere, (d,).
        """
        given = np.where(np.isnan(pinned), codes, pinned)
        legal = self._space.round(given)
        if not self.bounds:
            return legal
        free = torch.as_tensor(np.isnan(pinned).astype(np.float64))
        unit = torch.as_tensor(self._space.normalize(legal))
        for turn in range(_ROUNDS):
            over = self.exceeded(legal)
            if not over.any():
                break
            at = torch.as_tensor(np.flatnonzero(over))
            x = unit[at].requires_grad_(True)
            excess = self._excess(x, _MARGIN * (turn + 1))
            (slope,) = torch.autograd.grad(excess.sum(), x)
            slope = torch.nan_to_num(slope) * free  # beside an infinite cost
            size = (slope**2).sum(1, keepdim=True).clamp_min(1e-12)
            unit[at] = (x.detach() - excess.detach()[:, None] * slope / size).clamp(0.0, 1.0)
            back = self._space.denormalize(unit[at].numpy())
            legal[over] = self._space.round(np.where(np.isnan(pinned), back, pinned))
        return legal

    def nearest(self, codes: NDArray[Any], pinned: FloatArray) -> ValueError:
        """What says how near any of some codes (n, d) came to the limits."""
        moved = np.concatenate([codes, self.moved(codes[:_MOVED], pinned)])
        costs = np.stack([cost.at(moved) for cost in self._costs], axis=1)
        bounds = np.array(list(self.bounds.values()))
        lost = np.maximum((costs - bounds) / np.array(self._spreads), 0.0).sum(axis=1)
        best = costs[lost.argmin()]
        came = ", ".join(
            f"{name}={cost:.6g} (limit {bound:g})"
            for (name, bound), cost in zip(self.bounds.items(), best, strict=True)
        )
        given = "" if np.isnan(pinned).all() else " with what is fixed"
        return ValueError(
            f"limits={self.bounds} leave no code{given}; the nearest found has {came}; "
            "raise the limits, or widen the space"
        )

    def _excess(self, unit: Tensor, margin: float) -> Tensor:
        total = unit.new_zeros(len(unit))
        for cost, bound, spread in zip(
            self._costs, self.bounds.values(), self._spreads, strict=True
        ):
            total = total + ((cost(unit) - bound) / spread + margin).clamp_min(0.0)
        return total
