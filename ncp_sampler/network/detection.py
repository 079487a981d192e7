"""The anchor head of 3D detection, its losses, and the boxes that it finds.

Notation
    n        samples of a batch
    H, W     cells of the head's feature map, rows along y and columns along x
    K        classes
    A        anchors of a cell: two yaws for each class, 2 K
    M        anchors of a sample, H W A
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

ROTATIONS = (0.0, math.pi / 2)  # yaws of a class's anchors

_BOX_VALUES = 7
_DIRECTIONS = 2
_PRIOR = 0.01  # probability that an untrained head gives to each class


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


class AnchorHead(nn.Module):
    """Class scores, box residuals and direction of each anchor, by three 1×1 convolutions.

    They have biases and 2 K (K + 7 + 2) output channels in all (Lang et al. 2019, section 2.3).

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
        self.classes = nn.Conv2d(in_channels, self.num_anchors * num_classes, 1)
        self.boxes = nn.Conv2d(in_channels, self.num_anchors * _BOX_VALUES, 1)
        self.directions = nn.Conv2d(in_channels, self.num_anchors * _DIRECTIONS, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew from PyTorch's generator, and sets the biases.

        The class bias gives each class a probability of 0.01, so that the many empty anchors do
        not swamp the first steps (Lin et al. 2017, "Focal loss", section 3.3).
        """
        for convolution in (self.classes, self.boxes, self.directions):
            nn.init.normal_(convolution.weight, std=0.01)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
        if self.classes.bias is not None:
            nn.init.constant_(self.classes.bias, math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, features: Tensor) -> AnchorOutput:
        """Maps features (n, in_channels, H, W) to the values of all anchors."""
        return AnchorOutput(
            *(
                self._per_anchor(convolution(features))
                for convolution in (self.classes, self.boxes, self.directions)
            )
        )

    def _per_anchor(self, values: Tensor) -> Tensor:
        """Shape (n, A v, H, W) to (n, H, W, A, v)."""
        n, channels, height, width = values.shape
        grouped = values.reshape(n, self.num_anchors, channels // self.num_anchors, height, width)
        return grouped.permute(0, 3, 4, 1, 2)
