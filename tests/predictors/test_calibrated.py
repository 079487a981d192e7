"""Doubt and noise as they are: intervals that hold what they say, and states that are restored."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler.predictors.calibration import Calibrated
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor

RNG = np.random.default_rng(0)
X, NEW = RNG.random((240, 4)), RNG.random((2000, 4))
NOISE = 0.3


def beneath(x: NDArray[np.float64]) -> NDArray[np.float64]:
    value: NDArray[np.float64] = np.sin(5 * x[:, 0]) + x[:, 1] * x[:, 2]
    return value


Y = beneath(X) + NOISE * RNG.normal(size=len(X))
MEASURED = beneath(NEW) + NOISE * RNG.normal(size=len(NEW))


def sure_of_itself() -> MLPEnsemble:
    """Its members agree far too well."""
    return MLPEnsemble(members=4, shared=32, head=16, steps=100, bootstrap=False, dropout=0.1)


@pytest.mark.parametrize("inner", [GaussianProcess(), sure_of_itself()])
def test_intervals_hold_what_they_say(inner: Predictor) -> None:
    model = Calibrated(inner).fit(X, {"a": Y})
    low, high = model.interval(NEW)
    assert 0.9 < ((low[:, 0] < MEASURED) & (high[:, 0] > MEASURED)).mean() < 0.98
    narrow, wide = model.interval(NEW, share=0.5)
    assert 0.4 < ((narrow[:, 0] < MEASURED) & (wide[:, 0] > MEASURED)).mean() < 0.6
    assert isinstance(model, Predictor)


def test_noise_is_told_from_doubt() -> None:
    model = Calibrated(GaussianProcess()).fit(X, {"a": Y})
    assert model.noise[0] == pytest.approx(NOISE, rel=0.35)
    mean, std = model.predict(NEW)
    error = mean[:, 0] - beneath(NEW)
    assert 0.5 < np.sqrt(np.mean((error / std[:, 0]) ** 2)) < 2
    exact = Calibrated(GaussianProcess()).fit(X, {"a": beneath(X)})
    assert exact.noise[0] < 0.1


def test_the_gradient_is_the_inner_one_stretched() -> None:
    model = Calibrated(GaussianProcess()).fit(X, {"a": Y})
    x = torch.tensor(NEW[:3], requires_grad=True)
    stds = [one.posterior(x)[1].sum() for one in (model, model.inner)]
    own, inner = (torch.autograd.grad(std, x, retain_graph=True)[0] for std in stds)
    torch.testing.assert_close(own, inner * model.stretch[0])


def test_few_rows_leave_the_noise_unknown() -> None:
    model = Calibrated(GaussianProcess()).fit(X[:39], {"a": Y[:39]})
    assert np.isnan(model.noise).all()
    assert model.stretch.tolist() == [1.0]
    assert np.isnan(model.interval(NEW[:2])[0]).all()
    missing = np.where(np.arange(240) < 6, Y, np.nan)
    two = Calibrated(GaussianProcess()).fit(X, {"a": Y, "b": missing})
    assert np.isfinite(two.noise[0])
    assert np.isnan(two.noise[1])


def test_state_pickle_and_conditioned_copies() -> None:
    model = Calibrated(GaussianProcess(), seed=3).fit(X, {"a": Y})
    expected = model.predict(NEW[:5])
    restored = Calibrated(GaussianProcess())
    restored.load_state_dict(pickle.loads(pickle.dumps(model.state_dict())))
    restored.fit(X, {"a": Y}, steps=0)
    for other in (restored, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(NEW[:5]), expected)
        assert other.noise == model.noise
    believed = model.condition(NEW[:5])
    assert (believed.predict(NEW[:5])[1] < expected[1]).all()
    other = model.calibrate(NEW, {"a": beneath(NEW)})
    assert other.noise[0] < model.noise[0]
    np.testing.assert_array_equal(other.predict(NEW[:5])[0], expected[0])


def test_bad_input() -> None:
    with pytest.raises(RuntimeError, match="not fitted"):
        Calibrated(GaussianProcess()).predict(NEW)
    model = Calibrated(GaussianProcess()).fit(X, {"a": Y})
    with pytest.raises(ValueError, match=r"metrics=\['b'\] must be those learnt, \['a'\]"):
        model.calibrate(NEW, {"b": MEASURED})
    with pytest.raises(ValueError, match="share=1 must be above 0 and below 1"):
        model.interval(NEW, share=1)
