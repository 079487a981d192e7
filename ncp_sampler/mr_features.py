"""What a model sees of an MRSpace code beside its numbers: sums and products that decide metrics.

Notation, as in `mr_space`
    s, r            stage 1..4 and branch 1..s; branch r works at 1/2^(r+1) of the input
    b_s, n_sr, c_sr blocks, residual units and channels
    codes           (n, 27) in natural units; fractions are legal, so that gradients exist

Work is depth times width squared, and sums over branches: a tree spends many splits, a small
network many units and both many rows to find that. They are given here, in log2, where the
metrics bend least. The costs are leading terms alone; the exact ones are in `costs`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ncp_sampler.mr_space import N_STAGES, MRSpace

_SPACE = MRSpace()
_KERNEL = 9  # weights of a 3x3 convolution per pair of channels
_STAGES = range(1, N_STAGES + 1)


def derived(codes: Tensor) -> dict[str, Tensor]:
    """Name -> feature (n,) of codes (n, 27), without the code's own numbers; differentiable."""
    code = dict(zip(_SPACE.columns, codes.unbind(1), strict=True))
    zero = torch.zeros_like(code["o1"])
    weights = dict.fromkeys(_STAGES, zero)  # of each branch
    depth = dict.fromkeys(_STAGES, zero)  # its residual units
    narrowest = dict.fromkeys(_STAGES, zero + torch.inf)
    fusion = zero
    out: dict[str, Tensor] = {}
    for s in _STAGES:
        b = code[f"b{s}"]
        stage = zero
        for r in range(1, s + 1):
            c = code[f"c{s}_{r}"]
            units = b * code[f"n{s}_{r}"]
            own = 2 * _KERNEL * units * c**2
            out[f"units{s}_{r}"] = units
            out[f"weights{s}_{r}"] = own.log2()
            depth[r] = depth[r] + units
            weights[r] = weights[r] + own
            stage = stage + own
            narrowest[r] = torch.minimum(narrowest[r], c)
            for q in range(max(r - 1, 1), min(r + 1, s) + 1):
                fusion = fusion + b * c * code[f"c{s}_{q}"] * (1 if q > r else _KERNEL)
        out[f"stage{s}"] = stage.log2()
        out[f"width{s}"] = sum((code[f"c{s}_{r}"] for r in range(1, s + 1)), zero)
    for r in _STAGES:
        out[f"depth_r{r}"] = depth[r]
        out[f"weights_r{r}"] = weights[r].log2()
        out[f"narrowest_r{r}"] = narrowest[r]
    out["blocks"] = sum((code[f"b{s}"] for s in _STAGES), zero)
    out["depth"] = sum(depth.values(), zero)
    out["fusion"] = fusion.log2()
    out["params"] = (sum(weights.values(), zero) + fusion).log2()
    work = sum((weights[r] / 4.0**r for r in _STAGES), zero)
    stem = code["i1"] * code["i2"]
    out["flops"] = (work + _KERNEL * (3 * code["i1"] + stem)).log2()
    out["stem"] = stem.log2()
    return out


def smooth_features(unit: Tensor) -> Tensor:
    """What a neural predictor is given of unit codes (n, 27): shape (n, f), differentiable.

    The code's numbers in log2, since the metrics follow ratios of widths and depths, then
    `derived`. For ``Featured``.
    """
    codes = _SPACE.denormalize(unit)
    return torch.cat([codes.log2(), torch.stack(list(derived(codes).values()), 1)], dim=1)
