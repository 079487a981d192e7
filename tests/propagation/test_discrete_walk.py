from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ncp_sampler import (
    Integer,
    MRSpace,
    NB201Space,
    SearchSpace,
)
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench import (
    NASBenchMR,
    Table,
    hard_starts,
    table_predictor,
    walk_table,
)
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation.discrete_walk import discrete_walk
from ncp_sampler.propagation.targets import Target

SPACE = NB201Space()
GAINS = np.random.default_rng(5).permuted(np.tile(np.arange(5.0), (6, 1)), axis=1).reshape(30)


@pytest.fixture(scope="module")
def table(bench: NASBenchMR) -> Table:
    return bench.table("nas-bench-201")


@pytest.fixture(scope="module")
def predictor() -> GaussianProcess:
    """Knows that every choice has a gain of its own: the best code has each edge's largest."""
    codes = SPACE.sample(200, 0)
    return GaussianProcess().fit(codes, {"gain": codes @ GAINS})


@pytest.mark.parametrize("revisit", [True, False])
def test_it_comes_to_the_best_code_of_an_additive_metric(
    predictor: GaussianProcess, revisit: bool
) -> None:
    best = SPACE.round(GAINS)
    starts = SPACE.sample(4, 1)
    walk = discrete_walk(predictor, starts, [Target("gain")], space=SPACE, revisit=revisit)
    assert walk.codes.shape == (7, 4, 30)
    np.testing.assert_array_equal(walk.codes[0], starts)
    np.testing.assert_array_equal(SPACE.round(walk.codes), walk.codes)
    for j in range(4):
        assert (walk.codes[:, j] == best).all(1).any()
        different = len(np.unique(walk.codes[:, j], axis=0))
        assert different < 7 if revisit else different == 7
    # predictions are those of the valid codes
    at_end = predictor.predict(walk.codes[-1])[0][:, 0]
    np.testing.assert_allclose(walk.predictions["gain"][-1], at_end)


def test_a_plain_argmax_stays_where_it_is_best(predictor: GaussianProcess) -> None:
    best = SPACE.round(GAINS)
    walk = discrete_walk(predictor, best, [Target("gain")], space=SPACE, steps=2, revisit=True)
    assert (walk.codes == best).all()


def test_numbers_and_known_costs_walk_too() -> None:
    space = MRSpace()
    walk = discrete_walk(
        [],
        space.start,
        [Target("flops", "minimize", cost=costs.flops)],
        space=space,
        steps=3,
        iterations=2,
    )
    assert (np.diff(walk.predictions["flops"][:, 0]) < 0).all()
    np.testing.assert_allclose(walk.predictions["flops"], costs.flops(walk.codes[:, 0])[:, None])


def test_a_walk_in_a_space_without_new_codes_stands() -> None:
    space = SearchSpace([Integer("x", 0, 1)])

    def rise(codes: Any) -> Any:
        return codes[:, 0]

    walk = discrete_walk([], [0], [Target("x", cost=rise)], space=space, steps=3)
    assert walk.codes[:, 0, 0].tolist() == [0, 1, 1, 1]
    with pytest.raises(ValueError, match="steps=0 must be at least 1"):
        discrete_walk([], [0], [Target("x", cost=rise)], space=space, steps=0)


def test_starts_are_poor_and_heavy(table: Table) -> None:
    starts = hard_starts(table, 10)
    rows = table.rows(starts)
    accuracy, flops = table.metrics["Acc"], table.flops
    assert flops[rows].min() > np.quantile(flops, 0.9)
    heavy = accuracy[flops > np.quantile(flops, 0.9)]
    assert accuracy[rows].max() <= np.partition(heavy, 9)[9]
    with pytest.raises(ValueError, match="n=0 must be between 1 and"):
        hard_starts(table, 0)


def test_500_rows_lead_from_a_poor_cell_to_a_good_one(table: Table) -> None:
    walk = walk_table(table, table_predictor(table, seed=0))
    assert walk.metric.shape == walk.flops.shape == (7, 10)
    assert walk.metric[0].max() < 20
    assert np.median(walk.best) >= 46.8  # the paper's, with 47.33 the table's best
    rows = table.rows(walk.codes[1:].reshape(-1, 30))
    np.testing.assert_array_equal(walk.metric[1:].ravel(), table.metrics["Acc"][rows])


def test_the_predictor_is_fitted_on_rows_of_the_table(table: Table) -> None:
    with pytest.raises(ValueError, match="n_rows=1 must be between 2 and 15625"):
        table_predictor(table, n_rows=1)
