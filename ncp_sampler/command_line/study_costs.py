"""Known costs of a training study: the multiply-adds of its networks, and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.space.search_space import Params, SearchSpace
from ncp_sampler.training.problem import TrainingProblem

MaxGflops: TypeAlias = float | Mapping[str, float] | None


class MultiplyAdds:
    """Known cost for ``NCPSampler(costs=)``: total multiply-adds of several networks, in G.

    Args:
        problems: Problems whose networks are counted.
        space: Space of the codes.
    """

    def __init__(self, problems: Sequence[TrainingProblem], space: SearchSpace) -> None:
        self._problems, self._space = tuple(problems), space

    def __call__(self, given: Tensor | Params) -> Any:
        """Return the cost of params, or the costs (n,) of a tensor of codes (n, d).

        The sampler first tries a tensor. If this raises an error, the sampler calls the function
        with params and interpolates.

        Raises:
            ValueError: Given a tensor, the ``gflops`` of a problem does not return a differentiable
                tensor (n,).
        """
        if isinstance(given, Mapping):
            return gflops_of(self._problems, self._space.to_code(given))
        counts: list[Any] = [problem.gflops(given) for problem in self._problems]
        for problem, count in zip(self._problems, counts, strict=True):
            if not isinstance(count, Tensor) or count.shape != given.shape[:1]:
                raise ValueError(f"gflops of {problem.name!r} takes one code at a time")
            if given.requires_grad and not count.requires_grad:
                raise ValueError(f"gflops of {problem.name!r} is not differentiable")
        return sum(counts)


def gflops_of(problems: Sequence[TrainingProblem], code: ArrayLike) -> float:
    """Return the total multiply-adds of all networks of a code, in G."""
    return sum(float(problem.gflops(code)) for problem in problems)


def excess(
    problems: Sequence[TrainingProblem], code: ArrayLike, limits: Mapping[str, float]
) -> float:
    """Return the largest ratio of a network's multiply-adds to its limit; 0 without a limit."""
    ratios = [float(p.gflops(code)) / limits[p.name] for p in problems if p.name in limits]
    return max(ratios, default=0.0)


def known_costs(
    problems: Sequence[TrainingProblem], space: SearchSpace, limits: Mapping[str, float]
) -> dict[str, Any]:
    """Return ``costs`` and ``limits`` for ``NCPSampler``.

    Without limits, the total multiply-adds of all networks are the last objective.
    """
    if not limits:
        return {"costs": {len(problems): MultiplyAdds(problems, space)}, "limits": None}
    limited = {f"{p.name} gflops": p for p in problems if p.name in limits}
    return {
        "costs": {name: MultiplyAdds([p], space) for name, p in limited.items()},
        "limits": {name: limits[p.name] for name, p in limited.items()},
    }


def checked_limits(
    problems: Sequence[TrainingProblem], space: SearchSpace, max_gflops: MaxGflops
) -> dict[str, float]:
    """Return the limit of each problem's network, in G; empty if there are no limits.

    Args:
        problems: Problems of the study.
        space: Space of the codes.
        max_gflops: Limit of each network, or a mapping from problem names to limits; None for no
            limits.

    Raises:
        ValueError: ``max_gflops`` is neither a number nor a mapping, names an unknown problem, or
            is below the cost of the cheapest code.
    """
    if max_gflops is None:
        return {}
    named = {problem.name: problem for problem in problems}
    each = isinstance(max_gflops, Mapping)
    given = max_gflops if isinstance(max_gflops, Mapping) else dict.fromkeys(named, max_gflops)
    if not given or given.keys() - named.keys():
        must = f"be a number, or map some of the problems {tuple(named)} to numbers"
        raise checks.refusal("max_gflops", max_gflops, must)
    cheapest = space.denormalize(np.zeros(len(space.columns)))
    limits = {}
    for name, limit in given.items():
        argument = f"max_gflops[{name!r}]" if each else "max_gflops"
        limits[name] = checks.number(argument, limit, above=0)
        least = float(named[name].gflops(cheapest))
        if limit < least:
            where = "" if each or len(named) == 1 else f" for {name!r}"
            must = f"be at least {least:.4g}, the cost of the cheapest code{where}"
            raise checks.refusal(argument, limit, must)
    return limits
