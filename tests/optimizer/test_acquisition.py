"""Expected improvement: equal to its definition, and usable where the definition underflows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from ncp_sampler.optimizer.acquisition import (
    chebyshev,
    log_expected_improvement,
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
