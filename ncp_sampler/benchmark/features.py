"""What a surrogate sees of an architecture: its code, and sums that trees cannot form themselves.

Notation, as in `mr_space`
    s, r            stage 1..4 and branch 1..s; branch r works at 1/2^(r+1) of the input
    b_s, n_sr, c_sr blocks, residual units and channels
    codes           (n, 27) in natural units
    features        (n, f); fit and prediction call the same function

A tree splits on one feature at a time, so products (work is depth times width squared) and sums
over branches cost it many splits and many rows. They are given to it, in log2, where the metrics
bend least. The costs here are leading terms alone; the exact ones are in `ncp_sampler.costs`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.mr_space import N_STAGES, MRSpace

FloatArray = NDArray[np.float64]

_SPACE = MRSpace()
_KERNEL = 9  # weights of a 3x3 convolution per pair of channels


def features(codes: NDArray[np.int64]) -> FloatArray:
    """Features of legal codes (n, 27), shape (n, f)."""
    columns = _columns(np.asarray(codes, dtype=np.float64))
    table: FloatArray = np.stack(list(columns.values()), axis=1).round(6)
    return table  # rounded: alike on every platform


def feature_names() -> list[str]:
    """Names of the columns of `features`, in order."""
    return list(_columns(_SPACE.default[None].astype(np.float64)))


def _columns(codes: FloatArray) -> dict[str, FloatArray]:
    code = dict(zip(_SPACE.names, codes.T, strict=True))
    out = dict(code)
    params = {r: np.zeros(len(codes)) for r in range(1, N_STAGES + 1)}  # weights of each branch
    depth = {r: np.zeros(len(codes)) for r in range(1, N_STAGES + 1)}  # its residual units
    narrowest = {r: np.full(len(codes), np.inf) for r in range(1, N_STAGES + 1)}
    fusion = np.zeros(len(codes))
    for s in range(1, N_STAGES + 1):
        b = code[f"b{s}"]
        stage = np.zeros(len(codes))
        for r in range(1, s + 1):
            n, c = code[f"n{s}_{r}"], code[f"c{s}_{r}"]
            units = b * n
            weights = 2 * _KERNEL * units * c**2
            out[f"units{s}_{r}"] = units
            out[f"weights{s}_{r}"] = np.log2(weights)
            depth[r] += units
            params[r] += weights
            stage += weights
            narrowest[r] = np.minimum(narrowest[r], c)
            for q in range(max(r - 1, 1), min(r + 1, s) + 1):
                fusion += b * c * code[f"c{s}_{q}"] * (1 if q > r else _KERNEL)
        out[f"stage{s}"] = np.log2(stage)
        out[f"width{s}"] = sum(code[f"c{s}_{r}"] for r in range(1, s + 1)) + 0.0 * b
    for r in range(1, N_STAGES + 1):
        out[f"depth_r{r}"] = depth[r]
        out[f"weights_r{r}"] = np.log2(params[r])
        out[f"narrowest_r{r}"] = narrowest[r]
    total = np.sum(list(params.values()), axis=0)
    out["blocks"] = np.sum([code[f"b{s}"] for s in range(1, N_STAGES + 1)], axis=0)
    out["depth"] = np.sum(list(depth.values()), axis=0)
    out["fusion"] = np.log2(fusion)
    out["params"] = np.log2(total + fusion)
    out["flops"] = np.log2(
        np.sum([params[r] / 4.0**r for r in range(1, N_STAGES + 1)], axis=0)
        + _KERNEL * (3 * code["i1"] + code["i1"] * code["i2"])
    )
    out["stem"] = np.log2(code["i1"] * code["i2"])
    return out
