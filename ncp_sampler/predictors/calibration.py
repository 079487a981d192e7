"""Calibrated uncertainty: recalibration on held-out rows, and on the latest trials of a study.

Training a network twice gives two values. A predictor's posterior is about the value beneath, which
more rows make certain; a measurement has *noise* on top, which they do not reduce.

Notation
    r      residuals of rows that the predictor was not fitted on, measured less predicted, (n,)
    s      posterior standard deviations there, (n,)
    k, v   recalibration factor of s, and noise variance: r ~ N(0, k**2 s**2 + v)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Model,
    Moments,
    Predictor,
    Pullback,
    State,
    Weights,
)
from ncp_sampler.predictors.transforms import Wrapper, training_arrays

MIN_ROWS = 40  # fewer rows are not split: a fifth of them would not tell
_FOLDS = 5  # one row in so many is held out
_LOG_FACTOR_SD = 0.2  # of log k's prior: where s hardly varies, k and v are not separable
_MIN_NOISE = 1e-4  # smallest noise, in standard deviations of the residuals
_RECENT = 15  # latest trials that a recalibration within a study uses
_WITHIN_ONE = 2 * ndtr(1.0) - 1  # share of a normal distribution within one standard deviation
_PRIOR = ndtri(0.5 + 0.5 * (np.arange(3) + 0.5) / 3)  # residuals of three trials as predicted


def sequential_factors(predictor: Model, rows: Sequence[int]) -> FloatArray:
    """Recalibrate predictive standard deviations from recent one-step-ahead residuals, (m,).

    A process has one noise and one set of length scales for the whole space. Late in a study most
    trials lie where the function is smooth and end closer to their predictions than it says; where
    the function bends they end farther off.

    Args:
        predictor: A fitted predictor.
        rows: Positions, among the trials that it was fitted on and in the order of observation, of
            those that are similar to the trial in question.

    Returns:
        The number of deviations within which the share of a normal distribution's one lies, of the
        last 15 trials and of three that are as predicted; 1 where the predictor is not exact.
    """
    residuals = None
    if len(rows):
        residuals = predictor.sequential_residuals(rows[-_RECENT:])
    if residuals is None:
        return np.ones(len(predictor.names))
    return np.array(
        [np.quantile([*_PRIOR, *np.abs(own[~np.isnan(own)])], _WITHIN_ONE) for own in residuals]
    )


class Calibrated(Wrapper):
    """A predictor whose standard deviations and noise are fitted to held-out rows.

    ``fit`` fits a copy on four rows in five, compares it with the fifth, and then fits on all.

    Args:
        inner: The predictor; not fitted, as it is copied for the comparison.
        seed: Seed of the held-out rows, at least 0.

    Attributes:
        inner: As given.
        seed: As given.

    Raises:
        ValueError: No predictor, or an invalid seed.
    """

    def __init__(self, inner: Predictor, *, seed: int = 0) -> None:
        super().__init__(inner)
        self.seed = checks.integer("seed", seed, low=0)
        self._scales: _Scales | None = None

    @property
    def factor(self) -> FloatArray:
        """Recalibration factor k of the inner predictor's standard deviations, (m,)."""
        return self._fitted.factor.copy()

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of a measurement's noise, (m,), in the metric's unit.

        NaN where too few rows were known to tell.
        """
        return self._fitted.noise.copy()

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Calibrated:
        """Fit metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Fewer than 40 rows are not compared: the inner predictor's own deviations stand, and the
        noise is unknown. ``steps=0`` keeps both.

        Raises:
            ValueError: As the inner predictor's ``fit``.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        if steps == 0 and self._scales is not None and names == self.names:
            self.inner.fit(x, metrics, weights=weights, steps=0)
            return self
        order = np.random.default_rng(self.seed).permutation(len(codes))
        held_out, rest = order[: len(codes) // _FOLDS], np.sort(order[len(codes) // _FOLDS :])
        columns = {name: y[:, j] for j, name in enumerate(names)}
        trial: Predictor | None = None
        if len(codes) >= MIN_ROWS and not np.isnan(y[rest]).all(0).any():
            trial = copy.deepcopy(self.inner).fit(
                codes[rest],
                {name: column[rest] for name, column in columns.items()},
                weights=rows[rest],
                steps=steps,
            )
        self.inner.fit(codes, columns, weights=weights, steps=steps)
        self._scales = _Scales(np.ones(len(names)), np.full(len(names), np.nan))
        if trial is not None:
            self._scales = _scales(trial, codes[held_out], y[held_out])
        return self

    def calibrate(self, x: ArrayLike, metrics: Metrics) -> Calibrated:
        """Return a copy calibrated on rows that the fitted inner predictor has not seen.

        Args:
            x: Their unit codes, (n, d).
            metrics: Name -> (n,), NaN where missing; the metrics of the fit.

        Raises:
            ValueError: Other metrics, or as ``transforms.training_arrays``.
            RuntimeError: Not fitted yet.
        """
        names, codes, y, _ = training_arrays(x, metrics, None)
        if names != self.names:
            raise ValueError(f"metrics={list(names)} must be those fitted, {list(self.names)}")
        other = copy.copy(self)
        other._scales = _scales(self.inner, codes, y)
        return other

    def moments(self, x: FloatArray) -> Moments:
        """Return mean and standard deviation (n, m) of the metrics without noise."""
        mean, std, vjp = self.inner.moments(x)
        k = self._fitted.factor
        return Moments(mean, std * k, lambda by_mean, by_std: vjp(by_mean, by_std * k))

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return the inner predictor's mean (n, m), and its pullback."""
        return self.inner.mean_vjp(x)

    def interval(self, x: ArrayLike, *, share: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return ends (n, m) of the interval that holds a share of measurements at unit codes x.

        NaN where the noise is unknown.

        Raises:
            ValueError: A share outside (0, 1).
        """
        checks.number("share", share, above=0, below=1)
        mean, std = self.predict(x)
        half = ndtri(0.5 + share / 2) * np.sqrt(std**2 + self._fitted.noise**2)
        return mean - half, mean + half

    def condition(self, x: ArrayLike) -> Calibrated:
        """Return a copy that has observed its own mean at x (q, d)."""
        other = copy.copy(self)
        other.inner = self.inner.condition(x)
        return other

    def state_dict(self) -> State:
        """Return the inner predictor's state, recalibration factors and noise."""
        scales = self._scales and [part.tolist() for part in self._scales]
        return {"inner": self.inner.state_dict(), "scales": scales}

    def load_state_dict(self, state: State) -> None:
        """Continue from ``state_dict``; a process needs its rows again (fit, steps=0)."""
        self.inner.load_state_dict(state["inner"])
        parts = state["scales"]
        self._scales = parts and _Scales(*(np.array(part, dtype=np.float64) for part in parts))

    @property
    def _fitted(self) -> _Scales:
        if self._scales is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        return self._scales


class _Scales(NamedTuple):
    """Recalibration factors and noise of each metric, (m,)."""

    factor: FloatArray
    noise: FloatArray


def _scales(predictor: Predictor, codes: FloatArray, y: FloatArray) -> _Scales:
    """Return the most likely k and root of v of each metric, by unseen rows (n, d) and (n, m)."""
    mean, std = predictor.predict(codes)
    pairs = [_most_likely(y[:, j] - mean[:, j], std[:, j]) for j in range(y.shape[1])]
    return _Scales(*(np.array(column) for column in zip(*pairs, strict=True)))


def _most_likely(residuals: FloatArray, std: FloatArray) -> tuple[float, float]:
    """Return k, under a log-normal prior around 1, and the root of v; 1 and NaN by too few rows."""
    from scipy.optimize import minimize  # late: it takes a tenth of a second to import

    known = ~np.isnan(residuals)
    if known.sum() < MIN_ROWS // _FOLDS:
        return 1.0, float("nan")
    r, s = residuals[known], std[known]
    unit = max(float(np.sqrt(np.mean(r**2))), 1e-12)
    r, s = r / unit, s / unit

    def loss(theta: FloatArray) -> float:
        variance = np.exp(2 * theta[0]) * s**2 + np.exp(2 * theta[1]) + _MIN_NOISE**2
        likelihood = 0.5 * np.sum(np.log(variance) + r**2 / variance)
        return float(likelihood + 0.5 * (theta[0] / _LOG_FACTOR_SD) ** 2)

    bounds = [(-2.0, 2.0), (np.log(_MIN_NOISE), 1.0)]
    starts = [(0.0, -0.5), (0.0, -3.0)]  # much noise, little noise
    best = min((minimize(loss, start, bounds=bounds) for start in starts), key=lambda f: f.fun)
    return float(np.exp(best.x[0])), float(unit * np.exp(best.x[1]))
