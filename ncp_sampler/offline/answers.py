"""More than one answer of an offline search: some that are unlike, or the front of a trade-off.

A predictor errs, and so does a search on it; who can train a handful of architectures is better
served by a handful of unlike ones than by the best alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.polish import polish
from ncp_sampler.offline.problem import Found, SearchProblem, SearchRun, Source
from ncp_sampler.offline.search import default_starts, given_problem, propagate_search
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.records.records import FloatArray
from ncp_sampler.space.search_space import SearchSpace

_APART = 5  # dimensions, where answers shall be unlike
_RANDOM = 256  # codes to go on from where none that was passed is far enough
_FREE = 1e-3  # of the weight, for the end of a front that hardly looks at the other target
_FRONT_STARTS = 8  # of each point of a front; its neighbor's answer is one more


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
) -> list[Found]:
    """Several good answers, any two of which differ in some dimensions; best first.

    The first is that of ``propagate_search``. Each other one is the best that propagation passed
    by, or else a random code, far enough from those before, and climbs on without coming closer.

    Args:
        sources: As of ``propagate_search``.
        targets: As of ``propagate_search``.
        n: Answers; fewer come back where the space has no more.
        apart: Dimensions in which two of them differ at least, from 1 to the space's; 5 if None,
            or a third of the space's where that is fewer.
        space: As of ``propagate_search``.
        strategy: As of ``propagate_search``.
        starts: As of ``propagate_search``.
        iterations: As of ``propagate_search``.
        seed: As of ``propagate_search``.

    Raises:
        ValueError: As ``propagate_search``; or n or ``apart`` out of its range.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import Target
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> codes = space.sample(60, 0)
        >>> accuracy = np.log(codes[:, 0] * codes[:, 1])  # what was measured
        >>> predictor = GaussianProcess().fit(space.normalize(codes), {"accuracy": accuracy})
        >>> product = lambda codes: codes[:, 0] * codes[:, 1]  # known of every code
        >>> area = Target("area", "minimize", bound=100, cost=product)
        >>> answers = propagate_answers(predictor, [Target("accuracy"), area], n=2, space=space)
        >>> len(answers), all(answer.holds for answer in answers)
        (2, True)
    """
    n = checks.integer("n", n, low=1)
    problem = given_problem(sources, targets, space=space, seed=seed)
    dimensions = len(problem.space.dimensions)
    if apart is None:
        apart = max(1, min(_APART, dimensions // 3))
    least_unlike = checks.integer("apart", apart, low=1, high=dimensions)
    first = propagate_search(
        problem, strategy=strategy, starts=starts, iterations=iterations, seed=seed
    )
    assert first.trace is not None  # propagation always has one
    found = [first]
    run = SearchRun(problem)
    passed = problem.space.round(first.trace.codes.reshape(-1, first.code.size))
    pool = np.unique(np.concatenate([passed, problem.space.sample(_RANDOM, seed)]), axis=0)
    utility = run.utility(pool)
    while len(found) < n:
        far = partial(_far, problem.space, np.array([one.code for one in found]), least_unlike)
        free = np.flatnonzero(far(pool))
        if not len(free):
            break
        codes, _ = polish(run, pool[free[utility[free].argmax()]][None], allowed=far)
        found.append(run.found(codes[0]))
        run = SearchRun(problem)
    return sorted(found, key=lambda one: -one.utility)


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
) -> list[Found]:
    """The front of a trade-off: the best code at each of several levels of one target.

    Two targets without a bound pull apart, such as much mIoU and few FLOPs. The ends are searched
    first; between them the one target is bounded by levels, evenly spaced (in logarithms where all
    are above 0), which finds answers that no weighting of the two would.

    Args:
        sources: As of ``propagate_search``.
        targets: Two or more without a bound; those with one hold all along the front.
        n: Levels, at least 2; as many codes come back, less those that others dominate.
        along: The target that is bounded, by its metric; the last one without a bound if None.
        space: As of ``propagate_search``.
        strategy: As of ``propagate_search``.
        iterations: As of ``propagate_search``.
        seed: As of ``propagate_search``.

    Returns:
        Codes of which none is better in both, from the best of ``along`` to the worst. Utility is
        that of the targets as given.

    Raises:
        ValueError: As ``propagate_search``; fewer than two targets without a bound, or another
            name in ``along``.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import Target
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> codes = space.sample(60, 0)
        >>> accuracy = np.log(codes[:, 0] * codes[:, 1])  # what was measured
        >>> predictor = GaussianProcess().fit(space.normalize(codes), {"accuracy": accuracy})
        >>> product = lambda codes: codes[:, 0] * codes[:, 1]  # known of every code
        >>> area = Target("area", "minimize", bound=100, cost=product)
        >>> area = Target("area", "minimize", cost=product)
        >>> front = propagate_front(predictor, [Target("accuracy"), area], n=3, space=space)
        >>> 1 <= len(front) <= 3
        True
    """
    n = checks.integer("n", n, low=2)
    problem = given_problem(sources, targets, space=space, seed=seed)
    at = _bounded_target(problem, along)
    axis = problem.targets[at]
    ends = [_variant(problem, at, replace(axis, weight=axis.weight * _FREE)), _alone(problem, at)]
    settings: dict[str, Any] = {"strategy": strategy, "iterations": iterations, "seed": seed}
    worst, best = (propagate_search(end, **settings) for end in ends)
    values = problem.values(np.array([best.code, worst.code]))[at]
    reached = [best]
    for level in _levels(values[0], values[1], n)[1:-1]:
        narrowed = _variant(problem, at, replace(axis, bound=float(level)))
        starts = _starts(narrowed, reached[-1].code, seed)
        reached.append(propagate_search(narrowed, starts=starts, **settings))
    front = _undominated([*reached, worst], problem, at)
    return [_as_given(one, problem) for one in front]


def _far(
    space: SearchSpace, chosen: NDArray[Any], apart: int, codes: NDArray[Any]
) -> NDArray[np.bool_]:
    """Which codes (n, d) differ from all chosen ones (k, d) in so many dimensions, (n,)."""
    least: NDArray[np.int64] = _differences(space, codes, chosen).min(1)
    return least >= apart


def _differences(
    space: SearchSpace, codes: NDArray[Any], others: NDArray[Any]
) -> NDArray[np.int64]:
    """In how many dimensions codes (n, d) differ from others (k, d), (n, k)."""
    unlike = codes[:, None] != others[None]
    slices = [space.column_slice(name) for name in space.names]
    counts: NDArray[np.int64] = np.stack([unlike[..., s].any(-1) for s in slices]).sum(0)
    return counts


def _bounded_target(problem: SearchProblem, along: str | None) -> int:
    free = [i for i, target in enumerate(problem.targets) if target.bound is None and target.weight]
    if len(free) < 2:
        raise ValueError(
            f"targets has {len(free)} without a bound and of weight above 0; a front needs two, "
            "such as [Target('mIoU'), Target('flops', 'minimize', cost=costs.flops)]"
        )
    names = {label(problem.targets, i): i for i in free}
    if along is None:
        return free[-1]
    return names[checks.one_of("along", along, list(names))]


def _variant(problem: SearchProblem, at: int, target: Target) -> SearchProblem:
    """The problem with one target changed; nothing is learnt again."""
    targets = [*problem.targets]
    targets[at] = target
    return SearchProblem(problem.predictors, targets, space=problem.space, records=problem.records)


def _alone(problem: SearchProblem, at: int) -> SearchProblem:
    """The problem of one target, the others hardly looked at; bounds stay."""
    targets = [
        target
        if i == at or target.bound is not None
        else replace(target, weight=target.weight * _FREE)
        for i, target in enumerate(problem.targets)
    ]
    return SearchProblem(problem.predictors, targets, space=problem.space, records=problem.records)


def _levels(first: float, last: float, n: int) -> FloatArray:
    if min(first, last) > 0:
        return np.geomspace(first, last, n)
    return np.linspace(first, last, n)


def _starts(problem: SearchProblem, code: NDArray[Any], seed: int) -> NDArray[Any]:
    return np.concatenate([code[None], default_starts(problem, n=_FRONT_STARTS, seed=seed)])


def _undominated(found: Sequence[Found], problem: SearchProblem, at: int) -> list[Found]:
    """Those of which no other is as good in both and better in one; in the order given."""
    codes = np.array([one.code for one in found])
    values = problem.values(codes)
    axis = problem.targets[at]
    along = axis.sign * values[at]
    rest = problem.utility_of(values) - axis.weight * along / (axis.scale or 1.0)
    both = np.stack([along, rest], 1)
    kept: list[Found] = []
    for i, one in enumerate(found):
        as_good, better = (both >= both[i]).all(1), (both > both[i]).any(1)
        again = any((one.code == other.code).all() for other in kept)
        if not (as_good & better).any() and not again:
            kept.append(one)
    return kept


def _as_given(found: Found, problem: SearchProblem) -> Found:
    """Utility and bounds by the targets as they were given."""
    given = SearchRun(problem).found(found.code)
    return replace(found, utility=given.utility, holds=given.holds)
