"""Saving and restoring the optimizer: what comes next is what would have come."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    NCPOptimizer,
    SearchSpace,
)
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.space.dimensions import Dimension
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
    refusals = [
        ({}, r"state lacks \["),
        (renewed.state_dict(), "state does not fit this optimizer"),
    ]
    for state, message in refusals:
        with pytest.raises(ValueError, match=message):
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


_RATE, _DROPOUT = Float("rate", 0, 1), Float("dropout", 0, 1)
_ACT = Categorical("act", ("relu", "silu"))


def _network(
    dimensions: Sequence[Dimension] = (_RATE, _DROPOUT, _ACT),
    directions: Mapping[str, str] | None = None,
    constraints: Mapping[str, float] | None = None,
) -> NCPOptimizer:
    return NCPOptimizer(
        SearchSpace(dimensions),
        directions=directions or {"loss": "minimize", "top1": "maximize"},
        constraints=constraints or {"ms": 20.0, "gb": 8.0},
        seed=0,
        n_startup_trials=4,
    )


_PARAMS = {"rate": 0.9, "dropout": 0.1, "act": "silu"}
_METRICS = {"loss": 1.0, "top1": 75.0, "ms": 15.0, "gb": 4.0}


def test_a_state_is_restored_into_metrics_in_another_order() -> None:
    saved = _network()
    for i in range(6):
        (params,) = saved.ask()
        saved.tell(params, {"loss": 1.0 + i, "top1": 70.0 - i, "ms": 15.0 + i, "gb": 4.0})
    restored = _network(
        directions={"top1": "maximize", "loss": "minimize"}, constraints={"gb": 8.0, "ms": 20.0}
    )
    saved.ask()  # the model is fitted to all trials
    restored.load_state_dict(json.loads(json.dumps(saved.state_dict())))
    assert [trial.metrics for trial in restored.trials] == [t.metrics for t in saved.trials]
    assert len(restored.ask(2)) == 2  # the model is fitted again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dimensions": [_DROPOUT, _RATE, _ACT]},
            "column 0 of its codes is 'rate', but 'dropout' in this space",
        ),
        (
            {"dimensions": [_RATE, _DROPOUT, Categorical("act", ("silu", "relu"))]},
            r"column 2 of its codes is 'act=\"relu\"', but 'act=\"silu\"' in this space",
        ),
        (
            {"dimensions": [Float("rate", 0, 0.2), _DROPOUT, _ACT]},
            "rate=0.9 is not a value of Float",
        ),
        (
            {"directions": {"loss": "minimize", "top1": "minimize"}},
            "its directions are {'loss': 'minimize', 'top1': 'maximize'}, those of this optimizer",
        ),
        ({"directions": {"loss": "minimize", "top5": "maximize"}}, "its metrics are .*'top1'"),
        ({"constraints": {"ms": 20.0, "mb": 8.0}}, "its metrics are .*'gb'"),
    ],
    ids=["order", "categories", "range", "direction", "objective", "constraint"],
)
def test_a_state_of_other_parameters_or_metrics_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """Numbers would fit, but would be assigned to other parameters or metrics."""
    saved, restored = _network(), _network(**arguments)
    saved.tell(_PARAMS, _METRICS)
    with pytest.raises(ValueError, match=f"state does not fit .*{message}.*; give what state_dict"):
        restored.load_state_dict(saved.state_dict())
    assert restored.n_observations == 0


def test_a_state_without_names_is_restored_by_position() -> None:
    """States had no names before 0.3."""
    saved, restored = _network(), _network()
    saved.tell(_PARAMS, _METRICS)
    state = saved.state_dict()
    for key in ("columns", "metrics", "directions"):
        del state["observations"][key]
    restored.load_state_dict(state)
    assert restored.trials == saved.trials


def test_names_in_a_state_do_not_depend_on_the_process() -> None:
    """The representation of a function contains its address."""
    made = [_network([Categorical("act", (lambda x: x, "relu"))]) for _ in range(2)]
    made[0].tell({"act": "relu"}, _METRICS)
    made[1].load_state_dict(made[0].state_dict())
    assert made[1].trials[0].params == {"act": "relu"}
