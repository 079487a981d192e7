"""Tune domains and configs in the optimizer's terms and back, and what cannot be one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.tune.search import sample

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    NCPSearch,
    SearchSpace,
)
from ncp_sampler.integrations.ray import from_domains, to_domains
from ncp_sampler.integrations.ray.space import TuneSpace, to_dimension
from ncp_sampler.space.dimensions import Dimension
from tests.ray_examples import domains, observations


def _own_domain() -> Any:
    domain = sample.Float(0, 1)
    domain.set_sampler(sample.BaseSampler())
    return domain


@pytest.mark.parametrize(
    ("domain", "dimension"),
    [
        (tune.uniform(-1, 2), Float("x", -1, 2)),
        (tune.loguniform(1e-3, 10), Float("x", 1e-3, 10, log=True)),
        (tune.quniform(0, 0.5, 0.1), Float("x", 0, 0.5, step=0.1)),
        (tune.randint(1, 5), Integer("x", 1, 4)),  # without its upper bound
        (tune.qrandint(8, 128, 8), Integer("x", 8, 128, step=8)),  # with it
        (tune.qrandint(10, 30, 8), Integer("x", 16, 24, step=8)),  # multiples of 8
        (tune.qrandint(1, 5, 1), Integer("x", 1, 4)),  # without it, as documented
        (tune.lograndint(1, 65), Integer("x", 1, 64, log=True)),
        (tune.qlograndint(1, 100, 2), Integer("x", 2, 100, step=2, log=True)),  # multiples of 2
        (tune.qlograndint(1, 65, 1), Integer("x", 1, 64, log=True)),
        (tune.qloguniform(1e-4, 1e-1, 1e-4), Float("x", 1e-4, 1e-1, step=1e-4, log=True)),
        (tune.qloguniform(0.3, 0.9, 0.3), Float("x", 0.3, 0.9, step=0.3, log=True)),
        (tune.randn(10, 2), Float("x", 2, 18)),  # 4 standard deviations
        (tune.qrandn(0, 1, 0.1), Float("x", -4, 4, step=0.1)),
        (tune.qrandn(1, 0.5, 0.3), Float("x", -0.9, 3, step=0.3)),  # multiples of 0.3
        (tune.qrandn(5, 0.1, 4), Float("x", 4, 4, step=4)),
        (tune.choice(["a", None, (3, 3), 1]), Categorical("x", ("a", None, (3, 3), 1))),
    ],
)
def test_domain(domain: Any, dimension: Dimension) -> None:
    assert to_dimension("x", domain) == dimension
    low_to_high = [domain.sample(random_state=seed) for seed in range(200)]
    SearchSpace([dimension]).to_code([{"x": value} for value in low_to_high])  # all are valid
    if isinstance(dimension, Integer):  # the same smallest and largest value as Ray draws
        assert min(low_to_high) >= dimension.low
        assert max(low_to_high) <= dimension.high
        if not dimension.log:
            assert {dimension.low, dimension.high} <= set(low_to_high)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (tune.grid_search([1, 2]), "'x' is a grid_search.*use tune.choice"),
        (tune.sample_from(lambda config: 1), "'x' is a sample_from.*compute the value"),
        (("__fn_ph", "1234abcd"), "'x' is a sample_from"),  # as it arrives from a Tuner
        (
            _own_domain(),
            "'x' has a domain that NCPSearch cannot search.*use tune.un",
        ),
        (tune.choice([1, tune.uniform(0, 1)]), "'x' has a domain among its choices"),
        (tune.choice([{"lr": tune.uniform(0, 1)}]), "'x' has a domain among its choices"),
        (tune.choice([[tune.grid_search([1, 2])]]), "'x' has a domain among its choices"),
        ([tune.uniform(0, 1)], "'x/0' is a domain in a list.*use a dictionary"),
        (
            {"": tune.uniform(0, 1)},
            "'x/' is a domain .* under a key that is empty or not a string",
        ),
        ({"a/b": tune.uniform(0, 1)}, r"key with '/'.*rename it, or nest"),
        (tune.randint(3, 3), "low=3 is above high=2"),
        (tune.choice([1, 1]), "1 twice"),
    ],
)
def test_domain_that_cannot_be_searched(domain: Any, message: str) -> None:
    """Both where the searcher is made and where the Tuner hands it the space."""
    config = {"x": domain, "y": tune.uniform(0, 1)}
    with pytest.raises(ValueError, match=message):
        NCPSearch(space=config, metric="m", mode="max")
    with pytest.raises(ValueError, match=message):
        NCPSearch().set_search_properties("m", "max", config)


@pytest.mark.parametrize(
    "domain",
    [
        tune.qloguniform(1e-4, 1e-1, 1e-4),
        tune.qlograndint(3, 1000, 7),
        tune.randn(5, 0.1),
        tune.qrandn(0, 2, 0.25),
    ],
)
def test_suggestions_are_values_of_the_domain(domain: Any) -> None:
    """On the grid of multiples, as Ray's own draws; and what Ray has drawn is learned as it is."""
    drawn = [domain.sample(random_state=seed) for seed in range(12)]
    space = {"x": domain}
    search = NCPSearch(
        space=space, metric="m", mode="max", seed=0, points_to_evaluate=[{"x": drawn[0]}]
    )
    assert search.suggest("0") == {"x": drawn[0]}
    for value in drawn[1:]:
        search.add_evaluated_point({"x": value}, -abs(value - drawn[0]))
    learned = [params["x"] for params, _, _ in observations(search)]
    np.testing.assert_allclose(learned, drawn[1:], rtol=1e-12)
    sampler = domain.get_sampler()
    for i in range(1, 20):
        x = (search.suggest(str(i)) or {})["x"]
        search.on_trial_complete(str(i), {"m": -abs(x - drawn[0])})
        assert domain.is_valid(x)
        assert type(x) is type(drawn[0])
        if isinstance(sampler, sample.Quantized):
            assert math.isclose(x / sampler.q, round(x / sampler.q), rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("domain", [tune.randn(0, 1), tune.qrandn(0, 1, 0.5)])
def test_points_beyond_the_range_of_a_normal_domain(domain: Any) -> None:
    """They cannot be suggested; where they have a value, it counts for the end of the range."""

    def search(**given: Any) -> NCPSearch:
        return NCPSearch(space={"x": domain}, metric="m", mode="max", **given)

    search(points_to_evaluate=[{"x": 4.0}, {"x": -4.0}])
    for x, end in ((4.5, 4.0), (-4.5, -4.0)):
        with pytest.raises(ValueError, match=rf"x={x} is not a value .* valid value is {end:g}"):
            search(points_to_evaluate=[{"x": x}])
        evaluated = search()
        evaluated.add_evaluated_point({"x": x}, 1.0)
        assert observations(evaluated) == [({"x": end}, [1.0], True)]


@pytest.mark.parametrize("space", [{}, {"x": 1}, {"x": {"y": "z"}}, "x", [tune.uniform(0, 1)]])
def test_space_without_a_domain(space: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a SearchSpace, such as .*, or a dict"):
        NCPSearch(space=space)


def test_constants_of_a_param_space_are_known_and_left_to_ray(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Objects stand there as ("__ref_ph", ...), and are not compared."""
    space = {
        "x": tune.uniform(0, 1),
        "net": {"kind": "a", "sizes": (1, 2), "data": ("__ref_ph", "0")},
    }
    search = NCPSearch(metric="m", mode="max", seed=0)
    assert search.set_search_properties("m", "max", space)
    assert (search.suggest("a") or {}).keys() == {"x"}
    search.add_evaluated_point({"x": 0.5, "net": {"sizes": [1, 2], "data": object()}}, 1.0)
    for changed in ({"net/kind": "b"}, {"net": {"sizes": [1, 3]}}):
        with pytest.raises(ValueError, match=r"config has the constant net/.*, but the search"):
            search.add_evaluated_point({"x": 0.5, **changed}, 1.0)
    space["net"] = {"kind": "b"}  # in the next run
    assert search.set_search_properties("m", "max", space)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "param_space has net/kind='b', but in the earlier trials it had 'a'; if" in message
    search.add_evaluated_point({"x": 0.25, "net/kind": "b"}, 1.0)


def test_names_are_paths_and_constants_stay_where_they_were() -> None:
    dims = from_domains(domains())
    assert dims is not None
    assert dims.space.names == ("net/width", "net/op", "rate", "drop")
    assert dims.constants == {"net": {"bias": True}, "epochs": 3}
    params = {"net/width": 8, "net/op": None, "rate": 0.01, "drop": 0.1}
    config = {"net": {"width": 8, "op": None, "bias": True}, "rate": 0.01, "drop": 0.1, "epochs": 3}
    assert dims.config(params) == config
    configs: list[dict[str, Any]] = [config, params, {**params, "epochs": 3}]
    assert [dims.params(config) for config in configs] == [params] * 3
    result = {f"config/{name}": value for name, value in params.items()}
    results: list[dict[str, Any]] = [result, {"config": config}]
    assert [dims.params(config, "config/") for config in results] == [params] * 2


def test_config_shares_no_constant() -> None:
    space = TuneSpace(SearchSpace([Integer("a", 0, 1)]), {"layers": [1, 2], "deep": {"k": 1}})
    space.config({"a": 0})["layers"].append(3)
    space.config({"a": 0})["deep"]["k"] = 2
    assert space.config({"a": 0}) == {"layers": [1, 2], "deep": {"k": 1}, "a": 0}


def test_config_shares_no_choice() -> None:
    dimension = Categorical("a", ([1], [2]))
    space = TuneSpace(SearchSpace([dimension]))
    space.config({"a": dimension.choices[0]})["a"].append(3)
    assert dimension.choices == ([1], [2])


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("c/x",)])
def test_names_that_would_overlap(names: tuple[str, ...]) -> None:
    space = SearchSpace([Integer(name, 0, 1) for name in names])
    with pytest.raises(ValueError, match="rename one"):
        TuneSpace(space, {"c": 1})


def test_config_that_lacks_a_parameter() -> None:
    dims = from_domains(domains())
    assert dims is not None
    with pytest.raises(ValueError, match=r"config lacks \['net/op', 'rate'\]"):
        dims.params({"net": {"width": 8}, "drop": 0.1})


@pytest.mark.parametrize(
    "dimension",
    [
        Integer("x", -3, 4),
        Integer("x", 3, 3),
        Integer("x", 8, 128, step=8),
        Integer("x", -16, 24, step=8),
        Integer("x", 8, 8, step=8),
        Integer("x", 1, 6, log=True),
        Integer("x", 5, 5, log=True),
        Integer("x", 3, 10**6, log=True),
        Integer("x", 8, 128, step=8, log=True),
        Integer("x", 6, 6, step=3, log=True),
        Float("x", -1, 2),
        Float("x", 1e-4, 0.1, log=True),
        Float("x", 0.0, 0.3, step=0.1),  # 0.3 is 2.9999999999999996 steps
        Float("x", 0.6, 1.4, step=0.2),  # and 0.6 2.9999999999999996 of these
        Float("x", -0.35, 0.35, step=0.07),
        Float("x", 1.0, 4.0, step=1.0),
        Float("x", 0.7, 0.7, step=0.1),
        Float("x", 0.1, 0.7, step=0.1, log=True),
        Categorical("x", ("a", None, (3, 3), 1, True)),
    ],
)
def test_dimension_as_a_domain_and_back(dimension: Dimension) -> None:
    """All that Ray draws are valid values, and where they are few, it draws each."""
    space = SearchSpace([dimension])
    domains = to_domains(space)
    assert from_domains(domains) == from_domains(space.tune_space()) == TuneSpace(space)
    drawn = domains["x"].sample(size=2_000, random_state=0)
    codes = space.to_code([{"x": value} for value in drawn])
    if space.size < 100:
        assert len(np.unique(space.round(codes), axis=0)) == space.size


@pytest.mark.parametrize("end", [1e-300, 1e-3, 0.7, 3.0, 123.4, 1e10, 1.7e308])
def test_range_of_one_value(end: float) -> None:
    """Tune draws exp(log(end)), which rounding may put beside it; it is ``end`` all the same."""
    space = {"log": tune.loguniform(end, end), "plain": tune.uniform(end, end)}
    drawn = {name: domain.sample(random_state=0) for name, domain in space.items()}
    search = NCPSearch(space=space, metric="m", mode="max", points_to_evaluate=[drawn])
    assert [search.suggest(f"{i}") for i in range(3)] == [{"log": end, "plain": end}] * 3
    with pytest.raises(ValueError, match=r"log=.* is not a value of Float"):
        NCPSearch(
            space=space, metric="m", mode="max", points_to_evaluate=[{**drawn, "log": end / 2}]
        )


@pytest.mark.parametrize("side", ["low", "high"])
def test_draws_at_the_ends_of_a_log_range(side: str) -> None:
    """Draws of random search that NCPSearch continues."""
    ends = np.random.default_rng(0).uniform(1e-5, 10, 200).tolist()
    for end in ends:
        low, high = (end, 2 * end) if side == "low" else (end / 2, end)
        point = {"x": float(np.exp(np.log(end)))}
        space = {"x": tune.loguniform(low, high)}
        search = NCPSearch(space=space, metric="m", mode="max", points_to_evaluate=[point])
        assert low <= (search.suggest("0") or {})["x"] <= high


@pytest.mark.parametrize(
    "dimension",
    [
        Integer("x", 1, 9, step=2),
        Integer("x", 2**52 + 1, 2**52 + 5, step=2),
        Float("x", 0.05, 0.45, step=0.1),
        Float("x", 0.5, 3.5, step=1.0),
        Float("x", 1e-12, 0.5 + 1e-12, step=0.1),  # what Tune takes for no multiple
        Float("x", 1000.0000005, 1002.0000005, step=1.0),  # what it does, and codes do not
    ],
)
def test_grid_without_0_is_no_domain(dimension: Dimension) -> None:
    """The searcher accepts it as a space."""
    space = SearchSpace([dimension])
    message = r"x: Tune's domains contain multiples of the step .*; give NCPSearch\(space=\.\.\.\)"
    for convert in (to_domains, SearchSpace.tune_space):
        with pytest.raises(ValueError, match=message):
            convert(space)
    config = NCPSearch(space=space, metric="m", mode="max").suggest("a") or {}
    space.to_code(config)


@pytest.mark.parametrize(
    ("convert", "argument", "message"),
    [
        (to_domains, 5, r"space=5 must be a SearchSpace, such as SearchSpace"),
        (to_domains, {"x": tune.uniform(0, 1)}, "must be a SearchSpace"),
        (from_domains, 5, "config=5 must be a dictionary with Tune domains in it"),
        (from_domains, MRSpace(), "config=MRSpace.* must be a dictionary with Tune domains"),
    ],
)
def test_what_cannot_be_converted(
    convert: Callable[[Any], Any], argument: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(argument)


def test_mr_space_as_domains_and_back() -> None:
    space = MRSpace()
    dims = from_domains({"arch": space.tune_space()})
    assert dims is not None
    assert [dim.name for dim in dims.space.dimensions] == [f"arch/{n}" for n in space.names]
    assert from_domains(space.tune_space()) == TuneSpace(SearchSpace(space.dimensions))
    for code in space.sample(20, 0):
        config = {**space.to_params(code), "epochs": 3}
        np.testing.assert_array_equal(space.from_config(config), code)


@pytest.mark.parametrize(
    ("change", "message"), [({"b1": 5}, "b1=5"), ({"b1": None}, "b1=None"), (None, "missing")]
)
def test_config_that_is_no_code(change: dict[str, Any] | None, message: str) -> None:
    space = MRSpace()
    config = {**space.to_params(space.start), **change} if change else {"epochs": 3}
    with pytest.raises(ValueError, match=message):
        space.from_config(config)
