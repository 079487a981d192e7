"""Whether a table's numbers can be those that were published: what a damaged file betrays.

The published files have no checksum, and a flipped bit leaves a number that looks like any other.
But costs follow from the code, and measured figures have few digits, which a flipped bit hardly
leaves them. What passes is a metric that was halved, or is another in its eighth digit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench.settings import NB201

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_UNKNOWN = "3ddet"  # how its costs are counted and its figures rounded
_DECIMALS = 3  # of a measured figure, at most
_ORDERED = (("top1", "top5"), ("mIoU", "mAcc"))  # by definition
_COST_ERROR = 1e-8  # in G and M
# NAS-Bench-201: an accuracy is a share of its images, averaged in single precision; flops in M and
# params in M grow by these with each 1x1 and each 3x3 convolution on the edges, and are rounded
_IMAGES, _IMAGE_ERROR = 3000, 1e-4
_EDGES = 6
_LEAST_COSTS = np.array([7.79, 0.079])
_CONVOLUTION_COSTS = np.array([[3.932, 0.028], [35.39, 0.243]])
_ROUNDED_COST_ERRORS = np.array([0.02, 0.0005])


def find_damage(
    setting: str, codes: NDArray[np.int64], columns: Mapping[str, FloatArray]
) -> str | None:
    """What no published table of a setting has, in words; None if nothing is found.

    Args:
        setting: Folder name; nothing is known of the table of "3ddet".
        codes: Legal ones, (n, d).
        columns: Metrics and costs, (n,) and finite each.
    """
    if setting == _UNKNOWN:
        return None
    check = _nas_bench_201 if setting == NB201 else _nas_bench_mr
    with np.errstate(over="ignore"):  # a flipped exponent's
        found = check(codes, columns)
    for name, wrong in found.items():
        if wrong.any():
            return f"row {int(wrong.argmax())} cannot be right in {name!r}"
    return None


def _nas_bench_mr(
    codes: NDArray[np.int64], columns: Mapping[str, FloatArray]
) -> dict[str, BoolArray]:
    """Column -> which rows are wrong, (n,)."""
    exact = {"flops": costs.flops(codes).numpy(), "params": costs.params(codes).numpy()}
    wrong: dict[str, BoolArray] = {
        name: np.abs(columns[name] - values) > _COST_ERROR for name, values in exact.items()
    }
    for name, values in columns.items():
        if name not in exact:
            wrong[name] = np.round(values, _DECIMALS) != values
    for less, more in _ORDERED:
        if less in columns:
            wrong[less] = wrong[less] | (columns[less] > columns[more])
    return wrong


def _nas_bench_201(
    codes: NDArray[np.int64], columns: Mapping[str, FloatArray]
) -> dict[str, BoolArray]:
    """As above."""
    first = np.unique(codes, axis=0, return_index=True)[1]
    images = columns["Acc"] * _IMAGES / 100
    edges = np.arange(_EDGES + 1)
    by_kind = np.array([(one, other) for one in edges for other in edges[: _EDGES + 1 - one]])
    found = np.stack([columns["Flops"], columns["Params"]], axis=1)  # (n, 2)
    known = _LEAST_COSTS + by_kind @ _CONVOLUTION_COSTS  # (28, 2)
    near = (np.abs(found[:, None] - known) <= _ROUNDED_COST_ERRORS).all(2).any(1)
    rounded = np.round(found, _DECIMALS) == found
    return {
        "embedding": ~np.isin(np.arange(len(codes)), first),  # each code stands there once
        "Acc": np.abs(images - np.round(images)) > _IMAGE_ERROR,
        "Flops": ~near | ~rounded[:, 0],
        "Params": ~near | ~rounded[:, 1],
    }
