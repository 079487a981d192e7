"""Winner-takes-all editing: one step of one column per iteration (paper, equations 4 to 6).

Notation
    x (n, d)     unit codes, each edited independently
    k (d,)       one step of each column, in unit codes; in natural units, 8 for the channels of
                 ``MRSpace``, 1 for its blocks and units
    T            cost of a code in natural units
    dr (n, d)    T(e + k in one column) - T(e)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.targets import Cost
from ncp_sampler.space.dimensions import Categorical, Dimension
from ncp_sampler.space.search_space import SearchSpace

_CONTINUOUS_STEP = 0.05  # step, in unit codes, of a column without an even grid


@dataclass(frozen=True)
class WinnerTakesAll:
    """Strategy that moves one column per iteration, which reduces the loss most per unit of cost.

    Attributes:
        cost: T of equation 4: codes (n, d) in natural units -> (n,), increasing in every column,
            such as ``costs.flops``. If None, every step costs the same, except that an offline
            search uses the first known cost among its targets.
        scale: Positive scale (d,) of each column, in unit codes; equation 5 takes the gradient per
            unit of it. The standard deviation of the training unit codes gives the paper's
            standardized codes. None means 1; offline searches from records set their own scale.
            Without a cost function, it has no effect.

    Raises:
        ValueError: The cost is not a function, or the scale is not positive numbers.

    Examples:
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.propagation import Target, propagate
        >>> target = Target("flops", "minimize", cost=costs.flops)
        >>> winner = WinnerTakesAll(costs.flops)
        >>> trace = propagate([], MRSpace().start, [target], space=MRSpace(), strategy=winner)
        >>> int((trace.codes[0] != trace.codes[1]).sum())  # one number a step
        1
    """

    cost: Cost | None = None
    scale: ArrayLike | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        checks.scales(self.scale)
        checks.call("cost", self.cost, "be a function of codes, such as costs.flops, or None")

    def begin(
        self, space: SearchSpace, x: FloatArray
    ) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """Return the step function of a new run, which moves the best column.

        Raises:
            ValueError: The length of the scale is not d.
        """
        scale = checks.scales(self.scale, x.shape[1])
        return partial(winner_takes_all, space=space, cost=self.cost, scale=scale)


def winner_takes_all(
    x: FloatArray,
    gradient: FloatArray,
    *,
    space: SearchSpace,
    cost: Cost | None = None,
    scale: FloatArray | float = 1.0,
) -> FloatArray:
    """Move each unit code in its best column by one step against the loss gradient.

    With a cost, columns compete by gradient over cost increase (equation 5): a column whose
    decrease lowers both loss and cost wins; otherwise, the column that reduces the loss most per
    unit of cost wins. Without a cost, the column whose step lowers the loss most wins. A column at
    the end of its range cannot win. A categorical moves by changing to another category.

    Args:
        x: Unit codes, (n, d).
        gradient: d loss / d x, (n, d).
        space: The codes' search space.
        cost: Codes (n, d) in natural units -> (n,), increasing in every column.
        scale: Scale (d,) of each column; with a cost, gradients are per unit of it.

    Returns:
        The edited unit codes, (n, d).
    """
    owner = [(i, dim) for i, dim in enumerate(space.dimensions) for _ in _steps(dim)]
    k = np.array([step for dim in space.dimensions for step in _steps(dim)])
    categorical = np.array([isinstance(dim, Categorical) for _, dim in owner])
    block = np.array([i for i, _ in owner])
    up = (x + k <= 1 + 1e-9) & (k > 0)
    down = (x - k >= -1e-9) & (k > 0) & ~categorical
    # without a cost, the ratio is the change in the loss by one step, whatever the scale
    ratio = gradient * k if cost is None else gradient * scale / _increase(x, k, space, cost)
    falling, rising = np.where(down, ratio, 0.0), np.where(up, ratio, 0.0)
    fall_at, rise_at = falling.argmax(1), rising.argmin(1)
    rows = np.arange(len(x))
    fall, rise = falling[rows, fall_at], rising[rows, rise_at]
    # in equation 5, a decrease of loss and cost always wins; without a cost, the steeper side does
    falls = (fall > 0) & ((cost is not None) | (fall >= -rise))
    rises = ~falls & (rise < 0)
    edited = x.copy()
    edited[rows[falls], fall_at[falls]] -= k[fall_at[falls]]  # equation 6
    taken = rise_at[:, None]
    edited[rises[:, None] & categorical[taken] & (block == block[taken])] = 0.0
    edited[rows[rises], rise_at[rises]] += k[rise_at[rises]]
    return np.clip(edited, 0.0, 1.0)


def _increase(x: FloatArray, k: FloatArray, space: SearchSpace, cost: Cost) -> FloatArray:
    """Return the positive increase (n, d) in cost due to one step of each column (equation 4)."""
    after = np.clip(x[:, None] + np.diag(k), 0.0, 1.0).reshape(-1, x.shape[1])
    codes = space.denormalize(space.effective(torch.as_tensor(np.concatenate([after, x]))))
    with torch.no_grad():
        costs = cost(codes).double().cpu().numpy()
    increase = costs[: len(after)].reshape(x.shape) - costs[len(after) :, None]
    return np.asarray(np.maximum(increase, 1e-12))


def _steps(dim: Dimension) -> list[float]:
    """Return one step of each column of a dimension, in unit codes."""
    if isinstance(dim, Categorical):
        return [1.0] * len(dim.choices)
    if dim.low == dim.high:
        return [0.0]
    if dim.log or dim.step is None:
        return [_CONTINUOUS_STEP]
    return [dim.step / (dim.high - dim.low)]
