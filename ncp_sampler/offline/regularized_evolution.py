"""Regularized evolution: tournaments in a population from which the oldest code is dropped.

Real et al. (2019), "Regularized evolution for image classifier architecture search", algorithm 1:
the best of ``sample`` codes drawn from the population is mutated in one dimension; the child
joins, and the oldest member leaves, however good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.codes import given_codes
from ncp_sampler.space.dimensions import n_values
from ncp_sampler.space.search_space import SearchSpace, code_key

_MAX_TRIES = 100  # mutations of a child until it is new


@dataclass(frozen=True)
class Evolution:
    """Everything evaluated, in order.

    Attributes:
        codes: (budget, d), natural units.
        values: (budget,), to be maximized.

    Examples:
        >>> import numpy as np
        >>> run = Evolution(np.array([[8, 1], [16, 2]]), np.array([70.0, 74.0]))
        >>> run.codes[run.values.argmax()].tolist()
        [16, 2]
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
    """Evolves legal codes for ``budget`` evaluations.

    A mutation gives one dimension, drawn uniformly, another value, drawn uniformly (in log for
    log dimensions). A child that was evaluated before is mutated on, so that the budget is not
    spent on known codes.

    Args:
        objective: Legal codes (n, d) -> values (n,), to be maximized. The first population comes
            in one call, the children one by one.
        space: The search space.
        budget: Number of evaluations, at least 1.
        population: Codes alive; the paper's default, 100. A tenth of the budget suits small ones.
        sample: Codes of a tournament, 1 to ``population``; the paper's default, 25.
        seed: Of all random choices; None for a fresh one.
        start: Codes (n, d) or (d,) that the first population begins with; the rest is random.

    Raises:
        ValueError: An argument out of its range, or values that are not n finite numbers.

    Examples:
        >>> from ncp_sampler import Integer, SearchSpace
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> near_5 = lambda codes: -abs(codes - 5).sum(1)
        >>> found = regularized_evolution(near_5, space, budget=300, seed=0)
        >>> found.codes[found.values.argmax()].tolist()
        [5, 5]
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
        parent = max((alive[i] for i in drawn), key=values.__getitem__)
        child = codes[parent]
        for _ in range(_MAX_TRIES):
            child = _mutate(child, space, rng)
            if code_key(child) not in seen:
                break
        seen.add(code_key(child))
        alive.append(len(codes))
        codes.append(child)
        values.append(_evaluate(objective, child[None])[0])
    return Evolution(np.array(codes), np.array(values))


def _mutate(code: NDArray[Any], space: SearchSpace, rng: np.random.Generator) -> NDArray[Any]:
    """The code with another value in one dimension; itself if no dimension has two."""
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
