"""Compared searches: each takes rows of a table and answers with architectures.

Every method is given the same rows, the space and a seed. It recommends one architecture, which may
be a row, and names up to five new ones to train next. A search that uses a predictor answers with
the codes of the highest predictions; a sampler recommends the best row.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import optuna
from lightgbm import LGBMRegressor
from numpy.typing import ArrayLike, NDArray
from optuna.trial import create_trial
from sklearn.ensemble import RandomForestRegressor

from benchmarks.baselines import evolution_search, local_search, net_adapt
from benchmarks.from_tables.tasks import FloatArray, Task
from ncp_sampler import NCPOptimizer
from ncp_sampler.offline import BETA, SearchProblem, propagate_answers, propagate_search
from ncp_sampler.propagation import Target
from ncp_sampler.records.records import Records
from ncp_sampler.space.search_space import code_key

NEW = 5  # number of new architectures of an answer
METRIC = "value"

# for a few hundred rows: best of five settings on draws 100 to 102 of five tables
_LIGHTGBM: dict[str, Any] = {
    "n_estimators": 300, "learning_rate": 0.05, "num_leaves": 7, "min_child_samples": 5,
    "colsample_bytree": 0.3, "subsample": 0.7, "subsample_freq": 1,
}  # fmt: skip
_TREES = 300  # number of trees of the random forest


class Case:
    """Rows of a task, from which every method starts.

    Args:
        task: The table.
        rows: Its known rows, (n,).
        seed: Seed of the methods.

    Attributes:
        task: As given.
        rows: As given.
        seed: As given.
        best: Row of the best measured value.
        records: Codes and measured values of the rows.
    """

    def __init__(self, task: Task, rows: NDArray[np.intp], seed: int) -> None:
        self.task, self.rows, self.seed = task, rows, seed
        self.best = int(rows[task.measured[rows].argmax()])
        codes = task.codes[rows].astype(np.float64)
        self.records = Records(task.space, codes, {METRIC: task.measured[rows]})
        self._keys = {code_key(code) for code in self.records.codes}

    @property
    def best_code(self) -> NDArray[Any]:
        """Code (d,) of the best row."""
        code: NDArray[Any] = self.task.codes[self.best]
        return code

    @cached_property
    def problem(self) -> SearchProblem:
        """Offline search problem of the rows, whose predictor is fitted once for all methods."""
        return SearchProblem(self.records, [Target(METRIC, beta=BETA)], seed=self.seed)

    def new(self, codes: ArrayLike) -> NDArray[Any]:
        """Return the first ``NEW`` distinct codes (k, d) among (n, d) without a known row."""
        kept = {code_key(code): code for code in np.asarray(codes)}
        listed = [code for key, code in kept.items() if key not in self._keys]
        return np.array(listed[:NEW]).reshape(-1, len(self.task.space.columns))


@dataclass(frozen=True)
class Answer:
    """Architectures that a method answers with.

    Attributes:
        recommended: Code of the architecture that the method considers best, (d,).
        new: Codes to train next, most promising first, without known rows, (k, d), k <= 5.
    """

    recommended: NDArray[Any]
    new: NDArray[Any]


Search: TypeAlias = Callable[[Case], Answer]


def best_row(case: Case) -> Answer:
    """Recommend the best known row, and nothing new."""
    return Answer(case.best_code, case.new([]))


def random_rows(case: Case) -> Answer:
    """Recommend the best known row, and random architectures from the table."""
    rng = np.random.default_rng(
        case.rows
    )  # with only the seed, the draw would be the same for all tables
    codes = rng.permutation(case.task.codes)[: NEW + len(case.rows)]
    return Answer(case.best_code, case.new(codes))


def whole_table(make: Callable[[int], Any]) -> Search:
    """Return the search that ranks the whole table by a regressor's predictions."""

    def search(case: Case) -> Answer:
        codes = case.task.codes
        model = make(case.seed).fit(case.records.codes, case.records.metrics[METRIC])
        order = np.argsort(-model.predict(codes), kind="stable")
        return Answer(codes[order[0]], case.new(codes[order]))

    return search


def random_forest(seed: int) -> RandomForestRegressor:
    """Return an unfitted random forest."""
    return RandomForestRegressor(_TREES, random_state=seed, n_jobs=1)


