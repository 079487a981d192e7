"""Problems of the family "architectures": the package's surrogates of NAS-Bench-MR."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from torch import Tensor

from benchmarks.suite.problem import Listed, Outcome, Params, Problem
from ncp_sampler import costs
from ncp_sampler.nas_bench.objectives import Objective, objective
from ncp_sampler.nas_bench.settings import SETTINGS
from ncp_sampler.nas_bench.surrogates import SHIPPED

METRIC = "architectures"
COST = "architectures, FLOPs"
COSTS = "architectures, FLOPs and params"
LIMIT = "architectures, limit"

_FLOPS, _PARAMS = 1.0, 5.0  # limits, in G and M
_KNOWN: dict[str, Callable[[Tensor], Tensor]] = {"flops": costs.flops, "params": costs.params}


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for setting in (s.alias for s in SETTINGS if s.name in SHIPPED):
        yield setting, METRIC, partial(_single, setting)
        yield f"{setting}, flops", COST, partial(_several, setting, ("flops",))
        both = ("flops", "params")
        yield f"{setting}, flops, params", COSTS, partial(_several, setting, both)
        yield f"{setting}, flops <= 1 G", LIMIT, partial(_limited, setting, "flops", _FLOPS)
        if setting in {"cls-a", "seg", "video"}:
            yield (
                f"{setting}, params <= 5 M",
                LIMIT,
                partial(_limited, setting, "params", _PARAMS),
            )


@cache
def _objective(setting: str, metrics: tuple[str, ...] | None) -> Objective:
    main = objective(setting).metrics
    return objective(setting, metrics=(*main, *(metrics or ())))


def _values(surrogate: Objective, params: Params) -> tuple[float, ...]:
    return tuple(surrogate.evaluate(surrogate.space.to_code(params))[0].tolist())


def _single(setting: str) -> Problem:
    surrogate = _objective(setting, None)
    return Problem(
        setting,
        METRIC,
        surrogate.space.suggest,
        lambda params, _: Outcome(_values(surrogate, params)),
        directions=tuple(surrogate.directions),
        trials=200,
        space=surrogate.space,
    )


def _several(setting: str, names: tuple[str, ...]) -> Problem:
    """Return the multi-objective problem of a metric and the logarithms of some costs."""
    surrogate = _objective(setting, names)

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        metric, *used = _values(surrogate, params)
        return Outcome((metric, *(float(np.log10(cost)) for cost in used)))

    return Problem(
        f"{setting}, {', '.join(names)}",
        COST if len(names) == 1 else COSTS,
        surrogate.space.suggest,
        evaluate,
        directions=tuple(surrogate.directions),
        space=surrogate.space,
        costs={i: partial(_log10, _KNOWN[name]) for i, name in enumerate(names, start=1)},
    )


def _log10(cost: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    return cost(codes).log10()


def _limited(setting: str, cost: str, limit: float) -> Problem:
    surrogate = _objective(setting, (cost,))

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        metric, used = _values(surrogate, params)
        return Outcome((metric,), violations=(used - limit,))

    unit = {"flops": "G", "params": "M"}[cost]
    return Problem(
        f"{setting}, {cost} <= {limit:g} {unit}",
        LIMIT,
        surrogate.space.suggest,
        evaluate,
        directions=(surrogate.directions[0],),
        space=surrogate.space,
        costs={cost: _KNOWN[cost]},
        limits={cost: limit},
    )
