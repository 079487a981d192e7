"""A predictor whose doubt is measured: of the metric itself, and of a measurement of it.

Training a network twice gives two figures. What a predictor says of a code is the figure beneath,
known within its *doubt*, which more rows lessen; a measurement has *noise* on top, which they do
not.
Both are fitted to rows that the predictor had not seen.

Notation
    r      residuals of the rows held out, measured less predicted, (n,)
    s      the inner predictor's standard deviations there, (n,)
    k, v   stretch of s, and the noise's variance: r ~ N(0, k**2 s**2 + v)
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import ndtri
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.around import Around
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Predictor,
    State,
    Weights,
    check_predictor,
)
from ncp_sampler.predictors.scaling import training_arrays

LEAST_ROWS = 40  # with fewer, a fifth of them tells nothing
_HELD = 5  # one row in so many is held out
_LOG_STRETCH_SD = 0.2  # of the prior: where s hardly varies, k and v cannot be told apart
_LEAST_NOISE = 1e-4  # of the residuals' deviation


class Calibrated(Around):
    """Another predictor, its standard deviations stretched to fit, and the noise beside them.

    ``fit`` learns from four rows in five, compares with the fifth, and then learns from all.

    Args:
        inner: The predictor; one that is not fitted, as it is copied for the comparison.
        seed: Of the rows held out, at least 0.

    Attributes:
        inner: As given.
        seed: As given.

    Raises:
        ValueError: No predictor, or a seed that is none.
    """

    def __init__(self, inner: Predictor, *, seed: int = 0) -> None:
        super().__init__(check_predictor("inner", inner))
        self.seed = checks.integer("seed", seed, low=0)
        self._scales: _Scales | None = None

    @property
    def stretch(self) -> FloatArray:
        """By what the inner predictor's standard deviations are multiplied, of each metric (m,)."""
        return self._fitted.stretch.copy()

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of a measurement around the metric beneath, (m,), in its unit.

        NaN where too few rows were known to tell.
        """
        return self._fitted.noise.copy()

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Calibrated:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Fewer than 40 rows are not enough to compare with: the inner predictor's own deviations
        stand, and the noise is unknown. ``steps=0`` keeps what was found.

        Raises:
            ValueError: As the inner predictor's ``fit``.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        known = self._scales is not None and names == self.names
        if steps == 0 and known:
            self.inner.fit(x, metrics, weights=weights, steps=0)
            return self
        order = np.random.default_rng(self.seed).permutation(len(codes))
        held, rest = order[: len(codes) // _HELD], np.sort(order[len(codes) // _HELD :])
        columns = {name: y[:, j] for j, name in enumerate(names)}
        enough = len(codes) >= LEAST_ROWS and not np.isnan(y[rest]).all(0).any()
        trial: Predictor | None = None
        if enough:
            trial = copy.deepcopy(self.inner).fit(
                codes[rest],
                {name: column[rest] for name, column in columns.items()},
                weights=rows[rest],
                steps=steps,
            )
        self.inner.fit(codes, columns, weights=weights, steps=steps)
        self._scales = _Scales.unknown(len(names))
        if trial is not None:
            self._scales = _scales(trial, codes[held], y[held])
        return self

    def calibrate(self, x: ArrayLike, metrics: Metrics) -> Calibrated:
        """Copy whose doubt and noise fit rows that the fitted inner predictor has not seen.

        Args:
            x: Their unit codes, (n, d).
            metrics: Name -> (n,), NaN where missing; those that were learnt.

        Raises:
            ValueError: Other metrics, or as ``scaling.training_arrays``.
            RuntimeError: Not fitted yet.
        """
        names, codes, y, _ = training_arrays(x, metrics, None)
        if names != self.names:
            raise ValueError(f"metrics={list(names)} must be those learnt, {list(self.names)}")
        other = copy.copy(self)
        other._scales = _scales(self.inner, codes, y)
        return other

    def mean(self, x: Tensor) -> Tensor:
        return self.inner.mean(x)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) of the metrics beneath the noise, differentiable."""
        mean, std = self.inner.posterior(x)
        return mean, std * torch.as_tensor(self._fitted.stretch, dtype=std.dtype, device=std.device)

    def interval(self, x: ArrayLike, *, share: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Ends (n, m) of what so large a share of measurements at unit codes x lie between.

        NaN where the noise is unknown.

        Raises:
            ValueError: A share outside (0, 1).
        """
        checks.number("share", share, above=0, below=1)
        mean, std = self.predict(x)
        wide = ndtri(0.5 + share / 2) * np.sqrt(std**2 + self._fitted.noise**2)
        return mean - wide, mean + wide

    def condition(self, x: ArrayLike) -> Calibrated:
        """Copy that takes its own mean at x (q, d) for observed."""
        other = copy.copy(self)
        other.inner = self.inner.condition(x)
        return other

    def state_dict(self) -> State:
        """The inner predictor's state, stretch and noise."""
        scales = self._scales and [part.tolist() for part in self._scales]
        return {"inner": self.inner.state_dict(), "scales": scales}

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; a process wants its rows again (fit, steps=0)."""
        self.inner.load_state_dict(state["inner"])
        parts = state["scales"]
        self._scales = parts and _Scales(*(np.array(part, dtype=np.float64) for part in parts))

    @property
    def _fitted(self) -> _Scales:
        if self._scales is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        return self._scales


class _Scales(NamedTuple):
    """Of each metric, (m,)."""

    stretch: FloatArray
    noise: FloatArray

    @classmethod
    def unknown(cls, m: int) -> _Scales:
        return cls(np.ones(m), np.full(m, np.nan))


def _scales(predictor: Predictor, codes: FloatArray, y: FloatArray) -> _Scales:
    """Most likely k and root of v of each metric, by rows (n, d) and (n, m) not seen."""
    mean, std = predictor.predict(codes)
    found = [_most_likely(y[:, j] - mean[:, j], std[:, j]) for j in range(y.shape[1])]
    return _Scales(*(np.array(column) for column in zip(*found, strict=True)))


def _most_likely(residuals: FloatArray, std: FloatArray) -> tuple[float, float]:
    """K and root of v, k with a log-normal prior around 1; as they are where too few are known."""
    known = ~np.isnan(residuals)
    if known.sum() < LEAST_ROWS // _HELD:
        return 1.0, float("nan")
    r, s = residuals[known], std[known]
    unit = max(float(np.sqrt(np.mean(r**2))), 1e-12)
    r, s = r / unit, s / unit

    def loss(theta: FloatArray) -> float:
        variance = np.exp(2 * theta[0]) * s**2 + np.exp(2 * theta[1]) + _LEAST_NOISE**2
        likelihood = 0.5 * np.sum(np.log(variance) + r**2 / variance)
        return float(likelihood + 0.5 * (theta[0] / _LOG_STRETCH_SD) ** 2)

    bounds = [(-2.0, 2.0), (np.log(_LEAST_NOISE), 1.0)]
    starts = [(0.0, -0.5), (0.0, -3.0)]  # much noise, little
    best = min((minimize(loss, start, bounds=bounds) for start in starts), key=lambda f: f.fun)
    return float(np.exp(best.x[0])), float(unit * np.exp(best.x[1]))
