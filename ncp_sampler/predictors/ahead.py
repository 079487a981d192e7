"""Closed forms of how well an exact predictor foretells its own rows: all, or the last of them.

Notation, of each metric
    C, y      covariance of all rows, noise included, and their standardized values
    k         the rows in question, in an order
    R         lower triangular, R R' = (C^-1)_kk, rows and columns in the reverse order
    errors    R^-1 (C^-1 y)_k, as of (Rasmussen & Williams 2006, equations 5.10 to 5.12) for one row
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.predictors.process import ExactProcess
from ncp_sampler.predictors.selected import Selected


def left_out(process: ExactProcess) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation (n, m) of each row as measured, from all other rows.

    Rasmussen & Williams (2006), equation 5.12. They mean nothing for rows without the metric.

    Args:
        process: Fitted.
    """
    fitted = process._fitted
    precision = fitted.precision.diagonal(dim1=-2, dim2=-1)
    mean = (fitted.rows.y - fitted.alpha / precision).T * fitted.rows.std + fitted.rows.mean
    std = precision.rsqrt().T * fitted.rows.std
    return mean.cpu().numpy(), std.cpu().numpy()


def errors_ahead(predictor: Predictor, rows: Sequence[int]) -> FloatArray:
    """Errors of some rows, each predicted from the ones before it and from all others, (m, k).

    Args:
        predictor: Fitted, and exact: a ``GaussianProcess`` or its like, several ``Selected``, or
            one of both that is ``Featured``.
        rows: Positions among those that it was fitted on, in the order in which they came.

    Returns:
        In standard deviations of a measurement, noise included; NaN where a metric is unknown.

    Raises:
        TypeError: Another predictor.
    """
    if isinstance(predictor, Featured):
        return errors_ahead(predictor.inner, rows)
    if isinstance(predictor, Selected):
        found = np.empty((len(predictor.names), len(rows)))
        for i, part in predictor._fitted.items():
            found[predictor._metrics_of(i)] = errors_ahead(part, rows)
        return found
    if not isinstance(predictor, ExactProcess):
        raise TypeError(f"{type(predictor).__name__} is no exact predictor")
    fitted = predictor._fitted
    latest_first = torch.as_tensor(list(rows)[::-1], dtype=torch.int64, device=predictor.device)
    block = fitted.precision[:, latest_first][:, :, latest_first]
    lower = torch.linalg.cholesky(block)
    alpha = fitted.alpha[:, latest_first, None]
    errors = torch.linalg.solve_triangular(lower, alpha, upper=False)[..., 0]
    known = fitted.rows.noise[:, latest_first] > 0
    ahead: FloatArray = torch.where(known, errors, torch.nan).flip(1).cpu().numpy()
    return ahead
