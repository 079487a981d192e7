"""Selection bias of the best predictions, estimated from rows that a predictor has not seen.

A search chooses the codes with the highest predictions, and these are too high on average (the
optimizer's curse, Smith & Winkler 2006), above all where a metric levels off. The same is true of
the best-predicted rows among those that a model has not seen, and these have measured values.

Notation
    p, y   predicted and measured value of a row, the sign chosen so that higher is better
    b, c   intercept and slope of y - p = b + c (p - mean(p)) over the best-predicted rows
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncp_sampler.records.records import FloatArray

_SHARE = 0.1  # share of the rows that counts as best-predicted
_LEAST_ROWS = 10  # minimum number of these rows
_SLOPE_SD = 0.3  # prior standard deviation of c; the prior mean is 0, no bias


@dataclass(frozen=True)
class SelectionBias:
    """Linear correction of a target's predictions near the top.

    Attributes:
        sign: 1 if the target is maximized, -1 if it is minimized.
        middle: Mean of p over the best-predicted rows, times the sign.
        shift: Posterior mean of b.
        slope: Posterior mean of c.
        shift_variance: Posterior variance of b.
        slope_variance: Posterior variance of c.
    """

    sign: float
    middle: float
    shift: float
    slope: float
    shift_variance: float
    slope_variance: float

    @classmethod
    def of(cls, predicted: FloatArray, measured: FloatArray, sign: float) -> SelectionBias | None:
        """Return the correction from unseen rows (n,), NaN where missing; None if n is below 10."""
        known = ~np.isnan(predicted + measured)
        p, y = sign * predicted[known], sign * measured[known]
        if len(p) < _LEAST_ROWS:
            return None
        best = np.argsort(-p, kind="stable")[: max(_LEAST_ROWS, int(_SHARE * len(p)))]
        p, residual = p[best], (y - p)[best]
        centered, middle, shift = p - p.mean(), float(p.mean()), float(residual.mean())
        variance = max(float(residual.var(ddof=1)), np.finfo(float).tiny)
        precision = centered @ centered / variance + _SLOPE_SD**-2
        slope = float(centered @ (residual - shift)) / variance / precision
        return cls(sign, sign * middle, shift, slope, variance / len(p), 1 / precision)

    def correct(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means (n,), made worse or unchanged, and the variances (n,) of the correction.

        A bias smaller than its standard error is not corrected, and a larger one is shrunk (the
        positive-part estimator of James & Stein 1961).
        """
        above = self.sign * (mean - self.middle)
        bias = np.minimum(self.shift + self.slope * above, 0.0)
        variance = self.shift_variance + self.slope_variance * above**2
        kept = np.maximum(bias**2 - variance, 0.0) / np.maximum(bias**2, np.finfo(float).tiny)
        return mean + self.sign * kept * bias, variance
