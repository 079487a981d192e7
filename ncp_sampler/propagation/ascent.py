"""Gradient steps on unit codes: plain descent as in the paper, Adam for an acquisition.

Notation
    x       unit codes (n, d) being edited, n starts at once
    grad    d loss / d x, (n, d)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler import adam, checks
from ncp_sampler.propagation.strategies import Step, Strategy
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace


@dataclass(frozen=True)
class GradientDescent:
    """The paper's: all columns along the gradient at one learning rate, clamped to the space.

    Attributes:
        rate: On codes in units of ``scale``, above 0; the paper's 3.
        scale: (d,) the unit of the code in unit-code terms, above 0: the standard deviation of
            the training unit codes, say, which makes them the paper's standardized codes. 1 if
            None; searches from records fill theirs in.

    Raises:
        ValueError: An argument out of its range.

    Examples:
        >>> GradientDescent(rate=3.0).rate
        3.0
    """

    rate: float = 3.0
    scale: ArrayLike | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, above=0)
        if self.scale is not None:
            try:
                scale = np.asarray(self.scale, dtype=np.float64)
            except (TypeError, ValueError):
                scale = np.zeros(1)
            if scale.ndim > 1 or not (np.isfinite(scale) & (scale > 0)).all():
                raise checks.refusal("scale", self.scale, "be d numbers above 0, or None")

    def begin(self, space: SearchSpace, x: Tensor) -> Step:
        """One step against a gradient (n, d).

        Raises:
            ValueError: A scale of another length than d.
        """
        d = x.shape[1]
        scale = np.asarray(1.0 if self.scale is None else self.scale, dtype=np.float64)
        if scale.shape not in ((), (d,)):
            raise ValueError(f"scale has shape {scale.shape}; it must be {d} numbers above 0")
        unit = torch.as_tensor(scale, device=x.device)

        def step(x: Tensor, gradient: Tensor) -> Tensor:
            return project(x - self.rate * unit**2 * gradient, space)

        return step


@dataclass(frozen=True)
class Adam:
    """Adam on all columns, for losses whose size spans many orders, as an acquisition's does.

    Attributes:
        rate: Of a step in unit codes, above 0.

    Raises:
        ValueError: An argument out of its range.

    Examples:
        >>> Adam(rate=0.1)
        Adam(rate=0.1)
    """

    rate: float = 0.05

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, above=0)

    def begin(self, space: SearchSpace, x: Tensor) -> Step:
        """A new run of Adam."""
        run = adam.Adam(rate=self.rate)

        def step(x: Tensor, gradient: Tensor) -> Tensor:
            return run.step(x, gradient).clamp(0.0, 1.0)

        return step


def ascend(
    objective: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    space: SearchSpace,
    strategy: Strategy,
    iterations: int = 30,
    free: Tensor | None = None,
    low: Tensor | None = None,
    high: Tensor | None = None,
) -> Tensor:
    """Edits unit codes (n, d) to raise an objective (n, d) -> (n,), such as an acquisition.

    Steps of ``GradientDescent`` and ``Adam`` are as wide as the box between ``low`` and ``high``,
    and become smaller to the end; else the best codes would be missed by up to a step.

    Args:
        objective: What to raise.
        start: Unit codes to edit, in the box.
        space: The codes' search space.
        strategy: How codes are edited.
        iterations: Number of steps.
        free: (d,), 0 for columns to leave alone.
        low: (d,), the box's lower corner; 0 if None.
        high: (d,), its upper corner; 1 if None.
    """
    x = start.detach().clone()
    floor = torch.zeros_like(x[:1]) if low is None else low
    ceiling = torch.ones_like(x[:1]) if high is None else high
    scaled = isinstance(strategy, GradientDescent | Adam)
    step = strategy.begin(space, x)
    for i in range(iterations):
        x.requires_grad_(True)
        with torch.enable_grad():
            value = objective(x)
            loss = -value.sum()  # a scalar: given grad_outputs, PyTorch imports sympy
        (gradient,) = torch.autograd.grad(loss, x)
        gradient = torch.nan_to_num(gradient)
        x = x.detach()
        moved = step(x, gradient if free is None else gradient * free)
        if scaled:
            moved = x + (moved - x) * (ceiling - floor) * (1 - i / iterations)
        x = torch.minimum(torch.maximum(moved, floor), ceiling)
    return x


def project(x: Tensor, space: SearchSpace) -> Tensor:
    """Nearest point of the relaxed space: numbers in [0, 1], shares of sum 1 for a categorical.

    Choices would else all rise to 1, where none is told from another any more.
    """
    inside = x.clamp(0.0, 1.0)
    for dim in space.dimensions:
        if isinstance(dim, Categorical):
            where = space.column_slice(dim.name)
            inside[:, where] = _to_simplex(x[:, where])
    return inside


def _to_simplex(x: Tensor) -> Tensor:
    """Projection of rows (n, k) on the simplex (Duchi et al. 2008, figure 1)."""
    largest = x.sort(dim=1, descending=True).values
    excess = (largest.cumsum(1) - 1) / torch.arange(1, x.shape[1] + 1, device=x.device)
    support = (largest > excess).sum(1, keepdim=True)
    return (x - excess.gather(1, support - 1)).clamp_min(0.0)
