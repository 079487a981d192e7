"""Categoricals of hundreds and thousands of choices: what is bounded, and what stays true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer import initial_design
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.predictor import Metrics, Weights
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from tests.optimizer_examples import run


class _Widths(GaussianProcess):
    """Notes how many columns it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> _Widths:
        self.seen.add(np.shape(x)[1])
        return super().fit(x, metrics, weights=weights, steps=steps)


def _space(choices: int) -> SearchSpace:
    return SearchSpace(
        [Categorical("layer", range(choices)), Float("rate", 0, 1), Integer("depth", 1, 9)]  # type: ignore[arg-type]
    )


def _loss(params: dict[str, Any]) -> float:
    loss: float = (params["layer"] * 37 % 101) / 101 + abs(params["rate"] - 0.3)
    loss += abs(params["depth"] - 4) / 9
    return loss


@pytest.mark.parametrize(("choices", "columns"), [(128, 130), (129, 130), (5_000, 130)])
def test_the_predictor_sees_a_bounded_number_of_choices(choices: int, columns: int) -> None:
    """So that an ask takes as long with 5,000 choices as with 128."""
    optimizer = NCPOptimizer(
        _space(choices), directions={"loss": "minimize"}, seed=0, predictor=_Widths()
    )
    tried = run(optimizer, 13, _loss)
    assert len({tuple(params.values()) for params in tried}) == 13
    assert isinstance(optimizer.predictor, _Widths)
    assert optimizer.predictor.seen == {columns}


def test_good_choices_among_thousands_are_come_back_to() -> None:
    optimizer = NCPOptimizer(_space(3_000), directions={"loss": "minimize"}, seed=1)
    layers = [params["layer"] for params in run(optimizer, 30, _loss)]
    assert sum(layer in layers[:i] for i, layer in enumerate(layers)) >= 6  # by chance: 0


def test_every_choice_is_tried_once_before_any_is_repeated() -> None:
    """More were tried than are looked at, and then fewer are left than are looked at."""
    space = SearchSpace([Categorical("seed", range(160))])  # type: ignore[arg-type]
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0, n_startup_trials=100)
    tried = []
    for _ in range(160):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"loss": params["seed"] % 7})
        tried.append(params["seed"])
    assert sorted(tried) == list(range(160))
    assert optimizer.ask()[0]["seed"] in range(160)


@pytest.mark.parametrize(
    "strategy",
    [
        GradientDescent(rate=0.1, scale=np.full(302, 0.5)),
        WinnerTakesAll(lambda codes: codes @ torch.arange(302, dtype=codes.dtype)),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_a_strategys_settings_are_of_the_whole_code(strategy: Strategy) -> None:
    optimizer = NCPOptimizer(
        _space(300), directions={"loss": "minimize"}, seed=0, n_startup_trials=3, strategy=strategy
    )
    run(optimizer, 6, _loss)


def test_fixed_choices_pending_ones_and_restored_states() -> None:
    made = [
        NCPOptimizer(_space(400), directions={"loss": "minimize"}, seed=seed, n_startup_trials=4)
        for seed in (0, 1)
    ]
    run(made[0], 6, _loss)
    made[1].load_state_dict(made[0].state_dict())
    pending = [{"layer": 399, "rate": 0.5, "depth": 3}]
    first, second = (each.ask(3, pending=pending, fixed={"layer": 399}) for each in made)
    assert first == second
    assert all(params["layer"] == 399 for params in first)
    assert made[0].ask(2) == made[1].ask(2)


def test_what_is_left_of_a_space_is_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All codes of 100,000 choices at once would take 80 GB."""
    monkeypatch.setattr(initial_design, "_MAX_NUMBERS", 1_000)
    space = SearchSpace([Categorical("seed", range(100))])  # type: ignore[arg-type]
    parts = list(initial_design.candidates(space, np.random.default_rng(0)))
    assert [len(part) for part in parts] == [10] * 11
    assert (np.concatenate(parts[1:]) == space.enumerate()).all()
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    rows = [{"seed": i} for i in range(99)]
    optimizer.tell(rows, [{"loss": 0.0}] * 99)
    assert optimizer.ask() == [{"seed": 99}]
