"""Notes and figures for Optuna's dashboard, read back from real storages as it reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from ncp_sampler import MRSpace, NCPSampler, SearchSpace, costs
from tests.optimizer_examples import MIXED, mixed_loss

optuna_dashboard = import_module("optuna_dashboard")
plots = import_module("optuna_dashboard._custom_plot_data")  # what its server reads by

from ncp_sampler.integrations.optuna.dashboard import (  # noqa: E402
    HEADING,
    DashboardCallback,
    noted,
    publish,
)

SMALL = MRSpace(width=16, depth=2)
STARTUP = 4
FIGURES = ("ncp-moves", "ncp-descent", "ncp-architectures", "ncp-calibration")

STORAGES: dict[str, Callable[[Path], BaseStorage]] = {
    "memory": lambda folder: InMemoryStorage(),
    "sqlite": lambda folder: RDBStorage(f"sqlite:///{folder / 'x.db'}"),
    "journal": lambda folder: JournalStorage(JournalFileBackend(str(folder / "x.log"))),
}


def objective(trial: optuna.Trial) -> float:
    code = SMALL.to_code(SMALL.suggest(trial))
    return float(code.sum() - 30 * costs.flops(code))


def note_of(study: optuna.Study, number: int) -> str:
    return str(optuna_dashboard.get_note(noted(study, study.trials[number])))


def figures_of(study: optuna.Study) -> dict[str, Any]:
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {name: json.loads(text) for name, text in plots.get_plotly_graph_objects(attrs).items()}


def titles(figure: Any) -> list[str]:
    return [annotation["text"] for annotation in figure["layout"]["annotations"]]


def new_study(storage: BaseStorage | None = None, **given: Any) -> optuna.Study:
    sampler = NCPSampler(seed=0, n_startup_trials=STARTUP, **given)
    return optuna.create_study(storage=storage, sampler=sampler, direction="maximize")


@pytest.mark.parametrize("kind", STORAGES)
def test_notes_and_figures_come_back_from_the_storage(kind: str, tmp_path: Path) -> None:
    study = new_study(STORAGES[kind](tmp_path), space=SMALL)
    study.optimize(objective, n_trials=8)
    assert publish(study) == FIGURES
    assert note_of(study, 0).startswith(f"{HEADING}\n\nA startup trial")
    for trial in study.trials[STARTUP:]:
        reasons = trial.system_attrs["ncp:reasons"]
        note = note_of(study, trial.number)
        assert note.startswith(f"{HEADING}\n\nProposed from ")
        name, before, after, gain = reasons["moves"][0]
        row = f"| {name} | {before} | {after} | {gain['value']:+.3g} |".replace("_", r"\_")
        assert row in note
    figures = figures_of(study)
    assert set(figures) == set(FIGURES)
    best = study.best_trial
    assert f"trial {best.number}" in figures["ncp-descent"]["layout"]["title"]["text"]
    assert any(f"trial {best.number}, best: {best.value:.4g}" in t
               for t in titles(figures["ncp-architectures"]))  # fmt: skip
    moves = study.trials[7].system_attrs["ncp:reasons"]["moves"][:16]
    (bars,) = figures["ncp-moves"]["data"]
    assert bars["x"] == [move[3]["value"] for move in moves]
    _, points = figures["ncp-calibration"]["data"]
    assert points["y"] == [trial.value for trial in study.trials[STARTUP:]]
    assert points["customdata"] == [4, 5, 6, 7]


def test_a_note_of_the_users_stays_and_reasons_are_written_once() -> None:
    study = new_study(space=SMALL)
    study.optimize(objective, n_trials=3)
    trial = noted(study, study.trials[1])
    optuna_dashboard.save_note(trial, "mine\n")
    publish(study)
    first = note_of(study, 1)
    assert first.startswith(f"mine\n\n{HEADING}\n\n")
    optuna_dashboard.save_note(trial, f"{first}\nand more")
    publish(study)
    assert note_of(study, 1) == f"{first}\nand more"
    assert note_of(study, 2).count(HEADING) == 1


def test_the_callback_publishes_as_the_study_runs() -> None:
    study = new_study(space=SMALL)
    seen: list[set[str]] = []

    def watch(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        seen.append(set(figures_of(study)))
        assert HEADING in note_of(study, trial.number)

    study.optimize(objective, n_trials=6, callbacks=[DashboardCallback(every=2), watch])
    early = {"ncp-descent", "ncp-architectures"}
    assert seen == [set(), early, early, early, early, set(FIGURES)]
    small = new_study(space=SMALL)
    small.optimize(objective, n_trials=6, callbacks=[DashboardCallback(every=None)])
    assert figures_of(small) == {}
    assert HEADING in note_of(small, 5)


def test_several_objectives_have_a_front() -> None:
    sampler = NCPSampler(space=SMALL, seed=0, n_startup_trials=STARTUP)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    def both(trial: optuna.Trial) -> tuple[float, float]:
        code = SMALL.to_code(SMALL.suggest(trial))
        return float(code.sum()), float(costs.flops(code))

    study.optimize(both, n_trials=7)
    publish(study)
    figures = figures_of(study)
    assert [trace["orientation"] for trace in figures["ncp-moves"]["data"]] == ["h", "h"]
    rows = [text for text in titles(figures["ncp-architectures"]) if "trial" in text]
    assert 1 <= len(rows) <= 3
    assert any("on the front" in text for text in rows)


@pytest.mark.parametrize("space", [None, MIXED])
def test_other_spaces_have_their_params(space: SearchSpace | None) -> None:
    study = optuna.create_study(sampler=NCPSampler(space=space, seed=0, n_startup_trials=STARTUP))
    study.optimize(lambda trial: mixed_loss(MIXED.suggest(trial)), n_trials=8)
    assert publish(study) == FIGURES
    figure = figures_of(study)["ncp-architectures"]
    names = {name for points in figure["data"] for name in points["y"]}
    assert names == set(MIXED.names)


def test_any_trial_can_be_shown_and_a_loaded_study_published() -> None:
    storage = InMemoryStorage()
    study = new_study(storage, space=SMALL)
    study.optimize(objective, n_trials=6)
    loaded = optuna.load_study(study_name=study.study_name, storage=storage)
    assert publish(loaded, space=SMALL, trial=5) == FIGURES
    assert "trial 5" in figures_of(loaded)["ncp-moves"]["layout"]["title"]["text"]
    assert "rial 5" in figures_of(loaded)["ncp-descent"]["layout"]["title"]["text"]
    assert publish(loaded, trial=0) == ("ncp-descent", "ncp-architectures", "ncp-calibration")


def test_what_is_not_there_yet_is_left_out() -> None:
    study = new_study(space=SMALL)
    assert publish(study) == ()
    study.ask()
    assert publish(study) == ()
    random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    random.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert publish(random) == ("ncp-descent", "ncp-architectures")
    assert note_of(random, 0) == ""
    nothing = new_study()
    nothing.optimize(lambda trial: 1.0, n_trials=2)
    assert publish(nothing) == ()
    failed = new_study(space=SMALL)

    def fail(trial: optuna.Trial) -> float:
        SMALL.suggest(trial)
        raise RuntimeError

    failed.optimize(fail, n_trials=2, catch=RuntimeError)
    assert publish(failed) == ()
    assert HEADING in note_of(failed, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda study: publish(5), "study=5 must be an Optuna study"),  # type: ignore[arg-type]
        (lambda study: publish(study, space=5), "space=5 must be a SearchSpace"),  # type: ignore[arg-type]
        (lambda study: publish(study, trial=9), "trial=9 is not in the study, which has 0"),
        (lambda study: publish(study, trial=-1), "trial=-1 must"),
        (lambda study: publish(study, trial="x"), "trial='x' must"),  # type: ignore[arg-type]
        (lambda study: DashboardCallback(every=0), "every=0 must"),
        (lambda study: DashboardCallback(space="x"), "space='x' must be a SearchSpace"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(call: Callable[[optuna.Study], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(optuna.create_study())


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ncp_sampler.integrations.optuna.dashboard"
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(ImportError, match="pip install optuna-dashboard plotly"):
        __import__(name)
