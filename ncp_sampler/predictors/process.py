"""The exact posterior of a Gaussian prior over functions, whatever its kernel.

Notation, for each of m metrics on its own
    X (n, d), y (n,)   unit codes and standardized values
    K, v               prior covariance, noise variance
    C = K + c + diag(v / w), w the rows' weights, c the variance of the unknown mean
Hyper-parameters maximize the log marginal likelihood plus log-normal priors by Adam on their
logs, warm-started from the previous fit. Gradients are the closed forms (Rasmussen & Williams
2006, section 5.4): with W = C^-1 - C^-1 y y' C^-1, d(-log p)/dt = tr(W dC/dt) / 2, so that one
step is a handful of matrix products. All metrics go as one batch of matrices.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.adam import Adam
from ncp_sampler.predictors.kernels import Cross, Kernel
from ncp_sampler.predictors.predictor import FloatArray, Metrics, State, Weights, posterior_arrays
from ncp_sampler.predictors.scaling import standardizer, training_arrays

if TYPE_CHECKING:
    from typing_extensions import Self

_NOISE_FLOOR = 1e-5  # of the metric's variance, keeps the factorization stable
_LOG_NOISE_MEAN, _LOG_NOISE_SD = math.log(1e-2), 2.0
_RATE, _SHARE1, _SHARE2 = 0.1, 1 - 0.9, 1 - 0.99  # of Adam
_FIRST_STEPS = 40
_FULL_STEPS_ROWS = 150  # beyond, fewer Adam steps per fit: each costs n^3, and little changes
CAPACITY = 400
_TUNED_ROWS = 600  # at most so many rows decide on the hyper-parameters
# of a metric's mean, in its variances. Without it the mean is that of the rows, most of which are
# good ones late in a search: what is far away would be taken for as good as those
MEAN_VARIANCE = 1.0
_LEAST_VARIANCE = 1e-10  # of the metric's, of a prediction
_LEAST_ROOT = 1.000001e-5
_UNKNOWN = 1e6  # noise variance of a row without the metric, in the metric's variances


class ExactProcess:
    """A process over functions, one per metric; those with a kernel are the predictors.

    Args:
        steps: Adam steps on the hyper-parameters per fit, warm-started; the first fit takes 40,
            fits on more than 150 rows fewer. Of more than 600 rows, a random 600 decide on them.
        capacity: How many rows it should be given at most; time grows with the cube.
        device: Where to compute, in float64.

    Raises:
        ValueError: An argument out of its range.
    """

    _kernel: Kernel  # the prior

    def __init__(
        self, *, steps: int = 15, capacity: int = CAPACITY, device: str | torch.device = "cpu"
    ) -> None:
        self.steps = checks.integer("steps", steps, low=0)
        self.capacity: int | None = checks.integer("capacity", capacity, low=1)
        self.device = checks.usable_device(device)
        self.names: tuple[str, ...] = ()
        self._theta: Tensor | None = None  # (m, p + 1): the kernel's, and log v
        self._posterior: Posterior | None = None

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Self:
        """Learns metrics of unit codes; continues from the last fit's hyper-parameters.

        Args:
            x: As for every predictor.
            metrics: As for every predictor.
            weights: (n,), at least 0; a row's noise variance is divided by its weight.
            steps: Adam steps of this fit in place of the usual number.

        Raises:
            ValueError: As ``scaling.training_arrays``.
        """
        names, codes, y, importance = training_arrays(x, metrics, weights)
        steps = None if steps is None else checks.integer("steps", steps, low=0)
        n, d = codes.shape
        mean, std = standardizer(y, importance)
        known = ~np.isnan(y) & (importance[:, None] > 0)
        # each row's noise over v; infinite in effect, and not v's business, where unknown
        noise = np.where(known, 1 / np.maximum(importance, 1e-12)[:, None], 0)
        rows = _Rows(
            x=self._tensor(codes),
            y=self._tensor(np.nan_to_num((y - mean) / std).T),
            noise=self._tensor(noise.T),
            mean=self._tensor(mean),
            std=self._tensor(std),
        )
        prior = self._prior(d)
        theta = self._theta
        if theta is None or names != self.names or theta.shape[1] != len(prior.mean):
            theta = prior.mean.tile(len(names), 1)
            steps = _FIRST_STEPS if steps is None else steps
        if steps is None:
            share = min(1.0, _FULL_STEPS_ROWS / n) ** 2.5
            steps = max(1, round(self.steps * share))
        deciding = rows
        if n > _TUNED_ROWS:
            deciding = rows.take(np.random.default_rng(0).permutation(n)[:_TUNED_ROWS])
        theta = _maximize(self._kernel, prior, deciding, theta, steps)
        posterior = _posterior(self._kernel, rows, theta)
        self.names, self._theta, self._posterior = names, theta, posterior
        return self

    def mean(self, x: Tensor) -> Tensor:
        """Mean (n, m) at unit codes x (n, d), differentiable.

        Raises:
            RuntimeError: Not fitted yet.
        """
        return self._fitted.mean(x)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) of the metrics without noise, differentiable.

        Raises:
            RuntimeError: Not fitted yet.
        """
        return self._fitted.moments(x)

    def predict(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (n, m) at unit codes x (n, d), as arrays."""
        return posterior_arrays(self, x)

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of each metric's noise, (m,), in its own unit.

        Raises:
            RuntimeError: Not fitted yet.
        """
        fitted = self._fitted
        size = (fitted.theta[:, -1].exp() + _NOISE_FLOOR).sqrt() * fitted.rows.std
        noise: FloatArray = size.cpu().numpy()
        return noise

    def left_out_density(self) -> FloatArray:
        """Log density of each metric's rows, each predicted from all others, summed, (m,).

        Rasmussen & Williams (2006), equations 5.10 to 5.12, of the standardized metrics.

        Raises:
            RuntimeError: Not fitted yet.
        """
        fitted = self._fitted
        precision = fitted.precision.diagonal(dim1=-2, dim2=-1)
        density = 0.5 * (precision.log() - fitted.alpha**2 / precision - math.log(2 * math.pi))
        total: FloatArray = (density * (fitted.rows.noise > 0)).sum(-1).cpu().numpy()
        return total

    def condition(self, x: ArrayLike) -> Self:
        """The process after its own mean was observed at x (q, d): same mean, less variance.

        Ginsbourger et al. (2010) call this the Kriging believer; it spreads a batch of proposals.
        """
        fitted, extra = self._fitted, self._tensor(np.asarray(x, dtype=np.float64))
        more = fitted.rows.with_more(extra, fitted.mean(extra))
        other = copy.copy(self)
        other._posterior = _posterior(self._kernel, more, fitted.theta)
        return other

    def only(self, at: Sequence[int]) -> Self:
        """The process of some metrics, by position, with what was learnt of them."""
        other = copy.copy(self)
        other.names = tuple(self.names[k] for k in at)
        other._theta = None if self._theta is None else self._theta[list(at)]
        fitted = self._posterior
        if fitted is not None and other._theta is not None and len(at) < len(self.names):
            rows = fitted.rows.only(at)
            cross = self._kernel.cross(rows.x, other._theta[:, :-1])
            precision, alpha = fitted.precision[list(at)], fitted.alpha[list(at)]
            other._posterior = Posterior(rows, other._theta, cross, precision, alpha)
        return other

    def adopt(self, part: ExactProcess, at: Sequence[int]) -> None:
        """Takes over what a process of some metrics, by position, has learnt of them."""
        if self._theta is not None and part._theta is not None:
            self._theta = self._theta.clone()
            self._theta[list(at)] = part._theta

    def state_dict(self) -> State:
        """Names and hyper-parameters; the data are given again by the next ``fit``."""
        theta = None if self._theta is None else self._theta.cpu().numpy().tolist()
        return {"names": list(self.names), "theta": theta}

    def load_state_dict(self, state: State) -> None:
        """Continues from the saved hyper-parameters; ``fit`` with ``steps=0`` keeps them."""
        theta = None if state["theta"] is None else self._tensor(np.array(state["theta"]))
        self.names, self._theta = tuple(state["names"]), theta

    @property
    def _fitted(self) -> Posterior:
        if self._posterior is None:
            raise RuntimeError(
                "the process is not fitted; call fit first (after load_state_dict with "
                "steps=0, which keeps what was learnt)"
            )
        return self._posterior

    def _prior(self, d: int) -> _Prior:
        mean, sd = self._kernel.prior(d)
        means, sds = [*mean, _LOG_NOISE_MEAN], [*sd, _LOG_NOISE_SD]
        return _Prior(self._tensor(np.array(means)), self._tensor(np.array(sds)) ** 2)

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=self.device)


