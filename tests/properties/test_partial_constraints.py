"""Constraints that some trials report: when violated, in one branch, late, infinite, or as NaN.

The same trials run through ``NCPSampler`` and through ``NCPOptimizer``: proposals are valid, what
is restored proposes the same, and no metric that is infinitely violated counts as satisfied.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState

from ncp_sampler import NCPOptimizer, NCPSampler
from ncp_sampler.integrations.optuna import to_space
from tests.optuna_examples import NotingSampler, constrain
from tests.properties import optuna_trials
from tests.properties.invariants import check_valid
from tests.properties.strategies import Draw, Setup, metric_lists, named, setups
from tests.properties.test_optuna_inferred import distributions

_KINDS = ("always", "violated", "branch", "late", "never")


@dataclass(frozen=True)
class Rule:
    """Which trials report a constraint.

    Attributes:
        values: Violation of each trial.
        kind: "always"; "violated" (where it is above 0); "branch" (in the upper half of a
            parameter); "late" (from a trial on); "never".
        at: Position of the parameter, or number of the trial.
    """

    values: tuple[float, ...]
    kind: str = "violated"
    at: int = 0


@dataclass(frozen=True)
class ConstrainedCase:
    distributions: tuple[BaseDistribution, ...]
    values: tuple[tuple[float, ...], ...]
    rules: tuple[Rule, ...]
    pickled: tuple[bool, ...]
    setup: Setup = field(default_factory=Setup)
    failed: frozenset[int] = frozenset()  # numbers of the trials that fail after their report

    @property
    def named(self) -> dict[str, BaseDistribution]:
        return {f"x{i}": distribution for i, distribution in enumerate(self.distributions)}

    def study(self) -> Study:
        sampler = NCPSampler(
            **self.setup.arguments, independent_sampler=NotingSampler(self.setup.seed)
        )
        return optuna_trials.new_study(self.setup.directions, sampler)

    def suggest(self, trial: Trial) -> None:
        for name, distribution in self.named.items():
            trial._suggest(name, distribution)

    def finish(self, study: Study, trial: Trial) -> None:
        for name, value in self.reported(trial.number, trial.params).items():
            if not math.isnan(value):  # Optuna refuses it
                constrain(trial, name, value)
        values = self.values[trial.number]
        if trial.number in self.failed or any(map(math.isnan, values)):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values)

    def reported(self, number: int, params: Mapping[str, Any]) -> dict[str, float]:
        """Return the violations that a trial reports."""
        reported = {}
        for i, rule in enumerate(self.rules):
            value, at = rule.values[number], rule.at % len(self.distributions)
            branch = optuna_trials.is_upper(self.distributions[at], params[f"x{at}"])
            reports = {
                "always": True,
                "violated": value > 0,
                "branch": branch,
                "late": number >= rule.at,
                "never": False,
            }
            if reports[rule.kind]:
                reported[f"c{i}"] = value
        return reported


@st.composite
def cases(draw: Draw) -> ConstrainedCase:
    setup = draw(setups)
    n_trials = setup.n_startup_trials + draw(st.integers(2, 4))
    violation = st.one_of(
        st.floats(-3, 3), st.floats(), st.sampled_from([math.inf, -math.inf, math.nan, 0.0])
    )
    rule = st.builds(
        Rule,
        st.tuples(*[violation] * n_trials),
        st.sampled_from(_KINDS),
        st.integers(0, n_trials),
    )
    case = ConstrainedCase(
        tuple(draw(st.lists(distributions(), min_size=1, max_size=4))),
        tuple(draw(metric_lists(n_trials, len(setup.directions)))),
        tuple(draw(st.lists(rule, min_size=1, max_size=3))),
        draw(optuna_trials.pickled(n_trials)),
        setup,
        draw(st.frozensets(st.integers(0, n_trials - 1), max_size=2)),
    )
    try:
        to_space(case.named)
    except ValueError:  # integers beyond 2**53
        reject()
    return case


def check(case: ConstrainedCase) -> int:
    """Raise at the first property that does not hold; return the number of proposals."""
    study = optuna_trials.play_trials(case, "is sampled by")
    return len(study.trials) + _check_plain(case)


def _check_plain(case: ConstrainedCase) -> int:
    """Run the case through two optimizers, one of them restored from its state before each ask."""
    space = to_space(case.named)

    def optimizer() -> NCPOptimizer:
        return NCPOptimizer(
            space,
            directions=named(case.setup.directions),
            constraints={f"c{i}": 0.0 for i in range(len(case.rules))},
            **case.setup.arguments,
        )

    plain, restored = optimizer(), optimizer()
    reported: dict[str, list[float]] = {}
    for number, values in enumerate(case.values):
        if case.pickled[number]:
            state = json.loads(json.dumps(restored.state_dict()))
            restored = optimizer()
            restored.load_state_dict(state)
        (params,), (again,) = plain.ask(), restored.ask()
        assert repr(params) == repr(again), f"uninterrupted: {params}, restored: {again}"
        check_valid(space.dimensions, params)
        for name, stated in plain.reasons[0].get("metrics", {}).items():
            # where a complete trial did not report it, it was satisfied there
            if "chance" in stated and len(reported.get(name, ())) == number:
                infinite = all(value == math.inf for value in reported[name])
                assert not infinite or stated["chance"] < 0.9, f"{name}: {stated}"
        metrics = case.reported(number, params)
        for name, value in metrics.items():
            reported.setdefault(name, []).append(value)
        if number not in case.failed:
            metrics |= named(values)
        for each in (plain, restored):
            each.tell(params, metrics)
    return len(case.values)


@settings(max_examples=10)
@given(cases())
def test_constraints_that_some_trials_report(case: ConstrainedCase) -> None:
    check(case)
