"""Mixtures, predictors of features, and distilled ones: they are predictors as any other."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ncp_sampler.multi_resolution.features import smooth_features
from ncp_sampler.predictors.distillation import Distilled
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.mixture import Mixture
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.transforms import FeaturePredictor
from tests.search_examples import SPACE, records

ROWS = records(50)
X = SPACE.normalize(ROWS.codes)
NEW = SPACE.normalize(SPACE.sample(6, 9))


def networks() -> MLPEnsemble:
    return MLPEnsemble(members=2, shared=8, head=8, steps=20)


MAKERS: dict[str, Callable[[], Predictor]] = {
    "mixture": lambda: Mixture([GaussianProcess(), networks()]),
    "features": lambda: FeaturePredictor(GaussianProcess(), smooth_features),
    "distilled": lambda: Distilled(networks(), NEW, features=smooth_features),
    "gaussian process": GaussianProcess,
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
    for copied in (restored, pickle.loads(pickle.dumps(model))):
        assert copied.names == model.names == ("mIoU", "flops")
        np.testing.assert_array_equal(copied.predict(NEW)[0], mean)
        np.testing.assert_array_equal(copied.predict(NEW)[1], std)


def test_arrays_and_tensors_agree(name: str) -> None:
    model = MAKERS[name]().fit(X, ROWS.metrics)
    mean, std = model.predict(NEW)
    at = torch.as_tensor(NEW)
    with torch.no_grad():
        np.testing.assert_allclose(model.mean(at).numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(model.posterior(at)[1].numpy(), std, rtol=1e-4, atol=1e-6)


def test_conditioning_lowers_the_uncertainty_there(name: str) -> None:
    model = MAKERS[name]().fit(X, ROWS.metrics)
    before = model.predict(NEW)[1][0, 0]
    conditioned = model.condition(NEW[:1])
    assert conditioned.predict(NEW)[1][0, 0] <= before
    assert model.predict(NEW)[1][0, 0] == before


@pytest.mark.parametrize("posterior", [False, True])
def test_gradients_through_features_are_those_of_finite_differences(posterior: bool) -> None:
    members: list[Predictor] = [
        GaussianProcess(),
        FeaturePredictor(GaussianProcess(), smooth_features),
    ]
    model = Mixture(members).fit(X, ROWS.metrics)
    at = torch.as_tensor(NEW[:2]).clamp(0.05, 0.95).requires_grad_(True)

    def ask(x: torch.Tensor) -> torch.Tensor:
        return torch.cat(model.posterior(x)) if posterior else model.mean(x)

    assert torch.autograd.gradcheck(ask, at, eps=1e-6, atol=1e-4, rtol=1e-3)


def test_mixture_follows_the_law_of_total_variance() -> None:
    members: list[Predictor] = [GaussianProcess(), networks()]
    model = Mixture(members).fit(X, ROWS.metrics)
    means, stds = (np.array(both) for both in zip(*(m.predict(NEW) for m in members), strict=True))
    mean, std = model.predict(NEW)
    np.testing.assert_allclose(mean, means.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std**2, (stds**2).mean(0) + means.var(0), rtol=1e-5)


def test_mixture_leaves_one_out_by_its_exact_members() -> None:
    process, few = GaussianProcess(), GaussianProcess(max_rows=20)
    mixture = Mixture([process, networks()]).fit(X, ROWS.metrics)
    moments = mixture.leave_one_out()
    assert moments is not None
    assert np.array_equal(moments[0], process.leave_one_out()[0])
    assert Mixture([networks()]).fit(X, ROWS.metrics).leave_one_out() is None

    moments = Mixture([few, networks()]).fit(X, ROWS.metrics).leave_one_out()
    assert moments is not None
    assert moments[0].shape == (50, len(ROWS.metrics))
    known = ~np.isnan(moments[0][:, 0])
    assert known.sum() == 20
    values = next(iter(ROWS.metrics.values()))
    assert np.corrcoef(moments[0][known, 0], values[known])[0, 1] > 0.5  # each at its own row


def test_mixture_gives_a_member_as_many_rows_as_it_takes() -> None:
    class Small(GaussianProcess):
        rows = 0

        def fit(self, x, metrics, *, weights=None, steps=None):  # type: ignore[no-untyped-def]
            self.rows = len(x)
            return super().fit(x, metrics, weights=weights, steps=steps)

    small, large = Small(max_rows=20), Small(max_rows=200)
    Mixture([small, large]).fit(X, ROWS.metrics, weights=np.ones(50))
    assert (small.rows, large.rows) == (20, 50)


def test_mixture_checks_rows_before_it_divides_them() -> None:
    with pytest.raises(ValueError, match=r"metrics\['a'\] has shape \(3,\), x has 50 codes"):
        Mixture([GaussianProcess(max_rows=20)]).fit(X, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match="weights must be 50 finite numbers"):
        Mixture([GaussianProcess(max_rows=20)]).fit(X, ROWS.metrics, weights=np.ones(3))


def test_mixture_needs_a_member() -> None:
    with pytest.raises(ValueError, match="members is empty"):
        Mixture([])
