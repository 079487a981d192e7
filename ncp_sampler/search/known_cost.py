"""Known costs: functions of a code that are evaluated exactly, not modeled.

A known cost is a function of codes or of params. Propagation visits points between valid codes, so
the cost and its gradient are needed there, too. Hard limits are checked at valid codes.

Notation
    n, d       codes, columns of a code
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
from ncp_sampler.predictors.predictor import FloatArray, torch_vjp
from ncp_sampler.space.interpolation import InterpolatedFeatures
from ncp_sampler.space.search_space import Params, SearchSpace

CostFunction: TypeAlias = Callable[[Tensor], Tensor] | Callable[[Params], float]
Costs: TypeAlias = Mapping[str, CostFunction]

_SAMPLED_CODES = 64  # number of random codes that determine the spread and the scale of a cost
_DECADE = 10.0  # ratio of the largest to the smallest cost above which logarithms are used


class KnownCost:
    """Cost of a code that is evaluated, not modeled.

    Args:
        name: Name of the cost.
        function: Differentiable function of codes, a tensor (n, d) in natural units -> (n,), with
            the middle for parameters that do not exist; or a plain function of the params that
            exist, which is interpolated between valid codes.
        space: The codes' search space.
        argument: Name of the function in error messages; ``costs[name]`` if None.

    Attributes:
        name: As given.
        is_finite: True if no cost is infinite in a sample of the space.
        spread: Standard deviation of the cost over random codes of the space, without infinite
            costs; 1 if it is 0.
        spans_decades: True if costs over the space are positive and span more than a decade.
        ceiling: Finite value that replaces an infinite cost where a finite one is needed.

    Raises:
        ValueError: The function takes neither codes nor params, raises an error, or returns
            something other than costs.
    """

    def __init__(
        self, name: str, function: CostFunction, space: SearchSpace, *, argument: str | None = None
    ) -> None:
        self.name = name
        self._argument = argument or f"costs[{name!r}]"
        self._space = space
        self._function = cast(Any, function)  # only a call shows which kind it is
        self._of_params: InterpolatedFeatures | None = None
        codes = torch.as_tensor(space.sample(2, 0).astype(np.float64)).requires_grad_(True)
        try:
            with warnings.catch_warnings():  # given a tensor, a function of params may warn
                warnings.simplefilter("ignore")
                values: Any = self._function(codes)
            why = f"gives {checks.shown(values)}"
        except Exception as error:  # given a tensor, a function of params can raise anything
            values, why = None, f"raises {type(error).__name__}: {error}"
        if isinstance(values, Tensor) and values.shape == (2,):
            if not values.requires_grad:
                must = "be differentiable with respect to codes: give one made of tensor operations"
                raise checks.refusal(self._argument, function, must)
        else:
            try:
                self._of_params = InterpolatedFeatures(
                    space, self._function, name=self._argument, ceiling=0.0
                )
            except Exception as error:
                shape = f"as a function of codes, a tensor (n, {len(space.columns)}) -> (n,)"
                if isinstance(values, Tensor):  # a function of params would have failed
                    message = f"{self._argument} {why} {shape}; as a function of params: {error}"
                else:
                    message = f"{error}; {shape}, it {why}"
                raise ValueError(message) from error
        sampled = self.at(space.sample(_SAMPLED_CODES, 0))
        finite = sampled[np.isfinite(sampled)]
        self.is_finite = len(finite) == len(sampled)
        self.spread = (float(np.std(finite)) if len(finite) else 0.0) or 1.0
        self.spans_decades = bool(len(finite)) and finite.max() > _DECADE * finite.min() > 0
        self.raise_ceiling(float(finite.max(initial=0.0)) + self.spread)

    @property
    def is_of_params(self) -> bool:
        """True if the function takes params, False if it takes codes."""
        return self._of_params is not None

    def at(self, codes: NDArray[Any]) -> FloatArray:
        """Return the cost (n,) of valid codes (n, d); an infinite cost exceeds every limit.

        Raises:
            ValueError: The function raises an error, or returns NaN or -inf.
        """
        if not len(codes):
            return np.empty(0)
        if self._of_params is not None:
            return self._of_params.at(codes)[:, 0]
        try:
            with torch.no_grad():
                costs = self._function(torch.as_tensor(np.asarray(codes, dtype=np.float64)))
            values: FloatArray = costs.double().cpu().numpy()
        except Exception as error:  # a user's function can raise anything
            what = f"raises {type(error).__name__}: {error}"
            raise self._refusal(what, codes[0], len(codes)) from error
        wrong = np.isnan(values) | np.isneginf(values)
        if wrong.any():
            at = int(wrong.argmax())
            raise self._refusal(f"gives {values[at]}", codes[at], 1)
        return values

    def finite(self, codes: NDArray[Any]) -> FloatArray:
        """Return the cost (n,) of valid codes (n, d), with the ceiling instead of inf."""
        values = self.at(codes)
        return np.where(np.isinf(values), self.ceiling, values)

    def raise_ceiling(self, ceiling: float) -> None:
        """Set the value that replaces an infinite cost."""
        self.ceiling = ceiling
        if self._of_params is not None:
            self._of_params.ceiling = ceiling

    def vjp(self, unit: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return the cost (n,) at unit codes (n, d), including invalid ones, and its pullback."""
        return torch_vjp(self._of_unit, unit)

    def _of_unit(self, unit: Tensor) -> Tensor:
        if self._of_params is not None:
            return self._of_params(unit)[:, -1]
        value: Tensor = self._function(self._space.denormalize(self._space.effective(unit)))
        return torch.where(value.isposinf(), self.ceiling, value).to(unit)

    def _refusal(self, what: str, code: NDArray[Any], n: int) -> ValueError:
        """Return the error for an invalid cost, with the params of a code that has it."""
        params = checks.shown(self._space.to_params(code.tolist()))
        where = params if n == 1 else f"{n} codes, such as that of {params}"
        return ValueError(
            f"{self._argument} {what} for {where}; give a function that returns a number for "
            "every valid code, or inf for a code over every limit"
        )
