"""A restored searcher suggests what the uninterrupted one would have."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.search import ConcurrencyLimiter, SearchGenerator

from ncp_sampler import MRSpace, NCPSearch
from ncp_sampler.predictors import NNGP, GaussianProcess
from ncp_sampler.propagation import WinnerTakesAll
from tests.ray_examples import domains, observations, score


def _by_save(search: NCPSearch, folder: Path) -> NCPSearch:
    search.save(str(folder / "anywhere"))
    assert [path.name for path in folder.iterdir()] == ["anywhere"]
    blank = NCPSearch()
    blank.restore(str(folder / "anywhere"))
    return blank


def _by_directory(search: NCPSearch, folder: Path) -> NCPSearch:
    search.save_to_dir(str(folder), session_str="2026-01-01")
    blank = NCPSearch(space=MRSpace(), metric="other", mode="min", seed=9, n_startup_trials=50)
    blank.restore_from_dir(str(folder))
    return blank


def _by_pickle(search: NCPSearch, folder: Path) -> NCPSearch:
    restored: NCPSearch = pickle.loads(pickle.dumps(search))
    return restored


def _by_copy(search: NCPSearch, folder: Path) -> NCPSearch:
    return copy.deepcopy(search)


Restore = Callable[[NCPSearch, Path], NCPSearch]


def _advance(search: NCPSearch, first: int, n: int) -> list[dict[str, Any] | None]:
    """n trials, of which two run at any time."""
    configs = []
    for i in range(first, first + n):
        config = search.suggest(str(i))
        configs.append(config)
        if i > 0:  # the trial before this one, which may have been suggested before the restore
            done = search.suggest(str(i - 1)) or {}
            value = {"m": score(done) if "net" in done else float(done["c4_1"] - 9 * done["b1"])}
            search.on_trial_result(str(i - 1), value)
            search.on_trial_complete(str(i - 1), result=value)
    return configs


@pytest.mark.parametrize(
    ("restore", "before", "space"),
    [
        (_by_save, 5, MRSpace()),
        (_by_save, 17, MRSpace()),
        (_by_directory, 17, MRSpace()),
        (_by_directory, 17, domains()),
        (_by_pickle, 17, domains()),
        (_by_copy, 17, domains()),
    ],
)
def test_5_and_5_restored_are_10_uninterrupted(
    restore: Restore, before: int, space: Any, tmp_path: Path
) -> None:
    """Within the 10 startup trials, and with the predictor fitted; one trial is running."""
    search = NCPSearch(space=space, metric="m", mode="max", seed=1)
    _advance(search, 0, before)
    begun = copy.deepcopy(search)
    uninterrupted = _advance(search, before, 10)
    first = _advance(begun, before, 5)
    restored = restore(begun, tmp_path)
    assert first + _advance(restored, before + 5, 5) == uninterrupted
    assert observations(restored) == observations(search)


@pytest.mark.parametrize(
    "given",
    [
        {"strategy": ["winner_takes_all", WinnerTakesAll(), "continuous"]},
        {"predictor": ["infinite-mlp", GaussianProcess(NNGP()), "gp"]},
    ],
    ids=["strategy", "predictor"],
)
def test_an_object_is_saved_with_the_searcher(given: dict[str, list[Any]], tmp_path: Path) -> None:
    """It stands for its shorthand where its settings are the default ones."""
    runs = []
    ((argument, values),) = given.items()
    for i, value in enumerate(values):
        search = NCPSearch(
            space=domains(), metric="m", mode="max", seed=1, n_startup_trials=3, **{argument: value}
        )
        begun = _advance(search, 0, 6)
        (tmp_path / str(i)).mkdir()
        runs.append(begun + _advance(_by_save(search, tmp_path / str(i)), 6, 4))
    assert runs[0] == runs[1] != runs[2]


def test_the_optimizer_is_fitted_when_it_is_saved(tmp_path: Path) -> None:
    """So that the test above is about more than the startup trials."""
    search = NCPSearch(space=MRSpace(), metric="m", mode="max", seed=1)
    _advance(search, 0, 17)
    restored = _by_save(search, tmp_path)
    assert restored._optimizer is not None
    assert restored._optimizer.state_dict()["n_fitted"] > 10


def test_what_is_known_of_each_trial_is_restored(tmp_path: Path) -> None:
    search = NCPSearch(space=domains(), metric="m", mode="max", seed=0)
    running, failed = search.suggest("running"), search.suggest("failed")
    search.suggest("done")
    search.on_trial_result("running", {"m": 0.5})
    search.on_trial_complete("failed", error=True)
    search.on_trial_complete("done", result={"m": 1.0})
    restored = _by_save(search, tmp_path)
    assert restored.suggest("running") == running
    restored.on_trial_complete("done", result={"m": 7.0})
    restored.on_trial_complete("running")
    restored.on_trial_complete("failed", result={"m": 2.0})
    assert [values for _, values, _ in observations(restored)] == [[2.0], [1.0], [0.5]]
    assert observations(restored)[0][0]["net/width"] == (failed or {})["net"]["width"]


def test_points_left_to_suggest_are_restored(tmp_path: Path) -> None:
    points = [{"a": 3}, {"a": 5}]
    space = {"a": tune.randint(0, 9)}
    search = NCPSearch(space=space, metric="m", mode="max", points_to_evaluate=points)
    assert search.suggest("x") == {"a": 3}
    assert _by_save(search, tmp_path).suggest("y") == {"a": 5}


def test_searcher_without_a_space_is_restored_as_such(tmp_path: Path) -> None:
    """``Tuner`` pickles the searcher before it hands it the space."""
    restored = _by_save(NCPSearch(seed=3, points_to_evaluate=[{"a": 3}]), tmp_path)
    assert restored.set_search_properties("m", "max", {"a": tune.randint(0, 9)})
    assert restored.suggest("x") == {"a": 3}


def test_choices_of_any_type_are_saved(tmp_path: Path) -> None:
    choices: list[Any] = [lambda x: x, max]
    search = NCPSearch(space={"f": tune.choice(choices)}, metric="m", mode="max", seed=0)
    config = _by_save(search, tmp_path).suggest("x") or {}
    assert config["f"](4, *([5] if config["f"] is max else [])) in (4, 5)


def test_within_rays_wrappers(tmp_path: Path) -> None:
    """They save the searcher apart from themselves."""

    def generator(search: NCPSearch) -> SearchGenerator:
        return SearchGenerator(ConcurrencyLimiter(search, max_concurrent=3))

    search = NCPSearch(space=MRSpace(), metric="m", mode="max", seed=1)
    outer = generator(search)
    for i in range(3):
        outer.searcher.suggest(str(i))
    outer.save_to_dir(str(tmp_path), "session")
    empty = NCPSearch()
    restored = generator(empty)
    restored.restore_from_dir(str(tmp_path))
    assert restored.searcher.suggest("3") is None
    for each in (outer, restored):
        each.on_trial_complete("0", result={"m": 1.0})
    assert restored.searcher.suggest("3") == outer.searcher.suggest("3")


def test_a_runs_folder_can_be_copied_while_the_searcher_is_saved_into_it(tmp_path: Path) -> None:
    """As Tune does: what is listed is still there when it is opened."""
    folder = tmp_path / "driver"
    folder.mkdir()
    search = NCPSearch(space=MRSpace(), metric="m", mode="max")
    ended = threading.Event()

    def save() -> None:
        for _ in range(100):
            search.save_to_dir(str(folder), "now")
        ended.set()

    saving = threading.Thread(target=save)
    saving.start()
    seen = set()
    while not ended.is_set():
        seen |= {entry.name for entry in os.scandir(folder)}
    saving.join()
    assert seen == {"searcher-state-now.pkl"}
    assert [path.name for path in tmp_path.iterdir()] == ["driver"]


@pytest.mark.parametrize("folder", [5, "/nowhere/run"])
def test_a_folder_that_cannot_be_saved_into_is_refused(folder: Any) -> None:
    with pytest.raises(ValueError, match="checkpoint_dir="):
        NCPSearch(space=MRSpace(), metric="m", mode="max").save_to_dir(folder)


def test_folder_without_a_state(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unable to find checkpoint"):  # Ray's own
        NCPSearch().restore_from_dir(str(tmp_path))


def test_a_metric_that_never_has_a_value_does_not_end_the_run(tmp_path: Path) -> None:
    """The other one is searched on, also by the searcher that was restored."""
    search = NCPSearch(
        space=domains(), metric=["a", "b"], mode=["min", "min"], seed=0, n_startup_trials=4
    )
    for i in range(6):
        assert search.suggest(f"{i}") is not None
        search.on_trial_complete(f"{i}", {"a": float(i), "b": float("nan")})
    search.save(str(tmp_path / "state"))
    restored = NCPSearch()
    restored.restore(str(tmp_path / "state"))
    assert restored.suggest("6") == search.suggest("6")
