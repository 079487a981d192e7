"""Network Coding Propagation: edits of codes along predictors' gradients (paper, section 3.1).

Notation
    x       unit codes (n, d) being edited, for n simultaneous starts
    loss    loss of the targets (equation 3), (n,)
    grad    d loss / d x, (n, d)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.propagation.targets import (
    Target,
    check_targets,
    label,
    predict_targets,
    target_loss,
)
from ncp_sampler.space.search_space import SearchSpace


@dataclass(frozen=True)
class Trace:
    """Path of a propagation with T iterations from n starts, for plots and explanations.

    Attributes:
        codes: Codes before each iteration and at the end, in natural units, (T + 1, n, d).
        loss: Loss of the codes, (T + 1, n).
        gradients: d loss / d unit code, (T + 1, n, d).
        predictions: Metric -> prediction as defined by ``Target.beta``, in the metric's own unit,
            (T + 1, n).
        final: Valid codes nearest to the last codes, (n, d).
        targets: Targets of the propagation.

    Examples:
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.propagation import Target
        >>> at_most = Target("flops", "minimize", bound=1.0, cost=costs.flops)
        >>> trace = propagate([], MRSpace().start, [at_most], space=MRSpace(), iterations=5)
        >>> trace.codes.shape[1:], trace.predictions["flops"].shape == trace.loss.shape
        ((1, 27), True)
    """

    codes: NDArray[np.float64]
    loss: NDArray[np.float64]
    gradients: NDArray[np.float64]
    predictions: dict[str, NDArray[np.float64]]
    final: NDArray[Any]
    targets: tuple[Target, ...] = ()


def propagate(
    predictors: Predictor | Sequence[Predictor],
    start: ArrayLike,
    targets: Sequence[Target],
    *,
    space: SearchSpace,
    strategy: Strategy | str = "continuous",
    iterations: int = 70,
) -> Trace:
    """Edit codes along the predictors' gradient until they reach the targets (paper, section 3.1).

    The paper's settings of equation 3 are ``[Target("top1"), Target("flops", "minimize",
    weight=0.5)]`` and ``GradientDescent(rate=3.0, scale=...)``, where the scale is the standard
    deviation of the table's unit codes.

    Args:
        predictors: One predictor, or several whose gradients are added (equation 7).
        start: Codes (n, d) or (d,), in natural units.
        targets: Targets, at least one.
        space: The codes' search space.
        strategy: "continuous" for ``GradientDescent()``, "winner_takes_all" for
            ``WinnerTakesAll()`` (equations 4 to 6), or a strategy object with its own settings.
        iterations: Maximum number of iterations; propagation stops earlier if every target is a
            bound and all bounds hold, or once a step moves no code.

    Raises:
        ValueError: There is no target, a metric is unknown, a start does not fit the space, or a
            setting is out of its range.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Float, SearchSpace
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import GradientDescent, Target
        >>> space = SearchSpace([Float("x", 0, 10)])
        >>> codes = np.linspace(0, 10, 20)[:, None]
        >>> score = -(codes[:, 0] - 4) ** 2
        >>> predictor = GaussianProcess().fit(space.normalize(codes), {"score": score})
        >>> slow = GradientDescent(rate=5e-4)
        >>> trace = propagate(predictor, [[9.0]], [Target("score")], space=space, strategy=slow)
        >>> abs(float(trace.final[0, 0]) - 4) < 0.1
        True
    """
    models = check_targets(predictors, targets)
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the codes")
    chosen = as_strategy(strategy, continuous=GradientDescent())
    checks.integer("iterations", iterations, low=1)
    x = np.atleast_2d(np.asarray(space.normalize(start), dtype=np.float64))
    step = chosen.begin(space, x)
    path: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
    for i in range(iterations + 1):
        predicted, pullback = predict_targets(models, targets, x, space)
        loss, by_prediction = target_loss(predicted, targets)
        gradient = pullback(by_prediction)
        path.append((x, loss, gradient, predicted))
        after = step(x, gradient) if i < iterations and gradient.any() else x
        if (after == x).all():
            break
        x = after
    units, losses, gradients, values = map(np.stack, zip(*path, strict=True))
    codes = space.denormalize(units)
    return Trace(
        codes=codes,
        loss=losses,
        gradients=gradients,
        predictions={label(targets, i): values[:, i] for i in range(len(targets))},
        final=space.round(codes[-1]),
        targets=tuple(targets),
    )
