"""Several tasks, of which a trial reports some: what is learned, and which to train next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ncp_sampler import Float, Integer, NCPOptimizer, SearchSpace

SPACE = SearchSpace([Float("x", 0, 1), Float("y", 0, 1)])
TASKS = {"small": "maximize", "large": "maximize"}


def _task(name: str, params: dict[str, Any]) -> float:
    best = 0.3 if name == "small" else 0.6
    return float(1 - (params["x"] - best) ** 2 - (params["y"] - 0.5) ** 2)


def _optimizer(**options: Any) -> NCPOptimizer:
    return NCPOptimizer(SPACE, directions=TASKS, objective_weights="compromise", seed=0, **options)


def _observed(n: int, **options: Any) -> NCPOptimizer:
    optimizer = _optimizer(**options)
    for _ in range(n):
        (params,) = optimizer.ask()
        optimizer.tell(params, {name: _task(name, params) for name in TASKS})
    return optimizer


def test_tasks_reported_in_turn_are_enough() -> None:
    """No trial has both, and the compromise is found: by predictions of what was not trained."""
    optimizer = _optimizer()
    for n in range(30):
        (params,) = optimizer.ask()
        task = [*TASKS][n % 2]
        optimizer.tell(params, {task: _task(task, params)})
    chosen = optimizer.compromise()
    assert len(chosen.predicted) == 1
    assert chosen.params["x"] == pytest.approx(0.45, abs=0.1)
    assert chosen.params["y"] == pytest.approx(0.5, abs=0.1)


def test_a_restored_search_with_gaps_goes_on_alike() -> None:
    first, second = _optimizer(), _optimizer()
    for n in range(14):
        (params,) = first.ask()
        first.tell(params, {[*TASKS][n % 2]: _task([*TASKS][n % 2], params)})
    first.ask()
    second.load_state_dict(first.state_dict())
    assert first.ask() == second.ask()


def test_a_trial_of_some_tasks_has_not_failed() -> None:
    optimizer = _optimizer(n_startup_trials=5)
    for n in range(12):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"small": _task("small", params)} if n % 2 else {})
    optimizer.ask()
    assert optimizer.reasons[0].get("succeeds", 1.0) < 1.0  # of those without any, it has
    again = _optimizer(n_startup_trials=5)
    for n in range(12):
        (params,) = again.ask()
        again.tell(params, {[*TASKS][n % 2]: _task([*TASKS][n % 2], params)})
    again.ask()
    assert "succeeds" not in again.reasons[0]


def test_a_task_that_diverges_is_a_failure_and_is_not_predicted() -> None:
    """Where x > 0.5 the large task diverges: it is best there by prediction alone."""
    optimizer = _optimizer()
    diverged = 0
    for n in range(40):
        (params,) = optimizer.ask()
        bad = params["x"] > 0.5
        diverged += bad and n >= 20
        large = -np.inf if bad else _task("large", params)
        optimizer.tell(params, {"small": _task("small", params), "large": large})
    assert diverged <= 5
    chosen = optimizer.compromise()
    assert chosen.predicted == ()
    assert chosen.params["x"] <= 0.5


def test_a_constraint_is_unknown_of_a_trial_that_has_not_trained_every_task() -> None:
    """It may be the other task's: of complete trials a missing one counts as satisfied."""
    optimizer = _optimizer(constraints={"memory": 0.7})
    for n in range(30):
        (params,) = optimizer.ask()
        metrics = {"small": _task("small", params)}
        if n % 2:
            metrics |= {"large": _task("large", params), "memory": params["x"] + 0.3}
        optimizer.tell(params, metrics)
    assert optimizer.compromise().params["x"] == pytest.approx(0.4, abs=0.05)


def test_the_next_task_is_the_one_that_tells_more_for_its_cost() -> None:
    optimizer = _observed(12)
    (params,) = optimizer.ask()
    assert optimizer.next_task(params, {}, {"small": 1, "large": 50}) == "small"
    assert optimizer.next_task(params, {}, {"small": 50, "large": 1}) == "large"
    assert optimizer.next_task(params, {"small": 1.0, "large": 1.0}) is None


def test_a_disappointing_first_task_ends_a_trial() -> None:
    optimizer = _observed(12)
    (params,) = optimizer.ask()
    expected = _task("small", params)
    assert optimizer.next_task(params, {"small": expected + 0.1}) == "large"
    assert optimizer.next_task(params, {"small": expected - 0.5}) is None


def test_startup_trials_train_every_task() -> None:
    optimizer = _observed(3)
    (params,) = optimizer.ask()
    assert optimizer.next_task(params, {"small": -5.0}) == "large"
    assert _optimizer().next_task(params, {}, {"large": 0.5}) == "large"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"medium": 1.0},), r"reported has \['medium'\]"),
        (({"small": "high"},), "reported\\['small'\\]='high' must"),
        (({}, {"large": 0}), "costs\\['large'\\]=0 must"),
        (({}, 3), "costs=3 must"),
    ],
)
def test_wrong_reports_and_costs_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _optimizer().next_task({"x": 0.5, "y": 0.5}, *arguments)


@pytest.mark.parametrize("m", [5, 7])
def test_many_objectives_have_a_front(m: int) -> None:
    """Five modeled ones are more than the exact improvement takes; samples take their place."""
    names = [f"m{i}" for i in range(m)]
    optimizer = NCPOptimizer(SPACE, directions=dict.fromkeys(names, "minimize"), seed=0)
    rng = np.random.default_rng(1)
    points = rng.random((m, 2))
    late = []
    for n in range(25):
        (params,) = optimizer.ask()
        at = np.array([params["x"], params["y"]])
        distances = ((at - points) ** 2).sum(1)
        optimizer.tell(params, dict(zip(names, distances.tolist(), strict=True)))
        late += [at] if n >= 10 else []
    inside = (np.array(late) > points.min(0) - 0.05) & (np.array(late) < points.max(0) + 0.05)
    assert inside.all(axis=1).mean() > 0.8  # the front lies between the points


def test_a_task_of_few_reports_is_predicted_in_a_long_history() -> None:
    """If there are more trials than are fitted, those with the rare task are always included."""
    optimizer = NCPOptimizer(
        SPACE, directions=dict.fromkeys("abc", "maximize"), objective_weights="std", seed=0
    )
    rng = np.random.default_rng(0)
    rows = [{"x": float(x), "y": float(y)} for x, y in rng.random((450, 2))]
    results = [
        {"b": row["x"]} if i in (7, 241) else {"a": -row["x"] - row["y"], "c": row["x"]}
        for i, row in enumerate(rows)
    ]
    optimizer.tell(rows, results)
    assert "b" in optimizer.compromise().predicted
    (params,) = optimizer.ask()
    assert optimizer.next_task(params, {}, {"a": 50.0, "b": 1.0, "c": 50.0}) == "b"


def test_params_that_diverged_in_one_objective_are_not_tried_again() -> None:
    """They have a value of the other: a deterministic objective would give the same again."""
    space = SearchSpace([Integer("x", 1, 5)])
    optimizer = NCPOptimizer(
        space, directions={"a": "minimize", "b": "minimize"}, n_startup_trials=2, seed=0
    )
    tried = []
    for bad in (0.0, 0.0, np.inf, 1.0, 0.0):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"a": 0.0, "b": bad})
        tried.append(params["x"])
    assert sorted(tried) == [1, 2, 3, 4, 5]
