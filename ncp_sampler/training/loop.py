"""The training loop: any model, any loader of PyTorch, any task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ncp_sampler.checks import usable_device
from ncp_sampler.training.recipes import Recipe
from ncp_sampler.training.tasks import Batch, Task


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        number: From 1 on.
        loss: Mean over the training steps.
        metric: Of the validation samples, in percent.
    """

    number: int
    loss: float
    metric: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training.

    Attributes:
        metric: Validation metric of the best epoch, in percent.
        epoch: That epoch's number.
        epochs: All of them.
    """

    metric: float
    epoch: int
    epochs: tuple[Epoch, ...]


def train(
    model: nn.Module,
    train_loader: DataLoader[Any],
    val_loader: DataLoader[Any],
    *,
    task: Task,
    recipe: Recipe,
    device: str | torch.device = "cpu",
    seed: int = 0,
    bf16: bool = False,
    optimizer: Optimizer | None = None,
    first_epoch: int = 1,
    on_epoch: Callable[[Epoch], object] | None = None,
) -> Trained:
    """Trains a model in place and leaves it with the weights of its best epoch.

    Best is the highest validation metric, and the first of several. The same seed gives the same
    result on a CPU; on CUDA, up to kernels that add up in any order. Random numbers outside are
    left alone, but a loader that shuffles by a generator of its own is not seeded here.

    Args:
        model: Moved to the device.
        train_loader: Batches for the task; shuffle it. It should drop a last batch of one
            sample (``drop_last``), which batch norm cannot train on.
        val_loader: Batches to select the epoch by; keep test samples out of it.
        task: Loss and metric.
        recipe: Its ``size``, ``batch_size`` and ``augmentation`` are the loaders' business.
        device: Where to train.
        seed: Of shuffling, augmentation and dropout.
        bf16: Run the forward pass under bfloat16 autocast; the weights stay in float32.
        optimizer: Of the model's parameters; None for a new one, ``recipe.make_optimizer(model)``.
        first_epoch: Above 1 to go on with a training that was stopped before this epoch: model and
            optimizer as they were then. The result is of the epochs from it on.
        on_epoch: Called after each epoch; an exception that it raises, as a pruner's, ends the
            training and is passed on.

    Raises:
        ValueError: A loader without batches or without a length, a device that is not there, or
            a first epoch that the recipe does not have.
        FloatingPointError: The loss became infinite or NaN, or the metric NaN.
    """
    device = usable_device(device)
    for name, loader in (("train_loader", train_loader), ("val_loader", val_loader)):
        try:
            batches = len(loader)
        except TypeError:  # of an IterableDataset
            raise ValueError(
                f"{name} has no length, by which the learning rate goes: give its data set a "
                "__len__, the number of samples"
            ) from None
        if batches == 0:
            raise ValueError(
                f"{name} has no batches: {len(loader.dataset)} samples"  # type: ignore[arg-type]
                f" in batches of {loader.batch_size}, drop_last={loader.drop_last}"
            )
    if first_epoch not in range(1, recipe.epochs + 1):
        raise ValueError(f"first_epoch={first_epoch} must be from 1 to epochs={recipe.epochs}")
    model.to(device)
    optimizer = recipe.make_optimizer(model) if optimizer is None else optimizer
    steps, done = recipe.epochs * len(train_loader), (first_epoch - 1) * len(train_loader)
    epochs: list[Epoch] = []
    best: dict[str, Tensor] = {}
    with _seeded(seed + first_epoch - 1, device):  # not the shuffles of the first epochs again
        for number in range(first_epoch, recipe.epochs + 1):
            model.train()
            total = torch.zeros((), device=device)
            for batch in _on(device, train_loader):
                for group in optimizer.param_groups:
                    group["lr"] = recipe.rate(done / max(steps - 1, 1))
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    loss = task.loss(model, batch)
                optimizer.zero_grad()
                loss.backward()
                if recipe.clip_norm is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
                optimizer.step()
                total += loss.detach()
                done += 1
            mean = float(total) / len(train_loader)
            if not math.isfinite(mean):
                raise FloatingPointError(
                    f"the loss of epoch {number} is {mean}; lower learning_rate="
                    f"{recipe.learning_rate}, or set clip_norm"
                )
            metric = evaluate(model, val_loader, task=task, device=device, bf16=bf16)
            if math.isnan(metric):
                raise FloatingPointError(
                    f"{task.metric} of epoch {number} is NaN; give val_loader samples that it can "
                    "be computed from"
                )
            epochs.append(Epoch(number=number, loss=mean, metric=metric))
            if number == first_epoch or metric > max(epoch.metric for epoch in epochs[:-1]):
                best = {name: value.clone() for name, value in model.state_dict().items()}
            if on_epoch is not None:
                on_epoch(epochs[-1])
    model.load_state_dict(best)
    top = max(epochs, key=lambda epoch: epoch.metric)
    return Trained(metric=top.metric, epoch=top.number, epochs=tuple(epochs))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: DataLoader[Any],
    *,
    task: Task,
    device: str | torch.device = "cpu",
    bf16: bool = False,
) -> float:
    """The task's metric of a loader's samples, in percent; the model is left in evaluation mode."""
    device = usable_device(device)
    model.to(device).eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return task.score(model, _on(device, loader))


def _on(device: torch.device, loader: DataLoader[Any]) -> Iterator[Batch]:
    for batch in loader:
        yield _moved(batch, device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    """The same nest of tuples, lists and dictionaries, with its tensors on the device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _moved(value, device) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [_moved(value, device) for value in batch]
    return batch


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(int(seed))  # torch.manual_seed would seed every GPU
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
