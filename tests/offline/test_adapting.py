"""How much of another task's predictor a few records bear out."""

from __future__ import annotations

import numpy as np
import pytest
from tests.predictors.test_transferred import CODES, FEW, REST, SPACE, first_task, second_task

from ncp_sampler.offline.adapting import adapt, choose_adapting
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records
from tests.search_examples import SPACE as NETWORKS
from tests.search_examples import fitted, records


@pytest.fixture(scope="module")
def source() -> GaussianProcess:
    return GaussianProcess().fit(CODES[:200], {"a": first_task(CODES[:200])})


def test_like_tasks_are_adapted_and_unlike_ones_are_not(source: GaussianProcess) -> None:
    like = Records(SPACE, CODES[FEW], {"b": second_task(CODES[FEW])})
    choice = choose_adapting(source, like)
    assert choice.name == "adapted"
    assert choice.errors["adapted"] < 0.7 * choice.errors["plain"]
    unlike = Records(SPACE, CODES[:60], {"b": np.cos(3 * CODES[:60, 4]) + CODES[:60, 5]})
    choice = choose_adapting(source, unlike)
    assert choice.name == "plain"
    assert "learnt" not in choice.errors


def test_what_is_chosen_predicts_better(source: GaussianProcess) -> None:
    rows = Records(SPACE, CODES[FEW], {"b": second_task(CODES[FEW])})
    adapted, plain = adapt(source, rows), GaussianProcess().fit(rows.codes, rows.metrics)
    assert adapted.names == ("b",)
    errors = [
        np.abs(model.predict(CODES[REST])[0][:, 0] - second_task(CODES[REST])).mean()
        for model in (adapted, plain)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_features_and_a_search(source: GaussianProcess) -> None:
    """Of networks, whose space has features; with 40 rows noise is known."""
    other, rows = fitted(records(best=0.6)), records(40)
    model = adapt(other, rows, metrics=["mIoU"], seed=1)
    assert np.isfinite(model.noise).all()
    found = propagate_search(
        model, [Target("mIoU", caution=1.0)], space=NETWORKS, starts=NETWORKS.start, iterations=5
    )
    assert found.noise["mIoU"] == model.noise[0]


@pytest.mark.slow
def test_with_a_hundred_rows_the_whole_recipe_is_tried(source: GaussianProcess) -> None:
    rows = Records(SPACE, CODES[:100], {"b": second_task(CODES[:100])})
    assert {"learnt", "learnt and adapted"} <= choose_adapting(source, rows).errors.keys()


def test_bad_input(source: GaussianProcess) -> None:
    rows = Records(SPACE, CODES[:9], {"b": second_task(CODES[:9])})
    with pytest.raises(ValueError, match="at least 5"):
        adapt(source, rows.take([0, 1, 2]))
    with pytest.raises(ValueError, match="metric='c'"):
        adapt(source, rows, metrics=["c"])
    with pytest.raises(ValueError, match="source is not fitted"):
        adapt(GaussianProcess(), rows)
    one = np.where(np.arange(9) == 2, 1.0, np.nan)
    with pytest.raises(ValueError, match="records has 1 values of 'b', too few to compare"):
        adapt(source, Records(SPACE, CODES[:9], {"b": one}))
