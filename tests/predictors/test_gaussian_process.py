"""Gaussian processes: predictions, uncertainty, and closed forms against direct computation."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.kernels import NNGP, Columns, Kernel, Matern52, Sum
from ncp_sampler.predictors.random_relu import RandomReLU

Array = NDArray[np.float64]

KERNELS = [Matern52(), NNGP(), RandomReLU(width=64), Sum(NNGP(), Matern52())]


def _data(n: int = 60, d: int = 5, seed: int = 0) -> tuple[Array, Array]:
    x = np.random.default_rng(seed).random((n, d))
    return x, 70 + 10 * np.sin(3 * x[:, 0]) - 5 * x[:, 1]


def _bumps(n: int) -> tuple[Array, Array]:
    """Codes of 6 columns, and a bumpy function that few rows do not show."""
    x = np.random.default_rng(0).random((n, 6))
    return x, np.sin(6 * x[:, 0]) + np.sin(7 * x[:, 1]) * x[:, 2] + x[:, 3] ** 2


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


def test_short_length_scales_are_those_of_columns_that_matter() -> None:
    x, y = _data(n=80)
    model = GaussianProcess(Matern52(), steps=100).fit(x, {"top1": y})
    scales = model.theta["top1"][:5]  # log length scales come first
    assert scales[0] < scales[2:].min() - 0.7
    assert scales[1] < scales[2:].min()


def test_each_metric_is_fitted_on_the_rows_that_have_it() -> None:
    x, y = _data(n=80)
    partial = np.where(np.arange(80) % 2 == 0, y, np.nan)
    both = GaussianProcess().fit(x, {"a": y, "b": partial})
    alone = GaussianProcess().fit(x[::2], {"b": y[::2]})
    held_out, _ = _data(seed=1)
    assert both.names == ("a", "b")
    np.testing.assert_allclose(
        both.predict(held_out)[0][:, 1], alone.predict(held_out)[0][:, 0], rtol=1e-3
    )


def test_a_row_of_small_weight_counts_less() -> None:
    x, y = _data()
    wrong = y.copy()
    wrong[0] += 30
    weights = np.ones(60)
    trusting = GaussianProcess().fit(x, {"a": wrong}, weights=weights).predict(x[:1])[0]
    weights[0] = 1e-6
    weighted = GaussianProcess().fit(x, {"a": wrong}, weights=weights).predict(x[:1])[0]
    assert abs(weighted - y[0]) < abs(trusting - y[0]) / 3


@pytest.mark.parametrize("kernel", KERNELS)
def test_training_climbs_the_exact_log_posterior(kernel: Kernel) -> None:
    """Steps follow the gradient of the density of the values, by finite differences."""
    x, y = _data(n=30)
    means, sds = kernel.prior(5)
    mean, sd = np.array([*means, math.log(1e-2)]), np.array([*sds, 2.0])
    z = (y - y.mean()) / y.std()

    def negative_log_posterior(theta: Array) -> float:
        covariance = kernel.covariance(x, theta[:-1])[0] + 1.0  # the unknown mean's variance
        covariance += (math.exp(theta[-1]) + 1e-5) * np.eye(30)
        density = multivariate_normal(np.zeros(30), covariance).logpdf(z)
        return float(-density + (((theta - mean) / sd) ** 2).sum() / 2)

    losses = []
    model = GaussianProcess(kernel).fit(x, {"a": y}, steps=0)
    for _ in range(4):
        before = model.theta["a"]
        losses.append(negative_log_posterior(before))
        steps = 1e-5 * np.eye(len(before))
        gradient = np.array(
            [negative_log_posterior(before + s) - negative_log_posterior(before - s) for s in steps]
        )
        model.fit(x, {"a": y}, steps=1)  # Adam's first step has the size of the rate
        moved = model.theta["a"] - before
        clear = np.abs(gradient) > 1e-6
        np.testing.assert_array_equal(np.sign(moved[clear]), -np.sign(gradient[clear]))
    assert losses == sorted(losses, reverse=True)


def test_conditioning_keeps_the_mean_and_reduces_the_variance() -> None:
    x, y = _data(n=20)
    new = _data(n=3, seed=5)[0]
    model = GaussianProcess().fit(x, {"a": y})
    after = model.condition(new)
    np.testing.assert_allclose(after.predict(x)[0], model.predict(x)[0], rtol=1e-6)
    assert (after.predict(new)[1] < 0.7 * model.predict(new)[1]).all()


def test_conditioning_is_a_fit_with_the_mean_as_further_observations() -> None:
    """The grown inverse is that of all rows, kernel scale and noise unchanged."""
    x, y = _data(n=20)
    new, held_out = _data(n=3, seed=5)[0], _data(n=7, seed=6)[0]
    model = GaussianProcess(Matern52()).fit(x, {"a": y})  # of which rows set no scale
    scaled = (y - y.mean()) / y.std()
    joined, values = np.concatenate([x, new]), (model.predict(new)[0][:, 0] - y.mean()) / y.std()
    theta = model.theta["a"]
    kernel = Matern52()
    covariance = kernel.covariance(joined, theta[:-1])[0] + 1.0
    covariance += (math.exp(theta[-1]) + 1e-5) * np.eye(len(joined))
    k = kernel.query(joined, theta[:-1])(held_out).covariance + 1.0
    mean = k @ np.linalg.solve(covariance, np.concatenate([scaled, values]))
    variance = math.exp(theta[-2]) + 1.0 - (k * np.linalg.solve(covariance, k.T).T).sum(1)
    after = model.condition(new).predict(held_out)
    np.testing.assert_allclose(after[0][:, 0], mean * y.std() + y.mean(), rtol=1e-6)
    np.testing.assert_allclose(after[1][:, 0], np.sqrt(variance) * y.std(), rtol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_leave_one_out_is_a_prediction_without_the_row(kernel: Kernel) -> None:
    x, y = _data(n=25)
    y[3] = np.nan
    model = GaussianProcess(kernel).fit(x, {"a": y})
    mean, std = model.leave_one_out()
    assert np.isnan([mean[3], std[3]]).all()
    residuals = model.sequential_residuals([24])
    assert residuals[0, 0] == pytest.approx((y[24] - mean[24, 0]) / std[24, 0])


@pytest.mark.parametrize(("last", "behind"), [(8, 0), (30, 0), (8, 3), (30, 50)])
def test_sequential_residuals_are_those_of_one_prediction_after_another(
    last: int, behind: int
) -> None:
    """The last ``behind`` rows, which ran in parallel, are unknown to each prediction."""
    x, y = _data(n=30)
    y[::7] = np.nan
    model = GaussianProcess(Matern52()).fit(x, {"a": y})
    theta, known = model.theta["a"], ~np.isnan(y)
    z = (y - y[known].mean()) / y[known].std()
    covariance = Matern52().covariance(x, theta[:-1])[0] + 1.0
    covariance += (math.exp(theta[-1]) + 1e-5) * np.eye(30)
    rows = list(range(30 - last, 30))
    residuals = model.sequential_residuals(rows, behind=behind)[0]
    for row, residual in zip(rows, residuals, strict=True):
        running = [earlier for earlier in rows if earlier < row and known[earlier]][-behind or 30 :]
        before = np.setdiff1d(np.flatnonzero(known & (np.arange(30) < row)), running)
        if not known[row]:
            assert np.isnan(residual)
            continue
        weights = np.linalg.solve(covariance[np.ix_(before, before)], covariance[before, row])
        std = math.sqrt(covariance[row, row] - weights @ covariance[before, row])
        assert residual == pytest.approx((z[row] - weights @ z[before]) / std, rel=1e-4, abs=1e-6)


def test_of_many_columns_the_few_that_matter_are_found() -> None:
    """Three of 60, by 40 rows; a narrow prior keeps the length scales of the others too short."""
    errors = []
    for seed in range(3):
        x = np.random.default_rng(seed).random((240, 60))
        y = np.sin(4 * x[:, 7]) + 2 * (x[:, 20] - 0.3) ** 2 + x[:, 41]
        for kernel in (None, Sum(NNGP(), Matern52(length_scale_sd=0.6))):
            process = GaussianProcess(kernel)
            for _ in range(4):
                process.fit(x[:40], {"y": y[:40]})
            error = process.predict(x[40:])[0][:, 0] - y[40:]
            errors.append(np.sqrt(np.mean(error**2)) / y.std())
    default, narrow = np.reshape(errors, (3, 2)).mean(0)
    assert default < 0.45
    assert default < 0.6 * narrow


def test_the_prior_widens_with_the_columns_of_numbers() -> None:
    """In few columns, and in those of categories, it is as narrow as a setting of 0.6."""
    for d in (1, 6, 20):
        assert Matern52().prior(d) == Matern52(length_scale_sd=0.6).prior(d)
    categories = np.arange(60) >= 40
    for kernel in (Matern52(), Sum(Matern52()), Columns(Matern52())):
        _, sds = kernel.prior(60, binary=categories)
        assert sds[:60] == pytest.approx([1.0] * 40 + [0.6] * 20)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_linear_term_of_either_sign_is_used(sign: float) -> None:
    x, y = _bumps(60)
    source = sign * (y + 0.1 * x[:, 4])
    both = np.column_stack([x, (source - source.min()) / np.ptp(source)])
    plain = GaussianProcess().fit(x[:12], {"y": y[:12]}).predict(x[12:])[0][:, 0]
    model = GaussianProcess().with_linear_terms(1).fit(both[:12], {"y": y[:12]})
    errors = [np.abs(p - y[12:]).mean() for p in (plain, model.predict(both[12:])[0][:, 0])]
    assert errors[1] < 0.5 * errors[0], errors


def test_a_linear_term_without_information_does_no_harm() -> None:
    x, y = _bumps(100)
    both = np.column_stack([x, np.random.default_rng(1).random(100)])
    plain = GaussianProcess().fit(x[:40], {"y": y[:40]}).predict(x[40:])[0][:, 0]
    model = GaussianProcess().with_linear_terms(1).fit(both[:40], {"y": y[:40]})
    errors = [np.abs(p - y[40:]).mean() for p in (plain, model.predict(both[40:])[0][:, 0])]
    assert errors[1] < 1.1 * errors[0], errors


def test_far_away_the_mean_is_not_that_of_many_good_rows() -> None:
    """Thirty rows side by side count as one where the mean of all is in question."""
    spread, crowd = np.array([[0.0], [0.1], [0.2]]), np.linspace(0.28, 0.30, 30)[:, None]
    x, y = np.concatenate([spread, crowd]), np.concatenate([[0.0, 0.0, 0.2], np.full(30, 1.0)])
    far = GaussianProcess(Matern52()).fit(x, {"y": y}).predict([[1.0]])[0][0, 0]
    assert far < 0.9 * y.mean()


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
    with pytest.raises(ValueError, match="kernel='rbf' must be a kernel, such as Matern52"):
        GaussianProcess("rbf")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="call fit first"):
        GaussianProcess().predict(np.ones((1, 2)))


def test_conditioning_again_and_again_keeps_its_digits() -> None:
    """Rows of unequal weights and little noise, where the covariance is nearly singular."""
    rng = np.random.default_rng(1)
    x, z, importance = rng.random((60, 6)), rng.random((9, 6)), rng.random(60)
    process = GaussianProcess().fit(
        x, {"a": np.sin(3 * x[:, 0]) + x[:, 1] ** 2}, weights=importance
    )
    twice = process.condition(z[:3]).condition(z[3:5])
    once = process.condition(z[:5])
    np.testing.assert_allclose(twice.predict(z)[1], once.predict(z)[1], rtol=1e-7)
