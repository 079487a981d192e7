"""The optimizer of trained predictors takes the steps of PyTorch's own, without its import."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from ncp_sampler.predictors.adamw import AdamW, one_cycle


def _loss(weights: list[torch.Tensor]) -> torch.Tensor:
    return (weights[0] - 2).square().sum() + (weights[0] * weights[1]).sum()


def _weights() -> list[torch.Tensor]:
    return [torch.full((3,), start, requires_grad=True) for start in (0.5, -1.0)]


@pytest.mark.parametrize("cycle", [None, 1, 2, 40])
def test_steps_are_those_of_torch(cycle: int | None) -> None:
    own, theirs = _weights(), _weights()
    optimizer = AdamW(own, rate=0.1, weight_decay=0.2, cycle=cycle)
    reference = torch.optim.AdamW(theirs, 0.1, weight_decay=0.2)
    schedule = OneCycleLR(reference, 0.1, total_steps=cycle, div_factor=10) if cycle else None

    for _ in range(cycle or 40):
        optimizer.step(_loss(own))
        reference.zero_grad()
        _loss(theirs).backward()
        reference.step()
        if schedule is not None:
            schedule.step()

    torch.testing.assert_close(own, theirs)


def test_a_cycle_rises_to_the_peak_and_ends_at_almost_nothing() -> None:
    rates = [one_cycle(step, 10, 1.0)[0] for step in range(10)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[2] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1e-5)
