"""Metrics that are missing throughout, or of sizes at the edge of a float."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.initial_design import _sobol

SPACE = SearchSpace(
    [
        Integer("width", 8, 128, step=8),
        Float("rate", 1e-4, 1.0, log=True),
        Categorical("act", ("relu", "silu", None)),
    ]
)


@pytest.mark.parametrize("always_missing", [True, False])
def test_a_metric_without_a_value_is_done_without(always_missing: bool) -> None:
    """One of two metrics has no value, or never one in the same trial as the other."""
    optimizer = NCPOptimizer(SPACE, directions={"a": "minimize", "b": "minimize"}, seed=0)
    for i in range(5):
        (params,) = optimizer.ask()
        results = {"a": float(i), "b": math.nan}
        if not always_missing and i % 2:
            results = {"b": float(i)}
        optimizer.tell(params, results)
    assert len(optimizer.ask(2)) == 2
    optimizer.n_startup_trials = 2
    (params,) = optimizer.ask()
    optimizer.tell(params, {"a": 1.0, "b": 2.0})  # and from here on both are modeled
    assert len(optimizer.ask(2)) == 2


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([i * 1e-310 for i in range(13)], 1.0),
        ([i * 1e-300 for i in range(13)], 1e10),
        ([i * 1e-250 for i in range(13)], 1e100),
        ([1e300 - i * 1e284 for i in range(13)], 1.7e308),
    ],
)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_values_of_any_size_leave_proposals(
    values: list[float], best: float, direction: str
) -> None:
    """A value far beyond the others' steps sets no scale that the rest cannot live with."""
    optimizer = NCPOptimizer(SPACE, directions={"v": direction}, seed=0)
    for value in [best, *values]:
        (params,) = optimizer.ask()
        optimizer.tell(params, {"v": value})
    assert len(optimizer.ask(2)) == 2


def test_a_metric_of_huge_values_is_searched() -> None:
    """Proposals do not depend on the metric's unit, even if no square of a value is a float."""
    space = SearchSpace([Float("x", -5, 5)])
    proposed = []
    for unit in (1.0, 2.0**400, 2.0**1000):
        optimizer = NCPOptimizer(space, directions={"v": "minimize"}, seed=0, n_startup_trials=4)
        for _ in range(12):
            (params,) = optimizer.ask()
            optimizer.tell(params, {"v": unit * (1 + (params["x"] - 1.2345) ** 2)})
        assert optimizer.reasons[0]["how"] == "search"
        assert optimizer.best_params["x"] == pytest.approx(1.2345, abs=0.1)
        proposed.append([trial.params["x"] for trial in optimizer.trials])
    assert proposed[1] == pytest.approx(proposed[0], abs=1e-3)
    assert proposed[2] == pytest.approx(proposed[0], abs=1e-3)


_LARGEST = sys.float_info.max
_SMALLEST = 5e-324


@pytest.mark.parametrize(
    "dimension",
    [
        Float("x", 1e-12, 1.797e308),
        Float("x", 1e-12, 1.797e308, log=True),
        Float("x", 0, _LARGEST),
        Float("x", _SMALLEST, _LARGEST, log=True),
        Float("x", -_LARGEST / 2, _LARGEST / 2, step=_LARGEST / 4),
        Float("x", _LARGEST / 2, _LARGEST, step=_LARGEST / 16),
        Float("x", _SMALLEST, 3 * _SMALLEST),
        Float("x", 1e-308, 2e-308, step=1e-309),
        Float("x", 1.0, 1.0 + 2 * sys.float_info.epsilon),
        Integer("x", 1, 2**53, log=True),
        Integer("x", -(2**52), 2**52),
    ],
    ids=str,
)
def test_ranges_of_any_size_are_searched(dimension: Float | Integer) -> None:
    """Without a warning: NumPy's are errors in these tests."""
    space = SearchSpace([dimension])
    optimizer = NCPOptimizer(space, directions={"v": "minimize"}, seed=0, n_startup_trials=3)
    for i in range(8):
        (params,) = optimizer.ask()
        code = space.to_code(params)
        optimizer.tell(params, {"v": float(i % 3)})
    assert np.isfinite(space.neighbors(code).astype(float)).all()


def test_the_search_for_an_untried_code_makes_few_sequences() -> None:
    """A sequence of 200 dimensions takes 8 ms, and 256 points are looked at."""
    dimensions = [Integer("y", 0, 1), *(Integer(f"x{i}", 1, 1) for i in range(200))]
    optimizer = NCPOptimizer(SearchSpace(dimensions), directions={"v": "minimize"}, seed=0)
    for _ in range(2):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"v": 0.0})
    before = _sobol.cache_info().misses
    assert optimizer.ask()[0]["y"] in (0, 1)
    assert _sobol.cache_info().misses - before <= 5
