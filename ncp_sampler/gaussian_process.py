"""The exact posterior of a Gaussian process: the predictor for a few hundred trials.

Notation, for each of m metrics on its own
    X (n, d), y (n,)   unit codes and standardized values
    l (d,), s2, v      length scales, signal variance, noise variance
    r2_ij = sum_k (X_ik - X_jk)^2 / l_k^2,   a = sqrt(5 r2)
    K = s2 (1 + a + a^2/3) exp(-a)           Matern 5/2
    C = K + diag(v / w), w the rows' weights
Hyper-parameters maximize the log marginal likelihood plus log-normal priors by Adam on their
logs, warm-started from the previous fit. Gradients are the closed forms (Rasmussen & Williams
2006, section 5.4): with W = C^-1 - C^-1 y y' C^-1, d(-log p)/dt = tr(W dC/dt) / 2, so that one
step is a handful of matrix products. All metrics go as one batch of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.predictor import (
    State,
    posterior_arrays,
    standardizer,
    training_arrays,
    usable_device,
)

_NOISE_FLOOR = 1e-5  # of the metric's variance, keeps the factorization stable
_LOG_SIGNAL_SD = 1.0
_LOG_NOISE_MEAN, _LOG_NOISE_SD = math.log(1e-2), 2.0
_LENGTH_SCALE = 0.3  # prior median over sqrt(d), unit codes
_LOG_LENGTH_SD = 0.6
_ADAM = (0.1, 0.9, 0.99)  # learning rate and the two decays
_FIRST_STEPS = 40
_FULL_STEPS_ROWS = 150  # beyond, fewer Adam steps per fit: each costs n^3, and little changes
_CAPACITY = 400
_TUNED_ROWS = 600  # at most so many rows decide on the hyper-parameters
_UNKNOWN = 1e6  # noise variance of a row without the metric, in the metric's variances


class GaussianProcess:
    """Matern-5/2 Gaussian process with one length scale per column, one process per metric.

    Args:
        steps: Adam steps on the hyper-parameters per fit, warm-started; the first fit takes 40,
            fits on more than 150 rows fewer. Of more than 600 rows, a random 600 decide on them.
        capacity: How many rows it should be given at most; time grows with the cube.
        device: Where to compute, in float64.

    Attributes:
        names: The metrics' names, in the order of the last axis of all outputs.
    """

    def __init__(
        self, *, steps: int = 15, capacity: int = _CAPACITY, device: str | torch.device = "cpu"
    ) -> None:
        if steps < 0:
            raise ValueError(f"steps={steps} must be at least 0")
        if capacity < 1:
            raise ValueError(f"capacity={capacity} must be at least 1")
        self.steps = steps
        self.device = usable_device(device)
        self.capacity: int | None = capacity
        self.names: tuple[str, ...] = ()
        self._theta: Tensor | None = None  # (m, d + 2): log l, log s2, log v
        self._scaled: Tensor | None = None  # X / l of the fitted rows, (m, n, d)

    def fit(
        self,
        x: ArrayLike,
        metrics: Mapping[str, ArrayLike],
        *,
        weights: ArrayLike | None = None,
        steps: int | None = None,
    ) -> GaussianProcess:
        """Learns metrics of unit codes; continues from the last fit's hyper-parameters.

        Args:
            x: Unit codes, (n, d).
            metrics: Name -> values (n,), NaN where missing.
            weights: (n,), at least 0; a row's noise variance is divided by its weight.
            steps: Adam steps of this fit in place of the usual number.

        Raises:
            ValueError: As ``predictor.training_arrays``.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        mean, std = standardizer(y, rows)
        self._x = self._tensor(codes)
        self._mean, self._std = self._tensor(mean), self._tensor(std)
        self._y = self._tensor(np.nan_to_num((y - mean) / std).T)  # (m, n)
        known = ~np.isnan(y) & (rows[:, None] > 0)
        # each row's noise over v; infinite in effect, and not v's business, where unknown
        self._noise = self._tensor(np.where(known, 1 / np.maximum(rows, 1e-12)[:, None], 0).T)
        if self._theta is None or names != self.names or self._theta.shape[1] != len(codes.T) + 2:
            self.names = names
            prior = [self._log_length_mean] * codes.shape[1] + [0.0, _LOG_NOISE_MEAN]
            self._theta = self._tensor(np.tile(prior, (len(names), 1)))
            steps = _FIRST_STEPS if steps is None else steps
        if steps is None:
            share = min(1.0, _FULL_STEPS_ROWS / len(codes)) ** 2.5
            steps = max(1, round(self.steps * share))
        self._tune(steps)
        self._solve()
        return self

    def mean(self, x: Tensor) -> Tensor:
        """Mean (n, m) at unit codes x (n, d), differentiable.

        Raises:
            RuntimeError: Not fitted yet.
        """
        return self._mean_of(self._cross(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) of the metrics without noise, differentiable.

        Raises:
            RuntimeError: Not fitted yet.
        """
        k = self._cross(x)
        assert self._theta is not None
        signal = self._theta[:, -2].exp()[:, None]
        variance = (signal - ((k @ self._precision) * k).sum(-1)).clamp_min(1e-10)
        return self._mean_of(k), variance.sqrt().T * self._std

    def predict(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (n, m) at unit codes x (n, d), as arrays."""
        return posterior_arrays(self, x)

    def condition(self, x: ArrayLike) -> GaussianProcess:
        """The process after its own mean was observed at x (q, d): same mean, less variance.

        Ginsbourger et al. (2010) call this the Kriging believer; it spreads a batch of proposals.
        """
        extra = self._tensor(np.asarray(x, dtype=np.float64))
        believed, _ = self.posterior(extra)
        other = GaussianProcess(steps=self.steps, device=self.device)
        other.names, other._theta = self.names, self._theta
        other._mean, other._std = self._mean, self._std
        other._x = torch.cat([self._x, extra])
        other._y = torch.cat([self._y, ((believed - self._mean) / self._std).T], dim=1)
        unit = torch.ones((len(self.names), len(extra)), dtype=extra.dtype, device=self.device)
        other._noise = torch.cat([self._noise, unit], dim=1)
        other._solve()
        return other

    @property
    def length_scales(self) -> NDArray[np.float64]:
        """Length scale of each metric and column, (m, d), unit codes; short ones matter."""
        if self._theta is None:
            raise RuntimeError("the Gaussian process is not fitted; call fit first")
        scales: NDArray[np.float64] = self._theta[:, :-2].exp().cpu().numpy()
        return scales

    def state_dict(self) -> State:
        """Names and hyper-parameters; the data are given again by the next ``fit``."""
        theta = None if self._theta is None else self._theta.cpu().numpy().tolist()
        return {"names": list(self.names), "theta": theta}

    def load_state_dict(self, state: State) -> None:
        """Continues from the saved hyper-parameters; ``fit`` with ``steps=0`` keeps them."""
        self.names = tuple(state["names"])
        theta = state["theta"]
        self._theta = None if theta is None else self._tensor(np.array(theta))

    @property
    def _log_length_mean(self) -> float:
        return math.log(_LENGTH_SCALE * math.sqrt(self._x.shape[1]))

    def _solve(self) -> None:
        """What predictions need of the rows, once for all."""
        self._precision, _, _ = self._factorize()
        self._alpha = (self._precision @ self._y[..., None])[..., 0]
        self._scaled = self._scale(self._x)
        self._squares = (self._scaled * self._scaled).sum(-1)

    def _cross(self, x: Tensor) -> Tensor:
        """Covariance (m, n, rows) of codes with the training codes."""
        if self._scaled is None:
            raise RuntimeError(
                "the Gaussian process is not fitted; call fit first (after load_state_dict with "
                "steps=0, which keeps what was learnt)"
            )
        a = self._scale(x)
        squared = (a * a).sum(-1)[..., None] + self._squares[:, None] - 2 * a @ self._scaled.mT
        root, decay = self._matern(squared)
        return (1 + root + root * root / 3) * decay

    def _mean_of(self, k: Tensor) -> Tensor:
        return (k @ self._alpha[..., None])[..., 0].T * self._std + self._mean

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=self.device)

    def _scale(self, x: Tensor) -> Tensor:
        """X / l for every metric, (m, n, d)."""
        assert self._theta is not None
        return x * (-self._theta[:, None, :-2]).exp()

    def _matern(self, squared: Tensor) -> tuple[Tensor, Tensor]:
        """The kernel's a and s2 exp(-a) of squared distances r2 (m, na, nb)."""
        assert self._theta is not None
        root = (5 * squared.clamp_min(1e-12)).sqrt()
        return root, self._theta[:, -2].exp()[:, None, None] * (-root).exp()

    def _factorize(self) -> tuple[Tensor, Tensor, Tensor]:
        """C^-1, K and M = -2 dK/d(r2) of the training codes, so that dK/d(log l_k) = M r2_k."""
        assert self._theta is not None
        scaled = self._scale(self._x)
        squares = (scaled * scaled).sum(-1)
        squared = squares[..., None] + squares[:, None] - 2 * scaled @ scaled.mT
        root, decay = self._matern(squared)
        k = (1 + root + root * root / 3) * decay
        noise = (self._theta[:, -1:].exp() + _NOISE_FLOOR) * self._noise
        noise = torch.where(self._noise > 0, noise, _UNKNOWN)
        covariance = k + torch.diag_embed(noise)
        lower, failed = torch.linalg.cholesky_ex(covariance)
        jitter = 1e-6
        while bool(failed.any()):
            covariance = covariance + jitter * torch.diag_embed(torch.ones_like(noise))
            lower, failed = torch.linalg.cholesky_ex(covariance)
            jitter *= 10
        return torch.cholesky_inverse(lower), k, (5 / 3) * (1 + root) * decay

    def _tune(self, steps: int) -> None:
        """Hyper-parameters of all rows, or of a random part of many."""
        if not steps or len(self._x) <= _TUNED_ROWS:
            self._maximize(steps)
            return
        rows = np.random.default_rng(0).permutation(len(self._x))[:_TUNED_ROWS]
        part = GaussianProcess(device=self.device)
        part._x, part._y = self._x[rows], self._y[:, rows]
        part._noise, part._theta = self._noise[:, rows], self._theta
        part._maximize(steps)
        self._theta = part._theta

    def _maximize(self, steps: int) -> None:
        assert self._theta is not None
        d = self._x.shape[1]
        rate, beta1, beta2 = _ADAM
        first, second = torch.zeros_like(self._theta), torch.zeros_like(self._theta)
        squared = self._x * self._x
        for step in range(1, steps + 1):
            theta = self._theta
            precision, k, factor = self._factorize()
            alpha = (precision @ self._y[..., None])[..., 0]
            w = precision - alpha[..., None] * alpha[:, None]
            weighted = w * factor
            per_column = weighted.sum(-1) @ squared - (self._x * (weighted @ self._x)).sum(1)
            gradient = torch.empty_like(theta)
            gradient[:, :d] = per_column * (-2 * theta[:, :d]).exp()
            gradient[:, d] = 0.5 * (w * k).sum((-1, -2))
            diagonal = (w.diagonal(dim1=-2, dim2=-1) * self._noise).sum(-1)
            gradient[:, d + 1] = 0.5 * diagonal * theta[:, d + 1].exp()
            gradient[:, :d] += (theta[:, :d] - self._log_length_mean) / _LOG_LENGTH_SD**2
            gradient[:, d] += theta[:, d] / _LOG_SIGNAL_SD**2
            gradient[:, d + 1] += (theta[:, d + 1] - _LOG_NOISE_MEAN) / _LOG_NOISE_SD**2
            first = beta1 * first + (1 - beta1) * gradient
            second = beta2 * second + (1 - beta2) * gradient * gradient
            size = (second / (1 - beta2**step)).sqrt() + 1e-8
            self._theta = theta - rate * first / (1 - beta1**step) / size
