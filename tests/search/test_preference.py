"""Weights in the user's units, and the least regret in the worst objective."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from ncp_sampler import Float, Integer, NCPOptimizer, SearchSpace
from ncp_sampler.search.preference import progress_of, relative_regrets

LINE = SearchSpace([Float("x", 0, 1), Float("y", 0, 1)])


def _measure(params: dict[str, Any]) -> dict[str, float]:
    """An accuracy in percent that is best at x = 0.2, and a small loss that is best at x = 0.8."""
    x, y = params["x"], params["y"]
    accuracy = 90 - 100 * (x - 0.2) ** 2 - 20 * (y - 0.5) ** 2
    return {"accuracy": accuracy, "loss": 0.01 + 0.1 * (x - 0.8) ** 2 + 0.01 * (y - 0.5) ** 2}


def _optimum(weights: Any, *, reported: float = 1.0, n: int = 30) -> NCPOptimizer:
    optimizer = NCPOptimizer(
        LINE,
        directions={"accuracy": "maximize", "loss": "minimize"},
        objective_weights=weights,
        seed=0,
    )
    rng = np.random.default_rng(0)
    for _ in range(n):
        (params,) = optimizer.ask()
        metrics = _measure(params)
        kept = [name for name in metrics if rng.random() < reported] or ["loss"]
        optimizer.tell(params, {name: metrics[name] for name in kept})
    return optimizer


@pytest.mark.parametrize(
    ("weights", "best"),
    [
        ({"accuracy": 1.0, "loss": 1000.0}, 0.5),  # 100 (x - .2)^2 + 100 (x - .8)^2
        ({"accuracy": 1.0, "loss": 1.0}, 0.2),  # a loss of 0.1 is nothing beside 100 percent
        ({"accuracy": 0.0, "loss": 1.0}, 0.8),
    ],
)
def test_weights_are_in_the_units_of_the_metrics(weights: dict[str, float], best: float) -> None:
    chosen = _optimum(weights).compromise(weights).params
    assert chosen["x"] == pytest.approx(best, abs=0.03)


@pytest.mark.parametrize("weights", ["compromise", "std", "range", {"loss": (2.0, "std")}])
def test_named_units_need_no_numbers(weights: Any) -> None:
    given = {"accuracy": "std", **weights} if isinstance(weights, dict) else weights
    chosen = _optimum(given).compromise(given)
    assert 0.2 < chosen.params["x"] < 0.8  # the optima of both
    assert chosen.values == pytest.approx(_measure(chosen.params))
    assert chosen.predicted == ()


def test_the_best_compromise_loses_as_little_of_either() -> None:
    regrets = _optimum("compromise").compromise().regrets
    assert regrets["accuracy"] == pytest.approx(regrets["loss"], abs=0.05)


def test_half_of_the_reports_lead_to_the_same_place() -> None:
    chosen = _optimum("compromise", reported=0.5, n=40).compromise()
    assert chosen.params["x"] == pytest.approx(
        _optimum("compromise").compromise().params["x"], abs=0.1
    )


def test_the_knee_is_on_the_front() -> None:
    optimizer = _optimum(None)
    knee = optimizer.compromise("knee")
    assert 0.3 < knee.params["x"] < 0.7
    assert abs(knee.params["y"] - 0.5) < 0.1
    assert str(knee).startswith(f"trial {knee.number}\n  accuracy: ")


def test_regrets_are_0_at_the_best_and_1_at_the_median_of_the_first_ten() -> None:
    raw = np.array([[k, -k] for k in range(10)] + [[20.0, 3.0]])
    regrets = relative_regrets(raw, np.array([1.0, -1.0]))
    assert regrets[10].tolist() == [0.0, pytest.approx(12 / 4.5)]
    assert regrets[9].tolist() == [pytest.approx(11 / 15.5), 0.0]
    assert progress_of(np.array([3.0, 3.0]), best=3.0) == 1.0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("best", "objective_weights='best' must"),
        ({"loss": "median"}, "objective_weights['loss']='median' must"),
        ({"loss": (1.0, "mean")}, r"objective_weights['loss']=(1.0, 'mean') must"),
        ({"loss": (-1.0, "std")}, "objective_weights['loss']=-1.0 must"),
        ({"speed": 1.0}, "objective_weights has ['speed'], not among the objectives"),
    ],
)
def test_other_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        _optimum(weights)


def test_there_is_nothing_to_choose_from_before_a_result() -> None:
    optimizer = NCPOptimizer(LINE, directions={"a": "maximize", "b": "minimize"})
    with pytest.raises(ValueError, match="nothing has a value yet"):
        optimizer.compromise()
    with pytest.raises(ValueError, match="objective_weights=None must"):
        optimizer.compromise(None)  # type: ignore[arg-type]


def test_a_compromise_shows_an_infinite_known_cost() -> None:
    """The search replaces infinity with a finite number, which no user has seen."""
    optimizer = NCPOptimizer(
        SearchSpace([Integer("n", 1, 8)]),
        directions={"loss": "minimize", "cost": "minimize"},
        costs={"cost": lambda params: math.inf if params["n"] > 2 else params["n"]},
    )
    for n in range(1, 9):
        optimizer.tell({"n": n}, {"loss": float(-n)})
    chosen = optimizer.compromise({"loss": 1000.0, "cost": 1.0})
    assert chosen.values == {"loss": -8.0, "cost": math.inf}
    assert chosen.regrets["loss"] == 0.0
    assert "cost: inf" in str(chosen)
    assert optimizer.compromise({"loss": 0.0, "cost": 1.0}).values == {"loss": -1.0, "cost": 1.0}
