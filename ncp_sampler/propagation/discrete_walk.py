"""A walk over legal codes: some iterations of propagation, rounding, and on from there.

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
import torch
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
    """The codes that a walk came through; S steps, n starts.

    Attributes:
        codes: Legal codes, the starts first, (S + 1, n, d).
        predictions: Metric -> (S + 1, n), in its own unit.

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
    """Walks from each start towards the targets.

    Args:
        predictors: As ``propagate``.
        start: Codes (n, d) or (d,); rounded to legal ones.
        targets: As ``propagate``.
        space: The codes' search space.
        steps: Roundings, at least 1; the paper's six.
        iterations: Of continuous propagation before each rounding; the paper's ten.
        strategy: As ``propagate``. A learning rate must suffice to bring some column past the
            middle between two legal values within the iterations, or the walk stands still.
        revisit: Round to the nearest legal code, as the paper does, be it one where this walk
            was before. If False, take the one nearest to x among that code and its neighbors
            that is new to the walk: argmax alone soon comes back to the same code for good.

    Raises:
        ValueError: As ``propagate``; steps < 1.

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
    with torch.no_grad():
        unit = torch.as_tensor(x, device=models[0].device if models else None)
        values = predict_targets(models, targets, unit, space).cpu().numpy()
    by_target = values.reshape(len(targets), *walked.shape[:2])
    return Walk(walked, dict(zip(trace.predictions, by_target, strict=True)))


def _nearest_new(
    x: NDArray[np.float64], rounded: NDArray[Any], space: SearchSpace, visited: set[bytes]
) -> NDArray[Any]:
    """The code nearest to x in unit terms, of the rounded one and its neighbors not visited.

    The rounded code itself if all are; what is returned counts as visited.
    """
    near = np.concatenate([rounded[None], space.neighbors(rounded)])
    new = np.array([code_key(code) not in visited for code in near])
    if new.any():
        near = near[new]
        distance = ((space.normalize(near) - space.normalize(x)) ** 2).sum(1)
        rounded = near[distance.argmin()]
    visited.add(code_key(rounded))
    return rounded
