"""Offline Network Coding Propagation: architectures from a table, with nothing trained.

In come records or fitted predictors, and targets; out comes a ``Found``. Predictors learn the
table, codes are edited along their gradients (paper, section 3.1), and from the best legal codes
passed by single steps climb on until none gains (``polish``). Several tasks are searched at once by
accumulating their predictors' gradients (equation 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.codes import given_codes
from ncp_sampler.offline.polish import polish
from ncp_sampler.offline.problem import Found, SearchProblem, SearchRun, Source
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import Trace, propagate
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.propagation.targets import Target
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.space.search_space import SearchSpace

_STARTS = 8  # 16 reach the same utility, in half as long again
CLIMBS = 2  # of all starts; 4 find .03 deviations more on Seg, nothing elsewhere, twice as slowly
_BOUND_PULL = 10.0  # over the targets that go against a bound
_CODE_SCALE = 0.29  # standard deviation of a uniform unit code


def propagate_search(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target] = (),
    *,
    space: SearchSpace | None = None,
    strategy: Strategy | str = "continuous",
    starts: ArrayLike | None = None,
    iterations: int = 70,
    climbs: int = CLIMBS,
    seed: int = 0,
) -> Found:
    """Searches for the code that serves the targets best.

    The paper's search for one task is
    ``targets=[Target("top1"), Target("flops", "minimize", weight=0.5)]`` with
    ``starts=space.start``; "at least 84 % with the fewest FLOPs" is
    ``[Target("top1", bound=84.0), Target("flops", "minimize", cost=costs.flops)]``.

    Args:
        sources: Records, which are learnt from, or fitted predictors; one for each task. Or a
            ``SearchProblem`` that holds them and the targets already, to search it several times.
        targets: Metrics and costs, their directions, weights (lambda), and steps or bounds.
            ``caution`` above 0 keeps the search to what the predictor knows: ``BETA`` (3)
            is recommended.
        space: The codes' search space; the records' own if None.
        strategy: "continuous" for ``GradientDescent(3.0)``, on codes and metrics standardized by
            the records (the paper's rate 3 crosses the space in a few steps; the best of the many
            codes passed by is better for it), "winner_takes_all" (equations 4 to 6), or a
            strategy. One without a scale takes the records' spread, one without a cost the first
            target's own known cost.
        starts: Codes (n, d) or (d,) to edit; by default the space's start code and the best
            records, or random codes where there are none.
        iterations: Of each start; the paper's 70.
        climbs: From the best legal code of so many starts single steps, and pairs of steps at a
            bound, go on until none gains; 0 for propagation alone.
        seed: Of learning and of random starts.

    Returns:
        The best legal code of all that were reached.

    Raises:
        ValueError: As ``SearchProblem`` and ``propagate``; or no start.

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
        >>> found = propagate_search(predictor, [Target("accuracy"), area], space=space)
        >>> found.holds, found.predictions["area"] <= 100
        (True, True)
    """
    problem = given_problem(sources, targets, space=space, seed=seed)
    climbs = checks.integer("climbs", climbs, low=0)
    run = SearchRun(problem)
    passed = pass_by(run, strategy=strategy, starts=starts, iterations=iterations, seed=seed)
    order = np.argsort(-passed.utility, kind="stable")
    if climbs:
        order = order[:climbs]
        codes, utility = polish(run, passed.codes[order])
        best = int(utility.argmax())
        return run.found(codes[best], trace=passed.trace, start=int(order[best]))
    return run.found(passed.codes[order[0]], trace=passed.trace, start=int(order[0]))


@dataclass(frozen=True)
class Passed:
    """What a propagation passed by.

    Attributes:
        trace: Of all n starts.
        codes: Of each start the best legal code, (n, d).
        utility: Theirs, (n,).
    """

    trace: Trace
    codes: NDArray[Any]
    utility: NDArray[np.float64]


def given_problem(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target],
    *,
    space: SearchSpace | None,
    seed: int,
) -> SearchProblem:
    """The problem that a user gave, whole or in parts.

    Raises:
        ValueError: As ``SearchProblem``; or parts beside a whole one.
    """
    if not isinstance(sources, SearchProblem):
        return SearchProblem(sources, targets, space=space, seed=seed)
    if targets or space is not None:
        raise ValueError("targets and space are the problem's own; give them to it alone")
    return sources


def pass_by(
    run: SearchRun,
    *,
    strategy: Strategy | str,
    starts: ArrayLike | None,
    iterations: int,
    seed: int,
) -> Passed:
    """Propagates from all starts; every code passed by is rounded and compared.

    Raises:
        ValueError: As ``propagate``; or no start.
    """
    problem = run.problem
    chosen = _completed(as_strategy(strategy, continuous=GradientDescent()), problem)
    begin = (
        _starts(run, _STARTS, seed)
        if starts is None
        else given_codes("starts", starts, problem.space)
    )
    if not len(begin):
        raise ValueError("starts is empty; give at least one code, or None for the default")
    trace = propagate(
        problem.predictors,
        begin,
        [_pulling(target) for target in problem.targets],
        space=problem.space,
        strategy=chosen,
        iterations=iterations,
    )
    run.calls += trace.loss.size
    rounded = problem.space.round(trace.codes.reshape(-1, trace.codes.shape[-1]))
    codes, where = np.unique(rounded, axis=0, return_inverse=True)
    utility = run.utility(codes)[where].reshape(trace.loss.shape)  # (T + 1, n)
    best = utility.argmax(0)
    legal = rounded.reshape(trace.codes.shape)
    own = np.arange(len(best))
    return Passed(trace, legal[best, own], utility[best, own])


def default_starts(problem: SearchProblem, *, n: int = _STARTS, seed: int = 0) -> NDArray[Any]:
    """The space's start code and the records of the highest utility; else random codes, (n, d).

    Raises:
        ValueError: n < 1.
    """
    run = SearchRun(problem)
    return _starts(run, checks.integer("n", n, low=1), checks.integer("seed", seed, low=0))


def code_scale(problem: SearchProblem) -> NDArray[np.float64]:
    """Standard deviation of the records' unit codes, (d,): the paper's unit of a code."""
    if not problem.records:
        return np.full(len(problem.space.columns), _CODE_SCALE)
    spread: NDArray[np.float64] = problem.space.normalize(problem.records[0].codes).std(0)
    return np.where(spread > 1e-9, spread, _CODE_SCALE)


def _pulling(target: Target) -> Target:
    if target.bound is None:
        return target
    return replace(target, weight=_BOUND_PULL * (target.weight or 1.0))


def _starts(run: SearchRun, n: int, seed: int) -> NDArray[Any]:
    """As ``default_starts``; its predictions are the run's."""
    problem = run.problem
    start = problem.space.start
    found = [] if start is None else [start[None]]
    others = n - len(found)
    if problem.records:
        codes = np.unique(np.concatenate([r.codes for r in problem.records]), axis=0)
        found.append(codes[np.argsort(-run.utility(codes), kind="stable")[:others]])
    else:
        found.append(problem.space.sample(others, seed))
    return np.concatenate(found).astype(np.float64)


def _completed(strategy: Strategy, problem: SearchProblem) -> Strategy:
    """The strategy with what it leaves to the search."""
    if isinstance(strategy, GradientDescent) and strategy.scale is None:
        return replace(strategy, scale=code_scale(problem))
    known = [target.cost for target in problem.targets if target.cost is not None]
    if isinstance(strategy, WinnerTakesAll) and strategy.cost is None and known:
        return replace(strategy, cost=known[0])
    return strategy
