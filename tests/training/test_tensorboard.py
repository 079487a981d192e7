"""TensorBoard's files of trainings, read back by TensorBoard itself."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from examples import training_program as command_line
from ncp_sampler import MRSpace
from ncp_sampler.command_line.study import create_study, run_study
from ncp_sampler.training import TensorBoardLog, train
from tests.training_examples import digits_problem, scenes_problem

TINY = MRSpace(width=16, depth=1)
CODE = TINY.start


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value)."""
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def texts(folder: Path) -> dict[str, str]:
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {
        tag.removesuffix("/text_summary"): events.Tensors(tag)[0]
        .tensor_proto.string_val[0]
        .decode()
        for tag in events.Tags()["tensors"]
    }


@pytest.mark.parametrize(("name", "prefix"), [("", ""), ("digits", "digits/")])
def test_every_epoch_is_written(name: str, prefix: str, tmp_path: Path) -> None:
    problem = digits_problem(limit=32, epochs=2)
    with TensorBoardLog(tmp_path / "new" / "run", name=name) as log:
        trained = train(
            problem.build(CODE),
            problem.train,
            problem.val,
            task=problem.task,
            recipe=problem.recipe,
            on_epoch=log,
        )
    logged = scalars(tmp_path / "new" / "run")
    assert set(logged) == {f"{prefix}loss", f"{prefix}metric"}
    numbers = [epoch.number for epoch in trained.epochs]
    for what in ("loss", "metric"):
        steps, values = zip(*logged[f"{prefix}{what}"], strict=True)
        assert list(steps) == numbers
        assert values == pytest.approx([getattr(epoch, what) for epoch in trained.epochs])


def test_a_study_has_a_folder_for_each_trial(tmp_path: Path) -> None:
    problems = [digits_problem(limit=32, epochs=1), scenes_problem(length=16)]
    study = create_study(problems, space=TINY)
    logs = tmp_path / "logs"
    run_study(study, problems, space=TINY, out=tmp_path / "out", trials=3, tensorboard=logs)
    assert sorted(path.name for path in logs.iterdir()) == [f"trial-{i:03}" for i in range(3)]
    for trial in study.trials:
        logged = scalars(logs / f"trial-{trial.number:03}")
        assert set(logged) == {f"{p.name}/{what}" for p in problems for what in ("loss", "metric")}
        best = [max(value for _, value in logged[f"{p.name}/metric"]) for p in problems]
        assert best == pytest.approx(trial.values[:2])
    assert "A startup trial" in texts(logs / "trial-002")["why"]


def test_the_option_of_the_examples(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    options = ["--trials", "1", "--epochs", "1", "--width", "16", "--depth", "1", "--threads", "1"]
    options += ["--out", str(tmp_path / "out"), "--tensorboard", str(logs)]
    problems = [digits_problem(limit=32, epochs=1)]
    done = command_line.main("x", lambda smoke: problems, trials=1, out="x", arguments=options)
    assert done == 0
    assert set(scalars(logs / "trial-000")) == {"digits/loss", "digits/metric"}


def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    options = ["--out", str(tmp_path / "out"), "--tensorboard", str(tmp_path / "file")]
    problems = [digits_problem(limit=32, epochs=1)]
    with pytest.raises(SystemExit):
        command_line.main("x", lambda smoke: problems, trials=1, out="x", arguments=options)
    assert "--tensorboard" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoardLog(tmp_path)
    with pytest.raises(SystemExit):
        command_line.main("x", lambda smoke: problems, trials=1, out="x", arguments=options)
    assert "pip install tensorboard" in capsys.readouterr().err
