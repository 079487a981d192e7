"""What a model sees of an MRSpace code beside its numbers: sums and products that decide metrics.

Notation, as in `mr_space`
    s, r            stage 1..4 and branch 1..s; branch r works at 1/2^(r+1) of the input
    b_s, n_sr, c_sr blocks, residual units and channels; each (n, 10) for the ten branches s, r
    codes           (n, 27) in natural units; fractions are legal, so that gradients exist

Work is depth times width squared, and sums over branches: a tree spends many splits, a small
network many units and both many rows to find that. They are given here, in log2, where the
metrics bend least. The costs are leading terms alone; the exact ones are in `costs`.

A search differentiates this at every step, on few codes: columns are picked, summed and sorted
by products with constant matrices, which takes a third of the time of indexing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ncp_sampler.mr_space import N_STAGES, MRSpace

_SPACE = MRSpace()
_KERNEL = 9  # weights of a 3x3 convolution per pair of channels
_STAGES = range(1, N_STAGES + 1)
_BRANCHES = [(s, r) for s in _STAGES for r in range(1, s + 1)]
# fusions from branch q to r, within a stage; 1x1 from below, else 3x3
_FUSED = [
    (s, r, q, 1 if q > r else _KERNEL)
    for s, r in _BRANCHES
    for q in range(max(r - 1, 1), min(r + 1, s) + 1)
]

NAMES = (
    *(
        name
        for s in _STAGES
        for name in [
            *(f"{kind}{s}_{r}" for r in range(1, s + 1) for kind in ("units", "weights")),
            f"stage{s}",
            f"width{s}",
        ]
    ),
    *(f"{kind}_r{r}" for r in _STAGES for kind in ("depth", "weights", "narrowest")),
    *("blocks", "depth", "fusion", "params", "flops", "stem"),
)


def _picking(names: list[str], of: list[str]) -> Tensor:
    """Matrix (len(of), len(names)) whose product picks columns by name."""
    return torch.eye(len(of), dtype=torch.float64)[:, [of.index(name) for name in names]]


def _matrix(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


_GROUPS = [
    [f"b{s}" for s, _ in _BRANCHES],
    [f"n{s}_{r}" for s, r in _BRANCHES],
    [f"c{s}_{r}" for s, r in _BRANCHES],
    [f"b{s}" for s, *_ in _FUSED],
    [f"c{s}_{r}" for s, r, *_ in _FUSED],
    [f"c{s}_{q}" for s, _, q, _ in _FUSED],
    [f"b{s}" for s in _STAGES],
    ["i1"],
    ["i2"],
]
_SIZES = [len(group) for group in _GROUPS]
_PICK = _picking([name for group in _GROUPS for name in group], list(_SPACE.columns))
_OF_STAGE = _matrix([[s == t for t in _STAGES] for s, _ in _BRANCHES])  # (10, 4)
_OF_RESOLUTION = _matrix([[r == q for q in _STAGES] for _, r in _BRANCHES])
_APART = torch.where(_OF_RESOLUTION > 0, 0.0, torch.inf)  # hides widths of other resolutions
_ALL = _matrix([[1.0] for _ in _BRANCHES])
_SHRINK = _matrix([[4.0**-r] for _, r in _BRANCHES])  # pixels of a branch
_KERNELS = _matrix([[kernel] for *_, kernel in _FUSED])
_SUMS = torch.cat([torch.eye(len(_BRANCHES)), _OF_STAGE, _OF_RESOLUTION, _ALL, _SHRINK], dim=1)
_DEPTHS = torch.cat([torch.eye(len(_BRANCHES)), _OF_RESOLUTION, _ALL], dim=1)
_MADE = [  # in the order in which `derived` joins them
    *(f"units{s}_{r}" for s, r in _BRANCHES),
    *(f"depth_r{r}" for r in _STAGES),
    "depth",
    *(f"width{s}" for s in _STAGES),
    *(f"narrowest_r{r}" for r in _STAGES),
    "blocks",
    *(f"weights{s}_{r}" for s, r in _BRANCHES),
    *(f"stage{s}" for s in _STAGES),
    *(f"weights_r{r}" for r in _STAGES),
    *("params", "flops", "fusion", "stem"),
]
_SORT = _picking(list(NAMES), _MADE)
_CONSTANTS = (_PICK, _OF_STAGE, _APART, _KERNELS, _SUMS, _DEPTHS, _SORT)


def derived(codes: Tensor) -> Tensor:
    """Features of codes (n, 27) without the code's own numbers, (n, 46); differentiable.

    In the order of ``NAMES``: for each stage residual units and log2 weights of each branch, then
    log2 weights and width of the stage; for each resolution depth, log2 weights and narrowest
    width; then blocks and depth, and log2 of fusion, params, FLOPs and stem.
    """
    pick, stage, apart, kernels, sums, depths, sort = (matrix.to(codes) for matrix in _CONSTANTS)
    b, n, c, b_to, c_to, c_from, blocks, i1, i2 = (codes @ pick).split(_SIZES, dim=1)
    units = b * n
    weights = (2 * _KERNEL * units * c**2) @ sums
    per_branch, total, work = weights.split([weights.shape[1] - 2, 1, 1], dim=1)
    fusion = (b_to * c_to * c_from) @ kernels
    stem = i1 * i2
    logs = [per_branch, total + fusion, work + _KERNEL * (3 * i1 + stem), fusion, stem]
    plain = [units @ depths, c @ stage, (c[:, :, None] + apart).amin(1)]
    made = [*plain, blocks.sum(1, keepdim=True), torch.cat(logs, dim=1).log2()]
    return torch.cat(made, dim=1) @ sort


def smooth_features(unit: Tensor) -> Tensor:
    """What a neural predictor is given of unit codes (n, 27): shape (n, 73), differentiable.

    The code's numbers in log2, since the metrics follow ratios of widths and depths, then
    `derived`. For ``Featured``.

    Raises:
        ValueError: Another number of columns.
    """
    if unit.shape[-1] != len(_SPACE.columns):
        raise ValueError(f"x has {unit.shape[-1]} columns; an MRSpace code has 27")
    codes = _SPACE.denormalize(unit)
    return torch.cat([codes.log2(), derived(codes)], dim=1)
