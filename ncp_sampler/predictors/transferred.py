"""A predictor of one task, reused for another of which few architectures are known.

Notation
    s (n, k)   the source's k predictions at codes x, standardized over the fitted rows
    y (n,)     a target metric at the same rows
    y = c + s b + r(x),   b by ridge regression, r a Gaussian process of what it leaves
The first term carries what the tasks share, the second what they do not.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.predictors.around import Around
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.predictor import Metrics, Predictor, State, Weights, check_predictor
from ncp_sampler.predictors.scaling import training_arrays

_RIDGE = 1.0  # of the standardized predictions, in rows' worth of evidence


class Transferred(Around):
    """Predictor of a new task that starts from a fitted predictor of another.

    Args:
        source: A fitted predictor of the same search space; it is not changed. Its metrics need
            not be those of the new task.
        residual: Predictor of what the source does not explain; a ``GaussianProcess`` if None.

    Raises:
        ValueError: The source is not fitted.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> source = GaussianProcess().fit(x, {"loss": np.sin(8 * x[:, 0])})
        >>> predictor = Transferred(source).fit(x[::5], {"loss": 2 * np.sin(8 * x[::5, 0])})
        >>> predictor.predict([[0.5]])[0].shape
        (1, 1)
    """

    def __init__(self, source: Predictor, *, residual: Predictor | None = None) -> None:
        if not check_predictor("source", source).names:
            raise ValueError("source is not fitted; call its fit first")
        if residual is None:
            residual = GaussianProcess(device=source.device)
        super().__init__(check_predictor("residual", residual))
        self.source = source
        self._shared: _Shared | None = None

    @property
    def slope(self) -> NDArray[np.float64]:
        """Weights b (k, m) of the source's standardized predictions in each metric."""
        weights: NDArray[np.float64] = self._fitted.slope.cpu().numpy()
        return weights

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Transferred:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Raises:
            ValueError: As ``scaling.training_arrays``.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        predicted, _ = self.source.predict(codes)
        mean, std = predicted.mean(0), predicted.std(0)
        std = np.where(std > 1e-9, std, 1.0)
        s = (predicted - mean) / std
        offset, slope = np.zeros(y.shape[1]), np.zeros((s.shape[1], y.shape[1]))
        for j in range(y.shape[1]):
            known = ~np.isnan(y[:, j]) & (rows > 0)
            w = rows[known] / max(rows[known].sum(), 1e-300)
            centre_s, centre_y = w @ s[known], w @ y[known, j]
            ds, dy = s[known] - centre_s, y[known, j] - centre_y
            ridge = _RIDGE / known.sum() * np.eye(s.shape[1])
            slope[:, j] = np.linalg.solve(ds.T @ (w[:, None] * ds) + ridge, ds.T @ (w * dy))
            offset[j] = centre_y - centre_s @ slope[:, j]
        parts = (mean, std, offset, slope)
        self._shared = _Shared(*(torch.as_tensor(part, device=self.device) for part in parts))
        left = y - offset - s @ slope
        self.inner.fit(
            codes,
            {name: left[:, j] for j, name in enumerate(names)},
            weights=weights,
            steps=steps,
        )
        return self

    def mean(self, x: Tensor) -> Tensor:
        return self._fitted.of(self.source.mean(x)) + self.inner.mean(x)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) at x; both models' uncertainties add up."""
        source, source_std = self.source.posterior(x)
        residual, residual_std = self.inner.posterior(x)
        shared = self._fitted
        variance = (source_std.to(torch.float64) / shared.std) ** 2 @ shared.slope**2
        return shared.of(source) + residual, (variance + residual_std**2).sqrt()

    def condition(self, x: ArrayLike) -> Transferred:
        """Copy whose residual takes its own mean at x (q, d) for observed."""
        other = copy.copy(self)
        other.inner = self.inner.condition(x)
        return other

    def state_dict(self) -> State:
        """The source's and the residual's states, and what joins them."""
        shared = self._shared
        return {
            "source": self.source.state_dict(),
            "residual": self.inner.state_dict(),
            "shared": shared and [part.cpu().numpy().copy() for part in shared],
        }

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; a Gaussian process wants its rows again (fit, steps=0)."""
        self.source.load_state_dict(state["source"])
        self.inner.load_state_dict(state["residual"])
        parts = state["shared"]
        self._shared = parts and _Shared(*(torch.as_tensor(p, device=self.device) for p in parts))

    @property
    def _fitted(self) -> _Shared:
        if self._shared is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        return self._shared


class _Shared(NamedTuple):
    """What the tasks share: mean and std (k,) of the source's metrics, c (m,) and b (k, m)."""

    mean: Tensor
    std: Tensor
    offset: Tensor
    slope: Tensor

    def of(self, source: Tensor) -> Tensor:
        return ((source.to(torch.float64) - self.mean) / self.std) @ self.slope + self.offset
