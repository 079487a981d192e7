"""Categories and constants that Ray's files change: JSON has no tuples, and no keys but strings.

One run is shared by all tests: some of its trials failed. What is left of it are JSON files.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune import ExperimentAnalysis

from ncp_sampler import NCPSearch, Source
from tests.ray_examples import fit, listed, metric_of, observations, start

_N = 6  # trials
KERNELS = [(3, 3), (5, 5)]
_OTHER_TASK = (
    "sources[0] has data='cifar', but the search has 'mnist', so it is treated as another task; "
    "if the task is the same, give Source(..., same_task=True)"
)
PLANS = [{1: "conv", 2: {"pool": (2, 2)}}, {1: "conv"}]


def space(**changes: Any) -> dict[str, Any]:
    """Domains whose categories JSON changes, beside a constant that it changes too."""
    return {
        "net": {"kernel": tune.choice(KERNELS), "plan": tune.choice(PLANS), "stride": (1, 2)},
        "x": tune.uniform(0, 1),
        "data": "cifar",
        **changes,
    }


def trainable(*, works: bool) -> Any:
    """Return a function that reports once; without ``works`` it fails for some categories.

    It is a closure, which the trials' processes need not import.
    """

    def train(config: dict[str, Any]) -> None:
        kernel, plan = config["net"]["kernel"], config["net"]["plan"]
        if kernel[0] == 3 and len(plan) == 1 and not works:
            raise MemoryError("as meant")
        tune.report({"m": config["x"] + kernel[0] + 10 * len(plan), "memory": config["x"]})

    return train


@pytest.fixture(scope="module")
def broken_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of which some trials have failed."""
    start()
    folder = tmp_path_factory.mktemp("runs")
    search = NCPSearch(seed=0, n_startup_trials=4)
    fit(trainable(works=False), search, folder, space=space(), samples=_N, metric="m", mode="max")
    return folder / "run"


@pytest.fixture
def left(broken_run: Path, tmp_path: Path) -> Path:
    """Copy of that folder."""
    return Path(shutil.copytree(broken_run, tmp_path / "run"))


@pytest.fixture
def analysis(broken_run: Path) -> ExperimentAnalysis:
    return ExperimentAnalysis(str(broken_run))


def new(**arguments: Any) -> NCPSearch:
    return NCPSearch(**{"space": space(), "metric": "m", "mode": "max", "seed": 1, **arguments})


def left_by(folder: Path) -> NCPSearch:
    search = NCPSearch()
    search.restore_from_dir(str(folder))
    return search


def learned(search: NCPSearch) -> list[float]:
    """The values that the search has; each must be that of its params."""
    values = []
    for params, (metric, *_), _ in observations(search):
        if not math.isnan(metric):
            kernel, plan = params["net/kernel"], params["net/plan"]
            assert kernel in KERNELS
            assert plan in PLANS
            assert metric == params["x"] + kernel[0] + 10 * len(plan)
            values.append(metric)
    return sorted(values)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("ncp_sampler")]


