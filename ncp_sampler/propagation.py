"""Network Coding Propagation: codes edited along a predictor's gradient (paper, section 3.1).

Notation
    x       unit codes (n, d) being edited, n starts at once
    p, t    prediction and target of a metric, (n,)
    loss    sum over targets of weight * smooth L1(p, t), (n,); equation 3
    grad    d loss / d x, (n, d)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.dimensions import Categorical
from ncp_sampler.predictor import Predictor
from ncp_sampler.space import SearchSpace
from ncp_sampler.winner_takes_all import Cost, winner_takes_all

DIRECTIONS = ("maximize", "minimize")
STRATEGIES = ("continuous", "winner_takes_all")

Objective = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Target:
    """Where one metric shall go.

    Attributes:
        metric: A predictor's metric, or a name of its own for ``cost``.
        direction: "maximize" or "minimize".
        weight: The paper's lambda (1 for the metric itself), at least 0.
        step: The paper's target, prediction plus (maximize) or minus (minimize) ``step`` times
            ``scale``, set anew each iteration. The paper takes 1.
        bound: In place of a step: at least (maximize) or at most (minimize) this value, in the
            metric's unit; no pull once it holds.
        predictor: Which of the predictors has the metric.
        cost: A known differentiable cost, codes (n, d) in natural units -> (n,), such as
            ``costs.flops``; nothing is learnt then.
        scale: Unit in which distances to the target count, so that the weights of unlike metrics
            compare: the standard deviation of the metric, as the paper's standardized targets.
            1 if None.
        caution: Standard deviations of the predictor's uncertainty by which a prediction counts
            as worse than its mean, at least 0. 0 is the paper's search, which climbs out of what
            the predictor knows.

    Raises:
        ValueError: Another direction, a negative weight or caution, a step or scale that is not
            above 0, or an infinite bound.
    """

    metric: str
    direction: str = "maximize"
    weight: float = 1.0
    step: float = 1.0
    bound: float | None = None
    predictor: int = 0
    cost: Cost | None = None
    scale: float | None = None
    caution: float = 0.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction={self.direction!r} must be one of {DIRECTIONS}")
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight={self.weight} of {self.metric!r} must be at least 0")
        if not (np.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step={self.step} of {self.metric!r} must be above 0")
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale={self.scale} of {self.metric!r} must be above 0, or None")
        if not (np.isfinite(self.caution) and self.caution >= 0):
            raise ValueError(f"caution={self.caution} of {self.metric!r} must be at least 0")
        if self.bound is not None and not np.isfinite(self.bound):
            raise ValueError(f"bound={self.bound} of {self.metric!r} must be finite, or None")


@dataclass(frozen=True)
class Trace:
    """What a propagation did, for plots and explanations; T iterations made, n starts.

    Attributes:
        codes: Codes before each iteration and at the end, natural units, (T + 1, n, d).
        loss: (T + 1, n).
        gradients: d loss / d unit code, (T + 1, n, d).
        predictions: Metric -> (T + 1, n), in its own unit, less the target's caution.
        final: Nearest legal codes of the end, (n, d).
    """

    codes: NDArray[np.float64]
    loss: NDArray[np.float64]
    gradients: NDArray[np.float64]
    predictions: dict[str, NDArray[np.float64]]
    final: NDArray[Any]


def propagate(
    predictors: Predictor | Sequence[Predictor],
    start: ArrayLike,
    targets: Sequence[Target],
    *,
    space: SearchSpace,
    strategy: str = "continuous",
    learning_rate: float = 3.0,
    scale: ArrayLike | None = None,
    iterations: int = 70,
    cost: Cost | None = None,
) -> Trace:
    """Edits codes until they reach the targets, the paper's way.

    "continuous" is plain gradient descent on all columns, clamped to the space. Equation 3 with
    the paper's settings: ``targets=[Target("top1"), Target("flops", "minimize", weight=0.5)]``,
    learning rate 3 on codes standardized by the table (``scale`` its standard deviation).
    "winner_takes_all" (equations 4 to 6) moves one column by one step per iteration.

    Args:
        predictors: One, or several whose gradients accumulate (equation 7).
        start: Codes (n, d) or (d,), natural units.
        targets: At least one.
        space: The codes' search space.
        strategy: "continuous" or "winner_takes_all".
        learning_rate: Of plain gradient descent, on codes in units of ``scale``.
        scale: (d,) the unit of the code in unit-code terms, say ``x.std(0)`` of the training unit
            codes; 1 by default.
        iterations: At most so many; fewer if every target is a bound and all hold.
        cost: For "winner_takes_all", T of equation 4: codes (n, d) -> (n,), such as
            ``costs.flops``. Without it every step costs the same.

    Raises:
        ValueError: No target, an unknown metric, a start that does not fit the space, or a
            setting out of range.
    """
    models = list(predictors) if isinstance(predictors, Sequence) else [predictors]
    _check(models, targets, strategy, learning_rate, iterations)
    device = models[0].device if models else torch.device("cpu")
    origin = np.atleast_2d(np.asarray(start, dtype=np.float64))
    x = torch.as_tensor(space.normalize(origin), dtype=torch.float64, device=device)
    unit = torch.ones(x.shape[1], dtype=x.dtype, device=device)
    if scale is not None:
        unit = torch.as_tensor(np.asarray(scale, dtype=np.float64), device=device)
        if unit.shape != (x.shape[1],) or not bool((unit > 0).all()):
            raise ValueError(f"scale must be {x.shape[1]} numbers above 0")
    walked: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for step in range(iterations + 1):
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            predicted = predict_targets(models, targets, x, space)
            loss = target_loss(predicted, targets)
            (gradient,) = torch.autograd.grad(loss.sum(), x)
        x = x.detach()
        walked.append((x, loss.detach(), gradient, predicted.detach()))
        if step == iterations or not bool(gradient.any()):
            break
        if strategy == "continuous":
            x = _project(x - learning_rate * unit**2 * gradient, space)
        else:
            x = winner_takes_all(x, gradient, space=space, cost=cost)
    units, losses, gradients, values = (
        torch.stack(each).cpu().numpy() for each in zip(*walked, strict=True)
    )  # (T + 1, n, d), (T + 1, n), (T + 1, n, d), (T + 1, targets, n)
    codes = space.denormalize(units)
    return Trace(
        codes=codes,
        loss=losses,
        gradients=gradients,
        predictions={label(targets, i): values[:, i] for i in range(len(targets))},
        final=space.round(codes[-1]),
    )


def ascend(
    objective: Objective,
    start: Tensor,
    *,
    space: SearchSpace,
    strategy: str = "continuous",
    learning_rate: float = 0.05,
    iterations: int = 30,
    free: Tensor | None = None,
) -> Tensor:
    """Edits unit codes (n, d) to raise an objective (n, d) -> (n,), such as an acquisition.

    "continuous" takes Adam in place of plain descent, whose one learning rate cannot serve an
    acquisition that spans hundreds of orders of magnitude; "winner_takes_all" moves one column
    a step. ``free`` (d,) is 0 for columns to leave alone.
    """
    x = start.detach().clone()
    mask = torch.ones_like(x[0]) if free is None else free
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(1, iterations + 1):
        x.requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(-objective(x).sum(), x)
        x = x.detach()
        gradient = torch.nan_to_num(gradient) * mask
        if strategy == "winner_takes_all":
            x = winner_takes_all(x, gradient, space=space)
            continue
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient * gradient
        size = (second / (1 - 0.999**step)).sqrt() + 1e-8
        x = (x - learning_rate * first / (1 - 0.9**step) / size).clamp(0.0, 1.0)
    return x


def predict_targets(
    predictors: Sequence[Predictor], targets: Sequence[Target], x: Tensor, space: SearchSpace
) -> Tensor:
    """Predicted value of each target's metric, less its caution, (targets, n); differentiable."""
    careful = {target.predictor for target in targets if target.caution and target.cost is None}
    known: dict[int, tuple[Tensor, Tensor | None]] = {}
    for target in targets:
        i = target.predictor
        if target.cost is None and i not in known:
            known[i] = predictors[i].posterior(x) if i in careful else (predictors[i].mean(x), None)
    values = []
    for target in targets:
        if target.cost is not None:
            values.append(target.cost(space.denormalize(x)).to(x.dtype))
            continue
        column = predictors[target.predictor].names.index(target.metric)
        mean, std = known[target.predictor]
        value = mean[:, column].to(x.dtype)
        if target.caution and std is not None:
            doubt = target.caution * std[:, column].to(x.dtype)
            value = value - doubt if target.direction == "maximize" else value + doubt
        values.append(value)
    return torch.stack(values)


