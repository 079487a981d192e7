"""Ranges that change between trials: for one trial, from one on, or in trials of another study.

Proposals are valid for the distribution of their own trial; a parameter is drawn independently
only where its distribution is new: no trial since the last complete one has had it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState, create_trial

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna.conversion import is_searchable
from tests.optuna_examples import NotingSampler
from tests.properties import optuna_trials
from tests.properties.strategies import Draw, Setup, metric_lists, setups
from tests.properties.test_optuna_inferred import alike, distributions

_DOCUMENTED = ("is sampled by", "off the ranges or grids")


@dataclass(frozen=True)
class ChangedCase:
    """A study whose distributions change.

    Attributes:
        trials: Distributions of each trial, in turn.
        earlier: Distributions of complete trials that the study has beforehand.
        values: Objective values of each trial; NaN fails it.
    """

    trials: tuple[tuple[BaseDistribution, ...], ...]
    values: tuple[tuple[float, ...], ...]
    pickled: tuple[bool, ...]
    setup: Setup = field(default_factory=Setup)
    earlier: tuple[tuple[BaseDistribution, ...], ...] = ()

    @property
    def n_earlier(self) -> int:
        return sum(
            all(
                optuna_trials.is_storable(distribution, _lowest(distribution))
                for distribution in row
            )
            for row in self.earlier
        )

    def study(self) -> Study:
        sampler = NCPSampler(
            **self.setup.arguments, independent_sampler=NotingSampler(self.setup.seed)
        )
        study = optuna_trials.new_study(self.setup.directions, sampler)
        for row in self.earlier:
            at = {f"x{i}": distribution for i, distribution in enumerate(row)}
            if not all(
                optuna_trials.is_storable(distribution, _lowest(distribution))
                for distribution in row
            ):
                continue
            study.add_trial(
                create_trial(
                    params={name: _lowest(distribution) for name, distribution in at.items()},
                    distributions=at,
                    values=[1.0] * len(self.setup.directions),
                )
            )
        return study

    def suggest(self, trial: Trial) -> None:
        for i, distribution in enumerate(self.trials[trial.number - self.n_earlier]):
            trial._suggest(f"x{i}", distribution)

    def finish(self, study: Study, trial: Trial) -> None:
        values = self.values[trial.number - self.n_earlier]
        if any(map(math.isnan, values)):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values)


def _lowest(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return distribution.low
    return distribution.to_external_repr(0)


@st.composite
def cases(draw: Draw) -> ChangedCase:
    setup = draw(setups)
    n_trials = setup.n_startup_trials + draw(st.integers(2, 5))
    columns = []
    for _ in range(draw(st.integers(1, 4))):
        base = draw(distributions())
        column = [base] * n_trials
        kind = draw(st.sampled_from(["never", "once", "from", "often"]))
        if kind != "never":
            changed, at = draw(alike(base)), draw(st.integers(0, n_trials - 1))
            end = at + 1 if kind == "once" else n_trials
            column[at:end] = [changed] * (end - at)
            if kind == "often":
                column[::2] = [base] * len(column[::2])
        columns.append(column)
    earlier = [_switched(column[0]) for column in columns]
    return ChangedCase(
        tuple(zip(*columns, strict=True)),
        tuple(draw(metric_lists(n_trials, len(setup.directions)))),
        draw(optuna_trials.pickled(n_trials)),
        setup,
        (tuple(earlier), tuple(column[0] for column in columns)) if draw(st.booleans()) else (),
    )


def _switched(distribution: BaseDistribution) -> BaseDistribution:
    """Return the distribution with another log setting, where it can have one."""
    if isinstance(distribution, FloatDistribution) and distribution.low > 0:
        return FloatDistribution(distribution.low, distribution.high, log=not distribution.log)
    return distribution


def check(case: ChangedCase) -> int:
    """Raise at the first property that does not hold; return the number of proposals."""
    study = optuna_trials.play_trials(case, *_DOCUMENTED)
    trials = study.trials
    for number, name in optuna_trials.drawn_independently(study):
        distribution = trials[number].distributions[name]
        complete = [t.number for t in trials[:number] if t.state == TrialState.COMPLETE]
        since = trials[complete[-1] : number] if complete else []
        is_new = any(trial.distributions[name] != distribution for trial in since)
        before = [trial.distributions.get(name) for trial in trials[:number]]
        dynamic = sum(a != b for a, b in pairwise(before[-10:])) > 1  # searched as one wide range
        assert not since or is_new or dynamic or not is_searchable(name, distribution), (
            f"trial {number} drew {name!r} independently"
        )
    return len(case.trials)


# the old range's proposal is within Optuna's tolerance of a step of the new one, and below it
_BESIDE_THE_GRID = ChangedCase(
    trials=(
        (FloatDistribution(-1.192092896e-07, 0.0),),
        (FloatDistribution(0.0, 4.0, step=4.0),),
        (FloatDistribution(0.0, 4.0, step=4.0),),
    ),
    values=((0.0,), (0.0,), (0.0,)),
    pickled=(False, False, False),
    setup=Setup(n_startup_trials=1),
)


# the new range is too wide to be searched: the old range's proposal is no value of it
_BEYOND_FLOATS = ChangedCase(
    trials=((IntDistribution(1, 2**53),), *[(IntDistribution(-(2**53) - 1, 0),)] * 2),
    values=((0.0,), (0.0,), (0.0,)),
    pickled=(False, False, False),
    setup=Setup(n_startup_trials=1),
)


@settings(max_examples=10)
@example(_BESIDE_THE_GRID)
@example(_BEYOND_FLOATS)
@given(cases())
def test_a_changed_range_is_searched_from_the_next_trial_on(case: ChangedCase) -> None:
    check(case)
