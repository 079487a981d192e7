"""Studies as sources of others: the same proposals as if never interrupted, or a guide."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import Trial

from ncp_sampler import NCPSampler, SearchSpace, Source
from ncp_sampler.records import Records
from tests.optuna_examples import SPACE, constrain, new_study, objective, params_of, score

SpaceOrNone = SearchSpace | None


def fine(trial: Trial) -> float:
    """An objective whose codes all differ in value."""
    params = SPACE.suggest(trial)
    return score(params) - abs(float(np.log10(params["rate"])) + 2.5)


def earlier(n: int = 14, space: SpaceOrNone = SPACE, **kwargs: Any) -> Study:
    study = new_study(NCPSampler(space=space, seed=1), **kwargs)
    study.optimize(fine, n_trials=n)
    return study


def hows(study: Study) -> list[str]:
    """Return the reasons' ``how`` of each trial."""
    return [t.system_attrs.get("ncp:reasons", {"how": "drawn"})["how"] for t in study.trials]


@pytest.mark.parametrize("space", [SPACE, None])
@pytest.mark.parametrize("n", [5, 14])  # within startup, and after it
def test_an_interrupted_study_as_a_source_equals_the_study_resumed(
    tmp_path: Path, space: SpaceOrNone, n: int
) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    old = earlier(n, space, storage=storage, study_name="interrupted")
    sources = [Source(old, same_task=True)]
    new = new_study(NCPSampler(space=space, seed=2, sources=sources), storage=storage)
    new.optimize(fine, n_trials=4)
    old.sampler = NCPSampler(space=space, seed=2)  # as after a new start of the process
    old.optimize(fine, n_trials=4)
    assert params_of(new) == params_of(old)[n:]


def test_an_interrupted_study_with_failed_trials_equals_the_study_resumed() -> None:
    def failing(trial: Trial) -> float:
        value = fine(trial)
        if trial.params["width"] > 16:
            raise MemoryError
        return value

    old = new_study(NCPSampler(space=SPACE, seed=1))
    old.optimize(failing, n_trials=14, catch=(MemoryError,))
    sources = [Source(old, same_task=True)]
    new = new_study(NCPSampler(space=SPACE, seed=2, sources=sources))
    new.optimize(failing, n_trials=4, catch=(MemoryError,))
    old.sampler = NCPSampler(space=SPACE, seed=2)
    old.optimize(failing, n_trials=4, catch=(MemoryError,))
    assert params_of(new) == params_of(old)[14:]
    assert "succeeds" in new.trials[0].system_attrs["ncp:reasons"]


def test_a_study_of_the_same_task_is_found_out() -> None:
    old = earlier()
    new = new_study(NCPSampler(space=SPACE, seed=2, sources=[old]))
    new.optimize(fine, n_trials=3)
    assert new.trials[0].params == old.best_params
    assert hows(new) == ["source", "search", "search"]


def test_a_study_of_another_task_guides() -> None:
    new = new_study(NCPSampler(space=SPACE, seed=2, sources=[earlier()]))
    new.optimize(lambda trial: 5 + 2 * fine(trial), n_trials=5)
    assert hows(new) == ["source", "startup", "source", "search", "search"]


def test_a_study_to_be_minimized_gives_its_least() -> None:
    old = new_study(NCPSampler(space=SPACE, seed=1), directions=["minimize"])
    old.optimize(lambda trial: -fine(trial), n_trials=12)
    new = new_study(NCPSampler(space=SPACE, seed=2, sources=[old]))
    new.optimize(fine, n_trials=1)
    assert new.trials[0].params == old.best_params


def test_failed_and_pruned_trials_are_known() -> None:
    def failing(trial: Trial) -> float:
        value = fine(trial)
        if trial.number % 4 == 1:
            raise optuna.TrialPruned
        if trial.number % 4 == 2:
            raise ArithmeticError
        return value

    old = new_study(NCPSampler(space=SPACE, seed=1))
    old.optimize(failing, n_trials=14, catch=ArithmeticError)
    sampler = NCPSampler(space=SPACE, seed=2, sources=[Source(old, same_task=True)])
    new = new_study(sampler)
    new.optimize(fine, n_trials=3)
    assert not [params for params in params_of(new) if params in params_of(old)]


