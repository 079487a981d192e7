"""Predictors of features, and the features of MRSpace."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ncp_sampler.multi_resolution import MRSpace, costs
from ncp_sampler.multi_resolution.features import (
    NAMES,
    SmoothFeatures,
    derived,
    smooth_features,
)
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.transforms import FeaturePredictor
from tests.search_examples import SPACE


@pytest.mark.parametrize("x", [np.full((3, 27), np.nan), np.zeros(27)])
def test_a_feature_predictor_refuses_codes_of_another_form(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite unit codes"):
        FeaturePredictor(GaussianProcess(), smooth_features).fit(x, {"a": np.zeros(3)})


def test_a_feature_predictor_says_what_is_missing() -> None:
    model = FeaturePredictor(GaussianProcess(), smooth_features)
    with pytest.raises(RuntimeError, match="not fitted"):
        model.predict(SPACE.normalize(SPACE.sample(2, 0)))
    with pytest.raises(ValueError, match=r"unit has shape \(4, 3\)"):
        model.fit(np.zeros((4, 3)), {"a": np.arange(4.0)})


def named(codes: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(zip(NAMES, derived(codes).unbind(1), strict=True))


def test_features_say_what_their_names_say() -> None:
    code = dict(zip(SPACE.columns, SPACE.start.tolist(), strict=True))
    code |= {"b3": 3, "n3_2": 4, "c3_2": 16}
    found = named(torch.tensor([list(map(float, code.values()))], dtype=torch.float64))
    expected = {
        "units3_2": 12,
        "weights3_2": np.log2(2 * 9 * 12 * 16**2),
        "narrowest_r2": 16,
        "narrowest_r4": 64,
        "width3": 64 + 16 + 64,
        "depth_r4": 4,
        "blocks": 2 + 2 + 3 + 2,
        "stem": 12,
    }
    assert {key: found[key].item() for key in expected} == pytest.approx(expected)


def test_features_know_the_costs_nearly() -> None:
    codes = torch.as_tensor(SPACE.sample(300, 1), dtype=torch.float64)
    found = named(codes)
    for name, exact in (("flops", costs.flops(codes)), ("params", costs.params(codes))):
        assert np.corrcoef(found[name].numpy(), exact.log2().numpy())[0, 1] > 0.99
    features = smooth_features(torch.as_tensor(SPACE.normalize(codes.numpy())))
    assert features.shape == (300, 27 + len(found))
    assert bool(features.isfinite().all())


def test_features_in_numpy_are_those_in_pytorch() -> None:
    """Values and gradients, of the whole space and of a narrower one."""
    for space in (MRSpace(), MRSpace(width=64, depth=2)):
        features = space.features
        assert isinstance(features, SmoothFeatures)
        unit = np.random.default_rng(0).random((5, 27))
        leaf = torch.tensor(unit, requires_grad=True)
        values, pullback = features.vjp(unit)
        expected = features(leaf)
        np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-12)
        by_feature = np.random.default_rng(1).standard_normal(values.shape)
        (gradient,) = torch.autograd.grad((expected * torch.as_tensor(by_feature)).sum(), leaf)
        np.testing.assert_allclose(pullback(by_feature), gradient.numpy(), rtol=1e-9, atol=1e-9)
