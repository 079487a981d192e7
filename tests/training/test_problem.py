"""Problems and checkpoints of a study; wrong arguments are refused before any training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ncp_sampler.detection3d import CAR
from ncp_sampler.training import (
    CLASSIFICATION,
    PRESETS,
    DigitClips,
    Digits,
    TrainingProblem,
    evaluate,
    make_detection_problem,
    make_problem,
    train,
)
from tests.training_examples import uniform_code, width_problem


def digits(**changes: Any) -> TrainingProblem:
    data = Digits("val", limit=4)
    arguments = {"preset": PRESETS["digits-cls"], "train": data, "val": data, "test": data}
    return make_problem("digits", **{**arguments, "in_channels": 1, **changes})


def clips(**changes: Any) -> TrainingProblem:
    data = DigitClips("val", length=4)
    return make_problem(
        "clips", PRESETS["digits-video"], train=data, val=data, test=data, **changes
    )


def scenes(**changes: Any) -> TrainingProblem:
    arguments: dict[str, Any] = {
        "train": [1],
        "val": [1],
        "test": [1],
        "anchors": [CAR],
        "ious": [0.5],
    }
    return make_detection_problem("scenes", PRESETS["digits-cls"].recipe, **arguments | changes)


def changed(value: Any, **changes: Any) -> object:
    return replace(value, **changes)


@pytest.mark.parametrize("problem", [digits, clips, scenes])
@pytest.mark.parametrize(("initialization", "scale"), [("identity", 0), ("kaiming", 1)])
def test_networks_begin_as_asked(
    problem: Callable[..., TrainingProblem], initialization: str, scale: float
) -> None:
    """The last batch norm of a residual unit scales by 0, or by 1 as those of the tables."""
    frames = {"frames": 4} if problem is clips else {}
    made = problem(initialization=initialization, **frames)
    state = made.build(uniform_code(1, 8)).state_dict()
    last = [value for name, value in state.items() if name.endswith("second.norm.weight")]
    assert len(last) == 10  # one residual unit on each branch of the four stages
    assert all((value == scale).all() for value in last)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: digits(preset="digits-cls"), "preset='digits-cls' must be a Preset"),
        (lambda: digits(test=5), "test=5 must be a data set"),
        (lambda: digits(train="x"), "train='x' must be a data set"),
        (lambda: digits(val=[]), "val has no samples; give a data set with at least one"),
        (lambda: scenes(point_range=5), "point_range=5 must be six numbers"),
        (lambda: scenes(ious=5), "ious=5 must each be above 0"),
        (lambda: digits(in_channels=0), "in_channels=0 must be at least 1"),
        (lambda: digits(frames=4), "frames=4 must be None unless the preset is of video"),
        (lambda: digits(workers=-1), "workers=-1 must be at least 0"),
        (lambda: digits(seed=0.5), "seed=0.5 must be an integer of at least 0"),
        (lambda: digits(initialization="he"), "initialization='he' must be one of"),
        (lambda: scenes(initialization=None), "initialization=None must be one of"),
        (clips, "frames=None must be an integer of at least 1"),
        (lambda: changed(width_problem(), name=""), "name='' must be a string that is not empty"),
        (lambda: changed(width_problem(), build=None), "build=None must be a function"),
        (lambda: changed(width_problem(), train=5), "train=5 must be a DataLoader of batches"),
        (lambda: changed(width_problem(), task="top1"), "task='top1' must be a Task"),
        (lambda: changed(CLASSIFICATION, loss=None), "loss=None must be a function"),
        (lambda: changed(CLASSIFICATION, metric=""), "metric='' must be a string"),
    ],
)
def test_bad_problem(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "net"}, "model='net' must be a torch.nn.Module"),
        ({"task": "top1"}, "task='top1' must be a Task"),
        ({"recipe": "sgd"}, "recipe='sgd' must be a Recipe"),
        ({"train_loader": 5}, "train_loader=5 must be a DataLoader of batches"),
        ({"train_loader": []}, r"train_loader=\[\] must have at least one batch"),
        ({"optimizer": 5}, "optimizer=5 must be a torch.optim.Optimizer"),
        ({"device": "nonsense"}, "device='nonsense' cannot be used here"),
        ({"seed": -1}, "seed=-1 must be between 0 and"),
        ({"bf16": "no"}, "bf16='no' must be True or False"),
        ({"on_epoch": 5}, "on_epoch=5 must be a function of an Epoch, or None"),
    ],
)
def test_bad_training(change: dict[str, Any], message: str) -> None:
    problem = width_problem()
    arguments = {"model": problem.build([1]), "train_loader": problem.train}
    arguments |= {"val_loader": problem.val, "task": problem.task, "recipe": problem.recipe}
    with pytest.raises(ValueError, match=message):
        train(**{**arguments, **change})


def test_evaluation_needs_a_loader() -> None:
    with pytest.raises(ValueError, match="loader=5 must be a DataLoader of batches"):
        evaluate(nn.Linear(1, 2), 5, task=CLASSIFICATION)  # type: ignore[arg-type]