def test_constraints_come_with_the_trials() -> None:
    def bounded(trial: Trial) -> float:
        value = fine(trial)
        constrain(trial, "width", trial.params["width"] - 20.0)
        return value

    old = new_study(NCPSampler(space=SPACE, seed=1))
    old.optimize(bounded, n_trials=14)
    for sources in ([Source(old, same_task=True)], [old]):
        new = new_study(NCPSampler(space=SPACE, seed=2, sources=sources))
        new.optimize(bounded, n_trials=4)
        assert min(trial.params["width"] for trial in new.trials) <= 16


def test_a_study_is_no_source_of_itself() -> None:
    study = earlier()
    study.sampler = NCPSampler(space=SPACE, seed=2, sources=[study])
    study.optimize(fine, n_trials=1)
    again = earlier()
    again.sampler = NCPSampler(space=SPACE, seed=2)
    again.optimize(fine, n_trials=1)
    assert study.trials[-1].params == again.trials[-1].params


def test_several_objectives_and_records() -> None:
    def both(trial: Trial) -> tuple[float, float]:
        value = fine(trial)
        return value, float(trial.params["width"])

    old = optuna.create_study(
        directions=["maximize", "minimize"], sampler=NCPSampler(space=SPACE, seed=1)
    )
    old.optimize(both, n_trials=8)
    codes = SPACE.sample(20, 0).astype(np.float64)
    values = np.array([score(SPACE.to_params(code.tolist())) for code in codes])
    records = Records(SPACE, codes, {"a": codes[:, 0], "b": values})
    new = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=NCPSampler(space=SPACE, seed=1, sources=[old, records]),
    )
    new.optimize(both, n_trials=5)
    assert len(new.trials) == 5


@pytest.mark.parametrize("shift", [0.0, 5.0])  # of the same task, and of another
def test_a_sampler_with_sources_pickles(tmp_path: Path, shift: float) -> None:
    """Before its first trial, and amid a study."""
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    sampler = NCPSampler(space=SPACE, seed=2, sources=[earlier(12, storage=storage)])
    studies = [
        new_study(each, storage=storage) for each in (sampler, pickle.loads(pickle.dumps(sampler)))
    ]
    for study in studies:
        study.optimize(lambda trial: shift + fine(trial), n_trials=5)
    studies[1].sampler = pickle.loads(pickle.dumps(studies[1].sampler))
    for study in studies:
        study.optimize(lambda trial: shift + fine(trial), n_trials=2)
    assert params_of(studies[0]) == params_of(studies[1])


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))]
)
def test_a_copied_sampler_knows_constraints_that_its_source_lacks(
    copied: Callable[[BaseSampler], BaseSampler],
) -> None:
    def bounded(trial: Trial) -> float:
        value = 5.0 + fine(trial)  # another task than the source's
        constrain(trial, "width", trial.params["width"] - 20.0)
        return value

    old = earlier()
    studies = [new_study(NCPSampler(space=SPACE, seed=2, sources=[old])) for _ in range(2)]
    for study in studies:
        study.optimize(bounded, n_trials=4)
    sampler = studies[1].sampler
    assert isinstance(sampler, NCPSampler)
    studies[1].sampler = copied(sampler)
    for study in studies:
        study.optimize(bounded, n_trials=3)
    assert params_of(studies[0]) == params_of(studies[1])


def test_an_inferred_space_that_differs_makes_a_guide() -> None:
    old = earlier(12, None)
    new = new_study(NCPSampler(seed=2, sources=[old]))
    new.optimize(lambda trial: fine(trial) + trial.suggest_float("extra", 0, 1), n_trials=4)
    assert "search" in hows(new)


def test_a_study_without_a_result_is_refused() -> None:
    empty = new_study(study_name="empty")
    with pytest.raises(ValueError, match=r"sources\[0\]='empty' must have a finished trial"):
        NCPSampler(sources=[empty])


def test_a_study_of_other_parameters_is_refused() -> None:
    unrelated = optuna.create_study(direction="maximize")
    unrelated.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    new = new_study(NCPSampler(space=SPACE, seed=2, sources=[unrelated]))
    with pytest.raises(ValueError, match=r"sources\[0\] lacks the parameters \['width', 'rate'"):
        new.optimize(objective, n_trials=1)


def test_a_study_of_other_metrics_is_refused() -> None:
    unrelated = optuna.create_study(directions=["maximize"] * 2)
    unrelated.optimize(lambda trial: (fine(trial), 1.0), n_trials=2)
    new = new_study(NCPSampler(space=SPACE, seed=2, sources=[unrelated]))
    with pytest.raises(ValueError, match=r"has the metrics \['value_0', 'value_1'\], none of"):
        new.optimize(objective, n_trials=1)