def test_restarted_trials_are_learned(left: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They have new ids, and configs with lists and strings in them, which Ray has flattened."""
    n_failed = _N - len(learned(left_by(left)))
    assert 0 < n_failed < _N
    results = tune.Tuner.restore(
        str(left), trainable=trainable(works=True), param_space=space(), restart_errored=True
    ).fit()
    assert not results.errors
    assert learned(left_by(left)) == sorted(metric_of(r, "m") for r in listed(results))
    assert warnings_of(caplog) == []


def test_damaged_searcher_counts_what_it_learned(
    left: Path, caplog: pytest.LogCaptureFixture
) -> None:
    n_learned = len(learned(left_by(left)))
    (path,) = left.glob("searcher-state-*.pkl")
    path.write_bytes(path.read_bytes()[:-1])
    search = new()
    search.restore_from_dir(str(left))
    (message,) = warnings_of(caplog)
    assert message.endswith(f"Learned the results of {n_learned} of the run's {_N} trials instead")
    assert len(learned(search)) == n_learned
    assert len(observations(search)) == _N

    caplog.clear()
    renewed = new(space={"net": {"kernel": tune.choice([(7, 7)])}})
    renewed.restore_from_dir(str(left))
    *warnings, message = warnings_of(caplog)
    assert message.endswith(f"Learned the results of 0 of the run's {_N} trials instead")
    assert observations(renewed) == []
    assert len(warnings) == _N
    assert all(": net/kernel=[" in warning for warning in warnings)


def test_an_analysis_is_a_source(
    analysis: ExperimentAnalysis, caplog: pytest.LogCaptureFixture
) -> None:
    evaluated, joined = new(), new(sources=[Source(analysis, same_task=True)])
    evaluated.add_evaluated_trials(analysis, metric="m")
    expected = sorted(t.last_result["m"] for t in analysis.trials if "m" in t.last_result)
    assert learned(evaluated) == learned(joined) == expected
    failed = {t.trial_id for t in analysis.trials if "m" not in t.last_result}
    left_out = [f"trial {trial_id} is left out: it reported none of ['m']" for trial_id in failed]
    assert sorted(warnings_of(caplog)) == sorted(left_out)
    for search in (evaluated, joined):
        assert search.suggest("next") is not None


def test_trials_of_another_constant_are_of_another_task(
    analysis: ExperimentAnalysis, caplog: pytest.LogCaptureFixture
) -> None:
    """They are no values of this search; as a source they are not tried as if they were."""
    with pytest.raises(ValueError, match=r"none of the run's \d trials fits .*data='cifar', but"):
        new(space=space(data="mnist")).add_evaluated_trials(analysis, metric="m")
    assert "the constant data='cifar', but the search 'mnist'; leave it" in warnings_of(caplog)[-1]

    for data in ("mnist", "cifar"):
        caplog.clear()
        search = new(space=space(data=data), sources=[analysis], n_startup_trials=3)
        params = search.suggest("a") or {}
        best = max(t.last_result.get("m", 0.0) for t in analysis.trials)
        search.on_trial_complete("a", {"m": best})  # the same value again
        search.suggest("b")
        joined = search.reasons["b"]["how"] == "search"
        assert joined == (data == "cifar")
        assert params["data"] == data
        told_why = [message for message in warnings_of(caplog) if "reported none" not in message]
        assert told_why == [_OTHER_TASK] * (not joined)


def test_constraints_of_an_earlier_run_are_learned(analysis: ExperimentAnalysis) -> None:
    """By their own names; one that was not reported is missing, rather than NaN."""
    search = new(constraints={"memory": 0.5, "time": 1.0})
    search.add_evaluated_trials(analysis, metric="m")
    assert [values[1] for _, values, _ in observations(search)] == [
        params["x"] for params, _, _ in observations(search)
    ]


@pytest.mark.parametrize("started", [True, False])
def test_trials_of_a_run_may_come_before_the_space(
    analysis: ExperimentAnalysis, started: bool
) -> None:
    search = new() if started else NCPSearch(seed=1)
    search.add_evaluated_trials(analysis, metric="m")
    assert search.set_search_properties("m", "max", space())
    assert learned(search)


@pytest.mark.usefixtures("ray_runtime")
def test_a_constant_of_the_tuner_differs_from_the_searchers(tmp_path: Path) -> None:
    """Ray would take the searcher's without a word."""
    with pytest.raises(ValueError, match=r"param_space has data='mnist', but NCPSearch\(space"):
        fit(trainable(works=True), new(), tmp_path, space={"data": "mnist"})
    with pytest.raises(ValueError, match=r"param_space fixes x=0\.5, which NCPSearch\(space"):
        fit(trainable(works=True), new(), tmp_path, space={"x": 0.5})
    assert new().set_search_properties("m", "max", {"data": "cifar", "net": {"stride": [1, 2]}})
