"""Which exact predictor the rows speak for, and what an unknown mean does far from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.process import ExactProcess
from ncp_sampler.predictors.selected import Selected

RNG = np.random.default_rng(0)
X = RNG.random((60, 8))
NETWORK = np.maximum((X - 0.5) @ RNG.normal(size=(8, 50)), 0) @ RNG.normal(size=50)
WAVES = np.sin(4 * X[:, 0]) * np.cos(5 * X[:, 1])
NEW = np.random.default_rng(1).random((7, 8))


def made() -> Selected:
    return Selected([InfiniteMLP(), GaussianProcess()])


def test_each_metric_has_the_member_that_its_rows_speak_for() -> None:
    model = made().fit(X, {"network": NETWORK, "waves": WAVES})
    network, process = model.members
    assert model.chosen == (0, 1)
    mean, std = model.predict(NEW)
    for k, member in enumerate((network, process)):
        np.testing.assert_allclose(mean[:, k], member.predict(NEW)[0][:, k], rtol=1e-9)
        np.testing.assert_allclose(std[:, k], member.predict(NEW)[1][:, k], rtol=1e-9)
        assert model.noise[k] == pytest.approx(member.noise[k])
    spread = model.condition(NEW)
    np.testing.assert_allclose(spread.predict(NEW)[0], mean, atol=1e-3)
    assert (spread.predict(NEW)[1] < std).all()


@pytest.mark.parametrize("member", [GaussianProcess(), InfiniteMLP()], ids=["gp", "mlp"])
def test_the_left_out_density_is_that_of_rows_left_out(member: ExactProcess) -> None:
    """In closed form, from one inverse, against one regression for each row."""
    member.fit(X, {"y": WAVES})
    fitted = member._fitted
    covariance, y = np.linalg.inv(fitted.precision[0].numpy()), fitted.rows.y[0].numpy()
    total = 0.0
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        weights = np.linalg.solve(covariance[others][:, others], covariance[others, i])
        mean = weights @ y[others]
        variance = covariance[i, i] - weights @ covariance[others, i]
        total += norm.logpdf(y[i], mean, np.sqrt(variance))
    assert member.left_out_density()[0] == pytest.approx(total, rel=1e-6)


def test_far_away_the_mean_is_not_that_of_many_good_rows() -> None:
    """Thirty rows side by side count as one where the mean of all is in question."""
    spread = np.array([[0.0], [0.1], [0.2]])
    crowd = np.linspace(0.28, 0.30, 30)[:, None]
    x = np.concatenate([spread, crowd])
    y = np.concatenate([[0.0, 0.0, 0.2], np.full(30, 1.0)])
    far = GaussianProcess().fit(x, {"y": y}).predict([[1.0]])[0][0, 0]
    assert far < 0.9 * y.mean()


@pytest.mark.parametrize("members", [[], "gp", [1], [GaussianProcess]])
def test_members_must_be_exact_predictors(members: object) -> None:
    with pytest.raises(ValueError, match="members"):
        Selected(members)  # type: ignore[arg-type]
