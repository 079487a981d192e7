"""Test functions whose ranges and order of parameters change with the seed, and sparse functions.

The optimum of a test function is often in the middle of the space, where some samplers begin, or on
the diagonal. Here, the seed of a study places the optimum anywhere between one and nine tenths of
each range, without changing the width of the range. It also mirrors half of the parameters, and
permutes them. A sparse function depends on only a few of many parameters.

References: Surjanovic & Bingham, Virtual Library of Simulation Experiments; Jamil & Yang (2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import e, pi

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.suite.problem import Listed, Outcome, Params, Problem

SHIFTED = "test functions"
SPARSE = "sparse"

_MARGIN = 0.1  # minimum distance of the optimum from the ends of its range, in widths of the range
_LEVELS = 12  # number of values of an integer parameter in the mixed problem
_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Function:
    """A function to be minimized.

    Attributes:
        of: Function of x (d,), in its own units.
        best: Minimizer, (d,).
        widths: Widths of the usual ranges, (d,).
        least: Minimum value.
    """

    of: Callable[[_Values], float]
    best: _Values
    widths: _Values
    least: float


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for name, function in _FUNCTIONS.items():
        trials = 150 if name == "hartmann6" else 100
        yield name, SHIFTED, partial(_problem, name, SHIFTED, function, trials=trials)
    for name, (function, d, mixed) in _HIDDEN.items():
        yield name, SPARSE, partial(_problem, name, SPARSE, function, d=d, mixed=mixed)


def _problem(
    name: str,
    family: str,
    function: Function,
    *,
    d: int | None = None,
    mixed: bool = False,
    trials: int = 100,
) -> Problem:
    """Return a problem of d parameters; its instance is that of seed 0 by default.

    Args:
        name: Name of the problem.
        family: Class of the problem.
        function: Function of some of the parameters.
        d: Number of parameters; None for as many as the function has.
        mixed: True for alternating floats, integers and categoricals, a third each.
        trials: Number of trials of a study.
    """
    n_params = len(function.best) if d is None else d
    problem = Problem(
        name,
        family,
        partial(_suggest, n_params, mixed),
        lambda params, _: Outcome((function.of(function.best),)),
        trials=trials,
        optimum=None if mixed else function.least,
    )
    instance = partial(_instance, problem, function, n_params)
    return replace(instance(0), instance=instance)


def _suggest(d: int, mixed: bool, trial: optuna.Trial) -> Params:
    """Return suggested params by name, with values in [0, 1]."""
    levels = np.linspace(0, 1, _LEVELS).tolist()
    params: dict[str, float] = {}
    for i in range(d):
        kind = i % 3 if mixed else 0
        if kind == 0:
            params[f"x{i}"] = trial.suggest_float(f"x{i}", 0, 1)
        elif kind == 1:
            params[f"x{i}"] = levels[trial.suggest_int(f"x{i}", 0, _LEVELS - 1)]
        else:
            params[f"x{i}"] = {"a": 0.0, "b": 0.35, "c": 0.65, "d": 1.0}[
                trial.suggest_categorical(f"x{i}", list("abcd"))
            ]
    return params


def _instance(problem: Problem, function: Function, d: int, seed: int) -> Problem:
    """Return the problem with the ranges and the order of parameters that a seed determines."""
    draws = np.random.default_rng([seed, d, len(function.best)])
    places = draws.permutation(d)[: len(function.best)]
    at = draws.uniform(_MARGIN, 1 - _MARGIN, len(places))  # position of the optimum
    ways = draws.choice([-1.0, 1.0], len(places))

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        unit = np.array(list(params.values()))[places]
        return Outcome((function.of(function.best + ways * (unit - at) * function.widths),))

    return replace(problem, evaluate=evaluate)


def _hartmann(x: _Values) -> float:
    a = np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    )
    p = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    return float(-np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-(a * (x - p) ** 2).sum(1)))


def _michalewicz(x: _Values) -> float:
    return float(-(np.sin(x) * np.sin(np.arange(1, len(x) + 1) * x**2 / pi) ** 20).sum())


def _ackley(x: _Values) -> float:
    bowl = -20 * np.exp(-0.2 * np.sqrt(np.mean(x**2)))
    return float(bowl - np.exp(np.mean(np.cos(2 * pi * x))) + 20 + e)


def _levy(x: _Values) -> float:
    w = 1 + (x - 1) / 4
    inner = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * pi * w[-1]) ** 2)
    return float(np.sin(pi * w[0]) ** 2 + inner.sum() + last)


def _griewank(x: _Values) -> float:
    return float((x**2).sum() / 4000 - np.cos(x / np.sqrt(np.arange(1, len(x) + 1))).prod() + 1)


def _styblinski(x: _Values) -> float:
    return float((x**4 - 16 * x**2 + 5 * x).mean() / 2)


def _rosenbrock(x: _Values) -> float:
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def _function(
    of: Callable[[_Values], float], best: float | list[float], width: float, d: int
) -> Function:
    at = np.full(d, best) if isinstance(best, float) else np.array(best)
    return Function(of, at, np.full(d, width), of(at))


_HARTMANN = _function(
    _hartmann, [0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730053], 1.0, 6
)
_FUNCTIONS = {
    "hartmann6": _HARTMANN,
    "michalewicz": _function(
        _michalewicz, [2.20290552, 1.57079633, 1.28499157, 1.92305847, 1.72046977], pi, 5
    ),
    "ackley": _function(_ackley, 0.0, 30.0, 10),
    "levy": _function(_levy, 1.0, 20.0, 10),
    "griewank": _function(_griewank, 0.0, 100.0, 6),
    "styblinski": _function(_styblinski, -2.9035340, 10.0, 8),
    "rosenbrock": _function(_rosenbrock, 1.0, 4.0, 6),
}
_HIDDEN = {
    "hartmann6 in 60": (_HARTMANN, 60, False),
    "levy 5 in 80": (_function(_levy, 1.0, 20.0, 5), 80, False),
    "ackley 4 in 100": (_function(_ackley, 0.0, 30.0, 4), 100, False),
    "styblinski 6 in 70": (_function(_styblinski, -2.9035340, 10.0, 6), 70, False),
    "levy 8 in 60, mixed": (_function(_levy, 1.0, 20.0, 8), 60, True),
}
