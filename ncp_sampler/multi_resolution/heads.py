"""From the four branches to the output of a task: resize, concatenate, convolve, classify.

Notation
    branches   four maps (n, c_r, h_(r+1), w_(r+1)), the highest resolution first
    c          channels of the four together
    o          the code's o1
    K          classes
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler.multi_resolution.anchor_head import AnchorHead, AnchorOutput
from ncp_sampler.multi_resolution.blueprint import HEADS
from ncp_sampler.multi_resolution.layers import ConvNorm, convolution


class ClassificationHead(nn.Module):
    """Meets at the lowest resolution, then pools: logits (n, K)."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse("classification", c, o)
        self.classifier = convolution(o, num_classes, kernel=1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        x = self.fuse(branches)  # (n, o, h_5, w_5)
        logits: Tensor = self.classifier(x.mean((2, 3), keepdim=True))  # (n, K, 1, 1)
        return logits.flatten(1)


class SegmentationHead(nn.Module):
    """Meets at the highest resolution: logits (n, K, h_2, w_2)."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse("segmentation", c, o)
        self.classifier = convolution(o, num_classes, kernel=1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(self.fuse(branches))
        return logits


class VideoHead(nn.Module):
    """Classification with frames: the last convolution before the classifier is 3×3×3."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse("video", c, o)
        self.classifier = convolution(o, num_classes, kernel=1)

    def forward(self, branches: list[Tensor], frames: int) -> Tensor:
        """Logits (n, K) of n clips of T frames, whose branches have n T maps."""
        pooled = self.fuse(branches, frames).mean((2, 3, 4))  # (n, o)
        logits: Tensor = self.classifier(pooled[:, :, None, None])
        return logits.flatten(1)


class DetectionHead(nn.Module):
    """Meets at the highest resolution, where every cell has its anchors."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse("detection3d", c, o)
        self.anchors = AnchorHead(in_channels=o, num_classes=num_classes)

    def forward(self, branches: list[Tensor]) -> AnchorOutput:
        output: AnchorOutput = self.anchors(self.fuse(branches))
        return output


class Fuse(ConvNorm):
    """Resizes the branches to one of them, concatenates and convolves them: (n, o, h, w).

    Args:
        task: Its head says at which branch they meet, and by what kernel.
        c: Channels of the branches together.
        o: Channels of the output.
    """

    def __init__(self, task: str, c: int, o: int) -> None:
        head = HEADS[task]
        super().__init__(c, o, kernel=head.kernel, axes=head.axes)
        self.meets = head.meets

    def forward(  # type: ignore[override] # of several maps in place of one
        self, branches: list[Tensor], frames: int | None = None
    ) -> Tensor:
        """Of n T maps, where ``frames`` T is given, as clips (n, o, T, h, w)."""
        size = branches[self.meets].shape[-2:]
        like = branches[self.meets]
        x = torch.cat([x if x is like else _resize(x, size) for x in branches], 1)
        if frames is not None:
            x = x.unflatten(0, (-1, frames)).transpose(1, 2)  # (n, c, T, h, w)
        return super().forward(x)


MODULES = {
    "classification": ClassificationHead,
    "segmentation": SegmentationHead,
    "video": VideoHead,
    "detection3d": DetectionHead,
}


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Brings logits (n, K, h, w) to a size (H, W), bilinearly: shape (n, K, H, W).

    Raises:
        ValueError: The logits have other axes, or the size is not two numbers of at least 1.
    """
    if logits.ndim != 4:
        raise ValueError(f"logits has shape {tuple(logits.shape)}; it must be (n, K, h, w)")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size={tuple(size)} must be a height and a width of at least 1")
    return _resize(logits, size)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(x, list(size), mode="bilinear", align_corners=False)
