"""Suggestions of the searcher, its space, and points that are known before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from ray import tune

from ncp_sampler import (
    Float,
    Integer,
    MRSpace,
    NCPSampler,
    NCPSearch,
    SearchSpace,
)
from tests.ray_examples import POINT, domains, new_search, observations, score

NESTED = {"net": {"width": 16, "op": "conv", "bias": True}, "rate": 0.01, "drop": 0.2, "epochs": 3}


def _run(search: Any, n: int, value: Callable[[dict[str, Any]], float]) -> list[dict[str, Any]]:
    """The configs of n trials one after the other."""
    configs: list[dict[str, Any]] = []
    for i in range(n):
        trial_id = f"{len(configs)}-{i}"
        config = search.suggest(trial_id)
        result = {"m": value(config), "training_iteration": 1}
        search.on_trial_result(trial_id, result)
        search.on_trial_complete(trial_id=trial_id, result=result, error=False)
        configs.append(config)
    return configs


def test_suggestions_are_plain_nested_values_with_the_constants() -> None:
    for config in _run(new_search(n_startup_trials=3), 6, score):
        assert config.keys() == {"net", "rate", "drop", "epochs"}
        assert config["net"].keys() == {"width", "op", "bias"}
        assert [type(config["net"]["width"]), type(config["rate"])] == [int, float]
        assert [config["net"]["bias"], config["epochs"]] == [True, 3]


def test_ray_takes_it_for_no_wrapper() -> None:
    assert not hasattr(new_search(), "searcher")


@pytest.mark.parametrize("source", [None, 3, "run", [1], {"m": 1}])
def test_what_holds_no_trials(source: Any) -> None:
    with pytest.raises(ValueError, match="must be an ExperimentAnalysis, a ResultGrid"):
        new_search().add_evaluated_trials(source, metric="m")


def test_same_trial_same_suggestion_until_it_completes() -> None:
    search = new_search()
    assert search.suggest("a") == search.suggest("a")
    assert search.suggest("a") != search.suggest("b")


def test_suggests_what_the_optuna_sampler_suggests() -> None:
    """Same seed, space and objective, one trial after the other; past the startup trials."""
    space = MRSpace()

    def value(params: dict[str, Any]) -> float:
        return float(params["c4_1"] + 0.1 * params["i1"] - 9 * params["b1"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=NCPSampler(space=space, seed=5))
    study.optimize(lambda trial: value(space.suggest(trial)), n_trials=20)
    configs = _run(new_search(space=space, seed=5), 20, value)
    assert configs == [trial.params for trial in study.trials]


def test_64_outstanding_suggestions_are_distinct() -> None:
    space = MRSpace()
    search = new_search(space=space)
    done = _run(search, 12, lambda config: float(config["o1"]))  # the predictor is in use
    running = [search.suggest(f"running{i}") for i in range(64)]
    assert (
        len({space.from_config(config).tobytes() for config in [*done, *running] if config}) == 76
    )


def test_every_code_of_a_small_space_once_though_all_are_running() -> None:
    search = new_search(space={"a": tune.randint(0, 8), "b": tune.choice([True, False])})
    configs = [search.suggest(str(i)) for i in range(16)]
    assert len({tuple(config.values()) for config in configs if config}) == 16


@pytest.mark.parametrize("deterministic", [True, False])
def test_noisy_objective_may_repeat(deterministic: bool) -> None:
    search = new_search(
        space={"a": tune.randint(0, 8)}, n_startup_trials=3, deterministic_objective=deterministic
    )
    tried = [config["a"] for config in _run(search, 8, lambda config: -abs(config["a"] - 3.0))]
    assert len(tried) == 8
    assert (len({*tried}) == 8) == deterministic


@pytest.mark.parametrize("mode", ["max", "min"])
def test_infinite_values_are_learnt(mode: str) -> None:
    search = new_search(mode=mode, n_startup_trials=3)
    configs = _run(search, 8, lambda config: math.inf if config["drop"] > 0.2 else score(config))
    assert len({str(config) for config in configs}) == 8
    assert math.inf in [values[0] for _, values, _ in observations(search)]


@pytest.mark.parametrize("point", [POINT, NESTED, {**POINT, "epochs": 3}])
def test_points_are_suggested_first(point: dict[str, Any]) -> None:
    search = new_search(points_to_evaluate=[point])
    assert search.suggest("a") == NESTED
    assert search.suggest("b") != NESTED
    search.on_trial_complete("a", result={"m": 1.0})
    assert observations(search) == [(POINT, [1.0], True)]


@pytest.mark.parametrize("point", [POINT, NESTED])
@pytest.mark.parametrize("later", [False, True])
def test_evaluated_points_are_learnt_and_not_suggested(point: dict[str, Any], later: bool) -> None:
    """Also before the Tuner has brought the space."""
    search = NCPSearch(points_to_evaluate=[point], evaluated_rewards=[0.5], seed=0)
    if not later:
        assert search.set_search_properties("m", "max", domains())
    search.add_evaluated_point({**point, "drop": 0.1}, 0.6)
    search.add_evaluated_point({**point, "drop": 0.3}, 0.7, pruned=True)
    search.add_evaluated_point({**point, "drop": 0.4}, 0.8, error=True)
    search.add_evaluated_point({**point, "drop": 0.5}, None, intermediate_values=[0.1, 0.2])
    if later:
        assert search.set_search_properties("m", "max", domains())
    values = [
        (params["drop"], values[0], complete) for params, values, complete in observations(search)
    ]
    np.testing.assert_allclose(
        np.array(values, dtype=float),
        [(0.2, 0.5, 1), (0.1, 0.6, 1), (0.3, 0.7, 0), (0.4, math.nan, 1), (0.5, 0.2, 1)],
    )


def test_intermediate_values_may_be_an_array() -> None:
    search = new_search()
    values: Any = np.array([0.1, 0.2])
    search.add_evaluated_point(POINT, None, intermediate_values=values)
    search.add_evaluated_point({**POINT, "drop": 0.1}, None, intermediate_values=[])
    np.testing.assert_array_equal([v for _, v, _ in observations(search)], [[0.2], [math.nan]])


def test_evaluated_points_of_several_metrics() -> None:
    search = new_search(
        metric=["m", "cost"],
        mode=["max", "min"],
        points_to_evaluate=[POINT],
        evaluated_rewards=[[0.5, 2.0]],
    )
    search.add_evaluated_point(POINT, {"cost": 1.0, "m": 0.6})
    assert [values for _, values, _ in observations(search)] == [[0.5, 2.0], [0.6, 1.0]]
    with pytest.raises(ValueError, match=r"value=0\.5 must have a number for each"):
        search.add_evaluated_point(POINT, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net/op": "dense"}, "net/op='dense' is not one of"),
        ({"net/width": None}, "net/width=None is not a number"),
        ({"rate": "fast"}, "rate='fast' is not a number"),
    ],
)
def test_points_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_search(points_to_evaluate=[{**POINT, **change}])
    with pytest.raises(ValueError, match=message):
        new_search().add_evaluated_point({**POINT, **change}, 1.0)


def test_point_that_is_no_dictionary() -> None:
    point: Any = 3
    with pytest.raises(ValueError, match="parameters=3 must be a dictionary"):
        new_search().add_evaluated_point(point, 1.0)


def test_space_of_the_tuner() -> None:
    """Metric and mode come with it; Ray adds the constants."""
    search = NCPSearch(seed=0)
    assert search.set_search_properties("m", "min", domains(), num_samples=4)
    assert (search.metric, search.mode) == ("m", "min")
    config = search.suggest("a") or {}
    assert config.keys() == {"net", "rate", "drop"}
    assert config["net"].keys() == {"width", "op"}


def test_declared_space_beside_constants_of_the_tuner() -> None:
    search = NCPSearch(space=MRSpace())
    assert search.set_search_properties("m", "max", {"epochs": 3})
    assert (search.suggest("a") or {}).keys() == set(MRSpace().names)


def test_declared_space_beside_domains_of_the_tuner() -> None:
    """Ray raises on False; equal domains are no contradiction, as in a second run."""
    search = new_search()
    assert search.set_search_properties("m", "max", domains())
    assert not search.set_search_properties("m", "max", {"x": tune.uniform(0, 1)})


def test_given_metric_wins_over_the_tuners() -> None:
    search = NCPSearch(metric=["m", "cost"], mode=["max", "min"])
    search.set_search_properties("m", "min", domains())
    named: Any = (search.metric, search.mode)
    assert named == (["m", "cost"], ["max", "min"])


def test_mode_alone_means_the_returned_value() -> None:
    search = NCPSearch(space=domains(), mode="max")
    search.suggest("a")
    search.on_trial_complete("a", result={"_metric": 3.0})
    assert [values for _, values, _ in observations(search)] == [[3.0]]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (NCPSearch(), r"no search space; give it NCPSearch\(space=\.\.\.\)"),
        (NCPSearch(metric="m", mode="max"), "no search space"),
        (NCPSearch(space=MRSpace()), r"no metric and mode; give NCPSearch\(metric=\.\.\., mode"),
    ],
)
def test_suggesting_without_what_it_takes(search: NCPSearch, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search.suggest("a")


def test_space_without_domains_of_the_tuner() -> None:
    search = NCPSearch()
    search.set_search_properties("m", "max", {"epochs": 3})
    with pytest.raises(ValueError, match="no search space"):
        search.suggest("a")


def test_names_of_a_declared_space_may_be_paths() -> None:
    space = SearchSpace([Float("a/rate", 0, 1), Integer("a/b/n", 1, 2)])
    config = new_search(space=space).suggest("x") or {}
    assert config["a"].keys() == {"rate", "b"}
    assert config["a"]["b"].keys() == {"n"}
