"""Isolation of a computation from the caller's settings of PyTorch, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def own_torch(device: torch.device) -> Iterator[None]:
    """Shield the computation from the caller's default device, grad and inference modes."""
    # where there is nothing to shield from, a mode would only slow every call of PyTorch: an
    # ensemble's fit by half; get_default_device fails in PyTorch 2.6 after set_default_device(None)
    mode = nullcontext() if torch.empty(0).device == device else torch.device(device)
    with mode, torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one CPU thread, then restore the caller's number.

    The matrices of an ask are small: on a busy machine its threads wait for one another (84 ms
    became 423 on two cores), and a process forked after a parallel computation hangs in its own.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
