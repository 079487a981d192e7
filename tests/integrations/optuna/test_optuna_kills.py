"""Workers that are killed in the middle of an ask or of a trial: no result is lost or repeated.

The victims kill themselves, with SIGKILL, so that each dies at a known point.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, RDBStorage, RetryFailedTrialCallback
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna import claims
from ncp_sampler.integrations.optuna import proposing as adapter
from ncp_sampler.integrations.optuna.claims import publish_claim
from ncp_sampler.space.search_space import Params
from tests.integrations.optuna.test_optuna_storage import (
    SPACE,
    kind,  # noqa: F401  a fixture
    objective,
    open_study,
)
from tests.processes import finish, start

POINTS = ("before the claim", "half a claim", "after the claim", "half suggested", "untold")
_LAST = 4  # trials of a victim, the last of which it does not survive


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_victim(kind: str, folder: Path, point: str) -> None:  # noqa: F811
    """Runs some trials of the study, and dies at a point of the last."""
    study = open_study(kind, folder, 0)
    own: set[int] = set()  # trials; a choice that another worker takes first is made anew

    def suggest_and_score(trial: optuna.Trial) -> float:
        trial.suggest_int("a", 0, 7)  # which makes the proposal
        if len(own) == _LAST and point == "half suggested":
            die()
        value = objective(trial)
        if len(own) == _LAST and point == "untold":
            die()
        return value

    def publish(study: Any, trial: FrozenTrial, params: Params, distributions: Any) -> None:
        own.add(trial.number)
        if len(own) == _LAST and point == "before the claim":
            die()
        if len(own) == _LAST and point == "half a claim":
            claims._CHUNK_LENGTH = 5
            _die_at_second_chunk(study._storage)
        publish_claim(study, trial, params, distributions)
        if len(own) == _LAST and point == "after the claim":
            die()

    vars(adapter)["publish_claim"] = publish
    study.optimize(suggest_and_score, n_trials=_LAST)


def _die_at_second_chunk(storage: BaseStorage) -> None:
    write = storage.set_trial_system_attr

    def set_attr(trial_id: int, key: str, value: Any) -> None:
        if key == "ncp:claim:1":
            die()
        write(trial_id, key, value)

    storage.set_trial_system_attr = set_attr  # type: ignore[method-assign]


def test_killed_at_any_point(kind: str, tmp_path: Path) -> None:  # noqa: F811
    """Five equal workers die on one study, and a sixth goes on: no result twice, nothing lost."""
    open_study(kind, tmp_path, 0)  # tables are made once
    victims = [start(run_victim, kind, tmp_path, point) for point in POINTS]
    ends = [finish(victim, 300) for victim in victims]
    assert ends == [-signal.SIGKILL] * len(POINTS)

    study = open_study(kind, tmp_path, 0)
    completed = study.get_trials(states=[TrialState.COMPLETE])
    assert len(completed) == (_LAST - 1) * len(POINTS)
    study.optimize(objective, n_trials=60 - len(completed))
    done = study.get_trials(states=[TrialState.COMPLETE])
    assert done[: len(completed)] == completed
    dead = study.get_trials(states=[TrialState.RUNNING])
    assert len(dead) == len(POINTS)
    codes = [(trial.params["a"], trial.params["b"]) for trial in done]
    assert len(set(codes)) == len(codes) == 60
    # what the dead have begun is kept from others at first, and given back once they are stale
    begun = [(trial.params.get("a"), trial.params.get("b")) for trial in dead if trial.params]
    assert len(begun) == 2
    assert not {*begun} & {*codes[: len(completed)]}


def open_with_heartbeat(folder: Path) -> RDBStorage:
    return RDBStorage(
        f"sqlite:///{folder / 'study.db'}",
        heartbeat_interval=1,
        grace_period=2,
        failed_trial_callback=RetryFailedTrialCallback(max_retry=1),
    )


def run_until_killed(folder: Path) -> None:
    """Dies in the sixth trial, once its params are stored."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = NCPSampler(space=SPACE, seed=0, n_startup_trials=3)
    storage = open_with_heartbeat(folder)
    study = optuna.load_study(study_name="study", storage=storage, sampler=sampler)

    def score(trial: optuna.Trial) -> float:
        value = objective(trial)
        if trial.number == 5:
            die()
        return value

    study.optimize(score, n_trials=6)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")  # the callback has another name since 4.9
def test_a_killed_trial_is_retried_through_the_heartbeat(tmp_path: Path) -> None:
    """Optuna marks it failed and enqueues its params; the sampler goes on around them."""
    storage = open_with_heartbeat(tmp_path)
    optuna.create_study(study_name="study", storage=storage)
    assert finish(start(run_until_killed, tmp_path), 120) == -signal.SIGKILL
    sampler = NCPSampler(space=SPACE, seed=0, n_startup_trials=3)
    study = optuna.load_study(study_name="study", storage=storage, sampler=sampler)
    while not study.get_trials(deepcopy=False, states=[TrialState.FAIL]):
        time.sleep(0.5)
        study.optimize(objective, n_trials=1)  # marks what has no heartbeat any more
    study.optimize(objective, n_trials=3)
    killed, *later = study.trials[5:]
    again = [trial for trial in later if trial.params == killed.params]
    assert killed.state == TrialState.FAIL
    assert [trial.state for trial in again] == [TrialState.COMPLETE]
    codes = {(trial.params["a"], trial.params["b"]) for trial in study.trials}
    assert len(codes) == len(study.trials) - 1
