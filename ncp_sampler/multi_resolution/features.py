"""Features of MRSpace codes: sums and products of columns on which metrics depend.

Notation, as in `blueprint`
    s, r            stage 1..4 and branch 1..s; branch r works at 1/2^(r+1) of the input
    b_s, n_sr, c_sr number of blocks, residual units and channels, for the ten branches (s, r)
    codes           (n, 27) in natural units; fractions are allowed, so that gradients exist

The computation in a branch grows with depth times width squared. From the columns alone, trees need
many splits, and small networks many units, to model this product, so that both need many rows. The
features therefore contain such products, in log2, because metrics are then closest to linear. They
contain only the leading terms of costs; `costs` computes exact costs.

A search differentiates the features of a few codes at every step, so the number of operations
determines the time. Apart from minima, all features are sums of products of up to four columns.
Products with constant matrices select columns, sum products and sort the sums, which takes a third
of the time of indexing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import CODEC, KERNEL, STAGES, fusion_paths
from ncp_sampler.space.search_space import SearchSpace

FloatArray: TypeAlias = NDArray[np.float64]

_VOLUME = KERNEL**2  # Number of kernel weights per pair of channels
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


_Sum: TypeAlias = dict[tuple[str, ...], float]  # product of columns -> its coefficient in the sum

_UNITS = {(s.number, r): name for s in STAGES for r, name in enumerate(s.units, start=1)}
_WIDTHS = {(s.number, r): name for s in STAGES for r, name in enumerate(s.widths, start=1)}


def _depth(branches: Sequence[tuple[int, int]]) -> _Sum:
    """Return the total number of residual units in some branches."""
    return {(STAGES[s - 1].blocks, _UNITS[s, r]): 1.0 for s, r in branches}


def _weights(branches: Sequence[tuple[int, int]], *, shrink: float = 1.0) -> _Sum:
    """Return the number of weights in the residual units of some branches.

    The terms of branch r are multiplied by ``shrink**r``.
    """
    return {
        (STAGES[s - 1].blocks, _UNITS[s, r], _WIDTHS[s, r], _WIDTHS[s, r]): 2 * _VOLUME * shrink**r
        for s, r in branches
    }


_STAGE = {s: [(s, r) for r in range(1, s + 1)] for s in _S}
_RESOLUTION = {r: [(s, r) for s in range(r, len(_S) + 1)] for r in _S}
_FUSION: _Sum = {
    (stage.blocks, stage.widths[path.target - 1], stage.widths[path.source - 1]): path.kernel**2
    for stage in STAGES
    for path in fusion_paths(stage.number, stage.number)
}
_PLAIN: dict[str, _Sum] = {
    **{f"units{s}_{r}": _depth([(s, r)]) for s, r in _BRANCHES},
    **{f"depth_r{r}": _depth(_RESOLUTION[r]) for r in _S},
    "depth": _depth(_BRANCHES),
    **{f"width{s}": {(_WIDTHS[branch],): 1.0 for branch in _STAGE[s]} for s in _S},
    "blocks": {(stage.blocks,): 1.0 for stage in STAGES},
}
_LOGS: dict[str, _Sum] = {
    **{f"weights{s}_{r}": _weights([(s, r)]) for s, r in _BRANCHES},
    **{f"stage{s}": _weights(_STAGE[s]) for s in _S},
    **{f"weights_r{r}": _weights(_RESOLUTION[r]) for r in _S},
    "params": _weights(_BRANCHES) | _FUSION,
    "flops": {**_weights(_BRANCHES, shrink=0.25), ("i1",): 3.0 * _VOLUME, ("i1", "i2"): _VOLUME},
    "fusion": _FUSION,
    "stem": {("i1", "i2"): 1.0},
}
_NARROWEST = {f"narrowest_r{r}": [_WIDTHS[branch] for branch in _RESOLUTION[r]] for r in _S}


def _picking(products: Sequence[Sequence[str]], factors: int, missing: float) -> Tensor:
    """Return the matrix (28, factors * products) that selects the factors of products from codes.

    The first factors of all products come first, then all second factors, and so on. The last row
    is added to the result for every code; it contains the value ``missing`` for each factor that a
    product does not have.
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
_PRODUCTS = list(
    dict.fromkeys(key for products in (*_PLAIN.values(), *_LOGS.values()) for key in products)
)
_PICK = torch.cat(
    [
        _picking(_PRODUCTS, _FACTORS, 1.0),
        _picking(list(_NARROWEST.values()), len(_S), torch.inf),
    ],
    dim=1,
)
_SUMS = torch.tensor(
    [
        [products.get(key, 0.0) for products in (*_PLAIN.values(), *_LOGS.values())]
        for key in _PRODUCTS
    ],
    dtype=torch.float64,
)
_MADE = [*_PLAIN, *_NARROWEST, *_LOGS]
_SORT = torch.eye(len(_MADE), dtype=torch.float64)[:, [_MADE.index(name) for name in NAMES]]
_SIZES = [*[len(_PRODUCTS)] * _FACTORS, len(_S) * len(_NARROWEST)]


