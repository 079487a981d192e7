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

from ncp_sampler import Categorical, Float, Integer, MRSpace, SearchSpace
from ncp_sampler.integrations.optuna import to_distributions, to_space
from ncp_sampler.space.dimensions import Dimension


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
            Categorical("x", ("a", None, True, 1, 2.5)),
            CategoricalDistribution(("a", None, True, 1, 2.5)),
        ),
    ],
    ids=str,
)
def test_dimension_as_a_distribution_and_back(
    dimension: Dimension, distribution: BaseDistribution
) -> None:
    """What Optuna draws are values of the dimension."""
    space = SearchSpace([dimension])
    assert to_distributions(space) == space.distributions == {"x": distribution}
    assert to_space({"x": distribution}) == space
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space.to_code([study.ask(space.distributions).params for _ in range(60)])


def test_names_keep_their_order() -> None:
    space = MRSpace()
    distributions = to_distributions(space)
    assert tuple(distributions) == space.names
    assert to_space(distributions) == SearchSpace(space.dimensions)


@pytest.mark.parametrize(
    ("convert", "argument", "message"),
    [
        (to_distributions, 5, r"space=5 must be a SearchSpace, such as MRSpace\(\)"),
        (to_distributions, {"x": 1}, r"space=\{'x': 1\} must be a SearchSpace"),
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
