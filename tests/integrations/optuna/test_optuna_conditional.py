"""Define-by-run spaces with branches: one model for all trials, and nothing drawn at random."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from ncp_sampler import NCPSampler, explain
from ncp_sampler.integrations.optuna.conversion import REASONS_KEY
from ncp_sampler.integrations.optuna.inferred_space import Conditions, InferredCondition
from ncp_sampler.predictors import GaussianProcess
from tests.optuna_examples import NotingSampler


def branches(trial: Trial) -> float:
    """Two branches below the first, and as many layers as the depth says."""
    kind = trial.suggest_categorical("kind", ["net", "tree"])
    rate = trial.suggest_float("rate", 0, 1)
    if kind == "tree":
        return 1 + (trial.suggest_float("leaf", 0, 1) - 0.3) ** 2 + (rate - 0.5) ** 2
    depth = trial.suggest_int("depth", 1, 3)
    widths = [trial.suggest_float(f"width_{i}", 0, 1) for i in range(depth)]
    return 0.2 * (3 - depth) + sum((w - 0.8) ** 2 for w in widths) + (rate - 0.5) ** 2


def finished_trials(objective: Any, storage: str | None = None) -> list[optuna.trial.FrozenTrial]:
    random = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=storage, study_name="s", sampler=random)
    study.optimize(objective, n_trials=40)
    return optuna.load_study(storage=storage, study_name="s").trials if storage else study.trials


@pytest.mark.parametrize("url", [None, "sqlite:///{}/a.db"])
def test_the_tree_is_read_off_the_trials(url: str | None, tmp_path: Path) -> None:
    """Whatever keeps the trials, their params stand in the order they were asked for."""
    storage = url and url.format(tmp_path)
    conditions = Conditions()
    for trial in finished_trials(branches, storage):
        conditions.read(trial)
    names = ["depth", "kind", "leaf", "rate", "width_0", "width_1", "width_2"]
    assert conditions.among(names) == (
        InferredCondition("depth", "kind", ("net",), ("tree",)),
        InferredCondition("leaf", "kind", ("tree",), ("net",)),
        InferredCondition("width_0", "kind", ("net",), ("tree",)),
        InferredCondition("width_1", "depth", (2,), (1,)),
        InferredCondition("width_2", "depth", (3,), (2,)),
    )
    assert conditions.among(["leaf", "rate"]) == ()  # of a parent that is not searched


def test_what_no_parameter_explains_has_no_condition() -> None:
    """A parameter that some trials have by chance, or that came late, is taken for there."""

    def by_chance(trial: Trial) -> float:
        trial.suggest_categorical("kind", ["a", "b"])
        if trial.number % 3 == 0:
            trial.suggest_float("x", 0, 1)
        if trial.number > 10:
            trial.suggest_int("late", 0, 5)
        return 0.0

    conditions = Conditions()
    for trial in finished_trials(by_chance):
        conditions.read(trial)
    assert conditions.among(["kind", "x", "late"]) == ()


@pytest.mark.parametrize(
    ("distribution", "having", "without", "values"),
    [
        (CategoricalDistribution(["a", "b", "c"]), ("a",), ("b",), ("a", "c")),  # c may have it
        (CategoricalDistribution(["b", "c"]), ("a",), ("b", "c"), ()),  # which is no more
        (IntDistribution(0, 9), (7,), (2,), range(5, 10)),
        (IntDistribution(0, 9), (2,), (7,), range(5)),
        (IntDistribution(0, 9), (7,), (3,), range(5, 10)),  # as near to both: with it
        (IntDistribution(1, 9, step=4), (7,), (2,), (5, 9)),
        (IntDistribution(1, 9, step=4), (2,), (7,), (1,)),
        (IntDistribution(0, 3), (7,), (2,), ()),
        (IntDistribution(6, 9), (7,), (2,), range(6, 10)),
    ],
)
def test_values_of_a_parent_that_were_never_seen(
    distribution: Any, having: Any, without: Any, values: Any
) -> None:
    """A new choice may have the parameter; a number counts as the nearest known one."""
    condition = InferredCondition("x", "parent", having, without).within(distribution)
    assert condition is not None
    assert condition.parent == "parent"
    assert [*condition.values] == [*values]


OWN: dict[str, Any] = {REASONS_KEY: {}}  # as if the sampler had proposed the trial


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (IntDistribution(1, 3), FloatDistribution(1, 3)),
        (IntDistribution(1, 3), CategoricalDistribution(("1", "2", "3"))),
        (CategoricalDistribution((3, 2, 1)), IntDistribution(1, 3)),
    ],
)
def test_a_parent_that_changes_its_kind_decides_no_more(before: Any, now: Any) -> None:
    """Trials that are added may have another kind: until more tell, the child always exists."""
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=3))
    width = FloatDistribution(0, 1)

    def add(depth: Any, distribution: Any, state: TrialState) -> None:
        params, dists = {"depth": depth}, {"depth": distribution}
        if depth == 3:
            params["width"], dists["width"] = 0.5, width
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=dists, value=0.0, state=state, system_attrs=OWN
            )
        )

    for depth in (1, 2, 3):
        add(depth, before, TrialState.COMPLETE)
    assert study.ask().relative_params.keys() == {"depth", "width"}
    last = "1" if isinstance(now, CategoricalDistribution) else 1
    add(last, now, TrialState.PRUNED)  # a range is known from it, and a condition is not
    for _ in range(4):
        assert study.ask().relative_params.keys() == {"depth", "width"}


def test_equal_choices_of_a_parent() -> None:
    """Optuna takes True for 1; both are one value of the parent."""
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=3))

    def objective(trial: Trial) -> float:
        kind = trial.suggest_categorical("kind", [0, 1, True, "more"])
        return trial.suggest_float("x", 0, 1) if kind in (1, "more") else 0.5

    study.optimize(objective, n_trials=12)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_a_parameter_that_exists_no_more_is_no_difference() -> None:
    """Once the depth ends at 2, no third width is asked for, nor does it tell codes apart."""
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=4))

    def layers(trial: Trial, most: int) -> float:
        depth = trial.suggest_int("depth", 1, most)
        return float(sum(trial.suggest_int(f"width_{i}", 1, 6) for i in range(depth)))

    study.optimize(lambda trial: layers(trial, 4), n_trials=12)
    study.optimize(lambda trial: layers(trial, 2), n_trials=8)
    tried = [tuple(trial.params.items()) for trial in study.trials]
    assert len(set(tried[13:])) == 7  # of trial 12, the range was not known yet
    assert not {*tried[13:]} & {*tried[:13]}


def test_nothing_is_drawn_at_random_once_every_branch_was_seen() -> None:
    noting = NotingSampler(0)
    study = optuna.create_study(sampler=NCPSampler(seed=1, independent_sampler=noting))
    study.optimize(branches, n_trials=50)
    first = {
        name: next(trial.number for trial in study.trials if name in trial.params)
        for _, name in noting.drawn
    }
    assert all(first[name] == number for number, name in noting.drawn)
    counted = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(set(counted)) == len(counted)
    assert study.best_value < 0.02


def test_a_branch_learns_what_the_others_know() -> None:
    """The shared rate is found although the branch with the best values is seldom seen."""
    gaps = []
    for seed in range(3):
        study = optuna.create_study(sampler=NCPSampler(seed=seed))
        study.optimize(branches, n_trials=40)
        tpe = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        tpe.optimize(branches, n_trials=40)
        gaps.append(tpe.best_value - study.best_value)
    assert np.median(gaps) > 0


def test_trials_of_failed_and_pruned_branches() -> None:
    """Ends of every kind, a parameter that never comes again, and one of two ranges."""
    sampler = NCPSampler(seed=0, n_startup_trials=4, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sampler)

    def objective(trial: Trial) -> float:
        value = branches(trial)
        trial.suggest_float(f"only_{trial.number}", 0, 1)
        trial.suggest_int("moving", 0, 2 + trial.number % 2)
        if trial.number % 5 == 1:
            raise RuntimeError
        if trial.number % 5 == 2:
            trial.report(value, 1)
            raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=25, catch=RuntimeError)
    states = [trial.state for trial in study.trials]
    assert {TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE} == {*states}


def test_very_many_names_do_not_make_it_slow() -> None:
    """Names that come once each, as a trial's number in a name makes them, are left out."""
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=4))
    dist = optuna.distributions.FloatDistribution(0, 1)
    for number in range(150):
        params = {"x": number / 150, f"a_{number}": 0.5, f"b_{number}": 0.5}
        study.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions=dict.fromkeys(params, dist),
                value=number % 7,
                system_attrs=OWN,
            )
        )
    trial = study.ask()
    assert [*trial.relative_params] == ["x"]