# For NumPy: position of each factor in a code followed by 1, and of each width in a code followed
# by infinity
_FACTORS_AT = _PICK[:, : _FACTORS * len(_PRODUCTS)].argmax(0).reshape(_FACTORS, -1).numpy()
_WIDTHS_AT = _PICK[:, _FACTORS * len(_PRODUCTS) :].numpy()
_WIDTHS_AT = np.where(_WIDTHS_AT[-1] > 0, len(CODEC.columns), _WIDTHS_AT[:-1].argmax(0))
_ORDER = _SORT.argmax(0).numpy()  # Position of each name among the computed features
_SUMS_ARRAY, _PICK_BACK = _SUMS.numpy(), np.ascontiguousarray(_PICK[:-1].numpy().T)
_LOG2E = 1 / math.log(2)


def derived(codes: Tensor) -> Tensor:
    """Return differentiable features (n, 46) of codes (n, 27), without the columns of the codes.

    The features are in the order of ``NAMES``. For each stage: number of residual units and log2 of
    the weights of each branch, then log2 of the weights of the stage, and its total width. For each
    resolution: depth, log2 of the weights, and smallest width. For the network: number of blocks
    and depth, then log2 of the weights of fusions, of params, of FLOPs and of the stem.
    """
    pick, sums, sort = (matrix.to(codes) for matrix in (_PICK, _SUMS, _SORT))
    a, b, c, d, widths = torch.addmm(pick[-1], codes, pick[:-1]).split(_SIZES, dim=1)
    plain, powers = (a * b * c * d @ sums).split([len(_PLAIN), len(_LOGS)], dim=1)
    narrowest = widths.reshape(len(codes), len(_S), len(_NARROWEST)).amin(1)
    return torch.cat([plain, narrowest, powers.log2()], dim=1) @ sort


def derived_vjp(codes: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Return ``derived`` for an array of codes (n, 27), and the pullback of gradients to codes."""
    n, plain_count = len(codes), len(_PLAIN)
    a, b, c, d = np.concatenate([codes, np.ones((n, 1))], 1)[:, _FACTORS_AT].swapaxes(0, 1)
    first, second = a * b, c * d
    summed = first * second @ _SUMS_ARRAY
    powers = summed[:, plain_count:]
    widths = np.concatenate([codes, np.full((n, 1), np.inf)], 1)[:, _WIDTHS_AT]
    widths = widths.reshape(n, len(_S), len(_NARROWEST))
    narrowest = widths.min(1)
    made = np.concatenate([summed[:, :plain_count], narrowest, np.log2(powers)], 1)

    def pullback(g: FloatArray) -> FloatArray:
        by_made = np.empty_like(g)
        by_made[:, _ORDER] = g
        by_plain, by_narrowest, by_logs = np.split(
            by_made, [plain_count, plain_count + len(_NARROWEST)], axis=1
        )
        by_product = np.concatenate([by_plain, by_logs * _LOG2E / powers], 1) @ _SUMS_ARRAY.T
        by_first, by_second = by_product * second, by_product * first
        narrow = widths == narrowest[:, None]  # equal widths share the gradient, as in torch.amin
        by_widths = narrow * (by_narrowest / narrow.sum(1))[:, None]
        by_factors = [by_first * b, by_first * a, by_second * d, by_second * c]
        return np.asarray(np.concatenate([*by_factors, by_widths.reshape(n, -1)], 1) @ _PICK_BACK)

    return made[:, _ORDER], pullback


@dataclass(frozen=True)
class SmoothFeatures:
    """Features of unit codes of ``MRSpace`` for predictors: (n, 27) -> (n, 73).

    The features are log2 of the columns of the code, because metrics depend on ratios of widths and
    depths, followed by the features of ``derived``. PyTorch can differentiate a call of this
    object; ``vjp`` returns features and gradients in NumPy.

    Attributes:
        codec: Space of the unit codes: ``CODEC``, or a space with lower maxima.
    """

    codec: SearchSpace = CODEC

    def __call__(self, unit: Tensor) -> Tensor:
        """Return the features of a tensor of unit codes.

        Raises:
            ValueError: If the number of columns is wrong.
        """
        checks.instance("unit", unit, torch.Tensor, "be a tensor of unit codes (n, 27)")
        self._check(tuple(unit.shape))
        codes = self.codec.denormalize(unit)
        return torch.cat([codes.log2(), derived(codes)], dim=1)

    def vjp(self, unit: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return the features of an array of unit codes, and the pullback of their gradients.

        Raises:
            ValueError: If the number of columns is wrong.
        """
        self._check(unit.shape)
        low = np.array([dim.low for dim in self.codec.dimensions], dtype=np.float64)  # type: ignore[union-attr]
        width = np.array([dim.high for dim in self.codec.dimensions]) - low  # type: ignore[union-attr]
        codes = low + width * unit
        features, pullback = derived_vjp(codes)
        size = len(self.codec.columns)

        def to_unit(g: FloatArray) -> FloatArray:
            return np.asarray((g[:, :size] * _LOG2E / codes + pullback(g[:, size:])) * width)

        return np.concatenate([np.log2(codes), features], 1), to_unit

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[-1] != len(CODEC.columns):
            raise ValueError(f"unit has shape {shape}; it must be codes (n, 27)")


smooth_features = SmoothFeatures()
