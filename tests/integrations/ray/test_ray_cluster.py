"""Runs over a simulated cluster of two nodes, which then loses one."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.cluster_utils import Cluster
from ray.tune import Callback

from ncp_sampler import NCPSearch
from tests.ray_examples import STORE, config_of, listed, metric_of, observations

_N = 6  # trials
_LOST = {  # Ray gives a node up that refuses several connections, here within a second
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 200,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one CPU each, as processes of this machine."""
    ray.shutdown()
    head = {
        "num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False,
        "_system_config": _LOST,
    }  # fmt: skip
    started = Cluster(initialize_head=True, head_node_args=head)
    started.add_node(num_cpus=1, object_store_memory=STORE)
    ray.init(address=started.address, log_to_driver=False, logging_level=logging.ERROR)
    yield started
    ray.shutdown()
    started.shutdown()


def _run(search: NCPSearch, folder: Path, *callbacks: Callback) -> list[tune.Result]:
    seen = folder / "nodes"
    seen.mkdir()

    def train(config: dict[str, Any]) -> None:
        node = ray.get_runtime_context().get_node_id()
        (seen / node).touch()
        deadline = time.monotonic() + 60
        while len(list(seen.iterdir())) < 2:  # the other node's process may start late
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for step in range(1, 4):
            time.sleep(0.2)
            tune.report({"m": config["x"] * step, "node": node})

    tuner = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            search_alg=search, num_samples=_N, max_concurrent_trials=2, metric="m", mode="max",
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="run", storage_path=str(folder), verbose=0, callbacks=list(callbacks),
            failure_config=tune.FailureConfig(max_failures=5),
        ),
    )  # fmt: skip
    return listed(tuner.fit())


def _learnt_by(search: NCPSearch) -> list[tuple[float, float]]:
    """Parameter and value of each observed trial, NaN for a failed one."""
    return sorted((params["x"], values[0]) for params, values, _ in observations(search))


def _results(results: list[tune.Result]) -> list[tuple[float, float]]:
    """Parameter and value of each trial that ended well; Ray may keep no config of the others."""
    return sorted(
        (config_of(result)["x"], metric_of(result, "m")) for result in results if not result.error
    )


def test_trials_on_both_nodes(cluster: Cluster, tmp_path: Path) -> None:
    search = NCPSearch(seed=0, n_startup_trials=3)
    results = _run(search, tmp_path)
    assert len({metric_of(result, "node") for result in results}) == 2
    assert _learnt_by(search) == _results(results)
    assert len(results) == _N
    assert not any(result.error for result in results)


class _KillNode(Callback):
    """Kills a node's processes once a trial on it has reported, and another has completed."""

    def __init__(self, cluster: Cluster, victim: Any) -> None:
        self._cluster, self._victim = cluster, victim
        self._completed = 0
        self.killed = False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # the Tuner pickles its callbacks, which processes cannot be

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._completed += 1

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        on_victim = result["node"] == self._victim.node_id
        if on_victim and self._completed and not self.killed and result["training_iteration"] < 3:
            self.killed = True
            self._cluster.remove_node(self._victim, allow_graceful=False)


def test_node_lost_in_the_middle(cluster: Cluster, tmp_path: Path) -> None:
    """Its trial runs again elsewhere, from the start; each trial is observed once.

    Now and then Ray gives the trial up in spite of ``max_failures``: two of its actor's tasks fail
    at once, and the second finds it waiting already. Then it is one that failed.
    """
    (victim,) = cluster.worker_nodes
    killer = _KillNode(cluster, victim)
    search = NCPSearch(seed=0, n_startup_trials=3)
    results = _run(search, tmp_path, killer)
    assert killer.killed
    assert [pair for pair in _learnt_by(search) if not math.isnan(pair[1])] == _results(results)
    assert all(m == 3 * x for x, m in _results(results))
    assert _N - 1 <= len(_results(results)) <= _N
    assert len(results) == len(_learnt_by(search)) == _N
