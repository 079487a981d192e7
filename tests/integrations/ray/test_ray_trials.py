"""Observations of the searcher from reports and completions, call by call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Repeater

from tests.ray_examples import POINT, new_search, observations


def _flat(config: dict[str, Any], **metrics: Any) -> dict[str, Any]:
    """A result as Ray hands it over."""
    return {**metrics, **{f"config/{name}": value for name, value in config.items()}}


def test_several_metrics_are_learnt_on_completion() -> None:
    search = new_search(metric=["m", "nest/cost"], mode=["max", "min"])
    search.suggest("a")
    search.on_trial_result("a", {"m": 1.0, "nest/cost": 2.0})
    assert observations(search) == []
    search.on_trial_complete("a", result={"m": 3.0, "nest/cost": 4.0})
    search.suggest("b")
    search.on_trial_complete("b", result={"m": 5.0})
    values = [values for _, values, _ in observations(search)]
    np.testing.assert_array_equal(values, [[3.0, 4.0], [5.0, math.nan]])


@pytest.mark.parametrize(
    "value", [math.nan, None, "high", {"x": 1}, [1.0, 2.0], np.ones(2), torch.ones(2), 1j, 10**400]
)
def test_what_is_no_number_is_known_and_not_learnt(value: Any) -> None:
    search = new_search()
    config = search.suggest("a")
    search.on_trial_complete("a", result={"m": value}, error=False)
    ((params, (number,), _),) = observations(search)
    assert math.isnan(number)
    assert params["net/width"] == (config or {})["net"]["width"]


@pytest.mark.parametrize("value", [1, True, np.float32(1), np.ones(1), torch.ones(1), 1.0])
def test_what_is_a_number_is_learnt(value: Any) -> None:
    search = new_search()
    search.suggest("a")
    search.on_trial_complete("a", result={"m": value})
    assert [values for _, values, _ in observations(search)] == [[1.0]]


def test_id_that_is_used_again_is_another_trials() -> None:
    search = new_search()
    for value in (1.0, math.nan, 3.0):
        search.suggest("a")
        search.on_trial_complete("a", result={"m": value})
    np.testing.assert_array_equal(
        [v for _, v, _ in observations(search)], [[1.0], [math.nan], [3.0]]
    )
    assert search._running == {}


@pytest.mark.parametrize("result", [None, {}, {"config/epochs": 3}, {"m": 0.9}])
def test_errored_trial_teaches_nothing_though_it_had_reported(result: Any) -> None:
    search = new_search()
    search.suggest("a")
    search.on_trial_result("a", {"m": 0.9})
    search.on_trial_complete("a", result=result, error=True)
    assert [math.isnan(values[0]) for _, values, _ in observations(search)] == [True]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"other": 1.0}, "reported none of ['m']"),
        ({"m": "high"}, "reported values that are not numbers: {'m': 'high'}"),
    ],
)
def test_results_without_a_value_are_named(
    result: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    search = new_search()
    for trial_id in "ab":
        search.suggest(trial_id)
        search.on_trial_result(trial_id, result)
        search.on_trial_complete(trial_id, result=result)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"no value is learned from trial {trial_id}: it {reason}" for trial_id in "ab"
    ]
    assert len(observations(search)) == 2


@pytest.mark.parametrize("result", [None, {}])
def test_trial_that_was_given_up_while_paused_teaches_its_last_report(result: Any) -> None:
    """HyperBand stops paused trials, also its best in the end; Ray then gives no result."""
    search = new_search()
    search.suggest("a")
    for value in (0.1, 0.2):
        search.on_trial_result("a", {"m": value})
    search.on_trial_complete("a", result=result)
    assert [(values, complete) for _, values, complete in observations(search)] == [([0.2], True)]


def test_second_completion_and_late_reports_are_ignored() -> None:
    search = new_search()
    search.suggest("a")
    search.on_trial_complete("a", result={"m": 1.0})
    search.on_trial_result("a", {"m": 2.0})
    search.on_trial_complete("a", result={"m": 3.0})
    search.on_trial_complete("a", error=True)
    assert [values for _, values, _ in observations(search)] == [[1.0]]


def test_failed_trial_that_is_resumed_is_learnt_in_its_place() -> None:
    """``resume_errored`` runs it again under its id."""
    search = new_search()
    config = search.suggest("a") or {}
    search.on_trial_complete("a", error=True)
    search.suggest("b")
    search.on_trial_complete("b", result={"m": 2.0})
    search.on_trial_complete("a", result={"m": 1.0})
    search.on_trial_complete("a", result={"m": 9.0})
    assert [values for _, values, _ in observations(search)] == [[1.0], [2.0]]
    assert observations(search)[0][0]["rate"] == config["rate"]


def test_trial_that_fails_twice_is_told_once() -> None:
    search = new_search()
    search.suggest("a")
    for _ in range(2):
        search.on_trial_result("a", {"m": 1.0})
        search.on_trial_complete("a", error=True)
    assert [math.isnan(values[0]) for _, values, _ in observations(search)] == [True]


def test_unknown_trial_is_learnt_from_the_config_in_its_results() -> None:
    """``restart_errored`` runs failed configs under new ids."""
    search = new_search()
    for value in (0.5, 0.6):
        search.on_trial_result("new", _flat(POINT, m=value))
        assert observations(search) == [(POINT, [value], True)]
    search.on_trial_result("new", _flat(POINT))
    search.on_trial_complete("new", result=_flat(POINT, m=0.7), error=False)
    search.on_trial_result("new", _flat(POINT, m=0.8))
    assert observations(search) == [(POINT, [0.7], True)]


def test_unknown_trials_that_teach_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One warning says why of each that had a result."""
    search = new_search()
    search.on_trial_result("new", {"m": 0.5})
    search.on_trial_result("other", _flat({**POINT, "net/op": "dense"}, m=0.5))
    search.on_trial_complete("new", error=True)
    search.on_trial_complete("other", result=_flat({**POINT, "net/op": "dense"}, m=0.5))
    search.on_trial_complete("third", result=_flat({**POINT, "epochs": 9}, m=0.5))
    assert observations(search) == []
    messages = [record.getMessage().partition("; ")[0] for record in caplog.records]
    assert [message.removeprefix("nothing is learned from trial ") for message in messages] == [
        "new: config lacks ['net/width', 'net/op', 'rate', 'drop']",
        "other: net/op='dense' is not one of ('conv', 'pool', None)",
        "third: config has the constant epochs=9, but the search 3",
    ]