def boosted_trees(seed: int) -> LGBMRegressor:
    """Return unfitted boosted trees of LightGBM."""
    return LGBMRegressor(**_LIGHTGBM, random_state=seed, n_jobs=1, deterministic=True, verbose=-1)


class WatchedProblem(SearchProblem):
    """Search problem that records the codes whose utility is computed.

    Args:
        case: Rows to search from; the utility is the predicted mean of their predictor.
    """

    def __init__(self, case: Case) -> None:
        super().__init__(
            case.problem.predictors,
            [Target(METRIC, beta=0.0)],
            records=[case.records],
            seed=case.seed,
        )
        self._seen: list[NDArray[Any]] = []
        self._values: list[FloatArray] = []

    def values(self, codes: ArrayLike) -> FloatArray:
        values = super().values(codes)
        self._seen.append(np.atleast_2d(np.asarray(codes)))
        self._values.append(values[0])
        return values

    def best_first(self) -> NDArray[Any]:
        """Return all evaluated codes (n, d), with the highest predictions first."""
        order = np.argsort(-np.concatenate(self._values), kind="stable")
        codes: NDArray[Any] = np.concatenate(self._seen)[order]
        return codes


def by_values(search: Callable[[WatchedProblem, Case], Any]) -> Search:
    """Return a search with the default predictor; its answer has the highest predictions."""

    def answer(case: Case) -> Answer:
        problem = WatchedProblem(case)
        solution = search(problem, case)
        return Answer(solution.code, case.new(problem.best_first()))

    return answer


def gp_sampler(case: Case) -> Answer:
    """Ask Optuna's GPSampler for five parallel trials, in a study with the rows."""
    space, seed = case.task.space, case.seed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=not case.task.noisy)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = space.distributions
    study.add_trials(
        [
            create_trial(params=params, distributions=distributions, value=value)
            for params, value in _observed(case)
        ]
    )
    asked = [space.to_code(space.suggest(study.ask())) for _ in range(NEW)]
    return Answer(case.best_code, case.new(asked))


def ncp_optimizer(case: Case) -> Answer:
    """Ask ``NCPOptimizer`` for five proposals after it has observed the rows."""
    space = case.task.space
    optimizer = NCPOptimizer(
        space,
        directions={METRIC: "maximize"},
        seed=case.seed,
        deterministic_objective=not case.task.noisy,
    )
    params, values = zip(*_observed(case), strict=True)
    optimizer.tell(params, [{METRIC: value} for value in values])
    return Answer(case.best_code, case.new(space.to_code(optimizer.ask(NEW))))


def ncp(case: Case) -> Answer:
    """Search offline with default settings, for one solution and for several distinct ones."""
    solution = propagate_search(case.problem, seed=case.seed)
    several = propagate_answers(case.problem, n=NEW, seed=case.seed)
    return Answer(solution.code, case.new([candidate.code for candidate in several]))


def _observed(case: Case) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield params and value of each row."""
    params: Any = case.task.space.to_params(case.task.codes[case.rows])
    yield from zip(params, case.records.metrics[METRIC].tolist(), strict=True)


METHODS: dict[str, Search] = {
    "ncp": ncp,
    "ncp-optimizer": ncp_optimizer,
    "best-row": best_row,
    "random": random_rows,
    "random-forest": whole_table(random_forest),
    "lightgbm": whole_table(boosted_trees),
    "net-adapt": by_values(lambda problem, case: net_adapt(problem, start=case.best_code)),
    "local-search": by_values(lambda problem, case: local_search(problem, seed=case.seed)),
    "evolution": by_values(lambda problem, case: evolution_search(problem, seed=case.seed)),
    "gp-sampler": gp_sampler,
}
LABELS = {
    "ncp": "NCP offline",
    "ncp-optimizer": "NCPOptimizer after the rows",
    "best-row": "best row known",
    "random": "five random ones",
    "random-forest": "random forest, whole table",
    "lightgbm": "LightGBM, whole table",
    "net-adapt": "NetAdapt on our predictor",
    "local-search": "local search on our predictor",
    "evolution": "evolution on our predictor",
    "gp-sampler": "Optuna's GPSampler after the rows",
}
