"""The anchor head of 3D detection, its loss, and the boxes that it finds.

Notation
    n        samples of a batch
    H, W     cells of the head's feature map, rows along y and columns along x
    K        classes
    A        anchors of a cell: two yaws for each class, 2 K
    M        anchors of a sample, H W A
    G        the most boxes that a sample of the batch has
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler.network.anchors import (
    IGNORED,
    ROTATIONS,
    Anchor,
    assign,
    decode,
    encode,
    half_circle,
)
from ncp_sampler.network.boxes import BOX_VALUES, nearest_rectangles, suppress
from ncp_sampler.network.layers import convolution, draw_normal

_HALVES = 2  # directions: the halves of the circle
_PRIOR = 0.01  # probability that an untrained head gives to each class
_ALPHA, _GAMMA = 0.25, 2.0  # of the focal loss
_BETA = 1 / 9  # where smooth L1 turns from a square to a line, as in SECOND
_BOX_WEIGHT, _CLASS_WEIGHT, _DIRECTION_WEIGHT = 2.0, 1.0, 0.2  # PointPillars, equation 4


class AnchorOutput(NamedTuple):
    """What the head says of every anchor.

    Attributes:
        classes: Logits, shape (n, H, W, A, K).
        boxes: Residuals to the anchors, shape (n, H, W, A, 7); see ``anchors.encode``.
        directions: Logits of the two halves of the circle, shape (n, H, W, A, 2).
    """

    classes: Tensor
    boxes: Tensor
    directions: Tensor


class DetectionLoss(NamedTuple):
    """The weighted sum and its parts before weighting, each a number.

    Attributes:
        total: 2 boxes + classes + 0.2 directions.
        classes: Focal loss.
        boxes: Smooth L1 of the residuals, the yaw's through the sine of its error.
        directions: Cross-entropy of the half circle.
    """

    total: Tensor
    classes: Tensor
    boxes: Tensor
    directions: Tensor


class Detections(NamedTuple):
    """The boxes found in one sample, the best first.

    Attributes:
        boxes: (m, 7), see ``boxes``.
        scores: (m,), probabilities.
        labels: (m,), classes 0 to K - 1.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class AnchorHead(nn.Module):
    """Class scores, box residuals and direction of each anchor, by three 1×1 convolutions.

    They have biases and 2 K (K + 7 + 2) output channels in all (Lang et al. 2019, section 2.3).
    Weights and biases are unset until ``reset_parameters``, which ``MultiResolutionNet`` calls.

    Args:
        in_channels: Channels of the feature map, at least 1.
        num_classes: K, at least 1.

    Raises:
        ValueError: An argument is below 1.
    """

    def __init__(self, *, in_channels: int, num_classes: int) -> None:
        super().__init__()
        for name, value in (("in_channels", in_channels), ("num_classes", num_classes)):
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        self.num_anchors = len(ROTATIONS) * num_classes
        outputs = [self.num_anchors * values for values in (num_classes, BOX_VALUES, _HALVES)]
        self.classes, self.boxes, self.directions = (
            convolution(in_channels, c_out, kernel=1) for c_out in outputs
        )

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws the weights, from PyTorch's generator by default, and sets the biases.

        The class bias gives each class a probability of 0.01, so that the many empty anchors do
        not swamp the first steps (Lin et al. 2017, "Focal loss", section 3.3).
        """
        class_bias = math.log(_PRIOR / (1 - _PRIOR))
        for layer, bias in ((self.classes, class_bias), (self.boxes, 0.0), (self.directions, 0.0)):
            draw_normal(layer.weight, 0.01, generator)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, bias)

    def forward(self, features: Tensor) -> AnchorOutput:
        """Maps features (n, in_channels, H, W) to the values of all anchors."""
        layers = (self.classes, self.boxes, self.directions)
        return AnchorOutput(*(self._per_anchor(layer(features)) for layer in layers))

    def _per_anchor(self, values: Tensor) -> Tensor:
        """Shape (n, A v, H, W) to (n, H, W, A, v)."""
        n, channels, height, width = values.shape
        grouped = values.reshape(n, self.num_anchors, channels // self.num_anchors, height, width)
        return grouped.permute(0, 3, 4, 1, 2)


def detection_loss(
    output: AnchorOutput,
    grid: Tensor,
    anchors: Sequence[Anchor],
    boxes: Tensor,
    labels: Tensor,
) -> DetectionLoss:
    """The loss of PointPillars (equations 2 to 4), by the number of anchors that learn a box.

    Args:
        output: The head's values for n samples.
        grid: The anchors' boxes, shape (H, W, A, 7), from ``anchor_grid``.
        anchors: One a class.
        boxes: Ground truth (n, G, 7), of any value where a sample has fewer than G boxes.
        labels: Their classes (n, G), negative where a sample has fewer.
    """
    grid = grid.reshape(-1, BOX_VALUES)  # (M, 7)
    target, box = assign(grid, anchors, boxes, labels)  # (n, M)
    sample, anchor = (target >= 0).nonzero(as_tuple=True)  # of the anchors that learn a box
    count = max(1, len(sample))
    classes, residuals, directions = (part.flatten(1, 3) for part in output)

    # no class is the target of background and of IGNORED; the latter is masked
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
    """The boxes of each sample: decoded, then axis-aligned NMS within each class.

    Args:
        output: The head's values for n samples.
        grid: The anchors' boxes, shape (H, W, A, 7), from ``anchor_grid``.
        score: Least probability of a box, in [0, 1].
        iou: Overlap above which the weaker of two boxes goes, in [0, 1].
        candidates: How many of the best anchors are decoded, at least 1.
        most: Boxes returned for a sample, at least 1.
    """
    for name, share in (("score", score), ("iou", iou)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}={share} must be in [0, 1]")
    for name, number in (("candidates", candidates), ("most", most)):
        if number < 1:
            raise ValueError(f"{name}={number} must be at least 1")
    classes, residuals, directions = (part.flatten(1, 3).float() for part in output)
    scores, labels = classes.sigmoid().max(-1)  # (n, M)
    # sorted, as top-k may order equal scores in any way
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
    """Lin et al. (2017), equation 5, for each logit; target is 0 or 1."""
    log_miss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    miss = 1 - torch.where(target > 0, logits, -logits).sigmoid()
    return torch.where(target > 0, _ALPHA, 1 - _ALPHA) * miss**_GAMMA * log_miss
