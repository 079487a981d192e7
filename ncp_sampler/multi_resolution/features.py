"""What a model sees of an MRSpace code beside its numbers: sums and products that decide metrics.

Notation, as in `blueprint`
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

from typing import NamedTuple

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import CODEC, KERNEL, STAGES, fusion_paths
from ncp_sampler.space.search_space import SearchSpace

_VOLUME = KERNEL**2  # weights of a kernel per pair of channels
_S = [stage.number for stage in STAGES]
_BRANCHES = [(s, r) for s in _S for r in range(1, s + 1)]
_FUSED = [(stage, path) for stage in STAGES for path in fusion_paths(stage.number, stage.number)]

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


class _Sums(NamedTuple):
    """Weighted sums over the ten branches, each by its name."""

    names: list[str]
    matrix: Tensor  # (10, sums)


def _sums(sums: dict[str, list[float]]) -> _Sums:
    return _Sums(list(sums), torch.tensor(list(sums.values()), dtype=torch.float64).T.contiguous())


def _picking(names: list[str], of: list[str]) -> Tensor:
    """Matrix (len(of), len(names)) whose product picks columns by name."""
    return torch.eye(len(of), dtype=torch.float64)[:, [of.index(name) for name in names]]


def _of_branch(kind: str) -> dict[str, list[float]]:
    return {f"{kind}{s}_{r}": [float((s, r) == b) for b in _BRANCHES] for s, r in _BRANCHES}


def _of_stage(kind: str) -> dict[str, list[float]]:
    return {f"{kind}{s}": [float(s == t) for t, _ in _BRANCHES] for s in _S}


def _of_resolution(kind: str) -> dict[str, list[float]]:
    return {f"{kind}_r{r}": [float(r == q) for _, q in _BRANCHES] for r in _S}


_ALL = [1.0] * len(_BRANCHES)
_PIXELS = [4.0**-r for _, r in _BRANCHES]
_UNITS = _sums({**_of_branch("units"), **_of_resolution("depth"), "depth": _ALL})
_WIDTHS = _sums(_of_stage("width"))
_WEIGHTS = _sums(
    {
        **_of_branch("weights"),
        **_of_stage("stage"),
        **_of_resolution("weights"),
        "params": _ALL,
        "flops": _PIXELS,
    }
)
_NARROWEST = _sums(_of_resolution("narrowest"))
_APART = torch.where(_NARROWEST.matrix > 0, 0.0, torch.inf)  # hides widths of other resolutions
_KERNELS = torch.tensor([[path.kernel**2] for _, path in _FUSED], dtype=torch.float64)

_GROUPS = [  # columns of the code, as `derived` takes them apart
    [STAGES[s - 1].blocks for s, _ in _BRANCHES],
    [name for stage in STAGES for name in stage.units],
    [name for stage in STAGES for name in stage.widths],
    [stage.blocks for stage, _ in _FUSED],
    [stage.widths[path.target - 1] for stage, path in _FUSED],
    [stage.widths[path.source - 1] for stage, path in _FUSED],
    [stage.blocks for stage in STAGES],
    ["i1"],
    ["i2"],
]
_SIZES = [len(group) for group in _GROUPS]
_PICK = _picking([name for group in _GROUPS for name in group], list(CODEC.columns))
_MADE = [  # as `derived` joins them
    *(name for sums in (_UNITS, _WIDTHS, _NARROWEST) for name in sums.names),
    "blocks",
    *_WEIGHTS.names,
    *("fusion", "stem"),
]
_SORT = _picking(list(NAMES), _MADE)
_CONSTANTS = (
    _PICK,
    _WIDTHS.matrix,
    _APART,
    _KERNELS,
    _WEIGHTS.matrix,
    _UNITS.matrix,
    _SORT,
)


def derived(codes: Tensor) -> Tensor:
    """Features of codes (n, 27) without the code's own numbers, (n, 46); differentiable.

    In the order of ``NAMES``: for each stage residual units and log2 weights of each branch, then
    log2 weights and width of the stage; for each resolution depth, log2 weights and narrowest
    width; then blocks and depth, and log2 of fusion, params, FLOPs and stem.
    """
    pick, widths, apart, kernels, sums, depths, sort = (matrix.to(codes) for matrix in _CONSTANTS)
    b, n, c, b_to, c_to, c_from, blocks, i1, i2 = (codes @ pick).split(_SIZES, dim=1)
    units = b * n
    weights = (2 * _VOLUME * units * c**2) @ sums
    per_branch, total, work = weights.split([weights.shape[1] - 2, 1, 1], dim=1)
    fusion = (b_to * c_to * c_from) @ kernels
    stem = i1 * i2
    logs = [per_branch, total + fusion, work + _VOLUME * (3 * i1 + stem), fusion, stem]
    plain = [units @ depths, c @ widths, (c[:, :, None] + apart).amin(1)]
    made = [*plain, blocks.sum(1, keepdim=True), torch.cat(logs, dim=1).log2()]
    return torch.cat(made, dim=1) @ sort


def smooth_features(unit: Tensor, *, codec: SearchSpace = CODEC) -> Tensor:
    """What a neural predictor is given of unit codes (n, 27): shape (n, 73), differentiable.

    The code's numbers in log2, since the metrics follow ratios of widths and depths, then
    `derived`. For ``Featured``.

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
