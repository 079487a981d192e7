"""What predictors are given, checked and scaled: rows, weights, standardized or warped metrics.

Notation
    n, d, m   codes, columns of a code, metrics
    y         metrics (n, m), NaN where missing
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import Metrics

LARGEST = 1e100  # of a metric; its square is a number still
_LEAST_SPREAD = 1e-12  # of the way from the median to the best
_TAIL = 3.0  # spreads below the median, where ``warp`` begins to level off


def training_arrays(
    x: ArrayLike, metrics: Metrics, weights: ArrayLike | None
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Checks what ``fit`` was given; returns names, x (n, d), y (n, m) and weights (n,).

    Raises:
        ValueError: Shapes that do not fit, NaN or infinite codes, infinite or huge metrics, a
            negative weight, a metric without a single value.
    """
    codes = checks.array("x", x)
    checks.instance("metrics", metrics, Mapping, "map names to values of shape (n,)")
    if codes.ndim != 2 or not np.isfinite(codes).all():
        raise ValueError(f"x must be finite unit codes of shape (n, d), got shape {codes.shape}")
    if not metrics:
        raise ValueError("metrics is empty; give at least one name -> values")
    names = tuple(metrics)
    columns = [checks.array(f"metrics[{name!r}]", metrics[name]) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.shape != (len(codes),):
            raise ValueError(
                f"metrics[{name!r}] has shape {column.shape}, x has {len(codes)} codes"
            )
        if np.isinf(column).any():
            raise ValueError(f"metrics[{name!r}] is infinite; clip it, or NaN where unknown")
        if (np.abs(column[~np.isnan(column)]) > LARGEST).any():
            raise ValueError(f"metrics[{name!r}] has a value beyond {LARGEST:g}; scale it")
        if np.isnan(column).all():
            raise ValueError(f"metrics[{name!r}] has no value; give at least one that is not NaN")
    rows = np.ones(len(codes)) if weights is None else checks.array("weights", weights)
    if rows.shape != (len(codes),) or not (np.isfinite(rows).all() and (rows >= 0).all()):
        raise ValueError(f"weights must be {len(codes)} finite numbers of at least 0")
    return names, codes, np.stack(columns, axis=1), rows


def standardizer(
    y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (m,) of y (n, m), NaN left out; 1 for a constant metric."""
    rows = np.where(np.isnan(y), 0.0, weights[:, None])
    total = np.maximum(rows.sum(0), 1e-300)
    filled = np.nan_to_num(y)
    mean = (rows * filled).sum(0) / total
    std = np.sqrt((rows * (filled - mean) ** 2).sum(0) / total)
    return mean, np.where(std > 1e-9 * np.maximum(np.abs(mean), 1.0), std, 1.0)


def warp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardizes metrics (n, m) with the bad tail bounded, so that no failure sets the scale.

    With z the distance from the median in spreads (a spread being from the median to the better
    quarter) and t = 3, z below -t becomes -t (2 + t / z): smooth, in the same order, and never
    below -2 t. NaN stays NaN.
    """
    out = np.empty_like(values)
    for source, column in zip(values.T, out.T, strict=True):
        if np.isnan(source).all():
            column[:] = source
            continue
        middle, upper = np.nanquantile(source, [0.5, 0.75])
        spread = upper - middle
        if not spread > 0:
            spread = np.nanstd(source)
        # a best value far beyond steps of 1e-300 must leave numbers whose square is one still
        spread = max(spread, _LEAST_SPREAD * (np.nanmax(source) - middle))
        with np.errstate(over="ignore"):  # of the bad tail, which is bounded below
            z = (source - middle) / (spread if spread > 0 else 1.0)
        below = z < -_TAIL
        z[below] = -_TAIL * (2 + _TAIL / z[below])
        sd = np.nanstd(z)
        column[:] = (z - np.nanmean(z)) / (sd if sd > 0 else 1.0)
    return out
