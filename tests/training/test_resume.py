"""A training that was stopped goes on as if it had not been."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.utils.data import DataLoader

from ncp_sampler.training import Epoch, evaluate, train
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

    whole = train(
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
    assert rest.epochs == whole.epochs[2:]
    assert rest.metric == evaluate(resumed, loader, task=problem.task)
    resumed_state = its_optimizer.state_dict()["state"]
    torch.testing.assert_close(resumed_state, states[3][1]["state"], rtol=0, atol=0)


@pytest.mark.parametrize("first", [0, 3])
def test_epoch_that_the_recipe_does_not_have(first: int) -> None:
    problem = digits_problem(limit=64)
    model = problem.build(uniform_code(1, 8))
    with pytest.raises(ValueError, match=f"first_epoch={first} must be from 1 to epochs=2"):
        train(
            model, problem.train, problem.val, task=problem.task, recipe=problem.recipe,
            first_epoch=first,
        )  # fmt: skip
