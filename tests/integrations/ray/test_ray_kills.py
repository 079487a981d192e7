"""SIGKILL of a driver, and of trials' processes: no observation is lost or duplicated.

What a lost node does stands in ``test_ray_cluster.py``.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from ncp_sampler import NCPSearch
from tests.ray_examples import (
    config_of,
    fit,
    listed,
    metric_of,
    observations,
    start,
    start_process,
    train_long,
)

pytestmark = pytest.mark.usefixtures("ray_runtime")

_N = 7  # trials
_REPORTED = 4  # trials that have reported before the kill
_SPACE = {"x": tune.uniform(0, 1)}

Observations = list[tuple[dict[str, Any], list[float], bool]]


def waiting(folder: Path) -> Callable[[dict[str, Any]], None]:
    """Return a function that trains; once some trials have, others wait until the kill."""
    done, killed = folder / "done", folder / "killed"
    done.mkdir(exist_ok=True)

    def train(config: dict[str, Any]) -> None:  # goes to the workers with its code
        while len([*done.iterdir()]) >= _REPORTED and not killed.exists():
            time.sleep(0.05)
        train_long(config)
        (done / str(config["x"])).touch()

    return train


def run_driver(folder: str) -> None:
    """A run of two trials at a time, which the test kills in the middle."""
    start()
    search = NCPSearch(seed=0, n_startup_trials=3)
    fit(
        waiting(Path(folder)), search, Path(folder), space=_SPACE, samples=_N,
        max_concurrent_trials=2, metric="m", mode="max",
    )  # fmt: skip


def _reported_in(folder: Path) -> Observations:
    """Return the observations of the saved searcher, none while Ray writes it."""
    search = NCPSearch()
    try:
        search.restore_from_dir(str(folder / "run"))
    except (RuntimeError, ValueError):  # none yet, or a part of it
        return []
    return observations(search) if search._optimizer is not None else []


def test_driver_killed_in_the_middle(tmp_path: Path) -> None:
    """Past the startup trials, while two more run; another process goes on with the folder.

    Saved observations come first among those of the restored searcher, unchanged.
    """
    output = tmp_path / "first.log"
    first = start_process(run_driver, tmp_path, output=output, TUNE_GLOBAL_CHECKPOINT_S="0")
    deadline = time.monotonic() + 100
    try:
        while len(_reported_in(tmp_path)) < _REPORTED:
            assert first.poll() is None, output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
        (tmp_path / "killed").touch()
    before = _reported_in(tmp_path)
    assert _REPORTED <= len(before) < _N

    results = tune.Tuner.restore(str(tmp_path / "run"), trainable=waiting(tmp_path)).fit()
    assert (len(results), results.errors) == (_N, [])
    results_of = {config_of(result)["x"]: [metric_of(result, "m")] for result in listed(results)}
    observed = _reported_in(tmp_path)
    assert observed[: len(before)] == before
    assert len(results_of) == len(observed) == _N  # no params twice
    assert {params["x"]: values for params, values, _ in observed} == results_of
    assert all(values == [4 * params["x"]] for params, values, _ in observed)


@pytest.mark.parametrize("max_failures", [0, 1])
def test_trial_that_is_killed(max_failures: int, tmp_path: Path) -> None:
    """Without failures to spare it is known and not observed; with one it runs again."""
    killed = tmp_path / "killed"

    def train(config: dict[str, Any]) -> None:
        tune.report({"m": -1.0})
        if config["x"] < 0.5 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        tune.report({"m": config["x"]})

    search = NCPSearch(seed=0, n_startup_trials=3)
    results = fit(
        train, search, tmp_path, space=_SPACE, samples=5, max_failures=max_failures, metric="m",
        mode="max",
    )  # fmt: skip
    assert killed.exists()
    observed = {params["x"]: values[0] for params, values, _ in observations(search)}
    assert len(observations(search)) == len(observed) == 5
    lost = [x for x, value in observed.items() if math.isnan(value)]
    assert len(lost) == sum(result.error is not None for result in results) == 1 - max_failures
    assert all(value == x for x, value in observed.items() if x not in lost)
    assert search._running == {}
