"""How far from its prediction a trial is said to lie, by how far the last ones did.

A process has one noise and one set of length scales for all that was tried. Late in a study most
trials lie where the function is as smooth as nowhere else, and come closer to their predictions
than the process says; where it bends, further. What each of the last trials is predicted as from
those before it tells by how much, and costs nothing.

Only what is stated of objectives is stretched: the search, and chances of constraints, go by the
process's own doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from ncp_sampler.predictors.ahead import errors_ahead
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.predictors.process import ExactProcess
from ncp_sampler.predictors.selected import Selected

_RECENT = 15  # trials
_SHARE = 2 * ndtr(1.0) - 1  # that lie within one standard deviation
_PRIOR = ndtri(0.5 + 0.5 * (np.arange(3) + 0.5) / 3)  # three trials as the process says


def stretch(predictor: Predictor, rows: Sequence[int]) -> FloatArray:
    """By what a predictor's standard deviations are to be multiplied, of each metric, (m,).

    Args:
        predictor: Fitted.
        rows: Positions among the trials that it was fitted on, in the order they were told: of
            those that are like the one in question.

    Returns:
        The deviations in which the share of a normal distribution's within one of them lies, of
        the last 15 trials and of three that are as the predictor says; 1 where it is not exact.
    """
    exact = predictor.inner if isinstance(predictor, Featured) else predictor
    if not isinstance(exact, ExactProcess | Selected) or not len(rows):
        return np.ones(len(predictor.names))
    errors = np.abs(errors_ahead(exact, rows[-_RECENT:]))
    found: FloatArray = np.array(
        [np.quantile([*_PRIOR, *own[~np.isnan(own)]], _SHARE) for own in errors]
    )
    return found
