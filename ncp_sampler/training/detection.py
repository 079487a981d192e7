"""3D detection as a task of the training loop.

A batch consists of three lists: points (p, 4), boxes (g, 7) and labels (g,) of each sample.
``collate_scenes`` creates a batch from samples of a data set such as KITTI.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.data import Dataset

from ncp_sampler import checks
from ncp_sampler.detection3d.anchors import Anchor
from ncp_sampler.detection3d.average_precision import VIEWS, average_precision
from ncp_sampler.detection3d.loss import Detections
from ncp_sampler.detection3d.pillars import BEV_CHANNELS, KITTI_PILLAR, KITTI_RANGE, PillarEncoder
from ncp_sampler.detection3d.point_pillars import PointPillarsNet
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.network import INITIALIZATIONS
from ncp_sampler.training.problem import TrainingProblem, join_problem
from ncp_sampler.training.recipes import Recipe
from ncp_sampler.training.tasks import Batch, Task

Scene = tuple[Tensor, Tensor, Tensor]  # points (p, 4), boxes (g, 7), labels (g,)

_METRICS = {view: "AP" + view.upper() for view in VIEWS}
_MIN_SCORE = 0.05  # minimum score; detections below it hardly change an average precision


def make_detection_problem(
    name: str,
    recipe: Recipe,
    *,
    train: Dataset[Scene],
    val: Dataset[Scene],
    test: Dataset[Scene],
    anchors: Sequence[Anchor],
    ious: Sequence[float],
    point_range: Sequence[float] = KITTI_RANGE,
    pillar: float = KITTI_PILLAR,
    workers: int = 0,
    seed: int = 0,
    initialization: str = "identity",
) -> TrainingProblem:
    """Make a 3D detection problem from three data sets of scenes.

    As in the paper, only the multiply-adds of the code's network are counted. Those of the pillar
    encoder depend on the points and not on the code.

    Args:
        name: Name of the problem.
        recipe: Settings of every training run; ``size`` is not used.
        train: Training scenes: points (p, 4), boxes (g, 7), labels (g,).
        val: Validation scenes, which select epochs and codes.
        test: Scenes for the final evaluation.
        anchors: Anchors, one per class.
        ious: Minimum overlaps, as for ``detection_task``, one per class.
        point_range: As for ``PointPillarsNet``.
        pillar: As for ``PointPillarsNet``.
        workers: Number of processes of each loader.
        seed: Seed of the networks' initial weights.
        initialization: Initial weights, as for ``MultiResolutionNet``.

    Raises:
        ValueError: An argument is out of its range, or ``anchors`` and ``ious`` differ in length.
    """
    must = "be a sequence of Anchor, one per class"
    if not checks.sequence("anchors", anchors, Anchor, must):
        raise ValueError("anchors is empty; give one per class")
    task = detection_task(ious)
    if len(anchors) != len(ious):
        must = f"be {len(anchors)}, one for each of the anchors"
        raise checks.refusal("ious", tuple(ious), must)
    networks = _PillarNetworks(
        anchors=tuple(anchors),
        # the encoder raises for an invalid range
        resolution=PillarEncoder(point_range=point_range, pillar=pillar).shape,
        point_range=tuple(point_range),
        pillar=pillar,
        seed=checks.integer("seed", seed, low=0),
        initialization=checks.one_of("initialization", initialization, INITIALIZATIONS),
    )
    return join_problem(
        name, networks, task, recipe, (train, val, test), workers=workers, collate=collate_scenes
    )


def collate_scenes(scenes: Sequence[Scene]) -> list[list[Tensor]]:
    """Return a batch for ``PointPillarsNet.loss``: a list each of points, boxes and labels.

    Raises:
        ValueError: An element is not a scene.
    """
    must = "be a sequence of scenes: points, boxes and labels each"
    for scene in checks.sequence("scenes", scenes, tuple | list, must):
        if len(scene) != 3:
            raise checks.refusal("scenes", scenes, must)
    return [list(parts) for parts in zip(*scenes, strict=True)]


def detection_task(ious: Sequence[float], *, view: str = "3d") -> Task:
    """Return a detection task: the loss of PointPillars and the mean average precision.

    The models of this task are ``PointPillarsNet``.

    Args:
        ious: For each class, the minimum overlap (IoU) at which a detection counts as true, in
            (0, 1]; KITTI uses 0.7 for cars and 0.5 for pedestrians and cyclists.
        view: "3d" for overlaps of volumes, "bev" for overlaps seen from above.

    Returns:
        A task whose metric is "AP3D" or "APBEV": the mean of the average precisions of all classes
        that have a true box in the samples, 0 if there is no true box. ``measure`` returns both
        metrics.

    Raises:
        ValueError: An argument is not as described.
    """
    checks.one_of("view", view, VIEWS)
    _check_ious(ious)
    return Task(
        metric=_METRICS[view],
        loss=_loss,
        score=partial(_mean_precision, ious=ious, view=view),
        measure=partial(
            _mean_precisions, ious=ious, views=(view, *(v for v in VIEWS if v != view))
        ),
    )


def class_precisions(
    model: nn.Module, batches: Iterable[Batch], *, ious: Sequence[float], view: str = "3d"
) -> list[float]:
    """Return the average precision of each class in percent; NaN for a class without true boxes.

    Args:
        model: A ``PointPillarsNet``, in evaluation mode.
        batches: Batches on the model's device.
        ious: Minimum overlaps, as for ``detection_task``.
        view: "3d" or "bev", as for ``detection_task``.

    Raises:
        ValueError: The model is not a ``PointPillarsNet``, or an argument is not as described.
    """
    checks.one_of("view", view, VIEWS)
    _check_ious(ious)
    return _outputs(model, batches).precisions(ious, view)


@dataclass(frozen=True)
class _Outputs:
    """Detections, true boxes and true labels of all samples."""

    detections: list[Detections]
    boxes: list[Tensor]
    labels: list[Tensor]

    def precisions(self, ious: Sequence[float], view: str) -> list[float]:
        """Return each class's average precision in percent; NaN for a class without true boxes."""
        occur = set(torch.cat(self.labels).tolist()) if self.labels else set()
        samples = self.detections, self.boxes, self.labels
        return [
            average_precision(*samples, label=k, iou=iou, view=view) if k in occur else math.nan
            for k, iou in enumerate(ious)
        ]

    def mean_precision(self, ious: Sequence[float], view: str) -> float:
        """Return the mean average precision in percent over all classes that have true boxes.

        The mean is 0 if there are no true boxes.
        """
        known = [value for value in self.precisions(ious, view) if not math.isnan(value)]
        return sum(known) / max(len(known), 1)


