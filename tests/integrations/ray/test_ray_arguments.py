"""Wrong arguments of the searcher: each is refused with its name and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler import MRSpace, NCPSearch
from tests.ray_examples import POINT, domains, new_search, observations


@pytest.mark.parametrize(
    ("metric", "mode", "message"),
    [
        ("m", None, "metric='m' without mode; give mode=\"min\""),
        (["m"], None, "without mode"),
        ("m", "maximize", 'mode=\'maximize\' must be "min" or "max"'),
        ("m", {"m": "min"}, 'must be "min" or "max"'),
        (["m", "n"], ["min", "obs"], 'must be "min" or "max"'),
        (None, ["min"], "lists of equal length"),
        ("m", ["min"], "lists of equal length"),
        (["m"], "min", "lists of equal length"),
        (["m", "n"], ["min"], "lists of equal length"),
        ([], [], "lists of equal length"),
        (["m", "m"], ["min", "max"], "a list of several"),
        (3, "min", "metric=3 must be the metric's name"),
        ("", "min", "metric='' must be the metric's name"),
        (["m", 3], ["min", "max"], r"metric=\['m', 3\] must be the metric's name, or a list"),
    ],
)
def test_metric_and_mode_that_do_not_fit(metric: Any, mode: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NCPSearch(space=MRSpace(), metric=metric, mode=mode)


@pytest.mark.parametrize(("metric", "mode"), [("m", None), ("m", "big")])
def test_metric_and_mode_of_the_tuner_that_do_not_fit(metric: str, mode: Any) -> None:
    with pytest.raises(ValueError, match="mode"):
        NCPSearch().set_search_properties(metric, mode, domains())


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("space", 5, r"space=5 must be a SearchSpace, such as .*, or a dictionary with"),
        ("seed", -1, "seed=-1 must be at least 0, or None"),
        ("seed", 1.5, r"seed=1\.5 must be an integer"),
        ("n_startup_trials", 0, "n_startup_trials=0 must be at least 1"),
        ("n_startup_trials", "10", "n_startup_trials='10' must be an integer"),
        ("strategy", "greedy", "strategy='greedy' must be one of .* or a strategy such as"),
        ("strategy", 5, "strategy=5 must be one of"),
        ("predictor", "tree", "predictor='tree' must be one of .* or a predictor such as"),
        ("deterministic_objective", "no", "deterministic_objective='no' must be True or False"),
        ("device", "nope", "device='nope' cannot be used here"),
        ("points_to_evaluate", [3], r"points_to_evaluate=\[3\] must be a list of dictionaries"),
        ("points_to_evaluate", "rate", "points_to_evaluate='rate' must be a list of dictionaries"),
        ("points_to_evaluate", 3, "points_to_evaluate=3 must be a list of dictionaries"),
        ("points_to_evaluate", {"rate": 0.01}, "must be a list of dictionaries"),
        ("points_to_evaluate", [{"rate": 0.01}], r"lacks \['net/width', 'net/op', 'drop'\]"),
        ("evaluated_rewards", [1.0], "1 values for 0 points"),
        ("evaluated_rewards", 1.0, r"evaluated_rewards=1\.0 must be a list"),
        ("evaluated_rewards", "1.0", r"evaluated_rewards='1\.0' must be a list"),
        ("evaluated_rewards", {"m": 1.0}, r"evaluated_rewards=\{'m': 1\.0\} must be a list"),
        ("evaluated_rewards", ["high"], r"evaluated_rewards=\['high'\] .* with a number per point"),
    ],
)
def test_bad_argument(argument: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NCPSearch(**{"space": domains(), "metric": "m", "mode": "max", argument: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"error": "no"}, "error='no' must be True or False"),
        ({"pruned": 1}, "pruned=1 must be True or False"),
        ({"value": "high"}, r"value='high' must have a number for each of \['m'\]"),
        ({"value": [0.5, 0.6]}, r"value=\[0\.5, 0\.6\] must have a number for each of \['m'\]"),
        ({"value": {"m": None}}, r"value=\{'m': None\} must have a number for each"),
        ({"value": {"n": 0.5}}, r"unknown names \['n'\]"),
        ({"parameters": 3}, "parameters=3 must be a dictionary, flat or nested"),
        ({"value": None, "intermediate_values": 5}, "intermediate_values=5 must be a list of"),
        ({"value": None, "intermediate_values": "12"}, "intermediate_values='12' must be a list"),
    ],
)
def test_bad_evaluated_point(arguments: dict[str, Any], message: str) -> None:
    """Nothing is recorded then."""
    search = new_search()
    with pytest.raises(ValueError, match=message):
        search.add_evaluated_point(**{"parameters": POINT, "value": 0.5, **arguments})
    assert observations(search) == []


@pytest.mark.parametrize("trial_id", [[], {}, None, 5, b"a", ""])
@pytest.mark.parametrize("started", [True, False])
def test_trial_id_that_is_none(trial_id: Any, started: bool) -> None:
    search = new_search() if started else NCPSearch()
    calls: list[Callable[[], Any]] = [
        lambda: search.on_trial_result(trial_id, {"m": 0.5}),
        lambda: search.on_trial_complete(trial_id, {"m": 0.5}),
    ]
    for call in [lambda: search.suggest(trial_id), *calls] if started else calls:
        with pytest.raises(ValueError, match=r"trial_id=.* must be a string that is not empty"):
            call()


@pytest.mark.parametrize("result", [5, "m", [0.5], b"", 0])
def test_result_that_is_none(result: Any) -> None:
    error: Any = "no"
    search = new_search()
    for call in (search.on_trial_result, search.on_trial_complete):
        with pytest.raises(ValueError, match=r"result=.* must be a dictionary, as reported"):
            call("a", result)
    with pytest.raises(ValueError, match="error='no' must be True or False"):
        search.on_trial_complete("a", {"m": 0.5}, error=error)
    assert observations(search) == []


@pytest.mark.parametrize("metric", [3, "", ["m", "m"], [None]])
def test_metric_of_an_earlier_run_that_is_no_name(metric: Any) -> None:
    with pytest.raises(ValueError, match=r"metric=.* must be the metric's name, or a list"):
        new_search().add_evaluated_trials([], metric=metric)


@pytest.mark.parametrize("path", [5, None])
def test_path_that_is_none(path: Any) -> None:
    for call in (new_search().save, new_search().restore):
        with pytest.raises(ValueError, match=f"checkpoint_path={path} must be the path of"):
            call(path)


def test_folder_that_is_none() -> None:
    folder: Any = 5
    with pytest.raises(ValueError, match="checkpoint_dir=5 must be the path of a folder"):
        new_search().restore_from_dir(folder)


def test_paths_may_be_objects(tmp_path: Path) -> None:
    path: Any = tmp_path / "state"
    search = new_search()
    search.save(path)
    search.restore(path)
    assert observations(search) == []


def test_values_of_points_may_be_an_array() -> None:
    rewards: Any = np.array([0.5, 0.25], dtype=np.float32)
    search = new_search(
        points_to_evaluate=[POINT, {**POINT, "drop": 0.3}], evaluated_rewards=rewards
    )
    assert [values for _, values, _ in observations(search)] == [[0.5], [0.25]]
