"""Tasks of the training loop: their losses, and their metrics in percent.

Notation
    n, K       number of samples of a batch, number of classes
    batch      value that a loader yields, on the model's device
    pair       images or clips, together with their classes or masks
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler import checks
from ncp_sampler.multi_resolution.heads import resize_logits
from ncp_sampler.training.augmentation import IGNORED

# keys of the two parts of a pair, for batches that are dictionaries
INPUTS = ("image", "images", "pixel_values", "clip", "video", "input", "inputs", "x")
TRUTHS = ("label", "labels", "mask", "masks", "target", "targets", "y")

_TOP = {"top1": 1, "top5": 5}  # metric -> number of most likely classes that count as correct

Batch = Any  # tensors in tuples, lists or dictionaries; the task defines which


@dataclass(frozen=True, kw_only=True)
class Task:
    """Loss and metric of a task, which are functions of a model and of batches on its device.

    Attributes:
        metric: Name of the metric.
        loss: Function (model, batch) -> loss, a scalar with gradients.
        score: Function (model, batches) -> metric in percent, where higher is better. The model is
            in evaluation mode, and gradients are disabled.
        measure: Function (model, batches) -> all metrics by name, in percent, with the metric of
            ``score`` first, which ``training.measure`` calls; None if there is only one metric.

    Raises:
        ValueError: The metric has no name, or ``loss``, ``score`` or ``measure`` is not a function.

    Examples:
        >>> import torch
        >>> def loss(model, batch):
        ...     return (model(batch[0]) - batch[1]).abs().mean()
        >>> def score(model, batches):
        ...     losses = torch.stack([loss(model, batch) for batch in batches])
        ...     return 100 - 100 * float(losses.mean())
        >>> Task(metric="closeness", loss=loss, score=score).metric
        'closeness'
    """

    metric: str
    loss: Callable[[nn.Module, Batch], Tensor]
    score: Callable[[nn.Module, Iterable[Batch]], float]
    measure: Callable[[nn.Module, Iterable[Batch]], dict[str, float]] | None = None

    def __post_init__(self) -> None:
        checks.text("metric", self.metric)
        checks.function("loss", self.loss, "be a function of a model and a batch")
        checks.function("score", self.score, "be a function of a model and batches")
        checks.call("measure", self.measure, "be a function of a model and batches, or None")


def pair(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the two parts of a batch: images or clips, and classes or masks.

    A batch is a tuple or list of two tensors, or a dictionary that has exactly one of the keys
    ``INPUTS`` and exactly one of the keys ``TRUTHS``. Bytes in images are scaled to [0, 1].

    Raises:
        ValueError: The batch has another form, or its images are integers other than bytes.
    """
    parts = batch
    if isinstance(batch, Mapping):
        keys = [[name for name in names if name in batch] for names in (INPUTS, TRUTHS)]
        if any(len(names) != 1 for names in keys):
            raise ValueError(
                f"a batch has the keys {list(batch)}, which must include one of {INPUTS} and one "
                f"of {TRUTHS}; rename them in the loader's collate_fn, or write a Task of your own"
            )
        parts = [batch[names[0]] for names in keys]
    if (
        not isinstance(parts, list | tuple)
        or len(parts) != 2
        or not all(isinstance(part, Tensor) for part in parts)
    ):
        raise ValueError(
            f"a batch ({type(batch).__name__}) is not two tensors; "
            "give images or clips, and classes or masks, or write a Task of your own"
        )
    x, y = parts
    if x.dtype == torch.uint8:
        return x.float() / 255, y
    if not x.is_floating_point():
        raise ValueError(
            f"images have dtype {x.dtype}; give floating-point numbers, or bytes (torch.uint8), "
            "which are divided by 255"
        )
    return x, y


def _classification_loss(model: nn.Module, batch: Batch) -> Tensor:
    x, y = pair(batch)
    # labels are floats if they are class probabilities, such as those of mixup
    return functional.cross_entropy(model(x).float(), y if y.is_floating_point() else y.long())


def _top1(model: nn.Module, batches: Iterable[Batch]) -> float:
    return _top_shares(model, batches)["top1"]


def _top_shares(model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """Return the top-1 and the top-5 accuracy in percent."""
    seen, right = 0, dict.fromkeys(_TOP, 0)
    for batch in batches:
        x, y = pair(batch)
        logits = model(x)
        best = logits.topk(min(max(_TOP.values()), logits.shape[1])).indices  # (n, 5)
        for name, k in _TOP.items():
            right[name] += int((best[:, :k] == y[:, None]).sum())
        seen += len(y)
    return {name: 100.0 * count / max(seen, 1) for name, count in right.items()}


def _segmentation_loss(model: nn.Module, batch: Batch) -> Tensor:
    x, y = pair(batch)
    logits = resize_logits(model(x).float(), y.shape[-2:])
    # reduction="mean" would give 0 / 0 for a batch without labeled pixels
    total = functional.cross_entropy(logits, y.long(), ignore_index=IGNORED, reduction="sum")
    return torch.div(total, (y != IGNORED).sum().clamp_min(1))


def _mean_iou(model: nn.Module, batches: Iterable[Batch]) -> float:
    return _pixel_shares(model, batches)["mIoU"]


def _pixel_shares(model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """Return mIoU, mAcc and aAcc over the pixels of all samples, in percent.

    mIoU is the mean intersection over union of the classes that occur or are predicted, mAcc is the
    mean accuracy of the classes that occur, and aAcc is the accuracy over all pixels.
    """
    confusion: Tensor | None = None
    for batch in batches:
        x, y = pair(batch)
        logits = resize_logits(model(x).float(), y.shape[-2:])
        classes = logits.shape[1]
        known = y != IGNORED
        truth = y[known].long()
        for wrong in truth[(truth < 0) | (truth >= classes)][:1].tolist():
            raise ValueError(
                f"a mask has class {wrong}, but the network has {classes} classes: use 0 to "
                f"{classes - 1}, or {IGNORED} for ignored pixels"
            )
        pairs = truth * classes + logits.argmax(1)[known]
        counted = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        confusion = counted if confusion is None else confusion + counted
    if confusion is None:
        return dict.fromkeys(("mIoU", "mAcc", "aAcc"), 0.0)
    hit, truths = confusion.diagonal(), confusion.sum(1)
    union = confusion.sum(0) + truths - hit
    return {
        "mIoU": 100.0 * float((hit[union > 0] / union[union > 0]).mean()),
        "mAcc": 100.0 * float((hit[truths > 0] / truths[truths > 0]).mean()),
        "aAcc": 100.0 * float(hit.sum() / truths.sum()),
    }


CLASSIFICATION = Task(metric="top1", loss=_classification_loss, score=_top1, measure=_top_shares)
VIDEO = CLASSIFICATION  # for clips (n, C, T, H, W) instead of images
SEGMENTATION = Task(metric="mIoU", loss=_segmentation_loss, score=_mean_iou, measure=_pixel_shares)
# name of a network's task -> loss and metric
TASK_OF = {"classification": CLASSIFICATION, "segmentation": SEGMENTATION, "video": VIDEO}