def test_old_trials_of_a_study_that_has_grown(caplog: pytest.LogCaptureFixture) -> None:
    """A parameter that is new in the code is searched, and the older trials still count."""
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=5))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12)

    def grown(trial: Trial) -> float:
        return trial.suggest_float("x", 0, 1) + (trial.suggest_float("y", 0, 1) - 0.7) ** 2

    with caplog.at_level(logging.WARNING, "optuna"):
        study.optimize(grown, n_trials=15)
    assert "independently" not in caplog.text
    assert study.best_trial.number < 12  # of the smaller code
    best = min(study.trials[12:], key=lambda trial: float(trial.value or 0))
    assert best.params["x"] < 0.1
    assert abs(best.params["y"] - 0.7) < 0.2


def test_every_trial_has_a_reason_though_its_parameters_were_not_known() -> None:
    """The first of an undeclared space is drawn; what is enqueued was not the sampler's choice."""

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1)

    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=2))
    study.optimize(objective, n_trials=4)
    hows = [trial.system_attrs["ncp:reasons"]["how"] for trial in study.trials]
    assert hows == ["drawn", "startup", "search", "search"]
    assert "no parameter was known" in str(explain(study.trials[0]).title)

    enqueued = optuna.create_study(sampler=NCPSampler(seed=0))
    enqueued.enqueue_trial({"x": 0.5})
    enqueued.optimize(objective, n_trials=1)
    with pytest.raises(ValueError, match="has no reasons"):
        explain(enqueued.trials[0])


class CountedProcess(GaussianProcess):
    """A process that counts its copies: each model that is fitted from scratch is a new one."""

    copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> GaussianProcess:
        CountedProcess.copies += 1
        return GaussianProcess()


def test_nested_branches_keep_their_model_from_trial_to_trial() -> None:
    """The model is made anew where a new condition is learned, not for every proposal."""

    def nested(trial: Trial) -> float:
        if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
            return 1 + trial.suggest_float("beta", 0, 1)
        if not trial.suggest_categorical("nesterov", [False, True]):
            return 0.5
        return (trial.suggest_float("momentum", 0, 1) - 0.3) ** 2

    CountedProcess.copies = 0
    study = optuna.create_study(sampler=NCPSampler(predictor=CountedProcess(), seed=0))
    study.optimize(nested, n_trials=30)
    assert 1 <= CountedProcess.copies <= 10
