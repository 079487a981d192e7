"""scikit-learn models on its own data sets, and problems with conditional parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import optuna
from sklearn import datasets
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.suite.problem import Listed, Outcome, Params, Problem

MODELS = "scikit-learn"
CONDITIONAL = "conditional"

_ROWS = 600  # number of rows of the digits


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for name, (data, suggest, build) in _MODELS.items():
        yield name, MODELS, partial(_model, name, MODELS, data, suggest, build)
    for name, (data, suggest, build) in _BRANCHED.items():
        yield (
            name,
            CONDITIONAL,
            partial(_model, name, CONDITIONAL, data, suggest, build),
        )
    yield "jenatton", CONDITIONAL, _jenatton
    yield "three functions", CONDITIONAL, _choice


@cache
def _data(name: str) -> tuple[Any, Any]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (x[:_ROWS], y[:_ROWS]) if name == "digits" else (x, y)


def _model(
    name: str,
    family: str,
    data: str,
    suggest: Callable[[optuna.Trial], Params],
    build: Callable[[Params], Any],
) -> Problem:
    """Return the problem of a model's cross-validation: squared error, log loss or error in %."""
    kind = {
        "boosting, diabetes": "neg_mean_squared_error",
        "svm, digits": "accuracy",
        "classifier, breast cancer": "accuracy",
    }.get(name, "neg_log_loss")

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        x, y = _data(data)
        folds = KFold(3, shuffle=True, random_state=0)
        model = make_pipeline(StandardScaler(), build(params))
        score = float(cross_val_score(model, x, y, cv=folds, scoring=kind).mean())
        return Outcome((100 * (1 - score) if kind == "accuracy" else -score,))

    return Problem(name, family, suggest, evaluate, conditional=family == CONDITIONAL)


def _boosting(trial: optuna.Trial) -> Params:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 10, 100),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1.0, log=True),
        "max_depth": trial.suggest_int("max_depth", 1, 6),
        "subsample": trial.suggest_float("subsample", 0.2, 1.0),
        "max_features": trial.suggest_float("max_features", 0.1, 1.0),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 50, log=True),
    }


def _support(trial: optuna.Trial) -> Params:
    return {
        "C": trial.suggest_float("C", 1e-3, 1e3, log=True),
        "gamma": trial.suggest_float("gamma", 1e-5, 10.0, log=True),
        "kernel": trial.suggest_categorical("kernel", ["rbf", "sigmoid"]),
        "tol": trial.suggest_float("tol", 1e-4, 1e-1, log=True),
    }


def _forest(trial: optuna.Trial) -> Params:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 5, 40),
        "max_depth": trial.suggest_int("max_depth", 1, 16),
        "max_features": trial.suggest_float("max_features", 0.05, 1.0),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 30, log=True),
        "criterion": trial.suggest_categorical("criterion", ["gini", "entropy"]),
        "bootstrap": trial.suggest_categorical("bootstrap", [False, True]),
    }


def _perceptron(trial: optuna.Trial) -> Params:
    return {
        "hidden_layer_sizes": trial.suggest_int("width", 2, 64, log=True),
        "alpha": trial.suggest_float("alpha", 1e-6, 10.0, log=True),
        "learning_rate_init": trial.suggest_float("rate", 1e-4, 0.3, log=True),
        "batch_size": trial.suggest_int("batch_size", 8, 128, log=True),
        "activation": trial.suggest_categorical("activation", ["relu", "tanh", "logistic"]),
        "beta_1": trial.suggest_float("beta_1", 0.5, 0.99),
    }


def _layers(trial: optuna.Trial) -> Params:
    depth = trial.suggest_int("depth", 1, 4)
    return {
        "hidden_layer_sizes": tuple(
            trial.suggest_int(f"width_{i}", 2, 64, log=True) for i in range(depth)
        ),
        "alpha": trial.suggest_float("alpha", 1e-6, 10.0, log=True),
        "learning_rate_init": trial.suggest_float("rate", 1e-4, 0.3, log=True),
    }


