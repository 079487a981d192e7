"""What is said of a trial's distance from its prediction: as the last trials bear it out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ncp_sampler import Float, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.stated import stretch
from ncp_sampler.predictors import GaussianProcess, InfiniteMLP, MLPEnsemble
from ncp_sampler.predictors.ahead import errors_ahead
from ncp_sampler.predictors.transforms import FeaturePredictor
from ncp_sampler.predictors.selected import Selected

RNG = np.random.default_rng(0)
WAVES, FLAT = RNG.random((40, 2)) * [0.5, 1.0], RNG.random((30, 2)) * [0.2, 1.0] + [0.8, 0.0]
X = np.concatenate([WAVES, FLAT])
Y = np.where(X[:, 0] < 0.6, np.sin(30 * X[:, 0]) + X[:, 1], 3.0)
ORDER = list(range(len(X)))


def test_where_the_last_trials_are_nearer_than_foretold_less_is_stated() -> None:
    """Forty trials on waves make the process doubtful; the thirty on a plain need no doubt."""
    process = GaussianProcess().fit(X, {"y": Y})
    calm = stretch(process, ORDER)
    assert calm.shape == (1,)
    assert calm[0] < 0.7
    assert stretch(process, ORDER[::-1])[0] > calm[0]  # as if the waves had come last


def test_a_metric_has_its_own() -> None:
    wild = np.where(X[:, 0] < 0.6, 0.0, RNG.normal(0.0, 3.0, len(X)))
    model = Selected([InfiniteMLP(), GaussianProcess()]).fit(X, {"wild": wild, "calm": Y})
    model.chosen = (1, 0)  # each has another member
    model.fit(X, {"wild": wild, "calm": Y})
    last, first = stretch(FeaturePredictor(model, lambda unit: unit), ORDER)
    assert first < 1 < last


@pytest.mark.parametrize("last", [8, 70])
def test_errors_are_those_of_one_prediction_after_another(last: int) -> None:
    """In closed form, against a process that knows the rows before, one after another."""
    process = GaussianProcess().fit(X, {"y": Y})
    fitted = process._fitted
    covariance, y = np.linalg.inv(fitted.precision[0].numpy()), fitted.rows.y[0].numpy()
    found = errors_ahead(process, ORDER[-last:])[0]
    for i in range(len(X) - last, len(X)):
        weights = np.linalg.solve(covariance[:i, :i], covariance[:i, i])
        spread = np.sqrt(covariance[i, i] - weights @ covariance[:i, i])
        expected = (y[i] - weights @ y[:i]) / spread
        assert found[i - len(X) + last] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_metric_that_is_missing_does_not_count() -> None:
    y = Y.copy()
    y[::7] = np.nan
    process = GaussianProcess().fit(X, {"y": y})
    errors = errors_ahead(process, ORDER)[0]
    np.testing.assert_array_equal(np.isnan(errors), np.isnan(y))
    assert np.isfinite(stretch(process, ORDER)).all()


def test_of_a_predictor_that_is_not_exact_nothing_is_known() -> None:
    networks = MLPEnsemble(members=2, steps=5).fit(X, {"y": Y, "z": -Y})
    np.testing.assert_array_equal(stretch(networks, ORDER), [1.0, 1.0])
    with pytest.raises(TypeError, match="MLPEnsemble is no exact predictor"):
        errors_ahead(networks, ORDER)


@pytest.mark.parametrize("seed", [0, 1])
def test_two_thirds_of_the_trials_lie_within_one_stated_deviation(seed: int) -> None:
    """On a smooth valley, where the process by itself is too doubtful."""
    within = _within(seed, running=0)
    assert 0.5 <= within <= 0.78  # by itself .82 on both seeds


def test_trials_that_run_are_not_taken_for_known_in_what_is_stated() -> None:
    """Four workers: a proposal beside those that run is as much in doubt as it would be alone."""
    assert 0.5 <= _within(0, running=3) <= 0.9


def test_a_trial_beside_it_takes_nothing_from_what_is_stated() -> None:
    """The search takes its predicted mean for known; what is said of this trial does not."""
    space = SearchSpace([Float(name, 0, 1) for name in "ab"])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    for params in optimizer.ask(12):
        optimizer.tell(params, {"loss": np.sin(9 * params["a"]) + params["b"]})
    here, beside = {"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.1001}
    optimizer.ask(fixed=here)
    alone = optimizer.reasons[0]["metrics"]["loss"]
    optimizer.ask(fixed=here, pending=[beside])
    assert optimizer.reasons[0]["metrics"]["loss"] == alone
    assert alone["std"] > 0.01


def _within(seed: int, *, running: int) -> float:
    """Share of values within one stated deviation, with so many other trials running."""
    space = SearchSpace([Float(name, -1, 1) for name in "abcd"])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=seed)
    within: list[bool] = []
    begun: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for _ in range(60):
        while len(begun) <= running:
            (params,) = optimizer.ask(pending=[one for one, _ in begun])
            begun.append((params, optimizer.reasons[0]))
        params, reasons = begun.pop(0)
        x = np.array([params[name] for name in "abcd"])
        loss = float((x - 0.3) @ (x - 0.3) + 0.3 * np.cos(3 * x).sum())
        optimizer.tell(params, {"loss": loss})
        if reasons["how"] == "search":
            one = reasons["metrics"]["loss"]
            within.append(abs(loss - one["mean"]) <= one["std"])
    return float(np.mean(within))
