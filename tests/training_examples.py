"""Codes, data and problems that the tests of training share; all small."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ncp_sampler import MRSpace
from ncp_sampler.training import (
    PRESETS,
    Digits,
    DigitScenes,
    Recipe,
    Task,
    TrainingProblem,
    make_problem,
)


def uniform_code(depth: int, width: int) -> NDArray[np.int64]:
    """The code with one depth and one width everywhere."""
    return np.array([depth if name[0] in "bn" else width for name in MRSpace().names])


def digits_problem(*, limit: int = 64, epochs: int = 2, name: str = "digits") -> TrainingProblem:
    preset = PRESETS["digits-cls"]
    problem = make_problem(
        name,
        preset,
        train=Digits("train", limit=limit, transform=preset.recipe.augmentation),
        val=Digits("val", limit=limit),
        test=Digits("test", limit=limit),
        in_channels=1,
    )
    return replace(problem, recipe=replace(problem.recipe, epochs=epochs))


def scenes_problem(*, length: int = 32, epochs: int = 1) -> TrainingProblem:
    preset = PRESETS["digits-seg"]
    problem = make_problem(
        "scenes",
        preset,
        train=DigitScenes("train", length=length),
        val=DigitScenes("val", length=length),
        test=DigitScenes("test", length=length),
        in_channels=1,
    )
    return replace(problem, recipe=replace(problem.recipe, epochs=epochs))


class Width(nn.Module):
    """A layer as wide as the code's last number."""

    def __init__(self, code: ArrayLike) -> None:
        super().__init__()
        self.layer = nn.Linear(1, int(np.asarray(code)[-1]))
        self.epochs = 0


def sum_of_code(code: Any) -> Any:
    """A cost: a thousandth of the sum of a code, or of each of a tensor of codes."""
    return code.sum(1) / 1000 if np.ndim(code) == 2 else float(np.asarray(code).sum()) / 1000


def width_problem(*, ruin: int | None = None) -> TrainingProblem:
    """Trains in no time: the metric is the width, 1 more each epoch; the cost the code's sum.

    Args:
        ruin: The width whose loss is infinite.
    """

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        assert isinstance(model, Width)
        total: Tensor = model.layer(batch).square().mean()
        return total * math.inf if model.layer.out_features == ruin else total

    def score(model: nn.Module, batches: Iterable[Tensor]) -> float:
        assert isinstance(model, Width)
        model.epochs += 1
        return model.layer.out_features / 2 + model.epochs

    data: DataLoader[Any] = DataLoader(torch.ones(4, 1), 2)  # type: ignore[arg-type]
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=1e-3,
        schedule="cosine",
        epochs=3,
        batch_size=2,
        size=(32, 32),
    )
    return TrainingProblem(
        name="width",
        task=Task(metric="half", loss=loss, score=score),
        recipe=recipe,
        build=Width,
        gflops=sum_of_code,
        train=data,
        val=data,
        test=data,
    )


def narrow_problem() -> TrainingProblem:
    """Trains in no time as ``width_problem``, but prefers narrow networks, which cost twice."""

    def score(model: nn.Module, batches: object) -> float:
        assert isinstance(model, Width)
        return 64 - model.layer.out_features / 2

    problem = width_problem()
    return replace(
        problem,
        name="narrow",
        task=replace(problem.task, score=score),
        gflops=lambda code: 2 * problem.gflops(code),
    )
