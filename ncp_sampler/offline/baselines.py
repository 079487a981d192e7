"""What NCP is measured against offline: searches that only ask a predictor for values.

All maximize a ``SearchProblem``'s utility and count the predictions they make. Sources: random
search (Bergstra and Bengio 2012) and the Neural Predictor (Wen et al. 2020) rank random codes;
NetAdapt (Yang et al. 2018) edits one code greedily, local search several; regularized
evolution is Real et al. (2019).
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import ArrayLike

from ncp_sampler import checks
from ncp_sampler.offline.codes import given_codes
from ncp_sampler.offline.problem import Found, SearchProblem, SearchRun
from ncp_sampler.offline.regularized_evolution import regularized_evolution


def random_search(problem: SearchProblem, *, calls: int = 100, seed: int = 0) -> Found:
    """The best of so many random codes; the paper's 100.

    Raises:
        ValueError: calls < 1.

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
        >>> from ncp_sampler.offline import SearchProblem
        >>> problem = SearchProblem(predictor, [Target("accuracy"), area], space=space)
        >>> found = random_search(problem, calls=100)
        >>> found.holds, found.predictions["area"] <= 100
        (True, True)
    """
    return neural_predictor(problem, calls=calls, top=1, seed=seed)[0]


def neural_predictor(
    problem: SearchProblem, *, calls: int = 10_000, top: int = 10, seed: int = 0
) -> list[Found]:
    """The ``top`` of so many random codes, best first; the paper's 10,000 and 10.

    The paper trains all of them and reports the best; nothing is trained here, so the first is
    the answer.

    Raises:
        ValueError: calls < 1, or ``top`` not in 1..calls.

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
        >>> from ncp_sampler.offline import SearchProblem
        >>> problem = SearchProblem(predictor, [Target("accuracy"), area], space=space)
        >>> found = neural_predictor(problem, calls=500)[0]
        >>> found.holds, found.predictions["area"] <= 100
        (True, True)
    """
    calls = checks.integer("calls", calls, low=1)
    top = checks.integer("top", top, low=1, high=calls)
    run = SearchRun(problem)
    codes = problem.space.sample(calls, seed)
    order = np.argsort(-run.utility(codes), kind="stable")[:top]
    return [run.found(codes[i]) for i in order]


def net_adapt(
    problem: SearchProblem, *, start: ArrayLike, calls: int | None = None, iterations: int = 10_000
) -> Found:
    """Greedy: of all codes one step away in one dimension, moves to the best, until none is better.

    Args:
        problem: What to maximize.
        start: The code to begin with, (d,); the paper's {b, n = 2; c, i, o = 64}.
        calls: Predictions at most; None for as many as it takes.
        iterations: Moves at most.

    Raises:
        ValueError: calls or iterations < 1, or a start that is no code.

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
        >>> from ncp_sampler.offline import SearchProblem
        >>> problem = SearchProblem(predictor, [Target("accuracy"), area], space=space)
        >>> found = net_adapt(problem, start=[8, 4])
        >>> found.holds, found.predictions["area"] <= 100
        (True, True)
    """
    run = SearchRun(problem)
    checks.integer("iterations", iterations, low=1)
    most = None if calls is None else checks.integer("calls", calls, low=1)
    codes = given_codes("start", start, problem.space)
    if len(codes) != 1:
        raise checks.refusal("start", start, "be one code")
    code = problem.space.round(codes[0])
    value = float(run.utility(code[None])[0])
    for _ in range(iterations):
        around = problem.space.neighbors(code)
        if most is not None and run.calls + len(around) > most:
            break
        utility = run.utility(around)
        if not len(around) or utility.max() <= value:
            break
        code, value = around[utility.argmax()], float(utility.max())
    return run.found(code)


def local_search(
    problem: SearchProblem, *, climbs: int = 20, seconds: float | None = None, seed: int = 0
) -> Found:
    """The best of several climbs by single steps, each from a random code, one after another.

    Args:
        problem: What to maximize.
        climbs: At most so many.
        seconds: No climb begins after so many of wall time, but the first; None for no end.
        seed: Of the random codes.

    Raises:
        ValueError: climbs < 1, or seconds not above 0.

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
        >>> from ncp_sampler.offline import SearchProblem
        >>> problem = SearchProblem(predictor, [Target("accuracy"), area], space=space)
        >>> found = local_search(problem, climbs=2)
        >>> found.holds, found.predictions["area"] <= 100
        (True, True)
    """
    climbs = checks.integer("climbs", climbs, low=1)
    if seconds is not None:
        checks.number("seconds", seconds, above=0)
    run = SearchRun(problem)
    begin = time.perf_counter()
    best: Found | None = None
    for start in problem.space.sample(climbs, checks.integer("seed", seed, low=0)):
        if best is not None and seconds is not None and time.perf_counter() - begin > seconds:
            break
        found = net_adapt(problem, start=start)
        run.calls += found.calls
        if best is None or found.utility > best.utility:
            best = found
    assert best is not None  # climbs is 1 or more
    return run.found(best.code)


def evolution_search(
    problem: SearchProblem, *, calls: int = 1000, population: int = 100, seed: int = 0
) -> Found:
    """Regularized evolution of so many codes; the best of them.

    Raises:
        ValueError: calls or population < 1.

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
        >>> from ncp_sampler.offline import SearchProblem
        >>> problem = SearchProblem(predictor, [Target("accuracy"), area], space=space)
        >>> found = evolution_search(problem, calls=300)
        >>> found.holds, found.predictions["area"] <= 100
        (True, True)
    """
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
    return run.found(history.codes[history.values.argmax()])
