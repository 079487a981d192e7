"""Heads of the tasks, which resize, concatenate, convolve and classify the four branches.

Notation
    branches   four feature maps (n, c_r, h_(r+1), w_(r+1)), with the highest resolution first
    c          total number of channels of the four branches
    o          number of channels o1 of the code
    K          number of classes
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler import checks
from ncp_sampler.multi_resolution.anchor_head import AnchorHead, AnchorOutput
from ncp_sampler.multi_resolution.blueprint import HEADS
from ncp_sampler.multi_resolution.layers import ConvNorm, convolution


class LogitsHead(nn.Module):
    """Head that returns logits of K classes.

    For "classification" and "video", the branches are concatenated at the lowest resolution and
    pooled, which gives logits (n, K). For "segmentation", they are concatenated at the highest
    resolution, which gives logits (n, K, h_2, w_2).

    Args:
        task: "classification", "video" or "segmentation".
        c: Total number of channels of the branches.
        o: Number of channels before the classifier.
        num_classes: Number K of classes.
    """

    def __init__(self, task: str, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse(task, c, o)
        self.classifier = convolution(o, num_classes, kernel=1)
        self.pooled = HEADS[task].pooled

    def forward(self, branches: list[Tensor], frames: int | None = None) -> Tensor:
        """Return the logits of n images, or of n clips with n T feature maps per branch.

        ``frames`` is the number T of frames of a clip, and None for images.
        """
        x = self.fuse(branches, frames)
        if self.pooled:
            x = x.mean(tuple(range(2, x.ndim)))[:, :, None, None]  # (n, o, 1, 1)
        logits: Tensor = self.classifier(x)
        return logits.flatten(1) if self.pooled else logits


class DetectionHead(nn.Module):
    """Head for 3D detection at the highest resolution, with anchors in every cell."""

    def __init__(self, task: str, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse(task, c, o)
        self.anchors = AnchorHead(in_channels=o, num_classes=num_classes)

    def forward(self, branches: list[Tensor]) -> AnchorOutput:
        output: AnchorOutput = self.anchors(self.fuse(branches))
        return output


class Fuse(ConvNorm):
    """Module that resizes, concatenates and convolves all branches: (n, o, h, w).

    Args:
        task: Task that determines the resolution and the kernel.
        c: Total number of channels of the branches.
        o: Number of channels of the output.
    """

    def __init__(self, task: str, c: int, o: int) -> None:
        head = HEADS[task]
        super().__init__(c, o, kernel=head.kernel, axes=head.axes)
        self.meets = head.meets

    def forward(  # type: ignore[override] # takes several maps instead of one
        self, branches: list[Tensor], frames: int | None = None
    ) -> Tensor:
        """Return feature maps (n, o, h, w); for clips of T ``frames``, return (n, o, T, h, w)."""
        size = branches[self.meets].shape[-2:]
        like = branches[self.meets]
        x = torch.cat([x if x is like else _resize(x, size) for x in branches], 1)
        if frames is not None:
            x = x.unflatten(0, (-1, frames)).transpose(1, 2)  # (n, c, T, h, w)
        return super().forward(x)


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits (n, K, h, w), resized bilinearly to (n, K, H, W).

    Raises:
        ValueError: If the logits have another number of axes, or if the size is not two positive
            integers.
    """
    if checks.instance("logits", logits, Tensor, "be a tensor (n, K, h, w)").ndim != 4:
        raise ValueError(f"logits has shape {tuple(logits.shape)}; it must be (n, K, h, w)")
    must = "be a height and a width of at least 1"
    sides = checks.sequence("size", size, object, must)
    if len(sides) != 2 or min(sides) < 1:
        raise checks.refusal("size", tuple(sides), must)
    return _resize(logits, size)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(x, list(size), mode="bilinear", align_corners=False)
