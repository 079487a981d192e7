"""Codes, networks and inputs that several test files use."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp_sampler import MRSpace, MultiResolutionNet

SPACE = MRSpace()
SMALLEST, LARGEST = (SPACE.round(SPACE.denormalize(np.full(27, end))) for end in (0.0, 1.0))


def build(code: Any = SMALLEST, **options: Any) -> MultiResolutionNet:
    return MultiResolutionNet(code, **{"num_classes": 5, "seed": 0, **options})


def batch(task: str, size: tuple[int, int], *, channels: int = 3, n: int = 2) -> Tensor:
    frames = (3,) if task == "video" else ()
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, *frames, *size, generator=generator)


def parts(output: Any) -> list[Tensor]:
    """The tensors of an output: one, or the three of detection."""
    return [output] if isinstance(output, Tensor) else list(output)
