"""Winner-takes-all editing: one column, one step per iteration (paper, equations 4 to 6).

Notation
    x (n, d)     unit codes, each edited on its own
    k (d,)       one step of each column: 8 for the channels of ``MRSpace``, 1 for blocks and units
    T            cost of a code in natural units
    dr (n, d)    T(e + k in one column) - T(e)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.propagation.targets import Cost
from ncp_sampler.space.dimensions import Categorical, Dimension
from ncp_sampler.space.search_space import SearchSpace

_CONTINUOUS_STEP = 0.05  # of the unit range, where a column has no even steps


@dataclass(frozen=True)
class WinnerTakesAll:
    """One column by one step an iteration: where it saves the most loss for its cost.

    Attributes:
        cost: T of equation 4: codes (n, d) in natural units -> (n,), increasing in every column,
            such as ``costs.flops``. Without it every step costs the same; searches fill in the
            known cost among their targets.

    Raises:
        ValueError: A cost that is no function.

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

    def __post_init__(self) -> None:
        checks.call("cost", self.cost, "be a function of codes, such as costs.flops, or None")

    def begin(self, space: SearchSpace, x: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """One step of the best column."""
        return partial(winner_takes_all, space=space, cost=self.cost)


def winner_takes_all(
    x: Tensor, gradient: Tensor, *, space: SearchSpace, cost: Cost | None = None
) -> Tensor:
    """Moves each unit code in its best column by one step against the loss gradient.

    With a cost, columns compete by gradient over cost increase (equation 5): one whose decrease
    lowers both loss and cost wins, else the one with the most loss saved per cost. Without one,
    the column whose step lowers the loss most wins. A column at the end of its range cannot; a
    categorical moves by taking another choice.

    Args:
        x: Unit codes, (n, d).
        gradient: d loss / d x, (n, d).
        space: The codes' search space.
        cost: Codes (n, d) in natural units -> (n,), increasing in every column.

    Returns:
        The edited unit codes, (n, d).
    """
    owner = [(i, dim) for i, dim in enumerate(space.dimensions) for _ in _steps(dim)]
    k = x.new_tensor([step for dim in space.dimensions for step in _steps(dim)])
    choice = torch.tensor([isinstance(dim, Categorical) for _, dim in owner], device=x.device)
    block = torch.tensor([i for i, _ in owner], device=x.device)
    up = (x + k <= 1 + 1e-9) & (k > 0)
    down = (x - k >= -1e-9) & (k > 0) & ~choice
    if cost is None:
        ratio = gradient * k
    else:
        with torch.no_grad():
            after = (x[:, None] + torch.diag_embed(k)).clamp(0.0, 1.0)
            raised = cost(space.denormalize(after.flatten(0, 1))).reshape(x.shape)
            increase = (raised - cost(space.denormalize(x))[:, None]).to(x.dtype)  # equation 4
        ratio = gradient / increase.clamp_min(1e-12)
    fall = ratio.masked_fill(~(down & (ratio > 0)), 0.0).max(1)
    rise = ratio.masked_fill(~(up & (ratio < 0)), 0.0).min(1)
    # equation 5 falls whenever that saves both; without a cost the steeper side wins
    falls = fall.values > 0 if cost is not None else fall.values >= -rise.values
    falls &= fall.values > 0
    rises = ~falls & (rise.values < 0)
    edited = x.clone()
    rows = torch.arange(len(x), device=x.device)
    edited[rows[falls], fall.indices[falls]] -= k[fall.indices[falls]]  # equation 6
    taken = rise.indices[:, None]
    dropped = rises[:, None] & choice[taken] & (block == block[taken])
    edited = edited.masked_fill(dropped, 0.0)
    edited[rows[rises], rise.indices[rises]] += k[rise.indices[rises]]
    return edited.clamp(0.0, 1.0)


def _steps(dim: Dimension) -> list[float]:
    """One step of each column of a dimension, in unit terms."""
    if isinstance(dim, Categorical):
        return [1.0] * len(dim.choices)
    if dim.low == dim.high:
        return [0.0]
    if dim.log or dim.step is None:
        return [_CONTINUOUS_STEP]
    return [dim.step / (dim.high - dim.low)]
