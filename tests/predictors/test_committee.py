"""A committee of predictors, and predictors of features: they are predictors as any other."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.features import NAMES, derived, smooth_features
from ncp_sampler.predictors.mixture import Mixture
from ncp_sampler.predictors.distillation import Distilled
from ncp_sampler.predictors.transforms import FeaturePredictor
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.selected import Selected
from tests.search_examples import SPACE, records

ROWS = records(50)
X = SPACE.normalize(ROWS.codes)
NEW = SPACE.normalize(SPACE.sample(6, 9))


def networks() -> MLPEnsemble:
    return MLPEnsemble(members=2, shared=8, head=8, steps=20)


MAKERS: dict[str, Callable[[], Predictor]] = {
    "committee": lambda: Mixture([GaussianProcess(), networks()]),
    "featured": lambda: FeaturePredictor(GaussianProcess(), smooth_features),
    "distilled": lambda: Distilled(networks(), NEW, features=smooth_features),
    "selected": lambda: Selected([InfiniteMLP(), GaussianProcess()]),
    "both": lambda: Mixture([FeaturePredictor(networks(), smooth_features), GaussianProcess()]),
}


@pytest.fixture(params=list(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_state_and_pickle_round_trip(name: str) -> None:
    model = MAKERS[name]().fit(X, ROWS.metrics)
    mean, std = model.predict(NEW)
    restored = MAKERS[name]()
    restored.load_state_dict(pickle.loads(pickle.dumps(model.state_dict())))
    restored.fit(X, ROWS.metrics, steps=0)  # a process keeps its rows elsewhere
    for other in (restored, pickle.loads(pickle.dumps(model))):
        assert other.names == model.names == ("mIoU", "flops")
        np.testing.assert_array_equal(other.predict(NEW)[0], mean)
        np.testing.assert_array_equal(other.predict(NEW)[1], std)


def test_arrays_and_tensors_agree(name: str) -> None:
    model = MAKERS[name]().fit(X, ROWS.metrics)
    mean, std = model.predict(NEW)
    at = torch.as_tensor(NEW)
    with torch.no_grad():
        np.testing.assert_allclose(model.mean(at).numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(model.posterior(at)[1].numpy(), std, rtol=1e-4, atol=1e-6)


def test_conditioning_lowers_doubt_there(name: str) -> None:
    model = MAKERS[name]().fit(X, ROWS.metrics)
    before = model.predict(NEW)[1][0, 0]
    conditioned = model.condition(NEW[:1])
    assert conditioned.predict(NEW)[1][0, 0] <= before
    assert model.predict(NEW)[1][0, 0] == before


@pytest.mark.parametrize("posterior", [False, True])
def test_gradients_through_features_are_those_of_finite_differences(posterior: bool) -> None:
    members: list[Predictor] = [GaussianProcess(), FeaturePredictor(GaussianProcess(), smooth_features)]
    model = Mixture(members).fit(X, ROWS.metrics)
    at = torch.as_tensor(NEW[:2]).clamp(0.05, 0.95).requires_grad_(True)

    def ask(x: torch.Tensor) -> torch.Tensor:
        return torch.cat(model.posterior(x)) if posterior else model.mean(x)

    assert torch.autograd.gradcheck(ask, at, eps=1e-6, atol=1e-4, rtol=1e-3)


def test_committee_follows_the_law_of_total_variance() -> None:
    members: list[Predictor] = [GaussianProcess(), networks()]
    model = Mixture(members).fit(X, ROWS.metrics)
    means, stds = (np.array(both) for both in zip(*(m.predict(NEW) for m in members), strict=True))
    mean, std = model.predict(NEW)
    np.testing.assert_allclose(mean, means.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std**2, (stds**2).mean(0) + means.var(0), rtol=1e-5)


def test_committee_gives_a_member_as_many_rows_as_it_takes() -> None:
    class Small(GaussianProcess):
        rows = 0

        def fit(self, x, metrics, *, weights=None, steps=None):  # type: ignore[no-untyped-def]
            self.rows = len(x)
            return super().fit(x, metrics, weights=weights, steps=steps)

    small, large = Small(capacity=20), Small(capacity=200)
    Mixture([small, large]).fit(X, ROWS.metrics, weights=np.ones(50))
    assert (small.rows, large.rows) == (20, 50)


def test_committee_needs_a_member() -> None:
    with pytest.raises(ValueError, match="members is empty"):
        Mixture([])


@pytest.mark.parametrize("x", [np.full((3, 27), np.nan), np.zeros(27)])
def test_featured_refuses_codes_of_another_form(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite unit codes"):
        FeaturePredictor(GaussianProcess(), smooth_features).fit(x, {"a": np.zeros(3)})


def test_featured_says_what_is_missing() -> None:
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
