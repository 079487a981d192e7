"""Trials that lacked a parameter of the space, or depended on something outside it."""

from __future__ import annotations

import json

import pytest

from ncp_sampler import Integer, NCPOptimizer, SearchSpace

PAIR = SearchSpace([Integer("a", 0, 3), Integer("b", 0, 3)])


def new_optimizer() -> NCPOptimizer:
    return NCPOptimizer(PAIR, directions={"loss": "minimize"}, seed=0, n_startup_trials=2)


def test_params_that_agree_with_a_trial_in_all_it_had_are_not_proposed() -> None:
    """The trials had no b, so any b would repeat them."""
    optimizer = new_optimizer()
    trials = [{"a": a, "b": 0} for a in (0, 1, 2)]
    losses = [{"loss": float(trial["a"])} for trial in trials]
    optimizer.tell(trials, losses, placeholders=[["b"]] * 3)
    restored = new_optimizer()
    restored.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    for each in (optimizer, restored):
        assert all(params["a"] == 3 for params in each.ask(4))


def test_a_trial_that_is_not_exact_may_be_repeated() -> None:
    optimizer = new_optimizer()
    every = [{"a": a, "b": b} for a in range(4) for b in range(4)]
    losses = [{"loss": float(params["a"] + params["b"])} for params in every]
    optimizer.tell(every, losses, exact=[params != {"a": 0, "b": 0} for params in every])
    assert optimizer.ask() == [{"a": 0, "b": 0}]


def test_the_objective_may_turn_out_not_to_be_deterministic() -> None:
    optimizer = new_optimizer()
    every = [{"a": a, "b": b} for a in range(4) for b in range(4)]
    optimizer.tell(every, [{"loss": float(params["a"])} for params in every])
    optimizer.deterministic_objective = False
    (params,) = optimizer.ask()
    assert params["a"] == 0
    assert optimizer.reasons[0]["how"] == "search"


def test_wrong_arguments() -> None:
    optimizer = new_optimizer()
    params, loss = [{"a": 0, "b": 0}], [{"loss": 1.0}]
    with pytest.raises(ValueError, match="placeholders='c' must be one of"):
        optimizer.tell(params, loss, placeholders=[["c"]])
    with pytest.raises(ValueError, match="placeholders='b' must be names of parameters"):
        optimizer.tell(params, loss, placeholders=["b"])
    with pytest.raises(ValueError, match="placeholders has 2 entries for 1 trials"):
        optimizer.tell(params, loss, placeholders=[[], []])
    with pytest.raises(ValueError, match="exact has 2 flags for 1 trials"):
        optimizer.tell(params, loss, exact=[True, False])
    with pytest.raises(ValueError, match="exact='yes' must be True or False"):
        optimizer.tell(params, loss, exact="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exact=1 must be"):
        optimizer.tell(params, loss, exact=1)  # type: ignore[arg-type]
    assert optimizer.n_observations == 0


def test_placeholders_that_would_exclude_everything_are_forgotten() -> None:
    """Every a was tried without b, and yet b exists: whether it does depends on something else."""
    optimizer = new_optimizer()
    trials = [{"a": a, "b": 0} for a in range(4)]
    losses = [{"loss": float(trial["a"])} for trial in trials]
    optimizer.tell(trials, losses, placeholders=[["b"]] * 4)
    (params,) = optimizer.ask()
    assert params == {"a": 0, "b": 1}
    assert optimizer.reasons[0]["how"] == "search"


def test_a_state_with_placeholders_of_other_columns_is_refused() -> None:
    optimizer = new_optimizer()
    optimizer.tell({"a": 0, "b": 0}, {"loss": 1.0})
    state = optimizer.state_dict()
    state["observations"]["placeholders"] = [[True]]
    with pytest.raises(ValueError, match="placeholders have"):
        new_optimizer().load_state_dict(state)
