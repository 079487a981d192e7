"""What all predictors share that stand on another one: its names, its device, its capacity."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from ncp_sampler.predictors.predictor import FloatArray, Predictor, posterior_arrays


class Around(Predictor):
    """A predictor whose metrics are those of an inner one.

    Args:
        inner: The one that it stands on.
    """

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner

    @property
    def names(self) -> tuple[str, ...]:
        return self.inner.names

    @property
    def device(self) -> torch.device:
        return self.inner.device

    @property
    def capacity(self) -> int | None:
        return self.inner.capacity

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of each metric's noise, (m,); 0 where the inner one states none."""
        stated: FloatArray = getattr(self.inner, "noise", np.zeros(len(self.names)))
        return stated

    def predict(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        return posterior_arrays(self, x)
