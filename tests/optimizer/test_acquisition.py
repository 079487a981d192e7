"""Expected improvement: equal to its definition, and usable where the definition underflows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from ncp_sampler.optimizer.acquisition import _LEAST_GAIN, _floored
from ncp_sampler.search.pareto import boxes_beyond, pareto_front, thinned
from ncp_sampler.optimizer.improvement import (
    Beyond,
    chebyshev,
    log_expected_improvement,
    log_hypervolume_improvement,
    log_scalarized_improvement,
)


@pytest.mark.parametrize("mean", [-3.0, -1.01, -0.99, 0.0, 2.5])
@pytest.mark.parametrize("std", [0.1, 1.0, 4.0])
def test_log_expected_improvement_is_the_integral(mean: float, std: float) -> None:
    best = 0.3
    f = np.linspace(best, best + 60 * std, 2_000_001)
    density = np.exp(-0.5 * ((f - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    expected = trapezoid((f - best) * density, f)
    value = log_expected_improvement(
        torch.tensor([mean]).double(), torch.tensor([std]).double(), best
    )
    assert value.exp().item() == pytest.approx(expected, rel=1e-4)


def test_log_expected_improvement_rises_without_end_or_gap() -> None:
    z = -torch.logspace(6, -3, 400, dtype=torch.float64)
    z.requires_grad_(True)
    value = log_expected_improvement(z, torch.ones_like(z), 0.0)
    (slope,) = torch.autograd.grad(value.sum(), z)
    assert torch.isfinite(value).all()
    assert (value.diff() > 0).all()
    assert torch.isfinite(slope).all()
    assert (slope > 0).all()


def test_gains_that_do_not_pay_keep_their_order_within_one() -> None:
    gain = torch.linspace(-60, 3, 500, dtype=torch.float64).requires_grad_(True)
    floored = _floored(gain)
    (slope,) = torch.autograd.grad(floored.sum(), gain)
    pays = gain.detach() > _LEAST_GAIN
    assert torch.equal(floored.detach()[pays], gain.detach()[pays])
    assert (floored.diff() > 0).all()
    assert floored.min() > _LEAST_GAIN - 1
    assert (slope > 0).all()
    assert slope.max() == 1
    assert _floored(torch.tensor([-math.inf]).double()).item() == _LEAST_GAIN - 1


def test_chebyshev_takes_the_worst_metric_and_a_little_of_all() -> None:
    values = torch.tensor([[-1.0, -4.0], [-2.0, -2.0]])
    weights = torch.tensor([0.5, 0.5])
    assert chebyshev(values, weights).tolist() == pytest.approx([-2.125, -1.1])


def test_scalarized_improvement_is_the_expectation_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(4000, 2, dtype=torch.float64, generator=generator)
    mean = torch.tensor([[0.2, -0.1], [-0.5, 0.4]], dtype=torch.float64)
    std = torch.tensor([[0.3, 0.5], [0.4, 0.2]], dtype=torch.float64)
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    value = log_scalarized_improvement(mean, std, weights, -0.05, normal)
    draws = chebyshev(mean + normal[:, None] * std, weights)
    expected = (draws + 0.05).clamp_min(0).mean(0).log()
    torch.testing.assert_close(value, expected, rtol=0.02, atol=0.02)


def test_scalarized_improvement_has_a_slope_where_nothing_improves() -> None:
    normal = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    mean = torch.full((1, 2), -50.0, requires_grad=True)
    value = log_scalarized_improvement(
        mean, torch.full((1, 2), 0.1), torch.tensor([0.5, 0.5]), 0.0, normal
    )
    (slope,) = torch.autograd.grad(value.sum(), mean)
    assert torch.isfinite(value).all()
    assert (slope >= 0).all()
    assert slope.max() > 0


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("size", [0, 1, 12])
def test_boxes_are_what_the_front_does_not_dominate(m: int, size: int) -> None:
    """They do not overlap, and a point is in one of them if it is better than the reference."""
    rng = np.random.default_rng(m * size)
    points = rng.random((3 * size, m)).round(1)  # equal values too
    front = points[pareto_front(points)] if size else points
    low, high = boxes_beyond(front, np.zeros(m))
    at = rng.uniform(-0.1, 1.1, (2000, m))
    within = (at[:, None] > low) & (at[:, None] < high)
    inside = np.all(within, axis=2).sum(axis=1)
    dominated = np.any(np.all(at[:, None] <= front, axis=2), axis=1)
    assert np.array_equal(inside, np.all(at > 0, axis=1) & ~dominated)


def test_pareto_front_is_that_of_the_definition() -> None:
    values = np.random.default_rng(0).random((200, 3)).round(1)
    rows = [tuple(row) for row in values.tolist()]
    best = {
        row
        for row in rows
        if not any(
            other != row and all(a >= b for a, b in zip(other, row, strict=True)) for other in rows
        )
    }
    front = [tuple(row) for row in values[pareto_front(values)].tolist()]
    assert set(front) == best
    assert len(front) == len(set(front))


def test_a_thinned_front_keeps_its_ends() -> None:
    angle = np.linspace(0.1, 1.4, 60)
    front = np.stack([np.cos(angle), np.sin(angle)], 1)
    few = thinned(front, 8)
    assert len(few) == 8
    assert (few.max(axis=0) == front.max(axis=0)).all()
    assert np.abs(np.diff(few, axis=0)).max() < 0.4


@pytest.mark.parametrize("m", [2, 3, 4])
def test_hypervolume_improvement_is_the_expectation_over_draws(m: int) -> None:
    rng = np.random.default_rng(m)
    points = rng.random((30, m))
    front, reference = points[pareto_front(points)], np.full(m, -0.1)
    mean, std = rng.uniform(0.2, 1.2, (4, m)), rng.uniform(0.05, 0.5, (4, m))
    known = (False,) * (m - 1) + (True,)
    std[:, -1] = 0.0
    value = log_hypervolume_improvement(
        torch.as_tensor(mean),
        torch.as_tensor(std),
        Beyond.of(front, reference, torch.device("cpu")),
        known,
    )
    low, high = boxes_beyond(front, reference)
    draws = mean + rng.standard_normal((40_000, 1, m)) * std
    sides = [(np.minimum(draws, h) - lo).clip(0).prod(-1) for lo, h in zip(low, high, strict=True)]
    np.testing.assert_allclose(value.exp().numpy(), np.sum(sides, 0).mean(0), rtol=0.04, atol=1e-4)


def test_hypervolume_improvement_has_a_slope_where_nothing_improves() -> None:
    front = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    beyond = Beyond.of(front, np.full(2, -1.0), torch.device("cpu"))
    mean = torch.full((3, 2), -40.0, dtype=torch.float64)
    mean[1] = 0.499999
    mean[2] = 1e6
    mean.requires_grad_(True)
    for known in ((False, False), (False, True)):
        value = log_hypervolume_improvement(mean, torch.full_like(mean, 0.1), beyond, known)
        (slope,) = torch.autograd.grad(value.sum(), mean)
        assert torch.isfinite(value).all()
        assert (slope > 0).all()
