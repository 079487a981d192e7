"""Trials, running trials and fixed values that NCPSampler reports to the optimizer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from ncp_sampler import (
    Categorical,
    Integer,
    MRSpace,
    NCPOptimizer,
    NCPSampler,
    SearchSpace,
)
from ncp_sampler.integrations.optuna import study_history as adapter
from ncp_sampler.space.search_space import Params
from tests.work import instructions

SPACE = SearchSpace([Integer("x", 0, 40, step=10), Categorical("op", ("a", "b"))])
LONG = "y" * 1_500  # a name; two of them do not fit into one attribute

A, B = {"x": 10, "op": "a"}, {"x": 20, "op": "b"}
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL

Observation = tuple[Params, dict[str, float], bool]


class Spy(NCPOptimizer):
    """Record observations and asks."""

    made: list[Spy]

    def __init__(self, space: SearchSpace, **arguments: Any) -> None:
        super().__init__(space, **arguments)
        self.observations: list[Observation] = []
        self.asked: list[tuple[list[Params], Mapping[str, Any] | None]] = []
        Spy.made.append(self)

    def tell(self, params: Any, metrics: Any, *, complete: Any = True, **kwargs: Any) -> None:
        super().tell(params, metrics, complete=complete, **kwargs)
        self.observations += zip(params, metrics, complete, strict=True)

    def ask(self, n: int = 1, *, pending: Any = (), fixed: Any = None) -> list[Params]:
        self.asked.append((list(pending), fixed))
        return super().ask(n, pending=pending, fixed=fixed)


@pytest.fixture(autouse=True)
def _spied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Spy.made = []
    monkeypatch.setattr(adapter, "NCPOptimizer", Spy)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def new_study(space: SearchSpace | None = SPACE, **kwargs: Any) -> Study:
    return optuna.create_study(sampler=NCPSampler(space=space, seed=0), **kwargs)


def add(study: Study, params: Params, state: TrialState = TrialState.COMPLETE, **kw: Any) -> None:
    """Adds a trial whose distributions are the space's, unless others are given."""
    distributions = kw.pop("distributions", {n: SPACE.distributions[n] for n in params})
    study.add_trial(create_trial(state=state, params=params, distributions=distributions, **kw))


def next_ask(study: Study) -> tuple[list[Params], Mapping[str, Any] | None]:
    """Return the pending and fixed params with which the optimizer is asked for one more trial."""
    SPACE.suggest(study.ask())
    return Spy.made[-1].asked[-1]


def observations(study: Study) -> list[Observation]:
    next_ask(study)
    return Spy.made[-1].observations


@pytest.mark.parametrize(
    ("trial", "metrics", "complete"),
    [
        ({"state": COMPLETE, "value": 1.5}, {"value": 1.5}, True),
        ({"state": COMPLETE, "value": -math.inf}, {"value": -math.inf}, True),
        ({"state": PRUNED, "value": 3.0, "intermediate_values": {0: 9.0, 4: 3.0}}, {"value": 3}, 0),
        ({"state": PRUNED, "value": 2.0}, {"value": 2.0}, False),
        ({"state": PRUNED}, {}, True),
        ({"state": FAIL}, {}, True),
    ],
)
def test_what_a_finished_trial_teaches(
    trial: dict[str, Any], metrics: dict[str, float], complete: bool
) -> None:
    study = new_study()
    add(study, A, **trial)
    assert observations(study) == [(A, metrics, complete)]


def test_nan_is_a_failed_trial_and_a_nan_report_is_nothing_to_learn() -> None:
    study = new_study()
    trial = study.ask()
    SPACE.suggest(trial)
    with pytest.warns(UserWarning, match="nan is not acceptable"):
        study.tell(trial, math.nan)
    add(study, B, PRUNED, intermediate_values={0: math.nan})
    failed, pruned = observations(study)
    assert failed == (trial.params, {}, True)
    assert math.isnan(pruned[1]["value"])


