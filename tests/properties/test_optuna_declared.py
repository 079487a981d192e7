"""``NCPSampler(space=...)``: every trial's params are its own proposals, valid for Optuna and new.

Trials complete, are pruned, fail, are never told, are enqueued with some params, also off the
ranges; the sampler is pickled between them, and must go on as if it had not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from ncp_sampler import Integer, NCPSampler, SearchSpace
from ncp_sampler.integrations.optuna import to_distributions
from ncp_sampler.space.dimensions import n_values
from tests.optuna_examples import NotingSampler
from tests.properties import optuna_trials
from tests.properties.invariants import Seen, misfit
from tests.properties.optuna_trials import Ending
from tests.properties.strategies import (
    Dimensions,
    Draw,
    Setup,
    setups,
    some_params_of,
    spaces,
)


@dataclass(frozen=True)
class DeclaredCase:
    dimensions: Dimensions
    endings: tuple[Ending, ...]
    setup: Setup = field(default_factory=Setup)
    fixed: Mapping[str, Any] = field(default_factory=dict)  # of a PartialFixedSampler

    def study(self) -> Study:
        sampler = NCPSampler(
            space=SearchSpace(self.dimensions),
            **self.setup.arguments,
            independent_sampler=NotingSampler(self.setup.seed),
        )
        host: BaseSampler = sampler
        if self.fixed:
            with warnings.catch_warnings():  # Optuna's, of an experimental class
                warnings.simplefilter("ignore", ExperimentalWarning)
                host = PartialFixedSampler(dict(self.fixed), sampler)
        return optuna_trials.new_study(self.setup.directions, host)


@st.composite
def cases(draw: Draw) -> DeclaredCase:
    # Optuna takes True, 1 and 1.0 for the same choice
    dims, setup = draw(spaces(alike=False)), draw(setups)
    try:
        to_distributions(SearchSpace(dims))
    except ValueError:  # a grid that Optuna counts otherwise
        reject()
    enqueued = st.booleans().flatmap(lambda valid: some_params_of(dims, valid=valid))
    n_trials = setup.n_startup_trials + draw(st.integers(1, 3))
    ends = draw(optuna_trials.endings(n_trials, len(setup.directions), enqueued))
    fixed = draw(some_params_of(dims)) if draw(st.integers(0, 9)) == 9 else {}
    return DeclaredCase(dims, ends, setup, fixed)


def check(case: DeclaredCase) -> int:
    """Raises at the first thing that does not hold; returns the number of proposals."""
    space = SearchSpace(case.dimensions)

    def suggest(trial: Trial, everything: bool) -> None:
        SearchSpace(case.dimensions if everything else case.dimensions[:1]).suggest(trial)

    study = case.study()
    trials = optuna_trials.run(study, case.endings, suggest)
    seen = Seen(case.dimensions)
    first = space.to_params(space.sample(1, 0)[0].tolist())
    only = {dim.name: first[dim.name] for dim in case.dimensions if n_values(dim) == 1}
    kept = 0  # codes of running trials, known or not: they may be all that are left
    for trial, end in zip(trials, case.endings, strict=True):
        given = {**case.fixed, **end.enqueued}
        optuna_trials.check_stored(study, trial, given)
        # a trial that fails before it asks for what has one value has a whole code all the same
        params = {**only, **trial.params}
        is_complete = params.keys() == {*space.names}
        if case.setup.deterministic_objective and is_complete and not end.enqueued:
            seen.check_new(params, case.fixed, kept)
        if is_complete and _is_known(case, study.trials[trial.number]):
            seen.add(params)
        elif not study.trials[trial.number].state.is_finished():
            kept += 1
    _check_independent(case, study)
    optuna_trials.check_pickled(trials, case.endings, case.study, suggest)
    return len(trials)


def _is_known(case: DeclaredCase, trial: FrozenTrial) -> bool:
    """Return True if the sampler is to keep off a trial's params: valid, and not failed.

    An infinity in the bad direction is a failure, and so is pruning before any report.
    """
    valid = all(
        misfit(dim, trial.params[dim.name]) is None
        for dim in case.dimensions
        if dim.name in trial.params
    )
    if trial.state == TrialState.COMPLETE:
        pairs = zip(case.setup.directions, trial.values, strict=True)
        bad = [value == (-inf if way == "maximize" else inf) for way, value in pairs]
        return valid and not all(bad)
    return valid and trial.state == TrialState.PRUNED and _has_value(trial)


def _has_value(trial: FrozenTrial) -> bool:
    last = trial.intermediate_values.get(trial.last_step or 0)
    return last is not None and isfinite(last)


def _check_independent(case: DeclaredCase, study: Study) -> None:
    """Raises if a proposal was refused, or none was made, where one is due."""
    searched = {dim.name: dim for dim in case.dimensions if n_values(dim) > 1}
    for number, name in optuna_trials.drawn_independently(study):
        given = {**case.fixed, **case.endings[number].enqueued}
        valid = all(misfit(searched[n], v) is None for n, v in given.items() if n in searched)
        assert name in given or not valid or name not in searched, (
            f"trial {number} drew {name!r} independently"
        )


# of two codes one is told, and one is a running trial's: one of them is proposed again
RUNNING = DeclaredCase(
    dimensions=(Integer("x0", 0, 1),),
    endings=(
        Ending("complete", (0.0,)),
        Ending("running", (0.0,)),
        Ending("complete", (0.0,)),
    ),
    setup=Setup(n_startup_trials=1),
)
# fails with x0 alone, and as x1 has one value, both codes are known then
HALF = DeclaredCase(
    dimensions=(Integer("x0", 0, 1), Integer("x1", 0, 0)),
    endings=(
        Ending("complete", (0.0,)),
        Ending("failed", (0.0,), suggested=False),
        Ending("complete", (0.0,)),
    ),
    setup=Setup(n_startup_trials=1),
)


@settings(max_examples=15)
@example(HALF)
@example(RUNNING)
@given(cases())
def test_every_trial_has_the_samplers_own_valid_and_new_params(case: DeclaredCase) -> None:
    check(case)