def test_categories_as_ray_reports_them() -> None:
    """It flattens dictionaries, also those that are categories; JSON makes lists of tuples."""
    plans = [{"a": {1: 2}, "b": (3, 3)}, {"a": {}, "b": (5, 5)}, {"a": {1: 2}}]
    search = new_search(space={"plan": tune.choice(plans), "pair": tune.choice([(1, (2,)), (1,)])})
    search.on_trial_result(
        "0", {"m": 0.0, "config/plan/a/1": 2, "config/plan/b": [3, 3], "config/pair": [1]}
    )
    search.on_trial_result("1", {"m": 1.0, "config/plan/b": (5, 5), "config/pair": [1, [2]]})
    search.on_trial_result("2", {"m": 2.0, "config": {"plan": {"a": {"1": 2}}, "pair": (1, [2])}})
    search.on_trial_result("3", {"m": 3.0, "config/plan/a/1": 3, "config/pair": [1]})
    assert observations(search) == [
        ({"plan": plans[0], "pair": (1,)}, [0.0], True),
        ({"plan": plans[1], "pair": (1, (2,))}, [1.0], True),
        ({"plan": plans[2], "pair": (1, (2,))}, [2.0], True),
    ]


def test_infinite_and_missing_constraints_arrive_as_they_are() -> None:
    search = new_search(constraints={"memory": 8.0, "nest/time": 1.0})
    reports: list[dict[str, float]] = [
        {"m": 1.0, "memory": math.inf}, {"m": 2.0, "nest/time": -math.inf}, {"m": 3.0}
    ]  # fmt: skip
    assert search._optimizer is not None
    optimizer = search._optimizer
    told_metrics: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizer, "tell", lambda _, metrics, **__: told_metrics.append(metrics))
        for i, report in enumerate(reports):
            search.suggest(str(i))
            search.on_trial_complete(str(i), result=report)
    assert told_metrics == reports


def test_params_of_an_unknown_trial_are_kept_off() -> None:
    search = new_search(space={"a": tune.randint(0, 2)})
    search.on_trial_result("new", {"m": 0.5, "config/a": 1})
    assert search.suggest("next") == {"a": 0}


@pytest.mark.parametrize("batch", [False, True])
def test_repaired_trials_are_learnt_through_a_limiter(batch: bool) -> None:
    """It keeps back the completion of those that it did not just suggest."""
    search = new_search()
    limiter = ConcurrencyLimiter(search, max_concurrent=1, batch=batch)
    limiter.suggest("old")
    limiter.on_trial_complete("old", error=True)
    for trial_id in ("old", "new"):
        for value in (0.5, 0.7):
            limiter.on_trial_result(trial_id, _flat(POINT, m=value))
        limiter.on_trial_complete(trial_id, result=_flat(POINT, m=0.7))
    assert [values for _, values, _ in observations(search)] == [[0.7], [0.7]]


def test_batches_of_a_limiter() -> None:
    search = new_search()
    limiter = ConcurrencyLimiter(search, max_concurrent=2, batch=True)
    assert [limiter.suggest(i) is None for i in "abc"] == [False, False, True]
    limiter.on_trial_complete("a", result={"m": 1.0})
    assert limiter.suggest("c") is None
    assert observations(search) == []
    limiter.on_trial_complete("b", result={"m": 2.0})
    assert len(observations(search)) == 2
    assert limiter.suggest("c") is not None


def test_repeater_averages() -> None:
    search = new_search()
    repeater = Repeater(search, repeat=2)
    first, second = (repeater.suggest(i) for i in "ab")
    assert {**(first or {}), "__trial_index__": 1} == second
    repeater.on_trial_complete("a", result={"m": 1.0})
    repeater.on_trial_complete("b", result={"m": 2.0})
    assert [values for _, values, _ in observations(search)] == [[1.5]]


@pytest.mark.parametrize(("error", "fails"), [(True, True), (False, False)])
def test_a_trial_without_a_value_has_failed_only_with_an_error(error: bool, fails: bool) -> None:
    """It ended, reported a constraint alone, or was evaluated elsewhere."""
    search = new_search(constraints={"memory": 1.0})
    search.suggest("a")
    search.on_trial_complete("a", result={"training_iteration": 1}, error=error)
    search.suggest("b")
    search.on_trial_complete("b", result={"memory": 0.5}, error=error)
    search.add_evaluated_point(POINT, None, error=error)
    assert [complete for _, _, complete in observations(search)] == [fails] * 3
