"""Real trainings of a small network on digits, mislabeled digits and patches of photographs.

All images have eight by eight pixels and ten classes, and come with scikit-learn. The class of a
patch is the band of the photograph from which it was cut. For the noisy digits, three of five
training labels are replaced by random ones, so a network that fits them too well classifies new
digits badly. Trainings are reproducible: the seed is fixed.

Notation
    n, m     codes, tasks
    value    accuracy on images that were not trained on
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor, nn

from ncp_sampler import Categorical, Float, Integer, SearchSpace
from ncp_sampler.space.search_space import Params

TASKS = ("digits", "noisy", "patches")

_WRONG = 0.6  # share of training labels of the noisy digits that are replaced by random ones

_SIZE = 8  # side length of an image, in pixels
_N_TRAIN, _N_TEST = 400, 1000
_MAX_STEPS = 60

SPACE = SearchSpace(
    [
        Integer("width", 2, 48, log=True),
        Integer("depth", 1, 3),
        Categorical("kernel", (1, 3, 5)),
        Categorical("pool", ("max", "mean")),
        Float("dropout", 0.0, 0.8),
        Float("rate", 1e-4, 1e-1, log=True),
        Float("decay", 1e-5, 1e0, log=True),
        Integer("batch", 8, 64, log=True),
        Integer("steps", 10, _MAX_STEPS),
    ]
)


def accuracies(tasks: Sequence[str], codes: ArrayLike) -> NDArray[np.float64]:
    """Return the accuracy (n, m) of valid codes (n, d) on some tasks."""
    rows = np.atleast_2d(np.asarray(codes, dtype=np.float64)).tolist()
    return np.array([[_accuracy(task, tuple(row)) for task in tasks] for row in rows])


@cache
def _accuracy(task: str, code: tuple[float, ...]) -> float:
    """Train on one task, and return the accuracy on its held-out images."""
    params = SPACE.to_params(code)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images, labels = _data(task)
        net = _network(params)
        optimizer = torch.optim.AdamW(
            net.parameters(), params["rate"], weight_decay=params["decay"]
        )
        for _ in range(params["steps"]):
            rows = torch.randint(_N_TRAIN, (params["batch"],))
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        correct = net(images[_N_TRAIN:]).argmax(1) == labels[_N_TRAIN:]
    return float(correct.double().mean())


def _network(params: Params) -> nn.Module:
    layers: list[nn.Module] = []
    channels, kernel = 1, params["kernel"]
    for i in range(params["depth"]):
        layers += [nn.Conv2d(channels, params["width"], kernel, padding=kernel // 2), nn.ReLU()]
        if i == 0:
            layers.append(nn.MaxPool2d(2) if params["pool"] == "max" else nn.AvgPool2d(2))
        channels = params["width"]
    side = _SIZE // 2
    layers += [nn.Flatten(), nn.Dropout(params["dropout"]), nn.Linear(channels * side**2, 10)]
    return nn.Sequential(*layers)


@cache
def _data(task: str) -> tuple[Tensor, Tensor]:
    """Return images (n, 1, 8, 8) in [0, 1] and labels (n,), for training and held out."""
    read: dict[str, Callable[[], tuple[NDArray[np.float64], NDArray[np.int64]]]] = {
        "digits": _digits, "noisy": _digits, "patches": _patches,
    }  # fmt: skip
    images, labels = read[task]()
    order = np.random.default_rng(0).permutation(len(images))[: _N_TRAIN + _N_TEST]
    images, labels = images[order], labels[order]
    if task == "noisy":
        rng = np.random.default_rng(2)
        wrong = rng.random(_N_TRAIN) < _WRONG
        labels[:_N_TRAIN][wrong] = rng.integers(10, size=int(wrong.sum()))
    shaped = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, _SIZE, _SIZE)
    return shaped, torch.tensor(labels)


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    images, labels = load_digits(return_X_y=True)
    return np.asarray(images / 16), np.asarray(labels, dtype=np.int64)


def _patches() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return patches of photographs, whose classes are five horizontal bands."""
    rng = np.random.default_rng(1)
    images, labels = [], []
    for i, name in enumerate(("china.jpg", "flower.jpg")):
        gray = load_sample_image(name).mean(2) / 255
        height, width = gray.shape
        for _ in range(_N_TRAIN + _N_TEST):
            row = int(rng.integers(height - _SIZE))
            column = int(rng.integers(width - _SIZE))
            images.append(gray[row : row + _SIZE, column : column + _SIZE].reshape(-1))
            labels.append(5 * i + 5 * row // height)
    return np.array(images), np.array(labels)
