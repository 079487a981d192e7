"""Spaces of 24 to 40 categoricals or binaries with interactions.

The seed of a study determines its landscape, except for feature selection, where it only permutes
the features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from benchmarks.suite.problem import Listed, Outcome, Params, Problem

CATEGORIES = "categories"

_NEIGHBORS = 3  # number of other bits on which the contribution of a bit depends
_PRICE = 0.02  # price of a selected feature, in percentage points of error
_Codes = NDArray[np.intp]
_Landscape = Callable[[np.random.Generator], Callable[[_Codes], float]]


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for name, (make, d, choices) in _LANDSCAPES.items():
        yield name, CATEGORIES, partial(_problem, name, make, d, choices)


def _problem(name: str, make: _Landscape, d: int, choices: int) -> Problem:
    """Return a problem of d categoricals; its instance is that of seed 0 by default."""
    names = [f"c{i}" for i in range(choices)]

    def suggest(trial: optuna.Trial) -> Params:
        return {
            f"x{i}": names.index(trial.suggest_categorical(f"x{i}", names))
            if choices > 2
            else int(trial.suggest_categorical(f"x{i}", [False, True]))
            for i in range(d)
        }

    def instance(seed: int) -> Problem:
        landscape = make(np.random.default_rng([seed, d]))
        return replace(
            problem,
            evaluate=lambda params, _: Outcome((landscape(np.array(list(params.values()))),)),
        )

    problem = Problem(name, CATEGORIES, suggest, lambda _params, _noise: Outcome(()))
    return replace(instance(0), instance=instance)


def _nk(rng: np.random.Generator) -> Callable[[_Codes], float]:
    """Return Kauffman's NK landscape of 30 bits, each of which interacts with three others."""
    d = 30
    others = [rng.choice(np.delete(np.arange(d), i), _NEIGHBORS, replace=False) for i in range(d)]
    groups = np.column_stack([np.arange(d), others])
    table, powers = rng.random((d, 2 ** (_NEIGHBORS + 1))), 2 ** np.arange(_NEIGHBORS + 1)
    return lambda x: float(-table[np.arange(d), x[groups] @ powers].mean())


def _potts(rng: np.random.Generator) -> Callable[[_Codes], float]:
    """Return the energy of 24 categoricals with four values: single terms and 48 pair terms."""
    d, k, n = 24, 4, 48
    own = rng.normal(size=(d, k))
    pairs = np.array([rng.choice(d, 2, replace=False) for _ in range(n)])
    joint = rng.normal(size=(n, k, k))
    return lambda x: float(
        own[np.arange(d), x].sum() + joint[np.arange(n), x[pairs[:, 0]], x[pairs[:, 1]]].sum()
    )


def _cut(rng: np.random.Generator) -> Callable[[_Codes], float]:
    """Return minus the weight of a cut of a random graph with 40 nodes and positive weights."""
    d = 40
    weights = np.triu(rng.random((d, d)) * (rng.random((d, d)) < 0.15), 1)
    return lambda x: -float(weights[x[:, None] != x].sum())


@cache
def _folds() -> list[tuple[NDArray[np.float64], ...]]:
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    folds = KFold(5, shuffle=True, random_state=0).split(x)
    return [(x[train], y[train], x[test], y[test]) for train, test in folds]


def _selection(rng: np.random.Generator) -> Callable[[_Codes], float]:
    """Return the error (%) of a linear tumor classifier on some of 30 features, plus a price."""
    order = rng.permutation(30)

    def loss(x: _Codes) -> float:
        at = np.flatnonzero(x[order])
        if not len(at):
            return 50.0
        right = [
            RidgeClassifier().fit(train[:, at], of_train).score(test[:, at], of_test)
            for train, of_train, test, of_test in _folds()
        ]
        return 100 * (1 - float(np.mean(right))) + _PRICE * len(at)

    return loss


_LANDSCAPES: dict[str, tuple[_Landscape, int, int]] = {
    "NK, 30 bits": (_nk, 30, 2),
    "Potts, 24 of 4": (_potts, 24, 4),
    "cut, 40 bits": (_cut, 40, 2),
    "features, 30 bits": (_selection, 30, 2),
}
