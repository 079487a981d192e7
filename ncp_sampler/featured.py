"""A predictor that sees features of a code in place of the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.predictor import Predictor, State, posterior_arrays

Features: TypeAlias = Callable[[Tensor], Tensor]


class Featured:
    """Puts a differentiable map from unit codes to features before another predictor.

    Gradients flow through the map, so that propagation still edits the code. Features are scaled
    to [0, 1] over the rows of each fit, as unit codes are.

    Args:
        inner: The predictor of the features.
        features: Unit codes (n, d) -> (n, f), such as ``mr_features.smooth_features``.
    """

    def __init__(self, inner: Predictor, features: Features) -> None:
        self.inner = inner
        self.features = features
        self._low = self._range = torch.zeros(0)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in the order of the last axis of all outputs."""
        return self.inner.names

    @property
    def device(self) -> torch.device:
        """Where the inner predictor computes."""
        return self.inner.device

    @property
    def capacity(self) -> int | None:
        """How many rows the inner predictor should be given at most; None for any number."""
        return self.inner.capacity

    def fit(
        self,
        x: ArrayLike,
        metrics: Mapping[str, ArrayLike],
        *,
        weights: ArrayLike | None = None,
        steps: int | None = None,
    ) -> Featured:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Raises:
            ValueError: As the inner predictor's ``fit``; or codes that are not finite (n, d).
        """
        codes = np.asarray(x, dtype=np.float64)
        if codes.ndim != 2 or not np.isfinite(codes).all():
            raise ValueError(f"x must be finite unit codes of shape (n, d), got {codes.shape}")
        raw = self._raw(codes)
        self._low = raw.amin(0)
        spread = raw.amax(0) - self._low
        self._range = torch.where(spread > 1e-9, spread, 1.0)
        scaled = ((raw - self._low) / self._range).cpu().numpy()
        self.inner.fit(scaled, metrics, weights=weights, steps=steps)
        return self

    def mean(self, x: Tensor) -> Tensor:
        """Mean (n, m) at unit codes x (n, d), differentiable."""
        return self.inner.mean(self._scale(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) at unit codes x (n, d), differentiable."""
        return self.inner.posterior(self._scale(x))

    def predict(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for arrays, without gradients."""
        return posterior_arrays(self, x)

    def condition(self, x: ArrayLike) -> Featured:
        """Copy that takes its own mean at x (q, d) for observed."""
        codes = torch.as_tensor(np.asarray(x, dtype=np.float64), device=self.device)
        with torch.no_grad():
            scaled = self._scale(codes).cpu().numpy()
        other = Featured(self.inner.condition(scaled), self.features)
        other._low, other._range = self._low, self._range
        return other

    def state_dict(self) -> State:
        """The inner predictor's state and the features' range."""
        return {
            "inner": self.inner.state_dict(),
            "low": self._low.cpu().numpy().copy(),
            "range": self._range.cpu().numpy().copy(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; a Gaussian process wants its rows again (fit, steps=0)."""
        self.inner.load_state_dict(state["inner"])
        self._low, self._range = (
            torch.as_tensor(np.asarray(state[key]), dtype=torch.float64, device=self.device)
            for key in ("low", "range")
        )

    def _raw(self, codes: NDArray[np.float64]) -> Tensor:
        with torch.no_grad():
            return self.features(torch.as_tensor(codes, dtype=torch.float64, device=self.device))

    def _scale(self, x: Tensor) -> Tensor:
        if not len(self._low):
            raise RuntimeError("the predictor is not fitted; call fit first")
        return (self.features(x.to(torch.float64)) - self._low) / self._range
