"""Test functions of COCO (`coco-experiment`): continuous, mixed-integer, constrained, bi-objective.

The suite contains only functions 1 to 12 of bbob and bbob-mixint. The other functions are reserved
for checking choices that were made on the suite.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import cocoex
import numpy as np
import optuna

from benchmarks.suite.problem import Listed, Outcome, Params, Problem

CONTINUOUS = "bbob"
MIXED = "bbob-mixint"
CONSTRAINED = "constrained"
SEVERAL = "several objectives"
NOISY = "noisy"

_FUNCTIONS = range(1, 13)
_DIMENSIONS = (5, 20)  # alternating dimensions of the continuous functions
_MIXED = 10
_CONSTRAINED = (2, 14, 21, 38)
_SEVERAL = (1, 12, 25, 46)
_NOISY = (1, 3, 8)
_NOISE = 0.05  # noise, relative to the spread of random values


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for number in _FUNCTIONS:
        d = _DIMENSIONS[number % 2]
        yield _name("bbob", number, d), CONTINUOUS, partial(_plain, "bbob", number, d)
        yield (
            _name("bbob-mixint", number, _MIXED),
            MIXED,
            partial(_plain, "bbob-mixint", number, _MIXED),
        )
    for number in _CONSTRAINED:
        yield _name("bbob-constrained", number, 5), CONSTRAINED, partial(_limited, number)
    for number in _SEVERAL:
        yield _name("bbob-biobj", number, 5), SEVERAL, partial(_several, number)
    for number in _NOISY:
        yield f"{_name('bbob', number, 5)}, noise", NOISY, partial(_noisy, number)


def _name(suite: str, number: int, d: int) -> str:
    return f"{suite}-{number}-{d}d"


@cache
def _function(suite: str, number: int, d: int) -> Any:
    options = f"function_indices:{number} dimensions:{d} instance_indices:1"
    return cocoex.Suite(suite, "", options).get_problem(0)


def _suggest(function: Any, trial: optuna.Trial) -> Params:
    """Suggest integers first, in COCO's order."""
    params: dict[str, float] = {}
    for i, (low, high) in enumerate(zip(function.lower_bounds, function.upper_bounds, strict=True)):
        if i < function.number_of_integer_variables:
            params[f"x{i}"] = trial.suggest_int(f"x{i}", int(low), int(high))
        else:
            params[f"x{i}"] = trial.suggest_float(f"x{i}", low, high)
    return params


def _value(function: Any, params: Params) -> float:
    return float(function(np.array(list(params.values()), dtype=float)))


def _plain(suite: str, number: int, d: int) -> Problem:
    function = _function(suite, number, d)
    return Problem(
        _name(suite, number, d),
        CONTINUOUS if suite == "bbob" else MIXED,
        lambda trial: _suggest(function, trial),
        lambda params, _: Outcome((_value(function, params),)),
        trials=200,
    )


def _noisy(number: int) -> Problem:
    plain = _plain("bbob", number, 5)
    draws = np.random.default_rng(number).uniform(-5, 5, (1000, 5))
    spread = float(
        np.std(
            [
                _value(_function("bbob", number, 5), {str(i): v for i, v in enumerate(x)})
                for x in draws
            ]
        )
    )

    def evaluate(params: Params, noise: np.random.Generator) -> Outcome:
        true = plain.evaluate(params, noise).values
        return Outcome((true[0] + _NOISE * spread * noise.standard_normal(),), true=true)

    return Problem(f"{plain.name}, noise", NOISY, plain.suggest, evaluate, noisy=True)


def _limited(number: int) -> Problem:
    function = _function("bbob-constrained", number, 5)

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        x = np.array(list(params.values()), dtype=float)
        return Outcome((float(function(x)),), violations=tuple(function.constraint(x).tolist()))

    return Problem(
        _name("bbob-constrained", number, 5),
        CONSTRAINED,
        lambda trial: _suggest(function, trial),
        evaluate,
    )


def _several(number: int) -> Problem:
    function = _function("bbob-biobj", number, 5)

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        return Outcome(tuple(function(np.array(list(params.values()), dtype=float)).tolist()))

    return Problem(
        _name("bbob-biobj", number, 5),
        SEVERAL,
        lambda trial: _suggest(function, trial),
        evaluate,
        directions=("minimize", "minimize"),
    )
