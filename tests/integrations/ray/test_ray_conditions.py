"""A space with conditions: configs have the keys that exist, and so may results and points."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune import ExperimentAnalysis

from ncp_sampler import Categorical, Float, Integer, NCPSearch, SearchSpace, Source
from tests.conditional_examples import LIMIT, NETWORK, accuracy, flops
from tests.ray_examples import config_of, fit, observations

NESTED = SearchSpace(
    [
        Categorical("net/kind", ("conv", "attention")),
        Integer("net/heads", 1, 8),
        Float("net/conv/dropout", 0.0, 0.5),
        Float("rate", 1e-4, 1e-1, log=True),
    ],
    conditions={
        "net/heads": ("net/kind", ["attention"]),
        "net/conv/dropout": ("net/kind", ["conv"]),
    },
)


def new_search(space: Any = NETWORK, **kwargs: Any) -> NCPSearch:
    kwargs = {"metric": "m", "mode": "max", "seed": 0, "n_startup_trials": 4, **kwargs}
    return NCPSearch(space, **kwargs)


def run(search: NCPSearch, n: int, value: Any = accuracy, first: int = 0) -> list[Any]:
    configs = []
    for i in range(first, first + n):
        config = search.suggest(f"t{i}")
        assert config is not None
        search.on_trial_complete(f"t{i}", {"m": value(config)})
        configs.append(config)
    return configs


def test_configs_have_what_exists_and_keep_the_limit() -> None:
    """``accuracy`` and ``flops`` raise for configs with anything else."""
    search = new_search(costs={"flops": flops}, limits={"flops": LIMIT})
    configs = run(search, 12)
    assert max(map(flops, configs)) <= LIMIT
    assert len({str(config) for config in configs}) == 12


def test_nested_configs_have_no_empty_branch() -> None:
    search = new_search(NESTED)

    def value(config: Any) -> float:
        net = config["net"]
        if net["kind"] == "conv":
            assert net.keys() == {"kind", "conv"}
            return -float(net["conv"]["dropout"])
        assert net.keys() == {"kind", "heads"}
        return float(net["heads"])

    kinds = [config["net"]["kind"] for config in run(search, 8, value)]
    assert {*kinds} == {"conv", "attention"}


def test_points_and_evaluations_of_elsewhere() -> None:
    points = [{"n_layers": 2, "w0": 16, "w1": 24}, {"n_layers": 1, "w0": 16, "w3": 64}]
    search = new_search(points_to_evaluate=points)
    assert run(search, 2) == [points[0], {"n_layers": 1, "w0": 16}]
    search.add_evaluated_point({"n_layers": 1, "w0": 24}, 1.0)
    with pytest.raises(
        ValueError, match=r"config lacks \['w1'\]; give every parameter that exists"
    ):
        search.add_evaluated_point({"n_layers": 2, "w0": 24}, 1.0)
    with pytest.raises(ValueError, match=r"config lacks \['w0'\]"):
        new_search(points_to_evaluate=[{"n_layers": 1}])
    search = new_search(points_to_evaluate=points, evaluated_rewards=[1.0, 2.0])
    assert [params for params, _, _ in observations(search)] == [
        points[0],
        {"n_layers": 1, "w0": 16},
    ]


def test_a_restored_searcher_goes_on_the_same() -> None:
    search = new_search(costs={"flops": flops}, limits={"flops": LIMIT})
    run(search, 6)
    again = pickle.loads(pickle.dumps(search))
    assert run(again, 3, first=6) == run(search, 3, first=6)


def test_results_of_unknown_trials_carry_what_exists() -> None:
    search = new_search()
    config = {"config/n_layers": 2, "config/w0": 16, "config/w1": 24}
    search.on_trial_complete("other", {"m": 1.0, **config})
    assert [params for params, _, _ in observations(search)] == [
        {"n_layers": 2, "w0": 16, "w1": 24}
    ]


def test_tune_has_no_conditions_itself() -> None:
    with pytest.raises(ValueError, match=r"conditions, on \['w1', 'w2', 'w3'\].*NCPSearch\(space="):
        NETWORK.tune_space()


@pytest.mark.usefixtures("ray_runtime")
def test_a_run_of_the_tuner(tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        widths = [config[f"w{i}"] for i in range(config["n_layers"])]
        assert len(config) == 1 + len(widths)
        tune.report({"m": sum(widths) ** 0.5})

    search = new_search(costs={"flops": flops}, limits={"flops": LIMIT})
    results = fit(train, search, tmp_path, samples=6, max_concurrent_trials=2)
    assert not any(result.error for result in results)
    configs = [config_of(result) for result in results]
    assert max(map(flops, configs)) <= LIMIT
    earlier = Source(ExperimentAnalysis(str(tmp_path / "run")), same_task=True)
    later = new_search(sources=[earlier], seed=1)
    assert all(config not in configs for config in run(later, 3))
