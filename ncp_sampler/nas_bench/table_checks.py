"""Checks of the numbers in a published table, which detect a damaged file.

The published files have no checksums, and a number with a flipped bit looks plausible. However,
costs can be computed from the code, and measured values have few decimals, whereas a flipped bit
almost always gives more decimals. A metric that has been halved, or that differs in its eighth
digit, is not detected.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench.settings import NB201

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_UNKNOWN = "3ddet"  # Setting whose cost convention and rounding are unknown
_DECIMALS = 3  # Maximum number of decimals of a measured value
_ORDERED = (("top1", "top5"), ("mIoU", "mAcc"))  # Pairs whose first metric is at most the second
_COST_ERROR = 1e-8  # Tolerance of costs, in G and M
# NAS-Bench-201: accuracies are fractions of this number of images, averaged in float32. FLOPs (M)
# and params (M) grow from the least costs by the convolution costs for each 1x1 and each 3x3
# convolution on the edges, and are rounded.
_IMAGES, _IMAGE_ERROR = 3000, 1e-4
_EDGES = 6
_LEAST_COSTS = np.array([7.79, 0.079])
_CONVOLUTION_COSTS = np.array([[3.932, 0.028], [35.39, 0.243]])
_ROUNDED_COST_ERRORS = np.array([0.02, 0.0005])


def find_damage(
    setting: str, codes: NDArray[np.int64], columns: Mapping[str, FloatArray]
) -> str | None:
    """Return a description of an impossible value in a table; None if there is none.

    Args:
        setting: Folder name of the setting; the table of "3ddet" is not checked.
        codes: Valid codes (n, d).
        columns: Name -> finite metrics and costs (n,).
    """
    if setting == _UNKNOWN:
        return None
    check = _nas_bench_201 if setting == NB201 else _nas_bench_mr
    with np.errstate(over="ignore"):  # flipped bits in exponents cause overflows
        wrong_rows = check(codes, columns)
    for name, wrong in wrong_rows.items():
        if wrong.any():
            return f"row {int(wrong.argmax())} cannot be right in {name!r}"
    return None


def _nas_bench_mr(
    codes: NDArray[np.int64], columns: Mapping[str, FloatArray]
) -> dict[str, BoolArray]:
    """Return, for each column, a mask (n,) of the rows with wrong values."""
    exact = {"flops": costs.flops(codes).numpy(), "params": costs.params(codes).numpy()}
    wrong: dict[str, BoolArray] = {
        name: np.abs(columns[name] - values) > _COST_ERROR for name, values in exact.items()
    }
    for name, values in columns.items():
        if name not in exact:
            wrong[name] = np.round(values, _DECIMALS) != values
    for smaller, greater in _ORDERED:
        if smaller in columns:
            wrong[smaller] = wrong[smaller] | (columns[smaller] > columns[greater])
    return wrong


def _nas_bench_201(
    codes: NDArray[np.int64], columns: Mapping[str, FloatArray]
) -> dict[str, BoolArray]:
    """Return, for each column, a mask (n,) of the rows with wrong values."""
    first = np.unique(codes, axis=0, return_index=True)[1]
    images = columns["Acc"] * _IMAGES / 100
    edges = np.arange(_EDGES + 1)
    by_kind = np.array(
        [
            (first_kind, second_kind)
            for first_kind in edges
            for second_kind in edges[: _EDGES + 1 - first_kind]
        ]
    )
    reported = np.stack([columns["Flops"], columns["Params"]], axis=1)  # (n, 2)
    known = _LEAST_COSTS + by_kind @ _CONVOLUTION_COSTS  # (28, 2)
    near = (np.abs(reported[:, None] - known) <= _ROUNDED_COST_ERRORS).all(2).any(1)
    rounded = np.round(reported, _DECIMALS) == reported
    return {
        "embedding": ~np.isin(np.arange(len(codes)), first),  # each code must occur only once
        "Acc": np.abs(images - np.round(images)) > _IMAGE_ERROR,
        "Flops": ~near | ~rounded[:, 0],
        "Params": ~near | ~rounded[:, 1],
    }
