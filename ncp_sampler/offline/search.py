"""Offline Network Coding Propagation: architectures from a table, with nothing trained.

Predictors are fitted to a table, codes are edited along their gradients (paper, section 3.1), and
hill climbing continues from the best valid codes of the paths. Several tasks are searched at once
by accumulating their predictors' gradients (equation 7).

Propagation edits all columns at once and stops where its steps overshoot; single steps still gain
from there. At a bound they do not: a larger column is affordable only with a smaller one, and no
single step changes both. So pairs of steps are tried there.

Notation
    T, n, d   iterations, starts, columns of a code
    v         values of a valid code: predictions of the targets, less beta, (targets,)
    moves     valid codes one step away in one dimension (``SearchSpace.neighbors``)
    pairs     two moves in two dimensions, screened by v + the sum of both moves' changes of v
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.problem import (
    SearchProblem,
    SearchRun,
    Solution,
    Source,
    as_problem,
    given_codes,
)
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.propagation.targets import Target
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.records.records import FloatArray
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.search_space import SearchSpace, code_key

_STARTS = 8  # number of starts; 16 reach the same utility in 1.5 times the time
_CLIMBS = 2  # climbs of a search; 4 gain 0.03 deviations on Seg, nothing elsewhere, at half speed
_BOUND_PULL = 10.0  # factor of a bound's weight, over the targets that pull against it
_CODE_SCALE = 0.29  # standard deviation of a uniform unit code
_PAIRS = 48  # number of pairs predicted per code
_LEAST_GAIN = 1e-9  # smallest gain of a climb in utility; less is rounding, and could go on forever

Allowed: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> True if so
_Point: TypeAlias = tuple[NDArray[Any], float]  # code (d,), and its utility


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
    """Search for the code of highest utility.

    The paper's search for one task is
    ``targets=[Target("top1"), Target("flops", "minimize", weight=0.5)]`` with
    ``starts=space.start``; "at least 84 % with the fewest FLOPs" is
    ``[Target("top1", bound=84.0), Target("flops", "minimize", cost=costs.flops)]``.

    Args:
        sources: Records, to which ``learn`` fits a predictor, or fitted predictors; one per task.
            Or a ``SearchProblem`` of both sources and targets, to search it several times.
        targets: Metrics and costs, their directions, weights (lambda), and steps or bounds. Beta
            above 0 keeps the search where the predictor is certain; ``BETA`` (3) is recommended.
        space: The codes' search space; the records' own if None.
        strategy: "continuous" for ``GradientDescent(3.0)``, on codes and metrics standardized by
            the records (the paper's rate 3 crosses the space in a few steps; the best of the many
            codes on the way is better for it), "winner_takes_all" (equations 4 to 6), or a
            strategy. One without a scale gets the records' spread, one without a cost the first
            target's known cost.
        starts: Codes (n, d) or (d,) to edit; by default the space's start code and the best
            records, or random codes where there are none.
        iterations: Iterations of each start; the paper's 70.
        climbs: Number of starts from whose best valid codes hill climbing continues, by single
            steps, and by pairs of steps at a bound; 0 for propagation alone.
        seed: Seed of fits and of random starts.

    Returns:
        The best valid code evaluated.

    Raises:
        ValueError: As ``SearchProblem`` and ``propagate``; or no start.

    Examples:
        Continued from ``SearchProblem``:

        >>> solution = propagate_search(predictor, [Target("accuracy"), area], space=space)
        >>> solution.holds, solution.predictions["area"] <= 100
        (True, True)
    """
    problem = as_problem(sources, targets, space=space, seed=seed)
    climbs = checks.integer("climbs", climbs, low=0)
    run = SearchRun(problem)
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
        strategy=_completed(as_strategy(strategy, continuous=GradientDescent(settle=True)), problem),
        iterations=iterations,
    )
    run.calls += trace.loss.size
    valid = problem.space.round(trace.codes.reshape(-1, trace.codes.shape[-1]))
    distinct, inverse = np.unique(valid, axis=0, return_inverse=True)
    utility = run.utility(distinct)[inverse.reshape(trace.loss.shape)]  # (T + 1, n)
    best, own = utility.argmax(0), np.arange(len(begin))
    codes, utility = valid.reshape(trace.codes.shape)[best, own], utility[best, own]
    order = np.argsort(-utility, kind="stable")
    codes, at = codes[order], 0
    if climbs:
        codes, utility = hill_climb(run, codes[:climbs])
        at = int(utility.argmax())
    return run.solution(codes[at], trace=trace, start=int(order[at]))


def default_starts(problem: SearchProblem, *, n: int = _STARTS, seed: int = 0) -> NDArray[Any]:
    """Return the space's start code and the records of highest utility, or random codes, (n, d).

    Raises:
        ValueError: n < 1.
    """
    run = SearchRun(problem)
    return _starts(run, checks.integer("n", n, low=1), checks.integer("seed", seed, low=0))


def hill_climb(
    run: SearchRun, codes: NDArray[Any], *, allowed: Allowed | None = None
) -> tuple[NDArray[Any], FloatArray]:
    """Climb from valid codes (k, d) until neither a move nor a pair of moves gains.

    Args:
        run: The search, which counts the predictions.
        codes: Codes to start from.
        allowed: Predicate of the codes that may be reached; all if None.

    Returns:
        The codes reached, (k, d), and their utilities, (k,), at least those of the starts. Climbs
        that meet end alike.
    """
    ends: dict[bytes, _Point] = {}  # of the climb through a code
    reached: list[_Point] = []
    for code, utility in zip(codes, run.utility(codes), strict=True):
        point: _Point | None = (code, float(utility))
        path = []
        while point is not None and code_key(point[0]) not in ends:
            path.append(point)
            point = _step(run, *point, allowed)
        end = path[-1] if point is None else ends[code_key(point[0])]
        ends |= {code_key(passed): end for passed, _ in path}
        reached.append(end)
    return np.array([code for code, _ in reached]), np.array([utility for _, utility in reached])


def code_scale(problem: SearchProblem) -> NDArray[np.float64]:
    """Return the records' standard deviation in unit codes, (d,): the paper's unit of a code."""
    if not problem.records:
        return np.full(len(problem.space.columns), _CODE_SCALE)
    spread: NDArray[np.float64] = problem.space.normalize(problem.records[0].codes).std(0)
    return np.where(spread > 1e-9, spread, _CODE_SCALE)


def _pulling(target: Target) -> Target:
    if target.bound is None:
        return target
    return replace(target, weight=_BOUND_PULL * (target.weight or 1.0))


def _starts(run: SearchRun, n: int, seed: int) -> NDArray[Any]:
    """Return ``default_starts``, and count the predictions."""
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
    """Return the strategy with the scale or cost that it leaves to the search."""
    if isinstance(strategy, GradientDescent) and strategy.scale is None:
        return replace(strategy, scale=code_scale(problem))
    known = [target.cost for target in problem.targets if target.cost is not None]
    if isinstance(strategy, WinnerTakesAll) and strategy.cost is None and known:
        return replace(strategy, cost=known[0])
    return strategy


def _step(
    run: SearchRun, code: NDArray[Any], utility: float, allowed: Allowed | None
) -> _Point | None:
    """Return the best move, or else the best pair of moves, or None at a local maximum."""
    moves = _kept(run.problem.space.neighbors(code), allowed)
    values = run.values(np.concatenate([code[None], moves]))
    here, moved = values[:, :1], values[:, 1:]
    best = _best(moves, run.problem.utility_of(moved), utility)
    if best is not None:
        return best
    first, second = np.triu_indices(len(moves), k=1)
    apart = ~((moves[first] != code) & (moves[second] != code)).any(1)
    first, second = first[apart], second[apart]
    summed = run.problem.utility_of(moved[:, first] + moved[:, second] - here)
    top = np.argsort(-summed, kind="stable")[:_PAIRS]
    pairs = run.problem.space.round(moves[first[top]] + moves[second[top]] - code)
    pairs = _kept(pairs, allowed)
    return _best(pairs, run.utility(pairs), utility) if len(pairs) else None


def _best(codes: NDArray[Any], utilities: FloatArray, least: float) -> _Point | None:
    """Return the best code if it gains."""
    if not len(codes) or utilities.max() <= least + _LEAST_GAIN:
        return None
    return codes[utilities.argmax()], float(utilities.max())


def _kept(codes: NDArray[Any], allowed: Allowed | None) -> NDArray[Any]:
    return codes if allowed is None or not len(codes) else codes[allowed(codes)]
