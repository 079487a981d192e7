"""Anchor head of 3D detection, which predicts a class, a box and a direction for every anchor.

Notation
    n        number of samples of a batch
    H, W     number of cells of the head's feature map: rows along y and columns along x
    K        number of classes
    A        number of anchors of a cell, 2 K: two yaws for each class
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import YAWS, output_channels
from ncp_sampler.multi_resolution.layers import convolution, draw_normal

_PRIOR = 0.01  # Probability that an untrained head predicts for each class


class AnchorOutput(NamedTuple):
    """Output of the head for every anchor.

    Attributes:
        classes: Logits of the classes, shape (n, H, W, A, K).
        boxes: Residuals relative to the anchors, shape (n, H, W, A, 7); see ``anchors.encode``.
        directions: Logits of the two direction classes (half circles), shape (n, H, W, A, 2).

    Examples:
        >>> import torch
        >>> from ncp_sampler import MRSpace
        >>> space = MRSpace(width=16, depth=1)
        >>> net = space.build(space.sample(1, 0)[0], task="detection3d", num_classes=1, seed=0)
        >>> output = net(torch.zeros(1, 3, 64, 64))
        >>> output.boxes.shape
        torch.Size([1, 16, 16, 2, 7])
    """

    classes: Tensor
    boxes: Tensor
    directions: Tensor


class AnchorHead(nn.Module):
    """Three 1×1 convolutions for the class scores, box residuals and direction of each anchor.

    The convolutions have biases and 2 K (K + 7 + 2) output channels in total (Lang et al. 2019,
    section 2.3). The weights and biases are not initialized before ``reset_parameters``, which
    ``MultiResolutionNet`` calls.

    Args:
        in_channels: Number of channels of the feature map, at least 1.
        num_classes: Number K of classes, at least 1.

    Raises:
        ValueError: If an argument is below 1.
    """

    def __init__(self, *, in_channels: int, num_classes: int) -> None:
        super().__init__()
        in_channels = checks.integer("in_channels", in_channels, low=1)
        num_classes = checks.integer("num_classes", num_classes, low=1)
        self.num_anchors = YAWS * num_classes
        self.classes, self.boxes, self.directions = (
            convolution(in_channels, c_out, kernel=1)
            for c_out in output_channels("detection3d", num_classes).values()
        )

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights, by default from PyTorch's global generator, and set the biases.

        The biases give each class a probability of 0.01, so that the many anchors without a box do
        not dominate the first steps (Lin et al. 2017, "Focal loss", section 3.3).
        """
        class_bias = math.log(_PRIOR / (1 - _PRIOR))
        for layer, bias in ((self.classes, class_bias), (self.boxes, 0.0), (self.directions, 0.0)):
            draw_normal(layer.weight, 0.01, generator)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, bias)

    def forward(self, features: Tensor) -> AnchorOutput:
        """Return the output for all anchors, given features (n, in_channels, H, W)."""
        layers = (self.classes, self.boxes, self.directions)
        return AnchorOutput(*(self._per_anchor(layer(features)) for layer in layers))

    def _per_anchor(self, values: Tensor) -> Tensor:
        """Return values (n, A v, H, W) in the shape (n, H, W, A, v)."""
        n, channels, height, width = values.shape
        grouped = values.reshape(n, self.num_anchors, channels // self.num_anchors, height, width)
        return grouped.permute(0, 3, 4, 1, 2)
