"""Realistic studies: trials that fail, partial constraints, and studies that change.

The functions are simple, but the studies are not. Trials fail in a region of the space (out of
memory, NaN, exceptions) or at random, only some trials report a constraint, a range changes during
the study, killed workers leave running trials behind, or eight trials run at once. All optima are
known. The second family consists of the surrogates of "architectures" with 5 % random failures: for
the same seed, "NAME, 5 % failures" differs from NAME only in the failures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from math import inf, log, log2, log10, nan
from typing import Any, TypeAlias

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmarks.suite import architectures
from benchmarks.suite.problem import Listed, Outcome, Params, Problem

REAL_LIFE = "real life"
FAILURES = "architectures, 5 % failures"
SUFFIX = ", 5 % failures"

_RATE = 0.05  # share of the trials that fail at random
_LOST = 0.4  # share of the trials that return inf or NaN at random
_TRIALS = 50
_LATE = 20  # number of the first trial that reports the late constraint
_COPIED = 10  # number of trials copied from an earlier study
_APART = 0.1  # distance of the stale trials from the optimum, in each parameter
_WORKERS = 8

_Distributions: TypeAlias = Mapping[str, BaseDistribution]
_Evaluate: TypeAlias = Callable[[Params, np.random.Generator], Outcome]
_F, _I, _C = FloatDistribution, IntDistribution, CategoricalDistribution
_LR = _F(1e-5, 1e-1, log=True)
_UNIT = {"x": _F(0, 1), "y": _F(0, 1)}
_BOWL = {"x": _F(-5, 5), "y": _F(-5, 5), "z": _F(-5, 5)}
_MIXED = {**_UNIT, "n": _I(0, 20), "kind": _C("abc"), "lr": _LR}
_BOTTOM = {"x": 1.0, "y": -2.0, "z": 0.5}  # optimum of the bowl
_KINDS = {"a": 0.5, "b": 0.0, "c": 1.0}
_LIMITS = {"a": 1.0, "b": 1.6, "c": 1.3}  # limits of x + y in each branch
_OPTIMIZERS = {"sgd": 0.4, "adam": 0.2, "lion": 0.0}
_PRECISIONS = {"fp32": 0.6, "bf16": 0.2, "fp16": 0.0}
_ACTIVATIONS = {"relu": 0.2, "gelu": 0.0, "tanh": 0.5}
_BLOCKS = (("width", 4), ("skip", 3))


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    parallel = _problem("8 workers", _MIXED, _plain, 0.0, trials=80, workers=_WORKERS)
    for kind in (_failing(), _random(), _constrained(), _changing(), (_stale(), parallel)):
        for problem in kind:
            yield problem.name, REAL_LIFE, partial(replace, problem)
    for name, family, make in architectures.problems():
        if family == architectures.METRIC:
            yield name + SUFFIX, FAILURES, partial(_with_failures, make)


def _problem(
    name: str,
    distributions: _Distributions | Callable[[int], _Distributions],
    evaluate: _Evaluate,
    optimum: float,
    **options: Any,
) -> Problem:
    """Return a problem whose distributions are fixed, or depend on the number of the trial."""

    def suggest(trial: optuna.Trial) -> Params:
        at = distributions(trial.number) if callable(distributions) else distributions
        return {name: _suggest(trial, name, distribution) for name, distribution in at.items()}

    return Problem(
        name, REAL_LIFE, suggest, evaluate, optimum=optimum, **{"trials": _TRIALS, **options}
    )


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, CategoricalDistribution)
    return trial.suggest_categorical(name, distribution.choices)


def _failing() -> Iterator[Problem]:
    """Yield problems whose trials fail in a region of the space."""
    widths = {f"width{i}": _I(8, 256, log=True) for i in range(6)}
    batch, dropout = _I(8, 256, log=True), _F(0, 0.8)
    network = {"width": _I(8, 512), "depth": _I(1, 20)}
    training = {"batch": batch, "lr": _LR, "dropout": dropout}
    further = {"decay": _F(1e-6, 1e-1, log=True), "momentum": _F(0, 1), "resolution": _I(64, 256)}
    yield _problem("out of memory, 2 params", network, _memory_2, -log(500) - log(6) / 2)
    yield _problem(
        "out of memory, 5 params", {**network, **training}, _memory_5, -log(7500) - 0.2 * log(8)
    )
    yield _problem(
        "out of memory, 12 params",
        {**widths, **training, **further},
        _memory_12,
        -log(200) - 0.2 * log(8),
    )
    step = {"lr": _F(1e-5, 1, log=True), "momentum": _F(0, 0.99)}
    yield _problem("NaN, 2 params", step, _nan_2, 0.0)
    mixed = {"n": _I(0, 20), "kind": _C("abc"), "lr": _LR}
    yield _problem("NaN, 5 params", {"x": _F(-10, 10), "y": _F(-10, 10), **mixed}, _nan_5, 0.0)
    floats = {f"x{i}": _F(-5, 5) for i in range(9)}
    yield _problem("NaN, 12 params", {**floats, **mixed}, _nan_12, 0.0)
    heads = {"dim": _I(16, 512, step=8), "heads": _I(1, 16)}
    yield _problem("exceptions, 2 params", heads, _heads, 0.0)
    compiled = {
        "optimizer": _C(list(_OPTIMIZERS)),
        "precision": _C(list(_PRECISIONS)),
        "compile": _C([True, False]),
        "kernel": _I(1, 11),
        "size": _I(4, 64),
    }
    yield _problem("exceptions, 5 params", compiled, _compiled, 0.45)
    residual = {
        **{f"width{i}": _I(1, 4) for i in range(4)},
        **{f"skip{i}": _C([True, False]) for i in range(3)},
        "activation": _C(list(_ACTIVATIONS)),
        "norm": _C(["batch", "layer"]),
        "batch": _I(1, 64, log=True),
        "lr": _LR,
        "dropout": dropout,
    }
    yield _problem("exceptions, 12 params", residual, _residual, 0.2)


def _memory_2(params: Params, _: np.random.Generator) -> Outcome:
    width, depth = params["width"], params["depth"]
    return Outcome(() if width * depth > 3000 else (-log(width) - log(depth) / 2,))


def _memory_5(params: Params, _: np.random.Generator) -> Outcome:
    size = params["width"] * params["depth"]
    if size * params["batch"] > 60_000:
        return Outcome(())
    return Outcome((-log(size) + _training(params),))


def _memory_12(params: Params, _: np.random.Generator) -> Outcome:
    widths = [params[f"width{i}"] for i in range(6)]
    if sum(widths) * params["batch"] > 9600:
        return Outcome(())
    extra = (log10(params["decay"]) + 4) ** 2 / 10 + abs(params["momentum"] - 0.9)
    extra += log2(params["resolution"] / 128) ** 2
    return Outcome((-sum(map(log, widths)) / 6 + _training(params) + extra,))


def _training(params: Params) -> float:
    """Return a loss that depends on batch, lr and dropout."""
    error: float = (log10(params["lr"]) + 3) ** 2 / 2 + abs(params["dropout"] - 0.2)
    return error - 0.2 * log(params["batch"])


def _nan_2(params: Params, _: np.random.Generator) -> Outcome:
    """Return a loss; a large learning rate with high momentum diverges."""
    step = log10(params["lr"] / (1 - params["momentum"]))
    if step > -1.3:
        return Outcome((nan,))
    return Outcome(((step + 1.5) ** 2 + (params["momentum"] - 0.9) ** 2,))


def _nan_5(params: Params, _: np.random.Generator) -> Outcome:
    """Return a loss whose optimum is at the edge of the NaN region, x = 5."""
    if params["x"] > 5:
        return Outcome((nan,))
    return Outcome((0.3 * (5 - params["x"]) + (params["y"] + 3) ** 2 / 20 + _mixed(params),))


def _nan_12(params: Params, _: np.random.Generator) -> Outcome:
    """Return a loss whose optimum is at the edge of the NaN region, where x0 to x3 are 1.5."""
    x = np.array([params[f"x{i}"] for i in range(9)])
    if x[:4].sum() > 6:
        return Outcome((nan,))
    bowl = np.sum((x[:4] - 1.5) ** 2) + np.sum((x[4:] + 1) ** 2)
    return Outcome((float(0.2 * (6 - x[:4].sum()) + bowl / 20) + _mixed(params),))


def _mixed(params: Params) -> float:
    error: float = (params["n"] - 13) ** 2 / 50 + _KINDS[params["kind"]]
    return error + (log10(params["lr"]) + 3) ** 2 / 4


def _heads(params: Params, _: np.random.Generator) -> Outcome:
    """Return the loss of an attention layer; its width must be a multiple of its heads."""
    dim, heads = params["dim"], params["heads"]
    return Outcome(() if dim % heads else (abs(log2(dim / 256)) + abs(heads - 8) / 10,))


def _compiled(params: Params, _: np.random.Generator) -> Outcome:
    """Return a loss; some options exclude each other, and a kernel must fit twice."""
    kernel, size, compiled = params["kernel"], params["size"], params["compile"]
    excluded = (params["optimizer"], params["precision"]) == ("lion", "fp16")
    if excluded or (compiled and kernel % 2 == 0) or kernel > size / 2:
        return Outcome(())
    options = _OPTIMIZERS[params["optimizer"]] + _PRECISIONS[params["precision"]]
    shape = (kernel - 8) ** 2 / 20 + (size - 4) / 50
    return Outcome((options + (0 if compiled else 0.3) + shape,))


def _residual(params: Params, _: np.random.Generator) -> Outcome:
    """Return a loss; skips require equal widths, and batch norm a batch of at least 4."""
    widths, skips = ([params[f"{key}{i}"] for i in range(n)] for key, n in _BLOCKS)
    uneven = any(skip and widths[i] != widths[i + 1] for i, skip in enumerate(skips))
    batch_norm = params["norm"] == "batch"
    if uneven or (batch_norm and params["batch"] < 4):
        return Outcome(())
    loss = sum((width - 3) ** 2 for width in widths) / 10 + 0.3 * (3 - sum(skips))
    loss += _ACTIVATIONS[params["activation"]] + (0 if batch_norm else 0.4)
    loss += log2(params["batch"]) / 10 + (log10(params["lr"]) + 3) ** 2 / 2
    return Outcome((loss + abs(params["dropout"] - 0.1),))


def _random() -> Iterator[Problem]:
    """Yield problems whose trials fail, or return inf or NaN, at random."""
    yield _problem("5 % random failures", _MIXED, partial(_lost, _RATE, ()), 0.0)
    yield _problem("40 % random inf", _MIXED, partial(_lost, _LOST, (inf,)), 0.0)
    yield _problem("40 % random NaN", _MIXED, partial(_lost, _LOST, (nan,)), 0.0)


def _lost(
    rate: float, values: tuple[float, ...], params: Params, noise: np.random.Generator
) -> Outcome:
    return Outcome(values) if noise.random() < rate else _plain(params, noise)


def _plain(params: Params, _: np.random.Generator) -> Outcome:
    return Outcome(((params["x"] - 0.6) ** 2 + (params["y"] - 0.3) ** 2 + _mixed(params),))


def _constrained() -> Iterator[Problem]:
    """Yield problems in which some trials do not report every constraint."""
    yield _problem("constraint when violated", _UNIT, _when_violated, -2.2, partial=True)
    branches = {"kind": _C(list(_LIMITS)), **_UNIT}
    yield _problem("constraints by branch", branches, _by_branch, -2.6, partial=True)
    late = {"reported_from": _LATE, "partial": True}
    yield _problem("late constraint", _UNIT, _limited, -2.2, **late)


def _limited(params: Params, _: np.random.Generator) -> Outcome:
    x, y = params["x"], params["y"]
    return Outcome((-x - 2 * y,), violations=(x + y - 1.2,))


def _when_violated(params: Params, noise: np.random.Generator) -> Outcome:
    outcome = _limited(params, noise)
    return outcome if not outcome.feasible else replace(outcome, unreported=frozenset({0}))


def _by_branch(params: Params, _: np.random.Generator) -> Outcome:
    """Return an outcome; each branch has its own constraint, which only its trials report."""
    x, y = params["x"], params["y"]
    own = list(_LIMITS).index(params["kind"])
    violation = x + y - _LIMITS[params["kind"]]
    return Outcome(
        (-x - 2 * y,),
        violations=tuple(violation if i == own else -1.0 for i in range(len(_LIMITS))),
        unreported=frozenset(range(len(_LIMITS))) - {own},
    )


def _changing() -> Iterator[Problem]:
    """Yield problems in which a distribution changes during the study."""
    once = {**_BOWL, "x": _F(-10, 10)}
    yield _problem(
        "range changed once",
        lambda number: {**once, "x": _F(-10, 9)} if number == 3 else once,
        _bowl,
        0.0,
    )
    for name, before, after, change in (
        ("range widened", _F(1e-5, 1e-3, log=True), _F(1e-5, 1e-2, log=True), 25),
        ("range narrowed", _F(1e-6, 1, log=True), _F(1e-4, 1e-2, log=True), 25),
        ("step dropped", _F(0.001, 0.01, step=0.003), _F(0.001, 0.01), 15),
    ):
        yield _problem(name, partial(_switched, before, after, change), _rate, 0.0)
    yield _problem(
        "log switched", {**_BOWL, "lr": _LR}, _rate, 0.0, earlier=tuple(_linear_then_log())
    )


def _linear_then_log() -> Iterator[FrozenTrial]:
    """Yield trials of another study; the last ones have the new distribution.

    Optuna does not allow the switch within a study. TPE raises an error if no trial has the new
    distribution.
    """
    draws = np.random.default_rng(0)
    for i in range(_COPIED):
        lr = _F(1e-5, 1e-1) if i + 1 < _COPIED else _LR
        params = {name: draws.uniform(-5, 5) for name in _BOWL} | {"lr": draws.uniform(0.01, 0.1)}
        value = _rate(params, draws).values[0]
        yield create_trial(params=params, distributions={**_BOWL, "lr": lr}, value=value)


def _switched(
    before: BaseDistribution, after: BaseDistribution, change: int, number: int
) -> _Distributions:
    return {**_BOWL, "lr": before if number < change else after}


def _bowl(params: Params, _: np.random.Generator) -> Outcome:
    return Outcome((float(sum((params[name] - x) ** 2 for name, x in _BOTTOM.items())),))


def _rate(params: Params, noise: np.random.Generator) -> Outcome:
    """Return a loss whose best lr is 5e-3."""
    return Outcome((_bowl(params, noise).values[0] + 4 * log10(params["lr"] / 5e-3) ** 2,))


def _stale() -> Problem:
    """Return a problem in which killed workers have left running trials near the optimum."""
    earlier = [
        create_trial(
            state=TrialState.RUNNING,
            params=dict(zip(_BOTTOM, corner, strict=True)),
            distributions=dict(_BOWL),
        )
        for corner in product(*((x - _APART, x + _APART) for x in _BOTTOM.values()))
    ]
    return _problem("stale trials", _BOWL, _bowl, 0.0, earlier=tuple(earlier))


def _with_failures(make: Callable[[], Problem]) -> Problem:
    plain = make()

    def evaluate(params: Params, noise: np.random.Generator) -> Outcome:
        return Outcome(()) if noise.random() < _RATE else plain.evaluate(params, noise)

    return replace(plain, name=plain.name + SUFFIX, family=FAILURES, evaluate=evaluate)
