"""AdamW (Loshchilov & Hutter 2019) for training tensors, with an optional one-cycle schedule.

``torch.optim.AdamW`` and ``OneCycleLR`` compute the same numbers, but creating them imports
``torch._dynamo``, which takes a second in each process that trains a predictor.

References: Smith & Topin (2018) for the schedule, with the defaults of ``OneCycleLR`` except for
the first rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_WARM_UP = 0.3  # Fraction of the steps in which the learning rate rises
_FIRST, _LAST = 1 / 10, 1 / 10 / 1e4  # First and last learning rate, relative to the peak
_MOMENTUM = (0.95, 0.85)  # Decay rate of the mean gradient at both ends, and at the peak


class AdamW:
    """One run of AdamW, starting with zero moments.

    Args:
        weights: Tensors to train, which require gradients.
        rate: Learning rate; the peak of a cycle.
        weight_decay: Decoupled weight decay.
        cycle: Number of steps of a one-cycle schedule; None for a constant rate.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        *,
        rate: float,
        weight_decay: float,
        cycle: int | None = None,
    ) -> None:
        self._weights = list(weights)
        self._rate, self._weight_decay, self._cycle = rate, weight_decay, cycle
        self._first = [torch.zeros_like(w) for w in self._weights]
        self._second = [torch.zeros_like(w) for w in self._weights]
        self._counts = [torch.tensor(0.0) for _ in self._weights]
        self._steps = 0

    def step(self, loss: Tensor) -> None:
        """Update the weights by one descent step along the gradient of a loss."""
        gradients = torch.autograd.grad(loss, self._weights)
        rate, beta = self._rate, _BETAS[0]
        if self._cycle is not None:
            rate, beta = one_cycle(self._steps, self._cycle, rate)
        with torch.no_grad():
            adamw(
                self._weights, list(gradients), self._first, self._second, [], self._counts,
                amsgrad=False, beta1=beta, beta2=_BETAS[1], lr=rate,
                weight_decay=self._weight_decay, eps=_EPSILON, maximize=False,
            )  # fmt: skip
        self._steps += 1


def one_cycle(step: int, steps: int, peak: float) -> tuple[float, float]:
    """Return the learning rate and the decay rate of the mean gradient at a step of the cycle."""
    top, last = _WARM_UP * steps - 1, steps - 1
    if step <= top:
        return _anneal(peak * _FIRST, peak, step / top), _anneal(*_MOMENTUM, step / top)
    share = (step - top) / (last - top)
    return _anneal(peak, peak * _LAST, share), _anneal(*_MOMENTUM[::-1], share)


def _anneal(start: float, end: float, share: float) -> float:
    """Interpolate from start to end along a half cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
