"""Training loop for any PyTorch model, any loader and any task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ncp_sampler import checks
from ncp_sampler.checks import usable_device
from ncp_sampler.training.progress import Epoch, Progress, best_of
from ncp_sampler.training.recipes import Recipe
from ncp_sampler.training.tasks import Batch, Task

_LARGEST_SEED = 2**63 - 1  # half of PyTorch's range, so that an epoch's number can be added


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Result of a training run.

    Attributes:
        metric: Validation metric of the best epoch, in percent.
        epoch: Number of the best epoch.
        epochs: Results of all epochs.

    Examples:
        >>> from ncp_sampler.training import Epoch
        >>> first = Epoch(number=1, loss=2.1, metric=40.0)
        >>> second = Epoch(number=2, loss=1.2, metric=71.0)
        >>> Trained(metric=71.0, epoch=2, epochs=(first, second)).epochs[-1].loss
        1.2
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
    progress: Progress | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Trained:
    """Train a model in place; afterwards, it has the weights of its best epoch.

    The best epoch is the first one with the highest validation metric. The same seed gives the same
    result on a CPU; on CUDA, results differ if kernels sum in an arbitrary order. PyTorch's global
    random state is restored at the end. The generator of a loader that has its own is not seeded.

    Args:
        model: Model to train; it is moved to the device.
        train_loader: Batches for the task. Batches should be shuffled, and the last batch should
            not consist of one sample (``drop_last``), because batch norm cannot train on a single
            sample.
        val_loader: Batches that select the best epoch; they should not contain test samples.
        task: Loss and metric.
        recipe: Settings of the training run. Its ``size``, ``batch_size`` and ``augmentation`` are
            not used here: they are up to the loaders.
        device: Device to train on.
        seed: Nonnegative seed for shuffling, augmentation and dropout.
        bf16: True for a forward pass under bfloat16 autocast; the weights stay in float32.
        optimizer: Optimizer for the model's parameters; None for ``recipe.make_optimizer(model)``.
        first_epoch: Number of the first epoch; above 1 to continue with the current model and
            optimizer. Samples are then shuffled differently than in the earlier epochs, and the
            result does not contain the earlier epochs.
        on_epoch: Function that is called after each epoch; an exception that it raises ends the
            training.
        progress: Progress of a stopped training run, which is resumed as if it had not been
            stopped. The states of Python's and NumPy's own generators are not restored.
        on_progress: Function called after ``on_epoch`` with the current ``Progress``, to save it.

    Raises:
        ValueError: An argument is not as described, or a loader has no batches or no length.
        FloatingPointError: The loss is infinite or NaN, or the metric is NaN.

    Examples:
        >>> from dataclasses import replace
        >>> from torch.utils.data import DataLoader
        >>> from ncp_sampler import MRSpace
        >>> from ncp_sampler.training import CLASSIFICATION, PRESETS, Digits
        >>> space = MRSpace(width=8, depth=1)
        >>> net = space.build(space.sample(1, 0)[0], num_classes=10, in_channels=1, seed=0)
        >>> loader = DataLoader(Digits("train", limit=16), 8)
        >>> recipe = replace(PRESETS["digits-cls"].recipe, epochs=1)
        >>> trained = train(net, loader, loader, task=CLASSIFICATION, recipe=recipe)
        >>> len(trained.epochs)
        1
    """
    place, bf16 = usable_device(device), checks.flag("bf16", bf16)
    run = _Run(model, train_loader, val_loader, task, recipe, place, bf16)
    seed = checks.integer("seed", seed, low=0, high=_LARGEST_SEED)  # PyTorch rejects NumPy integers
    if optimizer is not None:
        must = "be a torch.optim.Optimizer of the model's parameters, or None"
        checks.instance("optimizer", optimizer, Optimizer, must)
    checks.call("on_epoch", on_epoch, "be a function of an Epoch, or None")
    checks.call("on_progress", on_progress, "be a function of a Progress, or None")
    first_epoch = _check_first(first_epoch, progress, recipe)
    with _seeded(seed + first_epoch - 1, run.device):  # does not repeat the first epochs' shuffles
        return run.train(first_epoch, optimizer, on_epoch, progress, on_progress)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: DataLoader[Any],
    *,
    task: Task,
    device: str | torch.device = "cpu",
    bf16: bool = False,
) -> float:
    """Return the task's metric on the samples of a loader, in percent.

    The model is moved to the device and left in evaluation mode.

    Raises:
        ValueError: An argument is not as described for ``train``.
    """
    device = usable_device(device)
    _check_what(model, task)
    checks.instance("loader", loader, Iterable, "be a DataLoader of batches for the task")
    model.to(device).eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=checks.flag("bf16", bf16)):
        return task.score(model, _on(device, loader))


@torch.no_grad()
def measure(
    model: nn.Module,
    loader: DataLoader[Any],
    *,
    task: Task,
    device: str | torch.device = "cpu",
    bf16: bool = False,
) -> dict[str, float]:
    """Return all metrics of the task by name, in percent; the first is the one of ``evaluate``.

    The metrics are "top1" and "top5" for classification and video; "mIoU", "mAcc" and "aAcc" (mean
    accuracy of the classes, accuracy over all pixels) for segmentation; and "AP3D" and "APBEV" for
    3D detection.

    Raises:
        ValueError: An argument is not as for ``train``.
    """
    place = usable_device(device)
    _check_what(model, task)
    checks.instance("loader", loader, Iterable, "be a DataLoader of batches for the task")
    if task.measure is None:
        return {task.metric: evaluate(model, loader, task=task, device=device, bf16=bf16)}
    model.to(place).eval()
    with torch.autocast(place.type, torch.bfloat16, enabled=checks.flag("bf16", bf16)):
        return task.measure(model, _on(place, loader))


@dataclass(frozen=True)
class _Run:
    """Settings of one training run, which stay the same during the run."""

    model: nn.Module
    train_loader: DataLoader[Any]
    val_loader: DataLoader[Any]
    task: Task
    recipe: Recipe
    device: torch.device
    bf16: bool

    def __post_init__(self) -> None:
        _check_what(self.model, self.task)
        checks.instance("recipe", self.recipe, Recipe, "be a Recipe")
        _check_loader("train_loader", self.train_loader)
        _check_loader("val_loader", self.val_loader)

    def train(
        self,
        first: int,
        optimizer: Optimizer | None,
        on_epoch: Callable[[Epoch], object] | None,
        progress: Progress | None,
        on_progress: Callable[[Progress], object] | None,
    ) -> Trained:
        """Train from an epoch on; afterwards, the model has the weights of the best epoch."""
        self.model.to(self.device)
        optimizer = self.recipe.make_optimizer(self.model) if optimizer is None else optimizer
        place: dict[str, Any] = {
            "model": self.model,
            "optimizer": optimizer,
            "loader": self.train_loader,
            "device": self.device,
        }
        epochs: list[Epoch] = []
        best: dict[str, Tensor] = {}
        if progress is not None:
            progress.restore(**place)
            epochs, best = [*progress.epochs], progress.best
            first = epochs[-1].number + 1
        for number in range(first, self.recipe.epochs + 1):
            epochs.append(self._epoch(number, optimizer))
            if best_of(epochs).number == number:
                best = {name: value.clone() for name, value in self.model.state_dict().items()}
            if on_epoch is not None:
                on_epoch(epochs[-1])
            if on_progress is not None:
                now = Progress.of(epochs, best=best, **place)
                with _kept_rng(self.device):  # the callback's random numbers do not affect training
                    on_progress(now)
        self.model.load_state_dict(best)
        top = best_of(epochs)
        return Trained(metric=top.metric, epoch=top.number, epochs=tuple(epochs))

    def _epoch(self, number: int, optimizer: Optimizer) -> Epoch:
        """Train for one epoch, evaluate the model, and return the result."""
        self.model.train()
        length = len(self.train_loader)
        steps, done = self.recipe.epochs * length, (number - 1) * length
        total = torch.zeros((), device=self.device)
        for i, batch in enumerate(_on(self.device, self.train_loader)):
            # progress is at most 1, because an iterable data set may yield more than its length
            total += self._step(batch, optimizer, min((done + i) / max(steps - 1, 1), 1.0))
        mean = float(total) / length
        if not math.isfinite(mean):
            raise FloatingPointError(
                f"the loss of epoch {number} is {mean}; lower learning_rate="
                f"{self.recipe.learning_rate}, or set clip_norm"
            )
        metric = evaluate(
            self.model, self.val_loader, task=self.task, device=self.device, bf16=self.bf16
        )
        if math.isnan(metric):
            raise FloatingPointError(
                f"{self.task.metric} of epoch {number} is NaN; give val_loader samples from which "
                "the metric can be computed"
            )
        return Epoch(number=number, loss=mean, metric=metric)

    def _step(self, batch: Batch, optimizer: Optimizer, progress: float) -> Tensor:
        """Make one optimizer step, and return the loss before the step, detached."""
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.rate(progress)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.task.loss(self.model, batch)
        optimizer.zero_grad()
        loss.backward()
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        optimizer.step()
        return loss.detach()


def _check_first(first_epoch: int, progress: Progress | None, recipe: Recipe) -> int:
    """Return ``first_epoch`` after checking it, and the progress if given, against the recipe."""
    first_epoch = checks.integer("first_epoch", first_epoch)
    if first_epoch not in range(1, recipe.epochs + 1):
        must = f"be from 1 to epochs={recipe.epochs}"
        raise checks.refusal("first_epoch", first_epoch, must)
    if progress is None:
        return first_epoch
    checks.instance("progress", progress, Progress, "be a Progress of this training, or None")
    if first_epoch != 1:
        raise checks.refusal("first_epoch", first_epoch, "be 1 with progress, which has its own")
    if len(progress.epochs) > recipe.epochs:
        must = f"have at most the recipe's epochs={recipe.epochs}"
        raise checks.refusal("progress", f"{len(progress.epochs)} epochs", must)
    return first_epoch


def _check_what(model: nn.Module, task: Task) -> None:
    checks.instance("model", model, nn.Module, "be a torch.nn.Module")
    checks.instance("task", task, Task, "be a Task, such as CLASSIFICATION")


def _check_loader(name: str, loader: DataLoader[Any]) -> None:
    """Raise ValueError unless the loader has batches and a length."""
    checks.instance(name, loader, Iterable, "be a DataLoader of batches for the task")
    try:
        batches = len(loader)
    except TypeError:  # raised for an IterableDataset
        raise ValueError(
            f"{name} has no length, which the learning-rate schedule needs: give its data set a "
            "__len__ that returns the number of samples"
        ) from None
    if batches == 0 and not isinstance(loader, DataLoader):
        raise checks.refusal(name, loader, "have at least one batch")
    if batches == 0:
        raise ValueError(
            f"{name} has no batches: {len(loader.dataset)} samples"  # type: ignore[arg-type]
            f" in batches of {loader.batch_size}, drop_last={loader.drop_last}"
        )


def _on(device: torch.device, loader: DataLoader[Any]) -> Iterator[Batch]:
    for batch in loader:
        yield _moved(batch, device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    """Return a batch with all its tensors on the device, in nested lists and dictionaries."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _moved(value, device) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [_moved(value, device) for value in batch]
    return batch


def _kept_rng(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that restores PyTorch's random state at its end."""
    fork: AbstractContextManager[None] = torch.random.fork_rng(
        [device] if device.type == "cuda" else []
    )
    return fork


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    with _kept_rng(device):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
