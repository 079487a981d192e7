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

from ncp_sampler.network.detection import AnchorHead, AnchorOutput
from ncp_sampler.network.layers import ConvNorm, convolution


class ClassificationHead(nn.Module):
    """Meets at the lowest resolution, then pools: logits (n, K)."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = ConvNorm(c, o, kernel=1)
        self.classifier = convolution(o, num_classes, kernel=1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        x = self.fuse(_concatenate(branches, like=branches[-1]))  # (n, o, h_5, w_5)
        logits: Tensor = self.classifier(x.mean((2, 3), keepdim=True))  # (n, K, 1, 1)
        return logits.flatten(1)


class SegmentationHead(nn.Module):
    """Meets at the highest resolution: logits (n, K, h_2, w_2)."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = ConvNorm(c, o, kernel=1)
        self.classifier = convolution(o, num_classes, kernel=1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(self.fuse(_concatenate(branches, like=branches[0])))
        return logits


class VideoHead(nn.Module):
    """Classification with frames: the last convolution before the classifier is 3×3×3."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = ConvNorm(c, o, kernel=3, axes=3)
        self.classifier = convolution(o, num_classes, kernel=1)

    def forward(self, branches: list[Tensor], frames: int) -> Tensor:
        """Logits (n, K) of n clips of T frames, whose branches have n T maps."""
        x = _concatenate(branches, like=branches[-1])  # (n T, c, h_5, w_5)
        clips = x.unflatten(0, (-1, frames)).transpose(1, 2)  # (n, c, T, h_5, w_5)
        pooled = self.fuse(clips).mean((2, 3, 4))  # (n, o)
        logits: Tensor = self.classifier(pooled[:, :, None, None])
        return logits.flatten(1)


class DetectionHead(nn.Module):
    """Meets at the highest resolution, where every cell has its anchors."""

    def __init__(self, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = ConvNorm(c, o, kernel=1)
        self.anchors = AnchorHead(in_channels=o, num_classes=num_classes)

    def forward(self, branches: list[Tensor]) -> AnchorOutput:
        output: AnchorOutput = self.anchors(self.fuse(_concatenate(branches, like=branches[0])))
        return output


HEADS = {  # of each task
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


def _concatenate(branches: list[Tensor], like: Tensor) -> Tensor:
    """Shape (n, c, h, w), with the height and width of ``like``, which is a branch."""
    size = like.shape[-2:]
    return torch.cat([x if x is like else _resize(x, size) for x in branches], 1)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(x, list(size), mode="bilinear", align_corners=False)
