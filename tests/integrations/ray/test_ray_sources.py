"""Earlier runs as sources of a search, with and without a Ray runtime."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.tune import ExperimentAnalysis

from ncp_sampler import Float, NCPSearch, SearchSpace, Source
from ncp_sampler.records import Records
from tests.ray_examples import domains, fit, score, train

SPACE = SearchSpace([Float("net/rate", 0.0, 1.0), Float("drop", 0.0, 0.5)])


def value(config: dict[str, Any]) -> float:
    return -abs(float(config["net"]["rate"]) - 0.7) - float(config["drop"])


def records(n: int = 20) -> Records:
    codes = SPACE.sample(n, 0)
    losses = -np.abs(codes[:, 0] - 0.7) - codes[:, 1]
    return Records(SPACE, codes.astype(np.float64), {"m": losses})


def search(**given: Any) -> NCPSearch:
    return NCPSearch(space=SPACE, metric="m", mode="max", seed=0, **given)


def run(searcher: NCPSearch, n: int, first: int = 0) -> list[dict[str, Any]]:
    configs = []
    for i in range(first, first + n):
        config = searcher.suggest(str(i))
        assert config is not None
        searcher.on_trial_complete(str(i), {"m": value(config)})
        configs.append(config)
    return configs


def test_records_of_the_same_task_are_found_out() -> None:
    searcher = search(sources=[records()])
    run(searcher, 3)
    assert [searcher.reasons[str(i)]["how"] for i in range(3)] == ["source", "search", "search"]


def test_a_saved_search_goes_on_with_its_sources(tmp_path: Path) -> None:
    for sources in ([records()], [Source(records(), same_task=False)]):
        first, restored = search(sources=sources), search()
        run(first, 4)
        first.save(str(tmp_path / "search"))
        restored.restore(str(tmp_path / "search"))
        copied = pickle.loads(pickle.dumps(first))
        went_on = run(first, 2, 4)
        assert went_on == run(restored, 2, 4)
        assert went_on == run(copied, 2, 4)


@pytest.mark.usefixtures("ray_runtime")
def test_a_run_is_a_source_of_the_next(tmp_path: Path) -> None:
    """As a ``ResultGrid`` before it is anything else, and as an ``ExperimentAnalysis``."""
    first = NCPSearch(seed=0, n_startup_trials=4)
    fit(train, first, tmp_path, space=domains(), samples=6, metric="nest/score", mode="max")
    analysis = ExperimentAnalysis(str(tmp_path / "run"))
    grid = tune.Tuner.restore(str(tmp_path / "run"), trainable=train).get_results()
    for i, run_before in enumerate((analysis, grid)):
        again = NCPSearch(seed=1, n_startup_trials=4, sources=[Source(run_before, same_task=True)])
        results = fit(
            train, again, tmp_path / str(i), space=domains(), samples=2, metric="nest/score",
            mode="max",
        )  # fmt: skip
        assert {reason["how"] for reason in again.reasons.values()} == {"search"}
        assert all(np.isfinite(score(result.config or {})) for result in results)


def test_a_run_without_the_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sources\[0\]=5 must be a ResultGrid"):
        search(sources=[5])
    unrelated = Records(SPACE, records().codes, {"a": np.zeros(20), "b": np.zeros(20)})
    with pytest.raises(ValueError, match=r"sources\[0\] has the metrics \['a', 'b'\], none"):
        search(sources=[unrelated])
