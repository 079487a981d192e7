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

from ncp_sampler import checks
from ncp_sampler.multi_resolution.anchor_head import AnchorHead, AnchorOutput
from ncp_sampler.multi_resolution.blueprint import HEADS
from ncp_sampler.multi_resolution.layers import ConvNorm, convolution


class LogitsHead(nn.Module):
    """Logits of K classes.

    "classification" and "video" meet at the lowest resolution and pool: (n, K); "segmentation"
    meets at the highest: (n, K, h_2, w_2).

    Args:
        task: One of the three.
        c: Channels of the branches together.
        o: Channels before the classifier.
        num_classes: K.
    """

    def __init__(self, task: str, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse(task, c, o)
        self.classifier = convolution(o, num_classes, kernel=1)
        self.pooled = HEADS[task].pooled

    def forward(self, branches: list[Tensor], frames: int | None = None) -> Tensor:
        """Of n maps; of n clips of T frames, whose branches have n T maps, if T is given."""
        x = self.fuse(branches, frames)
        if self.pooled:
            x = x.mean(tuple(range(2, x.ndim)))[:, :, None, None]  # (n, o, 1, 1)
        logits: Tensor = self.classifier(x)
        return logits.flatten(1) if self.pooled else logits


class DetectionHead(nn.Module):
    """Meets at the highest resolution, where every cell has its anchors."""

    def __init__(self, task: str, c: int, o: int, num_classes: int) -> None:
        super().__init__()
        self.fuse = Fuse(task, c, o)
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


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Brings logits (n, K, h, w) to a size (H, W), bilinearly: shape (n, K, H, W).

    Raises:
        ValueError: The logits have other axes, or the size is not two numbers of at least 1.
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
