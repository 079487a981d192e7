"""``Tuner.restore`` after an interrupt or errors: no observation is lost, and what failed is."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune import Callback

from ncp_sampler import NCPSearch
from tests.ray_examples import config_of, listed, metric_of, observations, train_long

_N = 8  # trials
SPACE = {"x": tune.uniform(0, 1), "y": tune.randint(0, 100)}


pytestmark = pytest.mark.usefixtures("ray_runtime")


class _Interrupt(Callback):
    """Sends SIGINT at the second of the four reports of a trial."""

    def __init__(self, at_trial: int) -> None:
        self._left = at_trial

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._left -= result["training_iteration"] == 2
        if self._left == 0:
            self._left = -1
            os.kill(os.getpid(), signal.SIGINT)


def _tuner(search: NCPSearch, folder: Path, trainable: Any, **config: Any) -> tune.Tuner:
    return tune.Tuner(
        trainable,
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            search_alg=search, num_samples=_N, metric="m", mode="max", reuse_actors=True,
            max_concurrent_trials=1,
        ),
        run_config=tune.RunConfig(name="run", storage_path=str(folder), verbose=0, **config),
    )  # fmt: skip


def _left_by(folder: Path) -> NCPSearch:
    """The searcher as the run's folder has it."""
    search = NCPSearch()
    search.restore_from_dir(str(folder / "run"))
    return search


def test_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """SIGINT in the middle of the 6th trial, when the predictor is in use."""
    search = NCPSearch(seed=4, n_startup_trials=3)
    results = _tuner(search, tmp_path, train_long, callbacks=[_Interrupt(6)]).fit()
    assert len(results) == 6
    left = _left_by(tmp_path)
    assert len(observations(left)) == 5
    assert len(left._running) == 1
    results = tune.Tuner.restore(str(tmp_path / "run"), trainable=train_long).fit()
    assert (len(results), results.errors) == (_N, [])

    sequential = NCPSearch(space=SPACE, metric="m", mode="max", seed=4, n_startup_trials=3)
    for i in range(_N):
        config = sequential.suggest(str(i)) or {}
        sequential.on_trial_complete(str(i), result={"m": 4 * config["x"]})
    assert observations(_left_by(tmp_path)) == observations(sequential)


def test_the_best_feasible_trial_is_known_to_the_run_and_to_its_folder(tmp_path: Path) -> None:
    """The Tuner uses the searcher that it was given; a later process reads the run's."""

    def measured(config: dict[str, Any]) -> None:
        tune.report({"m": config["x"], "ms": 100 * config["x"]})

    search = NCPSearch(seed=0, n_startup_trials=4, constraints={"ms": 60.0})
    results = listed(_tuner(search, tmp_path, measured).fit())
    feasible = [result for result in results if metric_of(result, "ms") <= 60]
    best = max(metric_of(result, "m") for result in feasible)
    assert search.best_metrics["m"] == best < max(metric_of(result, "m") for result in results)
    assert _left_by(tmp_path).best_params == search.best_params


def test_damaged_searcher_learns_the_runs_trials_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so; the trial that was interrupted is told once, and no given point runs twice."""
    points = [{"x": 0.5, "y": 7}]
    search = NCPSearch(seed=4, n_startup_trials=3, points_to_evaluate=points)
    _tuner(search, tmp_path, train_long, callbacks=[_Interrupt(6)]).fit()
    before = observations(_left_by(tmp_path))
    assert len(before) == 5
    (path,) = (tmp_path / "run").glob("searcher-state-*.pkl")
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged .* as Tuner\.restore does if given param_"):
        _left_by(tmp_path)  # it does not know the space

    results = tune.Tuner.restore(
        str(tmp_path / "run"), trainable=train_long, param_space=SPACE
    ).fit()
    assert (len(results), results.errors) == (_N, [])
    (message,) = [r.getMessage() for r in caplog.records if r.name.startswith("ncp_sampler")]
    assert "is damaged or truncated" in message
    assert message.endswith("Learned the results of 5 of the run's 6 trials instead")
    after = observations(_left_by(tmp_path))
    assert all(trial in after for trial in before)
    observed = {tuple(params.values()): values[0] for params, values, _ in after}
    assert observed == {tuple(config_of(r).values()): metric_of(r, "m") for r in listed(results)}
    assert len(observed) == len(after) == _N


@pytest.mark.parametrize("how", ["restart_errored", "resume_errored"])
def test_errored_trials_are_learnt_once_they_are_repaired(how: str, tmp_path: Path) -> None:
    """Ray restarts them under new ids, or resumes them under the old ones."""
    broken = tmp_path / "broken"
    broken.touch()

    def repairable(config: dict[str, Any]) -> None:
        tune.report({"m": 0.0})
        if config["y"] % 12 == 0 and broken.exists():
            raise RuntimeError("as meant")
        tune.report({"m": config["x"]})

    # what failed may come again once all failures look random, and then counts once more
    search = NCPSearch(seed=4, n_startup_trials=_N)
    results = _tuner(search, tmp_path, repairable).fit()
    n_errors = len(results.errors)
    assert 0 < n_errors < _N
    assert (
        sum(values[0] == values[0] for _, values, _ in observations(_left_by(tmp_path)))
        == _N - n_errors
    )

    broken.unlink()
    arguments: dict[str, Any] = {how: True}
    results = tune.Tuner.restore(
        str(tmp_path / "run"), trainable=repairable, param_space=SPACE, **arguments
    ).fit()
    assert not results.errors
    observed = {
        params["x"]: v[0] for params, v, _ in observations(_left_by(tmp_path)) if v[0] == v[0]
    }
    assert observed == {config_of(r)["x"]: metric_of(r, "m") for r in listed(results)}
    assert len(observed) == _N
