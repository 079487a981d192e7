"""Ranges that change between trials: widened, narrowed, other grids, other kinds, dynamic ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import Study
from optuna.trial import Trial, create_trial

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna.inferred_space import Ranges
from ncp_sampler.integrations.optuna.study_history import SpaceHistory
from tests.optuna_examples import NotingSampler


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def one_other_high(trial: Trial) -> float:
    high = 9 if trial.number == 3 else 10
    return sum((trial.suggest_float(f"x{i}", -10, high) - 3 - i) ** 2 for i in range(3))


def widened_log(trial: Trial) -> float:
    high = 1e-2 if trial.number < 15 else 1e-1
    rate = trial.suggest_float("rate", 1e-5, high, log=True)
    return (math.log10(rate) + 1.5) ** 2 + (trial.suggest_float("y", -5, 5) - 1) ** 2 / 25


def narrowed(trial: Trial) -> float:
    high = 10 if trial.number < 15 else 4
    return sum((trial.suggest_float(f"x{i}", -10, high) - 2 - i) ** 2 / 100 for i in range(2))


def without_step(trial: Trial) -> float:
    step = 0.5 if trial.number < 15 else None
    return sum((trial.suggest_float(f"x{i}", -10, 10, step=step) - 2.3) ** 2 for i in range(2))


def below_another(trial: Trial) -> float:
    """The range of y is another one in each trial."""
    x = trial.suggest_float("x", 0.1, 10)
    return (x - 6) ** 2 + (trial.suggest_float("y", 0, x) - 2) ** 2


@pytest.mark.parametrize(
    "objective", [one_other_high, widened_log, narrowed, without_step, below_another]
)
def test_a_range_that_changes_is_searched_on(objective: Callable[[Trial], float]) -> None:
    """Most of the last ten trials are near the optimum; 0.2 drew these parameters at random."""
    noting = NotingSampler()
    study = optuna.create_study(sampler=NCPSampler(seed=0, independent_sampler=noting))
    study.optimize(objective, n_trials=32)
    drawn = {number for number, _ in noting.drawn}
    assert drawn <= {0, 3, 15} or objective is below_another  # in which a range is new
    first = sorted(float(trial.value or 0) for trial in study.trials[:10])
    last = sorted(float(trial.value or 0) for trial in study.trials[-10:])
    assert last[5] < 0.1 * first[5]


def add(study: Study, name: str, distribution: BaseDistribution, values: list[object]) -> None:
    study.add_trials(
        [
            create_trial(params={name: v}, distributions={name: distribution}, value=float(i))
            for i, v in enumerate(values)
        ]
    )


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        (FloatDistribution(1, 9, log=True), FloatDistribution(1, 10), [1.0, 2.0]),
        (IntDistribution(0, 8), FloatDistribution(0, 8), [1, 2]),
        (CategoricalDistribution(["a", "b"]), CategoricalDistribution(["a", "b", "c"]), ["a", "b"]),
        (IntDistribution(0, 8, step=2), IntDistribution(1, 9, step=2), [2, 4]),
    ],
    ids=str,
)
def test_the_newest_distribution_is_followed(
    old: BaseDistribution, new: BaseDistribution, values: list[object]
) -> None:
    """Another kind comes by ``add_trial`` alone; what fits of the older trials is learned."""
    study = optuna.create_study(sampler=NCPSampler(seed=0))
    add(study, "x", old, values)
    add(study, "x", new, [values[0] if new._contains(new.to_internal_repr(values[0])) else 3])
    trial = study.ask({"x": new})
    assert trial.relative_search_space == {"x": new}
    assert isinstance(study.sampler, NCPSampler)
    [history] = [h for s in study.sampler._studies.values() for h in s.spaces]
    assert history.numbers == [0, 1, 2]


def test_older_trials_of_another_kind_are_left_out_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=2))
    add(study, "x", CategoricalDistribution(["1", "2"]), ["1", "2", "1"])
    add(study, "x", IntDistribution(0, 9), [5])
    for _ in range(4):
        study.tell(study.ask({"x": IntDistribution(0, 9)}), 1.0)
    assert [message for message in caplog.messages if "left out" in message] == caplog.messages
    assert len(caplog.messages) == 1


def test_the_order_in_which_trials_finish_does_not_matter() -> None:
    dists = [FloatDistribution(0, 9), FloatDistribution(0, 9), FloatDistribution(-1, 8)]
    results = []
    for order in permutations(enumerate(dists)):
        ranges = Ranges()
        for number, distribution in order:
            ranges.read(number, {"x": distribution})
        results.append(ranges.current())
    assert results == [{"x": dists[-1]}] * 6


@pytest.mark.parametrize(
    ("first", "second", "low", "high", "step"),
    [
        (IntDistribution(0, 8, step=4), IntDistribution(2, 6, step=2), 0, 8, 2),
        (IntDistribution(1, 8, log=True), IntDistribution(4, 64, log=True), 1, 64, 1),
        (FloatDistribution(0, 1, step=0.1), FloatDistribution(0.3, 2, step=0.1), 0, 2, 0.1),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(0.2, 1.2, step=0.5), 0, 1.2, None),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(-1, 1), -1, 1, None),
    ],
    ids=str,
)
def test_a_dynamic_range_is_searched_whole(
    first: IntDistribution | FloatDistribution,
    second: IntDistribution | FloatDistribution,
    low: Any,
    high: Any,
    step: Any,
) -> None:
    """The smallest range that holds the values of all trials, until it has settled."""
    hull = type(first)(low, high, log=first.log, step=step)
    ranges = Ranges()
    for number in range(20):
        ranges.read(number, {"x": (first, second)[number % 2]})
    assert ranges.current() == {"x": hull}
    for number in range(20, 29):
        ranges.read(number, {"x": second})
    assert ranges.current() == {"x": second}


def test_a_dynamic_range_costs_no_history_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimizer of the space is made a few times in a study, not at each trial."""
    starts: list[SpaceHistory] = []
    start = SpaceHistory.__init__

    def noting(self: SpaceHistory, *arguments: Any) -> None:
        starts.append(self)
        start(self, *arguments)

    monkeypatch.setattr(SpaceHistory, "__init__", noting)

    def objective(trial: Trial) -> float:
        n = trial.suggest_int("n", 1, 4)
        return trial.suggest_float("x", 0, n) + trial.suggest_int("z", 0, 5 + trial.number % 2)

    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=100))
    study.optimize(objective, n_trials=60)
    assert len(starts) < 8


def test_a_branch_with_a_range_of_its_own() -> None:
    """One name with two ranges: values stay in the one that the branch suggests."""

    def objective(trial: Trial) -> float:
        if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
            rate = trial.suggest_float("rate", 1e-5, 1e-3, log=True)
            return (math.log10(rate) + 4) ** 2
        rate = trial.suggest_float("rate", 1e-3, 1, log=True)
        return 0.5 + (math.log10(rate) + 1) ** 2

    best = []
    for seed in range(3):
        study = optuna.create_study(sampler=NCPSampler(seed=seed))
        study.optimize(objective, n_trials=30)
        best.append(study.best_value)
    assert np.median(best) < 0.01
