"""Walk over valid codes that alternates iterations of propagation with rounding.

Appendix C of the paper walks over NAS-Bench-201 in this way: a one-hot code is edited as if it
were continuous, and the argmax of each edge is taken every 10 iterations, "termed as a step".

Notation
    S, n, d   steps, starts, columns
    x (n, d)  codes after the iterations of a step, before rounding
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target, check_targets, predict_targets
from ncp_sampler.space.search_space import SearchSpace, code_key

_PLAIN = GradientDescent(rate=1.0)


@dataclass(frozen=True)
class Walk:
    """Codes and predictions of a walk with S steps from n starts.

    Attributes:
        codes: Valid codes, the starts first, (S + 1, n, d).
        predictions: Metric -> predictions in its own unit, (S + 1, n).

    Examples:
        >>> import numpy as np
        >>> accuracy = np.array([[1, 5], [2, 4], [3, 3], [4, 2]])  # after each step, of two walks
        >>> walk = Walk(np.zeros((4, 2, 30)), {"accuracy": accuracy})
        >>> walk.predictions["accuracy"].argmax(0).tolist()  # the best step of each walk
        [3, 0]
    """

    codes: NDArray[Any]
    predictions: dict[str, NDArray[np.float64]]


def discrete_walk(
    predictors: Predictor | Sequence[Predictor],
    start: ArrayLike,
    targets: Sequence[Target],
    *,
    space: SearchSpace,
    steps: int = 6,
    iterations: int = 10,
    strategy: Strategy | str = _PLAIN,
    revisit: bool = False,
) -> Walk:
    """Walk from each start towards the targets.

    Args:
        predictors: As for ``propagate``.
        start: Codes (n, d) or (d,), which are rounded to valid ones.
        targets: As for ``propagate``.
        space: The codes' search space.
        steps: Number of roundings, at least 1; six in the paper.
        iterations: Iterations of continuous propagation before each rounding; ten in the paper.
        strategy: As for ``propagate``. The learning rate must be high enough for the iterations to
            move at least one column past the middle between two valid values. Otherwise, the walk
            stays where it is.
        revisit: If True, round to the nearest valid code, as the paper does, even if this walk has
            already visited it. If False, choose the unvisited code nearest to x among that code and
            its neighbors, because argmax alone soon returns to the same code and stays there.

    Raises:
        ValueError: As for ``propagate``; or steps is below 1.

    Examples:
        >>> from ncp_sampler import NB201Space
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import Target
        >>> space = NB201Space()
        >>> rows = space.sample(50, 0)
        >>> convolutions = rows[:, [name.endswith("3x3") for name in space.columns]].sum(1)
        >>> predictor = GaussianProcess().fit(space.normalize(rows), {"convolutions": convolutions})
        >>> target = Target("convolutions")
        >>> walk = discrete_walk(predictor, rows[:2], [target], space=space, steps=3)
        >>> walk.codes.shape  # the start and three steps, two walks, 30 numbers
        (4, 2, 30)
    """
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the codes")
    checks.integer("steps", steps, low=1)
    checks.flag("revisit", revisit)
    models = check_targets(predictors, targets)
    codes = [np.atleast_2d(space.round(start))]
    visited = [{code_key(code)} for code in codes[0]]
    for _ in range(steps):
        trace = propagate(
            models, codes[-1], targets, space=space, strategy=strategy, iterations=iterations
        )
        rounded = trace.final
        if not revisit:
            walks = zip(trace.codes[-1], rounded, visited, strict=True)
            rounded = np.stack([_nearest_new(x, code, space, keys) for x, code, keys in walks])
        codes.append(rounded)
    walked = np.stack(codes)
    x = space.normalize(walked.reshape(-1, walked.shape[-1]))
    values, _ = predict_targets(models, targets, x, space)
    by_target = values.reshape(len(targets), *walked.shape[:2])
    return Walk(walked, dict(zip(trace.predictions, by_target, strict=True)))


def _nearest_new(
    x: NDArray[np.float64], rounded: NDArray[Any], space: SearchSpace, visited: set[bytes]
) -> NDArray[Any]:
    """Return the unvisited code nearest to x among the rounded code and its neighbors.

    If all of these codes are visited, return the rounded code. The returned code then counts as
    visited.
    """
    codes = np.concatenate([rounded[None], space.neighbors(rounded)])
    new = np.array([code_key(code) not in visited for code in codes])
    if new.any():
        codes = codes[new]
        distance = ((space.normalize(codes) - space.normalize(x)) ** 2).sum(1)
        rounded = codes[distance.argmin()]
    visited.add(code_key(rounded))
    return rounded
