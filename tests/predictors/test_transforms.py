"""Predictors of features, extended features, and the features of MRSpace."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler.multi_resolution import MRSpace, costs
from ncp_sampler.multi_resolution.features import (
    NAMES,
    SmoothFeatures,
    derived,
    smooth_features,
)
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.transforms import ExtendedFeatures, FeaturePredictor
from tests.search_examples import SPACE

X = np.random.default_rng(0).random((20, 3))
Y = {"loss": (X[:, 0] - 0.3) ** 2 + X[:, 1]}


class Squares:
    """Squares of unit codes as a feature map with a gradient of its own."""

    def __init__(
        self,
        features: Callable[[FloatArray], Any] = np.square,
        gradient: Callable[[FloatArray], Any] = lambda by_code: by_code,
    ) -> None:
        self.features, self.gradient = features, gradient

    def vjp(self, x: FloatArray) -> tuple[Any, Callable[[FloatArray], Any]]:
        return self.features(x), lambda g: self.gradient(2 * x * g)


def test_a_feature_map_may_have_a_gradient_of_its_own() -> None:
    own = FeaturePredictor(GaussianProcess(), Squares()).fit(X, Y).moments(X[:4])
    torchs = FeaturePredictor(GaussianProcess(), torch.square).fit(X, Y).moments(X[:4])
    ones = np.ones((4, 1))
    np.testing.assert_allclose(own.mean, torchs.mean)
    np.testing.assert_allclose(own.vjp(ones, ones), torchs.vjp(ones, ones))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            Squares(lambda x: x[:5]),
            r"features gives \(5, 3\) for 20 codes; it must give finite numb",
        ),
        (Squares(lambda x: x[:, 0]), r"features gives \(20,\) for 20 codes"),
        (Squares(lambda x: np.log(x - x)), r"features gives \(20, 3\) for 20 codes; .* finite"),
        (Squares(lambda x: x * np.nan), r"features gives \(20, 3\) for 20 codes; .* finite"),
        (Squares(lambda _: None), "features gives None for 20 codes"),
        (Squares(gradient=lambda g: g.sum(0)), r"pullback whose gradient has shape \(3,\)"),
        (Squares(gradient=lambda g: g[:, :2]), r"has shape \(20, 2\); .* the codes, \(20, 3\)"),
        (lambda x: x[:, 0], r"features gives torch.Size\(\[20\]\) for 20 codes"),
        (lambda x: x.log() * 0 / 0, "must give finite numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_feature_map_of_no_use_is_refused_by_fit(features: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeaturePredictor(GaussianProcess(), features).fit(X, Y)


@pytest.mark.parametrize("features", [None, Squares(np.square), smooth_features, torch.sin])
def test_extended_features_are_joined_by_another_models_predictions(features: Any) -> None:
    x = SPACE.normalize(SPACE.sample(12, 3)).clip(0.05, 0.95)
    source = GaussianProcess().fit(x, {"a": x[:, 0], "b": x[:, 1] * x[:, 2]})
    extended = ExtendedFeatures(features, [source.mean_vjp, Squares().vjp])
    values, pullback = extended.vjp(x)
    np.testing.assert_array_equal(values[:, -29:-27], source.predict(x)[0])
    np.testing.assert_array_equal(values[:, -27:], x**2)
    if features is None:
        np.testing.assert_array_equal(values[:, :-29], x)
    by_value, way = np.random.default_rng(1).standard_normal(values.shape), np.eye(27)[:2].sum(0)
    ends: list[NDArray[np.float64]] = [extended.vjp(x + h * way)[0] for h in (-1e-6, 1e-6)]
    slope = ((ends[1] - ends[0]) * by_value).sum(1) / 2e-6
    np.testing.assert_allclose(pullback(by_value) @ way, slope, rtol=1e-4, atol=1e-4)


def test_a_predictor_of_extended_features_is_one_as_any_other() -> None:
    source = GaussianProcess().fit(X, Y)
    features = ExtendedFeatures(None, [source.mean_vjp])
    model = FeaturePredictor(GaussianProcess().with_linear_terms(1), features)
    model.fit(X[:4], {"loss": 3 * Y["loss"][:4] + 1})
    mean, _ = model.predict(X)
    assert np.corrcoef(mean[4:, 0], Y["loss"][4:])[0, 1] > 0.95  # four rows, and the source
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X)[0], mean)


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
    features = named(torch.tensor([list(map(float, code.values()))], dtype=torch.float64))
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
    assert {key: features[key].item() for key in expected} == pytest.approx(expected)


def test_features_know_the_costs_nearly() -> None:
    codes = torch.as_tensor(SPACE.sample(300, 1), dtype=torch.float64)
    named_features = named(codes)
    for name, exact in (("flops", costs.flops(codes)), ("params", costs.params(codes))):
        assert np.corrcoef(named_features[name].numpy(), exact.log2().numpy())[0, 1] > 0.99
    features = smooth_features(torch.as_tensor(SPACE.normalize(codes.numpy())))
    assert features.shape == (300, 27 + len(named_features))
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
