"""Names of version 0.2: they work, and say what to use in their place."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ncp_sampler
from ncp_sampler import (
    Float,
    NCPOptimizer,
    NCPSampler,
    NCPSearch,
    SearchSpace,
    nas_bench,
    offline,
    predictors,
    visualization,
)
from ncp_sampler.predictors import GaussianProcess
from ncp_sampler.propagation import Target
from ncp_sampler.visualization import plotly

X = np.linspace(0, 1, 12)[:, None]
Y = {"loss": (X[:, 0] - 0.3) ** 2}
SPACE = SearchSpace([Float("x", 0, 1)])


@pytest.mark.parametrize(
    ("name", "arguments", "new"),
    [
        ("InfiniteMLP", {"capacity": 50}, r"GaussianProcess\(NNGP\(\)\)"),
        ("BayesianMLP", {"width": 16}, r"GaussianProcess\(RandomReLU\(\)\)"),
        ("Selected", {"members": [GaussianProcess()]}, "GaussianProcess"),
        ("Committee", {"members": [GaussianProcess()]}, "Mixture"),
        ("Featured", {"inner": GaussianProcess(), "features": lambda x: x}, "FeaturePredictor"),
    ],
)
def test_predictors(name: str, arguments: dict[str, Any], new: str) -> None:
    with pytest.warns(FutureWarning, match=f"{name} is deprecated .* use {new}"):
        made = getattr(predictors, name)(**arguments)
    assert made.fit(X, Y).predict(X)[0].shape == (12, 1)


def test_held_out_evaluator() -> None:
    with pytest.warns(FutureWarning, match="Judge is deprecated .* use HeldOutEvaluator") as caught:
        assert nas_bench.Judge is nas_bench.HeldOutEvaluator  # type: ignore[attr-defined]
    assert caught[0].filename == __file__  # the line of the user's code


def test_offline_names() -> None:
    for old, new in {"CAUTION": "BETA", "CautionChoice": "BetaChoice", "Found": "Solution"}.items():
        with pytest.warns(FutureWarning, match=f"use {new}"):
            assert getattr(offline, old) is getattr(offline, new)
    with pytest.warns(FutureWarning, match="use choose_beta"):
        choose = offline.choose_caution
    with pytest.raises(ValueError, match="betas="):
        choose([], [Target("loss")], cautions="x")


@pytest.mark.parametrize("figures", [visualization, plotly])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("architecture_figure", "plot_architectures"),
        ("descent_figure", "plot_descent"),
        ("explain_figure", "plot_gradient"),
        ("params_figure", "plot_params"),
        ("trace_figure", "plot_trace"),
    ],
)
def test_figures(figures: ModuleType, old: str, new: str) -> None:
    with pytest.warns(FutureWarning, match=f"{old} is deprecated .* use {new}"):
        assert getattr(figures, old) is getattr(figures, new)


def test_figures_of_matplotlib_alone() -> None:
    names = ("correlation", "ranking", "trade_off", "walk")
    for name, new in zip(names, ("correlations", "ranks", "trade_offs", "walk"), strict=True):
        with pytest.warns(FutureWarning, match=f"use plot_{new}"):
            assert callable(getattr(visualization, f"{name}_figure"))


def test_arguments_and_attributes() -> None:
    with pytest.warns(FutureWarning, match=r"Target\(caution=\) is deprecated .* use beta="):
        assert Target("loss", caution=2.0).beta == 2.0  # type: ignore[call-arg]
    with pytest.warns(FutureWarning, match=r"use max_rows="):
        process = GaussianProcess(capacity=50)  # type: ignore[call-arg]
    with pytest.warns(FutureWarning, match=r"use max_rows"):
        assert process.capacity == 50  # type: ignore[attr-defined]
    optimizer = NCPOptimizer(SPACE, directions={"loss": "minimize"})
    with pytest.warns(FutureWarning, match="use n_observations"):
        assert optimizer.n_told == 0  # type: ignore[attr-defined]
    with pytest.warns(FutureWarning, match="use neighbors"):
        assert len(SPACE.neighbours([0.5])) == 2  # type: ignore[attr-defined]


def _make(cls: Any, **options: Any) -> Any:
    directions = {"a": "maximize", "b": "minimize"}
    common: dict[str, Any] = {"directions": directions} if cls is NCPOptimizer else {}
    if cls is NCPSearch:
        common = {"metric": list(directions), "mode": ["max", "min"]}
    return cls(space=SPACE, **common, **options)


@pytest.mark.parametrize("cls", [NCPOptimizer, NCPSampler, NCPSearch])
def test_weights_of_objectives(cls: Any) -> None:
    """The old name has the meaning, and the checks, of the new one."""
    warned = pytest.warns(FutureWarning, match=r"\(weights=\) is deprecated .* use objective_weig")
    with warned:
        _make(cls, weights="compromise")
    with warned, pytest.raises(ValueError, match="objective_weights='best' must"):
        _make(cls, weights="best")
    with warned, pytest.raises(ValueError, match="give objective_weights= alone"):
        _make(cls, weights="std", objective_weights="std")
    with warned:
        _make(cls, weights=None, objective_weights="std")


def test_the_search_by_old_weights_is_that_by_objective_weights() -> None:
    searched = []
    for name in ("weights", "objective_weights"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            optimizer = _make(NCPOptimizer, **{name: {"a": 0.0, "b": 1.0}}, seed=0)
        for _ in range(14):
            (params,) = optimizer.ask()
            x = params["x"]
            optimizer.tell(params, {"a": x, "b": (x - 0.3) ** 2})
        searched.append(params["x"])
    assert searched[0] == searched[1] == pytest.approx(0.3, abs=0.05)


def test_unknown_names_are_still_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Forest'"):
        _ = predictors.Forest
    with pytest.raises(AttributeError, match="has no attribute 'predictor'"):
        _ = ncp_sampler.predictor  # type: ignore[attr-defined]
