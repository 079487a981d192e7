"""Predictors of records: few of them with another task's help, and tables with poor rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ncp_sampler import Categorical, Float, SearchSpace
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.recipes import adapt
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records
from tests.search_examples import SPACE as NETWORKS
from tests.search_examples import fitted, records

Array = NDArray[np.float64]

SPACE = SearchSpace([Float(f"x{i}", 0.0, 1.0) for i in range(6)])
CODES = np.random.default_rng(0).random((300, 6))
FEW, REST = slice(200, 212), slice(212, None)


def first_task(x: Array) -> Array:
    value: Array = np.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2] - x[:, 3] ** 2
    return value


def second_task(x: Array) -> Array:
    """The first task on another scale, and a term of its own."""
    value: Array = 60 + 5 * first_task(x) + x[:, 5]
    return value


def third_task(x: Array) -> Array:
    """A task unlike the first."""
    value: Array = np.cos(3 * x[:, 4]) + x[:, 5]
    return value


@pytest.fixture(scope="module")
def source() -> GaussianProcess:
    return GaussianProcess().fit(CODES[:200], {"a": first_task(CODES[:200])})


def error(model: Predictor, truth: Array) -> float:
    return float(np.abs(model.predict(CODES[REST])[0][:, 0] - truth[REST]).mean())


def test_a_dozen_rows_of_a_similar_task_suffice(source: GaussianProcess) -> None:
    truth = second_task(CODES)
    rows = Records(SPACE, CODES[FEW], {"b": truth[FEW]})
    adapted, plain = adapt(source, rows), GaussianProcess().fit(rows.codes, rows.metrics)
    assert adapted.names == ("b",)
    assert error(adapted, truth) < 0.5 * error(plain, truth)
    falling = Records(SPACE, CODES[FEW], {"b": -truth[FEW]})
    assert error(adapt(source, falling), -truth) < 0.5 * error(plain, truth)


def test_a_source_unlike_the_task_does_no_harm(source: GaussianProcess) -> None:
    truth = third_task(CODES)
    rows = Records(SPACE, CODES[:60], {"b": truth[:60]})
    plain = GaussianProcess().fit(rows.codes, rows.metrics)
    assert error(adapt(source, rows), truth) < 1.2 * error(plain, truth)


def test_a_source_of_two_metrics_helps_with_a_mixture_of_both() -> None:
    both = {"a": first_task(CODES[:200]), "c": third_task(CODES[:200])}
    source = GaussianProcess().fit(CODES[:200], both)
    truth = first_task(CODES) - 2 * third_task(CODES)
    rows = Records(SPACE, CODES[FEW], {"b": truth[FEW]})
    plain = GaussianProcess().fit(rows.codes, rows.metrics)
    assert error(adapt(source, rows), truth) < 0.6 * error(plain, truth)


def test_gradients_reach_the_code_through_the_source(source: GaussianProcess) -> None:
    model = adapt(source, Records(SPACE, CODES[FEW], {"b": second_task(CODES[FEW])}))
    x, ones = CODES[REST][:3], np.ones((3, 1))
    gradient = model.moments(x).vjp(ones, ones)
    step = 1e-5
    for column in (0, 3, 5):
        moved = x.copy()
        moved[:, column] += step
        change = np.sum(model.predict(moved), 0) - np.sum(model.predict(x), 0)
        np.testing.assert_allclose(gradient[:, column], change[:, 0] / step, rtol=1e-3, atol=1e-3)


def test_features_and_a_search() -> None:
    """Networks have features; with 40 rows the noise is known."""
    other, rows = fitted(records(best=0.6)), records(40)
    model = adapt(other, rows, metrics=["mIoU"], seed=1)
    assert np.isfinite(model.noise).all()
    solution = propagate_search(
        model, [Target("mIoU", beta=1.0)], space=NETWORKS, starts=NETWORKS.start, iterations=5
    )
    assert solution.noise["mIoU"] == model.noise[0]


def test_bad_input(source: GaussianProcess) -> None:
    rows = Records(SPACE, CODES[:9], {"b": second_task(CODES[:9])})
    with pytest.raises(ValueError, match="metric='c'"):
        adapt(source, rows, metrics=["c"])
    with pytest.raises(ValueError, match="source is not fitted"):
        adapt(GaussianProcess(), rows)
    missing = Records(SPACE, CODES[:9], {"b": np.full(9, np.nan)})
    with pytest.raises(ValueError, match=r"metrics\['b'\] has no value"):
        adapt(source, missing)


def test_poor_rows_do_not_decide_on_the_order_of_the_good_ones() -> None:
    """A third of the architectures do not train; the others differ by a few percent."""
    space = SearchSpace([Categorical(f"op{i}", (*"abcde",)) for i in range(5)])

    def accuracy(codes: Array) -> Array:
        op = codes.reshape(-1, 5, 5).argmax(2)
        good = 80 + op @ [0.5, 0.3, 0.2, 0.4, 0.1] + 0.3 * (op[:, 0] == op[:, 1])
        return np.where((op[:, 2] == op[:, 3]) | (op[:, 4] == op[:, 0]), 40.0, good)

    codes, new = space.sample(150, 0).astype(float), space.sample(600, 1).astype(float)
    rows = Records(space, codes, {"accuracy": accuracy(codes)})
    problem = SearchProblem(rows, [Target("accuracy")])
    predicted = problem.predictors[0].predict(space.normalize(new))[0][:, 0]
    trains = accuracy(new) > 50
    assert spearmanr(predicted[trains], accuracy(new)[trains])[0] > 0.4