@dataclass(frozen=True)
class _Rows:
    """What a process learns from; metrics standardized by ``mean`` and ``std`` (m,)."""

    x: Tensor  # (n, d)
    y: Tensor  # (m, n)
    noise: Tensor  # (m, n), over v; 0 where the metric is unknown
    mean: Tensor
    std: Tensor

    def take(self, at: NDArray[np.intp]) -> _Rows:
        return _Rows(self.x[at], self.y[:, at], self.noise[:, at], self.mean, self.std)

    def only(self, at: Sequence[int]) -> _Rows:
        """Some metrics of the rows, by position."""
        return _Rows(self.x, *(a[list(at)] for a in (self.y, self.noise, self.mean, self.std)))

    def with_more(self, x: Tensor, metrics: Tensor) -> _Rows:
        """The rows, and unit codes x (q, d) with metrics (q, m)."""
        y = ((metrics - self.mean) / self.std).T
        unit = torch.ones((len(self.y), len(x)), dtype=x.dtype, device=x.device)
        joined = (
            torch.cat([self.x, x]),
            torch.cat([self.y, y], 1),
            torch.cat([self.noise, unit], 1),
        )
        return _Rows(*joined, self.mean, self.std)


@dataclass(frozen=True)
class _Prior:
    """Of theta, normal."""

    mean: Tensor  # (p + 1,)
    variance: Tensor


