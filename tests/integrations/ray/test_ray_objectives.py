"""Costs, limits and constraints in a Tune run's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ncp_sampler import Integer, NCPSearch, SearchSpace

PLANE = SearchSpace([Integer("net/x", 0, 100), Integer("net/y", 0, 100)])


def _sum(params: Any) -> float:
    return float(params["net/x"] + params["net/y"])


def _searched(search: NCPSearch, n: int) -> list[dict[str, int]]:
    """Suggests and completes trials, of which every fifth fails after it has reported."""
    searched = []
    for i in range(n):
        config = search.suggest(f"t{i}")
        assert config is not None
        net = config["net"]
        result = {"gain": net["x"] + 2 * net["y"], "cost/heat": net["x"] + net["y"]}
        if i % 5 == 4:
            search.on_trial_result(f"t{i}", result)
            search.on_trial_complete(f"t{i}", error=True)
        else:
            search.on_trial_complete(f"t{i}", result=result)
        searched.append(net)
    return searched


def test_a_result_is_kept_below_its_bound() -> None:
    search = NCPSearch(
        space=PLANE, metric="gain", mode="max", constraints={"cost/heat": 60.0}, seed=0
    )
    tried = _searched(search, 30)
    feasible = [net["x"] + 2 * net["y"] for net in tried if net["x"] + net["y"] <= 60]
    assert max(feasible) >= 118


def test_the_best_trial_is_feasible() -> None:
    """Ray's own best result would be the best of all."""
    search = NCPSearch(
        space=PLANE, metric="gain", mode="max", constraints={"cost/heat": 60.0}, seed=0
    )
    with pytest.raises(ValueError, match="no trial that is complete and feasible has a value yet"):
        search.best_trial  # noqa: B018
    tried = _searched(search, 20)
    ended = [net for i, net in enumerate(tried) if i % 5 != 4]  # the others failed
    best = max(
        (net for net in ended if net["x"] + net["y"] <= 60), key=lambda net: net["x"] + 2 * net["y"]
    )
    assert search.best_params == {"net/x": best["x"], "net/y": best["y"]}
    assert search.best_metrics["gain"] == best["x"] + 2 * best["y"]
    assert search.best_metrics["cost/heat"] <= 60
    assert max(net["x"] + 2 * net["y"] for net in ended) > search.best_metrics["gain"]
    several = NCPSearch(space=PLANE, metric=["gain", "loss"], mode=["max", "min"])
    with pytest.raises(ValueError, match=r"use compromise\(\) for one answer"):
        several.best_params  # noqa: B018


def test_a_misspelled_constraint_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Ray's results have more than the searcher asks for: it would read the others in silence."""
    search = NCPSearch(
        space=PLANE, metric="gain", mode="max", constraints={"heat": 60.0, "cost/heat": 60.0}
    )
    _searched(search, 20)
    (message,) = caplog.messages
    assert "no complete trial has reported the constraints ['heat']" in message
    assert "correct their names" in message


def test_points_over_a_limit_run_as_given_and_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Suggested or already evaluated; no other suggestion exceeds the limit."""
    far, near = {"net/x": 90, "net/y": 5}, {"net/x": 10, "net/y": 5}
    options: dict[str, Any] = {
        "space": PLANE, "metric": "gain", "mode": "max", "seed": 0,
        "costs": {"sum": _sum}, "limits": {"sum": 60}, "points_to_evaluate": [near, far],
    }  # fmt: skip
    tried = _searched(NCPSearch(**options), 14)
    assert tried[1] == {"x": 90, "y": 5}
    assert all(net["x"] + net["y"] <= 60 for net in tried[2:])
    (message,) = caplog.messages
    assert f"trial with {far} (observation 1) exceeds the limit sum<=60: 95; " in message
    caplog.clear()
    NCPSearch(**options, evaluated_rewards=[20.0, 100.0])
    assert caplog.messages == [message]


def test_a_result_is_kept_above_its_bound() -> None:
    search = NCPSearch(
        space=PLANE, metric="gain", mode="min", constraints={"cost/heat": (60.0, None)}, seed=0
    )
    tried = _searched(search, 30)
    feasible = [net["x"] + 2 * net["y"] for net in tried if net["x"] + net["y"] >= 60]
    assert min(feasible) <= 62


def test_what_a_failed_trial_reported_of_a_constraint_is_learnt() -> None:
    search = NCPSearch(space=PLANE, metric="gain", mode="max", constraints={"cost/heat": 9}, seed=0)
    _searched(search, 5)
    assert search._optimizer is not None
    values = search._optimizer.state_dict()["observations"]["values"]
    assert values[4][0] is None  # nothing was reported of it
    assert values[4][1] > 0


def test_limits_hold_in_a_saved_search_too(tmp_path: Path) -> None:
    def new() -> NCPSearch:
        return NCPSearch(
            space=PLANE,
            metric=["gain", "sum"],
            mode=["max", "min"],
            costs={"sum": _sum},
            limits={"sum": 50},
            seed=0,
            n_startup_trials=4,
        )

    search = new()
    tried = _searched(search, 8)
    search.save(str(tmp_path / "search.pkl"))
    restored = NCPSearch()
    restored.restore(str(tmp_path / "search.pkl"))
    ids = [f"u{i}" for i in range(4)]
    later = [restored.suggest(trial_id) for trial_id in ids]
    assert later == [search.suggest(trial_id) for trial_id in ids]
    tried += [config["net"] for config in later if config]
    assert max(net["x"] + net["y"] for net in tried) <= 50


def test_limits_that_leave_nothing_say_so_at_the_first_suggestion() -> None:
    search = NCPSearch(
        space=PLANE, metric="gain", mode="max", costs={"sum": _sum}, limits={"sum": -1}, seed=0
    )
    with pytest.raises(ValueError, match=r"the nearest found has sum=0 \(limit -1\)"):
        search.suggest("t0")


def test_trials_that_report_one_of_two_tasks_each() -> None:
    """The best of one lies at x = 30, of the other at x = 60; the compromise is between them."""
    search = NCPSearch(
        space=PLANE,
        metric=["small", "large"],
        mode=["max", "min"],
        objective_weights="compromise",
        seed=0,
    )
    for i in range(30):
        config = search.suggest(f"t{i}")
        assert config is not None
        net, task = config["net"], ("small", "large")[i % 2]
        off = (net["x"] - (60 if i % 2 else 30)) ** 2 + (net["y"] - 50) ** 2
        search.on_trial_complete(f"t{i}", result={task: off if i % 2 else -off})
    chosen = search.compromise()
    assert 35 <= chosen.params["net/x"] <= 55
    assert 40 <= chosen.params["net/y"] <= 60
    assert len(chosen.predicted) == 1
