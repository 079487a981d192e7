"""What a model sees of an MRSpace code beside its numbers: sums and products that decide metrics.

Notation, as in `blueprint`
    s, r            stage 1..4 and branch 1..s; branch r works at 1/2^(r+1) of the input
    b_s, n_sr, c_sr blocks, residual units and channels; each (n, 10) for the ten branches s, r
    codes           (n, 27) in natural units; fractions are legal, so that gradients exist

Work is depth times width squared, and sums over branches: a tree spends many splits, a small
network many units and both many rows to find that. They are given here, in log2, where the
metrics bend least. The costs are leading terms alone; the exact ones are in `costs`.

A search differentiates this at every step, on few codes, where the number of operations counts:
all are sums of products of up to four columns. Columns are picked, products summed, and sums sorted
by products with constant matrices, which takes a third of the time of indexing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import CODEC, KERNEL, STAGES, fusion_paths
from ncp_sampler.space.search_space import SearchSpace

_VOLUME = KERNEL**2  # weights of a kernel per pair of channels
_S = [stage.number for stage in STAGES]
_BRANCHES = [(s, r) for s in _S for r in range(1, s + 1)]

NAMES = (
    *(
        name
        for s in _S
        for name in [
            *(f"{kind}{s}_{r}" for r in range(1, s + 1) for kind in ("units", "weights")),
            f"stage{s}",
            f"width{s}",
        ]
    ),
    *(f"{kind}_r{r}" for r in _S for kind in ("depth", "weights", "narrowest")),
    *("blocks", "depth", "fusion", "params", "flops", "stem"),
)


_Sum: TypeAlias = dict[tuple[str, ...], float]  # products of columns, and their factors

_UNITS = {(s.number, r): name for s in STAGES for r, name in enumerate(s.units, start=1)}
_WIDTHS = {(s.number, r): name for s in STAGES for r, name in enumerate(s.widths, start=1)}


def _depth(branches: Sequence[tuple[int, int]]) -> _Sum:
    """Residual units of some branches."""
    return {(STAGES[s - 1].blocks, _UNITS[s, r]): 1.0 for s, r in branches}


def _weights(branches: Sequence[tuple[int, int]], *, shrink: float = 1.0) -> _Sum:
    """Weights of the residual units of some branches, less from resolution to resolution."""
    return {
        (STAGES[s - 1].blocks, _UNITS[s, r], _WIDTHS[s, r], _WIDTHS[s, r]): 2 * _VOLUME * shrink**r
        for s, r in branches
    }


_STAGE = {s: [(s, r) for r in range(1, s + 1)] for s in _S}
_AT = {r: [(s, r) for s in range(r, len(_S) + 1)] for r in _S}
_FUSION: _Sum = {
    (stage.blocks, stage.widths[path.target - 1], stage.widths[path.source - 1]): path.kernel**2
    for stage in STAGES
    for path in fusion_paths(stage.number, stage.number)
}
_PLAIN: dict[str, _Sum] = {
    **{f"units{s}_{r}": _depth([(s, r)]) for s, r in _BRANCHES},
    **{f"depth_r{r}": _depth(_AT[r]) for r in _S},
    "depth": _depth(_BRANCHES),
    **{f"width{s}": {(_WIDTHS[branch],): 1.0 for branch in _STAGE[s]} for s in _S},
    "blocks": {(stage.blocks,): 1.0 for stage in STAGES},
}
_LOGS: dict[str, _Sum] = {
    **{f"weights{s}_{r}": _weights([(s, r)]) for s, r in _BRANCHES},
    **{f"stage{s}": _weights(_STAGE[s]) for s in _S},
    **{f"weights_r{r}": _weights(_AT[r]) for r in _S},
    "params": _weights(_BRANCHES) | _FUSION,
    "flops": {**_weights(_BRANCHES, shrink=0.25), ("i1",): 3.0 * _VOLUME, ("i1", "i2"): _VOLUME},
    "fusion": _FUSION,
    "stem": {("i1", "i2"): 1.0},
}
_NARROWEST = {f"narrowest_r{r}": [_WIDTHS[branch] for branch in _AT[r]] for r in _S}


def _picking(products: Sequence[Sequence[str]], factors: int, missing: float) -> Tensor:
    """(28, factors * products): each product's first factors, then the second ones, and so on.

    The last row is added, whatever the code: what stands for a factor that a product lacks.
    """
    pick = torch.zeros(len(CODEC.columns) + 1, factors, len(products), dtype=torch.float64)
    for j, product in enumerate(products):
        for i in range(factors):
            if i < len(product):
                pick[CODEC.columns.index(product[i]), i, j] = 1.0
            else:
                pick[-1, i, j] = missing
    return pick.flatten(1)


_FACTORS = 4
_PRODUCTS = list(dict.fromkeys(key for one in (*_PLAIN.values(), *_LOGS.values()) for key in one))
_PICK = torch.cat(
    [
        _picking(_PRODUCTS, _FACTORS, 1.0),
        _picking(list(_NARROWEST.values()), len(_S), torch.inf),
    ],
    dim=1,
)
_SUMS = torch.tensor(
    [[one.get(key, 0.0) for one in (*_PLAIN.values(), *_LOGS.values())] for key in _PRODUCTS],
    dtype=torch.float64,
)
_MADE = [*_PLAIN, *_NARROWEST, *_LOGS]
_SORT = torch.eye(len(_MADE), dtype=torch.float64)[:, [_MADE.index(name) for name in NAMES]]
_SIZES = [*[len(_PRODUCTS)] * _FACTORS, len(_S) * len(_NARROWEST)]


def derived(codes: Tensor) -> Tensor:
    """Features of codes (n, 27) without the code's own numbers, (n, 46); differentiable.

    In the order of ``NAMES``: for each stage residual units and log2 weights of each branch, then
    log2 weights and width of the stage; for each resolution depth, log2 weights and narrowest
    width; then blocks and depth, and log2 of fusion, params, FLOPs and stem.
    """
    pick, sums, sort = (matrix.to(codes) for matrix in (_PICK, _SUMS, _SORT))
    one, two, three, four, widths = torch.addmm(pick[-1], codes, pick[:-1]).split(_SIZES, dim=1)
    plain, powers = (one * two * three * four @ sums).split([len(_PLAIN), len(_LOGS)], dim=1)
    narrowest = widths.reshape(len(codes), len(_S), len(_NARROWEST)).amin(1)
    return torch.cat([plain, narrowest, powers.log2()], dim=1) @ sort


def smooth_features(unit: Tensor, *, codec: SearchSpace = CODEC) -> Tensor:
    """What a neural predictor is given of unit codes (n, 27): shape (n, 73), differentiable.

    The code's numbers in log2, since the metrics follow ratios of widths and depths, then
    `derived`. For ``FeaturePredictor``.

    Args:
        unit: Unit codes.
        codec: The space that makes codes of them, where it is narrower than the published one.

    Raises:
        ValueError: Another number of columns.
    """
    checks.instance("unit", unit, torch.Tensor, "be a tensor of unit codes (n, 27)")
    if unit.ndim != 2 or unit.shape[-1] != len(CODEC.columns):
        raise ValueError(f"unit has shape {tuple(unit.shape)}; it must be codes (n, 27)")
    codes = codec.denormalize(unit)
    return torch.cat([codes.log2(), derived(codes)], dim=1)
