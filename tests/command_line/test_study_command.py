"""``ncp-sampler study``: real storages in, tables and JSON out, nothing written, clear errors."""

from __future__ import annotations

import io
import json
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from ncp_sampler import MRSpace, NCPSampler, costs, explain
from ncp_sampler.command_line.program import main
from ncp_sampler.integrations.optuna import compromise, report_task, task_values

SPACE = MRSpace(width=16, depth=2)
STARTUP = 5


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -3, 3), trial.suggest_int("layers", 1, 8)
    return float(x * x + abs(y - 5))


def two(trial: optuna.Trial) -> tuple[float, float]:
    code = SPACE.to_code(SPACE.suggest(trial))
    return float(code.sum()), float(costs.flops(code))


def fill(storage: BaseStorage) -> None:
    """A study of one objective, and one of two."""
    sampler = NCPSampler(seed=0, n_startup_trials=STARTUP)
    optuna.create_study(storage=storage, study_name="one", sampler=sampler).optimize(objective, 9)
    sampler = NCPSampler(space=SPACE, seed=0, n_startup_trials=STARTUP)
    study = optuna.create_study(
        storage=storage, study_name="two", sampler=sampler, directions=["maximize", "minimize"]
    )
    study.optimize(two, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a database and a journal."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = tmp_path_factory.mktemp("of a # name?")
    fill(RDBStorage(f"sqlite:///{made.parent / 'x.db'}"))
    (made.parent / "x.db").rename(made / "x.db")
    fill(JournalStorage(JournalFileBackend(str(made / "x.log"))))
    return made


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["study", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize("name", ["x.db", "x.log"])
def test_a_study_of_one_objective(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(folder)
    result = answer(capsys, str(folder / name), "--name", "one")
    assert listing(folder) == before  # nothing is written, no file beside
    assert (result["study"], result["directions"]) == ("one", {"value": "minimize"})
    assert result["trials"] == {"running": 0, "complete": 9, "pruned": 0, "fail": 0, "waiting": 0}
    assert result["front"] is None
    best, shown = result["best"], result["trial"]
    assert best["params"]["x"] ** 2 + abs(best["params"]["layers"] - 5) == best["values"]["value"]
    assert shown["number"] == best["number"]
    important = result["importances"]
    assert important["evaluator"] == "Optuna's fANOVA"
    assert set(important["of"]["value"]) == {"x", "layers"}
    assert sum(important["of"]["value"].values()) == pytest.approx(1)


def test_a_study_of_two_objectives_has_a_front_and_codes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = answer(capsys, str(folder / "x.db"), "--name", "two")
    assert result["best"] is None
    values = [list(trial["values"].values()) for trial in result["front"]]
    assert values == sorted(values)
    for trial in result["front"]:
        code = MRSpace().from_string(trial["code"])
        assert MRSpace().to_params(code) == trial["params"]
    assert result["trial"]["number"] == 6  # the last
    assert result["trial"]["reasons"]["how"] == "search"
    assert set(result["importances"]["of"]) == {"value_0", "value_1"}


def test_the_compromise_of_trials_that_report_one_task_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tasks.db"
    study = optuna.create_study(
        storage=f"sqlite:///{path}", directions=["minimize"] * 2, sampler=NCPSampler(seed=0)
    )

    def objective(trial: optuna.Trial) -> list[float]:
        x, task = trial.suggest_float("x", 0, 1), trial.number % 2
        report_task(trial, task, (x - (0.3, 0.6)[task]) ** 2)
        return task_values(trial)

    study.optimize(objective, 12)
    chosen = compromise(study)
    assert main(["study", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["compromise"]["number"] == chosen.number
    assert result["compromise"]["predicted"] == list(chosen.predicted)
    assert list(result["trial"]["values"]) == ["value_1"]  # what the last trial reported
    assert main(["study", str(path)]) == 0
    printed = capsys.readouterr().out
    assert f"best compromise: trial {chosen.number}" in printed
    assert "(predicted)" in printed


@pytest.mark.parametrize(
    ("trial", "number", "how"), [("0", 0, "drawn"), ("last", 8, "search"), ("3", 3, "startup")]
)
def test_the_reasons_of_any_trial(
    trial: str,
    number: int,
    how: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    result = answer(capsys, "sqlite:///x.db", "--name", "one", "--trial", trial)
    # Before any trial no space is known: trial 0 is drawn by Optuna.
    assert (result["trial"]["number"], result["trial"]["reasons"]["how"]) == (number, how)


def test_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", str(folder / "x.db"), "--name", "one", "--trial", "last"]) == 0
    text = capsys.readouterr().out
    first = "study one: minimize value; trials: 9 complete"
    for part in (first, "by Optuna's fANOVA", "trial 8 (complete)", "predicted (start:"):
        assert part in text
    assert main(["study", str(folder / "x.log"), "--name", "two"]) == 0
    text = capsys.readouterr().out
    for part in ("maximize value_0, minimize value_1", "front", "change in value_1"):
        assert part in text


def test_other_samplers_failures_and_odd_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "x.log")
    storage = JournalStorage(JournalFileBackend(path))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    result = answer(capsys, path)
    assert (result["best"], result["trial"], result["trials"]["running"]) == (None, None, 1)
    assert "no importances of value" in result["importances"]["note"]
    assert main(["study", path]) == 0
    assert "no trial is complete" in capsys.readouterr().out
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), float("inf"))
    assert answer(capsys, path)["best"]["values"] == {"value": "inf"}  # JSON has no infinity
    assert main(["study", path]) == 0
    assert "trial 1 has no reasons: NCPSampler did not propose it" in capsys.readouterr().out


def test_infeasible_trials_are_not_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "x.log")
    storage = JournalStorage(JournalFileBackend(path))
    sampler = NCPSampler(seed=0, constraints_func=lambda trial: [1.0])
    optuna.create_study(storage=storage, sampler=sampler).optimize(objective, 2)
    result = answer(capsys, path)
    assert (result["best"], result["trials"]["complete"]) == (None, 2)


def _foreign(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("root:x:0:0\n")
    (tmp_path / "empty").touch()
    (tmp_path / "json").write_text('{"a": 1}\n')
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("create table a (b)")
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "x.log")))
    optuna.create_study(storage=storage, study_name="none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.db"], "nope.db is not a file; give a SQLite or journal file of Optuna, or a URL"),
        (["."], ". is a folder; give"),
        (["text"], "text is neither a SQLite database nor a journal of Optuna"),
        (["json"], "json is neither a SQLite database nor a journal of Optuna"),
        (["empty"], "empty holds no study"),
        (["other.db"], "other.db is a database without Optuna's tables"),
        (["damaged.db"], "damaged.db cannot be read: "),
        (["sqlite:///nope.db"], "sqlite:///nope.db is not a file"),
        (["sqlite:///text"], "sqlite:///text is not a SQLite database"),
        (["sqlite://"], "sqlite:// is a database in memory"),
        (["a://b"], "a://b cannot be read: "),
        (["://b"], "://b is not the URL of a database"),
        (["x.log"], "study 'none' in x.log has no trials yet"),
        (["x.log", "--name", "y"], "x.log holds no study 'y'; --name one of 'none'"),
    ],
)
def test_what_is_no_study_is_named_and_left_alone(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _foreign(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path)
    assert main(["study", *arguments]) == 2
    answered = capsys.readouterr()
    assert answered.err.startswith(f"ncp-sampler: error: {message}")
    assert (answered.err.count("\n"), answered.out) == (1, "")
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.db"], "holds 2 studies; --name one of 'one', 'two'"),
        (["x.db", "--name", "one", "--trial", "9"], "--trial 9: the study's last trial is 8"),
        (["x.db", "--name", "two", "--trial", "best"], "has no single best trial"),
    ],
)
def test_what_is_ambiguous_is_asked_for(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(["study", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.db", "--trial", "z"], "'z' must be a nonnegative integer, best or last"),
        (["x.db", "--trial", "-1"], "--trial"),
        ([], "STORAGE"),
    ],
)
def test_options_are_checked(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("ncp-sampler study: error: ")
    assert message in error


def test_names_with_brackets_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that Rich would interpret as markup or as an emoji."""
    names, metrics = ["layer[conv]", "x[/b]", "[red]:smile:"], ["loss[val]", "[/size]"]

    def objective(trial: optuna.Trial) -> list[float]:
        values = [trial.suggest_float(name, 0, 1) for name in names]
        kind = trial.suggest_categorical("kind", ["[a]", "[/a]"])
        return [sum(values) + (kind == "[a]"), values[0]]

    path = f"sqlite:///{tmp_path / 'brackets.db'}"
    for n in (1, 2):
        sampler = NCPSampler(seed=0, n_startup_trials=3)
        study = optuna.create_study(
            storage=path, study_name=f"[{n}]", sampler=sampler, directions=["minimize"] * n
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(metrics[:n])
        for _ in range(5):
            trial = study.ask()
            study.tell(trial, objective(trial)[:n])
        assert main(["study", path, "--name", f"[{n}]", "--trial", "4"]) == 0
        text = capsys.readouterr().out
        for name in [f"study [{n}]", *names, *metrics[:n]]:
            assert name in text
        console = Console(width=200, file=io.StringIO())
        console.print(explain(study.trials[4]))  # by rich's own settings
        assert isinstance(console.file, io.StringIO)
        moved = study.trials[4].system_attrs["ncp:reasons"]["moves"]
        assert moved
        assert all(move[0] in console.file.getvalue() for move in moved)
        assert "loss[val]" in console.file.getvalue()
