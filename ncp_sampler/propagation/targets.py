"""Where metrics shall go: targets, what predictors say of them, and their loss (equation 3).

Notation
    x       unit codes (n, d)
    p, t    prediction and target of a metric, (n,)
    loss    sum over targets of weight * smooth L1(p, t), (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import Predictor, check_predictor
from ncp_sampler.space.search_space import SearchSpace

Cost: TypeAlias = Callable[[Tensor], Tensor]  # codes (n, d) in natural units -> (n,)


@dataclass(frozen=True)
class Target:
    """Where one metric shall go.

    Attributes:
        metric: A predictor's metric, or a name of its own for ``cost``.
        direction: "maximize" or "minimize".
        weight: The paper's lambda (1 for the metric itself), at least 0. Of a bound, how hard
            propagation pulls at it; an offline search keeps bounds of weight 0 too.
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
            the predictor knows. A known cost has no uncertainty, whatever the caution.

    Raises:
        ValueError: Another direction, a negative weight or caution, a step or scale that is not
            above 0, an infinite bound, or a step beside a bound.

    Examples:
        >>> from ncp_sampler import costs
        >>> better = Target("top1")  # further up, by steps
        >>> leaner = Target("flops", "minimize", weight=0.5, cost=costs.flops)  # exact
        >>> at_most = Target("limit", "minimize", bound=1.0, cost=costs.flops)  # 1 G
        >>> better.direction, leaner.weight, at_most.bound
        ('maximize', 0.5, 1.0)
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
        checks.text("metric", self.metric)
        checks.one_of("direction", self.direction, checks.DIRECTIONS)
        of = f" of {self.metric!r}"
        checks.number("weight", self.weight, low=0, where=of)
        checks.number("step", self.step, above=0, where=of)
        checks.number("caution", self.caution, low=0, where=of)
        if self.scale is not None:
            checks.number("scale", self.scale, above=0, where=of)
        if self.bound is not None:
            checks.number("bound", self.bound, where=of)
            if self.step != 1:
                must = "be left out: a bound takes its place"
                raise checks.refusal("step", self.step, must, of)
        checks.integer("predictor", self.predictor, low=0)
        checks.call("cost", self.cost, "be a function of codes, such as costs.flops, or None")

    @property
    def sign(self) -> float:
        """1 to maximize, -1 to minimize."""
        return 1.0 if self.direction == "maximize" else -1.0


def check_targets(
    predictors: Predictor | Sequence[Predictor], targets: Sequence[Target]
) -> list[Predictor]:
    """The predictors as a list, once every target's metric was found in one of them.

    Raises:
        ValueError: No predictor, no target, or a metric that is not predicted.
    """
    given = list(predictors) if isinstance(predictors, Sequence) else [predictors]
    models = [check_predictor("predictors", one) for one in given]
    must = "be a sequence of Target, such as [Target('accuracy')]"
    if not checks.sequence("targets", targets, Target, must):
        raise ValueError("targets is empty; give at least one Target")
    for target in targets:
        if target.cost is None:
            check_metric(models, target)
    return models


def check_metric(predictors: Sequence[Predictor], target: Target) -> None:
    """Raises ValueError unless a predictor has the target's metric."""
    if target.predictor >= len(predictors):
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
            value = value - target.sign * doubt
        values.append(value)
    return torch.stack(values)


def target_loss(predicted: Tensor, targets: Sequence[Target]) -> Tensor:
    """Equation 3: weighted smooth L1 distance of predictions (targets, n) to targets, (n,)."""
    total = torch.zeros_like(predicted[0])
    for value, target in zip(predicted, targets, strict=True):
        unit = 1.0 if target.scale is None else target.scale
        if target.bound is None:
            goal = value.detach() + target.sign * target.step * unit
        elif target.sign > 0:
            goal = value.detach().clamp_min(target.bound)
        else:
            goal = value.detach().clamp_max(target.bound)
        total = total + target.weight * torch.nn.functional.smooth_l1_loss(
            value / unit, goal / unit, reduction="none"
        )
    return total


def label(targets: Sequence[Target], i: int) -> str:
    """Name of a target's metric; with its predictor where targets share a metric's name."""
    target = targets[i]
    shared = sum(other.metric == target.metric for other in targets) > 1
    return f"{target.metric}[{target.predictor}]" if shared else target.metric