def _classifier(trial: optuna.Trial) -> Params:
    kind = trial.suggest_categorical("model", ["svm", "forest", "neighbors"])
    if kind == "svm":
        return {
            "model": kind,
            "C": trial.suggest_float("C", 1e-3, 1e3, log=True),
            "gamma": trial.suggest_float("gamma", 1e-5, 10.0, log=True),
        }
    if kind == "forest":
        return {"model": kind, **_forest(trial)}
    return {
        "model": kind,
        "n_neighbors": trial.suggest_int("n_neighbors", 1, 60, log=True),
        "p": trial.suggest_float("p", 1.0, 4.0),
        "weights": trial.suggest_categorical("weights", ["uniform", "distance"]),
    }


def _network(params: Params) -> MLPClassifier:
    return MLPClassifier(max_iter=20, random_state=0, **params)


def _any_classifier(params: Params) -> Any:
    given = {name: value for name, value in params.items() if name != "model"}
    if params["model"] == "svm":
        return SVC(max_iter=2000, **given)
    if params["model"] == "forest":
        return RandomForestClassifier(random_state=0, **given)
    return KNeighborsClassifier(**given)


_Model = tuple[str, Callable[[optuna.Trial], Params], Callable[[Params], Any]]
_MODELS: Mapping[str, _Model] = {
    "boosting, diabetes": (
        "diabetes",
        _boosting,
        lambda params: GradientBoostingRegressor(random_state=0, **params),
    ),
    "svm, digits": (
        "digits",
        _support,
        lambda params: SVC(max_iter=2000, **params),
    ),
    "forest, wine": (
        "wine",
        _forest,
        lambda params: RandomForestClassifier(random_state=0, **params),
    ),
    "perceptron, digits": ("digits", _perceptron, _network),
}
_BRANCHED: Mapping[str, _Model] = {
    "layers, digits": ("digits", _layers, _network),
    "classifier, breast cancer": ("breast_cancer", _classifier, _any_classifier),
}


def _jenatton() -> Problem:
    """Return the tree of Jenatton et al. (2017), section 5.1, whose minimum is 0.1 in one leaf."""

    def suggest(trial: optuna.Trial) -> Params:
        left = trial.suggest_categorical("x1", [0, 1]) == 0
        second, shared = ("x2", "r8") if left else ("x3", "r9")
        first = trial.suggest_categorical(second, [0, 1]) == 0
        leaf = {(True, True): "x4", (True, False): "x5", (False, True): "x6"}.get(
            (left, first), "x7"
        )
        return {
            "base": {"x4": 0.1, "x5": 0.2, "x6": 0.3, "x7": 0.4}[leaf],
            "x": trial.suggest_float(leaf, -1, 1),
            "r": trial.suggest_float(shared, 0, 1),
        }

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        return Outcome((params["x"] ** 2 + params["base"] + params["r"],))

    return Problem("jenatton", CONDITIONAL, suggest, evaluate, conditional=True)


def _choice() -> Problem:
    """Return a choice of functions of 3, 4 and 5 numbers; the last one's narrow minimum is best."""
    centres = {"a": 0.3, "b": 0.6, "c": 0.8}
    sizes = {"a": 3, "b": 4, "c": 5}

    def suggest(trial: optuna.Trial) -> Params:
        kind = trial.suggest_categorical("kind", list(centres))
        x = [trial.suggest_float(f"{kind}{i}", 0, 1) for i in range(sizes[kind])]
        return {"kind": kind, "x": np.array(x), "shared": trial.suggest_float("shared", 0, 1)}

    def evaluate(params: Params, _: np.random.Generator) -> Outcome:
        kind = params["kind"]
        away = float(np.mean((params["x"] - centres[kind]) ** 2))
        floor = {"a": 0.3, "b": 0.15, "c": 0.0}[kind]
        width = {"a": 0.5, "b": 0.2, "c": 0.1}[kind]
        return Outcome((floor + away / (away + width) + (params["shared"] - 0.7) ** 2,))

    return Problem("three functions", CONDITIONAL, suggest, evaluate, conditional=True)
