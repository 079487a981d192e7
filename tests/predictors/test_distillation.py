"""Networks that are taught by boosted trees, and ``learn``, which has some among others."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from ncp_sampler.multi_resolution.features import smooth_features
from ncp_sampler.offline.recipes import learn
from ncp_sampler.predictors.distillation import Distilled
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from tests.search_examples import SPACE, records

LINE = np.linspace(0, 0.5, 100)[:, None]
EVERYWHERE = np.linspace(0, 1, 300)[:, None]


def networks() -> MLPEnsemble:
    return MLPEnsemble(members=2, dropout=0.0, steps=300)


def test_far_from_the_rows_it_is_flat_as_trees_are() -> None:
    rising = {"y": LINE[:, 0]}
    alone = networks().fit(LINE, rising).predict([[1.0]])[0]
    taught = Distilled(networks(), EVERYWHERE).fit(LINE, rising).predict([[0.25], [1.0]])[0]
    assert alone > 0.7  # a network's line goes on
    np.testing.assert_allclose(taught[:, 0], [0.25, 0.5], atol=0.06)


def test_a_row_may_lack_a_metric_and_a_row_without_weight_teaches_nothing() -> None:
    y = LINE[:, 0].copy()
    y[60:] = 9.0
    heavy = np.where(y < 9.0, 1.0, 0.0)
    gaps = np.where(y < 9.0, y, np.nan)
    model = Distilled(networks(), EVERYWHERE)
    for metrics, weights in (({"y": gaps, "z": -y}, None), ({"y": y, "z": -y}, heavy)):
        mean, std = model.fit(LINE, metrics, weights=weights).predict([[0.5]])
        assert model.names == ("y", "z")
        assert abs(mean[0, 0] - 0.3) < 0.1
        assert std.shape == (1, 2)


@pytest.mark.parametrize("known", [1, 2, 19, 25])
def test_a_metric_that_few_rows_have_is_its_mean(known: int) -> None:
    y = np.where(np.arange(100) < known, 3.0, np.nan)
    model = Distilled(networks(), EVERYWHERE).fit(LINE, {"y": y, "z": LINE[:, 0]})
    np.testing.assert_allclose(model.predict([[0.1], [0.9]])[0][:, 0], 3.0, atol=0.05)


def test_gradients_reach_the_code() -> None:
    rows = records(60)
    model = Distilled(networks(), SPACE.normalize(SPACE.sample(50, 1)), features=smooth_features)
    model.fit(SPACE.normalize(rows.codes), rows.metrics)
    x = torch.full((1, 27), 0.5, dtype=torch.float64, requires_grad=True)
    model.mean(x).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([1.0], r"samples must be finite unit codes of shape \(n, d\), got shape \(1,\)"),
        ([[np.nan]], "samples must be finite"),
        ([[0.5, 0.5]], "samples has 2 columns, x has 1"),
    ],
)
def test_samples_are_of_the_rows_space(samples: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distilled(networks(), samples).fit(LINE, {"y": LINE[:, 0]})  # type: ignore[arg-type]


def test_learn_asks_trees_where_lightgbm_is(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, new = records(200), SPACE.normalize(SPACE.sample(5, 3))
    by_default = learn(rows, metrics=["mIoU"]).predict(new)[0]
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert (learn(rows, metrics=["mIoU"]).predict(new)[0] != by_default).all()
    with pytest.raises(ImportError, match="Distilled need LightGBM"):
        learn(rows, trees=True)
