"""Whole runs on a local Ray runtime: spaces, schedulers, wrappers, failures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.tune import ExperimentAnalysis
from ray.tune.schedulers import ASHAScheduler, HyperBandForBOHB, HyperBandScheduler
from ray.tune.search import ConcurrencyLimiter, Repeater

from ncp_sampler import MRSpace, NCPSearch
from tests.ray_examples import (
    config_of,
    domains,
    fit,
    metric_of,
    observations,
    score,
    start,
    succeed,
    train,
    train_long,
)

pytestmark = pytest.mark.usefixtures("ray_runtime")


def _values(search: NCPSearch) -> list[float]:
    return sorted(values[0] for _, values, _ in observations(search))


def test_domains_of_the_tuner(tmp_path: Path) -> None:
    """Space, metric (a nested one) and mode come from the Tuner; all results are observed."""
    search = NCPSearch(seed=0, n_startup_trials=4)
    results = fit(
        train, search, tmp_path, space=domains(), samples=8, metric="nest/score", mode="max",
        max_concurrent_trials=2,
    )  # fmt: skip
    assert not any(result.error for result in results)
    configs = list(map(config_of, results))
    assert len({str(config) for config in configs}) == 8
    assert _values(search) == sorted(map(score, configs))
    assert search._running == {}


def test_domains_in_log_and_steps_and_normal_ones(tmp_path: Path) -> None:
    space = {
        "width": tune.qlograndint(8, 256, 8),
        "rate": tune.qloguniform(1e-3, 1, 1e-3),
        "shift": tune.randn(0, 1),
        "level": tune.qrandn(0, 1, 0.5),
    }

    def train_grid(config: dict[str, Any]) -> None:
        assert config["width"] % 8 == 0
        assert math.isclose(config["rate"] * 1000, round(config["rate"] * 1000))
        assert config["level"] % 0.5 == 0
        tune.report({"m": config["width"] - config["shift"] ** 2})

    search = NCPSearch(seed=0, n_startup_trials=3)
    results = fit(
        train_grid, search, tmp_path, space=space, samples=5, metric="m", mode="max",
        max_concurrent_trials=2,
    )  # fmt: skip
    assert not any(result.error for result in results)
    assert _values(search) == sorted(metric_of(result, "m") for result in results)


def test_declared_space_and_metric(tmp_path: Path) -> None:
    """No ``param_space``; 27 parameters make long trial names, which Ray cuts to 150."""
    space = MRSpace()

    def train_code(config: dict[str, Any]) -> None:
        tune.report({"top1": config["c4_1"] - 9 * config["b1"]})

    search = NCPSearch(space=space, metric="top1", mode="max", seed=0, n_startup_trials=3)
    results = fit(train_code, search, tmp_path)
    codes = [space.from_config(config_of(result)) for result in results]
    assert len({code.tobytes() for code in codes}) == 6
    margins = [space.to_params(code)["c4_1"] - 9 * space.to_params(code)["b1"] for code in codes]
    assert _values(search) == sorted(map(float, margins))
    assert {len(Path(result.path).name) for result in results} == {150}


def test_several_metrics(tmp_path: Path) -> None:
    metrics, modes = ["nest/score", "cost"], ["max", "min"]
    search = NCPSearch(metric=metrics, mode=modes, seed=0, n_startup_trials=3)
    results = fit(train, search, tmp_path, space=domains())
    configs = list(map(config_of, results))
    observed = sorted(values for _, values, _ in observations(search))
    assert observed == sorted([score(config), config["rate"]] for config in configs)


def test_failures_and_odd_values(tmp_path: Path) -> None:
    """A raised error, NaN and infinities end neither the run nor the learning."""

    def odd(config: dict[str, Any]) -> None:
        if config["kind"] == "error":
            raise RuntimeError("as meant")
        if config["kind"] == "silent":
            return
        tune.report({"m": {"nan": math.nan, "inf": math.inf, "one": 1}.get(config["kind"], 0.5)})

    kinds = ["error", "silent", "nan", "inf", "one", "half"]
    search = NCPSearch(seed=0, n_startup_trials=3)
    results = fit(odd, search, tmp_path, space={"kind": tune.choice(kinds)}, metric="m", mode="max")
    assert [r.error is not None and "as meant" in str(r.error) for r in results].count(True) == 1
    observed = {params["kind"]: values[0] for params, values, _ in observations(search)}
    np.testing.assert_equal(
        observed,
        {"error": math.nan, "silent": math.nan, "nan": math.nan, "inf": math.inf, "one": 1,
         "half": 0.5},
    )  # fmt: skip


def _run_stopped_by(scheduler: Any, folder: Path) -> None:
    """A stopped trial is observed with its last report."""
    search = NCPSearch(seed=0, n_startup_trials=3)
    results = fit(
        train_long, search, folder, space={"x": tune.uniform(0, 1)}, samples=8,
        scheduler=scheduler, metric="m", mode="max", max_concurrent_trials=8,
    )  # fmt: skip
    assert not any(result.error for result in results)
    epochs = [metric_of(result, "training_iteration") for result in results]
    assert min(epochs) < 4
    expected = {config_of(result)["x"]: metric_of(result, "m") for result in results}
    assert len(expected) == 8
    assert {params["x"]: values[0] for params, values, _ in observations(search)} == expected
    assert search._running == {}


def test_asha(tmp_path: Path) -> None:
    _run_stopped_by(ASHAScheduler(max_t=4, grace_period=1, reduction_factor=4), tmp_path)


def run_hyperbands(folder: str) -> None:
    start()
    for scheduler in (
        HyperBandScheduler(max_t=4, reduction_factor=4),
        HyperBandForBOHB(max_t=4, reduction_factor=2),  # tells of pauses
    ):
        _run_stopped_by(scheduler, Path(folder) / type(scheduler).__name__)


def test_hyperbands(tmp_path: Path) -> None:
    """Which pause trials; now and then Ray hangs, and the runs are tried again."""
    succeed(run_hyperbands, folder=tmp_path)


def test_points_first_and_batches_of_a_concurrency_limiter(tmp_path: Path) -> None:
    point = {"net": {"width": 16, "op": "conv", "bias": True}, "rate": 0.01, "drop": 0.2}
    search = NCPSearch(seed=0, n_startup_trials=3, points_to_evaluate=[point])
    limiter = ConcurrencyLimiter(search, max_concurrent=2, batch=True)
    results = fit(train, limiter, tmp_path, space=domains(), metric="nest/score", mode="max")
    assert {**point, "epochs": 3} in list(map(config_of, results))
    assert _values(search) == sorted(score(config_of(result)) for result in results)


def test_repeater(tmp_path: Path) -> None:
    def train_noisy(config: dict[str, Any]) -> None:
        tune.report({"m": config["x"] + config["__trial_index__"]})

    search = NCPSearch(seed=0, n_startup_trials=2)
    fit(
        train_noisy, Repeater(search, repeat=2), tmp_path, space={"x": tune.uniform(0, 1)},
        metric="m", mode="max", max_concurrent_trials=2,
    )  # fmt: skip
    assert [values for _, values, _ in observations(search)] == [
        [params["x"] + 0.5] for params, _, _ in observations(search)
    ]
    assert len(observations(search)) == 3


def test_evaluated_trials_of_an_earlier_run(tmp_path: Path) -> None:
    """Their configs are nested and have the constants in them; so are their results nested."""
    first = NCPSearch(seed=0)
    fit(train, first, tmp_path, space=domains(), samples=4, metric="nest/score", mode="max")
    analysis = ExperimentAnalysis(str(tmp_path / "run"))
    grid = tune.Tuner.restore(str(tmp_path / "run"), train).get_results()
    for source in (analysis, analysis.trials, analysis.trials[:1], analysis.trials[0], grid):
        for search in (NCPSearch(space=domains(), metric="m", mode="max"), NCPSearch()):
            search.add_evaluated_trials(source, metric="nest/score")
            search.set_search_properties("m", "max", domains())
            n = 4 if source in (analysis, analysis.trials, grid) else 1
            assert set(_values(search)) <= set(_values(first))
            assert len(observations(search)) == n
    both = NCPSearch(space=domains(), metric=["m", "c"], mode=["max", "min"])
    both.add_evaluated_trials(analysis, metric=["nest/score", "cost"])
    assert sorted(values[1] for _, values, _ in observations(both)) == sorted(
        trial.config["rate"] for trial in analysis.trials
    )
    with pytest.raises(ValueError, match="metric='score' is in no trial's result"):
        both.add_evaluated_trials(analysis, metric="score")


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (tune.grid_search([1, 2]), "is a grid_search"),
        (tune.sample_from(lambda config: 1), "is a sample_from"),
    ],
)
def test_space_that_cannot_be_searched(domain: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        fit(train, NCPSearch(), tmp_path, space={"x": domain}, metric="m", mode="max")


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (NCPSearch(), "no search space"),
        (NCPSearch(space=MRSpace()), "those of TuneConfig do not reach the searcher without"),
    ],
)
def test_run_without_what_it_takes(search: NCPSearch, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        fit(train, search, tmp_path, metric="m", mode="max")
