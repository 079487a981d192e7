"""What the training loop needs to know of a task: its loss, and its metric in percent.

Notation
    n, K       samples of a batch, classes
    batch      what a loader gives, on the model's device
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler import checks
from ncp_sampler.multi_resolution.heads import resize_logits
from ncp_sampler.training.augmentation import IGNORED

Batch = Any  # tensors in tuples, lists or dictionaries; only the task knows which


@dataclass(frozen=True, kw_only=True)
class Task:
    """A loss and a metric; both are given batches on the model's device.

    Attributes:
        metric: Name of the metric.
        loss: Model and batch -> the loss, a number with gradients.
        score: Model and batches -> the metric, in percent, the higher the better. The model is
            in evaluation mode, and no gradients are kept.

    Raises:
        ValueError: A metric without a name, or a loss or score that is no function.
    """

    metric: str
    loss: Callable[[nn.Module, Batch], Tensor]
    score: Callable[[nn.Module, Iterable[Batch]], float]

    def __post_init__(self) -> None:
        checks.text("metric", self.metric)
        checks.instance("loss", self.loss, Callable, "be a function of a model and a batch")
        checks.instance("score", self.score, Callable, "be a function of a model and batches")


def _classification_loss(model: nn.Module, batch: Batch) -> Tensor:
    x, y = batch
    return functional.cross_entropy(model(x).float(), y)


def _top1(model: nn.Module, batches: Iterable[Batch]) -> float:
    right = seen = 0
    for x, y in batches:
        right += int((model(x).argmax(1) == y).sum())
        seen += len(y)
    return 100.0 * right / max(seen, 1)


def _segmentation_loss(model: nn.Module, batch: Batch) -> Tensor:
    x, y = batch
    logits = resize_logits(model(x).float(), y.shape[-2:])
    # a mean over known pixels alone is 0 / 0 where a batch has none
    total = functional.cross_entropy(logits, y.long(), ignore_index=IGNORED, reduction="sum")
    return torch.div(total, (y != IGNORED).sum().clamp_min(1))


def _mean_iou(model: nn.Module, batches: Iterable[Batch]) -> float:
    """Mean over the classes that occur, of intersection over union in all pixels together."""
    confusion: Tensor | None = None
    for x, y in batches:
        logits = resize_logits(model(x).float(), y.shape[-2:])
        classes = logits.shape[1]
        known = y != IGNORED
        truth = y[known].long()
        for wrong in truth[(truth < 0) | (truth >= classes)][:1].tolist():
            raise ValueError(
                f"a mask has class {wrong}, the network has {classes}: use 0 to {classes - 1}, or "
                f"{IGNORED} for pixels that do not count"
            )
        pairs = truth * classes + logits.argmax(1)[known]
        counted = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        confusion = counted if confusion is None else confusion + counted
    if confusion is None:
        return 0.0
    hit = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hit
    return 100.0 * float((hit[union > 0] / union[union > 0]).mean())


CLASSIFICATION = Task(metric="top1", loss=_classification_loss, score=_top1)
VIDEO = CLASSIFICATION  # clips (n, C, T, H, W) in place of images
SEGMENTATION = Task(metric="mIoU", loss=_segmentation_loss, score=_mean_iou)
# name of a network's task -> its loss and metric
TASK_OF = {"classification": CLASSIFICATION, "segmentation": SEGMENTATION, "video": VIDEO}
