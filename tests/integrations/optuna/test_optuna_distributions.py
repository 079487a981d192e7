"""Search spaces as Optuna distributions and back, and what of either cannot be the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ncp_sampler import Categorical, Float, Integer, MRSpace, NCPSampler, SearchSpace
from ncp_sampler.integrations.optuna import to_distributions, to_space
from ncp_sampler.integrations.optuna.conversion import to_searched_space
from ncp_sampler.space.dimensions import Dimension
from tests.optuna_examples import NotingSampler


@pytest.mark.parametrize(
    ("dimension", "distribution"),
    [
        (Integer("x", -3, 4), IntDistribution(-3, 4)),
        (Integer("x", 3, 3), IntDistribution(3, 3)),
        (Integer("x", 1, 9, step=2), IntDistribution(1, 9, step=2)),  # counted from the low end
        (Integer("x", 1, 64, log=True), IntDistribution(1, 64, log=True)),
        (Float("x", -1, 2), FloatDistribution(-1, 2)),
        (Float("x", 0.05, 0.45, step=0.1), FloatDistribution(0.05, 0.45, step=0.1)),
        (Float("x", 1e-4, 0.1, log=True), FloatDistribution(1e-4, 0.1, log=True)),
        (
            Categorical("x", ("a", None, True, 2.5)),
            CategoricalDistribution(("a", None, True, 2.5)),
        ),
    ],
    ids=str,
)
def test_dimension_as_a_distribution_and_back(
    dimension: Dimension, distribution: BaseDistribution
) -> None:
    """Values that Optuna draws are values of the dimension."""
    space = SearchSpace([dimension])
    assert to_distributions(space) == space.distributions == {"x": distribution}
    assert to_space({"x": distribution}) == space
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space.to_code([study.ask(space.distributions).params for _ in range(60)])


def test_choices_that_optuna_takes_for_one_are_refused_and_read_as_one() -> None:
    """It stores True where 1 or 1.0 was suggested, if True comes first."""
    with pytest.raises(ValueError, match="'x' with categories that are equal for Optuna"):
        NCPSampler(space=SearchSpace([Categorical("x", ("a", True, 1))]))
    read = to_searched_space({"x": CategoricalDistribution(("a", True, 1, 1.0))})
    assert read.dimensions == (Categorical("x", ("a", True)),)


def test_names_keep_their_order() -> None:
    space = MRSpace()
    distributions = to_distributions(space)
    assert tuple(distributions) == space.names
    assert to_space(distributions) == SearchSpace(space.dimensions)


@pytest.mark.parametrize(
    ("convert", "argument", "message"),
    [
        (to_distributions, 5, r"space=5 must be a SearchSpace, such as SearchSpace"),
        (to_distributions, {"x": 1}, r"space=\{'x': 1\} must be a SearchSpace"),
        (
            to_distributions,
            SearchSpace([Float("x", 0.1 + 0.2, 0.4, step=0.1)]),
            r"x: low=0.30000000000000004 and step=0.1 give no grid up to high=0.4 in decimals",
        ),
        (to_space, 5, "distributions=5 must map names to distributions, such as"),
        (to_space, MRSpace(), "distributions=MRSpace.* must map names to distributions"),
        (to_space, {}, "at least one"),
        (to_space, {"x": 5}, "x: distribution=5 must be a FloatDistribution, an IntDistribution"),
        (to_space, {"x": IntDistribution(-(2**60), 2**60)}, r"x: low=.* must stay within 2\*\*53"),
    ],
)
def test_what_cannot_be_converted(
    convert: Callable[[Any], Any], argument: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(argument)


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(1e6, 1e6 + 1, 1e-3), (1e9, 1e9 + 10, 1e-3), (-1e5, 1e5, 1e-4), (0.05, 0.45, 0.1)],
)
@pytest.mark.parametrize("declared", [True, False])
def test_steps_that_no_float_hits_are_searched(
    low: float, high: float, step: float, declared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Optuna refuses most relative values of the first three, those of its own samplers too."""
    space = SearchSpace([Float("x", low, high, step=step), Float("y", 0, 1)])
    rest = NotingSampler()
    sampler = NCPSampler(
        space=space if declared else None, seed=0, n_startup_trials=4, independent_sampler=rest
    )
    study = optuna.create_study(sampler=sampler)
    target = low + 0.3 * (high - low)

    def objective(trial: optuna.Trial) -> float:
        params = space.suggest(trial)
        return float(((params["x"] - target) / (high - low)) ** 2 + params["y"])

    study.optimize(objective, n_trials=12)
    assert rest.drawn == ([] if declared else [(0, "x"), (0, "y")])
    assert not caplog.records
    space.to_code([trial.params for trial in study.trials])
    assert len({trial.params["x"] for trial in study.trials}) > 4 or (high - low) / step < 9


def test_why_a_parameter_is_drawn_at_random_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Whole numbers beyond 2**53 have no exact code."""
    study = optuna.create_study(sampler=NCPSampler(seed=0, n_startup_trials=2))
    study.optimize(
        lambda trial: trial.suggest_int("seed", 0, 2**63 - 1) % 7 + trial.suggest_float("y", 0, 1),
        n_trials=4,
    )
    assert [record.getMessage() for record in caplog.records] == [
        "parameter 'seed' of trial 2 is sampled by RandomSampler, since it is not in the search "
        f"space of {study.sampler}: its values cannot be searched (seed: low=0 and "
        f"high={2**63 - 1} must stay within 2**53, and their difference too; use Float, or divide "
        "by a unit); warn_independent_sampling=False silences this"
    ]
