"""User functions in Python modules as known costs of codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ncp_sampler.command_line.option_types import CostTerm
from ncp_sampler.propagation.targets import Cost
from ncp_sampler.search.known_cost import CostFunction, KnownCost
from ncp_sampler.space.search_space import SearchSpace


def load_function(term: CostTerm) -> CostFunction:
    """Return a function from a module that can be imported, also from the working directory.

    Raises:
        ValueError: There is no such function, or its module raises an error.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function = getattr(import_module(term.module), term.function)
    except Exception as error:  # a user's module raises anything
        raise ValueError(
            f"--cost {term.module}:{term.function} cannot be imported ({type(error).__name__}: "
            f"{error}); give MODULE:FUNCTION of a module in this folder"
        ) from error
    if not callable(function):
        raise ValueError(f"--cost {term.module}:{term.function} must be a function of params")
    return function  # type: ignore[no-any-return]


def cost_of_codes(
    name: str, function: CostFunction, space: SearchSpace, *, bounds: Sequence[float] = ()
) -> Cost:
    """Return a differentiable cost of codes, given a function of params or of codes.

    Infinity, which exceeds every limit, becomes a number above all other costs and all bounds.

    Raises:
        ValueError: As for ``KnownCost``.
    """
    known = KnownCost(name, function, space)
    known.raise_ceiling(max([known.ceiling, *(bound + known.spread for bound in bounds)]))
    apply: Any = _KnownAtCodes.apply  # PyTorch does not type it
    return lambda codes: apply(codes, known, space)


class _KnownAtCodes(torch.autograd.Function):
    """Known cost at codes (n, d) in natural units, with the gradient of the cost at unit codes."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, known: KnownCost, space: SearchSpace) -> Tensor:
        unit = space.normalize(codes.detach().cpu().double().numpy())
        values, ctx.pullback = known.vjp(unit)
        ctx.unit, ctx.space = torch.as_tensor(unit), space
        return torch.as_tensor(values).to(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        unit = ctx.unit.clone().requires_grad_(True)
        with torch.enable_grad():  # d code / d unit: columns do not mix
            slope = torch.autograd.grad(ctx.space.denormalize(unit).sum(), unit)[0]
        by_unit = torch.as_tensor(ctx.pullback(gradient.cpu().double().numpy()))
        by_code = torch.where(slope == 0, 0.0, by_unit / torch.where(slope == 0, 1.0, slope))
        return by_code.to(gradient), None, None
