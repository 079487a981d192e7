"""Standard design problems: mixed-integer problems with constraints, and DTLZ2 fronts."""

from __future__ import annotations

from functools import partial
from math import cos, pi, sin, sqrt

import numpy as np
import optuna

from benchmarks.suite.functions import CONSTRAINED, SEVERAL
from benchmarks.suite.problem import Listed, Outcome, Params, Problem

_FRONT_PARAMS = (7, 12)  # numbers of parameters of DTLZ2 with three objectives


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for name, make in (
        ("pressure vessel", _vessel),
        ("welded beam", _beam),
        ("two integers", _toy),
    ):
        yield name, CONSTRAINED, make
    for d in _FRONT_PARAMS:
        yield _front_name(d), SEVERAL, partial(_front, d)


def _vessel() -> Problem:
    """Return Sandgren's (1990) problem: thicknesses on a 1/16 inch grid; optimum 6,059.71."""

    def suggest(trial: optuna.Trial) -> Params:
        return {
            "shell": trial.suggest_int("shell", 1, 99) * 0.0625,
            "head": trial.suggest_int("head", 1, 99) * 0.0625,
            "radius": trial.suggest_float("radius", 10, 200),
            "length": trial.suggest_float("length", 10, 200),
        }

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        shell, head, radius, length = params.values()
        cost = (
            0.6224 * shell * radius * length
            + 1.7781 * head * radius**2
            + 3.1661 * shell**2 * length
            + 19.84 * shell**2 * radius
        )
        volume = pi * radius**2 * length + 4 / 3 * pi * radius**3
        violations = (
            0.0193 * radius - shell,
            0.00954 * radius - head,
            1_296_000 - volume,
        )
        return Outcome((cost,), violations=violations)

    return Problem("pressure vessel", CONSTRAINED, suggest, evaluate)


def _beam() -> Problem:
    """Return the problem of Ragsdell & Phillips (1976), as in Coello (2000); optimum 1.7249."""
    load, length, youngs, shear_modulus = 6000.0, 14.0, 30e6, 12e6

    def suggest(trial: optuna.Trial) -> Params:
        return {
            "h": trial.suggest_float("h", 0.1, 2),
            "l": trial.suggest_float("l", 0.1, 10),
            "t": trial.suggest_float("t", 0.1, 10),
            "b": trial.suggest_float("b", 0.1, 2),
        }

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        h, weld, t, b = params.values()
        arm = sqrt(weld**2 / 4 + ((h + t) / 2) ** 2)
        moment = load * (length + weld / 2)
        polar = 2 * sqrt(2) * h * weld * (weld**2 / 12 + ((h + t) / 2) ** 2)
        direct, bent = load / (sqrt(2) * h * weld), moment * arm / polar
        shear = sqrt(direct**2 + direct * bent * weld / arm + bent**2)
        stress = 6 * load * length / (b * t**2)
        deflection = 4 * load * length**3 / (youngs * t**3 * b)
        buckling = (
            4.013
            * youngs
            * sqrt(t**2 * b**6 / 36)
            / length**2
            * (1 - t / (2 * length) * sqrt(youngs / (4 * shear_modulus)))
        )
        violations = (
            shear - 13_600,
            stress - 30_000,
            h - b,
            0.125 - h,
            deflection - 0.25,
            load - buckling,
            0.10471 * h**2 + 0.04811 * t * b * (14 + weld) - 5,
        )
        cost = 1.10471 * h**2 * weld + 0.04811 * t * b * (14 + weld)
        return Outcome((cost,), violations=violations)

    return Problem("welded beam", CONSTRAINED, suggest, evaluate)


def _toy() -> Problem:
    """Return the problem of maximizing x + 2 y over two integers with x + y <= 60; optimum 120."""

    def suggest(trial: optuna.Trial) -> Params:
        return {name: trial.suggest_int(name, 0, 100) for name in "xy"}

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        x, y = params["x"], params["y"]
        return Outcome((float(x + 2 * y),), violations=(float(x + y - 60),))

    return Problem(
        "two integers", CONSTRAINED, suggest, evaluate, directions=("maximize",), trials=40
    )


def _front_name(d: int) -> str:
    return f"DTLZ2, {d} params"


def _front(d: int) -> Problem:
    """Return DTLZ2 (Deb et al. 2002), three objectives; the front is an eighth of a sphere."""

    def suggest(trial: optuna.Trial) -> Params:
        return {f"x{i}": trial.suggest_float(f"x{i}", 0, 1) for i in range(d)}

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        first, second, *rest = params.values()
        radius = 1 + sum((x - 0.5) ** 2 for x in rest)
        polar, azimuth = first * pi / 2, second * pi / 2
        return Outcome(
            (
                radius * cos(polar) * cos(azimuth),
                radius * cos(polar) * sin(azimuth),
                radius * sin(polar),
            )
        )

    return Problem(_front_name(d), SEVERAL, suggest, evaluate, directions=("minimize",) * 3)
