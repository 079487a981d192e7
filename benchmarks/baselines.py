"""Baselines for offline NCP: searches that use the values of a predictor, but not its gradients.

Random search (Bergstra & Bengio 2012) and the Neural Predictor (Wen et al. 2020) rank random codes;
NetAdapt (Yang et al. 2018) edits one code greedily, local search several; regularized evolution
(Real et al. 2019, algorithm 1) mutates winners of tournaments and drops the oldest code. Searches
of a ``SearchProblem`` maximize its utility and count their predictions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.problem import SearchProblem, given_codes
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.space.dimensions import n_values
from ncp_sampler.space.search_space import SearchSpace, code_key

_MAX_TRIES = 100  # number of mutations of a child until it is new


def random_search(problem: SearchProblem, *, calls: int = 100, seed: int = 0) -> Solution:
    """Return the best of ``calls`` random codes; the paper uses 100."""
    return neural_predictor(problem, calls=calls, top=1, seed=seed)[0]


def neural_predictor(
    problem: SearchProblem, *, calls: int = 10_000, top: int = 10, seed: int = 0
) -> list[Solution]:
    """Return the ``top`` best of ``calls`` random codes; the paper uses 10 and 10,000.

    The paper trains all of them and reports the best; nothing is trained here.
    """
    calls = checks.integer("calls", calls, low=1)
    top = checks.integer("top", top, low=1, high=calls)
    run = SearchRun(problem)
    codes = problem.space.sample(calls, seed)
    order = np.argsort(-run.utility(codes), kind="stable")[:top]
    return [run.solution(codes[i]) for i in order]


def net_adapt(
    problem: SearchProblem, *, start: ArrayLike, calls: int | None = None, iterations: int = 10_000
) -> Solution:
    """Move greedily to the best code one step away in one dimension, until none is better.

    Args:
        problem: Problem to maximize.
        start: Code to begin with, (d,); {b, n = 2; c, i, o = 64} in the paper.
        calls: Maximum number of predictions; None for no limit.
        iterations: Maximum number of moves.
    """
    run = SearchRun(problem)
    checks.integer("iterations", iterations, low=1)
    limit = None if calls is None else checks.integer("calls", calls, low=1)
    codes = given_codes("start", start, problem.space)
    if len(codes) != 1:
        raise checks.refusal("start", start, "be one code")
    code = problem.space.round(codes[0])
    value = float(run.utility(code[None])[0])
    for _ in range(iterations):
        moves = problem.space.neighbors(code)
        if limit is not None and run.calls + len(moves) > limit:
            break
        utility = run.utility(moves)
        if not len(moves) or utility.max() <= value:
            break
        code, value = moves[utility.argmax()], float(utility.max())
    return run.solution(code)


def local_search(
    problem: SearchProblem, *, climbs: int = 20, seconds: float | None = None, seed: int = 0
) -> Solution:
    """Return the best of several climbs by ``net_adapt``, each from a random code.

    Args:
        problem: Problem to maximize.
        climbs: Maximum number of climbs.
        seconds: Wall time after which no further climb begins; None for no limit.
        seed: Seed of the random codes.
    """
    climbs = checks.integer("climbs", climbs, low=1)
    if seconds is not None:
        checks.number("seconds", seconds, above=0)
    run = SearchRun(problem)
    began = time.perf_counter()
    best: Solution | None = None
    for start in problem.space.sample(climbs, checks.integer("seed", seed, low=0)):
        if best is not None and seconds is not None and time.perf_counter() - began > seconds:
            break
        solution = net_adapt(problem, start=start)
        run.calls += solution.calls
        if best is None or solution.utility > best.utility:
            best = solution
    assert best is not None  # climbs is 1 or more
    return run.solution(best.code)


def evolution_search(
    problem: SearchProblem, *, calls: int = 1000, population: int = 100, seed: int = 0
) -> Solution:
    """Return the best code of ``regularized_evolution`` over ``calls`` predictions."""
    run = SearchRun(problem)
    checks.integer("calls", calls, low=1)
    checks.integer("population", population, low=1)
    history = regularized_evolution(
        run.utility,
        problem.space,
        budget=calls,
        population=population,
        sample=max(1, population // 4),
        seed=seed,
    )
    return run.solution(history.codes[history.values.argmax()])


@dataclass(frozen=True)
class Evolution:
    """History of a regularized evolution, in order of evaluation.

    Attributes:
        codes: (budget, d), natural units.
        values: (budget,), to be maximized.
    """

    codes: NDArray[Any]
    values: NDArray[np.float64]


def regularized_evolution(
    objective: Callable[[NDArray[Any]], ArrayLike],
    space: SearchSpace,
    *,
    budget: int,
    population: int = 100,
    sample: int = 25,
    seed: int | None = None,
    start: ArrayLike | None = None,
) -> Evolution:
    """Evolve valid codes for ``budget`` evaluations.

    The best of ``sample`` codes drawn from the population is mutated: one dimension, drawn
    uniformly, gets another value, drawn uniformly (in log for log dimensions). The child joins, and
    the oldest member leaves. A child that was evaluated before is mutated again, so that the budget
    is not spent on known codes.

    Args:
        objective: Valid codes (n, d) -> values (n,), to be maximized. It is called once for the
            first population, and then once for each child.
        space: The search space.
        budget: Number of evaluations, at least 1.
        population: Size of the population; 100 in the paper. For small budgets, a tenth of the
            budget is suitable.
        sample: Size of a tournament, 1 to ``population``; the paper's default, 25.
        seed: Seed of all random draws; None for a fresh one.
        start: Codes (n, d) or (d,) of the first population; the other ones are random.

    Raises:
        ValueError: An argument out of its range, or values that are not n finite numbers.
    """
    checks.call("objective", objective, "be a function of codes", required=True)
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the codes")
    budget = checks.integer("budget", budget, low=1)
    population = checks.integer("population", population, low=1)
    sample = checks.integer("sample", sample, low=1, high=population)
    rng = np.random.default_rng(checks.seed(seed))
    given = space.sample(0) if start is None else space.round(given_codes("start", start, space))
    if len(given) > population:
        raise ValueError(
            f"start has shape {given.shape}; it must be (n, d) with n at most "
            f"population={population}"
        )
    codes = list(np.concatenate([given, space.sample(population - len(given), rng)])[:budget])
    values = list(_evaluate(objective, np.array(codes)))
    alive = deque(range(len(codes)), maxlen=population)  # appending drops the oldest
    seen = {code_key(code) for code in codes}
    while len(codes) < budget:
        drawn = rng.choice(len(alive), size=sample, replace=False)
        child = codes[max((alive[i] for i in drawn), key=values.__getitem__)]
        for _ in range(_MAX_TRIES):
            child = _mutated(child, space, rng)
            if code_key(child) not in seen:
                break
        seen.add(code_key(child))
        alive.append(len(codes))
        codes.append(child)
        values.append(_evaluate(objective, child[None])[0])
    return Evolution(np.array(codes), np.array(values))


def _mutated(code: NDArray[Any], space: SearchSpace, rng: np.random.Generator) -> NDArray[Any]:
    """Return the code with another value in one dimension, if any dimension has several values."""
    names = [dim.name for dim in space.dimensions if n_values(dim) > 1]
    child = code.copy()
    if names:
        where = space.column_slice(names[rng.integers(len(names))])
        while np.array_equal(child[where], code[where]):
            child[where] = space.sample(1, rng)[0][where]
    return child


def _evaluate(
    objective: Callable[[NDArray[Any]], ArrayLike], codes: NDArray[Any]
) -> NDArray[np.float64]:
    values = np.asarray(objective(codes), dtype=np.float64)
    if values.shape != (len(codes),) or not np.isfinite(values).all():
        raise ValueError(
            f"objective returned shape {values.shape} for {len(codes)} codes; it must return that "
            "many finite numbers"
        )
    return values
