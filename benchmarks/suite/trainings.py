"""Real trainings of small networks, trees and support vectors, each of less than half a second.

The seed of a training varies from trial to trial, as in practice, and is unknown to the samplers.
The result of a study is the mean of further trainings of the trial with the best observed value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.suite.problem import Listed, Outcome, Params, Problem

TRAININGS = "trainings"

_TRIALS = 50
_REPEATS = 4  # number of further trainings whose mean is the result
_CEILING = 1e3  # loss of a training that has diverged
_Parts = tuple[NDArray[np.float64], NDArray[Any], NDArray[np.float64], NDArray[Any]]
_Train = Callable[[Params, int], float]  # params, seed of a training -> loss on held-out rows


def problems() -> Listed:
    """Yield name, family and factory of each problem."""
    for name, (suggest, train) in _TRAININGS.items():
        yield name, TRAININGS, partial(_problem, name, suggest, train)


def _problem(name: str, suggest: Callable[[optuna.Trial], Params], train: _Train) -> Problem:
    def loss(params: Params, seed: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of trainings that end early or overflow
            value = train(params, seed)
        return min(value, _CEILING) if np.isfinite(value) else _CEILING

    return Problem(
        name,
        TRAININGS,
        suggest,
        lambda params, noise: Outcome((loss(params, int(noise.integers(2**31))),)),
        trials=_TRIALS,
        mean=lambda params: (float(np.mean([loss(params, seed) for seed in range(_REPEATS)])),),
    )


@cache
def _data(name: str) -> _Parts:
    """Return training and held-out rows, standardized."""
    if name == "friedman":
        x, y = datasets.make_friedman1(400, 10, noise=1.0, random_state=0)
        y = (y - y.mean()) / y.std()
    else:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "digits":
        x, y = x[:500], y[:500]
    train, test, of_train, of_test = train_test_split(x, y, test_size=0.4, random_state=0)
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), of_train, scaler.transform(test), of_test


def _perceptron(trial: optuna.Trial) -> Params:
    return {
        "hidden_layer_sizes": (
            trial.suggest_int("width_1", 4, 128, log=True),
            trial.suggest_int("width_2", 4, 128, log=True),
        ),
        "learning_rate_init": trial.suggest_float("lr", 1e-5, 1.0, log=True),
        "alpha": trial.suggest_float("weight_decay", 1e-7, 10.0, log=True),
        "batch_size": trial.suggest_int("batch_size", 8, 128, log=True),
        "activation": trial.suggest_categorical("activation", ["relu", "tanh", "logistic"]),
        "beta_1": 1 - trial.suggest_float("1 - beta_1", 0.01, 0.5, log=True),
        "beta_2": 1 - trial.suggest_float("1 - beta_2", 1e-4, 0.3, log=True),
        "max_iter": trial.suggest_int("epochs", 2, 12),
    }


def _train_classifier(params: Params, seed: int) -> float:
    x, y, test, of_test = _data("digits")
    try:
        model = MLPClassifier(random_state=seed, **params).fit(x, y)
    except ValueError:  # weights overflowed
        return _CEILING
    return float(log_loss(of_test, model.predict_proba(test), labels=np.arange(10)))


def _train_regressor(params: Params, seed: int) -> float:
    x, y, test, of_test = _data("friedman")
    try:
        model = MLPRegressor(random_state=seed, **params).fit(x, y)
    except ValueError:
        return _CEILING
    return float(mean_squared_error(of_test, np.nan_to_num(model.predict(test), nan=_CEILING)))


def _boosting(trial: optuna.Trial) -> Params:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 5, 60),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1.0, log=True),
        "max_depth": trial.suggest_int("max_depth", 1, 8),
        "subsample": trial.suggest_float("subsample", 0.1, 1.0),
        "max_features": trial.suggest_float("max_features", 0.05, 1.0),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 50, log=True),
        "min_impurity_decrease": trial.suggest_float("min_decrease", 1e-6, 1.0, log=True),
        "criterion": trial.suggest_categorical("criterion", ["friedman_mse", "squared_error"]),
    }


def _train_boosting(params: Params, seed: int) -> float:
    x, y, test, of_test = _data("breast_cancer")
    model = GradientBoostingClassifier(random_state=seed, **params).fit(x, y)
    return float(log_loss(of_test, model.predict_proba(test)))


def _support(trial: optuna.Trial) -> Params:
    return {
        "kernel": trial.suggest_categorical("kernel", ["linear", "poly", "rbf", "sigmoid"]),
        "C": trial.suggest_float("C", 1e-3, 1e3, log=True),
        "epsilon": trial.suggest_float("epsilon", 1e-4, 1.0, log=True),
        "gamma": trial.suggest_float("gamma", 1e-4, 10.0, log=True),
        "degree": trial.suggest_int("degree", 2, 5),
        "coef0": trial.suggest_float("coef0", -1.0, 1.0),
        "shrinking": trial.suggest_categorical("shrinking", [True, False]),
    }


def _train_support(params: Params, seed: int) -> float:
    """Fit to a random four fifths of the rows, and return the loss on held-out rows."""
    x, y, test, of_test = _data("friedman")
    rows = np.random.default_rng(seed).permutation(len(x))[: 4 * len(x) // 5]
    model = SVR(max_iter=3000, **params).fit(x[rows], y[rows])
    return float(mean_squared_error(of_test, model.predict(test)))


def _optimizer(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam", "rmsprop"]),
        "lr": trial.suggest_float("lr", 1e-5, 1.0, log=True),
        "momentum": trial.suggest_float("momentum", 0.0, 0.98),
        "decay": trial.suggest_float("weight_decay", 1e-7, 1e-1, log=True),
        "batch": trial.suggest_int("batch_size", 16, 128, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.7),
        "smoothing": trial.suggest_float("label_smoothing", 0.0, 0.3),
    }


def _cnn(trial: optuna.Trial) -> Params:
    return {
        **_optimizer(trial),
        "channels": [trial.suggest_int(f"channels_{i}", 2, 24, log=True) for i in range(2)],
        "kernel": trial.suggest_categorical("kernel_size", [1, 3, 5]),
        "activation": trial.suggest_categorical("activation", ["relu", "gelu", "tanh", "sigmoid"]),
        "norm": trial.suggest_categorical("norm", ["none", "batch"]),
    }


def _train_cnn(params: Params, seed: int) -> float:
    torch.manual_seed(seed)
    first, second = params["channels"]
    kernel, activation = params["kernel"], _ACTIVATIONS[params["activation"]]
    norm = nn.BatchNorm2d if params["norm"] == "batch" else nn.Identity
    model = nn.Sequential(
        nn.Conv2d(1, first, kernel, padding=kernel // 2),
        norm(first),
        activation(),
        nn.Conv2d(first, second, kernel, stride=2, padding=kernel // 2),
        norm(second),
        activation(),
        nn.Flatten(),
        nn.Dropout(params["dropout"]),
        nn.Linear(second * 16, 10),
    )
    return _fit(model, params, lambda x: x.reshape(-1, 1, 8, 8), epochs=3)


def _transformer(trial: optuna.Trial) -> Params:
    return {
        **_optimizer(trial),
        "width": trial.suggest_int("width", 8, 32, step=8),
        "heads": trial.suggest_categorical("heads", [1, 2, 4]),
        "hidden": trial.suggest_int("hidden", 8, 64, log=True),
        "layers": trial.suggest_int("layers", 1, 2),
        "norm_first": trial.suggest_categorical("norm_first", [True, False]),
        "spread": trial.suggest_float("position_spread", 1e-3, 2.0, log=True),
    }


class _Transformer(nn.Module):
    """Transformer whose tokens are the eight rows of an image."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        width = params["width"]
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(params["spread"] * torch.randn(8, width))
        layer = nn.TransformerEncoderLayer(
            width, params["heads"], params["hidden"], params["dropout"], batch_first=True,
            norm_first=params["norm_first"],
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, params["layers"], enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(self.embed(x) + self.position).mean(1))
        return logits


