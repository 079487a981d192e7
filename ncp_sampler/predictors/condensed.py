"""The mean of a fitted exact predictor on few codes in place of all rows, for a thousand uses.

The mean at a code costs one covariance for each row. A combination of few covariances, fitted to
all rows by the same prior, is nearly the same function (the subset of regressors, Rasmussen &
Williams 2006, section 8.3.1).

Notation, for each of m metrics on its own
    X (n, d), y (n,)   rows and their standardized values
    Z (b, d)           the basis, some of the rows
    K, v               prior covariance, noise variance
    f(x) = K(x, Z) c,  (K(Z, X) K(X, Z) + v K(Z, Z)) c = K(Z, X) y
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.predictor import Metrics, Predictor
from ncp_sampler.predictors.process import MEAN_VARIANCE, ExactProcess
from ncp_sampler.predictors.scaling import training_arrays
from ncp_sampler.predictors.selected import Selected

Mean: TypeAlias = Callable[[Tensor], Tensor]  # x (n, d) -> (n, m), differentiable

_JITTER = 1e-8


def condensed_mean(
    predictor: Predictor, x: ArrayLike, metrics: Metrics, basis: NDArray[np.intp]
) -> Mean:
    """The mean of an exact predictor that was fitted on some rows, of all of them.

    Args:
        predictor: Fitted: a ``GaussianProcess`` or its like, several ``Selected``, or one of both
            that is ``Featured``. It must not be fitted again.
        x: Unit codes of the rows, (n, d).
        metrics: As for its ``fit``: name -> (n,), NaN where missing.
        basis: Positions of the rows that stay.

    Raises:
        ValueError: As ``scaling.training_arrays``.
    """
    _, codes, y, _ = training_arrays(x, metrics, None)
    rows, values = (torch.as_tensor(one, device=predictor.device) for one in (codes, y))
    with torch.no_grad():
        return _condensed(predictor, rows, values, torch.as_tensor(basis))


def _condensed(predictor: Predictor, x: Tensor, y: Tensor, basis: Tensor) -> Mean:
    if isinstance(predictor, Featured):
        scale = predictor._scale
        of_features = _condensed(predictor.inner, scale(x), y, basis)
        return lambda z: of_features(scale(z))
    if isinstance(predictor, Selected):
        chosen = predictor.chosen
        means = {i: _condensed(predictor.members[i], x, y, basis) for i in {*chosen}}
        if len(means) == 1:
            return means[chosen[0]]
        return lambda z: torch.stack([means[i](z)[:, k] for k, i in enumerate(chosen)], 1)
    if isinstance(predictor, ExactProcess):
        return _regressed(predictor, x, y, basis)
    raise TypeError(f"{type(predictor).__name__} is no exact predictor")


def _regressed(process: ExactProcess, x: Tensor, y: Tensor, basis: Tensor) -> Mean:
    fitted = process._fitted
    mean, std = fitted.rows.mean, fitted.rows.std
    cross = process._kernel.cross(x[basis], fitted.theta[:, :-1])
    k = cross(x) + MEAN_VARIANCE  # K(X, Z), (m, n, b)
    of_basis = k[:, basis]
    noise = torch.as_tensor(process.noise, device=x.device)[:, None, None] / std[:, None, None]
    known = ~y.isnan()
    left = (k * known.T[..., None]).mT
    both = left @ k + noise**2 * of_basis
    size = both.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    both = both + _JITTER * size * torch.eye(len(basis), dtype=x.dtype, device=x.device)
    c = torch.linalg.solve(both, left @ ((y - mean) / std).nan_to_num().T[..., None])
    return lambda z: ((cross(z) + MEAN_VARIANCE) @ c)[..., 0].T * std + mean
