"""Ctrl-C at any line while the sampler works, and pickles made while other threads sample."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState, create_trial

import ncp_sampler.integrations.optuna
import ncp_sampler.optimizer
from ncp_sampler import Categorical, Float, NCPSampler, SearchSpace
from ncp_sampler.integrations.optuna.study_history import SpaceHistory
from tests.optuna_examples import constrain

FOLDERS = (*ncp_sampler.integrations.optuna.__path__, *ncp_sampler.optimizer.__path__)
SPACE = SearchSpace([Float("x", 0, 1), Categorical("kind", ("a", "b"))])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def objective(trial: Trial) -> float:
    """A parameter of one branch, and a constraint that comes late."""
    x = trial.suggest_float("x", 0, 1)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        trial.suggest_int("depth", 1, 3)
    if trial.number > 2:
        constrain(trial, "c", x - 0.5)
    if trial.number == 1:
        raise optuna.TrialPruned
    return x


def declared(trial: Trial) -> float:
    return float(SPACE.suggest(trial)["x"])


def lines_of(call: Callable[[], object], stop: tuple[str, int, int] | None) -> list[Any]:
    """Run a call, noting which of our lines begin, up to one, where a KeyboardInterrupt is raised.

    Args:
        call: What to run.
        stop: File, line, and the how manieth time it begins; None to run to the end.
    """
    begun: dict[tuple[str, int], int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(FOLDERS):
            return None
        if event == "line":
            key = (name, frame.f_lineno)
            begun[key] = begun.get(key, 0) + 1
            if (*key, begun[key]) == stop:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        assert stop is not None
    finally:
        sys.settrace(before)
    return [*begun.items()]


def new_study(space: SearchSpace | None, function: Callable[[Trial], float]) -> Study:
    """A study half of whose trials the sampler has read."""
    sampler = NCPSampler(space=space, seed=0, n_startup_trials=50)  # a design alone: no model
    study = optuna.create_study(sampler=sampler)
    study.optimize(function, n_trials=3)
    elsewhere = optuna.load_study(study_name=study.study_name, storage=study._storage)
    elsewhere.sampler = optuna.samplers.RandomSampler(seed=0)
    elsewhere.optimize(function, n_trials=3)
    return study


def histories(study: Study) -> list[SpaceHistory]:
    assert isinstance(study.sampler, NCPSampler)
    return [space for history in study.sampler._studies.values() for space in history.spaces]


def first_six(history: SpaceHistory) -> str:
    """Codes, values and states of the trials from before, as text: NaN equals NaN."""
    state = history.optimizer.state_dict()["observations"]
    return repr({key: state[key][:6] for key in ("codes", "values", "complete")})


@pytest.mark.parametrize(("space", "function"), [(None, objective), (SPACE, declared)])
def test_an_interrupt_at_any_line_loses_no_trial(
    space: SearchSpace | None, function: Callable[[Trial], float]
) -> None:
    """Each line that runs while a proposal is made is interrupted once."""

    def ask(study: Study) -> None:
        study.ask().suggest_float("x", 0, 1)

    begun = new_study(space, function)
    uninterrupted = copy.deepcopy(begun)  # faster than a new one, and the same lines run
    ran = lines_of(lambda: ask(uninterrupted), None)
    [expected] = histories(uninterrupted)
    assert {*FOLDERS} == {str(Path(name).parent) for (name, _), _ in ran}
    assert expected.numbers == [*range(6)]
    for (name, line), times in ran:
        study = copy.deepcopy(begun)
        stop = (name, line, min(2, times))  # in a loop, when something has been recorded
        lines_of(lambda: ask(study), stop)  # noqa: B023
        for trial in study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                study.tell(trial.number, state=TrialState.FAIL)
        ask(study)
        [history] = histories(study)
        assert history.numbers[:6] == [*range(6)], stop
        assert first_six(history) == first_six(expected), stop


def test_a_pickle_made_while_threads_sample_is_consistent() -> None:
    """Each has the trials whose numbers it has, and goes on with all that are stored."""
    sampler = NCPSampler(space=SPACE, seed=0, n_startup_trials=200)
    study = optuna.create_study(sampler=sampler)
    study.add_trials(
        [
            create_trial(
                params={"x": i / 300, "kind": "a"}, distributions=SPACE.distributions, value=1.0
            )
            for i in range(300)
        ]
    )
    pickles: list[bytes] = []
    study.optimize(declared, n_trials=1)

    def pickled() -> None:
        pickles.extend(pickle.dumps(sampler) for _ in range(12))

    thread = threading.Thread(target=pickled)
    thread.start()
    while thread.is_alive():
        study.optimize(declared, n_trials=1)
    thread.join()
    for text in pickles:
        restored = pickle.loads(text)
        for history in restored._studies.values():
            for space in history.spaces:
                assert (
                    len(space.numbers) == space.optimizer.n_observations == len(set(space.numbers))
                )
                assert len(space.codes) == len({*map(tuple, codes_of(space))})
        study.sampler = restored
        study.ask(SPACE.distributions)
        [space] = histories(study)
        assert {*space.numbers} >= {*range(301)}


def codes_of(history: SpaceHistory) -> list[list[float]]:
    codes: list[list[float]] = history.optimizer.state_dict()["observations"]["codes"]
    return codes


def test_a_pickle_holds_no_reference_to_the_storage() -> None:
    study = optuna.create_study(sampler=NCPSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    twin = pickle.loads(pickle.dumps(study))
    for each in (study, twin):
        each.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert [t.params for t in study.trials] == [t.params for t in twin.trials]


def increasing(trial: Trial) -> float:
    return trial.suggest_float("x", 0, 1)


@pytest.mark.parametrize("copied", [True, False])
def test_a_study_of_the_same_name_with_another_direction_is_another(copied: bool) -> None:
    """In memory all have the number 0; before, the second one was searched for the least value."""
    sampler = NCPSampler(seed=0, n_startup_trials=3)
    first = optuna.create_study(study_name="a", sampler=sampler)
    first.optimize(increasing, n_trials=12)
    second = optuna.create_study(study_name="a", sampler=sampler, direction="maximize")
    if copied:
        second.add_trials(first.trials)
    second.optimize(increasing, n_trials=12)
    assert second.best_value > 0.95


def test_copied_trials_with_other_values_are_read() -> None:
    """Studies with equal names, directions and times are distinguished by their storage."""
    sampler = NCPSampler(seed=0, n_startup_trials=3)
    first = optuna.create_study(study_name="a", sampler=sampler)
    first.optimize(increasing, n_trials=12)
    second = optuna.create_study(study_name="a", sampler=sampler)
    for trial in first.trials[:-1]:
        trial.values = [-value for value in trial.values]
        second.add_trial(trial)
    second.add_trial(first.trials[-1])
    second.optimize(lambda trial: -increasing(trial), n_trials=8)
    assert second.trials[-1].params["x"] > 0.9


def test_another_number_of_objectives_under_one_name() -> None:
    sampler = NCPSampler(seed=0, n_startup_trials=3)
    optuna.create_study(study_name="a", sampler=sampler).optimize(increasing, n_trials=5)
    second = optuna.create_study(
        study_name="a", sampler=sampler, directions=["minimize", "maximize"]
    )
    second.optimize(lambda trial: (increasing(trial), increasing(trial)), n_trials=8)
    assert all(len(trial.values) == 2 for trial in second.trials)


def test_a_study_that_was_deleted_and_made_again(tmp_path: Path) -> None:
    """SQLite gives its number to the next one."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    sampler = NCPSampler(seed=0, n_startup_trials=3)
    settings: dict[str, Any] = {"study_name": "a", "storage": storage, "sampler": sampler}
    optuna.create_study(**settings).optimize(increasing, n_trials=6)
    optuna.delete_study(study_name="a", storage=storage)
    second = optuna.create_study(**settings, direction="maximize")
    second.add_trial(
        create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, value=0.5)
    )
    second.optimize(increasing, n_trials=8)
    assert second.best_value > 0.95
