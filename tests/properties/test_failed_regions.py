"""``NCPSampler`` where trials fail: in a part of the space, at random, from the first on, or all.

Proposals are valid and, in a declared space, new while codes are left that no complete trial has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna import to_space
from ncp_sampler.integrations.optuna.conversion import is_searchable
from tests.optuna_examples import NotingSampler
from tests.properties import optuna_trials
from tests.properties.invariants import Seen
from tests.properties.strategies import Draw, Setup, metric_lists, setups
from tests.properties.test_optuna_inferred import distributions


@dataclass(frozen=True)
class FailedCase:
    """A study some of whose trials fail.

    Attributes:
        values: Objective values of each trial, if it completes.
        region: Position of the parameter whose upper half fails; None for no region.
        lower: True if the lower half fails in its place.
        lost: Numbers of the trials that fail wherever they are.
    """

    distributions: tuple[BaseDistribution, ...]
    values: tuple[tuple[float, ...], ...]
    pickled: tuple[bool, ...]
    setup: Setup = field(default_factory=Setup)
    region: int | None = 0
    lower: bool = False
    lost: frozenset[int] = frozenset()
    declared: bool = True

    @property
    def named(self) -> dict[str, BaseDistribution]:
        return {f"x{i}": distribution for i, distribution in enumerate(self.distributions)}

    def study(self) -> Study:
        sampler = NCPSampler(
            space=to_space(self.named) if self.declared else None,
            **self.setup.arguments,
            independent_sampler=NotingSampler(self.setup.seed),
        )
        return optuna_trials.new_study(self.setup.directions, sampler)

    def suggest(self, trial: Trial) -> None:
        for name, distribution in self.named.items():
            trial._suggest(name, distribution)

    def finish(self, study: Study, trial: Trial) -> None:
        failing = trial.number in self.lost
        if self.region is not None:
            distribution = self.distributions[self.region]
            value = trial.params[f"x{self.region}"]
            failing |= optuna_trials.is_upper(distribution, value) != self.lower
        values = self.values[trial.number]
        if not failing and not any(map(math.isnan, values)):
            study.tell(trial, values)
        else:
            study.tell(trial, state=TrialState.FAIL)


@st.composite
def cases(draw: Draw) -> FailedCase:
    setup = draw(setups)
    n_trials = setup.n_startup_trials + draw(st.integers(2, 5))
    drawn = tuple(draw(st.lists(distributions(), min_size=1, max_size=4)))
    case = FailedCase(
        drawn,
        tuple(draw(metric_lists(n_trials, len(setup.directions)))),
        draw(optuna_trials.pickled(n_trials)),
        setup,
        draw(st.sampled_from([None, *range(len(drawn))])),
        draw(st.booleans()),
        draw(st.frozensets(st.integers(0, n_trials - 1), max_size=n_trials)),
        draw(st.booleans()),
    )
    try:
        to_space(case.named)
    except ValueError:  # integers beyond 2**53
        reject()
    return case


def check(case: FailedCase) -> int:
    """Raise at the first property that does not hold; return the number of proposals."""
    documented = () if case.declared else ("is sampled by",)
    study = optuna_trials.play_trials(case, *documented)
    if case.declared and case.setup.deterministic_objective:
        seen = Seen(to_space(case.named).dimensions)
        for trial in study.trials:
            seen.check_new(trial.params)
            if trial.state == TrialState.COMPLETE:  # a failed one may be tried again
                seen.add(trial.params)
    completed = [t.number for t in study.trials if t.state == TrialState.COMPLETE]
    for number, name in optuna_trials.drawn_independently(study):
        drawn = f"trial {number} drew {name!r} independently"
        assert not case.declared, drawn
        searched = is_searchable(name, case.named[name])
        assert not completed or number <= completed[0] or not searched, drawn
    return len(study.trials)


@settings(max_examples=12)
@given(cases())
def test_proposals_are_valid_and_new_where_trials_fail(case: FailedCase) -> None:
    check(case)
