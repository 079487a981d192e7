"""Loss for 3D detection, and decoding of the anchor head's output.

Notation
    n        number of samples of a batch
    H, W     number of cells of the head's feature map: rows along y and columns along x
    K        number of classes
    A        number of anchors of a cell, 2 K: two yaws for each class
    M        number of anchors of a sample, H W A
    G        largest number of boxes of a sample
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ncp_sampler import checks
from ncp_sampler.detection3d.anchors import (
    IGNORED,
    Anchor,
    assign,
    decode,
    encode,
    half_circle,
)
from ncp_sampler.detection3d.boxes import nearest_rectangles, suppress
from ncp_sampler.multi_resolution.anchor_head import AnchorOutput
from ncp_sampler.multi_resolution.blueprint import BOX_VALUES

_ALPHA, _GAMMA = 0.25, 2.0  # Parameters of the focal loss
_BETA = 1 / 9  # Error at which smooth L1 changes from quadratic to linear, as in SECOND
_BOX_WEIGHT, _CLASS_WEIGHT, _DIRECTION_WEIGHT = 2.0, 1.0, 0.2  # Weights of PointPillars, equation 4


class DetectionLoss(NamedTuple):
    """Loss of a batch and its three unweighted parts, all of which are scalars.

    Attributes:
        total: Weighted sum of the parts: 2 boxes + classes + 0.2 directions.
        classes: Focal loss of the classes.
        boxes: Smooth L1 loss of the residuals; for the yaw, of the sine of its error.
        directions: Cross-entropy of the direction class (half circle).

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> from ncp_sampler.detection3d import CAR, CYCLIST, PointPillarsNet
        >>> from ncp_sampler.training import StreetScenes
        >>> points, boxes, labels = StreetScenes("train", length=1)[0]
        >>> code = MRSpace(width=16, depth=1).sample(1, 0)[0]
        >>> net = PointPillarsNet(
        ...     code, anchors=[CAR, CYCLIST], point_range=(0, -8, -3, 16, 8, 1), pillar=0.25, seed=0
        ... )
        >>> loss = net.loss([points], [boxes], [labels])
        >>> bool(loss.total > 0), loss._fields
        (True, ('total', 'classes', 'boxes', 'directions'))
    """

    total: Tensor
    classes: Tensor
    boxes: Tensor
    directions: Tensor


class Detections(NamedTuple):
    """Boxes detected in one sample, in order of decreasing score.

    Attributes:
        boxes: Detected boxes (m, 7): x, y, z, length, width, height, yaw.
        scores: Probabilities of the boxes' classes (m,).
        labels: Classes of the boxes (m,), 0 to K - 1.

    Examples:
        >>> import torch
        >>> found = Detections(torch.zeros(2, 7), torch.tensor([0.9, 0.4]), torch.tensor([0, 0]))
        >>> found.boxes[found.scores > 0.5].shape
        torch.Size([1, 7])
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def detection_loss(
    output: AnchorOutput,
    grid: Tensor,
    anchors: Sequence[Anchor],
    boxes: Tensor,
    labels: Tensor,
) -> DetectionLoss:
    """Return the loss of PointPillars (equations 2 to 4), per anchor to which a box is assigned.

    Args:
        output: Output of the head for n samples.
        grid: Boxes of the anchors (H, W, A, 7), from ``anchor_grid``.
        anchors: Anchors, one per class.
        boxes: True boxes (n, G, 7); rows beyond the boxes of a sample may have any value.
        labels: Classes of the boxes (n, G), negative beyond the boxes of a sample.
    """
    grid = grid.reshape(-1, BOX_VALUES)  # (M, 7)
    target, box = assign(grid, anchors, boxes, labels)  # (n, M)
    sample, anchor = (target >= 0).nonzero(as_tuple=True)  # anchors with a box
    count = max(1, len(sample))
    classes, residuals, directions = (part.flatten(1, 3) for part in output)

    # all zeros for BACKGROUND and IGNORED; the loss of IGNORED is masked
    one_hot = (target[..., None] == torch.arange(len(anchors), device=target.device)).float()
    focal = _focal_loss(classes.float(), one_hot) * (target != IGNORED)[..., None]

    truth = boxes[sample, box[sample, anchor]].float()
    wanted = encode(truth, grid[anchor])
    error = residuals[sample, anchor].float() - wanted
    error = torch.cat((error[:, :-1], error[:, -1:].sin()), -1)
    box_loss = functional.smooth_l1_loss(
        error, torch.zeros_like(error), beta=_BETA, reduction="sum"
    )
    direction_loss = functional.cross_entropy(
        directions[sample, anchor].float(), half_circle(truth[:, -1]), reduction="sum"
    )

    parts = [part / count for part in (focal.sum(), box_loss, direction_loss)]
    weights = (_CLASS_WEIGHT, _BOX_WEIGHT, _DIRECTION_WEIGHT)
    total = torch.stack([w * part for w, part in zip(weights, parts, strict=True)]).sum()
    return DetectionLoss(total, *parts)


def find_boxes(
    output: AnchorOutput,
    grid: Tensor,
    *,
    score: float = 0.1,
    iou: float = 0.5,
    candidates: int = 500,
    most: int = 100,
) -> list[Detections]:
    """Return the decoded boxes of each sample after axis-aligned NMS within each class.

    Args:
        output: Output of the head for n samples.
        grid: Boxes of the anchors (H, W, A, 7), from ``anchor_grid``.
        score: Minimum probability of a box, in [0, 1].
        iou: Overlap above which the box with the lower score is removed, in [0, 1].
        candidates: Number of anchors that are decoded, those with the highest scores; at least 1.
        most: Maximum number of boxes per sample, at least 1.
    """
    checks.number("score", score, low=0, high=1)
    checks.number("iou", iou, low=0, high=1)
    checks.integer("candidates", candidates, low=1)
    checks.integer("most", most, low=1)
    classes, residuals, directions = (part.flatten(1, 3).float() for part in output)
    scores, labels = classes.sigmoid().max(-1)  # (n, M)
    # sorted, because the order of equal scores in top-k is undefined
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    candidates = min(candidates, int((scores >= score).sum(1).max()))
    scores, order = scores[:, :candidates], order[:, :candidates]
    row = torch.arange(len(order), device=order.device)[:, None]
    labels = labels[row, order]
    boxes = decode(
        residuals[row, order],
        grid.reshape(-1, BOX_VALUES)[order],
        directions[row, order].argmax(-1),
    )
    stays = suppress(nearest_rectangles(boxes), labels, iou=iou) & (scores >= score)
    stays &= stays.cumsum(1) <= most
    return [
        Detections(b[s], c[s], k[s])
        for b, c, k, s in zip(boxes, scores, labels, stays, strict=True)
    ]


def _focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the focal loss of each logit (Lin et al. 2017, equation 5) for targets of 0 or 1."""
    log_miss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    miss = 1 - torch.where(target > 0, logits, -logits).sigmoid()
    return torch.where(target > 0, _ALPHA, 1 - _ALPHA) * miss**_GAMMA * log_miss