def _outputs(model: nn.Module, batches: Iterable[Batch]) -> _Outputs:
    outputs = _Outputs([], [], [])
    for points, boxes, labels in batches:
        outputs.detections.extend(_checked(model).detect(points, score=_MIN_SCORE))
        outputs.boxes.extend(boxes)
        outputs.labels.extend(labels)
    return outputs


@dataclass(frozen=True, kw_only=True)
class _PillarNetworks:
    """Detectors for codes; their costs do not include the pillar encoder."""

    anchors: tuple[Anchor, ...]
    point_range: tuple[float, ...]
    pillar: float
    resolution: tuple[int, int]  # numbers of pillars along y and along x
    seed: int
    initialization: str

    def build(self, code: ArrayLike) -> nn.Module:
        return PointPillarsNet(
            code,
            anchors=self.anchors,
            point_range=self.point_range,
            pillar=self.pillar,
            seed=self.seed,
            initialization=self.initialization,
        )

    def gflops(self, code: ArrayLike) -> Any:
        cost = costs.flops(
            code,
            resolution=self.resolution,
            num_classes=len(self.anchors),
            task="detection3d",
            in_channels=BEV_CHANNELS,
            convention="multiply_adds",
        )
        return cost if np.ndim(code) == 2 else float(cost[0])


def _check_ious(ious: Sequence[float]) -> None:
    try:
        for iou in ious:
            checks.number("ious", iou, above=0, high=1)
    except (TypeError, ValueError):
        must = "each be above 0 and at most 1"
        raise checks.refusal("ious", ious, must) from None


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    return _checked(model).loss(*batch).total


def _mean_precision(
    model: nn.Module, batches: Iterable[Batch], *, ious: Sequence[float], view: str
) -> float:
    return _outputs(model, batches).mean_precision(ious, view)


def _mean_precisions(
    model: nn.Module, batches: Iterable[Batch], *, ious: Sequence[float], views: Sequence[str]
) -> dict[str, float]:
    outputs = _outputs(model, batches)
    return {_METRICS[view]: outputs.mean_precision(ious, view) for view in views}


def _checked(model: nn.Module) -> PointPillarsNet:
    if not isinstance(model, PointPillarsNet):
        raise ValueError(f"model of type {type(model).__name__} must be a PointPillarsNet")
    return model
