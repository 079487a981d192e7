"""Saving and restoring the optimizer: what comes next is what would have come."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
from collections.abc import Callable

import pytest

from ncp_sampler import (
    Integer,
    MRSpace,
    NCPOptimizer,
    SearchSpace,
)
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from tests import preloaded

SPACE = MRSpace()
DIRECTIONS = {"top1": "maximize", "cost": "minimize"}


def _advance(optimizer: NCPOptimizer, n: int) -> list[str]:
    proposed = []
    for _ in range(n):
        (params,) = optimizer.ask()
        metrics = {"top1": params["c4_1"] - 9.0 * params["b1"], "cost": params["o1"] * 1.0}
        optimizer.tell(params, metrics)
        proposed.append(SPACE.to_string(SPACE.to_code(params)))
    return proposed


def _new(predictor: Predictor | str = "auto") -> NCPOptimizer:
    return NCPOptimizer(
        SPACE, directions=DIRECTIONS, seed=3, n_startup_trials=8, predictor=predictor
    )


def _through_json(optimizer: NCPOptimizer) -> NCPOptimizer:
    restored = NCPOptimizer(SPACE, directions=DIRECTIONS, seed=99, n_startup_trials=8)
    restored.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    return restored


def _through_pickle(optimizer: NCPOptimizer) -> NCPOptimizer:
    restored: NCPOptimizer = pickle.loads(pickle.dumps(optimizer))
    return restored


@pytest.fixture(scope="module")
def uninterrupted() -> list[str]:
    """Proposals of an optimizer that nothing interrupts."""
    return _advance(_new(), 17)


@pytest.fixture(scope="module")
def stopped() -> dict[int, NCPOptimizer]:
    """Optimizers by the number of their trials."""
    optimizers = {n: _new() for n in (5, 8, 12)}
    for n, optimizer in optimizers.items():
        _advance(optimizer, n)
    return optimizers


@pytest.mark.parametrize("restore", [_through_json, _through_pickle, copy.deepcopy])
@pytest.mark.parametrize("stop", [5, 8, 12])
def test_restored_proposals_equal_uninterrupted_ones(
    restore: Callable[[NCPOptimizer], NCPOptimizer],
    stop: int,
    stopped: dict[int, NCPOptimizer],
    uninterrupted: list[str],
) -> None:
    restored = restore(stopped[stop])
    assert _advance(restored, 5) == uninterrupted[stop : stop + 5]


def test_a_state_between_two_asks_of_one_batch_is_whole_too() -> None:
    optimizer = _new()
    _advance(optimizer, 10)
    first = optimizer.ask()
    restored = _through_json(optimizer)
    assert restored.ask(3, pending=first) == optimizer.ask(3, pending=first)


def test_an_ensembles_state_is_in_it() -> None:
    optimizer = _new(MLPEnsemble(steps=20, warm_steps=5))
    _advance(optimizer, 10)
    restored = _new(MLPEnsemble(steps=20, warm_steps=5, seed=7))
    restored.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    assert _advance(restored, 4) == _advance(optimizer, 4)


def test_the_same_seed_gives_the_same_codes_in_another_process(uninterrupted: list[str]) -> None:
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from tests.optimizer.test_optimizer_state import _advance, _new\n"
        "print('\\n'.join(_advance(_new(), 12)))"
    )
    done = subprocess.run(
        [*preloaded.python(), "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == uninterrupted[:12]


def test_reseeding_changes_what_comes_and_keeps_what_was_told() -> None:
    optimizer, reseeded = _new(), _new()
    _advance(optimizer, 10)
    _advance(reseeded, 10)
    reseeded.reseed(77)
    assert reseeded.n_observations == 10
    assert _advance(optimizer, 3) != _advance(reseeded, 3)


def test_another_state_is_refused_and_nothing_changes() -> None:
    optimizer = _new()
    _advance(optimizer, 3)
    renewed = NCPOptimizer(SearchSpace([Integer("a", 0, 4)]), directions=DIRECTIONS)
    renewed.tell({"a": 1}, {"top1": 1.0})
    for state in ({}, renewed.state_dict()):
        with pytest.raises(ValueError, match=r"state lacks .* or has codes of another space"):
            optimizer.load_state_dict(state)
    assert optimizer.n_observations == 3


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("rng", 5),
        ("rng", {"bit_generator": "MT19937"}),
        ("n_fitted", "3"),
        ("design", [1]),
        ("design", [-1, 0]),
        ("predictor", {}),
        ("predictor", {"names": ["top1"], "theta": "x"}),
        ("observations", 5),
        ("observations", {"codes": [[8] * 27], "values": [], "complete": [True]}),
        ("observations", {"codes": [[8] * 27], "values": [[1.0]], "complete": [True]}),
        ("observations", {"codes": [[8] * 27], "values": [["high"]], "complete": [True]}),
    ],
)
def test_a_broken_state_is_refused_whole(
    part: str, wrong: object, stopped: dict[int, NCPOptimizer], uninterrupted: list[str]
) -> None:
    """Proposals after the refusal are those without it."""
    optimizer = copy.deepcopy(stopped[12])
    with pytest.raises(ValueError, match="state"):
        optimizer.load_state_dict({**_new().state_dict(), part: wrong})
    assert optimizer.n_observations == 12
    assert _advance(optimizer, 2) == uninterrupted[12:14]
