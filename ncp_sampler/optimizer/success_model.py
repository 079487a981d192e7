"""Probability that a trial succeeds, and does not run out of memory, diverge or raise an error.

The model averages two hypotheses, weighted by their leave-one-out likelihood. In the first,
failures depend on the params: a Gaussian process is fitted to labels of 1 (success) and -1
(failure), and the probability of success is the probability that the process is positive. In the
second, failures are random, such as crashes of the machine, and the probability of success is the
overall success rate.

Notation
    n, d   trials that succeeded or failed, columns of a code
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr

from ncp_sampler.optimizer.observations import rows_to_fit
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.registry import narrow_process
from ncp_sampler.predictors.transforms import Features, with_features
from ncp_sampler.search.utilities import log_probability_above

# Log prior odds of the process against random failures. The leave-one-out predictions use
# parameters fitted to all labels, which favors the process by some nats if failures are random
_LOG_ODDS = -4.0
_LABEL_VARIANCE = 0.5  # variance of the probit link: outcomes are less certain than labels
_NEGLIGIBLE = 0.05  # probability of the first hypothesis below which failures count as random
_MAX_ROWS = 100  # maximum number of trials per outcome to fit; half of them are the newest
_STEPS = 20  # Adam steps of a fit


class SuccessModel:
    """Probability that a trial succeeds, differentiable with respect to its unit code.

    The model is fitted from scratch, so it depends only on its arguments.

    Args:
        unit: Unit codes of trials that succeeded or failed, (n, d).
        succeeded: Mask of trials that succeeded, (n,); it must contain at least one success and one
            failure.
        features: Map from unit codes to features; None for the unit codes themselves.

    Attributes:
        depends: Posterior probability that failures depend on the params, between 0 and 1.
    """

    def __init__(
        self, unit: FloatArray, succeeded: NDArray[np.bool_], *, features: Features | None
    ) -> None:
        of_either = [np.flatnonzero(succeeded), np.flatnonzero(~succeeded)]
        rows = np.sort(np.concatenate([_newest(at) for at in of_either]))
        unit, succeeded = unit[rows], succeeded[rows]
        labels = np.where(succeeded, 1.0, -1.0)
        process = narrow_process()
        self._model = with_features(process, features)
        self._model.fit(unit, {"success": labels}, steps=_STEPS)
        mean, std = (column[:, 0] for column in process.leave_one_out())
        by_process = log_ndtr(labels * mean / np.sqrt(std**2 + _LABEL_VARIANCE)).sum()
        # success rate of the other trials, with Laplace's rule of succession
        counts = np.where(succeeded, succeeded.sum(), (~succeeded).sum())
        by_rate = np.log(counts / (len(succeeded) + 1)).sum()
        self.depends = float(expit(by_process - by_rate + _LOG_ODDS))
        self._log_rate = math.log((succeeded.sum() + 1) / (len(succeeded) + 2))

    @property
    def is_random(self) -> bool:
        """True if failures are considered random, with the same probability everywhere."""
        return self.depends < _NEGLIGIBLE

    def log_probability(
        self, x: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return the log probability (n,) of success at unit codes (n, d), and its pullback."""
        mean, std, vjp = self._model.moments(x)
        spread = np.sqrt(std[:, 0] ** 2 + _LABEL_VARIANCE)
        logs, rate = log_probability_above(mean[:, 0], spread)
        with np.errstate(divide="ignore"):  # one hypothesis may be certain
            weighted = logs + np.log(self.depends)
            total = np.logaddexp(weighted, self._log_rate + np.log1p(-self.depends))

        def pullback(g: FloatArray) -> FloatArray:
            by_z = g * np.exp(weighted - total) * rate
            by_std = -by_z * mean[:, 0] / spread**3 * std[:, 0]
            return vjp((by_z / spread)[:, None], by_std[:, None])

        return total, pullback


def _newest(at: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return at most ``_MAX_ROWS`` positions, ascending: the newest, and some older ones."""
    return at[rows_to_fit(np.arange(len(at))[::-1], _MAX_ROWS)]
