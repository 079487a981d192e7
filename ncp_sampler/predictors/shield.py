"""What keeps a caller's settings of PyTorch out of a computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def own_torch(device: torch.device) -> Iterator[None]:
    """Shields the computation from the caller's default device, grad and inference modes."""
    # where there is nothing to shield from, a mode would only slow every call of PyTorch: an
    # ensemble's fit by half; get_default_device fails in PyTorch 2.6 after set_default_device(None)
    mode = nullcontext() if torch.empty(0).device == device else torch.device(device)
    with mode, torch.inference_mode(False), torch.enable_grad():
        yield
