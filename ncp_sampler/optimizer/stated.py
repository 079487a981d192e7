"""How far from its prediction a trial is said to lie, by how far the last ones do.

A process has one noise and one set of length scales for all that was tried. Late in a study most
trials lie where the function is as smooth as nowhere else, and come closer to their predictions
than the process says; where it bends, further. What each of the last trials is predicted as from
all others tells by how much, and costs nothing.

Only what is stated to the user is stretched: the search goes on by the process's own doubt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.predictors.process import ExactProcess
from ncp_sampler.predictors.selected import Selected

_RECENT = 20  # trials
_SHARE = 2 * norm.cdf(1.0) - 1  # that lie within one standard deviation
_PRIOR = norm.ppf(0.5 + 0.5 * (np.arange(5) + 0.5) / 5)  # five trials as the process says


def stretch(predictor: Predictor, numbers: NDArray[np.intp]) -> FloatArray:
    """By what a predictor's standard deviations are to be multiplied, of each metric, (m,).

    Args:
        predictor: Fitted on the trials, and perhaps conditioned on others that run.
        numbers: The order in which the trials were told, (n,).

    Returns:
        The deviations in which the share of a normal distribution's within one of them lies, of
        the last 20 trials and of five that are as the predictor says; 1 where it is not exact.
    """
    exact = predictor.inner if isinstance(predictor, Featured) else predictor
    if not isinstance(exact, ExactProcess | Selected):
        return np.ones(len(predictor.names))
    errors, _ = exact.left_out()
    in_order = errors[:, np.argsort(numbers)]  # after them come those that run
    found = np.ones(len(errors))
    for k, own in enumerate(in_order):
        recent = np.abs(own[~np.isnan(own)][-_RECENT:])
        found[k] = np.quantile(np.concatenate([_PRIOR, recent]), _SHARE)
    return found
