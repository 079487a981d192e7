"""Processes around guides, and means condensed to few codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler.predictors import GaussianProcess, InfiniteMLP, MLPEnsemble
from ncp_sampler.predictors.condensed import condensed
from ncp_sampler.predictors.transforms import FeaturePredictor
from ncp_sampler.predictors.guided import Guided
from ncp_sampler.predictors.selected import Selected

Array = NDArray[np.float64]


def _data(n: int, seed: int = 0) -> tuple[Array, Array]:
    """Codes of 6 columns, and a bumpy function that few rows do not show."""
    x = np.random.default_rng(seed).random((n, 6))
    return x, np.sin(6 * x[:, 0]) + np.sin(7 * x[:, 1]) * x[:, 2] + x[:, 3] ** 2


def _guided(x: Array, guide: Array) -> Array:
    """Codes with a guide for their last column, in [0, 1]."""
    return np.column_stack([x, (guide - guide.min()) / np.ptp(guide)])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("inner", [InfiniteMLP, GaussianProcess])
def test_a_guide_of_either_sign_is_believed(
    inner: type[InfiniteMLP] | type[GaussianProcess], sign: float
) -> None:
    x, y = _data(60)
    at = _guided(x, sign * (y + 0.1 * x[:, 4]))
    plain = inner().fit(x[:12], {"y": y[:12]}).predict(x[12:])[0][:, 0]
    guided = Guided(inner(), 1).fit(at[:12], {"y": y[:12]}).predict(at[12:])[0][:, 0]
    errors = [np.abs(predicted - y[12:]).mean() for predicted in (plain, guided)]
    assert errors[1] < 0.5 * errors[0], errors


def test_a_guide_that_says_nothing_is_not_believed() -> None:
    x, y = _data(100)
    at = _guided(x, np.random.default_rng(1).random(100))
    plain = InfiniteMLP().fit(x[:40], {"y": y[:40]}).predict(x[40:])[0][:, 0]
    guided = Guided(InfiniteMLP(), 1).fit(at[:40], {"y": y[:40]}).predict(at[40:])[0][:, 0]
    errors = [np.abs(predicted - y[40:]).mean() for predicted in (plain, guided)]
    assert errors[1] < 1.1 * errors[0], errors


def test_what_can_be_guided() -> None:
    with pytest.raises(ValueError, match=r"inner=.* must be an exact predictor"):
        Guided(MLPEnsemble(), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="guides=0 must be at least 1"):
        Guided(InfiniteMLP(), 0)


def test_a_condensed_is_nearly_the_mean() -> None:
    """Of 48 codes in place of 300 rows, of two metrics, one of them with gaps."""
    x, y = _data(300)
    gaps = np.where(np.arange(300) % 4 == 0, np.nan, 3 + 2 * x[:, 4])
    predictor = FeaturePredictor(
        Selected([InfiniteMLP(capacity=300), GaussianProcess(capacity=300)]), lambda x: x**2
    )
    metrics = {"y": y, "size": gaps}
    predictor.fit(x, metrics)
    mean = condensed(predictor, x, metrics, np.arange(0, 300, 6))
    new = torch.as_tensor(_data(200, seed=1)[0]).requires_grad_(True)
    found = mean(new)
    exact = predictor.mean(new).detach()
    spread = exact.std(0)
    assert float(((found.detach() - exact).abs().mean(0) / spread).max()) < 0.25
    (slope,) = torch.autograd.grad(found.sum(), new)
    assert bool(slope.isfinite().all())


def test_caution_lowers_most_where_no_row_is() -> None:
    x, y = _data(60)
    process = GaussianProcess().fit(x, {"y": y})
    basis = np.arange(60)
    mean, lowered = (condensed(process, x, {"y": y}, basis, caution=c) for c in (0.0, 2.0))
    far = np.vstack([x, np.full((1, 6), 3.0)])
    with torch.no_grad():
        less = (mean(torch.as_tensor(far)) - lowered(torch.as_tensor(far)))[:, 0].numpy()
    std = process.predict(far)[1][:, 0]
    np.testing.assert_allclose(less, 2 * std, rtol=1e-3)
    assert less[-1] > 2 * less[:-1].max()


def test_only_exact_predictors_are_condensed() -> None:
    x, y = _data(20)
    network = MLPEnsemble(members=2).fit(x, {"y": y}, steps=2)
    with pytest.raises(TypeError, match="MLPEnsemble is no exact predictor"):
        condensed(network, x, {"y": y}, np.arange(5))
