"""What is said of a trial's distance from its prediction: as the last trials bear it out."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler import Float, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.stated import stretch
from ncp_sampler.predictors import GaussianProcess, InfiniteMLP, MLPEnsemble
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.selected import Selected

RNG = np.random.default_rng(0)
WAVES, FLAT = RNG.random((40, 2)) * [0.5, 1.0], RNG.random((30, 2)) * [0.2, 1.0] + [0.8, 0.0]
X = np.concatenate([WAVES, FLAT])
Y = np.where(X[:, 0] < 0.6, np.sin(30 * X[:, 0]) + X[:, 1], 3.0)
ORDER = np.arange(len(X))


def test_where_the_last_trials_are_nearer_than_foretold_less_is_stated() -> None:
    """Forty trials on waves make the process doubtful; the thirty on a plain need no doubt."""
    process = GaussianProcess().fit(X, {"y": Y})
    calm = stretch(process, ORDER)
    assert calm.shape == (1,)
    assert calm[0] < 0.7
    assert stretch(process, ORDER[::-1])[0] > calm[0]  # as if the waves had come last


def test_a_metric_has_its_own() -> None:
    wavy_last = {"calm": Y, "wild": np.where(X[:, 0] < 0.6, 0.0, RNG.normal(0.0, 3.0, len(X)))}
    model = Selected([InfiniteMLP(), GaussianProcess()]).fit(X, wavy_last)
    calm, wild = stretch(Featured(model, lambda unit: unit), ORDER)
    assert calm < 1 < wild


def test_trials_that_run_and_metrics_that_are_missing_do_not_count() -> None:
    y = Y.copy()
    y[::7] = np.nan
    process = GaussianProcess().fit(X, {"y": y})
    alone = stretch(process, ORDER)
    running = process.condition(RNG.random((8, 2)))
    assert stretch(running, ORDER) == pytest.approx(alone, rel=0.2)
    assert np.isfinite(alone).all()


def test_of_a_predictor_that_is_not_exact_nothing_is_known() -> None:
    networks = MLPEnsemble(members=2, steps=5).fit(X, {"y": Y, "z": -Y})
    np.testing.assert_array_equal(stretch(networks, ORDER), [1.0, 1.0])


@pytest.mark.parametrize("seed", [0, 1])
def test_two_thirds_of_the_trials_lie_within_one_stated_deviation(seed: int) -> None:
    """On a smooth valley, where the process by itself is too doubtful."""
    space = SearchSpace([Float(name, -1, 1) for name in "abcd"])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=seed)
    within = []
    for _ in range(60):
        (params,) = optimizer.ask()
        reasons = optimizer.reasons[0]
        x = np.array([params[name] for name in "abcd"])
        loss = float((x - 0.3) @ (x - 0.3) + 0.3 * np.cos(3 * x).sum())
        optimizer.tell(params, {"loss": loss})
        if reasons["how"] == "search":
            one = reasons["metrics"]["loss"]
            within.append(abs(loss - one["mean"]) <= one["std"])
    assert 0.5 <= np.mean(within) <= 0.78  # by itself .82 on both seeds
