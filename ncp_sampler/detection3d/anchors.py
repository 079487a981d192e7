"""Anchors of 3D detection: where they lie, boxes as residuals to them, and which box each learns.

Notation
    K, A, H, W   classes, anchors of a cell (2 K: class by class, yaws 0 and 90 degrees), cells
    M            anchors of a sample, H W A
    n, G         samples; the most boxes that one of them has
    box          as in ``boxes``; ^a an anchor, d^a = sqrt(length^a² + width^a²)
    residual     ((x - x^a) / d^a, (y - y^a) / d^a, (z - z^a) / height^a,
                 log(length / length^a), log(width / width^a), log(height / height^a), yaw - yaw^a)

Lang et al. (2019), "PointPillars", section 2.4, after Yan et al. (2018), "SECOND".
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

ROTATIONS = tuple(math.pi / YAWS * i for i in range(YAWS))  # yaws of a class's anchors: 0, 90°
BACKGROUND, IGNORED = -1, -2  # labels of anchors that learn no box

_CUT = math.pi / 4  # the circle's halves meet here, far from where most cars point
_LARGEST_LOG = math.log(100.0)  # of a size over the anchor's: an untrained head's could be infinite


@dataclass(frozen=True)
class Anchor:
    """The typical box of one class, and when a box is matched to it.

    Attributes:
        size: Length, width and height in metres, each > 0.
        z: Height of the centre in metres.
        positive: An anchor that overlaps a box of its class by at least this IoU learns it, as
            does each box's best anchor.
        negative: An anchor below this IoU with all boxes of its class is background; between
            the two it is left out of the loss. 0 < negative <= positive <= 1.

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
                f"negative={self.negative} and positive={self.positive} must hold "
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
    """Anchors as boxes, shape (H, W, A, 7), in the middle of each cell.

    Args:
        anchors: One a class.
        cells: H along y and W along x.
        corner: Lowest x and y of the grid in metres.
        cell: Side of a cell in metres.
        device: Where the result lies.
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
    """Residuals of boxes (..., 7) to anchors (..., 7)."""
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
    """Boxes (..., 7), yaws in (-pi, pi].

    Residuals give the yaw up to half a turn, since they are learnt through the sine of their
    error; the half of the circle says which.

    Args:
        residuals: (..., 7).
        anchors: (..., 7).
        half: 0 or 1, shape (...), as ``half_circle`` gives it.
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
    """The direction class: 0 for yaws from 45 to 225 degrees, 1 for the others."""
    return (((yaw - _CUT) % (2 * math.pi)) >= math.pi).long()


def assign(
    grid: Tensor, anchors: Sequence[Anchor], boxes: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Which box each anchor learns, by the IoU of the nearest axis-aligned rectangles.

    Args:
        grid: The anchors' boxes as ``anchor_grid`` gives them, flattened to (M, 7).
        anchors: One a class.
        boxes: (n, G, 7), of any value where a sample has fewer.
        labels: (n, G), classes 0 to K - 1; negative where a sample has fewer.

    Returns:
        For every anchor its class, BACKGROUND or IGNORED, shape (n, M), and which of the G boxes
        it learns, 0 where none.
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
    # an anchor that is some box's best learns that box, even if it overlaps another one more
    box = torch.where(is_forced, torch.where(forced, iou, -1.0).argmax(-1), box)
    learns = is_forced | (overlap >= positive)
    rest = torch.where(overlap < negative, BACKGROUND, IGNORED)
    return torch.where(learns, classes, rest), torch.where(learns, box, 0)


def _scale(anchors: Tensor) -> Tensor:
    """What the three offsets of the centre are divided by, shape (..., 3)."""
    diagonal = anchors[..., 3:5].norm(dim=-1)
    return torch.stack((diagonal, diagonal, anchors[..., 5]), -1)
