"""A predictor that sees features of a code in place of the code."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.around import Around
from ncp_sampler.predictors.predictor import Metrics, Predictor, State, Weights, check_predictor

Features: TypeAlias = Callable[[Tensor], Tensor]


class Featured(Around):
    """Puts a differentiable map from unit codes to features before another predictor.

    Gradients flow through the map, so that propagation still edits the code. Features are scaled
    to [0, 1] over the rows of each fit, as unit codes are.

    Args:
        inner: The predictor of the features.
        features: Unit codes (n, d) -> (n, f), such as ``SearchSpace.features``.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> import torch
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> predictor = Featured(GaussianProcess(), lambda unit: torch.cat([unit, unit**2], 1))
        >>> predictor.fit(x, {"loss": (x[:, 0] - 0.3) ** 2}).names
        ('loss',)
    """

    def __init__(self, inner: Predictor, features: Features) -> None:
        super().__init__(check_predictor("inner", inner))
        must = "be a function of unit codes, such as SearchSpace.features"
        self.features: Features = checks.call("features", features, must, required=True)
        self._range: tuple[Tensor, Tensor] | None = None  # least and spread of each feature

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Featured:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Raises:
            ValueError: As the inner predictor's ``fit``; or codes that are not finite (n, d).
        """
        codes = np.asarray(x, dtype=np.float64)
        if codes.ndim != 2 or not np.isfinite(codes).all():
            raise ValueError(f"x must be finite unit codes of shape (n, d), got {codes.shape}")
        raw = self._raw(codes)
        low = raw.amin(0)
        spread = raw.amax(0) - low
        spread = torch.where(spread > 1e-9, spread, 1.0)
        scaled = ((raw - low) / spread).cpu().numpy()
        self._range = low, spread
        self.inner.fit(scaled, metrics, weights=weights, steps=steps)
        return self

    def mean(self, x: Tensor) -> Tensor:
        return self.inner.mean(self._scale(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.posterior(self._scale(x))

    def condition(self, x: ArrayLike) -> Featured:
        """Copy that takes its own mean at x (q, d) for observed."""
        codes = torch.as_tensor(np.asarray(x, dtype=np.float64), device=self.device)
        with torch.no_grad():
            scaled = self._scale(codes).cpu().numpy()
        other = copy.copy(self)
        other.inner = self.inner.condition(scaled)
        return other

    def state_dict(self) -> State:
        """The inner predictor's state and the features' range."""
        ends = None if self._range is None else [end.tolist() for end in self._range]
        return {"inner": self.inner.state_dict(), "range": ends}

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; a Gaussian process wants its rows again (fit, steps=0)."""
        self.inner.load_state_dict(state["inner"])
        self._range = None
        if state["range"] is not None:
            low, spread = (
                torch.as_tensor(end, dtype=torch.float64, device=self.device)
                for end in state["range"]
            )
            self._range = low, spread

    def _raw(self, codes: NDArray[np.float64]) -> Tensor:
        """Features (n, f) of unit codes, the map checked by the way."""
        x = torch.as_tensor(codes, dtype=torch.float64, device=self.device)
        with torch.enable_grad():
            raw = self.features(x.requires_grad_(True))
        fits = isinstance(raw, Tensor) and raw.shape == (len(x), *raw.shape[1:2])
        if not fits or not raw.requires_grad or not bool(raw.isfinite().all()):
            raise ValueError(
                f"features gives {checks.shown(getattr(raw, 'shape', raw))} for {len(x)} codes; it "
                f"must give a finite tensor ({len(x)}, f), differentiable by the codes"
            )
        return raw.detach()

    def _scale(self, x: Tensor) -> Tensor:
        if self._range is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        low, spread = self._range
        return (self.features(x.to(torch.float64)) - low) / spread
