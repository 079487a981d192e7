"""The ask/tell loop: startup, proposals, results of every kind, and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    NCPOptimizer,
    SearchSpace,
)
from tests.optimizer_examples import MIXED, mixed_loss, run

SMALL = SearchSpace([Integer("a", 0, 4), Categorical("b", ("x", "y", "z"))])


def _key(params: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(params.values())


@pytest.mark.parametrize("strategy", ["continuous", "winner_takes_all"])
def test_finds_a_mixed_spaces_optimum(strategy: str) -> None:
    """Integers, log, steps and choices at once; random search of 40 draws gets to 0.5 or so."""
    best = []
    for seed in range(3):
        optimizer = NCPOptimizer(
            MIXED, directions={"loss": "minimize"}, seed=seed, strategy=strategy
        )
        best.append(min(mixed_loss(params) for params in run(optimizer, 40)))
    assert np.median(best) < 0.25


@pytest.mark.parametrize("before", [{}, {"loss": -100.0}])
def test_replaced_record_leaves_no_trace(before: dict[str, float]) -> None:
    """A trial that is told again, at its position, is as if it had been told so at first."""
    once, again = (
        NCPOptimizer(MIXED, directions={"loss": "minimize"}, seed=0, n_startup_trials=5)
        for _ in range(2)
    )
    for params in run(once, 8):
        again.tell(params, before if again.n_observations == 3 else {"loss": mixed_loss(params)})
    (third,) = MIXED.to_params(once.state_dict()["observations"]["codes"][3:4])
    again.tell(third, {"loss": mixed_loss(third)}, replace=3)
    assert again.state_dict()["observations"] == once.state_dict()["observations"]
    assert again.n_observations == 8


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        (-1, "below n_observations=1"),
        (1, "below n_observations=1"),
        ("0", "an integer"),
        (0.0, "an int"),
    ],
)
def test_nothing_to_replace(replace: Any, message: str) -> None:
    optimizer = NCPOptimizer(SMALL, directions={"loss": "minimize"})
    optimizer.tell({"a": 0, "b": "x"}, {"loss": 1.0})
    with pytest.raises(ValueError, match=f"replace={replace!r} must be {message}"):
        optimizer.tell({"a": 0, "b": "x"}, {"loss": 1.0}, replace=replace)
    with pytest.raises(ValueError, match="those of one trial"):
        optimizer.tell([{"a": 0, "b": "x"}] * 2, [{}, {}], replace=0)


def test_replaced_code_may_be_proposed_again() -> None:
    space = SearchSpace([Integer("a", 0, 2)])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    for a in (0, 1):
        optimizer.tell({"a": a}, {"loss": 1.0})
    optimizer.tell({"a": 2}, {"loss": 2.0}, replace=1)
    assert optimizer.ask() == [{"a": 1}]


def test_maximizing_is_minimizing_the_negative() -> None:
    down = NCPOptimizer(MIXED, directions={"loss": "minimize"}, seed=0)
    up = NCPOptimizer(MIXED, directions={"loss": "maximize"}, seed=0)
    for _ in range(14):
        (a,), (b,) = down.ask(), up.ask()
        assert a == b
        down.tell(a, {"loss": mixed_loss(a)})
        up.tell(b, {"loss": -mixed_loss(b)})


def test_a_seed_decides_the_proposals() -> None:
    runs = [
        run(NCPOptimizer(MIXED, directions={"loss": "minimize"}, seed=seed), 14)
        for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_startup_spreads_over_every_dimension() -> None:
    """The middle, then a scrambled Sobol design: of 16 points each quarter of a range gets four."""
    optimizer = NCPOptimizer(
        MRSpace(), directions={"top1": "maximize"}, seed=0, n_startup_trials=17
    )
    blocks = np.array([params["b1"] for params in optimizer.ask(17)[1:]])
    assert [int((blocks == b).sum()) for b in (1, 2, 3, 4)] == [4, 4, 4, 4]


def test_every_code_comes_once_until_none_is_left() -> None:
    optimizer = NCPOptimizer(SMALL, directions={"loss": "minimize"}, seed=0, n_startup_trials=4)
    seen = []
    for _ in range(15):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"loss": params["a"] + (params["b"] == "x")})
        seen.append(_key(params))
    assert len(set(seen)) == 15
    assert optimizer.ask()[0]["b"] in ("x", "y", "z")  # all known: a repetition, no error


def test_a_noisy_objective_may_be_asked_for_again() -> None:
    optimizer = NCPOptimizer(
        SMALL, directions={"loss": "minimize"}, seed=0, deterministic_objective=False
    )
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(30):
        (params,) = optimizer.ask()
        value = params["a"] + (params["b"] == "x") + rng.normal(0, 0.1)
        optimizer.tell(params, {"loss": value})
        seen.append(_key(params))
    assert seen[15:].count((0, "y")) + seen[15:].count((0, "z")) > 5


@pytest.mark.parametrize("n_observations", [0, 12])
def test_a_batch_and_pending_params_are_all_different(n_observations: int) -> None:
    optimizer = NCPOptimizer(MRSpace(), directions={"loss": "minimize"}, seed=0)
    for params in optimizer.ask(n_observations) if n_observations else []:
        optimizer.tell(params, {"loss": params["c1_1"] + params["o1"]})
    first = optimizer.ask(8)
    second = optimizer.ask(8, pending=first)
    assert len({_key(params) for params in first + second}) == 16


def test_fixed_params_are_kept_and_the_rest_follows() -> None:
    """Given a wide first layer, the best second one is narrow: their sum should be 80."""
    space = SearchSpace([Integer("a", 8, 128, step=8), Integer("b", 8, 128, step=8)])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    tried = []
    for _ in range(25):
        (params,) = optimizer.ask()
        tried.append((params["a"], params["b"]))
        optimizer.tell(params, {"loss": abs(params["a"] + params["b"] - 80)})
    untried = [b for b in range(8, 129, 8) if (56, b) not in tried]
    (wide,) = optimizer.ask(fixed={"a": 56})
    assert wide["a"] == 56
    assert abs(wide["b"] - 24) <= 8 + min(abs(b - 24) for b in untried)
    assert NCPOptimizer(space, directions={"l": "minimize"}).ask(fixed={"b": 24})[0]["b"] == 24
    assert optimizer.ask(fixed={"a": 8, "b": 8}) == [{"a": 8, "b": 8}]


def test_failed_infinite_partial_and_stopped_trials_are_lived_with() -> None:
    optimizer = NCPOptimizer(
        MIXED, directions={"loss": "minimize", "cost": "minimize"}, seed=0, n_startup_trials=5
    )
    results: list[dict[str, float]] = [
        {},
        {"loss": math.nan, "cost": math.nan},
        {"loss": math.inf, "cost": 1.0},
        {"loss": -math.inf, "cost": -math.inf},
        {"loss": 1.0},
        {"loss": 1e300, "cost": 2.0},
        {"loss": 0.5, "cost": 3.0},
        {"loss": 0.7, "cost": math.nan},
    ]
    seen = []
    for i, metrics in enumerate(results * 2):
        (params,) = optimizer.ask()
        optimizer.tell(params, metrics, complete=i % 3 != 0)
        seen.append(_key(params))
    assert optimizer.n_observations == 16
    assert len({*seen, _key(optimizer.ask()[0])}) == 17


def test_a_stopped_trial_never_counts_as_better_than_the_median() -> None:
    def after(value: float, complete: bool) -> list[dict[str, Any]]:
        optimizer = NCPOptimizer(SMALL, directions={"loss": "minimize"}, seed=0)
        for a in range(5):
            for b in ("y", "z"):
                optimizer.tell({"a": a, "b": b}, {"loss": 10.0 + a})
        optimizer.tell({"a": 4, "b": "x"}, {"loss": value}, complete=complete)
        return optimizer.ask(4)

    assert after(-50.0, False) == after(12.0, True)  # the median of the complete ones
    assert after(13.5, False) == after(13.5, True)  # worse than that it counts as it is
    assert after(-50.0, True) != after(-50.0, False)


def test_one_metric_beyond_all_measure_does_not_blind_it() -> None:
    proposals = []
    for seed in range(2, 5):
        optimizer = NCPOptimizer(MIXED, directions={"loss": "minimize"}, seed=seed)
        best = math.inf
        for i in range(40):
            (params,) = optimizer.ask()
            optimizer.tell(params, {"loss": 1e12 if i % 5 == 0 else mixed_loss(params)})
            best = min(best, mixed_loss(params)) if i % 5 else best
        proposals.append(best)
    assert np.median(proposals) < 0.7  # of as many random ones, the best has .75 on average


def test_several_metrics_are_traded_off() -> None:
    """Widths cost and help: the front of 40 trials covers narrow to wide."""
    space = SearchSpace([Integer(f"c{i}", 8, 128, step=8) for i in range(6)])
    optimizer = NCPOptimizer(space, directions={"acc": "maximize", "cost": "minimize"}, seed=0)
    points = []
    for _ in range(40):
        (params,) = optimizer.ask()
        width = np.array(list(params.values()))
        point = (float(np.sqrt(width[:2]).sum()), float(width.sum()))
        optimizer.tell(params, {"acc": point[0], "cost": point[1]})
        points.append(point)
    front = [p for p in points if not any(q[0] >= p[0] and q[1] <= p[1] and q != p for q in points)]
    assert max(p[0] for p in front) > 20  # of 22.6
    assert min(p[1] for p in front) < 120  # of 48
    assert len(front) >= 6


def test_numbers_off_the_range_teach_the_nearest_valid_ones_and_do_not_rule_them_out() -> None:
    optimizer = NCPOptimizer(SMALL, directions={"loss": "minimize"})
    optimizer.tell({"a": 99, "b": "x"}, {"loss": 1.0})
    assert optimizer.n_observations == 1
    assert optimizer.state_dict()["observations"]["codes"] == [[4, 1, 0, 0]]
    assert {"a": 4, "b": "x"} in optimizer.ask(15)  # all there are
    optimizer.tell({"a": 4, "b": "x"}, {"loss": 1.0})
    assert {"a": 4, "b": "x"} not in optimizer.ask(14)


@pytest.mark.parametrize("f", [0.3, 0.1 + 0.2])
def test_a_stepped_floats_last_digits_make_no_other_code(f: float) -> None:
    space = SearchSpace([Float("f", 0.0, 0.5, step=0.1), Integer("a", 0, 1)])
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
    (pinned,) = optimizer.ask(fixed={"f": f})
    assert pinned["f"] == space.round([f, 0])[0]
    proposed = optimizer.ask(11, pending=[{"f": f, "a": 1}])
    steps = {(round(params["f"] / 0.1), params["a"]) for params in proposed}
    assert len(steps) == 11
    assert (3, 1) not in steps


def test_the_users_torch_settings_do_not_reach_in() -> None:
    expected = run(NCPOptimizer(MIXED, directions={"loss": "minimize"}, seed=0), 13)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            got = run(NCPOptimizer(MIXED, directions={"loss": "minimize"}, seed=0), 13)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert got == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": {"a": 1}}, "must be a SearchSpace"),
        ({"directions": {}}, "directions={} must map at least one metric"),
        ({"directions": {"loss": "down"}}, "'down'"),
        ({"directions": ["minimize"]}, "must map at least one metric"),
        ({"seed": -1}, "seed=-1"),
        ({"n_startup_trials": 0}, "n_startup_trials=0 must be at least 1"),
        ({"n_startup_trials": 2.5}, "n_startup_trials=2.5 must be an integer"),
        ({"n_startup_trials": None}, "n_startup_trials=None must be an integer"),
        ({"n_startup_trials": float("inf")}, "n_startup_trials=inf must be an integer"),
        ({"n_startup_trials": "a"}, "n_startup_trials='a' must be an integer"),
        ({"seed": "a"}, "seed='a' must be an integer"),
        ({"device": "nope"}, "device='nope' cannot be used here"),
        ({"device": "meta"}, "device='meta' cannot be used here"),
        ({"strategy": "greedy"}, "strategy='greedy' must be one of"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"space": SMALL, "directions": {"loss": "minimize"}}
    with pytest.raises(ValueError, match=message):
        NCPOptimizer(**{**good, **arguments})


def test_bad_results_are_refused_and_nothing_is_recorded() -> None:
    optimizer = NCPOptimizer(SMALL, directions={"loss": "minimize"})
    good = {"a": 1, "b": "x"}
    for params, metrics, message in [
        ({"a": 1}, {"loss": 1.0}, r"missing \['b'\]"),
        ({**good, "c": 1}, {"loss": 1.0}, r"unknown \['c'\]"),
        ({**good, "b": "q"}, {"loss": 1.0}, "b='q' is not one of"),
        (good, {"los": 1.0}, r"unknown names \['los'\]"),
        (good, {"loss": "high"}, "must map names to numbers"),
        (good, {"loss": 10**400}, r"metrics={'loss': 10+\.\.\. must map names to numbers"),
        (good, {"loss": 10**5000}, "metrics=<dict with too many digits> must map"),
        ([good, good], [{"loss": 1.0}], "lengths 2, 1"),
        ([good, {"a": 1}], [{"loss": 1.0}] * 2, "missing"),
        (good, [{"loss": 1.0}], "one mapping each"),
    ]:
        with pytest.raises(ValueError, match=message):
            optimizer.tell(params, metrics)  # type: ignore[arg-type]
    assert optimizer.n_observations == 0


def test_bad_requests_are_refused() -> None:
    optimizer = NCPOptimizer(SMALL, directions={"loss": "minimize"})
    with pytest.raises(ValueError, match="n=0"):
        optimizer.ask(0)
    with pytest.raises(ValueError, match="n='x' must be an integer"):
        optimizer.ask("x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be a sequence of params"):
        optimizer.ask(pending={"a": 1, "b": "x"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown parameter 'c'"):
        optimizer.ask(fixed={"c": 1})
    with pytest.raises(ValueError, match="a=9"):
        optimizer.ask(fixed={"a": 9})
    with pytest.raises(ValueError, match="missing"):
        optimizer.ask(pending=[{"a": 1}])


def test_the_best_trial_is_complete_and_feasible() -> None:
    optimizer = NCPOptimizer(MIXED, directions={"y": "minimize"}, constraints={"heat": 1.0})
    with pytest.raises(ValueError, match="no trial that is complete and feasible"):
        _ = optimizer.best_params
    rows = optimizer.ask(6)
    results: list[dict[str, float]] = [
        {"y": 3.0}, {"y": 1.0, "heat": 2.0}, {"y": 2.0, "heat": 1.0}, {"y": math.nan}, {"y": 0.0},
        {"y": 0.5, "heat": math.nan},
    ]  # fmt: skip
    optimizer.tell(rows, results, complete=[True, True, True, True, False, True])
    assert optimizer.best_metrics == {"y": 2.0, "heat": 1.0}
    assert optimizer.best_params == rows[2] == optimizer.trials[2].params
    assert [trial.complete for trial in optimizer.trials] == [True] * 4 + [False, True]
    both = NCPOptimizer(MIXED, directions={"a": "minimize", "b": "minimize"})
    with pytest.raises(ValueError, match="use compromise"):
        _ = both.best_trial
