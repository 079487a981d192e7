"""Calibrated uncertainty: intervals that cover their share, and states that are restored."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler.predictors.calibration import Calibrated, sequential_factors
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.transforms import FeaturePredictor

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
def test_intervals_cover_their_share(inner: Predictor) -> None:
    model = Calibrated(inner).fit(X, {"a": Y})
    low, high = model.interval(NEW)
    assert 0.9 < ((low[:, 0] < MEASURED) & (high[:, 0] > MEASURED)).mean() < 0.98
    narrow, wide = model.interval(NEW, share=0.5)
    assert 0.4 < ((narrow[:, 0] < MEASURED) & (wide[:, 0] > MEASURED)).mean() < 0.6
    assert isinstance(model, Predictor)


def test_noise_is_separated_from_uncertainty() -> None:
    model = Calibrated(GaussianProcess()).fit(X, {"a": Y})
    assert model.noise[0] == pytest.approx(NOISE, rel=0.35)
    mean, std = model.predict(NEW)
    error = mean[:, 0] - beneath(NEW)
    assert 0.5 < np.sqrt(np.mean((error / std[:, 0]) ** 2)) < 2
    exact = Calibrated(GaussianProcess()).fit(X, {"a": beneath(X)})
    assert exact.noise[0] < 0.1


def test_the_gradient_is_scaled_by_the_factor() -> None:
    model = Calibrated(GaussianProcess()).fit(X, {"a": Y})
    x = torch.tensor(NEW[:3], requires_grad=True)
    stds = [predictor.posterior(x)[1].sum() for predictor in (model, model.inner)]
    own, inner = (torch.autograd.grad(std, x, retain_graph=True)[0] for std in stds)
    torch.testing.assert_close(own, inner * model.factor[0])


@pytest.mark.filterwarnings("error")
def test_a_constant_metric_has_no_noise() -> None:
    """Its residuals are 0, so that no ratio of them to the deviations is computed."""
    model = Calibrated(GaussianProcess()).fit(X, {"constant": np.full(len(X), 3.0)})
    assert model.factor[0] == 1
    assert model.noise[0] == 0
    mean, std = model.predict(NEW)
    np.testing.assert_allclose(mean, 3.0)
    assert np.isfinite(std).all()


def test_few_rows_leave_the_noise_unknown() -> None:
    model = Calibrated(GaussianProcess()).fit(X[:39], {"a": Y[:39]})
    assert np.isnan(model.noise).all()
    assert model.factor.tolist() == [1.0]
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
    for copied in (restored, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.predict(NEW[:5]), expected)
        assert copied.noise == model.noise
    conditioned = model.condition(NEW[:5])
    assert (conditioned.predict(NEW[:5])[1] < expected[1]).all()
    recalibrated = model.calibrate(NEW, {"a": beneath(NEW)})
    assert recalibrated.noise[0] < model.noise[0]
    np.testing.assert_array_equal(recalibrated.predict(NEW[:5])[0], expected[0])


def test_bad_input() -> None:
    with pytest.raises(RuntimeError, match="not fitted"):
        Calibrated(GaussianProcess()).predict(NEW)
    model = Calibrated(GaussianProcess()).fit(X, {"a": Y})
    with pytest.raises(ValueError, match=r"metrics=\['b'\] must be those fitted, \['a'\]"):
        model.calibrate(NEW, {"b": MEASURED})
    with pytest.raises(ValueError, match="share=1 must be above 0 and below 1"):
        model.interval(NEW, share=1)


CURVED, FLAT = RNG.random((40, 2)) * [0.5, 1.0], RNG.random((30, 2)) * [0.2, 1.0] + [0.8, 0.0]
SEQUENCE = np.concatenate([CURVED, FLAT])
VALUES = np.where(SEQUENCE[:, 0] < 0.6, np.sin(30 * SEQUENCE[:, 0]) + SEQUENCE[:, 1], 3.0)
ORDER = list(range(len(SEQUENCE)))


def test_recent_trials_that_end_near_their_predictions_narrow_the_deviations() -> None:
    """Forty trials where the function bends make the process uncertain, thirty on a plain not."""
    process = GaussianProcess().fit(SEQUENCE, {"y": VALUES})
    factors = sequential_factors(process, ORDER)
    assert factors.shape == (1,)
    assert factors[0] < 0.7
    assert sequential_factors(process, ORDER[::-1])[0] > factors[0]  # the curved part came last


def test_trials_that_ran_beside_do_not_predict_one_another() -> None:
    """Past a step, one trial after the other is a surprise once; eight at once are eight."""
    walk = np.linspace(0, 1, 60)[:, None]
    process = GaussianProcess().fit(walk, {"y": np.where(np.arange(60) < 52, 0.0, 1.0)})
    alone, parallel = (
        sequential_factors(process, list(range(60)), pending=running)[0] for running in (0, 7)
    )
    assert parallel > 1.5 * alone


def test_each_metric_has_its_own_factor() -> None:
    wild = np.where(SEQUENCE[:, 0] < 0.6, 0.0, RNG.normal(0.0, 3.0, len(SEQUENCE)))
    model = FeaturePredictor(GaussianProcess(), lambda unit: unit)
    model.fit(SEQUENCE, {"wild": wild, "calm": VALUES})
    last, first = sequential_factors(model, ORDER)
    assert first < 1 < last


def test_an_ensemble_has_no_sequential_factor() -> None:
    networks = MLPEnsemble(members=2, steps=5).fit(SEQUENCE, {"y": VALUES, "z": -VALUES})
    np.testing.assert_array_equal(sequential_factors(networks, ORDER), [1.0, 1.0])
