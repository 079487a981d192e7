"""The exact predictor: what it learns, how sure it is, and that its closed forms are right."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.kernels import _LOG_LENGTH_SD, log_length_mean

Array = NDArray[np.float64]


def _data(n: int = 60, d: int = 5, seed: int = 0) -> tuple[Array, Array]:
    x = np.random.default_rng(seed).random((n, d))
    return x, 70 + 10 * np.sin(3 * x[:, 0]) - 5 * x[:, 1]


def test_predicts_unseen_codes_in_the_metrics_own_units() -> None:
    x, y = _data()
    held_out, truth = _data(seed=1)
    mean, std = GaussianProcess().fit(x, {"top1": y}).predict(held_out)
    assert mean.shape == std.shape == (60, 1)
    assert np.abs(mean[:, 0] - truth).mean() < 0.05 * truth.std()


def test_is_sure_where_it_has_data_and_not_elsewhere() -> None:
    x, y = _data()
    model = GaussianProcess().fit(0.2 * x, {"top1": y})
    near, far = model.predict(0.2 * x)[1], model.predict(np.ones((1, 5)))[1]
    assert far[0, 0] > 5 * near.max()


def test_finds_the_columns_that_matter() -> None:
    x, y = _data(n=80)
    scales = GaussianProcess(steps=100).fit(x, {"top1": y}).length_scales[0]
    assert scales[0] < scales[2:].min() / 2
    assert scales[1] < scales[2:].min()


def test_each_metric_is_learnt_from_the_rows_that_have_it() -> None:
    x, y = _data(n=80)
    partial = np.where(np.arange(80) % 2 == 0, y, np.nan)
    both = GaussianProcess().fit(x, {"a": y, "b": partial})
    alone = GaussianProcess().fit(x[::2], {"b": y[::2]})
    held_out, _ = _data(seed=1)
    assert both.names == ("a", "b")
    np.testing.assert_allclose(
        both.predict(held_out)[0][:, 1], alone.predict(held_out)[0][:, 0], rtol=1e-3
    )


def test_a_row_of_small_weight_is_believed_less() -> None:
    x, y = _data()
    wrong = y.copy()
    wrong[0] += 30
    weights = np.ones(60)
    trusting = GaussianProcess().fit(x, {"a": wrong}, weights=weights).predict(x[:1])[0]
    weights[0] = 1e-6
    doubting = GaussianProcess().fit(x, {"a": wrong}, weights=weights).predict(x[:1])[0]
    assert abs(doubting - y[0]) < abs(trusting - y[0]) / 3


def test_training_climbs_the_exact_log_posterior() -> None:
    """The closed-form gradients lead where autograd through the density says is up."""
    x, y = _data(n=30)

    def negative_log_posterior(model: GaussianProcess) -> tuple[float, torch.Tensor]:
        assert model._theta is not None
        theta = model._theta[0].clone().requires_grad_(True)
        scaled = torch.as_tensor(x) * (-theta[:-2]).exp()
        root = (
            5 * torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist") ** 2
            + 1e-12
        ).sqrt()
        k = theta[-2].exp() * (1 + root + root**2 / 3) * (-root).exp()
        k = k + (theta[-1].exp() + 1e-5) * torch.eye(30, dtype=torch.float64)
        z = torch.as_tensor((y - y.mean()) / y.std())
        lower = torch.linalg.cholesky(k)
        fit = 0.5 * z @ torch.cholesky_solve(z[:, None], lower)[:, 0]
        prior = ((theta[:-2] - log_length_mean(x.shape[1])) ** 2).sum() / (2 * _LOG_LENGTH_SD**2)
        prior = prior + theta[-2] ** 2 / 2 + (theta[-1] - math.log(1e-2)) ** 2 / 8
        loss = fit + lower.diagonal().log().sum() + prior
        return loss.item(), torch.autograd.grad(loss, theta)[0]

    losses = []
    model = GaussianProcess().fit(x, {"a": y}, steps=0)
    for _ in range(5):
        loss, gradient = negative_log_posterior(model)
        losses.append(loss)
        before = model._theta
        assert before is not None
        model.fit(x, {"a": y}, steps=1)  # Adam's first step is the sign of the gradient
        assert model._theta is not None
        moved = (model._theta - before)[0]
        clear = gradient.abs() > 1e-6
        assert torch.equal(moved[clear].sign(), -gradient[clear].sign())
    assert losses == sorted(losses, reverse=True)


def test_conditioning_keeps_the_mean_and_takes_the_doubt_away() -> None:
    x, y = _data(n=20)
    new = _data(n=3, seed=5)[0]
    model = GaussianProcess().fit(x, {"a": y})
    after = model.condition(new)
    np.testing.assert_allclose(after.predict(x)[0], model.predict(x)[0], rtol=1e-6)
    assert (after.predict(new)[1] < 0.7 * model.predict(new)[1]).all()


def test_gradients_flow_to_the_codes() -> None:
    x, y = _data()
    model = GaussianProcess().fit(x, {"a": y})
    at = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(model.posterior, at.requires_grad_(True), eps=1e-4, atol=1e-3)


def test_constant_metrics_repeated_codes_and_one_row_are_no_trouble() -> None:
    x = np.full((6, 3), 0.5)
    mean, std = GaussianProcess().fit(x, {"a": np.full(6, 7.0)}).predict(x)
    np.testing.assert_allclose(mean, 7.0)
    assert np.isfinite(std).all()
    mean, _ = GaussianProcess().fit(x[:1], {"a": np.array([1e9])}).predict(x)
    np.testing.assert_allclose(mean, 1e9)


def test_restored_and_pickled_processes_go_on_alike() -> None:
    x, y = _data()
    first = GaussianProcess().fit(x[:40], {"a": y[:40]})
    restored = GaussianProcess()
    restored.load_state_dict(first.state_dict())
    pickled = pickle.loads(pickle.dumps(first))
    expected = first.fit(x, {"a": y}).predict(x)[0]
    np.testing.assert_array_equal(restored.fit(x, {"a": y}).predict(x)[0], expected)
    np.testing.assert_array_equal(pickled.fit(x, {"a": y}).predict(x)[0], expected)


@pytest.mark.parametrize(
    ("x", "metrics", "weights", "message"),
    [
        (np.ones(3), {"a": np.ones(3)}, None, "shape"),
        (np.full((2, 1), np.nan), {"a": np.ones(2)}, None, "finite"),
        (np.ones((2, 1)), {}, None, "metrics is empty"),
        (np.ones((2, 1)), {"a": np.ones(3)}, None, r"metrics\['a'\] has shape"),
        (np.ones((2, 1)), {"a": np.array([1, np.inf])}, None, "infinite"),
        (np.ones((2, 1)), {"a": np.full(2, np.nan)}, None, "no value"),
        (np.ones((2, 1)), {"a": np.ones(2)}, np.array([1, -1]), "weights"),
    ],
)
def test_bad_data_is_refused(
    x: Array, metrics: dict[str, Array], weights: Array | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianProcess().fit(x, metrics, weights=weights)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="steps=-1"):
        GaussianProcess(steps=-1)
    with pytest.raises(ValueError, match="device='nope' cannot be used here"):
        GaussianProcess(device="nope")
    with pytest.raises(RuntimeError, match="call fit first"):
        GaussianProcess().predict(np.ones((1, 2)))
