"""Boxes for 3D detection, and their overlap as axis-aligned rectangles seen from above.

Notation
    box        (x, y, z, length, width, height, yaw): center and sizes in meters; yaw in radians,
               counterclockwise about z; at yaw 0, the length is along x
    rectangle  (x0, y0, x1, y1): low corner and high corner
    p, q, m    numbers of boxes; leading axes are samples

The matching of anchors and the suppression of detections use the nearest axis-aligned rectangles,
as in PointPillars. The average precision uses exact overlaps (``rotated_boxes``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import BOX_VALUES


def check_boxes(boxes: Tensor, name: str = "boxes") -> None:
    """Raise ValueError unless boxes are finite, have the shape (m, 7), and have positive sizes."""
    checks.instance(name, boxes, Tensor, f"be a tensor of shape (m, {BOX_VALUES})")
    if boxes.ndim != 2 or boxes.shape[1] != BOX_VALUES:
        raise ValueError(
            f"{name} of shape {tuple(boxes.shape)} must be of shape (m, 7): "
            "x, y, z, length, width, height, yaw; (0, 7) for no boxes"
        )
    if not boxes.is_floating_point():
        raise ValueError(f"{name} of type {boxes.dtype} must be of a floating type")
    if not torch.isfinite(boxes).all():
        raise ValueError(f"{name} contains NaN or infinity; leave such boxes out")
    if not (boxes[:, 3:6] > 0).all():
        smallest = boxes[:, 3:6].min().item()
        raise ValueError(f"{name} has a length, width or height of {smallest:g}; all must be > 0")


def check_truths(boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> None:
    """Raise ValueError unless every sample has valid boxes and one integer label for each box."""
    must = "be a sequence of tensors, one for each sample"
    checks.sequence("boxes", boxes, Tensor, must)
    checks.sequence("labels", labels, Tensor, must)
    if len(boxes) != len(labels):
        raise ValueError(
            f"boxes has {len(boxes)} samples and labels has {len(labels)}; they must have equal "
            "lengths"
        )
    for i, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        check_boxes(box, f"boxes[{i}]")
        if label.shape != box.shape[:1] or label.is_floating_point():
            raise ValueError(
                f"labels[{i}] of shape {tuple(label.shape)} and type {label.dtype} must have one "
                f"integer for each of the {len(box)} boxes"
            )


def nearest_rectangles(boxes: Tensor) -> Tensor:
    """Return the rectangles (..., 4) of boxes rotated to the nearest multiple of 90 degrees."""
    yaw = boxes[..., 6:]
    sizes = boxes[..., 3:5]
    half = torch.where(yaw.sin().abs() > yaw.cos().abs(), sizes.flip(-1), sizes) / 2
    return torch.cat((boxes[..., :2] - half, boxes[..., :2] + half), -1)


def rectangle_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union (..., p, q) of rectangles (..., p, 4) and (..., q, 4)."""
    low = torch.maximum(first[..., :, None, :2], second[..., None, :, :2])
    high = torch.minimum(first[..., :, None, 2:], second[..., None, :, 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    areas = [(r[..., 2:] - r[..., :2]).prod(-1) for r in (first, second)]
    return shared / (areas[0][..., :, None] + areas[1][..., None, :] - shared)


def suppress(rectangles: Tensor, labels: Tensor, *, iou: float) -> Tensor:
    """Return the rectangles that greedy non-maximum suppression within each label keeps.

    A rectangle is kept unless it overlaps an earlier kept rectangle with the same label by more
    than ``iou``.

    Args:
        rectangles: Rectangles (..., m, 4), the best first.
        labels: Labels of the rectangles, integers (..., m).
        iou: Largest overlap (IoU) of two kept rectangles with the same label, in [0, 1].

    Returns:
        Mask (..., m) of the kept rectangles.
    """
    m = labels.shape[-1]
    before = torch.ones(m, m, dtype=torch.bool, device=labels.device).triu(1)
    same = labels[..., :, None] == labels[..., None, :]
    beats = (rectangle_iou(rectangles, rectangles) > iou) & same & before  # [i, j]: i over j
    stays = torch.ones_like(labels, dtype=torch.bool)
    # After k passes, at least the first k elements are final. The greedy result is the only fixed
    # point, and is reached after as many passes as the longest chain of suppressions.
    while True:
        after = ~(beats & stays[..., :, None]).any(-2)
        if torch.equal(after, stays):
            return stays
        stays = after
