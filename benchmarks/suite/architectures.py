"""Architectures: the shipped surrogates of NAS-Bench-MR."""

from __future__ import annotations

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
LIMIT = "architectures, limit"

_FLOPS, _PARAMS = 1.0, 5.0  # limits, in G and M


def problems() -> Listed:
    """Name, family and maker of each problem."""
    for setting in (s.alias for s in SETTINGS if s.name in SHIPPED):
        yield setting, METRIC, partial(_single, setting)
        yield f"{setting}, flops", COST, partial(_several, setting)
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


def _values(judge: Objective, params: Params) -> tuple[float, ...]:
    return tuple(judge.evaluate(judge.space.to_code(params))[0].tolist())


def _single(setting: str) -> Problem:
    judge = _objective(setting, None)
    return Problem(
        setting,
        METRIC,
        judge.space.suggest,
        lambda params, _: Outcome(_values(judge, params)),
        directions=tuple(judge.directions),
        trials=200,
        space=judge.space,
    )


def _several(setting: str) -> Problem:
    judge = _objective(setting, ("flops",))

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        metric, flops = _values(judge, params)
        return Outcome((metric, float(np.log10(flops))))

    return Problem(
        f"{setting}, flops",
        COST,
        judge.space.suggest,
        evaluate,
        directions=tuple(judge.directions),
        space=judge.space,
        costs={1: _log_flops},
    )


def _log_flops(codes: Tensor) -> Tensor:
    return costs.flops(codes).log10()


def _limited(setting: str, cost: str, limit: float) -> Problem:
    judge = _objective(setting, (cost,))

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        metric, used = _values(judge, params)
        return Outcome((metric,), violations=(used - limit,))

    unit = {"flops": "G", "params": "M"}[cost]
    return Problem(
        f"{setting}, {cost} <= {limit:g} {unit}",
        LIMIT,
        judge.space.suggest,
        evaluate,
        directions=(judge.directions[0],),
        space=judge.space,
        costs={cost: {"flops": costs.flops, "params": costs.params}[cost]},
        limits={cost: limit},
    )
