"""Anchors for 3D detection: anchor grid, residuals of boxes, and assignment of boxes to anchors.

Notation
    K            number of classes
    A            number of anchors of a cell, 2 K: class by class, with yaws of 0 and 90 degrees
    H, W         number of cells along y and along x
    M            number of anchors of a sample, H W A
    n, G         number of samples; largest number of boxes of a sample
    box          as in ``boxes``; ^a denotes an anchor, and d^a = sqrt(length^a² + width^a²)
    residual     ((x - x^a) / d^a, (y - y^a) / d^a, (z - z^a) / height^a,
                 log(length / length^a), log(width / width^a), log(height / height^a), yaw - yaw^a)

The definitions are those of Lang et al. (2019), "PointPillars", section 2.4, which follow Yan et
al. (2018), "SECOND".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.detection3d.boxes import nearest_rectangles, rectangle_iou
from ncp_sampler.multi_resolution.blueprint import YAWS

ROTATIONS = tuple(math.pi / YAWS * i for i in range(YAWS))  # Yaws of the anchors of a class: 0, 90°
BACKGROUND, IGNORED = -1, -2  # Labels of anchors without a box

_CUT = math.pi / 4  # Yaw at which the half circles meet, far from the yaw of most cars
_LARGEST_LOG = math.log(100.0)  # Bound of a log size ratio, for heads that are not trained yet


@dataclass(frozen=True)
class Anchor:
    """Typical box of one class, with the overlaps at which an anchor counts as box or background.

    Attributes:
        size: Length, width and height in meters, each > 0.
        z: z of the center in meters.
        positive: Minimum IoU at which an anchor is assigned to a box of its class. The anchor that
            overlaps a box most is assigned to the box in any case.
        negative: IoU below which an anchor is background. Anchors with an IoU between ``negative``
            and ``positive`` are left out of the loss. 0 < negative <= positive <= 1.

    Examples:
        >>> truck = Anchor(size=(10.0, 2.6, 3.2), z=-0.2, positive=0.55, negative=0.4)
        >>> truck.size[0]
        10.0
    """

    size: tuple[float, float, float]
    z: float
    positive: float = 0.5
    negative: float = 0.35

    def __post_init__(self) -> None:
        size = checks.array("size", self.size)
        if size.shape != (3,) or not (np.isfinite(size) & (size > 0)).all():
            raise checks.refusal("size", self.size, "be length, width and height, each > 0")
        checks.number("z", self.z)
        checks.number("positive", self.positive)
        if not 0 < checks.number("negative", self.negative) <= self.positive <= 1:
            raise ValueError(
                f"negative={self.negative} and positive={self.positive} must satisfy "
                "0 < negative <= positive <= 1"
            )


CAR = Anchor(size=(3.9, 1.6, 1.5), z=-1.0, positive=0.6, negative=0.45)
PEDESTRIAN = Anchor(size=(0.8, 0.6, 1.73), z=-0.6)
CYCLIST = Anchor(size=(1.76, 0.6, 1.73), z=-0.6)


def anchor_grid(
    anchors: Sequence[Anchor],
    *,
    cells: tuple[int, int],
    corner: tuple[float, float],
    cell: float,
    device: torch.device | str | None = None,
) -> Tensor:
    """Return the anchors at the center of each cell, as boxes (H, W, A, 7).

    Args:
        anchors: Anchors, one per class.
        cells: H along y and W along x.
        corner: Lowest x and y of the grid in meters.
        cell: Side length of a cell in meters.
        device: Device of the result.
    """
    height, width = cells
    y = corner[1] + (torch.arange(height, device=device) + 0.5) * cell
    x = corner[0] + (torch.arange(width, device=device) + 0.5) * cell
    shapes = torch.tensor(
        [[a.z, *a.size, yaw] for a in anchors for yaw in ROTATIONS], device=device
    )  # (A, 5)
    grid = torch.empty(height, width, len(shapes), 7, device=device)
    grid[..., 0] = x[None, :, None]
    grid[..., 1] = y[:, None, None]
    grid[..., 2:] = shapes
    return grid


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the residuals (..., 7) of boxes (..., 7) relative to anchors (..., 7)."""
    scale = _scale(anchors)
    return torch.cat(
        (
            (boxes[..., :3] - anchors[..., :3]) / scale,
            (boxes[..., 3:6] / anchors[..., 3:6]).log(),
            boxes[..., 6:] - anchors[..., 6:],
        ),
        -1,
    )


