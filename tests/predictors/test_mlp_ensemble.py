"""The neural predictor: the paper's setting on the paper's data, and what any ensemble owes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncp_sampler import MRSpace
from ncp_sampler.nas_bench import NASBenchMR
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import torch_moments

Array = NDArray[np.float64]


def _data(n: int = 120, d: int = 4, seed: int = 0) -> tuple[Array, Array]:
    x = np.random.default_rng(seed).random((n, d))
    return x, 70 + 10 * np.sin(3 * x[:, 0]) - 5 * x[:, 1]


def test_paper_predictor_learns_a_published_table(bench: NASBenchMR) -> None:
    """Within 200 epochs on 1,607 rows; here 30 of them, tested on the 400 rows left."""
    table = bench.table("cls-50-1000")
    order = np.random.default_rng(0).permutation(len(table.codes))
    train, test = order[:-400], order[-400:]
    unit = MRSpace().normalize(table.codes)
    model = MLPEnsemble.paper(n_rows=len(train), epochs=30)
    metrics = {name: column[train] for name, column in table.metrics.items()}
    model.fit(unit[train], {**metrics, "flops": table.flops[train]})
    mean, _ = model.predict(unit[test])
    error = np.abs(mean[:, 0] - table.metrics["top1"][test]).mean()
    assert model.names == ("top1", "top5", "flops")
    assert error < 0.75  # of 2.64 standard deviation; predicting the mean errs by 2.0
    assert np.corrcoef(mean[:, 2], table.flops[test])[0, 1] > 0.98


def test_predicts_unseen_codes_in_the_metrics_own_units() -> None:
    x, y = _data()
    held_out, truth = _data(seed=1)
    model = MLPEnsemble().fit(x, {"a": y, "b": 1e6 * y})
    mean, std = model.predict(held_out)
    assert mean.shape == std.shape == (120, 2)
    assert np.abs(mean[:, 0] - truth).mean() < 0.15 * truth.std()
    assert np.abs(mean[:, 1] / 1e6 - truth).mean() < 0.15 * truth.std()


def test_members_disagree_more_away_from_the_data() -> None:
    x, y = _data()
    model = MLPEnsemble().fit(0.2 * x, {"a": y})
    assert model.predict(np.ones((1, 4)))[1][0, 0] > 3 * np.median(model.predict(0.2 * x)[1])


def test_forward_gives_every_member_and_gradients() -> None:
    x, y = _data()
    model = MLPEnsemble(members=3).fit(x, {"a": y, "b": -y})
    at = torch.rand(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    out = model.forward(at)
    (slope,) = torch.autograd.grad(out.sum(), at)
    assert out.shape == (3, 5, 2)
    assert bool((slope != 0).all())
    mean, _ = model.posterior(at)
    torch.testing.assert_close(mean, out.mean(0))


def test_members_are_networks_of_their_own() -> None:
    """One batched product trains each member as if it were alone."""
    x, y = _data()
    network = MLPEnsemble(members=2, steps=50, bootstrap=False).fit(x, {"a": y})
    out = network.forward(torch.as_tensor(x))
    assert not torch.allclose(out[0], out[1])
    w = {name: value[1] for name, value in network._weights.items()}
    standard = torch.as_tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
    hidden = torch.nn.functional.silu(standard @ w["w1"] + w["b1"])
    hidden = torch.nn.functional.silu(hidden @ w["w2"][0] + w["b2"][0])
    expected = (hidden @ w["w3"][0] + w["b3"][0])[:, 0] * y.std() + y.mean()
    torch.testing.assert_close(out[1, :, 0], expected.float(), rtol=1e-4, atol=1e-3)


def test_a_missing_metric_is_left_out_and_rows_of_no_weight_too() -> None:
    x, y = _data()
    half = np.arange(120) % 2 == 0
    spoilt = np.where(half, y, 1e4)
    missing = MLPEnsemble().fit(x, {"a": np.where(half, y, np.nan)}).predict(x)[0][:, 0]
    unweighted = MLPEnsemble().fit(x, {"a": spoilt}, weights=half * 1.0).predict(x)[0][:, 0]
    for mean in (missing, unweighted):
        assert np.abs(mean - y).mean() < 0.2 * y.std()


def test_a_seed_decides_everything() -> None:
    x, y = _data()
    first, again, reseeded = (
        MLPEnsemble(seed=seed, dropout=0.2, batch_size=32, steps=30).fit(x, {"a": y}).predict(x)[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, reseeded)


@pytest.mark.parametrize("copy", ["state", "pickle"])
def test_a_restored_ensemble_goes_on_alike(copy: str) -> None:
    x, y = _data()
    model = MLPEnsemble(steps=30, warm_steps=10, batch_size=32, dropout=0.1, batch_norm=True)
    model.fit(x[:80], {"a": y[:80]})
    if copy == "state":
        restored = MLPEnsemble(steps=30, warm_steps=10, batch_size=32, dropout=0.1, batch_norm=True)
        restored.load_state_dict(model.state_dict())
    else:
        restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        model.fit(x, {"a": y}).predict(x)[0], restored.fit(x, {"a": y}).predict(x)[0]
    )


def test_a_warm_fit_takes_fewer_steps_from_where_it_was() -> None:
    x, y = _data()
    model = MLPEnsemble(warm_steps=1).fit(x, {"a": y})
    before = model.predict(x)[0]
    np.testing.assert_array_equal(model.fit(x, {"a": y}, steps=0).predict(x)[0], before)
    assert 0 < np.abs(model.fit(x, {"a": y}).predict(x)[0] - before).max() < y.std()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": 0}, "members=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"loss": "l1"}, "loss='l1' must be one of"),
        ({"schedule": "cosine"}, "schedule='cosine' must be one of"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"device": "meta"}, "device='meta' cannot be used here"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPEnsemble(**arguments)  # type: ignore[arg-type]


def test_an_ensemble_that_is_not_fitted_says_so() -> None:
    with pytest.raises(RuntimeError, match="call fit first"):
        MLPEnsemble().predict(np.ones((1, 2)))


@pytest.mark.parametrize(
    "model",
    [MLPEnsemble(members=3, steps=20), MLPEnsemble(members=2, batch_norm=True, steps=20)],
    ids=["plain", "batch norm"],
)
def test_closed_form_agrees_with_autograd(model: MLPEnsemble) -> None:
    x, y = _data()
    model.fit(x, {"a": y, "b": y**2})
    far = np.array([[-50.0, 50.0, 0.5, 0.5]])
    queries = np.concatenate([_data(5, seed=1)[0], far])
    by_mean, by_std = np.random.default_rng(2).random((2, len(queries), 2))
    own, reference = model.moments(queries), torch_moments(model, queries)
    np.testing.assert_allclose(own.mean, reference.mean, rtol=1e-5)
    np.testing.assert_allclose(own.std, reference.std, rtol=1e-4)
    gradient = reference.vjp(by_mean, by_std)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(own.vjp(by_mean, by_std), gradient, atol=1e-4 * scale)
