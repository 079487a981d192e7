"""What a fitted exact predictor says, on few codes in place of all rows, for a thousand uses.

The mean at a code costs one covariance for each row. A combination of few covariances, fitted to
all rows by the same prior, is nearly the same function (the subset of regressors, Rasmussen &
Williams 2006, section 8.3.1). Doubt is that of a process which knows the few codes alone: it grows
with the distance from them.

Notation, for each of m metrics on its own
    X (n, d), y (n,)   rows and their standardized values
    Z (b, d)           the basis, some of the rows
    K, v               prior covariance, noise variance
    mean(x) = K(x, Z) c,  (K(Z, X) K(X, Z) + v K(Z, Z)) c = K(Z, X) y
    std(x)^2 = K(x, x) - K(x, Z) (K(Z, Z) + v)^-1 K(Z, x)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.predictor import Metrics, Predictor
from ncp_sampler.predictors.process import MEAN_VARIANCE, ExactProcess, Posterior
from ncp_sampler.predictors.scaling import training_arrays
from ncp_sampler.predictors.selected import Selected

Mean: TypeAlias = Callable[[Tensor], Tensor]  # x (n, d) -> (n, m), differentiable

_JITTER = 1e-8


def condensed(
    predictor: Predictor,
    x: ArrayLike,
    metrics: Metrics,
    basis: NDArray[np.intp],
    *,
    caution: float = 0.0,
) -> Mean:
    """The mean of an exact predictor that was fitted on some rows, of all, less some of its doubt.

    Args:
        predictor: Fitted: a ``GaussianProcess`` or its like, several ``Selected``, or one of both
            that is ``Featured``. It must not be fitted again.
        x: Unit codes of the rows, (n, d).
        metrics: As for its ``fit``: name -> (n,), NaN where missing.
        basis: Positions of the rows that stay.
        caution: How many standard deviations the mean is lowered by.

    Raises:
        ValueError: As ``scaling.training_arrays``.
    """
    _, codes, y, _ = training_arrays(x, metrics, None)
    rows, values = (torch.as_tensor(one, device=predictor.device) for one in (codes, y))
    with torch.no_grad():
        return _condensed(predictor, rows, values, torch.as_tensor(basis), caution)


def _condensed(predictor: Predictor, x: Tensor, y: Tensor, basis: Tensor, caution: float) -> Mean:
    if isinstance(predictor, Featured):
        scale = predictor._scale
        of_features = _condensed(predictor.inner, scale(x), y, basis, caution)
        return lambda z: of_features(scale(z))
    if isinstance(predictor, Selected):
        means = {
            i: _condensed(part, x, y[:, predictor._metrics_of(i)], basis, caution)
            for i, part in predictor._fitted.items()
        }
        return lambda z: predictor._joined({i: mean(z) for i, mean in means.items()})
    if isinstance(predictor, ExactProcess):
        return _regressed(predictor, x, y, basis, caution)
    raise TypeError(f"{type(predictor).__name__} is no exact predictor")


def _regressed(process: ExactProcess, x: Tensor, y: Tensor, basis: Tensor, caution: float) -> Mean:
    fitted = process._fitted
    mean, std = fitted.rows.mean, fitted.rows.std
    cross = process._kernel.cross(x[basis], fitted.theta[:, :-1])
    k = cross(x)[0] + MEAN_VARIANCE  # K(X, Z), (m, n, b)
    of_basis = k[:, basis]
    noise = torch.as_tensor(process.noise, device=x.device)[:, None, None] / std[:, None, None]
    known = ~y.isnan()
    left = (k * known.T[..., None]).mT
    both = left @ k + noise**2 * of_basis
    size = both.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    one = torch.eye(len(basis), dtype=x.dtype, device=x.device)
    both = both + _JITTER * size * one
    c = torch.linalg.solve(both, left @ ((y - mean) / std).nan_to_num().T[..., None])
    known_few = Posterior(
        rows=replace(fitted.rows.take(np.arange(0)), x=x[basis]),  # no values: c has all of them
        theta=fitted.theta,
        cross=cross,
        precision=torch.linalg.inv(of_basis + noise**2 * one),
        alpha=c[..., 0],
    )

    def lowered(z: Tensor) -> Tensor:
        if not caution:
            return known_few.mean(z)
        found, std = known_few.moments(z)
        return found - caution * std

    return lowered
