"""Targets of propagation, and the loss between predictions and targets (paper, equation 3).

Notation
    x       unit codes (n, d)
    p, t    prediction and target of a metric, (n,)
    loss    sum over targets of weight * smooth L1(p, t), (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Model,
    Predictor,
    as_model,
    torch_vjp,
)
from ncp_sampler.space.search_space import SearchSpace

Cost: TypeAlias = Callable[[Tensor], Tensor]  # codes (n, d) in natural units -> (n,)


@with_old_names
@dataclass(frozen=True)
class Target:
    """Direction or bound towards which a metric is propagated.

    Attributes:
        metric: Name of a predicted metric; any name if ``cost`` is given.
        direction: "maximize" or "minimize".
        weight: Nonnegative weight of the target in the loss, the paper's lambda (1 for the main
            metric). For a bound, the weight of its violation; an offline search satisfies bounds
            even if their weight is 0.
        step: Distance from the prediction to the target, in units of ``scale``. In each iteration,
            the target is the current prediction plus (maximize) or minus (minimize) this distance.
            1 in the paper.
        bound: Bound that replaces the step: the metric must be at least (maximize) or at most
            (minimize) this value, in its own unit. The loss is 0 once the bound holds.
        predictor: Position, among several predictors, of the one that predicts the metric.
        cost: A known differentiable cost, codes (n, d) in natural units -> (n,), such as
            ``costs.flops``, which replaces the predictor. An offline search also accepts a plain
            function of params, like ``costs=`` of the samplers.
        scale: Unit of distances to the target, which makes the weights of metrics comparable. With
            the standard deviation of the metric, targets are standardized as in the paper. None
            means 1.
        beta: Nonnegative confidence coefficient: the prediction is ``mean - beta * std`` for a
            metric to maximize, and ``mean + beta * std`` for one to minimize. 0 gives the paper's
            search, which leaves the region where the predictor is accurate. None means 0 in
            ``propagate`` and ``discrete_walk``, and ``offline.BETA`` (3) in an offline search, as
            on the command line. A known cost has no uncertainty.

    Raises:
        ValueError: The direction is unknown, weight or beta is negative, step or scale is not above
            0, the bound is infinite, or both a step and a bound are given.

    Examples:
        >>> from ncp_sampler import costs
        >>> better = Target("top1")  # increases step by step
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
    cost: Callable[[Any], Any] | None = None  # Cost, or a function of params
    scale: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        checks.text("metric", self.metric)
        checks.one_of("direction", self.direction, checks.DIRECTIONS)
        of = f" of {self.metric!r}"
        checks.number("weight", self.weight, low=0, where=of)
        checks.number("step", self.step, above=0, where=of)
        if self.beta is not None:
            checks.number("beta", self.beta, low=0, where=of)
        if self.scale is not None:
            checks.number("scale", self.scale, above=0, where=of)
        if self.bound is not None:
            checks.number("bound", self.bound, where=of)
            if self.step != 1:
                must = "be left out: a bound takes its place"
                raise checks.refusal("step", self.step, must, of)
        checks.integer("predictor", self.predictor, low=0)
        checks.call(
            "cost", self.cost, "be a function of codes or of params, such as costs.flops, or None"
        )

    @property
    def sign(self) -> float:
        """Sign of the direction: 1 to maximize, -1 to minimize."""
        return 1.0 if self.direction == "maximize" else -1.0


def checked_targets(targets: Sequence[Target]) -> list[Target]:
    """Return the targets as a list.

    Raises:
        ValueError: There are no targets, or an element is not a target.
    """
    must = "be a sequence of Target, such as [Target('accuracy')]"
    given: list[Target] = checks.sequence("targets", targets, Target, must)
    if not given:
        raise ValueError("targets is empty; give at least one Target")
    return given


