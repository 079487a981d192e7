"""Offline Network Coding Propagation: search for architectures in a table, without training.

Predictors are fitted to a table, codes are edited along the predictors' gradients (paper, section
3.1), and hill climbing continues from the best valid codes on the paths. To search for several
tasks at once, the gradients of their predictors are added (equation 7). The result is compared with
the best measured row.

Notation
    T, n, d   number of iterations, starts, and columns of a code
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.hill_climbing import differences, hill_climb, new_codes, usual_apart
from ncp_sampler.offline.measured import Improvement
from ncp_sampler.offline.problem import SearchProblem, Source, as_problem, given_codes
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import Trace, propagate
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.propagation.targets import Target
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.search_space import SearchSpace, code_key

_STARTS = 8  # number of starts; 16 reach the same utility in 1.5 times the time
_CLIMBS = 4  # number of hill climbs, from dissimilar codes; one takes 0.1 s on MRSpace
_BOUND_PULL = 10.0  # factor of a bound's weight, so that other targets do not outweigh the bound
_CODE_SCALE = 0.29  # standard deviation of a uniform unit code
_TRAININGS = 5  # number of next trainings returned if no new code is better


def propagate_search(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target] = (),
    *,
    space: SearchSpace | None = None,
    strategy: Strategy | str = "continuous",
    starts: ArrayLike | None = None,
    iterations: int = 70,
    climbs: int = _CLIMBS,
    seed: int = 0,
) -> Solution:
    """Search for the code with the highest utility.

    The paper's search for one task has
    ``targets=[Target("top1", beta=0), Target("flops", "minimize", weight=0.5, beta=0)]`` and
    ``starts=space.start``. A search for the fewest FLOPs with at least 84 % has
    ``targets=[Target("top1", bound=84.0), Target("flops", "minimize", cost=costs.flops)]``.

    Args:
        sources: Records, to which ``learn`` fits predictors, or fitted predictors; one per task.
            Alternatively, a ``SearchProblem`` with sources and targets, which can be searched
            several times.
        targets: Metrics and costs, with their directions, weights (lambda), and steps or bounds.
            A target's beta (3, which is ``BETA``, if it has none) keeps the search in regions where
            the predictor is certain; 0 gives the paper's search.
        space: Search space of the codes; None for the space of the records.
        strategy: "continuous" for ``GradientDescent(3.0, settle=True)``, on codes and metrics
            standardized by the records. The paper's rate of 3 crosses the space in a few steps;
            here, it is reduced whenever a step overshoots. "winner_takes_all" for equations 4 to 6;
            or a strategy object. If a ``GradientDescent`` has no scale, the spread of the records
            is used; if a ``WinnerTakesAll`` has no cost, the first known cost of the targets.
        starts: Codes (n, d) or (d,) to edit. None for the space's start code and the best records,
            or random codes if there are no records.
        iterations: Number of iterations for each start; 70 in the paper.
        climbs: Number of hill climbs, which start from the best dissimilar codes on the paths and
            take single steps or, where no single step helps, pairs of steps; 0 for none.
        seed: Seed of the fits and the random starts.

    Returns:
        The valid code with the highest utility among those evaluated. If measured rows are known, a
        new code is returned only if it is better than the best row by more than one standard
        deviation (or beta standard deviations, if beta is below 1), after a correction of the
        predictions for selection bias. Otherwise, the best row is returned, with
        ``next_trainings``.

    Raises:
        ValueError: As for ``SearchProblem`` and ``propagate``; or there is no start.

    Examples:
        Continued from ``SearchProblem``:

        >>> solution = propagate_search(predictor, [Target("accuracy"), area], space=space)
        >>> solution.holds, solution.predictions["area"] <= 100
        (True, True)
    """
    run = SearchRun(as_problem(sources, targets, space=space, seed=seed))
    found = find(
        run, strategy=strategy, starts=starts, iterations=iterations, climbs=climbs, seed=seed
    )
    if found.is_new:
        return found
    assert found.trace is not None  # propagation always has one
    passed = valid_codes(run.problem, found.trace)
    codes = new_codes(run, passed, n=_TRAININGS, apart=1, seed=seed)
    trainings = ranked(map(run.solution, codes))
    answer = run.solution(found.code, trace=found.trace, start=found.start)
    return replace(answer, next_trainings=tuple(trainings))


def find(
    run: SearchRun,
    *,
    strategy: Strategy | str = "continuous",
    starts: ArrayLike | None = None,
    iterations: int = 70,
    climbs: int = _CLIMBS,
    seed: int = 0,
) -> Solution:
    """Return the solution of ``propagate_search``, without ``next_trainings``."""
    problem = run.problem
    climbs = checks.integer("climbs", climbs, low=0)
    if starts is None:
        begin = _starts(run, _STARTS, seed)
    else:
        begin = given_codes("starts", starts, problem.space)
    if not len(begin):
        raise ValueError("starts is empty; give at least one code, or None for the default")
    trace = propagate(
        problem.predictors,
        begin,
        [_pulling(target) for target in problem.targets],
        space=problem.space,
        strategy=_completed(
            as_strategy(strategy, continuous=GradientDescent(settle=True)), problem
        ),
        iterations=iterations,
    )
    run.calls += trace.loss.size
    valid = valid_codes(problem, trace)
    passed = np.array([*{code_key(code): i for i, code in reversed([*enumerate(valid)])}.values()])
    codes, starts_of = valid[passed], passed % len(begin)
    values = run.values(codes)
    utility = run.utility_of(values)
    if climbs:
        at = _unlike(problem.space, codes, np.argsort(-utility, kind="stable"), climbs)
        reached, reached_utility = hill_climb(run, codes[at])
        codes, utility = np.concatenate([reached, codes]), np.append(reached_utility, utility)
        values = np.concatenate([problem.values(reached), values], axis=1)
        starts_of = np.append(starts_of[at], starts_of)
    row = run.measured.best
    feasible = problem.violation(values) <= 0
    if row is not None or feasible.any():
        utility = np.where(feasible, utility, -np.inf)
    if row is not None:
        utility = np.where(run.measured.is_new(codes), utility, -np.inf)
    best = int(utility.argmax())
    code = codes[best]
    if row is not None and not (
        np.isfinite(utility[best]) and Improvement(problem, row).is_reliable(code)
    ):
        code = row.code
    return run.solution(code, trace=trace, start=int(starts_of[best]))


def _unlike(
    space: SearchSpace, codes: NDArray[Any], order: NDArray[np.intp], n: int
) -> list[np.intp]:
    """Return the positions of up to n dissimilar codes, chosen greedily in the given order."""
    chosen: list[np.intp] = []
    apart = usual_apart(space)
    while len(order) and len(chosen) < n:
        chosen.append(order[0])
        order = order[differences(space, codes[order], codes[order[0]]) >= apart]
    return chosen


def ranked(solutions: Iterable[Solution]) -> list[Solution]:
    """Return the solutions, best first: those within the bounds, then by improvement or utility."""

    def merit(solution: Solution) -> tuple[bool, float]:
        value = solution.utility if solution.best is None else solution.expected_improvement
        return solution.holds, value

    return sorted(solutions, key=merit, reverse=True)


def valid_codes(problem: SearchProblem, trace: Trace) -> NDArray[Any]:
    """Return the valid codes nearest to all codes on the paths, ((T + 1) * n, d)."""
    return problem.space.round(trace.codes.reshape(-1, trace.codes.shape[-1]))


def default_starts(problem: SearchProblem, *, n: int = _STARTS, seed: int = 0) -> NDArray[Any]:
    """Return n codes (n, d) to edit: the start code of the space, then the best records.

    Without records, random codes take their place. A space without a start code provides none.

    Raises:
        ValueError: n is below 1.
    """
    run = SearchRun(problem)
    return _starts(run, checks.integer("n", n, low=1), checks.integer("seed", seed, low=0))


def code_scale(problem: SearchProblem) -> NDArray[np.float64]:
    """Return the standard deviation (d,) of the records' unit codes, the paper's unit of codes."""
    if not problem.records:
        return np.full(len(problem.space.columns), _CODE_SCALE)
    spread: NDArray[np.float64] = problem.space.normalize(problem.records[0].codes).std(0)
    return np.where(spread > 1e-9, spread, _CODE_SCALE)


def _pulling(target: Target) -> Target:
    if target.bound is None:
        return target
    return replace(target, weight=_BOUND_PULL * (target.weight or 1.0))


def _starts(run: SearchRun, n: int, seed: int) -> NDArray[Any]:
    """Return the codes of ``default_starts``; ``run`` counts the predictions."""
    space, records = run.problem.space, run.problem.records
    first = space.sample(0) if space.start is None else space.start[None]
    n -= len(first)
    if records:
        codes = unique_codes(np.concatenate([table.codes for table in records]))
        best = codes[np.argsort(-run.utility(codes), kind="stable")[:n]]
    else:
        best = space.sample(n, seed)
    return np.concatenate([first, best]).astype(np.float64)


def _completed(strategy: Strategy, problem: SearchProblem) -> Strategy:
    """Return the strategy with a scale or cost of the problem if it has none of its own."""
    if isinstance(strategy, GradientDescent | WinnerTakesAll) and strategy.scale is None:
        strategy = replace(strategy, scale=code_scale(problem))
    known = [target.cost for target in problem.targets if target.cost is not None]
    if isinstance(strategy, WinnerTakesAll) and strategy.cost is None and known:
        return replace(strategy, cost=known[0])
    return strategy
