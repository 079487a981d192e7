"""One Gaussian process over several metrics, in which observations of one metric inform the others.

This is the intrinsic model of coregionalization (Bonilla et al. 2007, "Multi-task Gaussian process
prediction"). The covariance of metric i at x with metric j at x' is B_ij k(x, x'), where B = a a' +
diag(v) has a common part and a part for each metric. If every code has every metric, the joint
predictions are only as good as those of independent processes, at several times the cost. The model
is meant for codes that lack some metrics.

Notation
    n, d, m   codes, columns of a code, metrics
    N         observed values, at most n m; each is a row that consists of its code and the index of
              its metric
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.kernels import (
    BinaryColumns,
    Cross,
    FloatArray,
    Kernel,
    Pullback,
    Query,
    joined,
)
from ncp_sampler.predictors.predictor import Metrics, Model, Moments, State, Weights
from ncp_sampler.predictors.transforms import standardizer, training_arrays

if TYPE_CHECKING:
    from typing_extensions import Self

_COMMON = (0.7, 0.7)  # prior mean and standard deviation of a's elements
_OWN = (math.log(0.5), 1.0)  # prior mean and standard deviation of log v
_VALUE = "value"  # name of the single metric of the process over all metrics


@dataclass(frozen=True)
class Coregionalized:
    """Product of a kernel over codes and a covariance of metrics; the last column is the metric.

    theta contains the parameters of ``kernel``, then a (m,), then log v (m,).

    Attributes:
        kernel: Kernel of the other columns.
        count: Number of metrics.
    """

    kernel: Kernel
    count: int

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        own = None if binary is None else binary[:-1]
        means, sds = self.kernel.prior(d - 1, variance, binary=own)
        m = self.count
        return means + [_COMMON[0]] * m + [_OWN[0]] * m, sds + [_COMMON[1]] * m + [_OWN[1]] * m

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        own, common, v = self._split(theta)
        codes, at = _columns(x)
        k, pullback = self.kernel.covariance(codes, own)
        b = (np.outer(common, common) + np.diag(v))[np.ix_(at, at)]
        belongs = np.eye(self.count)[at]

        def to_theta(w: FloatArray) -> FloatArray:
            by_b = belongs.T @ (w * k) @ belongs
            return np.concatenate([pullback(w * b), by_b @ common, 0.5 * by_b.diagonal() * v])

        return k * b, to_theta

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        own, common, v = self._split(theta)
        codes, at = _columns(joined(x, extra))
        further = None if extra is None else codes[len(x) :]
        of_codes = self.kernel.query(codes[: len(x)], own, further)
        b = np.outer(common, common) + np.diag(v)

        def query(z: FloatArray) -> Cross:
            asked, metric = _columns(z)
            k, variance, vjp = of_codes(asked)
            factor, scale = b[np.ix_(metric, at)], b.diagonal()[metric]

            def padded(by_k: FloatArray, by_v: FloatArray) -> FloatArray:
                gradient = np.zeros(z.shape)
                gradient[:, :-1] = vjp(by_k * factor, by_v * scale)
                return gradient

            return Cross(k * factor, variance * scale, padded)

        return query

    def _split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        m = self.count
        return theta[: -2 * m], theta[-2 * m : -m], np.exp(theta[-m:])


class JointProcess(Model):
    """Correlated Gaussian processes, one per metric.

    Args:
        process: Unfitted process that provides the kernel over codes and the settings.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> loss, few = (x[:, 0] - 0.3) ** 2, np.full(20, np.nan)
        >>> few[::5] = 2 * loss[::5] + 1
        >>> predictor = JointProcess(GaussianProcess()).fit(x, {"loss": loss, "of few": few})
        >>> bool(abs(predictor.predict([[0.5]])[0][0, 1] - 1.08) < 0.05)
        True
    """

    names: tuple[str, ...] = ()  # metrics of the last fit
    device = torch.device("cpu")

    def __init__(self, process: GaussianProcess) -> None:
        must = "be a GaussianProcess"
        self._single: GaussianProcess = checks.instance("process", process, GaussianProcess, must)
        self._process: GaussianProcess | None = None  # over codes with a metric column
        self._mean = self._std = np.empty(0)  # one value per metric
        self._rows = np.empty((0, 0), dtype=np.intp)  # each value's row, -1 where missing, (n, m)

    @property
    def max_rows(self) -> int:
        """Maximum number of codes: at most 1.5 times as many values as ``process`` has rows."""
        return max(1, 3 * self._single.max_rows // (2 * max(2, len(self.names))))

    @property
    def noise(self) -> FloatArray:
        """Standard deviation (m,) of each metric's noise, in its own unit."""
        return self._fitted.noise * self._std

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Self:
        names, codes, y, importance = training_arrays(x, metrics, weights)
        mean, std = standardizer(y, importance)
        known = ~np.isnan(y) & (importance > 0)[:, None]
        at, metric = np.nonzero(known)
        if names != self.names or self._process is None:
            kernel = Coregionalized(self._single.kernel, len(names))
            self._process = GaussianProcess(
                kernel, steps=self._single.steps, max_rows=self._single.max_rows
            )
        values = ((y - mean) / std)[at, metric]
        self._process.fit(
            _with_metric(codes[at], metric), {_VALUE: values}, weights=importance[at], steps=steps
        )
        self._rows = np.full(y.shape, -1, dtype=np.intp)
        self._rows[at, metric] = np.arange(len(at))
        self.names, self._mean, self._std = names, mean, std
        return self

    def moments(self, x: FloatArray) -> Moments:
        process, m, n = self._fitted, len(self.names), len(x)
        asked = _with_metric(np.tile(x, (m, 1)), np.repeat(np.arange(m), n))
        mean, std, vjp = process.moments(asked)
        size = np.repeat(self._std, n)

        def to_codes(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            gradients = [(g.T.ravel() * size)[:, None] for g in (by_mean, by_std)]
            return np.asarray(vjp(*gradients)[:, :-1].reshape(m, n, -1).sum(0))

        return Moments(
            mean.reshape(m, n).T * self._std + self._mean,
            std.reshape(m, n).T * self._std,
            to_codes,
        )

    def condition(self, x: ArrayLike) -> Self:
        codes, m = np.asarray(x, dtype=np.float64), len(self.names)
        conditioned = copy.copy(self)
        if len(codes):
            every = _with_metric(np.tile(codes, (m, 1)), np.repeat(np.arange(m), len(codes)))
            conditioned._process = self._fitted.condition(every)
        return conditioned

    def sequential_residuals(self, rows: Sequence[int], *, behind: int = 0) -> FloatArray:
        """Return residuals as in ``GaussianProcess``; the metrics of a code count as successive."""
        at = self._rows[list(rows)]
        known = at >= 0
        residuals = np.full(at.shape, np.nan)
        if known.any():
            per_code = math.ceil(known.sum() / len(at))
            residuals[known] = self._fitted.sequential_residuals(
                at[known].tolist(), behind=behind * per_code
            )[0]
        return residuals.T

    def state_dict(self) -> State:
        process = None if self._process is None else self._process.state_dict()
        return {"names": list(self.names), "process": process}

    def load_state_dict(self, state: State) -> None:
        self.names, self._process = tuple(state["names"]), None
        if state["process"] is not None:
            kernel = Coregionalized(self._single.kernel, len(self.names))
            self._process = GaussianProcess(
                kernel, steps=self._single.steps, max_rows=self._single.max_rows
            )
            self._process.load_state_dict(state["process"])

    @property
    def _fitted(self) -> GaussianProcess:
        if self._process is None:
            raise RuntimeError("the process is not fitted; call fit first")
        return self._process


def with_joint_metrics(model: Model) -> Model:
    """Return the unfitted model with correlated metrics, if it is a single Gaussian process."""
    return JointProcess(model) if isinstance(model, GaussianProcess) else model


def _with_metric(codes: FloatArray, metric: NDArray[np.intp]) -> FloatArray:
    """Return rows (N, d + 1): codes (N, d), followed by the indices of their metrics (N,)."""
    return np.concatenate([codes, metric[:, None]], axis=1)


def _columns(rows: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return codes (N, d), and the indices of their metrics (N,)."""
    return np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.intp)
