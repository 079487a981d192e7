"""Kernel of a finite MLP with fixed random hidden layers and a Bayesian last layer.

The notation is that of ``kernels.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ncp_sampler import checks
from ncp_sampler.predictors.kernels import (
    NNGP,
    BinaryColumns,
    Cross,
    FloatArray,
    Pullback,
    Query,
    joined,
    row_squares,
)


@dataclass(frozen=True)
class RandomReLU:
    """Bayesian last layer on two hidden ReLU layers of finite width with fixed random weights.

    ``NNGP`` is the limit of this kernel for infinite width; theta has the same meaning. The input
    weights, the scales of biases and output, and the noise are trained by back-propagation.

    Attributes:
        width: Number of units of each hidden layer.
        seed: Seed for the hidden layers' weights.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> x = np.linspace(0, 1, 9)[:, None]
        >>> predictor = GaussianProcess(RandomReLU(width=64)).fit(x, {"loss": x[:, 0] ** 2})
        >>> predictor.predict([[0.5]])[0].shape
        (1, 1)
    """

    width: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        checks.integer("width", self.width, low=1)
        checks.integer("seed", self.seed, low=0)

    def prior(
        self, d: int, variance: float = 1.0, *, binary: BinaryColumns = None
    ) -> tuple[list[float], list[float]]:
        return NNGP().prior(d, variance)

    def covariance(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pullback]:
        units, back = self._units(x, theta)
        total = float(np.vdot(units, units))
        scale = math.exp(theta[-1]) * len(x) / total
        k = units @ units.T * scale

        def pullback(w: FloatArray) -> FloatArray:
            by_output = 0.5 * float(np.vdot(w, k))
            by_units = (w @ units) * scale - units * (2 * by_output / total)
            by_inputs, by_bias = back(by_units)
            by_weights = (by_inputs * (x - 0.5)).sum(0) * np.exp(theta[:-2])
            return np.concatenate([by_weights, [by_bias, by_output]])

        return k, pullback

    def query(self, x: FloatArray, theta: FloatArray, extra: FloatArray | None = None) -> Query:
        units, _ = self._units(x, theta)
        scale = math.exp(theta[-1]) * len(x) / float(np.vdot(units, units))
        if extra is not None:
            units, _ = self._units(joined(x, extra), theta)
        weights = np.exp(theta[:-2])

        def query(z: FloatArray) -> Cross:
            own, back = self._units(z, theta)

            def vjp(by_k: FloatArray, by_v: FloatArray) -> FloatArray:
                by_units = (by_k @ units + 2 * by_v[:, None] * own) * scale
                return np.asarray(back(by_units)[0] * weights)

            return Cross(own @ units.T * scale, row_squares(own) * scale, vjp)

        return query

    def _units(
        self, x: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], tuple[FloatArray, float]]]:
        """Return the last hidden layer (n, width + 1), and its pullback to the inputs and log b."""
        layers, gain = _random_weights(self.seed, x.shape[1], self.width), math.sqrt(2 / self.width)
        bias = np.full((len(x), 1), math.exp(theta[-2] / 2))
        units = np.concatenate([(x - 0.5) * np.exp(theta[:-2]), bias], 1)
        active = []
        for weights in layers:
            hidden = units @ weights
            active.append((hidden > 0) * gain)
            units = np.concatenate([hidden * active[-1], bias], 1)

        def back(g: FloatArray) -> tuple[FloatArray, float]:
            by_bias = g[:, -1].sum()
            for weights, slope in zip(reversed(layers), reversed(active), strict=True):
                g = (g[:, :-1] * slope) @ weights.T
                by_bias += g[:, -1].sum()
            return g[:, :-1], 0.5 * float(by_bias) * bias[0, 0] if len(bias) else 0.0

        return units, back


@lru_cache(maxsize=8)
def _random_weights(seed: int, d: int, width: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((d + 1, width)), rng.standard_normal((width + 1, width))