def target_loss(predicted: Tensor, targets: Sequence[Target]) -> Tensor:
    """Equation 3: weighted smooth L1 distance of predictions (targets, n) to targets, (n,)."""
    total = torch.zeros_like(predicted[0])
    for value, target in zip(predicted, targets, strict=True):
        sign = 1.0 if target.direction == "maximize" else -1.0
        unit = 1.0 if target.scale is None else target.scale
        if target.bound is None:
            goal = value.detach() + sign * target.step * unit
        elif sign > 0:
            goal = value.detach().clamp_min(target.bound)
        else:
            goal = value.detach().clamp_max(target.bound)
        total = total + target.weight * torch.nn.functional.smooth_l1_loss(
            value / unit, goal / unit, reduction="none"
        )
    return total


def _project(x: Tensor, space: SearchSpace) -> Tensor:
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


def label(targets: Sequence[Target], i: int) -> str:
    """Name of a target's metric; with its predictor where targets share a metric's name."""
    target = targets[i]
    shared = sum(other.metric == target.metric for other in targets) > 1
    return f"{target.metric}[{target.predictor}]" if shared else target.metric


def _check(
    predictors: Sequence[Predictor],
    targets: Sequence[Target],
    strategy: str,
    learning_rate: float,
    iterations: int,
) -> None:
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy={strategy!r} must be one of {STRATEGIES}")
    if not targets:
        raise ValueError("targets is empty; give at least one Target")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate={learning_rate} must be above 0")
    if iterations < 1:
        raise ValueError(f"iterations={iterations} must be at least 1")
    for target in targets:
        if target.cost is not None:
            continue
        if not 0 <= target.predictor < len(predictors):
            raise ValueError(
                f"target {target.metric!r} wants predictor {target.predictor}, there are "
                f"{len(predictors)}"
            )
        names = predictors[target.predictor].names
        if target.metric not in names:
            raise ValueError(
                f"metric={target.metric!r} is not predicted; predictor {target.predictor} has "
                f"{list(names)}"
            )
