"""Training recipes: optimizer, learning-rate schedule, batch size and augmentation.

Notation
    p    progress of the training in [0, 1]: the fraction of the steps that are done
    lr   learning rate at p, from ``min_learning_rate`` to ``learning_rate``
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import LEAST_SIDE
from ncp_sampler.training.augmentation import CloudAugmentation, ImageAugmentation
from ncp_sampler.training.pair_checks import check_size

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "poly", "one_cycle")

_POWER = 0.9  # exponent of "poly"
_RISE = 0.3  # fraction of the steps in which the learning rate of "one_cycle" rises


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one training run.

    Attributes:
        optimizer: "sgd" (without Nesterov momentum), "adam" or "adamw".
        learning_rate: Highest learning rate, > 0.
        schedule: Schedule of the learning rate, which changes with every step: "cosine" (Loshchilov
            and Hutter 2017, without restarts), "poly" with power 0.9, or "one_cycle", in which the
            learning rate rises from the minimum along a cosine in the first 30 % of the steps and
            then falls back along another cosine.
        epochs: Number of epochs, at least 1.
        batch_size: Batch size, at least 2, because batch norm cannot train on a single sample.
        size: Height and width of the training input, each at least 32.
        augmentation: Augmentation of the training samples, which the data set must apply; None for
            no augmentation.
        momentum: Momentum of SGD, or Adam's first beta; in [0, 1).
        weight_decay: Nonnegative weight decay; L2 for SGD and Adam, decoupled for AdamW.
        min_learning_rate: Nonnegative learning rate at the end of the schedule.
        clip_norm: Norm to which larger gradients are clipped, > 0; None for no clipping.

    Raises:
        ValueError: A value is out of its range.

    Examples:
        >>> recipe = Recipe(
        ...     optimizer="sgd", learning_rate=0.1, schedule="cosine", epochs=10,
        ...     batch_size=32, size=(32, 32),
        ... )
        >>> recipe.epochs
        10
    """

    optimizer: str
    learning_rate: float
    schedule: str
    epochs: int
    batch_size: int
    size: tuple[int, int]
    augmentation: ImageAugmentation | CloudAugmentation | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    min_learning_rate: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        checks.one_of("schedule", self.schedule, SCHEDULES)
        highest = checks.number("learning_rate", self.learning_rate, above=0)
        checks.number("min_learning_rate", self.min_learning_rate, low=0, high=highest)
        checks.integer("epochs", self.epochs, low=1)
        checks.integer("batch_size", self.batch_size, low=2)
        checks.number("weight_decay", self.weight_decay, low=0)
        checks.number("momentum", self.momentum, low=0, below=1)
        if self.clip_norm is not None:
            checks.number("clip_norm", self.clip_norm, above=0)
        check_size("size", self.size, low=LEAST_SIDE)
        kinds = (ImageAugmentation, CloudAugmentation, type(None))
        must = "be an ImageAugmentation, a CloudAugmentation or None"
        checks.instance("augmentation", self.augmentation, kinds, must)

    def rate(self, p: float) -> float:
        """Return the learning rate at progress p, in [0, 1].

        Raises:
            ValueError: p is outside [0, 1].
        """
        checks.number("p", p, low=0, high=1)
        low, high = self.min_learning_rate, self.learning_rate
        if self.schedule == "poly":
            share = math.pow(1 - p, _POWER)
        elif self.schedule == "one_cycle" and p < _RISE:
            share = (1 - math.cos(math.pi * p / _RISE)) / 2
        elif self.schedule == "one_cycle":
            share = (1 + math.cos(math.pi * (p - _RISE) / (1 - _RISE))) / 2
        else:
            share = (1 + math.cos(math.pi * p)) / 2
        return low + (high - low) * share

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """Return an optimizer for the model's parameters, with the learning rate at progress 0.

        Raises:
            ValueError: The model is not a module, or has no parameters.
        """
        checks.instance("model", model, nn.Module, "be a torch.nn.Module")
        rate, decay = self.rate(0.0), self.weight_decay
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                model.parameters(), rate, momentum=self.momentum, weight_decay=decay
            )
        kind = torch.optim.AdamW if self.optimizer == "adamw" else torch.optim.Adam
        return kind(model.parameters(), rate, betas=(self.momentum, 0.999), weight_decay=decay)
