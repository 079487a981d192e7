"""Known costs of offline searches: conversion to differentiable functions of codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.targets import Cost, Target
from ncp_sampler.search.known_cost import CostFunction, KnownCost
from ncp_sampler.space.search_space import SearchSpace


def with_known_costs(targets: Sequence[Target], space: SearchSpace) -> list[Target]:
    """Return the targets, with every cost converted to a function of codes.

    Raises:
        ValueError: A cost is a function of neither codes nor params, or two costs have one name.
    """
    given: dict[str, CostFunction] = {}
    bounds: dict[str, list[float]] = {}
    for target in targets:
        if target.cost is None:
            continue
        if given.setdefault(target.metric, target.cost) != target.cost:
            raise ValueError(
                f"targets has two costs named {target.metric!r}; give each function its own name"
            )
        own = [] if target.bound is None else [target.bound]
        bounds[target.metric] = [*bounds.get(target.metric, []), *own]
    costs = {name: _known_cost(name, cost, space, bounds[name]) for name, cost in given.items()}
    return [
        target if target.cost is None else replace(target, cost=costs[target.metric])
        for target in targets
    ]


def _known_cost(
    name: str, cost: CostFunction, space: SearchSpace, bounds: Sequence[float]
) -> CostFunction:
    known = KnownCost(name, cost, space, argument=f"Target({name!r}).cost")
    if not known.is_of_params and known.is_finite:
        return cost
    return _cost(known, space, bounds)


def cost_of_codes(
    name: str, function: CostFunction, space: SearchSpace, *, bounds: Sequence[float] = ()
) -> Cost:
    """Return a differentiable cost of codes, given a function of params or of codes.

    An infinite cost, which exceeds every limit, is replaced by a finite number above all other
    costs and all bounds; ``cost_at`` returns it as infinity.

    Raises:
        ValueError: As for ``KnownCost``.
    """
    return _cost(KnownCost(name, function, space), space, bounds)


def _cost(known: KnownCost, space: SearchSpace, bounds: Sequence[float]) -> Cost:
    known.raise_ceiling(max([known.ceiling, *(bound + known.spread for bound in bounds)]))
    return _CostOfCodes(known, space)


def cost_at(cost: Cost, codes: ArrayLike) -> FloatArray:
    """Return a cost (n,) of valid codes (n, d) as users see it, infinite where it is."""
    rows = np.asarray(codes, dtype=np.float64)
    with torch.no_grad():
        values: FloatArray = cost(torch.as_tensor(rows)).double().cpu().numpy()
    if isinstance(cost, _CostOfCodes):
        return np.where(np.isinf(cost.known.at(rows)), np.inf, values)
    return values


@dataclass(frozen=True)
class _CostOfCodes:
    """Finite, differentiable cost of codes (n, d) -> (n,)."""

    known: KnownCost
    space: SearchSpace

    def __call__(self, codes: Tensor) -> Tensor:
        apply: Any = _KnownAtCodes.apply  # not typed in PyTorch
        values: Tensor = apply(codes, self.known, self.space)
        return values


class _KnownAtCodes(torch.autograd.Function):
    """Known cost at codes (n, d) in natural units, with a gradient computed at unit codes."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, known: KnownCost, space: SearchSpace) -> Tensor:
        unit = space.normalize(codes.detach().cpu().double().numpy())
        values, ctx.pullback = known.vjp(unit)
        ctx.unit, ctx.space = torch.as_tensor(unit), space
        return torch.as_tensor(values).to(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        unit = ctx.unit.clone().requires_grad_(True)
        with torch.enable_grad():  # d code / d unit is diagonal
            slope = torch.autograd.grad(ctx.space.denormalize(unit).sum(), unit)[0]
        by_unit = torch.as_tensor(ctx.pullback(gradient.cpu().double().numpy()))
        by_unit = torch.nan_to_num(by_unit, 0.0, 0.0, 0.0)  # an infinite cost has no slope
        by_code = torch.where(slope == 0, 0.0, by_unit / torch.where(slope == 0, 1.0, slope))
        return by_code.to(gradient), None, None