def check_targets(
    predictors: Predictor | Sequence[Predictor], targets: Sequence[Target]
) -> list[Model]:
    """Return the predictors as a list, after checking that they have the targets' metrics.

    Raises:
        ValueError: There is no predictor or no target, or a metric is not predicted.
    """
    given = list(predictors) if isinstance(predictors, Sequence) else [predictors]
    models = [as_model("predictors", predictor) for predictor in given]
    for target in checked_targets(targets):
        if target.cost is not None:
            continue
        if target.predictor >= len(models):
            raise ValueError(
                f"target {target.metric!r} refers to predictor {target.predictor}, but there "
                f"are {len(models)}"
            )
        names = models[target.predictor].names
        if target.metric not in names:
            raise ValueError(
                f"metric={target.metric!r} is not predicted; predictor {target.predictor} has "
                f"{list(names)}"
            )
    return models


def predict_targets(
    predictors: Sequence[Model], targets: Sequence[Target], x: FloatArray, space: SearchSpace
) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Return each target's prediction, as defined by ``Target.beta``, and its pullback to x.

    Args:
        predictors: Fitted predictors.
        targets: Checked targets.
        x: Unit codes, (n, d).
        space: The codes' search space.

    Returns:
        Values (targets, n), and a function that maps gradients with respect to them (targets, n) to
        gradients (n, d).
    """
    values = np.empty((len(targets), len(x)))
    parts: list[tuple[list[int], Callable[[FloatArray], FloatArray]]] = []
    for i in dict.fromkeys(target.predictor for target in targets if target.cost is None):
        at = [
            k
            for k, candidate in enumerate(targets)
            if candidate.cost is None and candidate.predictor == i
        ]
        values[at], pullback = _modeled(predictors[i], [targets[k] for k in at], x)
        parts.append((at, pullback))
    for k, target in enumerate(targets):
        if target.cost is not None:
            values[k], of_cost = torch_vjp(_of_unit(target.cost, space), x)
            parts.append(([k], lambda g, own=of_cost: own(g[0])))  # type: ignore[misc]
    return values, lambda g: np.asarray(sum(pullback(g[at]) for at, pullback in parts))


def _modeled(
    predictor: Model, targets: Sequence[Target], x: FloatArray
) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Return values (targets, n) of one predictor's metrics, and their pullback to x."""
    columns = [predictor.names.index(target.metric) for target in targets]
    select = np.eye(len(predictor.names))[columns]  # (targets, m)
    betas = np.array([[target.sign * (target.beta or 0.0)] for target in targets])
    if not betas.any():
        mean, of_mean = predictor.mean_vjp(x)
        return select @ mean.T, lambda g: of_mean(g.T @ select)
    mean, std, vjp = predictor.moments(x)
    values = select @ mean.T - betas * (select @ std.T)
    return values, lambda g: vjp(g.T @ select, -(betas * g).T @ select)


def target_loss(predicted: FloatArray, targets: Sequence[Target]) -> tuple[FloatArray, FloatArray]:
    """Return the loss (n,) of equation 3, and its gradient (targets, n) by the predictions.

    Args:
        predicted: Predictions p of each target, (targets, n).
        targets: The targets.
    """
    loss, gradient = np.zeros(predicted.shape[1]), np.empty_like(predicted)
    for k, (value, target) in enumerate(zip(predicted, targets, strict=True)):
        unit = 1.0 if target.scale is None else target.scale
        if target.bound is None:
            goal = value + target.sign * target.step * unit
        else:
            goal = (np.maximum if target.sign > 0 else np.minimum)(value, target.bound)
        distance = (value - goal) / unit
        size = np.abs(distance)
        loss += target.weight * np.where(size < 1, 0.5 * size**2, size - 0.5)
        gradient[k] = target.weight / unit * np.clip(distance, -1.0, 1.0)
    return loss, gradient


def _of_unit(cost: Cost, space: SearchSpace) -> Callable[[Tensor], Tensor]:
    return lambda x: cost(space.denormalize(space.effective(x)))


def label(targets: Sequence[Target], i: int) -> str:
    """Return the target's metric, followed by its predictor if the name is ambiguous.

    A direction and a bound for the same metric or known cost refer to the same quantity, so they
    share a label.
    """
    target = targets[i]
    same = [candidate for candidate in targets if candidate.metric == target.metric]
    quantities = {None if candidate.cost is not None else candidate.predictor for candidate in same}
    shared = target.cost is None and len(quantities) > 1
    return f"{target.metric}[{target.predictor}]" if shared else target.metric