def decode(residuals: Tensor, anchors: Tensor, half: Tensor) -> Tensor:
    """Return the boxes (..., 7) that residuals describe, with yaws in (-pi, pi].

    The loss of a yaw residual is the sine of its error, so residuals determine the yaw only up to
    half a turn. The half circle determines the direction.

    Args:
        residuals: Residuals (..., 7).
        anchors: Anchors as boxes (..., 7).
        half: Direction class, 0 or 1, shape (...), as returned by ``half_circle``.
    """
    yaw = (residuals[..., 6] + anchors[..., 6] - _CUT) % math.pi + half * math.pi + _CUT
    yaw = torch.where(yaw > math.pi, yaw - 2 * math.pi, yaw)
    return torch.cat(
        (
            residuals[..., :3] * _scale(anchors) + anchors[..., :3],
            residuals[..., 3:6].clamp(-_LARGEST_LOG, _LARGEST_LOG).exp() * anchors[..., 3:6],
            yaw[..., None],
        ),
        -1,
    )


def half_circle(yaw: Tensor) -> Tensor:
    """Return the direction class: 0 for yaws from 45 to 225 degrees, 1 for all others."""
    return (((yaw - _CUT) % (2 * math.pi)) >= math.pi).long()


def assign(
    grid: Tensor, anchors: Sequence[Anchor], boxes: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Assign boxes to anchors, by the IoU of the nearest axis-aligned rectangles.

    Args:
        grid: Boxes of the anchors from ``anchor_grid``, flattened to (M, 7).
        anchors: Anchors, one per class.
        boxes: True boxes (n, G, 7); rows beyond the boxes of a sample may have any value.
        labels: Classes of the boxes (n, G), 0 to K - 1; negative beyond the boxes of a sample.

    Returns:
        Labels of the anchors (n, M), each a class, BACKGROUND or IGNORED; and the index of each
            anchor's box among the G boxes (n, M), 0 for an anchor without a box.
    """
    n, most = labels.shape
    if most == 0:
        background = torch.full((n, len(grid)), BACKGROUND, device=grid.device)
        return background, torch.zeros_like(background)
    classes = torch.arange(len(grid), device=grid.device) // len(ROTATIONS) % len(anchors)
    positive, negative = grid.new_tensor([(a.positive, a.negative) for a in anchors])[classes].T
    iou = rectangle_iou(nearest_rectangles(grid), nearest_rectangles(boxes))  # (n, M, G)
    iou = torch.where(classes[:, None] == labels[:, None, :], iou, 0.0)
    best_of_box = iou.amax(1, keepdim=True)
    forced = (iou == best_of_box) & (best_of_box > 0)
    is_forced = forced.any(-1)
    overlap, box = iou.max(-1)
    # the best anchor of a box is assigned to this box, even if it overlaps another box more
    box = torch.where(is_forced, torch.where(forced, iou, -1.0).argmax(-1), box)
    learns = is_forced | (overlap >= positive)
    rest = torch.where(overlap < negative, BACKGROUND, IGNORED)
    return torch.where(learns, classes, rest), torch.where(learns, box, 0)


def _scale(anchors: Tensor) -> Tensor:
    """Return the divisors (..., 3) of the offsets of the center along x, y and z."""
    diagonal = anchors[..., 3:5].norm(dim=-1)
    return torch.stack((diagonal, diagonal, anchors[..., 5]), -1)
