"""Gradient steps on unit codes: the paper's gradient descent, and Adam for acquisition functions.

Notation
    x       unit codes (n, d) being edited, for n simultaneous starts
    grad    d loss / d x, (n, d)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import ArrayLike

from ncp_sampler import adam, checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.strategies import Step, Strategy
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

# Constants of a descent that settles: size of a move (in unit codes) below which a start stops;
# number of iterations in which only overshooting reduces the rate; and factor on the rate in each
# later iteration, which ends any search after about 40 iterations
_STILL, _WARM, _COOLING = 1e-3, 20, 0.7


@dataclass(frozen=True)
class GradientDescent:
    """The paper's strategy: gradient descent within the space, at one rate for all columns.

    Attributes:
        rate: Positive learning rate for codes in units of ``scale``; 3 in the paper.
        scale: Positive scale (d,) of each column, in unit codes. The standard deviation of the
            training unit codes, for example, gives the paper's standardized codes. None means 1;
            offline searches from records set their own scale.
        settle: True to halve the rate of a start whenever a step has passed a minimum of the loss,
            to reduce all rates steadily after 20 iterations, and to stop a start once no column
            moves by at least 0.001 of its range. At a constant rate, a code near an optimum would
            oscillate around it forever.

    Raises:
        ValueError: An argument is out of its range.

    Examples:
        >>> GradientDescent(rate=3.0).rate
        3.0
    """

    rate: float = 3.0
    scale: ArrayLike | None = field(default=None, compare=False)
    settle: bool = False

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, above=0)
        checks.flag("settle", self.settle)
        checks.scales(self.scale)

    def begin(self, space: SearchSpace, x: FloatArray) -> Step:
        """Return the step function of a new run, which takes unit codes and the gradient (n, d).

        Raises:
            ValueError: The length of the scale is not d.
        """
        scale = checks.scales(self.scale, x.shape[1])
        rate, moved, cooling = np.full((len(x), 1), self.rate), np.zeros_like(x), count(-_WARM)

        def step(x: FloatArray, gradient: FloatArray) -> FloatArray:
            if self.settle:
                rate[(moved * gradient).sum(1) > 0] /= 2  # the last move passed a minimum
                rate[:] *= _COOLING if next(cooling) > 0 else 1.0
            after = project(x - rate * scale**2 * gradient, space)
            if self.settle:
                still = np.abs(after - x).max(1) < _STILL
                after[still] = x[still]
                moved[:] = after - x
            return after

        return step


@dataclass(frozen=True)
class Adam:
    """Adam over all columns, for losses that span orders of magnitude, like acquisition functions.

    Attributes:
        rate: Positive size of a step, in unit codes.

    Raises:
        ValueError: An argument is out of its range.

    Examples:
        >>> Adam(rate=0.1)
        Adam(rate=0.1)
    """

    rate: float = 0.05

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, above=0)

    def begin(self, space: SearchSpace, x: FloatArray) -> Step:
        """Return the step function of a new run of Adam."""
        run = adam.Adam(rate=self.rate)

        def step(x: FloatArray, gradient: FloatArray) -> FloatArray:
            return np.asarray(np.clip(run.step(x, gradient), 0.0, 1.0))

        return step


def ascend(
    objective: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    start: FloatArray,
    *,
    space: SearchSpace,
    strategy: Strategy,
    iterations: int = 30,
    free: FloatArray | None = None,
    low: FloatArray | None = None,
    high: FloatArray | None = None,
) -> FloatArray:
    """Edit unit codes (n, d) to increase an objective, such as an acquisition function.

    If the strategy has a rate, its steps are scaled to the box between ``low`` and ``high``, and
    decrease towards the end. With steps of constant size, a search could miss the best codes by up
    to one step.

    Args:
        objective: Function of unit codes (n, d) that returns its values (n,) and its gradient (n,
            d).
        start: Unit codes to edit, inside the box.
        space: The codes' search space.
        strategy: Strategy that edits the codes.
        iterations: Number of steps.
        free: Array (d,), 0 for columns that do not change.
        low: Lower corner (d,) of the box; 0 if None.
        high: Upper corner (d,) of the box; 1 if None.
    """
    x = np.array(start, dtype=np.float64)
    floor = np.zeros(x.shape[1]) if low is None else low
    ceiling = np.ones(x.shape[1]) if high is None else high
    decays = hasattr(strategy, "rate")
    step = strategy.begin(space, x)
    for i in range(iterations):
        gradient = np.nan_to_num(-objective(x)[1])
        moved = step(x, gradient if free is None else gradient * free)
        if decays:
            moved = x + (moved - x) * (ceiling - floor) * (1 - i / iterations)
        x = np.clip(moved, floor, ceiling)
    return x


def project(x: FloatArray, space: SearchSpace) -> FloatArray:
    """Return the nearest point of the relaxed space, in which category shares sum to 1.

    Numeric columns are clipped to [0, 1]. Without this projection, the shares of all categories of
    a categorical could rise to 1.
    """
    inside = np.clip(x, 0.0, 1.0)
    for dim in space.dimensions:
        if isinstance(dim, Categorical):
            where = space.column_slice(dim.name)
            inside[:, where] = _to_simplex(x[:, where])
    return inside


def _to_simplex(x: FloatArray) -> FloatArray:
    """Project rows (n, k) onto the simplex (Duchi et al. 2008, figure 1)."""
    largest = -np.sort(-x, axis=1)
    excess = (largest.cumsum(1) - 1) / np.arange(1, x.shape[1] + 1)
    support = (largest > excess).sum(1)
    return np.asarray(np.maximum(x - excess[np.arange(len(x)), support - 1][:, None], 0.0))
