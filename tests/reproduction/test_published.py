"""The published predictor and search, as the authors' configurations have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.reproduction.budgets import Budget
from benchmarks.reproduction.published_predictor import PublishedPredictor, fit_published
from benchmarks.reproduction.results import Method
from benchmarks.reproduction.setting_split import SettingSplit, prepare
from benchmarks.reproduction.studies import published_search
from ncp_sampler import MRSpace
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.records.records import Records
from tests.detection_table import write_detection_table

SPACE = MRSpace()
CODES = SPACE.sample(240, 0)
FLOPS = costs.flops(CODES).numpy()
METRICS = {
    "top1": 80 + np.log(FLOPS),
    "top5": 94 + 0.5 * np.log(FLOPS),
    "flops": FLOPS,
    "params": costs.params(CODES).numpy(),
}


def fitted(**options: int) -> PublishedPredictor:
    records = Records(SPACE, CODES, METRICS)
    return fit_published(records, "top1", ["top1", "top5"], epochs=40, **options)


def test_the_published_predictor_learns_metrics_and_costs() -> None:
    predictor = fitted()
    assert predictor.names == ("top1", "top5", "flops", "params")  # heads: one, one, two
    mean, std = predictor.predict(SPACE.normalize(CODES))
    for k, values in enumerate(METRICS.values()):
        assert np.corrcoef(mean[:, k], values)[0, 1] > 0.9
    assert not std.any()  # one network knows no uncertainty


def test_a_seed_gives_one_network_and_leaves_other_generators_alone() -> None:
    state, x = torch.get_rng_state(), SPACE.normalize(CODES[:3])
    first, same, reseeded = (fitted(seed=seed).predict(x)[0] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, reseeded)


def test_what_the_published_code_does_not_have_is_refused() -> None:
    predictor = PublishedPredictor([("top1",)])
    with pytest.raises(RuntimeError, match="call fit first"):
        predictor.predict(SPACE.normalize(CODES))
    x = SPACE.normalize(CODES)
    with pytest.raises(ValueError, match="no weights, steps or missing values"):
        predictor.fit(x, METRICS, weights=np.ones(len(x)))
    with pytest.raises(ValueError, match="no weights, steps or missing values"):
        predictor.fit(x, {"top1": np.where(FLOPS > 1, np.nan, 80.0)})


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> SettingSplit:
    root = tmp_path_factory.mktemp("tables")
    write_detection_table(root, SPACE.sample(120, 0).astype(np.int64))
    budget = Budget(epochs=20, evolution=0.1, walk_seeds=1, levels=2, climbs=1)
    return prepare(NASBenchMR(root), "3ddet", 0, budget)


@pytest.mark.slow
def test_steps_of_the_configurations_are_a_tenth_of_those_of_the_text(
    setting: SettingSplit,
) -> None:
    steps = {}
    for method in (Method.PUBLISHED, Method.PAPER_TEXT):
        solution = published_search(setting, 0.5, method)
        assert solution.trace is not None
        before, after = SPACE.normalize(solution.trace.codes[:2, 0])
        steps[method] = after - before
        np.testing.assert_array_equal(solution.code, solution.trace.final[0])  # the last code
    free = np.abs(steps[Method.PAPER_TEXT]) < 0.2  # not clamped to the space
    assert free.sum() > 10
    np.testing.assert_allclose(
        10 * steps[Method.PUBLISHED][free], steps[Method.PAPER_TEXT][free], rtol=1e-3, atol=1e-6
    )
