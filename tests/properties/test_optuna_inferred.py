"""``NCPSampler()`` without a space: objectives that branch, and that change from trial to trial.

An objective is a list of parameters, each suggested always, or only where an earlier one's value
is even (a choice by its number); its range may change at a trial. What every trial has is searched:
from the first result on, none of it is drawn independently.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import optuna
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import Trial

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna.conversion import is_searchable, to_distribution
from tests.optuna_examples import NotingSampler
from tests.properties import optuna_trials
from tests.properties.optuna_trials import Ending
from tests.properties.strategies import (
    Draw,
    Setup,
    dimensions,
    floats,
    integers,
    rarely,
    setups,
)

_Given: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """Parameter that an objective suggests.

    Attributes:
        distribution: Until the change, and after it without another.
        when: Position of the earlier parameter that must be there and even; None for always.
        change: Number of the trial from which on it has ``changed``, None for never.
    """

    distribution: BaseDistribution
    when: int | None = None
    change: int | None = None
    changed: BaseDistribution | None = None

    def at(self, number: int) -> BaseDistribution:
        late = self.changed is not None and self.change is not None and number >= self.change
        return self.changed if late and self.changed else self.distribution


@dataclass(frozen=True)
class InferredCase:
    parameters: tuple[Parameter, ...]
    endings: tuple[Ending, ...]
    setup: Setup = field(default_factory=Setup)
    noting: bool = True  # else NCPSampler's own independent sampler

    def study(self) -> Study:
        sampler = NCPSampler(
            **self.setup.arguments,
            independent_sampler=NotingSampler(self.setup.seed) if self.noting else None,
        )
        return optuna_trials.new_study(self.setup.directions, sampler)

    def suggest(self, trial: Trial, everything: bool) -> None:
        given: _Given = {}
        for i, parameter in enumerate(self.parameters[: None if everything else 1]):
            distribution = parameter.at(trial.number)
            if parameter.when is not None:
                above = f"x{parameter.when}"
                if above not in given or given[above] % 2:
                    continue
            value = trial._suggest(f"x{i}", distribution)
            given[f"x{i}"] = int(distribution.to_internal_repr(value))


@st.composite
def distributions(draw: Draw) -> BaseDistribution:
    """As of a space's dimensions; whole numbers beyond 2**53 and ends off the grid besides."""
    if draw(rarely(12)):
        low, high = sorted(draw(st.tuples(*[st.integers(-(2**62), 2**62)] * 2)))
        return IntDistribution(low, high)
    dim = draw(dimensions(alike=False))
    try:  # what Optuna itself can draw at random
        distribution = to_distribution(dim)
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        for _ in range(4):
            study.ask({"x": distribution})
    except Exception:
        reject()
    return distribution


@st.composite
def cases(draw: Draw) -> InferredCase:
    setup = draw(setups)
    n_trials = setup.n_startup_trials + draw(st.integers(1, 3))
    parameters: list[Parameter] = []
    for i in range(draw(st.integers(1, 5))):
        parameter = Parameter(draw(distributions()))
        if i and draw(st.integers(0, 2)) == 2:
            parameter = replace(parameter, when=draw(st.integers(0, i - 1)))
        if draw(st.integers(0, 5)) == 5:
            changed = draw(alike(parameter.distribution))
            parameter = replace(parameter, change=draw(st.integers(1, n_trials)), changed=changed)
        parameters.append(parameter)
    ends = draw(optuna_trials.endings(n_trials, len(setup.directions), st.just({})))
    return InferredCase(tuple(parameters), ends, setup, draw(st.booleans()))


def alike(old: BaseDistribution) -> st.SearchStrategy[BaseDistribution]:
    """Another that Optuna lets a parameter of the same name have: of its kind, log or not."""
    if isinstance(old, CategoricalDistribution):
        return st.just(old)
    if isinstance(old, IntDistribution):
        return (
            integers()
            .map(lambda dim: replace(dim, step=1, low=abs(dim.low) or 1, high=2**53, log=old.log))
            .map(to_distribution)
        )
    assert isinstance(old, FloatDistribution)
    alike_floats = floats().filter(lambda dim: dim.log == old.log and dim.step is None)
    return alike_floats.map(to_distribution)


def check(case: InferredCase) -> int:
    """Raises at the first thing that does not hold; returns the number of proposals."""
    study = case.study()
    trials = optuna_trials.run(study, case.endings, case.suggest)
    for trial in trials:
        optuna_trials.check_stored(study, trial, {})
    _check_independent(case, study)
    optuna_trials.check_pickled(trials, case.endings, case.study, case.suggest)
    return len(trials)


def _check_independent(case: InferredCase, study: Study) -> None:
    """Raises if a parameter that every trial has was drawn independently after the first result."""
    static = {
        f"x{i}"
        for i, parameter in enumerate(case.parameters)
        if parameter.when is None
        and parameter.changed is None
        and is_searchable(f"x{i}", parameter.distribution)
    }
    first = next((t.number for t in study.trials if t.state.is_finished() and t.values), None)
    for number, name in optuna_trials.drawn_independently(study):
        assert name not in static or first is None or number <= first, (
            f"trial {number} drew {name!r} independently"
        )


@settings(max_examples=15)
@given(cases())
def test_objectives_that_branch_and_change_are_searched(case: InferredCase) -> None:
    check(case)
