"""A predictor of one task reused for another, of which few rows are known."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler import Float, SearchSpace
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.transferred import Transferred

Array = NDArray[np.float64]

SPACE = SearchSpace([Float(f"x{i}", 0.0, 1.0) for i in range(6)])
RNG = np.random.default_rng(0)
CODES = RNG.random((300, 6))
FEW, REST = slice(200, 212), slice(212, None)


def first_task(x: Array) -> Array:
    value: Array = np.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2] - x[:, 3] ** 2
    return value


def second_task(x: Array) -> Array:
    """Mostly the first, on another scale, and something of its own."""
    value: Array = 60 + 5 * first_task(x) + x[:, 5]
    return value


@pytest.fixture(scope="module")
def source() -> GaussianProcess:
    return GaussianProcess().fit(CODES[:200], {"a": first_task(CODES[:200])})


def error(model: GaussianProcess | Transferred) -> float:
    predicted = model.predict(CODES[REST])[0][:, 0]
    return float(np.abs(predicted - second_task(CODES[REST])).mean())


def test_a_dozen_rows_of_a_like_task_suffice(source: GaussianProcess) -> None:
    values = {"b": second_task(CODES[FEW])}
    transferred = Transferred(source).fit(CODES[FEW], values)
    assert transferred.names == ("b",)
    assert transferred.slope[0, 0] > 0
    assert error(transferred) < 0.5 * error(GaussianProcess().fit(CODES[FEW], values))


def test_gradients_reach_the_code_through_both_models(source: GaussianProcess) -> None:
    model = Transferred(source).fit(CODES[FEW], {"b": second_task(CODES[FEW])})
    x = torch.tensor(CODES[REST][:3], requires_grad=True)
    (gradient,) = torch.autograd.grad(model.mean(x).sum(), x)
    step = 1e-5
    for column in (0, 3, 5):
        moved = CODES[REST][:3].copy()
        moved[:, column] += step
        slope = (model.predict(moved)[0] - model.predict(CODES[REST][:3])[0])[:, 0] / step
        np.testing.assert_allclose(gradient[:, column].numpy(), slope, rtol=1e-2, atol=1e-3)


def test_missing_values_and_several_metrics(source: GaussianProcess) -> None:
    one, two = second_task(CODES[FEW]), -first_task(CODES[FEW])
    one[3] = np.nan
    model = Transferred(source).fit(CODES[FEW], {"one": one, "two": two})
    mean, std = model.predict(CODES[REST])
    assert mean.shape == std.shape == (len(CODES[REST]), 2)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    assert model.slope[0, 1] < 0 < model.slope[0, 0]


def test_state_and_pickle_keep_predictions(source: GaussianProcess) -> None:
    model = Transferred(source).fit(CODES[FEW], {"b": second_task(CODES[FEW])})
    expected = model.predict(CODES[REST])[0]
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(CODES[REST])[0], expected
    )
    believed = model.condition(CODES[REST][:2])
    np.testing.assert_allclose(believed.predict(CODES[REST])[0], expected, atol=1e-6)
    assert believed.predict(CODES[REST][:2])[1].max() < model.predict(CODES[REST][:2])[1].max()


def test_bad_input(source: GaussianProcess) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        Transferred(GaussianProcess())
