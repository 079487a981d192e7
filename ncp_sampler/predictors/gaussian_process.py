"""Exact Gaussian processes: posteriors of metrics over unit codes, for any kernel.

Each metric has its own process, fitted to the rows that have a value of this metric.

Notation, of one metric
    X (n, d), y (n,)  unit codes and standardized values
    K, k, v           covariance at X, between queries and X, variance at the queries
    s2                noise variance
    C = K + c + diag(s2 / w)   w the rows' weights, c the variance of the unknown constant mean
    R = L^-1                   with C = L L', so that C^-1 = R' R

Adam maximizes the log marginal likelihood plus a normal log prior over the parameters theta (the
kernel's, and log s2), warm-started from the previous fit. With W = C^-1 - C^-1 y y' C^-1, the
gradient of the likelihood is -tr(W dC / d theta) / 2 (Rasmussen & Williams 2006, section 5.4),
which each kernel back-propagates in closed form.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dpotrf, dtrtri

from ncp_sampler import checks
from ncp_sampler.adam import Adam
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.predictors.kernels import (
    NNGP,
    Columns,
    Kernel,
    Linear,
    Matern52,
    Query,
    Sum,
    row_squares,
)
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Model,
    Moments,
    Pullback,
    State,
    Weights,
)
from ncp_sampler.predictors.transforms import standardizer, training_arrays

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_ROWS = 400
_NOISE_FLOOR = 1e-5  # fraction of the metric's variance; keeps the factorization stable
_NOISE_PRIOR = (math.log(1e-2), 2.0)  # mean and standard deviation of log s2
# Variance of the unknown constant mean, in variances of the metric. With a variance of 0, the mean
# would be that of the rows. Late in a search, most rows are good, so distant codes would be
# predicted to be equally good
_MEAN_VARIANCE = 1.0
_MIN_VARIANCE = 1e-10  # minimum variance of a prediction, in variances of the metric
_RATE, _BETAS = 0.1, (0.9, 0.99)  # Adam's learning rate and decay rates
_FIRST_STEPS = 40  # Adam steps of the first fit
_FULL_STEPS_ROWS = 50  # number of rows beyond which a fit takes fewer, more expensive steps
_FEWER_STEPS = 1.5  # exponent of this decrease
_MAX_TUNING_ROWS = 600  # maximum number of rows for fitting theta


@with_old_names
class GaussianProcess(Model):
    """Exact Gaussian processes, one per metric.

    The default kernel is the sum of ``NNGP``, an infinitely wide MLP, and ``Matern52`` for the
    residual.

    Args:
        kernel: The prior covariance; None for ``Sum(NNGP(), Matern52())``.
        steps: Number of Adam steps on the kernel parameters per warm-started fit; the first fit
            takes 40. Fits on more than 50 rows take fewer steps: about a third as many with 100
            rows, and on average less than one beyond 300. With more than 600 rows, the parameters
            are fitted to 600 random rows.
        max_rows: Maximum number of rows to fit; the time grows with its cube.

    Raises:
        ValueError: An argument is out of its range.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> predictor = GaussianProcess().fit(x, {"loss": (x[:, 0] - 0.3) ** 2})
        >>> mean, std = predictor.predict([[0.3], [0.9]])
        >>> mean.shape, bool(mean[0, 0] < mean[1, 0])
        ((2, 1), True)
    """

    names: tuple[str, ...] = ()  # metrics of the last fit
    device = torch.device("cpu")  # matrices of a few hundred rows are too small for a GPU
    max_rows: int = MAX_ROWS

    def __init__(
        self, kernel: Kernel | None = None, *, steps: int = 15, max_rows: int = MAX_ROWS
    ) -> None:
        must = "be a kernel, such as Matern52()"
        self.kernel: Kernel = (
            Sum(NNGP(), Matern52())
            if kernel is None
            else checks.instance("kernel", kernel, Kernel, must)
        )
        self.steps = checks.integer("steps", steps, low=0)
        self.max_rows = checks.integer("max_rows", max_rows, low=1)
        self._theta: dict[str, FloatArray] = {}
        self._due = 0.0  # fraction of an Adam step carried over to the next fit
        self._posteriors: list[_Posterior] = []

    @property
    def noise(self) -> FloatArray:
        """Standard deviation (m,) of each metric's noise, in its own unit.

        Raises:
            RuntimeError: Not fitted yet.
        """
        return np.array([posterior.noise for posterior in self._fitted])

    @property
    def theta(self) -> dict[str, FloatArray]:
        """Fitted parameters of each metric: the kernel's, then the log noise variance."""
        return {name: values.copy() for name, values in self._theta.items()}

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Self:
        names, codes, y, importance = training_arrays(x, metrics, weights)
        steps = None if steps is None else checks.integer("steps", steps, low=0)
        mean, std = standardizer(y, importance)
        due = 0
        if steps is None:
            self._due += self.steps * min(1.0, _FULL_STEPS_ROWS / len(codes)) ** _FEWER_STEPS
            due = int(self._due)
            self._due -= due
        theta, posteriors = {}, []
        for j, name in enumerate(names):
            known = ~np.isnan(y[:, j]) & (importance > 0)
            rows = _Rows(
                codes[known], (y[known, j] - mean[j]) / std[j], 1 / importance[known],
                np.flatnonzero(known), len(codes), float(mean[j]), float(std[j]),
            )  # fmt: skip
            theta[name] = self._tune(rows, self._theta.get(name), steps, due)
            posteriors.append(_Posterior.of(self.kernel, rows, theta[name]))
        self.names, self._theta, self._posteriors = names, theta, posteriors
        return self

    def moments(self, x: FloatArray) -> Moments:
        means, stds, vjps = zip(*(posterior.moments(x) for posterior in self._fitted), strict=True)

        def vjp(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            pairs = zip(by_mean.T, by_std.T, strict=True)
            parts = [own(*pair) for own, pair in zip(vjps, pairs, strict=True)]
            return parts[0] if len(parts) == 1 else np.asarray(sum(parts))

        return Moments(np.stack(means, 1), np.stack(stds, 1), vjp)

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        means, pullbacks = zip(*(posterior.mean_vjp(x) for posterior in self._fitted), strict=True)
        return np.stack(means, 1), lambda g: np.asarray(
            sum(own(column) for own, column in zip(pullbacks, g.T, strict=True))
        )

    def condition(self, x: ArrayLike) -> Self:
        """Return a copy that has observed its own mean at x (q, d): same mean, lower variance.

        Ginsbourger et al. (2010) call this the Kriging believer; it spreads a batch of proposals.
        """
        codes = np.asarray(x, dtype=np.float64)
        conditioned = copy.copy(self)
        if not len(codes):
            return conditioned
        conditioned._posteriors = [posterior.condition(codes) for posterior in self._fitted]
        return conditioned

    def with_linear_terms(self, count: int) -> GaussianProcess:
        """Return an unfitted process with linear terms in ``count`` additional columns.

        These columns contain predictions of other models. The slopes of these columns are fitted,
        and a column that does not help gets a slope near 0 (Kennedy & O'Hagan 2000).

        Raises:
            ValueError: ``count`` is not an integer of at least 1.
        """
        count = checks.integer("count", count, low=1)
        kernel = Sum(Columns(self.kernel, 0, -count), Columns(Linear(), -count))
        return GaussianProcess(kernel, steps=self.steps, max_rows=self.max_rows)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """Return the mean and standard deviation (n, m) of each row, predicted from all other rows.

        See Rasmussen & Williams (2006), equation 5.12. The result is NaN for rows without a value.

        Raises:
            RuntimeError: Not fitted yet.
        """
        means, stds = zip(*(posterior.leave_one_out() for posterior in self._fitted), strict=True)
        return np.stack(means, 1), np.stack(stds, 1)

    def sequential_residuals(self, rows: Sequence[int], *, behind: int = 0) -> FloatArray:
        """Return residuals (m, k) of listed rows, predicted from earlier and from unlisted rows.

        Args:
            rows: Positions among the fitted rows, in the order of observation.
            behind: Number of listed rows immediately before each row that are not used to predict
                it, such as trials that ran in parallel.

        Returns:
            Residuals in standard deviations of a measurement, including noise; NaN where a metric
            is missing.
        """
        return np.stack(
            [posterior.sequential_residuals(list(rows), behind) for posterior in self._fitted]
        )

    def state_dict(self) -> State:
        theta = {name: values.tolist() for name, values in self._theta.items()}
        return {"names": list(self.names), "theta": theta, "due": self._due}

    def load_state_dict(self, state: State) -> None:
        """Restore saved parameters; a subsequent ``fit`` with ``steps=0`` keeps them."""
        theta = {str(name): np.array(values) for name, values in dict(state["theta"]).items()}
        self.names, self._theta, self._posteriors = tuple(state["names"]), theta, []
        self._due = float(state["due"])

    @property
    def _fitted(self) -> list[_Posterior]:
        if not self._posteriors:
            raise RuntimeError(
                "the process is not fitted; call fit first (after load_state_dict with steps=0, "
                "which keeps the parameters)"
            )
        return self._posteriors

    def _tune(
        self, rows: _Rows, theta: FloatArray | None, steps: int | None, due: int
    ) -> FloatArray:
        """Return the kernel parameters after a number of Adam steps.

        Args:
            rows: The metric's observations.
            theta: Parameters to continue from; None to begin with the prior means.
            steps: Number of steps; None for 40 in the first fit, and ``due`` in later fits.
            due: Number of steps of a warm-started fit.
        """
        n, d = rows.x.shape
        means, sds = self.kernel.prior(d, binary=((rows.x == 0) | (rows.x == 1)).all(axis=0))
        mean, sd = np.array([*means, _NOISE_PRIOR[0]]), np.array([*sds, _NOISE_PRIOR[1]])
        if theta is None or len(theta) != len(mean):
            theta, steps = mean, _FIRST_STEPS if steps is None else steps
        if n > _MAX_TUNING_ROWS:
            rows = rows.take(np.random.default_rng(0).permutation(n)[:_MAX_TUNING_ROWS])
        adam = Adam(rate=_RATE, betas=_BETAS)
        for _ in range(due if steps is None else steps):
            k, pullback = self.kernel.covariance(rows.x, theta[:-1])
            root = _root(k, rows.noise, theta[-1])
            alpha = (root @ rows.y) @ root
            w = root.T @ root
            w -= alpha[:, None] * alpha
            by_noise = 0.5 * (w.diagonal() @ rows.noise) * math.exp(theta[-1])
            gradient = np.append(pullback(w), by_noise)
            theta = adam.step(theta, gradient + (theta - mean) / sd**2)
        return theta


@dataclass(frozen=True)
class _Rows:
    """Rows with a value of one metric, and the scale of the metric.

    Attributes:
        x: Unit codes, (n, d).
        y: Standardized values, (n,).
        noise: Noise variance of each row divided by s2, (n,).
        at: Positions among all given rows, (n,).
        total: Number of all given rows.
        mean: Mean of the metric.
        std: Standard deviation of the metric.
    """

    x: FloatArray
    y: FloatArray
    noise: FloatArray
    at: NDArray[np.intp]
    total: int
    mean: float
    std: float

    def take(self, at: NDArray[np.intp]) -> _Rows:
        return replace(self, x=self.x[at], y=self.y[at], noise=self.noise[at], at=self.at[at])


@dataclass(frozen=True)
class _Posterior:
    """Posterior of one metric.

    Attributes:
        kernel: The prior covariance.
        rows: Observations.
        theta: Parameters.
        root: R of the observations and ``extra``, in Fortran order.
        alpha: C^-1 y.
        extra: Codes at which the mean counts as observed, (q, d); None if there are none.
    """

    kernel: Kernel
    rows: _Rows
    theta: FloatArray
    root: FloatArray
    alpha: FloatArray
    extra: FloatArray | None = None

    @classmethod
    def of(cls, kernel: Kernel, rows: _Rows, theta: FloatArray) -> _Posterior:
        k, _ = kernel.covariance(rows.x, theta[:-1])
        root = _root(k, rows.noise, theta[-1])
        return cls(kernel, rows, theta, root, (root @ rows.y) @ root)

    def __getstate__(self) -> dict[str, Any]:
        """Return only the fields; the query is a function that can be recreated."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def query(self) -> Query:
        """Covariance between queries and the observations."""
        return self.kernel.query(self.rows.x, self.theta[:-1], self.extra)

    @property
    def noise(self) -> float:
        return math.sqrt(math.exp(self.theta[-1]) + _NOISE_FLOOR) * self.rows.std

    def moments(
        self, z: FloatArray
    ) -> tuple[FloatArray, FloatArray, Callable[[FloatArray, FloatArray], FloatArray]]:
        k, v, pullback = self.query(z)
        k = k + _MEAN_VARIANCE
        mean = k @ self.alpha
        white = dtrmm(1.0, self.root, k.T, lower=1)  # R k', (n, q): half of a product with C^-1
        variance = v + _MEAN_VARIANCE - np.einsum("ij,ij->j", white, white)
        std, size = np.sqrt(np.maximum(variance, _MIN_VARIANCE)), self.rows.std

        def vjp(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            by_variance = np.where(variance > _MIN_VARIANCE, by_std * size / (2 * std), 0.0)
            by_k = dtrmm(1.0, self.root, white, lower=1, trans_a=1).T * (-2 * by_variance)[:, None]
            by_k += (by_mean * size)[:, None] * self.alpha
            return pullback(by_k, by_variance)

        return mean * size + self.rows.mean, std * size, vjp

    def mean_vjp(self, z: FloatArray) -> tuple[FloatArray, Pullback]:
        k, _, pullback = self.query(z)
        size, zero = self.rows.std, np.zeros(len(z))
        mean = ((k + _MEAN_VARIANCE) @ self.alpha) * size + self.rows.mean
        return mean, lambda g: pullback((g * size)[:, None] * self.alpha, zero)

    def condition(self, z: FloatArray) -> _Posterior:
        """Extend L by the rows z: (k R', M), where M M' is their conditional covariance."""
        extra = z if self.extra is None else np.concatenate([self.extra, z])
        grown = replace(self, extra=extra)
        k = grown.query(z).covariance + _MEAN_VARIANCE
        k, own = k[:, : -len(z)], k[:, -len(z) :]
        projected = k @ self.root.T
        own = own - projected @ projected.T
        own[np.diag_indices(len(z))] += math.exp(self.theta[-1]) + _NOISE_FLOOR
        corner = _inverse_factor(own)
        root = np.zeros((len(k.T) + len(z),) * 2, order="F")
        root[: -len(z), : -len(z)] = self.root
        root[-len(z) :] = np.concatenate([-corner @ projected @ self.root, corner], 1)
        alpha = np.concatenate([self.alpha, np.zeros(len(z))])  # the mean explains its own values
        return replace(grown, root=root, alpha=alpha)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        n, precision = len(self.rows.x), np.einsum("ij,ij->j", self.root, self.root)
        mean, std = np.full(self.rows.total, np.nan), np.full(self.rows.total, np.nan)
        residual = self.rows.y - self.alpha[:n] / precision[:n]
        mean[self.rows.at] = residual * self.rows.std + self.rows.mean
        std[self.rows.at] = self.rows.std / np.sqrt(precision[:n])
        return mean, std

    def sequential_residuals(self, rows: list[int], behind: int) -> FloatArray:
        """Solve e = L w; L L' is the rows' covariance given all others, and e their residuals.

        The inverse of that covariance is a block of C^-1, and e = L L' (C^-1 y). If row i is
        predicted from the first a rows, only the terms of L w after the first a remain.
        """
        known = np.isin(rows, self.rows.at)
        at = np.searchsorted(self.rows.at, np.array(rows, dtype=np.intp)[known])[::-1]
        residuals = np.full(len(rows), np.nan)
        if len(at):
            upper = np.linalg.cholesky(self.root[:, at].T @ self.root[:, at])
            lower = solve_triangular(upper, np.eye(len(at)), lower=True).T[::-1, ::-1]
            terms = np.tril(np.triu(np.ones(lower.shape), -behind)) * lower
            size = np.sqrt(row_squares(terms))
            residuals[known] = terms @ (lower.T @ self.alpha[at[::-1]]) / size
        return residuals


def _root(k: FloatArray, noise: FloatArray, log_noise: float) -> FloatArray:
    """Return R for the covariance K (n, n)."""
    c = k + _MEAN_VARIANCE
    c.flat[:: len(c) + 1] += (math.exp(log_noise) + _NOISE_FLOOR) * noise
    return _inverse_factor(c)


def _inverse_factor(c: FloatArray) -> FloatArray:
    """Return the inverse of L, where c = L L'; add noise to c if rounding made it indefinite."""
    jitter = 1e-6
    lower, failed = dpotrf(c.T, lower=1, clean=1)
    while failed:
        c.flat[:: len(c) + 1] += jitter
        jitter *= 10
        lower, failed = dpotrf(c.T, lower=1, clean=1)
    return np.asarray(dtrtri(lower, lower=1, overwrite_c=1)[0])
