"""A training that was stopped goes on as if it had not been."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from ncp_sampler.training import Epoch, Progress, TrainingProblem, evaluate, train
from tests.training_examples import digits_problem, uniform_code


def test_resumed_training_is_the_uninterrupted_one() -> None:
    """With samples in a fixed order, since a resumed training shuffles anew."""
    problem = digits_problem(limit=8, epochs=4)
    loader = DataLoader(problem.val.dataset, 4)
    model = problem.build(uniform_code(1, 8))
    optimizer = problem.recipe.make_optimizer(model)
    states = []

    def keep(epoch: Epoch) -> None:
        states.append(copy.deepcopy((model.state_dict(), optimizer.state_dict())))

    uninterrupted = train(
        model, loader, loader, task=problem.task, recipe=problem.recipe, optimizer=optimizer,
        on_epoch=keep,
    )  # fmt: skip

    resumed = problem.build(uniform_code(1, 8))
    its_optimizer = problem.recipe.make_optimizer(resumed)
    resumed.load_state_dict(states[1][0])
    its_optimizer.load_state_dict(states[1][1])
    rest = train(
        resumed, loader, loader, task=problem.task, recipe=problem.recipe,
        optimizer=its_optimizer, first_epoch=3,
    )  # fmt: skip
    assert rest.epochs == uninterrupted.epochs[2:]
    assert rest.metric == evaluate(resumed, loader, task=problem.task)
    resumed_state = its_optimizer.state_dict()["state"]
    torch.testing.assert_close(resumed_state, states[3][1]["state"], rtol=0, atol=0)


def noisy_problem(loader_seed: int | None) -> tuple[TrainingProblem, DataLoader[Any]]:
    """Shuffled and augmented samples; dropout in the network."""
    problem = digits_problem(limit=64, epochs=5)
    own = None if loader_seed is None else torch.Generator().manual_seed(loader_seed)
    data = problem.train.dataset
    return problem, DataLoader(data, 16, shuffle=True, drop_last=True, generator=own)


def dropping(problem: TrainingProblem) -> nn.Module:
    return nn.Sequential(nn.Dropout(0.2), problem.build(uniform_code(1, 8)))


@pytest.mark.parametrize("loader_seed", [None, 7])
def test_progress_goes_on_as_if_never_stopped(tmp_path: Path, loader_seed: int | None) -> None:
    """Shuffles, augmentation, dropout, momentum and the best epoch, through a file."""
    problem, loader = noisy_problem(loader_seed)
    path = tmp_path / "progress.pt"

    def keep(progress: Progress) -> None:
        torch.rand(7)  # what a callback draws is no training's business
        if len(progress.epochs) == 3:
            progress.save(path)

    whole_model = dropping(problem)
    given: dict[str, Any] = {"task": problem.task, "recipe": problem.recipe, "seed": 5}
    uninterrupted = train(whole_model, loader, problem.val, on_progress=keep, **given)
    again, fresh_loader = noisy_problem(loader_seed)
    model = dropping(again)
    resumed = train(model, fresh_loader, again.val, progress=Progress.load(path), **given)
    assert resumed == uninterrupted
    for name, value in whole_model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_stopped_training_remembers_its_best_epoch(tmp_path: Path) -> None:
    """Its metric falls after the stop; nothing is left to do after the last epoch either."""
    problem, loader = noisy_problem(None)
    scores = iter([50.0, 40.0, 30.0, 20.0, 10.0])
    task = replace(problem.task, score=lambda model, batches: next(scores))
    kept: list[Progress] = []
    model = dropping(problem)
    given: dict[str, Any] = {"task": task, "recipe": problem.recipe}
    uninterrupted = train(model, loader, problem.val, on_progress=kept.append, **given)
    assert uninterrupted.epoch == 1
    scores = iter([30.0, 20.0, 10.0])
    resumed = train(dropping(problem), loader, problem.val, progress=kept[1], **given)
    assert resumed == uninterrupted
    restored = dropping(problem)
    assert train(restored, loader, problem.val, progress=kept[-1], **given) == uninterrupted
    for name, value in kept[0].model.items():
        assert torch.equal(restored.state_dict()[name], value)


def test_progress_of_another_training_is_refused(tmp_path: Path) -> None:
    problem, loader = noisy_problem(None)
    kept: list[Progress] = []
    given: dict[str, Any] = {"task": problem.task, "recipe": problem.recipe}
    train(dropping(problem), loader, problem.val, on_progress=kept.append, **given)
    wide = problem.build(uniform_code(1, 16))
    with pytest.raises(ValueError, match="progress is of another training; give the model"):
        train(wide, loader, problem.val, progress=kept[0], **given)
    with pytest.raises(ValueError, match="first_epoch=2 must be 1 with progress"):
        train(dropping(problem), loader, problem.val, progress=kept[0], first_epoch=2, **given)
    short = {**given, "recipe": replace(problem.recipe, epochs=2)}
    with pytest.raises(ValueError, match="must have at most the recipe's epochs=2"):
        train(dropping(problem), loader, problem.val, progress=kept[-1], **short)
    path = tmp_path / "damaged.pt"
    kept[0].save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"path=.*damaged.pt' must be a file that Progress.save"):
        Progress.load(path)


@pytest.mark.parametrize("first", [0, 3])
def test_epoch_that_the_recipe_does_not_have(first: int) -> None:
    problem = digits_problem(limit=64)
    model = problem.build(uniform_code(1, 8))
    with pytest.raises(ValueError, match=f"first_epoch={first} must be from 1 to epochs=2"):
        train(
            model, problem.train, problem.val, task=problem.task, recipe=problem.recipe,
            first_epoch=first,
        )  # fmt: skip
