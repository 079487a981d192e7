"""Predictions reach Ray's own loggers: TensorBoard, ``result.json`` and ``progress.csv``.

One run is shared by the tests that only read what it logged.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback, TBXLoggerCallback
from ray.tune.search import ConcurrencyLimiter

from ncp_sampler import NCPSearch
from ncp_sampler.integrations.ray import ReasonsCallback
from tests.ray_examples import listed, start

pytestmark = pytest.mark.usefixtures("ray_runtime")

Logged = tuple[list[tune.Result], NCPSearch]

STARTUP = 3
SPACE = {"x": tune.quniform(0, 1, 0.01), "y": tune.quniform(0, 1, 0.01)}


def trainable() -> Callable[[dict[str, Any]], None]:
    """Two reports; some that have a marker fail before them, until that file is there."""

    def train(config: dict[str, Any]) -> None:  # goes to the workers with its code
        marker = config["marker"]
        if marker and config["x"] > 0.8 and not Path(marker).exists():
            raise RuntimeError("not yet")
        for epoch in (1, 2):
            tune.report({"m": config["x"] * epoch, "size": config["y"]})

    return train


def tuner_of(folder: Path, marker: str = "") -> tuple[tune.Tuner, NCPSearch]:
    search = NCPSearch(
        metric=["m", "size"], mode=["max", "min"], seed=0, n_startup_trials=STARTUP,
        space=SPACE, constraints={"size": 0.9},
    )  # fmt: skip
    loggers = [JsonLoggerCallback(), CSVLoggerCallback(), TBXLoggerCallback()]
    tuner = tune.Tuner(
        trainable(),
        param_space={"marker": marker},
        tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(search, max_concurrent=1), num_samples=6,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="run", storage_path=str(folder), verbose=0,
            callbacks=[ReasonsCallback(search), *loggers],
        ),
    )  # fmt: skip
    return tuner, search


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Results of a run, and its searcher."""
    start()
    tuner, search = tuner_of(tmp_path_factory.mktemp("logged"))
    return listed(tuner.fit()), search


def reported(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]


def test_what_was_predicted_is_logged_beside_what_is_reported(logged: Logged) -> None:
    results, search = logged
    assert not any(result.error for result in results)
    for result in results:
        assert result.metrics is not None
        reasons = search.reasons[result.metrics["trial_id"]]
        rows = reported(Path(result.path))
        assert [row["ncp"]["how"] for row in rows] == [reasons["how"]] * 2
        if reasons["how"] == "search":
            metrics = reasons["metrics"]
            assert rows[1]["ncp"]["predicted"] == {n: metrics[n]["mean"] for n in ("m", "size")}
            assert rows[1]["ncp"]["feasible"] == reasons["feasible"]
            assert "predicted (start: " in rows[1]["ncp"]["why"]
            with (Path(result.path) / "progress.csv").open() as file:
                row = list(csv.DictReader(file))[1]
            assert float(row["ncp/std/m"]) == metrics["m"]["std"]
    assert [search.reasons[r.metrics["trial_id"]]["how"] for r in results if r.metrics] == [
        *["startup"] * STARTUP,
        *["search"] * 3,
    ]


def test_tensorboard_shows_it(logged: Logged) -> None:
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    (*_, result), search = logged
    events = accumulator.EventAccumulator(result.path).Reload()
    assert result.metrics is not None
    predicted = search.reasons[result.metrics["trial_id"]]["metrics"]["m"]["mean"]
    points = [(event.step, event.value) for event in events.Scalars("ray/tune/ncp/predicted/m")]
    assert points == [(1, pytest.approx(predicted)), (2, pytest.approx(predicted))]
    assert events.Scalars("ray/tune/m")[1].value == pytest.approx(result.metrics["m"])


def test_a_restored_run_goes_on_with_it(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    tuner, search = tuner_of(tmp_path, str(marker))
    failed = [result for result in listed(tuner.fit()) if result.error]
    assert failed
    marker.touch()
    again = tune.Tuner.restore(str(tmp_path / "run"), trainable(), resume_errored=True)
    results = listed(again.fit())
    assert not any(result.error for result in results)
    for result in results:
        assert result.metrics is not None
        how = search.reasons[result.metrics["trial_id"]]["how"]
        assert reported(Path(result.path))[-1]["ncp"]["how"] == how


def test_reasons_that_are_unknown_change_nothing() -> None:
    result = {"m": math.pi}
    callback = ReasonsCallback(NCPSearch(space=SPACE, metric="m", mode="max"))
    trial = type("Trial", (), {"trial_id": "another's"})()
    callback.on_trial_result(1, [], trial, result)
    assert result == {"m": math.pi}
