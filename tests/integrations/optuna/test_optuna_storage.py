"""NCPSampler on storages that processes share: resumed and parallel studies."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import TrialState

from ncp_sampler import Integer, NCPSampler, SearchSpace
from tests.processes import finish, start

SPACE = SearchSpace([Integer("a", 0, 7), Integer("b", 0, 7)])  # 64 codes, for 60 trials


def objective(trial: optuna.Trial) -> float:
    params = SPACE.suggest(trial)
    return float((params["a"] - 5) ** 2 + params["b"])


def open_storage(kind: str, folder: Path) -> BaseStorage:
    if kind == "sqlite":
        return RDBStorage(f"sqlite:///{folder / 'study.db'}")
    return JournalStorage(JournalFileBackend(str(folder / "study.log")))


def open_study(kind: str, folder: Path, seed: int) -> Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = NCPSampler(space=SPACE, seed=seed, n_startup_trials=10)
    storage = open_storage(kind, folder)
    return optuna.create_study(
        study_name="study", storage=storage, sampler=sampler, load_if_exists=True
    )


def work(
    kind: str, folder: Path, n: int, seed: int = 0, name: str = "one", others: str = ""
) -> None:
    """Run n trials, from when the others are up."""
    study = open_study(kind, folder, seed)
    if (folder / "sampler.pkl").exists():
        study.sampler = pickle.loads((folder / "sampler.pkl").read_bytes())
    (folder / name).touch()
    while not all((folder / file).exists() for file in others.split()):
        time.sleep(0.001)
    study.optimize(objective, n_trials=n)


def run_workers(kind: str, folder: Path, *arguments: tuple[Any, ...]) -> None:
    """Call `work` with each of the arguments, at the same time, each in a process of its own."""
    files = [folder / f"errors{i}" for i in range(len(arguments))]
    processes = [
        start(work, kind, folder, *given, errors=file)
        for given, file in zip(arguments, files, strict=True)
    ]
    ends = [finish(process, 120) for process in processes]
    assert [(end, file.read_text()) for end, file in zip(ends, files, strict=True)] == [
        (0, "") for _ in files
    ]


def codes(study: Study) -> list[tuple[int, ...]]:
    trials = study.get_trials(deepcopy=False)
    assert all(trial.state == TrialState.COMPLETE for trial in trials)
    return [(trial.params["a"], trial.params["b"]) for trial in trials]


@pytest.fixture(params=["sqlite", "journal"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_two_processes_with_one_seed_never_run_the_same_code(kind: str, tmp_path: Path) -> None:
    open_study(kind, tmp_path, 0)  # tables are made once
    run_workers(kind, tmp_path, *((30, 0, name, "one two") for name in ("one", "two")))
    done = codes(open_study(kind, tmp_path, 0))
    assert len(done) == len(set(done)) == 60


def test_study_resumed_in_another_process_repeats_nothing(kind: str, tmp_path: Path) -> None:
    study = open_study(kind, tmp_path, 0)
    study.optimize(objective, n_trials=30)
    run_workers(kind, tmp_path, (30,))
    done = codes(study)
    assert len(done) == len(set(done)) == 60


def test_pickled_sampler_continues_in_another_process_as_if_never_stopped(tmp_path: Path) -> None:
    sequential = optuna.create_study(sampler=NCPSampler(space=SPACE, seed=3))
    sequential.optimize(objective, n_trials=16)

    study = open_study("journal", tmp_path, 3)
    study.optimize(objective, n_trials=12)
    (tmp_path / "sampler.pkl").write_bytes(pickle.dumps(study.sampler))
    run_workers("journal", tmp_path, (4,))
    assert codes(study) == codes(sequential)


def test_seed_decides_in_whatever_process(tmp_path: Path) -> None:
    run_workers("journal", tmp_path, (13, 1))
    elsewhere = codes(open_study("journal", tmp_path, 0))
    here = []
    for seed in (1, 2):
        study = optuna.create_study(sampler=NCPSampler(space=SPACE, seed=seed))
        study.optimize(objective, n_trials=13)
        here.append(codes(study))
    assert here[0] == elsewhere != here[1]


def test_claims_reach_other_workers_through_the_storage(kind: str, tmp_path: Path) -> None:
    study = open_study(kind, tmp_path, 0)
    trial = study.ask()
    a = trial.suggest_int("a", 0, 7)
    [seen] = open_study(kind, tmp_path, 0).trials
    claim = json.loads(seen.system_attrs["ncp:claim:0"])
    assert claim == {"a": a, "b": trial.suggest_int("b", 0, 7)}
