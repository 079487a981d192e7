"""Kernels: prior covariances of a metric over unit codes, with closed-form gradients.

A kernel is a small immutable object. The parameters of a kernel are an array ``theta``, on a scale
where their priors are normal (logarithms of positive numbers). Everything is computed in NumPy,
because for the small matrices of a study, the overhead of a PyTorch operation is several times the
cost of its arithmetic.

Notation, of one metric
    X (n, d), Z (q, d)   unit codes of the observations, and of queries
    theta (p,)           the kernel's parameters
    K (n, n)             covariance of the standardized metric at X
    k (q, n), v (q,)     covariance between Z and X, variance at Z

References: Rasmussen & Williams (2006), chapter 4 (Matern); Neal (1996), Cho & Saul (2009), Lee et
al. (2018) (neural network Gaussian processes).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks

FloatArray: TypeAlias = NDArray[np.float64]
BinaryColumns: TypeAlias = NDArray[np.bool_] | None
Pullback: TypeAlias = Callable[[FloatArray], FloatArray]  # W (n, n) -> d tr(W K) / 2 d theta, (p,)

_LAYERS = 2  # number of hidden layers of the networks
# Standard deviation of a log length scale's prior; number of numeric columns up to which it holds;
# increase per further column, and maximum. If there are many columns, only a few matter
NARROW_SD, _NARROW_COLUMNS, _WIDENING, _WIDEST_SD = 0.6, 20, 0.02, 1.5
_ROOT5 = math.sqrt(5)
_MUST = "be a kernel, such as Matern52()"


class Cross(NamedTuple):
    """Covariance between queries and the observations.

    Attributes:
        covariance: k, (q, n).
        variance: v, (q,).
        vjp: Gradients with respect to k (q, n) and v (q,) -> gradient with respect to Z, (q, d).
    """

    covariance: FloatArray
    variance: FloatArray
    vjp: Callable[[FloatArray, FloatArray], FloatArray]


Query: TypeAlias = Callable[[FloatArray], Cross]  # Z (q, d) -> its covariance with X


@runtime_checkable
class Kernel(Protocol):
    """Prior covariance of a metric's standardized values."""

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        """Return means and standard deviations (p,) of theta's normal prior.

        Args:
            d: Number of columns.
            variance: Median of the output variance, relative to the variance of the metric.
            binary: Mask of columns that contain only 0 and 1, such as those of a categorical, (d,);
                None if there are none.
        """

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return K at codes x (n, d), and its pullback to theta."""

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        """Return a function that computes covariances of queries with codes x (n, d).

        Covariances with the codes ``extra`` (k, d) follow those with x along the last axis. These
        codes do not change the scale of the kernel.
        """


@dataclass(frozen=True)
class Matern52:
    """Matern kernel with smoothness 5/2 and one length scale per column.

    theta is log l (d,), then log s2: length scales in unit codes, and output variance.

    Attributes:
        length_scale_sd: Standard deviation of the prior of log l, whose median is 0.3 sqrt(d). None
            means 0.6 for up to 20 numeric columns, 0.02 more for each further column, up to 1.5 for
            65 or more columns, and 0.6 for columns that contain only 0 and 1. If there are many
            columns, usually only a few matter, and a narrow prior would prevent the model from
            ignoring the others. For the columns of a categorical, however, a wide prior would make
            the categories unrelated.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> x = np.linspace(0, 1, 9)[:, None]
        >>> process = GaussianProcess(Matern52(length_scale_sd=1.5))
        >>> predictor = process.fit(x, {"loss": x[:, 0] ** 2})
        >>> predictor.predict([[0.5]])[0].shape
        (1, 1)
    """

    length_scale_sd: float | None = None

    def __post_init__(self) -> None:
        if self.length_scale_sd is not None:
            checks.number("length_scale_sd", self.length_scale_sd, above=0)

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        mean = [math.log(0.3 * math.sqrt(d))] * d + [math.log(variance)]
        if self.length_scale_sd is not None:
            return mean, [self.length_scale_sd] * d + [1.0]
        numbers = np.ones(d, dtype=bool) if binary is None else ~binary
        n_further = max(int(numbers.sum()) - _NARROW_COLUMNS, 0)
        wide = min(NARROW_SD + _WIDENING * n_further, _WIDEST_SD)
        return mean, [*np.where(numbers, wide, NARROW_SD).tolist(), 1.0]

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        scaled = x * (_ROOT5 * np.exp(-theta[:-1]))
        k, slope = _matern52(scaled, scaled, theta[-1])

        def pullback(w: FloatArray) -> FloatArray:
            weighted = w * slope
            by_scale = weighted.sum(1) @ (x * x) - (x * (weighted @ x)).sum(0)
            return np.append(by_scale * np.exp(-2 * theta[:-1]), 0.5 * np.vdot(w, k))

        return k, pullback

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        inverse, s2 = _ROOT5 * np.exp(-theta[:-1]), math.exp(theta[-1])
        scaled = joined(x, extra) * inverse

        def query(z: FloatArray) -> Cross:
            a = z * inverse
            k, slope = _matern52(a, scaled, theta[-1])

            def vjp(by_k: FloatArray, _: FloatArray) -> FloatArray:
                g = by_k * slope
                return np.asarray((g @ scaled - g.sum(1)[:, None] * a) * (inverse / 5))

            return Cross(k, np.full(len(z), s2), vjp)

        return query


@dataclass(frozen=True)
class NNGP:
    """Kernel of an infinitely wide ReLU network with two hidden layers.

    theta contains log w (d,) for the input weights, log b for the bias variance, and log t for the
    output variance at an average observation. A layer maps the variances q and cosine c of its
    inputs to sqrt(q q') J(c) + b, with J(c) = (sin a + (pi - a) cos a) / pi, a = arccos c, J'(c) =
    1 - a / pi.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> x = np.linspace(0, 1, 9)[:, None]
        >>> predictor = GaussianProcess(NNGP()).fit(x, {"loss": x[:, 0] ** 2})
        >>> predictor.predict([[0.5]])[0].shape
        (1, 1)
    """

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        return [0.0] * (d + 1) + [math.log(variance)], [0.6] * d + [1.0, 1.0]

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        inputs, variances, bias, scale = self._inputs(x, theta)
        k, layers = _arc_cosine(inputs, inputs, variances, variances, bias, scale)
        n, output = len(x), math.exp(theta[-1])

        def pullback(w: FloatArray) -> FloatArray:
            by_output = float(np.vdot(w, k))
            g = w * scale
            # the scale is the output variance over the mean variance of the rows
            by_q = np.full(n, -by_output / output / n * scale)
            by_bias = g.sum() + by_q.sum()
            for (slope, sine), q in zip(reversed(layers), reversed(variances), strict=True):
                root = np.sqrt(q)
                by_q = by_q + ((sine * g) @ root) / root
                g *= slope
                by_bias += g.sum() + by_q.sum()
            by_weights = ((g @ inputs + by_q[:, None] * inputs) * inputs).sum(0)
            return np.concatenate([by_weights, [0.5 * by_bias * bias, 0.5 * by_output]])

        return k, pullback

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        inputs, variances, bias, scale = self._inputs(x, theta)
        if extra is not None:
            inputs, variances, _, _ = self._inputs(joined(x, extra), theta)
        weights = np.exp(theta[:-2])
        roots = [np.sqrt(p) for p in variances]

        def query(z: FloatArray) -> Cross:
            a = (z - 0.5) * weights
            own = _layer_variances(a, bias)
            k, layers = _arc_cosine(a, inputs, own, variances, bias, scale)

            def vjp(by_k: FloatArray, by_v: FloatArray) -> FloatArray:
                g, by_q = by_k * scale, by_v * scale
                for (slope, sine), q, root in zip(
                    reversed(layers), reversed(own), reversed(roots), strict=True
                ):
                    by_q = by_q + 0.5 * ((g * sine) @ root) / np.sqrt(q)
                    g *= slope
                return np.asarray((g @ inputs + 2 * by_q[:, None] * a) * weights)

            return Cross(k, (own[-1] + bias) * scale, vjp)

        return query

    def _inputs(
        self, x: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, list[FloatArray], float, float]:
        """Return weighted inputs, the input variances of each layer, b, and the output scale."""
        bias = math.exp(theta[-2])
        inputs = (x - 0.5) * np.exp(theta[:-2])
        variances = _layer_variances(inputs, bias)
        return inputs, variances, bias, math.exp(theta[-1]) / float((variances[-1] + bias).mean())


@dataclass(frozen=True)
class Linear:
    """Kernel of a linear function whose slopes have normal priors with mean 0.

    An example is a multiple of another task's prediction. theta (d,) is the logarithm of each
    slope's variance.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> x = np.linspace(0, 1, 9)[:, None]
        >>> predictor = GaussianProcess(Linear()).fit(x, {"loss": x[:, 0] ** 2})
        >>> predictor.predict([[0.5]])[0].shape
        (1, 1)
    """

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        return [0.0] * d, [1.5] * d

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        s, slopes = x - 0.5, np.exp(theta)
        return (s * slopes) @ s.T, lambda w: 0.5 * slopes * ((w @ s) * s).sum(0)

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        s, slopes = joined(x, extra) - 0.5, np.exp(theta)

        def query(z: FloatArray) -> Cross:
            a = z - 0.5
            return Cross(
                (a * slopes) @ s.T,
                (a * a) @ slopes,
                lambda by_k, by_v: slopes * (by_k @ s + 2 * by_v[:, None] * a),
            )

        return query


@dataclass(frozen=True)
class Columns:
    """Kernel restricted to some of the columns.

    Attributes:
        kernel: The kernel on these columns.
        first: Position of the first column, from the end if negative.
        stop: Position after the last column; None for all from ``first`` on.

    Raises:
        ValueError: ``kernel`` is not a kernel.

    Examples:
        >>> linear_term = Sum(Columns(NNGP(), 0, -1), Columns(Linear(), -1))
        >>> len(linear_term.prior(5)[0])  # four input weights, bias, output; one slope
        7
    """

    kernel: Kernel
    first: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        checks.instance("kernel", self.kernel, Kernel, _MUST)

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        own = None if binary is None else binary[self._slice]
        return self.kernel.prior(len(range(d)[self._slice]), variance, binary=own)

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        return self.kernel.covariance(np.ascontiguousarray(x[:, self._slice]), theta)

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        of_columns = self.kernel.query(
            x[:, self._slice], theta, None if extra is None else extra[:, self._slice]
        )

        def query(z: FloatArray) -> Cross:
            k, v, vjp = of_columns(z[:, self._slice])

            def padded(by_k: FloatArray, by_v: FloatArray) -> FloatArray:
                gradient = np.zeros(z.shape)
                gradient[:, self._slice] = vjp(by_k, by_v)
                return gradient

            return Cross(k, v, padded)

        return query

    @property
    def _slice(self) -> slice:
        return slice(self.first, self.stop)


@dataclass(frozen=True, init=False)
class Sum:
    """Sum of kernels: the covariance of a sum of independent functions.

    theta contains the parts' parameters in order. The prior output variance is divided equally
    between the parts.

    Args:
        kernels: The parts, at least one.

    Raises:
        ValueError: There are no parts, or a part is not a kernel.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> x = np.linspace(0, 1, 9)[:, None]
        >>> predictor = GaussianProcess(Sum(NNGP(), Matern52())).fit(x, {"loss": x[:, 0] ** 2})
        >>> predictor.predict([[0.5]])[0].shape
        (1, 1)
    """

    kernels: tuple[Kernel, ...]

    def __init__(self, *kernels: Kernel) -> None:
        if not kernels:
            raise ValueError("kernels=() must be one kernel or more, such as Matern52()")
        for kernel in kernels:
            checks.instance("kernels", kernel, Kernel, _MUST)
        object.__setattr__(self, "kernels", kernels)

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        share = variance / len(self.kernels)
        priors = (kernel.prior(d, share, binary=binary) for kernel in self.kernels)
        means, sds = zip(*priors, strict=True)
        return [*chain(*means)], [*chain(*sds)]

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        parts = [k.covariance(x, own) for k, own in self._split(x.shape[1], theta)]
        total = parts[0][0].copy()
        for k, _ in parts[1:]:
            total += k
        return total, lambda w: np.concatenate([pullback(w) for _, pullback in parts])

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        queries = [kernel.query(x, own, extra) for kernel, own in self._split(x.shape[1], theta)]

        def query(z: FloatArray) -> Cross:
            ks, vs, vjps = zip(*(part(z) for part in queries), strict=True)

            def vjp(by_k: FloatArray, by_v: FloatArray) -> FloatArray:
                return np.asarray(sum(part(by_k, by_v) for part in vjps))

            return Cross(np.asarray(sum(ks)), np.asarray(sum(vs)), vjp)

        return query

    def _split(self, d: int, theta: FloatArray) -> list[tuple[Kernel, FloatArray]]:
        sizes = [len(kernel.prior(d)[0]) for kernel in self.kernels]
        return list(zip(self.kernels, np.split(theta, np.cumsum(sizes)[:-1]), strict=True))


def joined(x: FloatArray, extra: FloatArray | None) -> FloatArray:
    """Return codes (n, d) and further codes (k, d), if any, as one array."""
    return x if extra is None else np.concatenate([x, extra])


def row_squares(a: FloatArray) -> FloatArray:
    """Return squared norms (n,) of rows (n, d)."""
    return np.asarray(np.einsum("ij,ij->i", a, a))


def _matern52(a: FloatArray, b: FloatArray, log_s2: float) -> tuple[FloatArray, FloatArray]:
    """Return s2 (1 + u + u^2 / 3) exp(-u), u = |a - b|, and its slope factor (q, n).

    The gradient with respect to a is the factor times (b - a) / 5, which is finite if a = b.

    Args:
        a: Queries divided by length scales, times the square root of 5, (q, d).
        b: Observations, scaled in the same way, (n, d).
        log_s2: Logarithm of the output variance.
    """
    # squared distances from one matrix product: |a|^2 - 2 a b + |b|^2
    ones_a, ones_b = np.ones((len(a), 1)), np.ones((len(b), 1))
    left = np.concatenate([-2 * a, row_squares(a)[:, None], ones_a], 1)
    right = np.concatenate([b, ones_b, row_squares(b)[:, None]], 1)
    u = left @ right.T
    np.maximum(u, 5e-12, out=u)
    np.sqrt(u, out=u)
    decay = np.subtract(log_s2, u)
    np.exp(decay, out=decay)
    slope = u + 1
    slope *= decay
    u *= u
    u *= decay
    u *= 1 / 3
    u += slope
    slope *= 5 / 3
    return u, slope


def _layer_variances(inputs: FloatArray, bias: float) -> list[FloatArray]:
    """Return the variances (n,) of each layer's inputs."""
    first = row_squares(inputs) + bias
    return [first + layer * bias for layer in range(_LAYERS)]


def _arc_cosine(
    a: FloatArray,
    b: FloatArray,
    q: list[FloatArray],
    p: list[FloatArray],
    bias: float,
    scale: float,
) -> tuple[FloatArray, list[tuple[FloatArray, FloatArray]]]:
    """Return the covariance (q, n) of the outputs, and J' and sin(a) / pi for each layer.

    The cosine is passed from layer to layer, with factors for rows and columns.

    Args:
        a: Weighted inputs of the queries, (q, d).
        b: Weighted inputs of the observations, (n, d).
        q: Variances of the queries in each layer, (q,).
        p: Variances of the observations in each layer, (n,).
        bias: Variance of the biases.
        scale: Factor of the output.
    """
    rows, columns = [1 / np.sqrt(weights) for weights in q], [1 / np.sqrt(weights) for weights in p]
    root = math.sqrt(bias)
    left = np.concatenate([a, np.full((len(a), 1), root)], 1) * rows[0][:, None]
    right = np.concatenate([b, np.full((len(b), 1), root)], 1) * columns[0][:, None]
    k = left @ right.T
    layers = []
    for layer in range(_LAYERS):
        np.clip(k, -1, 1, out=k)
        slope = np.arccos(k)
        slope *= -1 / math.pi
        slope += 1
        sine = k * k
        np.subtract(1, sine, out=sine)
        np.sqrt(sine, out=sine)
        sine *= 1 / math.pi
        layers.append((slope, sine))
        k *= slope
        k += sine
        if layer + 1 < _LAYERS:
            k *= (rows[layer + 1] / rows[layer])[:, None]
            k *= columns[layer + 1] / columns[layer]
            k += (bias * rows[layer + 1])[:, None] * columns[layer + 1]
    k *= (scale / rows[-1])[:, None]
    k *= 1 / columns[-1]
    k += bias * scale
    return k, layers
