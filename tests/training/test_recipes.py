"""Recipes of training, and the presets that are the paper's."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ncp_sampler.training import PRESETS, Recipe


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", {0.0: 1.0, 0.5: 0.55, 1.0: 0.1}),
        ("poly", {0.0: 1.0, 0.5: 0.1 + 0.9 * 0.5**0.9, 1.0: 0.1}),
        ("one_cycle", {0.0: 0.1, 0.3: 1.0, 0.65: 0.55, 1.0: 0.1}),
    ],
)
def test_schedule(schedule: str, rates: dict[float, float]) -> None:
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=1.0,
        min_learning_rate=0.1,
        schedule=schedule,
        epochs=1,
        batch_size=2,
        size=(32, 32),
    )
    assert {p: recipe.rate(p) for p in rates} == pytest.approx(rates)


@pytest.mark.parametrize(
    ("name", "optimizer", "rate", "schedule", "epochs", "batch", "decay", "size", "classes"),
    [
        ("cls-50-1000", "sgd", 0.1, "cosine", 100, 160, 1e-4, (224, 224), 50),
        ("cls-50-100", "sgd", 0.1, "cosine", 100, 160, 1e-4, (224, 224), 50),
        ("cls-10-1000", "sgd", 0.1, "cosine", 100, 160, 1e-4, (224, 224), 10),
        ("cls-10c", "sgd", 0.1, "cosine", 10, 160, 1e-4, (224, 224), 50),
        ("seg", "sgd", 0.1, "poly", 537, 64, 4e-5, (512, 1024), 19),
        ("seg-4x", "sgd", 0.1, "poly", 537, 64, 4e-5, (128, 256), 19),
        ("3ddet", "adamw", 2e-3, "one_cycle", 80, 16, 1e-2, (496, 432), 3),
        ("video", "adam", 0.01, "cosine", 100, 80, 1e-5, (112, 112), 51),
        ("video-p", "adam", 0.01, "cosine", 100, 80, 1e-5, (112, 112), 51),
    ],
)
def test_presets_are_the_papers(
    name: str,
    optimizer: str,
    rate: float,
    schedule: str,
    epochs: int,
    batch: int,
    decay: float,
    size: tuple[int, int],
    classes: int,
) -> None:
    preset = PRESETS[name]
    recipe = preset.recipe
    assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == (optimizer, rate, schedule)
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (epochs, batch, decay)
    assert (recipe.size, preset.num_classes, recipe.momentum) == (size, classes, 0.9)
    assert recipe.augmentation is not None
    assert preset.pretrained == ("cls-50-1000" if name == "video-p" else None)


def test_optimizers_take_the_recipe() -> None:
    model = nn.Linear(1, 1)
    for name, kind in (("cls-50-1000", "SGD"), ("video", "Adam"), ("3ddet", "AdamW")):
        recipe = PRESETS[name].recipe
        optimizer = recipe.make_optimizer(model)
        group = optimizer.param_groups[0]
        assert type(optimizer).__name__ == kind
        assert group["weight_decay"] == recipe.weight_decay
        assert group.get("momentum", group.get("betas", (0,))[0]) == 0.9
        assert group["lr"] == pytest.approx(recipe.rate(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "lion"}, "optimizer='lion' must be one of"),
        ({"schedule": "step"}, "schedule='step'"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"min_learning_rate": 1.0}, "min_learning_rate=1.0 must be between 0 and 0.004"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"epochs": 2.5}, "epochs=2.5 must be an integer"),
        ({"batch_size": 1}, "batch_size=1 must be at least 2"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be at least 0"),
        ({"momentum": 1.0}, r"momentum=1.0 must be in \[0, 1\)"),
        ({"clip_norm": 0.0}, "clip_norm=0.0 must be above 0"),
        ({"size": (16, 32)}, r"size=\(16, 32\) must be a height and a width of at least 32"),
        ({"size": 32}, "size=32 must be a height and a width"),
        ({"augmentation": "flip"}, "augmentation='flip' must be an ImageAugmentation"),
    ],
)
def test_bad_recipe(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["digits-cls"].recipe, **change)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_progress_is_a_share(p: float) -> None:
    with pytest.raises(ValueError, match=f"p={p} must be "):
        PRESETS["digits-cls"].recipe.rate(p)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "captions"}, "task='captions' must be one of"),
        ({"num_classes": 0}, "num_classes=0 must be at least 1"),
        ({"recipe": "sgd"}, "recipe='sgd' must be a Recipe"),
        ({"test_size": (16, 16)}, r"test_size=\(16, 16\) must be a height and a width of at least"),
        ({"pretrained": ""}, "pretrained='' must be a string that is not empty"),
    ],
)
def test_bad_preset(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["digits-cls"], **change)
