"""Constraints that only some trials report, that come late, and that are infinite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.explanation_table import explain_markdown

SQUARE = SearchSpace([Float("x", -1, 2), Float("y", -1, 2)])


def _square(params: Mapping[str, Any]) -> float:
    """Least, -2.075, at x = 1.0, y = 0.2 where x + y is at most 1.2."""
    return float((params["x"] - 0.75) ** 2 * 2 - 2 * params["x"] - params["y"])


def _run(
    space: SearchSpace, report: Callable[[int, Mapping[str, Any]], dict[str, float]], n: int = 40
) -> list[dict[str, Any]]:
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    asked = []
    for i in range(n):
        (params,) = optimizer.ask()
        metrics = report(i, params)
        # as an adapter does once it sees a new name
        optimizer.constrain(
            {k: 0.0 for k in metrics if k != "loss" and k not in optimizer.metric_names}
        )
        optimizer.tell(params, metrics)
        asked.append(params)
    return asked


def _when_violated(i: int, params: Mapping[str, Any]) -> dict[str, float]:
    excess = params["x"] + params["y"] - 1.2
    return {"loss": _square(params), **({"oom": excess} if excess > 0 else {})}


def _infinite(i: int, params: Mapping[str, Any]) -> dict[str, float]:
    excess = params["x"] + params["y"] - 1.2
    return {"loss": _square(params), "oom": math.inf if excess > 0 else excess}


def _late(i: int, params: Mapping[str, Any]) -> dict[str, float]:
    excess = params["x"] + params["y"] - 1.2
    return {"loss": _square(params), **({"oom": excess} if i >= 20 else {})}


@pytest.mark.parametrize("report", [_when_violated, _infinite, _late])
def test_the_optimum_beside_the_bound_is_found(
    report: Callable[[int, Mapping[str, Any]], dict[str, float]],
) -> None:
    asked = _run(SQUARE, report)
    feasible = [params for params in asked if params["x"] + params["y"] <= 1.2]
    assert min(map(_square, feasible)) < -2.04
    late = asked[25:]
    assert sum(params["x"] + params["y"] <= 1.2 + 0.05 for params in late) >= len(late) // 2


def test_a_constraint_of_one_branch() -> None:
    """Each branch reports a constraint of its own, x at most 0.7, and is satisfied elsewhere."""
    space = SearchSpace([Categorical("branch", ("a", "b", "c")), Float("x", 0, 1)])
    bonus = {"a": 0.0, "b": 0.5, "c": 1.0}

    def report(i: int, params: Mapping[str, Any]) -> dict[str, float]:
        loss = -params["x"] - bonus[params["branch"]]
        return {"loss": loss, f"of {params['branch']}": params["x"] - 0.7}

    asked = _run(space, report, 30)
    feasible = [-p["x"] - bonus[p["branch"]] for p in asked if p["x"] <= 0.7]
    assert min(feasible) < -1.65


def test_an_infinite_violation_is_one() -> None:
    """0.2 took it for the largest finite value, 6 GB, below the bound of 8."""
    space = SearchSpace([Float("x", 0, 1), Float("y", 0, 1)])
    optimizer = NCPOptimizer(
        space, directions={"loss": "minimize"}, constraints={"memory": 8.0}, seed=0
    )
    over = 0
    for i in range(30):
        (params,) = optimizer.ask()
        x = params["x"]
        over += i >= 10 and x > 0.5
        optimizer.tell(params, {"loss": -x, "memory": math.inf if x > 0.5 else 4 + 4 * x})
    assert over <= 10
    best = optimizer.reasons[0]
    assert best["metrics"]["memory"]["bound"] == 8.0


def test_a_constraint_that_no_trial_reports_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would count as satisfied in all trials; one that few trials report is as meant."""

    def run(constraints: dict[str, float], report: dict[int, dict[str, float]]) -> list[str]:
        caplog.clear()
        optimizer = NCPOptimizer(
            SQUARE, directions={"loss": "minimize"}, constraints=constraints, seed=0,
            n_startup_trials=5,
        )  # fmt: skip
        for i in range(8):
            (params,) = optimizer.ask()
            optimizer.tell(params, {"loss": _square(params), **report.get(i, {})})
            assert i >= 4 or not caplog.messages  # startup
        return caplog.messages

    (message,) = run({"latency": 50.0, "memory": 8.0}, {2: {"memory": 7.0}})
    assert message == (
        "no complete trial has reported the constraints ['latency'], so they count as satisfied; "
        "report them together with ['loss'], or correct their names"
    )
    assert run({"memory": 8.0}, {4: {"memory": math.nan}}) == []
    assert run({"loss": 8.0}, {}) == []
    assert run({}, {}) == []


def test_nan_is_unknown_and_missing_is_satisfied() -> None:
    def chance(metrics: dict[str, float]) -> float:
        space = SearchSpace([Float("x", 0, 1)])
        optimizer = NCPOptimizer(
            space,
            directions={"loss": "minimize"},
            constraints={"c": 0.0},
            seed=0,
            n_startup_trials=4,
        )
        for x in np.random.default_rng(0).permutation(np.linspace(0, 1, 12)):
            report = {"loss": -x, **({"c": 1.0} if x > 0.5 else metrics)}
            optimizer.tell({"x": float(x)}, report)
        optimizer.ask()
        probability: float = optimizer.reasons[0]["feasible"]
        return probability

    assert chance({}) > 0.5
    assert chance({}) > chance({"c": math.nan})
    assert chance({}) == chance({"c": -math.inf})


@pytest.mark.parametrize("report", ["count", "indicator", "clipped"])
def test_a_constraint_that_is_zero_wherever_it_holds(report: str) -> None:
    """At the bound exactly, without saying how far from being violated."""

    def metrics(i: int, params: Mapping[str, Any]) -> dict[str, float]:
        excess = params["x"] + params["y"] - 1.2
        zero = {
            "count": float((excess > 0) + (params["x"] > 1.5)),
            "indicator": float(excess > 0),
            "clipped": max(0.0, excess),
        }
        return {"loss": _square(params), "c": zero[report]}

    asked = _run(SQUARE, metrics)
    feasible = [params for params in asked if params["x"] + params["y"] <= 1.2]
    assert min(map(_square, feasible)) < -2.04
    assert len(feasible) >= 16  # 17 to 23 with seeds 0 to 3


def test_at_least() -> None:
    """A lower bound is an upper one of the metric with its sign turned, reported or not."""

    def search(bound: float | tuple[float | None, float | None], sign: float) -> NCPOptimizer:
        space = SearchSpace([Float("x", 0, 1), Float("y", 0, 1)])
        optimizer = NCPOptimizer(
            space, directions={"loss": "minimize"}, constraints={"c": bound}, seed=0
        )
        for _ in range(20):
            (params,) = optimizer.ask()
            x, y = params["x"], params["y"]
            metrics = {"loss": x + y}
            if x + y < 1.4:  # the objective reports it near the bound alone
                metrics["c"] = sign * (x + 2 * y)
            optimizer.tell(params, metrics)
        optimizer.ask()
        return optimizer

    low, high = search((1.2, None), 1.0), search(-1.2, -1.0)
    assert [trial.params for trial in low.trials] == [trial.params for trial in high.trials]
    assert low.best_trial.params == high.best_trial.params
    assert low.best_metrics["c"] == pytest.approx(1.2, abs=0.1)
    assert low.best_metrics["c"] >= 1.2
    reasons = low.reasons[0]
    assert reasons["metrics"]["c"]["at_least"] == 1.2
    assert "; at least 1.2 with probability" in explain_markdown(reasons)