def _train_transformer(params: Params, seed: int) -> float:
    torch.manual_seed(seed)
    return _fit(_Transformer(params), params, lambda x: x.reshape(-1, 8, 8), epochs=3)


def _fit(
    model: nn.Module, params: Params, shape: Callable[[Tensor], Tensor], *, epochs: int
) -> float:
    x, y, test, of_test = _data("digits")
    images, labels = shape(torch.tensor(x, dtype=torch.float32)), torch.tensor(y)
    optimizer = _optimizer_of(model, params)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(params["batch"]):
            optimizer.zero_grad()
            logits = model(images[rows])
            loss = cross_entropy(logits, labels[rows], label_smoothing=params["smoothing"])
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        logits = model(shape(torch.tensor(test, dtype=torch.float32)))
        return float(cross_entropy(logits, torch.tensor(of_test)))


def _optimizer_of(model: nn.Module, params: Params) -> torch.optim.Optimizer:
    weights, lr, decay = list(model.parameters()), params["lr"], params["decay"]
    momentum = params["momentum"]
    if params["optimizer"] == "sgd":
        return torch.optim.SGD(weights, lr, momentum, weight_decay=decay)
    if params["optimizer"] == "adam":
        return torch.optim.Adam(weights, lr, (momentum, 0.99), weight_decay=decay)
    return torch.optim.RMSprop(weights, lr, momentum=momentum, weight_decay=decay)


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
}  # fmt: skip
_TRAININGS: dict[str, tuple[Callable[[optuna.Trial], Params], _Train]] = {
    "MLP, digits": (_perceptron, _train_classifier),
    "MLP, Friedman": (_perceptron, _train_regressor),
    "boosting, tumors": (_boosting, _train_boosting),
    "SVR, Friedman": (_support, _train_support),
    "CNN, digits": (_cnn, _train_cnn),
    "transformer, digits": (_transformer, _train_transformer),
}
