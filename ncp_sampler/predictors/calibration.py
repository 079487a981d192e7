"""Calibration of uncertainty on held-out rows, and on the latest trials of a study.

Training a network twice gives two different values. A predictor's posterior describes the mean of
such values, which becomes certain with more rows. A single measurement also has *noise*, which more
rows do not reduce.

Notation
    r      residuals (measured minus predicted) of rows that the predictor has not seen, (n,)
    s      posterior standard deviations of these rows, (n,)
    k, v   recalibration factor of s, and noise variance: r ~ N(0, k**2 s**2 + v)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

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
    State,
    Weights,
)
from ncp_sampler.predictors.transforms import Wrapper, training_arrays

MIN_ROWS = 40  # minimum number of rows to split; with fewer, the held-out part is too small
_FOLDS = 5  # number of equal parts of the rows, of which one is held out
_LOG_FACTOR_SD = 0.2  # prior std of log k; if s hardly varies, k and v are not separable
_MIN_NOISE = 1e-4  # smallest noise, in standard deviations of the residuals
_RECENT = 15  # number of latest trials that a recalibration within a study uses
_WITHIN_ONE = 2 * ndtr(1.0) - 1  # normal probability within one standard deviation
_PRIOR = ndtri(0.5 + 0.5 * (np.arange(3) + 0.5) / 3)  # three residuals distributed as predicted


def sequential_factors(predictor: Model, rows: Sequence[int], *, pending: int = 0) -> FloatArray:
    """Return factors (m,) that recalibrate predictive standard deviations from recent residuals.

    Each of the latest trials is predicted from the observations that were available when it was
    proposed. If p trials run in parallel, the p trials observed immediately before that trial are
    therefore left out.

    A Gaussian process has one noise level and one set of length scales for the whole space. Late in
    a study, most trials lie where the function is smooth, so their results are closer to their
    predictions than the process expects. Where the function is strongly curved, the results are
    farther from the predictions.

    Args:
        predictor: A fitted predictor.
        rows: Positions, among the fitted trials, of the trials that are similar to the proposal, in
            the order of observation.
        pending: Number of trials that run in parallel with the proposal.

    Returns:
        The number of standard deviations that contains the same share of residuals as one standard
        deviation of a normal distribution. It is computed from the last 15 trials and three
        artificial residuals that are distributed as predicted. It is 1 if the predictor has no
        closed form for the residuals.
    """
    residuals = None
    if len(rows):
        latest = predictor.sequential_residuals(rows[-_RECENT - pending :], behind=pending)
        residuals = None if latest is None else latest[:, -_RECENT:]
    if residuals is None:
        return np.ones(len(predictor.names))
    return np.array(
        [np.quantile([*_PRIOR, *np.abs(own[~np.isnan(own)])], _WITHIN_ONE) for own in residuals]
    )


class Calibrated(Wrapper):
    """Predictor whose standard deviations and noise are fitted to held-out rows.

    ``fit`` fits a copy to four fifths of the rows, compares its predictions with the other rows,
    and then fits the predictor to all rows.

    Args:
        inner: The unfitted predictor, which is copied for the comparison.
        seed: Nonnegative seed for the choice of held-out rows.

    Raises:
        ValueError: ``inner`` is not a predictor, or the seed is invalid.
    """

    _unseen: FloatArray | None = None  # predicted and measured, (2, n, m); missing in old pickles

    def __init__(self, inner: Predictor, *, seed: int = 0) -> None:
        super().__init__(inner)
        self.seed = checks.integer("seed", seed, low=0)
        self._scales: FloatArray | None = None  # factor and noise for each metric, (2, m)

    @property
    def factor(self) -> FloatArray:
        """Recalibration factor k of the inner predictor's standard deviations, (m,)."""
        return np.array(self._fitted[0])

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of a measurement's noise, (m,), in the metric's unit.

        NaN if there were too few rows to determine it.
        """
        return np.array(self._fitted[1])

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Calibrated:
        """Fit metrics of unit codes; see ``Predictor``.

        With fewer than 40 rows, there is no comparison: the inner predictor's standard deviations
        are used, and the noise is unknown. ``steps=0`` keeps the factors and the noise.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        scales, unseen = self._scales, self._unseen
        if scales is None or steps != 0 or names != self.names:
            scales, unseen = self._held_out(names, codes, y, rows, steps)
        super().fit(x, metrics, weights=weights, steps=steps)
        exact = self.inner.leave_one_out()
        self._scales, self._unseen = scales, unseen if exact is None else np.array([exact[0], y])
        return self

    @property
    def unseen(self) -> FloatArray | None:
        """Predicted and measured values (2, n, m) of rows, predicted without their own values.

        All rows if the inner predictor or a member of it is exact (leave-one-out); otherwise, the
        fifth of the rows to which the standard deviations are fitted, or None with fewer than 40.
        """
        return self._unseen

    def calibrate(self, x: ArrayLike, metrics: Metrics) -> Calibrated:
        """Return a copy that is calibrated on rows that the fitted inner predictor has not seen.

        Args:
            x: Unit codes of these rows, (n, d).
            metrics: Name -> (n,), NaN where missing; the metrics of the fit.

        Raises:
            ValueError: The metrics are not those of the fit; or as for
                ``transforms.training_arrays``.
            RuntimeError: Not fitted yet.
        """
        names, codes, y, _ = training_arrays(x, metrics, None)
        if names != self.names:
            raise ValueError(f"metrics={list(names)} must be those fitted, {list(self.names)}")
        recalibrated = copy.copy(self)
        mean, std = self.inner.predict(codes)
        recalibrated._scales, recalibrated._unseen = _scales(mean, std, y), np.array([mean, y])
        return recalibrated

    def moments(self, x: FloatArray) -> Moments:
        mean, std, vjp = self.inner.moments(x)
        k = self._fitted[0]
        return Moments(mean, std * k, lambda by_mean, by_std: vjp(by_mean, by_std * k))

    def interval(self, x: ArrayLike, *, share: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the ends (n, m) of intervals that contain a share of measurements at codes x.

        The ends are NaN if the noise is unknown.

        Raises:
            ValueError: The share is outside (0, 1).
        """
        checks.number("share", share, above=0, below=1)
        mean, std = self.predict(x)
        half = ndtri(0.5 + share / 2) * np.sqrt(std**2 + self._fitted[1] ** 2)
        return mean - half, mean + half

    def state_dict(self) -> State:
        scales = None if self._scales is None else self._scales.tolist()
        unseen = None if self._unseen is None else self._unseen.tolist()
        return {"inner": super().state_dict(), "scales": scales, "unseen": unseen}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state["inner"])
        self._scales = None if state["scales"] is None else np.array(state["scales"])
        unseen = state.get("unseen")  # missing in the states of 0.2
        self._unseen = None if unseen is None else np.array(unseen)

    @property
    def _fitted(self) -> FloatArray:
        if self._scales is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        return self._scales

    def _held_out(
        self,
        names: Sequence[str],
        codes: FloatArray,
        y: FloatArray,
        weights: FloatArray,
        steps: int | None,
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return factors and noise (2, m), and means and values (2, n, m) of the held-out rows.

        If there are too few rows, the factors are 1, the noise is NaN, and the rows are None.
        """
        n, m = y.shape
        order = np.random.default_rng(self.seed).permutation(n)
        held_out, rest = order[: n // _FOLDS], np.sort(order[n // _FOLDS :])
        if n < MIN_ROWS or np.isnan(y[rest]).all(0).any():
            return np.array([np.ones(m), np.full(m, np.nan)]), None
        columns = dict(zip(names, y[rest].T, strict=True))
        trial = copy.deepcopy(self.inner)
        trial.fit(codes[rest], columns, weights=weights[rest], steps=steps)
        mean, std = trial.predict(codes[held_out])
        return _scales(mean, std, y[held_out]), np.array([mean, y[held_out]])


def _scales(mean: FloatArray, std: FloatArray, y: FloatArray) -> FloatArray:
    """Return the most likely k and square root of v (2, m), given unseen rows (n, m)."""
    pairs = zip((y - mean).T, std.T, strict=True)
    return np.array([_most_likely(residuals, stds) for residuals, stds in pairs]).T


def _most_likely(residuals: FloatArray, std: FloatArray) -> tuple[float, float]:
    """Return k, with a log-normal prior around 1, and sqrt(v); 1 and NaN for too few rows."""
    from scipy.optimize import minimize  # imported late, because it takes a tenth of a second

    known = ~np.isnan(residuals)
    if known.sum() < MIN_ROWS // _FOLDS:
        return 1.0, float("nan")
    r, s = residuals[known], std[known]
    if not r.any():  # a constant metric, which has no noise; its residuals have no unit
        return 1.0, 0.0
    unit = max(float(np.sqrt(np.mean(r**2))), np.finfo(float).tiny)
    r, s = r / unit, s / unit

    def loss(theta: FloatArray) -> float:
        variance = np.exp(2 * theta[0]) * s**2 + np.exp(2 * theta[1]) + _MIN_NOISE**2
        likelihood = 0.5 * np.sum(np.log(variance) + r**2 / variance)
        return float(likelihood + 0.5 * (theta[0] / _LOG_FACTOR_SD) ** 2)

    bounds = [(-2.0, 2.0), (np.log(_MIN_NOISE), 1.0)]
    starts = [(0.0, -0.5), (0.0, -3.0)]  # high and low noise
    best = min((minimize(loss, start, bounds=bounds) for start in starts), key=lambda f: f.fun)
    return float(np.exp(best.x[0])), float(unit * np.exp(best.x[1]))
