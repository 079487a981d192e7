"""What NCP is measured against offline: searches that only ask a predictor for values.

All maximize a `problem.Problem`'s utility and count the predictions they make. Sources: random
search (Bergstra and Bengio 2012) and the Neural Predictor (Wen et al. 2020) rank random codes;
NetAdapt (Yang et al. 2018) edits one code greedily; regularized evolution is Real et al. (2019).
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import ArrayLike

from ncp_sampler.problem import Found, Problem
from ncp_sampler.regularized_evolution import regularized_evolution


def random_search(problem: Problem, *, calls: int = 100, seed: int = 0) -> Found:
    """The best of so many random codes; the paper's 100.

    Raises:
        ValueError: calls < 1.
    """
    return neural_predictor(problem, calls=calls, top=1, seed=seed)[0]


def neural_predictor(
    problem: Problem, *, calls: int = 10_000, top: int = 10, seed: int = 0
) -> list[Found]:
    """The ``top`` of so many random codes, best first; the paper's 10,000 and 10.

    The paper trains all of them and reports the best; nothing is trained here, so the first is
    the answer.

    Raises:
        ValueError: calls < 1, or ``top`` not in 1..calls.
    """
    if not 1 <= top <= _count(calls):
        raise ValueError(f"top={top} must be in 1..{calls}")
    since = time.perf_counter()
    problem.calls = 0
    codes = problem.space.sample(calls, seed)
    order = np.argsort(-problem.utility(codes), kind="stable")[:top]
    return [problem.found(codes[i], since=since) for i in order]


def net_adapt(
    problem: Problem, *, start: ArrayLike, calls: int | None = None, iterations: int = 10_000
) -> Found:
    """Greedy: of all codes one step away in one dimension, moves to the best, until none is better.

    Args:
        problem: What to maximize.
        start: The code to begin with, (d,); the paper's {b, n = 2; c, i, o = 64}.
        calls: Predictions at most; None for as many as it takes.
        iterations: Moves at most.

    Raises:
        ValueError: calls or iterations < 1.
    """
    since = time.perf_counter()
    problem.calls = 0
    code = problem.space.round(np.asarray(start).reshape(-1))
    value = float(problem.utility(code[None])[0])
    if iterations < 1:
        raise ValueError(f"iterations={iterations} must be at least 1")
    for _ in range(iterations):
        around = problem.space.neighbours(code)
        if calls is not None and problem.calls + len(around) > _count(calls):
            break
        utility = problem.utility(around)
        if not len(around) or utility.max() <= value:
            break
        code, value = around[utility.argmax()], float(utility.max())
    return problem.found(code, since=since)


def evolution_search(
    problem: Problem, *, calls: int = 1000, population: int = 100, seed: int = 0
) -> Found:
    """Regularized evolution of so many codes; the best of them.

    Raises:
        ValueError: As `regularized_evolution`.
    """
    since = time.perf_counter()
    problem.calls = 0
    history = regularized_evolution(
        problem.utility,
        problem.space,
        budget=calls,
        population=population,
        sample=max(1, population // 4),
        seed=seed,
    )
    return problem.found(history.codes[history.values.argmax()], since=since)


def _count(calls: int) -> int:
    if calls < 1:
        raise ValueError(f"calls={calls} must be at least 1")
    return calls
