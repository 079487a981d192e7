"""Predictive standard deviations in a proposal's reasons: calibrated by the latest trials."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncp_sampler import Float, NCPOptimizer, SearchSpace


def test_about_two_thirds_of_the_trials_lie_within_one_deviation() -> None:
    """On a smooth valley, where the process by itself is too uncertain."""
    within = np.mean([_within(seed, running=0) for seed in range(3)])
    assert 0.5 <= within <= 0.83  # by itself 0.85


def test_pending_trials_do_not_narrow_the_deviation() -> None:
    """Four workers: a proposal near pending ones is as uncertain as it would be alone."""
    assert 0.5 <= np.mean([_within(seed, running=3) for seed in range(3)]) <= 0.9


def test_where_a_trial_runs_leaves_the_reasons_unchanged() -> None:
    """The search conditions on its predicted mean; the reported deviation does not.

    That a trial runs beside counts, wherever it is: earlier trials are then predicted without the
    one before them.
    """
    space = SearchSpace([Float(name, 0, 1) for name in "ab"])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    for params in optimizer.ask(12):
        optimizer.tell(params, {"loss": np.sin(9 * params["a"]) + params["b"]})
    here, close, far = {"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.1001}, {"a": 0.1, "b": 0.9}
    optimizer.ask(fixed=here)
    alone = optimizer.reasons[0]["metrics"]["loss"]
    running = []
    for pending in (close, far):
        optimizer.ask(fixed=here, pending=[pending])
        running.append(optimizer.reasons[0]["metrics"]["loss"])
    assert running[0] == running[1]
    assert running[0]["mean"] == alone["mean"]
    assert min(alone["std"], running[0]["std"]) > 0.01


def _within(seed: int, *, running: int) -> float:
    """Share of values within one deviation, with so many other trials running."""
    space = SearchSpace([Float(name, -1, 1) for name in "abcd"])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=seed)
    within: list[bool] = []
    begun: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for _ in range(60):
        while len(begun) <= running:
            (params,) = optimizer.ask(pending=[params_begun for params_begun, _ in begun])
            begun.append((params, optimizer.reasons[0]))
        params, reasons = begun.pop(0)
        x = np.array([params[name] for name in "abcd"])
        loss = float((x - 0.3) @ (x - 0.3) + 0.3 * np.cos(3 * x).sum())
        optimizer.tell(params, {"loss": loss})
        if reasons["how"] == "search":
            prediction = reasons["metrics"]["loss"]
            within.append(abs(loss - prediction["mean"]) <= prediction["std"])
    return float(np.mean(within))
