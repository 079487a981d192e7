"""Strategies for the course and the end of Optuna trials, and their independent draws."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import optuna
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.study import Study, StudyDirection
from optuna.trial import Trial, TrialState

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna.conversion import to_dimension
from tests.optuna_examples import NotingSampler
from tests.properties.invariants import misfit, only_logs, same
from tests.properties.strategies import Draw, metric_lists

optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # trials fail here on purpose


@dataclass(frozen=True)
class Ending:
    """Course of a trial after its params are known.

    Attributes:
        state: "complete", "pruned", "failed", or "running": it is never told.
        values: Of the objectives.
        reports: Intermediate values, of one objective.
        suggested: Whether all params are suggested; else the first alone, if it does not complete.
        enqueued: Params that it is enqueued with.
        pickled: Whether the sampler is pickled and read back before the trial.
    """

    state: str
    values: tuple[float, ...]
    reports: tuple[float, ...] = ()
    suggested: bool = True
    enqueued: Mapping[str, Any] = field(default_factory=dict)
    pickled: bool = False


@st.composite
def endings(
    draw: Draw,
    n_trials: int,
    n_metrics: int,
    enqueued: st.SearchStrategy[Mapping[str, Any]],
) -> tuple[Ending, ...]:
    """One for each trial; the first completes, so that there is something to learn."""
    values = draw(metric_lists(n_trials, n_metrics))
    ends = []
    for i, row in enumerate(values):
        states = ["complete"] * 6 + ["pruned", "failed", "running"]
        state = "complete" if i == 0 else draw(st.sampled_from(states))
        reports: tuple[float, ...] = ()
        if n_metrics == 1 and state != "complete":
            reports = draw(
                st.lists(st.one_of(st.floats(-9, 9), st.floats()), max_size=3).map(tuple)
            )
        given = draw(enqueued) if draw(st.integers(0, 5)) == 5 else {}
        suggested = state in ("complete", "pruned") or draw(st.booleans())
        pickled = draw(st.integers(0, 5)) == 5
        ends.append(Ending(state, row, reports, suggested, given, pickled))
    return tuple(ends)


class StudyCase(Protocol):
    """A study whose trials are asked, suggested and finished in turn.

    Attributes:
        pickled: For each trial, True if the sampler is pickled and read back before it.
    """

    @property
    def pickled(self) -> tuple[bool, ...]: ...

    def study(self) -> Study: ...

    def suggest(self, trial: Trial) -> None: ...

    def finish(self, study: Study, trial: Trial) -> None: ...


def pickled(n_trials: int) -> st.SearchStrategy[tuple[bool, ...]]:
    """True for about one trial in six."""
    return st.tuples(*[st.sampled_from([False] * 5 + [True])] * n_trials)


def play_trials(case: StudyCase, *documented: str) -> Study:
    """Run a case's trials and return the study.

    Raise if a value is not valid for Optuna, if a pickled sampler does not go on as one that was
    not, or if a warning is logged that has none of the documented phrases.
    """
    studies = []
    for restored in (False, True) if any(case.pickled) else (False,):
        study = case.study()
        with only_logs(*documented):
            for before in case.pickled:
                if before and restored:
                    study.sampler = pickle.loads(pickle.dumps(study.sampler))
                trial = study.ask()
                case.suggest(trial)
                check_stored(study, trial, {})
                case.finish(study, trial)
        studies.append(study)
    first, *others = [[repr(trial.params) for trial in study.trials] for study in studies]
    for repeated in others:
        assert first == repeated, f"uninterrupted: {first}, pickled: {repeated}"
    return studies[0]


def is_upper(distribution: BaseDistribution, value: Any) -> bool:
    """Return True for a value in the upper half of a distribution."""
    internal = distribution.to_internal_repr(value)
    if isinstance(distribution, CategoricalDistribution):
        return internal >= len(distribution.choices) / 2
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return internal > distribution.low / 2 + distribution.high / 2


def new_study(names: Sequence[str], sampler: BaseSampler) -> Study:
    """A study in memory, of "minimize" and "maximize"."""
    return optuna.create_study(
        directions=[StudyDirection[name.upper()] for name in names], sampler=sampler
    )


def run(
    study: Study,
    ends: Sequence[Ending],
    suggest: Callable[[Trial, bool], None],
    *,
    pickled: bool = True,
) -> list[Trial]:
    """The trials of a study, whose params ``suggest(trial, all)`` asks for."""
    trials = []
    for end in ends:
        if end.pickled and pickled:
            study.sampler = pickle.loads(pickle.dumps(study.sampler))
        if end.enqueued:
            study.enqueue_trial(dict(end.enqueued))
        trial = study.ask()
        with warnings.catch_warnings():  # Optuna's, of what the case enqueued
            warnings.filterwarnings("ignore", message="Fixed parameter")
            suggest(trial, end.suggested or end.state == "complete")
        trials.append(trial)
        for step, value in enumerate(end.reports):
            trial.report(value, step)
        if end.state == "complete" and not any(map(math.isnan, end.values)):
            study.tell(trial, list(end.values))
        elif end.state == "pruned":
            study.tell(trial, state=TrialState.PRUNED)
        elif end.state != "running":  # Optuna fails a trial of which an objective is NaN
            study.tell(trial, state=TrialState.FAIL)
    return trials


def is_storable(distribution: BaseDistribution, value: Any) -> bool:
    """Return True if Optuna lets a finished trial have the value, which it may draw all the same.

    It does not for the ends of some fine grids, nor for integers beyond 2**53.
    """
    return distribution._contains(distribution.to_internal_repr(value))


def drawn_independently(study: Study) -> list[tuple[int, str]]:
    """Number of trial and name of each parameter that was; none if nothing noted it."""
    sampler: BaseSampler = study.sampler
    if isinstance(sampler, PartialFixedSampler):
        sampler = sampler._base_sampler
    assert isinstance(sampler, NCPSampler)
    noting = sampler._independent_sampler
    return noting.drawn if isinstance(noting, NotingSampler) else []


def check_stored(study: Study, trial: Trial, given: Mapping[str, Any]) -> None:
    """Raises if a trial has a value that Optuna does not count as its distribution's.

    What was enqueued may be any; of the others, what was suggested is what the storage holds.
    """
    stored = study.trials[trial.number]
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        if name in given:
            continue
        valid = _is_valid(name, distribution, value)
        assert valid, f"{name}={value!r} is not a value of {distribution}"
        stored_value = stored.params[name]
        assert _is_kept(value, stored_value), f"{name}: {stored_value!r} is stored for {value!r}"


def _is_valid(name: str, distribution: BaseDistribution, value: Any) -> bool:
    if distribution._contains(distribution.to_internal_repr(value)):
        return True
    # Optuna does not count all that it draws from a fine grid: no float is near enough
    stepped = isinstance(distribution, FloatDistribution) and distribution.step is not None
    return stepped and misfit(to_dimension(name, distribution), value) is None


def _is_kept(value: Any, stored_value: Any) -> bool:
    if isinstance(value, np.floating):  # of Optuna's own
        return same(stored_value, value.item())
    # it stores floats, which do not tell whole numbers beyond 2**53 apart
    return same(stored_value, value) or (type(value) is int and int(float(value)) == stored_value)


def check_pickled(
    trials: Sequence[Trial],
    ends: Sequence[Ending],
    again: Callable[[], Study],
    suggest: Callable[[Trial, bool], None],
) -> None:
    """Raises if trials between which the sampler was pickled are not those of one that was not."""
    if not any(end.pickled for end in ends):
        return
    for copied, trial in zip(trials, run(again(), ends, suggest, pickled=False), strict=True):
        assert repr(copied.params) == repr(trial.params), (
            f"trial {copied.number}: {copied.params} pickled, {trial.params} uninterrupted"
        )