@dataclass(frozen=True)
class Posterior:
    """What predictions need of the rows, once for all."""

    rows: _Rows
    theta: Tensor
    cross: Cross
    precision: Tensor  # C^-1
    alpha: Tensor  # C^-1 y, (m, n)

    def mean(self, x: Tensor) -> Tensor:
        mean: Tensor = _Moments.apply(x, self, False)  # type: ignore[no-untyped-call]
        return mean

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = _Moments.apply(x, self, True)  # type: ignore[no-untyped-call]
        return mean, std


class _Moments(torch.autograd.Function):
    """Mean and standard deviation (n, m) of codes (n, d), differentiated in closed form."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fitted: Posterior, doubtful: bool) -> Any:
        k, signal, pull = fitted.cross(x)
        k = k + MEAN_VARIANCE
        mean = torch.addcmul(
            fitted.rows.mean, (k @ fitted.alpha[..., None])[..., 0].T, fitted.rows.std
        )
        ctx.fitted, ctx.pull = fitted, pull
        if not doubtful:
            return mean
        drawn = k @ fitted.precision
        variance = signal + MEAN_VARIANCE - (k[..., None, :] @ drawn[..., None])[..., 0, 0]
        root = variance.clamp_min_(_LEAST_VARIANCE).sqrt_()
        ctx.drawn, ctx.root = drawn, root
        return mean, root.T * fitted.rows.std

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        fitted: Posterior = ctx.fitted
        by_mean, *by_std = ((one * fitted.rows.std).T for one in gradients)
        by_k = by_mean[..., None] * fitted.alpha[:, None]
        by_variance = torch.zeros_like(by_mean)
        if by_std:
            by_variance = torch.where(ctx.root > _LEAST_ROOT, by_std[0] / (2 * ctx.root), 0.0)
            by_k.addcmul_(by_variance[..., None], ctx.drawn, value=-2)
        return ctx.pull(by_k, by_variance), None, None


def _posterior(kernel: Kernel, rows: _Rows, theta: Tensor) -> Posterior:
    k, _ = kernel.covariance(rows.x, theta[:, :-1])
    precision = _precision(k, rows, theta)
    return Posterior(
        rows=rows,
        theta=theta,
        cross=kernel.cross(rows.x, theta[:, :-1]),
        precision=precision,
        alpha=(precision @ rows.y[..., None])[..., 0],
    )


def _precision(k: Tensor, rows: _Rows, theta: Tensor) -> Tensor:
    """C^-1 of the training codes' K."""
    noise = (theta[:, -1:].exp() + _NOISE_FLOOR) * rows.noise
    noise = torch.where(rows.noise > 0, noise, _UNKNOWN)
    covariance = k + MEAN_VARIANCE
    covariance.diagonal(dim1=-2, dim2=-1).add_(noise)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    jitter = 1e-6
    while bool(failed.any()):
        covariance.diagonal(dim1=-2, dim2=-1).add_(jitter)
        lower, failed = torch.linalg.cholesky_ex(covariance)
        jitter *= 10
    return torch.cholesky_inverse(lower)


def _maximize(kernel: Kernel, prior: _Prior, rows: _Rows, theta: Tensor, steps: int) -> Tensor:
    """Hyper-parameters after some steps of Adam from ``theta``."""
    adam = Adam(rate=_RATE, share1=_SHARE1, share2=_SHARE2)
    for _ in range(steps):
        k, pull = kernel.covariance(rows.x, theta[:, :-1])
        precision = _precision(k, rows, theta)
        alpha = (precision @ rows.y[..., None])[..., 0]
        w = torch.baddbmm(precision, alpha[..., None], alpha[:, None], alpha=-1)
        diagonal = (w.diagonal(dim1=-2, dim2=-1) * rows.noise).sum(-1)
        of_noise = 0.5 * diagonal * theta[:, -1].exp()
        gradient = torch.cat([pull(w), of_noise[:, None]], 1)
        theta = adam.step(theta, gradient + (theta - prior.mean) / prior.variance)
    return theta
