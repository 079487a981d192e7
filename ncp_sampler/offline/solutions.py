"""Several solutions of an offline search: dissimilar codes, or the Pareto front of a trade-off.

Predictions have errors, so the code with the best prediction may disappoint. If the budget allows
several training runs, it is better to train several dissimilar architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.hill_climbing import new_codes, usual_apart
from ncp_sampler.offline.problem import SearchProblem, Source, as_problem
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.offline.search import default_starts, find, ranked, valid_codes
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.search.pareto import pareto_front
from ncp_sampler.space.search_space import SearchSpace

_NEGLIGIBLE = 1e-3  # factor of a target's weight at the end of the front where it hardly counts
_FRONT_STARTS = 8  # starts for each point of a front, in addition to its neighbor's solution


def propagate_answers(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target] = (),
    *,
    n: int = 5,
    apart: int | None = None,
    space: SearchSpace | None = None,
    strategy: Strategy | str = "continuous",
    starts: ArrayLike | None = None,
    iterations: int = 70,
    seed: int = 0,
) -> list[Solution]:
    """Search for several new, dissimilar architectures to train.

    If measured rows are known, every solution is a new code. The solutions are chosen one after
    another: each maximizes the expected improvement over the best row, assuming that the earlier
    solutions have been measured. Without measured rows, the first solution is that of
    ``propagate_search``, and each further solution maximizes the utility. In the returned list,
    solutions that satisfy the bounds with a margin of beta standard deviations
    (``Solution.limits``) come first. Within each group, solutions are sorted by expected
    improvement or utility.

    Args:
        sources: As in ``propagate_search``.
        targets: As in ``propagate_search``.
        n: Number of solutions; fewer are returned if the search finds no more.
        apart: Minimum number of dimensions in which any two solutions differ, at most the number of
            dimensions of the space. None means 5, or a third of the space's dimensions if that is
            fewer.
        space: As in ``propagate_search``.
        strategy: As in ``propagate_search``.
        starts: As in ``propagate_search``.
        iterations: As in ``propagate_search``.
        seed: As in ``propagate_search``.

    Examples:
        >>> solutions = propagate_answers(problem, n=2)
        >>> len(solutions), all(solution.holds for solution in solutions)
        (2, True)
    """
    n = checks.integer("n", n, low=1)
    run = SearchRun(as_problem(sources, targets, space=space, seed=seed))
    space = run.problem.space
    if apart is None:
        apart = usual_apart(space)
    apart = checks.integer("apart", apart, low=1, high=len(space.dimensions))
    first = find(run, strategy=strategy, starts=starts, iterations=iterations, seed=seed)
    assert first.trace is not None  # propagation always has one
    passed = np.concatenate([first.code[None], valid_codes(run.problem, first.trace)])
    unranked = first.best is None and run.measured.is_new(first.code[None])[0]
    begun = [first.code] if unranked else []
    codes = new_codes(run, passed, n=n, apart=apart, seed=seed, begun=begun)
    return ranked([run.solution(code, trace=first.trace, start=first.start) for code in codes])


def propagate_front(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target] = (),
    *,
    n: int = 10,
    along: str | None = None,
    space: SearchSpace | None = None,
    strategy: Strategy | str = "continuous",
    iterations: int = 70,
    seed: int = 0,
) -> list[Solution]:
    """Search the Pareto front of a trade-off: the best code at each of several levels of a target.

    The trade-off is between targets without a bound, such as high mIoU and few FLOPs. The two ends
    of the front are searched first. Between them, one target is bounded by evenly spaced levels (on
    a log scale if both ends are positive). This method also finds solutions that no weighted sum of
    the targets would find.

    Args:
        sources: As in ``propagate_search``.
        targets: Targets, at least two of which have no bound. All bounds apply along the whole
            front.
        n: Number of levels, at least 2. Fewer solutions may be returned, because they are
            restricted to Pareto-optimal codes.
        along: Metric of the target that is bounded by the levels; None for the last target without
            a bound.
        space: As in ``propagate_search``.
        strategy: As in ``propagate_search``.
        iterations: As in ``propagate_search``.
        seed: As in ``propagate_search``.

    Returns:
        Pareto-optimal codes, from the best value of ``along`` to the worst, with their utility for
        the given targets.

    Raises:
        ValueError: As for ``propagate_search``; or fewer than two targets have no bound.

    Examples:
        >>> smaller = Target("area", "minimize", cost=product)
        >>> front = propagate_front(predictor, [Target("accuracy"), smaller], n=3, space=space)
        >>> 1 <= len(front) <= 3
        True
    """
    n = checks.integer("n", n, low=2)
    problem = as_problem(sources, targets, space=space, seed=seed)
    at = _bounded_target(problem, along)
    axis = problem.targets[at]
    neglected = replace(axis, weight=axis.weight * _NEGLIGIBLE)

    def search(level_problem: SearchProblem, starts: ArrayLike | None = None) -> Solution:
        run = SearchRun(level_problem)
        return find(run, strategy=strategy, starts=starts, iterations=iterations, seed=seed)

    worst, best = search(problem.with_target(at, neglected)), search(_alone(problem, at))
    first, last = problem.values(np.array([best.code, worst.code]))[at]
    levels = (np.geomspace if min(first, last) > 0 else np.linspace)(first, last, n)
    front = [best]
    for level in levels[1:-1]:
        bounded = problem.with_target(at, replace(axis, bound=float(level)))
        starts = default_starts(bounded, n=_FRONT_STARTS, seed=seed)
        front.append(search(bounded, np.concatenate([front[-1].code[None], starts])))
    front.append(worst)
    optimal = _pareto_optimal(np.array([solution.code for solution in front]), problem, at)
    run = SearchRun(problem)
    return [
        replace(
            run.solution(solution.code, trace=solution.trace, start=solution.start),
            calls=solution.calls,
            seconds=solution.seconds,
        )
        for solution in (front[i] for i in optimal)
    ]


def _bounded_target(problem: SearchProblem, along: str | None) -> int:
    """Return the position of the target that is bounded along the front."""
    free = [i for i, target in enumerate(problem.targets) if target.bound is None and target.weight]
    if len(free) < 2:
        raise ValueError(
            f"targets has {len(free)} without a bound and with a weight above 0; a front needs "
            "two, such as [Target('mIoU'), Target('flops', 'minimize', cost=costs.flops)]"
        )
    names = {label(problem.targets, i): i for i in free}
    return free[-1] if along is None else names[checks.one_of("along", along, list(names))]


def _alone(problem: SearchProblem, at: int) -> SearchProblem:
    """Return the problem with negligible weights of all unbounded targets except one."""
    for i, target in enumerate(problem.targets):
        if i != at and target.bound is None:
            problem = problem.with_target(i, replace(target, weight=target.weight * _NEGLIGIBLE))
    return problem


def _pareto_optimal(codes: NDArray[Any], problem: SearchProblem, at: int) -> NDArray[np.intp]:
    """Return positions of codes that are Pareto-optimal in one target and in the other utility.

    The other utility is the utility without the contribution of this target.
    """
    values, axis = problem.values(codes), problem.targets[at]
    along = axis.sign * values[at]
    rest = problem.utility_of(values) - axis.weight * along / (axis.scale or 1.0)
    return np.sort(pareto_front(np.stack([along, rest], 1)))
