"""Trials whose params arrive in another order, as over a proxy or from a data frame.

Two samplers of one seed read the same history, one of them with the names of each trial shuffled:
they must propose the same, conditional parameters included.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from hypothesis import example, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from ncp_sampler import Float, NCPOptimizer, SearchSpace
from tests.properties import optuna_trials, test_optuna_inferred
from tests.properties.strategies import (
    Dimensions,
    Draw,
    Setup,
    metric_lists,
    named,
    params_of,
    seeds,
    spaces,
)
from tests.properties.test_optuna_inferred import InferredCase, Parameter

_ASKS = 2
_BRANCHES = Parameter(CategoricalDistribution(("a", "b")))


@dataclass(frozen=True)
class ReorderedCase:
    """An objective, values of its random trials, and a seed that shuffles their params.

    Attributes:
        objective: Of which the parameters and the settings count.
        failed: Numbers of the trials that failed.
        dimensions: Space of the plain optimizer.
        observed: Params that it observes, one for each row of values.
    """

    objective: InferredCase
    values: tuple[tuple[float, ...], ...]
    seed: int
    failed: frozenset[int]
    dimensions: Dimensions
    observed: tuple[Mapping[str, Any], ...]

    def history(self) -> list[FrozenTrial]:
        """Return trials of random search, with the params in the objective's order."""
        study = optuna_trials.new_study(self.objective.setup.directions, RandomSampler(self.seed))
        for values in self.values:
            trial = study.ask()
            self.objective.suggest(trial, everything=True)
            if trial.number in self.failed:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, values)
        return study.trials


@st.composite
def cases(draw: Draw) -> ReorderedCase:
    objective = replace(draw(test_optuna_inferred.cases()), endings=(), noting=True)
    if draw(st.booleans()):
        first, *others = objective.parameters
        objective = replace(
            objective, parameters=(_BRANCHES, replace(first, when=0, change=None), *others)
        )
    dims = draw(spaces())
    n_trials = draw(st.integers(2, 10))
    values = draw(metric_lists(n_trials, len(objective.setup.directions)))
    return ReorderedCase(
        objective,
        tuple(tuple(0.0 if math.isnan(value) else value for value in row) for row in values),
        draw(seeds),
        draw(st.frozensets(st.integers(1, n_trials - 1), max_size=1)),
        dims,
        tuple(draw(params_of(dims)) for _ in range(n_trials)),
    )


def check(case: ReorderedCase) -> int:
    """Raise at the first property that does not hold; return the number of proposals."""
    shuffle = random.Random(case.seed)
    drawn = case.history()
    if not all(
        optuna_trials.is_storable(trial.distributions[name], value)
        for trial in drawn
        for name, value in trial.params.items()
    ):
        return 0
    studies = []
    for shuffled in (False, True):
        study = _named_study(case)
        for trial in drawn:
            study.add_trial(_reordered(trial, shuffle) if shuffled else trial)
        studies.append(study)
    for _ in range(_ASKS):
        first, second = (_next_trial(case.objective, study) for study in studies)
        assert _sorted(first.params) == _sorted(second.params), (
            f"in the objective's order {first.params}, shuffled {second.params}"
        )
    return 2 * _ASKS + _check_plain(case, shuffle)


def _named_study(case: ReorderedCase) -> Study:
    setup = case.objective.setup
    return optuna.create_study(
        study_name="reordered",
        directions=[StudyDirection[name.upper()] for name in setup.directions],
        sampler=case.objective.study().sampler,
    )


def _next_trial(objective: InferredCase, study: Study) -> Trial:
    trial = study.ask()
    objective.suggest(trial, everything=True)
    optuna_trials.check_stored(study, trial, {})
    study.tell(trial, [0.0] * len(study.directions))
    return trial


def _reordered(trial: FrozenTrial, shuffle: random.Random) -> FrozenTrial:
    names = list(trial.params)
    shuffle.shuffle(names)
    return optuna.trial.create_trial(
        state=trial.state,
        values=trial.values,
        params={name: trial.params[name] for name in names},
        distributions={name: trial.distributions[name] for name in reversed(names)},
    )


def _sorted(params: Mapping[str, Any]) -> str:
    return repr(sorted(params.items()))


def _check_plain(case: ReorderedCase, shuffle: random.Random) -> int:
    """Tell two optimizers the same params, to one of them in another order, and compare asks."""
    setup = case.objective.setup
    optimizers = [
        NCPOptimizer(
            SearchSpace(case.dimensions), directions=named(setup.directions), **setup.arguments
        )
        for _ in range(2)
    ]
    for params, values in zip(case.observed, case.values, strict=True):
        names = list(params)
        shuffle.shuffle(names)
        optimizers[0].tell(params, named(values))
        optimizers[1].tell(
            {name: params[name] for name in names}, dict(reversed(named(values).items()))
        )
    first, second = (optimizer.ask() for optimizer in optimizers)
    assert repr(first) == repr(second), f"in the space's order {first}, shuffled {second}"
    return 1


_UNIT = FloatDistribution(0, 1)
# the tree must be found from names in any order
BRANCHED = ReorderedCase(
    InferredCase(
        (_BRANCHES, Parameter(_UNIT, when=0), Parameter(_UNIT)), (), Setup(n_startup_trials=1)
    ),
    values=tuple((float(i % 3),) for i in range(10)),
    seed=0,
    failed=frozenset(),
    dimensions=(Float("x0", 0, 1), Float("x1", 0, 1)),
    observed=tuple({"x0": i / 10, "x1": 0.5} for i in range(10)),
)


@settings(max_examples=10)
@example(BRANCHED)
@given(cases())
def test_the_order_of_params_changes_no_proposal(case: ReorderedCase) -> None:
    check(case)