@pytest.mark.parametrize("names", [None, ["accuracy", "cost"]])
def test_several_metrics_have_the_studys_names(names: list[str] | None) -> None:
    study = new_study(directions=["maximize", "minimize"])
    if names:
        with pytest.warns(ExperimentalWarning):
            study.set_metric_names(names)
    add(study, A, values=[0.5, math.inf])
    first, second = names or ["value_0", "value_1"]
    assert observations(study) == [(A, {first: 0.5, second: math.inf}, True)]
    assert Spy.made[-1].directions == {first: "maximize", second: "minimize"}


def test_each_trial_is_told_once_in_order_when_it_has_finished() -> None:
    study = new_study()
    trials = [study.ask() for _ in range(3)]
    for trial in trials:
        SPACE.suggest(trial)
    for i in (2, 0, 1):
        study.tell(trials[i], float(i))
        next_ask(study)
    study.tell(3, state=FAIL)
    assert [params for params, _, _ in observations(study)] == [
        trials[2].params,
        trials[0].params,
        trials[1].params,
        study.trials[3].params,
    ]


def test_old_trials_off_the_range_are_learnt_where_they_fit_best(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wide: dict[str, BaseDistribution] = {
        "x": IntDistribution(-100, 100),
        "op": CategoricalDistribution(("a", "b", "c")),
    }
    study = new_study()
    add(study, {"x": -7, "op": "a"}, value=1.0, distributions=wide)
    add(study, {"x": 14, "op": "a"}, value=2.0, distributions=wide)
    add(study, {"x": 14, "op": "c"}, value=3.0, distributions=wide)  # no such choice
    add(study, {"x": -7, "op": "a"}, FAIL, distributions=wide)
    add(study, {"x": 10, "op": "b"}, value=4.0, distributions=wide)  # fits
    assert [metrics["value"] for _, metrics, _ in observations(study)] == [1, 2, 4]
    assert len(caplog.messages) == 2
    assert "nearest valid ones are used" in caplog.text
    assert "left out" in caplog.text


def test_trials_that_lack_a_parameter_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    study = new_study()
    add(study, {"x": 10}, value=1.0)
    add(study, {}, FAIL)
    add(study, {}, value=1.0)
    assert observations(study) == []
    [message] = caplog.messages  # once
    assert "lacks ['op']" in message


def test_running_and_waiting_trials_are_pending_and_pins_fixed() -> None:
    study = new_study()
    running = study.ask()
    running.suggest_int("x", 0, 40, step=10)  # op is known from the claim alone
    study.enqueue_trial({"op": "a", "unknown": 1})
    study.enqueue_trial(B)
    study.enqueue_trial({"x": 30})  # not known whole
    pending, fixed = next_ask(study)
    assert pending == [{"x": running.params["x"], "op": running.suggest_categorical("op", "ab")}, B]
    assert fixed == {"op": "a"}
    assert study.trials[1].params["op"] == "a"


@pytest.mark.filterwarnings("ignore:Fixed parameter")  # Optuna's, of the pin that it uses
def test_invalid_pins_are_no_condition_but_count_as_the_nearest_value() -> None:
    study = new_study()
    study.enqueue_trial({"x": 97})
    assert next_ask(study) == ([], None)
    assert study.trials[0].params["x"] == 97
    pending, _ = next_ask(study)
    assert pending == [{"x": 40, "op": study.trials[0].params["op"]}]


def test_wholly_fixed_trials_ask_for_nothing() -> None:
    study = new_study()
    study.enqueue_trial(A)
    assert SPACE.suggest(study.ask()) == A
    assert not any(spy.asked for spy in Spy.made)


def test_partial_fixed_sampler_is_a_condition() -> None:
    study = new_study()
    with pytest.warns(ExperimentalWarning):
        study.sampler = optuna.samplers.PartialFixedSampler({"op": "b"}, study.sampler)
    add(study, A, value=1.0)
    assert next_ask(study) == ([], {"op": "b"})
    assert Spy.made[-1].space == SPACE
    assert Spy.made[-1].n_observations == 1


def test_a_part_of_the_space_has_an_optimizer_of_its_own() -> None:
    study = new_study()
    add(study, A, value=1.0)
    part: dict[str, BaseDistribution] = {"x": IntDistribution(0, 40, step=10)}
    for _ in range(2):
        trial_id = study._storage.create_new_trial(study._study_id)
        trial = study._storage.get_trial(trial_id)
        params = study.sampler.sample_relative(study, trial, part)
        assert params.keys() == {"x"}
    assert Spy.made[-1].space.names == ("x",)
    assert Spy.made[-1].observations == [({"x": 10}, {"value": 1.0}, True)]


def long_space() -> SearchSpace:
    return SearchSpace([Integer("x", 0, 40), *(Integer(f"{LONG}{i}", 0, 9) for i in range(3))])


def test_claims_are_published_in_short_pieces_and_read_by_others() -> None:
    space = long_space()
    study = new_study(space)
    first, second = study.ask(), study.ask()
    first.suggest_int("x", 0, 40)
    attrs = study.trials[0].system_attrs
    pieces = {key: value for key, value in attrs.items() if key.startswith("ncp:claim:")}
    assert list(pieces) == ["ncp:claim:0", "ncp:claim:1", "ncp:claim:2"]
    assert all(0 < len(piece) <= 2_045 for piece in pieces.values())
    second.suggest_int("x", 0, 40)
    [pending], _ = Spy.made[-1].asked[-1]
    assert json.loads("".join(pieces.values())) == pending == space.suggest(first)


@pytest.mark.parametrize(
    ("claim", "params"),
    [
        (['{"x": 20.0, "op": 1.0}'], B),
        (['{"x": 20.0, "op"', ": 1.0}"], B),
        (['{"x": 20.0, "op": 1.0}', "left of a longer one"], B),
        (['{"x": 20.0, "op": 1.0, "more": 3}'], B),
        (['{"x": 23.0, "op": 1.0}'], B),  # of another grid
        (['{"x": 20.0, "op"'], None),  # half written
        (['{"x": 20.0, "op": 7.0}'], None),
        (['{"x": "a", "op": 1.0}'], None),
        (['{"x": NaN, "op": 1.0}'], None),
        (['{"x": Infinity, "op": 1.0}'], None),
        (['{"x": null, "op": null}'], None),
        (['["x", "op"]'], None),
        (["7"], None),
        (['"x op"'], None),
        ([""], None),
        ([5], None),
        ([{"x": 20}], None),
    ],
)
def test_claims_of_others_may_be_broken(claim: list[Any], params: Params | None) -> None:
    study = new_study()
    trial = study.ask()
    for i, piece in enumerate(claim):
        study._storage.set_trial_system_attr(trial._trial_id, f"ncp:claim:{i}", piece)
    pending, _ = next_ask(study)
    assert pending == ([] if params is None else [params])


def test_a_proposal_reads_no_trial_again() -> None:
    """The sampler's work outside the optimizer does not grow with the length of the history."""
    space = MRSpace()
    distributions = space.distributions
    work = []
    for n in (10, 1000):
        study = new_study(space)
        rows = [space.to_params(code) for code in space.sample(n, 0)]
        study.add_trials(
            [create_trial(params=p, distributions=distributions, value=0.0) for p in rows]
        )
        trial = study._storage.get_trial(study.ask()._trial_id)
        study.sampler.sample_relative(study, trial, distributions)  # reads all

        def ask(n: int = 1, **_: Any) -> list[Params]:
            return [rows[-1] | {"i1": 8}] * n  # noqa: B023

        Spy.made[-1].ask = ask  # type: ignore[method-assign]
        work.append(
            instructions(
                lambda: study.sampler.sample_relative(study, trial, distributions)  # noqa: B023
            )
        )
    assert work[1] <= 1.1 * work[0]
