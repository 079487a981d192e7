"""Known costs and limits, constraints, several objectives: what is proposed under them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler import Categorical, Float, Integer, MRSpace, NCPOptimizer, SearchSpace, costs
from ncp_sampler.search.known_cost import KnownCost
from ncp_sampler.search.limits import Limits
from ncp_sampler.search.objectives import Objectives
from tests.optimizer_examples import MIXED, mixed_loss

PLANE = SearchSpace([Integer("x", 0, 100), Integer("y", 0, 100)])
SMALL = SearchSpace([Integer("a", 0, 4), Categorical("b", ("x", "y", "z"))])
MANY = SearchSpace([Categorical("c", tuple(range(200))), Float("x", 0.0, 1.0)])
NOTHING = np.full(2, np.nan)


def _sum_of_code(codes: torch.Tensor) -> torch.Tensor:
    return codes[:, 0] + codes[:, 1]


def _sum_of_params(params: Mapping[str, Any]) -> float:
    return float(params["x"] + params["y"])


def _weight(params: Mapping[str, Any]) -> float:
    return float(params["units"] * params["width"]) * (2.0 if params["act"] == "silu" else 1.0)


def _searched(
    optimizer: NCPOptimizer, n: int, measure: Callable[[dict[str, Any]], dict[str, float]]
) -> list[dict[str, Any]]:
    proposed = []
    for _ in range(n):
        (params,) = optimizer.ask()
        optimizer.tell(params, measure(params))
        proposed.append(params)
    return proposed


@pytest.mark.parametrize("function", [_sum_of_code, _sum_of_params])
def test_a_cost_of_codes_or_of_params_is_the_same(function: Any) -> None:
    cost = KnownCost("sum", function, PLANE)
    codes = np.random.default_rng(0).integers(1, 99, (20, 2))
    assert cost.at(codes).tolist() == codes.sum(axis=1).tolist()
    value, pullback = cost.vjp(PLANE.normalize(codes))
    np.testing.assert_allclose(value, codes.sum(axis=1))
    assert (pullback(np.ones(len(codes))) > 0).all()


@pytest.mark.parametrize("bound", [0.3, 0.6])
def test_codes_over_a_limit_are_moved_below_it(bound: float) -> None:
    space = MRSpace()
    limits = Limits(space, {"flops": KnownCost("flops", costs.flops, space)}, {"flops": bound})
    codes = space.sample(60, 1)
    moved = limits.projected(codes, np.full(27, np.nan))
    before = limits.exceeded(codes)
    assert before.mean() > 0.9
    assert not limits.exceeded(moved).any()
    assert (moved[~before] == codes[~before]).all()
    assert (limits.penalty(space.normalize(moved))[0] == 0).all()
    assert (limits.penalty(space.normalize(codes[before]))[0] > 0).all()


@pytest.mark.parametrize(
    ("strategy", "noisy"),
    [("continuous", False), ("continuous", True), ("winner_takes_all", False)],
)
def test_no_proposal_exceeds_a_limit(strategy: str, noisy: bool) -> None:
    """Neither in startup nor after; and what it costs to reach the best is spent."""
    optimizer = NCPOptimizer(
        MIXED,
        directions={"loss": "minimize"},
        costs={"weight": _weight},
        limits={"weight": 500},
        seed=0,
        strategy=strategy,
        deterministic_objective=not noisy,
    )
    proposals = _searched(optimizer, 25, lambda params: {"loss": mixed_loss(params)})
    proposals += optimizer.ask(4, pending=[{**proposals[0], "units": 60, "width": 128}])
    proposals += optimizer.ask(2, fixed={"act": "silu", "width": 64})
    assert max(map(_weight, proposals)) <= 500
    assert proposals[-1]["act"] == "silu"
    assert min(map(mixed_loss, proposals)) < 1.0


def test_a_narrow_limit_is_kept_from_the_first_trial_on() -> None:
    """One of 10^4 random codes is within the limit; the cost's gradient moves codes there."""
    space = MRSpace()
    optimizer = NCPOptimizer(
        space,
        directions={"top1": "maximize"},
        costs={"params": costs.params, "flops": costs.flops},
        limits={"params": 0.3, "flops": 0.2},
        seed=0,
        n_startup_trials=5,
    )
    tried = _searched(optimizer, 8, lambda params: {"top1": float(params["c2_1"])})
    codes = space.to_code(tried)
    assert costs.params(codes).max() <= 0.3
    assert costs.flops(codes).max() <= 0.2
    assert len(np.unique(codes, axis=0)) == 8


def test_a_limit_in_a_space_of_many_choices() -> None:
    optimizer = NCPOptimizer(
        MANY,
        directions={"loss": "minimize"},
        costs={"size": lambda params: params["c"] * (1 + params["x"])},
        limits={"size": 40.0},
        seed=0,
        n_startup_trials=4,
    )
    tried = _searched(optimizer, 6, lambda params: {"loss": -params["c"] - params["x"]})
    assert all(params["c"] * (1 + params["x"]) <= 40 for params in tried)
    assert max(params["c"] for params in tried) >= 25


def test_when_all_within_the_limit_is_tried_it_comes_again() -> None:
    optimizer = NCPOptimizer(
        SMALL,
        directions={"loss": "minimize"},
        costs={"a": lambda params: params["a"]},
        limits={"a": 1},
        seed=0,
        n_startup_trials=2,
    )
    tried = _searched(optimizer, 8, lambda params: {"loss": float(params["b"] == "x")})
    assert len({(params["a"], params["b"]) for params in tried[:6]}) == 6
    assert max(params["a"] for params in tried) == 1


def _fits_of_code(codes: torch.Tensor) -> torch.Tensor:
    total = codes[:, 0] + codes[:, 1]
    return torch.where(codes[:, 0] > 60, math.inf, total)


def _fits_of_params(params: Mapping[str, Any]) -> float:
    return math.inf if params["x"] > 60 else float(params["x"] + params["y"])


@pytest.mark.parametrize("function", [_fits_of_code, _fits_of_params])
@pytest.mark.parametrize("limit", [90, 500])  # which finite costs exceed, or none
def test_an_infinite_cost_is_over_every_limit(function: Any, limit: float) -> None:
    """Params that cannot be built have an infinite cost; the loss would be lowest at x = 100."""
    optimizer = NCPOptimizer(
        PLANE, directions={"loss": "minimize"}, seed=0, n_startup_trials=5,
        costs={"sum": function}, limits={"sum": limit},
    )  # fmt: skip
    tried = _searched(optimizer, 14, lambda p: {"loss": -float(p["x"] + p["y"] / 10)})
    assert max(params["x"] for params in tried) in range(55, 61)
    assert all(params["x"] + params["y"] <= limit for params in tried)


@pytest.mark.parametrize("function", [_fits_of_code, _fits_of_params])
def test_an_infinite_cost_is_the_worst_of_an_objective(function: Any) -> None:
    optimizer = NCPOptimizer(
        PLANE, directions={"gain": "maximize", "sum": "minimize"}, seed=0, n_startup_trials=5,
        costs={"sum": function},
    )  # fmt: skip
    tried = _searched(optimizer, 12, lambda p: {"gain": float(p["y"])})
    assert min(params["x"] for params in tried[5:]) < 60


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda p: 1.0 if p["x"] < 90 else 1 / 0, "raises ZeroDivisionError: division by zero"),
        (lambda p: 1.0 if p["x"] < 90 else math.nan, r"gives \[nan\]"),
        (lambda p: 1.0 if p["x"] < 90 else -math.inf, r"gives \[-inf\]"),
        (lambda p: 1 if p["x"] < 90 else 10**400, r"gives 10+\.\.\."),
        (lambda codes: torch.where(codes[:, 0] < 90, codes[:, 1], math.nan), "gives nan"),
        (lambda codes: codes[:, 1] + [0][int((codes > 90).any())], "raises IndexError"),
    ],
)
def test_a_cost_that_fails_names_the_params(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"costs\['a'\] {message}.* for .*'x': \d+, 'y': \d+"):
        NCPOptimizer(PLANE, directions={"l": "minimize"}, costs={"a": wrong}, limits={"a": 5.0})


@pytest.mark.parametrize(
    ("wrong", "messages"),
    [
        (
            lambda p: p["net"]["width"],  # as in Ray's nested config
            ["raises KeyError: 'net' for params {", "the names are 'net/width', 'depth', 'w1'"],
        ),
        (
            lambda p: p["net/width"] * p["w1"],
            ["raises KeyError: 'w1' for params {", "'w1' does not exist there"],
        ),
        (lambda p: "many", ["gives 'many' for params {"]),
        (lambda codes: codes.sum(), ["gives tensor(", " as a function of codes, a tensor (n, 3)"]),
    ],
)
def test_a_cost_that_fails_is_refused_as_what_it_is(wrong: Any, messages: list[str]) -> None:
    """A function that a tensor breaks is one of params: what is wrong with that comes first."""
    space = SearchSpace(
        [Integer("net/width", 8, 64), Integer("depth", 1, 2), Integer("w1", 8, 64)],
        conditions={"w1": ("depth", [2])},
    )
    with pytest.raises(ValueError, match=r"^costs\['a'\] ") as refusal:
        NCPOptimizer(space, directions={"l": "minimize"}, costs={"a": wrong}, limits={"a": 5.0})
    text = str(refusal.value)
    assert text.removeprefix("costs['a'] ").startswith(messages[0])
    assert all(message in text for message in messages)
    assert "as a function of codes, a tensor (n, 3) -> (n,)" in text


@pytest.mark.parametrize(
    ("space", "limit", "fixed", "message"),
    [
        (PLANE, -3.5, None, r"limits=\{'sum': -3.5\} leave no code; .* has sum=0 \(limit -3.5\)"),
        (PLANE, 20.0, {"x": 35}, r"no code with the fixed parameters; .* has sum=35 \(limit 20\)"),
    ],
)
def test_limits_without_a_code_say_how_near_it_came(
    space: SearchSpace, limit: float, fixed: dict[str, Any] | None, message: str
) -> None:
    optimizer = NCPOptimizer(
        space,
        directions={"loss": "minimize"},
        costs={"sum": _sum_of_code},
        limits={"sum": limit},
        seed=0,
    )
    with pytest.raises(ValueError, match=message):
        optimizer.ask(fixed=fixed)
    for i in range(10):
        optimizer.tell({"x": i, "y": 2 * i}, {"loss": float(i)})
    with pytest.raises(ValueError, match=message):
        optimizer.ask(fixed=fixed)


def test_a_known_objective_is_exact_whatever_is_reported() -> None:
    """A wrong or missing report of a known cost changes no proposal, and it is not modeled."""
    runs = []
    for given in ({"sum": 5.0}, {}, {"sum": math.nan}):
        optimizer = NCPOptimizer(
            PLANE,
            directions={"gain": "maximize", "sum": "minimize"},
            costs={"sum": _sum_of_code},
            seed=0,
            n_startup_trials=5,
        )
        gain = {"gain": 1.0}

        def report(p: dict[str, Any], given: dict[str, float] = given) -> dict[str, float]:
            return {**given, "gain": p["x"] + 2.0 * p["y"]}

        runs.append(_searched(optimizer, 9, report))
        assert optimizer.predictor.names == tuple(gain)
    assert runs[0] == runs[1] == runs[2]


def test_scaled_values_and_slack() -> None:
    """A known cost has a scale of its own, slack keeps its sign, a missing metric is omitted."""
    objectives = Objectives(
        PLANE,
        {"gain": "maximize", "sum": "minimize", "never": "maximize"},
        costs={"sum": _sum_of_code},
        constraints={"heat": 20.0, "cold": 0.0},
    )
    codes = np.array([[0, 0], [10, 20], [30, 30]])
    nan = math.nan
    observed = objectives.scale(
        codes,
        {
            "gain": np.array([1.0, nan, 3.0]),
            "never": np.full(3, nan),
            "heat": np.array([20.0, 1e9, nan]),
            "cold": np.full(3, nan),
        },
    )
    assert observed.objectives == ("gain", "sum")
    assert observed.known == (False, True)
    assert observed.constraints == ("heat",)
    scale = observed.cost_scales[1]
    assert scale is not None
    assert (scale.b < 0, scale.log) == (True, False)
    np.testing.assert_allclose(scale.invert(observed.values[:, 1]), codes.sum(axis=1), atol=1e-9)
    assert observed.slack[0, 0] == 0.0
    assert -2 < observed.slack[1, 0] < 0
    assert observed.feasible.tolist() == [True, False, True]
    assert list(observed.modeled) == ["gain", "slack of heat"]


def test_a_cost_over_decades_is_scaled_by_its_logarithm() -> None:
    """As if it were given as a logarithm: FLOPs and log10 FLOPs have one scale."""
    space = SearchSpace([Float("width", 1.0, 1000.0, log=True)])
    codes = np.array([[1.0], [30.0], [1000.0]])

    def flops(codes: torch.Tensor) -> torch.Tensor:
        return codes[:, 0] ** 2

    def logs(codes: torch.Tensor) -> torch.Tensor:
        return flops(codes).log10()

    scaled = [
        Objectives(space, {"a": "maximize", "c": "minimize"}, costs={"c": cost}).scale(
            codes, {"a": np.arange(3.0)}
        )
        for cost in (flops, logs)
    ]
    np.testing.assert_allclose(scaled[0].values, scaled[1].values, atol=1e-9)
    scale = scaled[0].cost_scales[1]
    assert scale is not None
    np.testing.assert_allclose(scale.invert(scaled[0].values[:, 1]), [1.0, 900.0, 1e6])
    value, slope = scale.apply(np.array([50.0]))
    rise = scale.apply(np.array([50.001]))[0] - value
    np.testing.assert_allclose(slope, rise / 0.001, rtol=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_learns_where_a_constraint_holds(seed: int) -> None:
    """x + 2 y is at most 120 where x + y <= 60: at one corner, on the bound."""
    optimizer = NCPOptimizer(
        PLANE, directions={"gain": "maximize"}, constraints={"sum": 60.0}, seed=seed
    )

    def measure(params: dict[str, Any]) -> dict[str, float]:
        report = {"gain": params["x"] + 2.0 * params["y"], "sum": _sum_of_params(params)}
        failed = params["x"] % 7 == 3
        return {"sum": report["sum"]} if failed else report

    tried = _searched(optimizer, 32, measure)
    feasible = [params for params in tried if _sum_of_params(params) <= 60]
    assert len(feasible) >= 6
    assert max(params["x"] + 2 * params["y"] for params in feasible) == 120


@pytest.mark.parametrize("seed", [50, 51])
def test_where_nothing_pays_what_is_feasible_is_proposed(seed: int) -> None:
    """The corner is found soon after startup; what follows needs no violation."""
    space = SearchSpace([Integer("x", 0, 100), Integer("y", 0, 100)])
    optimizer = NCPOptimizer(
        space, directions={"gain": "maximize"}, constraints={"sum": 60.0}, seed=seed
    )
    tried = _searched(
        optimizer, 40, lambda p: {"gain": p["x"] + 2.0 * p["y"], "sum": _sum_of_params(p)}
    )
    feasible = [_sum_of_params(params) <= 60 for params in tried]
    assert max(p["x"] + 2 * p["y"] for p, ok in zip(tried, feasible, strict=True) if ok) == 120
    assert sum(feasible[10:]) >= 26


def test_as_long_as_nothing_is_feasible_feasibility_is_sought() -> None:
    optimizer = NCPOptimizer(
        PLANE,
        directions={"gain": "maximize"},
        constraints={"sum": 6.0},
        seed=0,
        n_startup_trials=6,
    )
    tried = _searched(optimizer, 10, lambda p: {"gain": float(p["x"]), "sum": _sum_of_params(p)})
    assert min(map(_sum_of_params, tried[:6])) > 6
    assert min(map(_sum_of_params, tried[6:])) <= 6


def test_a_constraint_on_an_objective_and_one_that_comes_later() -> None:
    optimizer = NCPOptimizer(
        PLANE, directions={"sum": "maximize"}, constraints={"sum": 60.0}, seed=0
    )
    tried = _searched(optimizer, 16, lambda p: {"sum": _sum_of_params(p)})
    assert max(value for value in map(_sum_of_params, tried) if value <= 60) >= 58
    optimizer.constrain({"y": 5.0})
    assert optimizer.metric_names == ("sum", "y")
    later = _searched(optimizer, 12, lambda p: {"sum": _sum_of_params(p), "y": float(p["y"])})
    both = [p for p in later if p["y"] <= 5 and _sum_of_params(p) <= 60]
    assert len(both) >= 2
    assert max(map(_sum_of_params, both)) >= 58


@pytest.mark.parametrize("known", [False, True])
def test_several_objectives_spread_over_the_front(known: bool) -> None:
    """Both losses are squares of a distance; the front is the line between their minima."""

    def measure(params: dict[str, Any]) -> dict[str, float]:
        return {
            "near": (params["x"] - 20) ** 2 + (params["y"] - 20) ** 2,
            "far": (params["x"] - 80) ** 2 + (params["y"] - 80) ** 2,
        }

    def far(codes: torch.Tensor) -> torch.Tensor:
        return ((codes - 80) ** 2).sum(1)

    optimizer = NCPOptimizer(
        PLANE,
        directions={"near": "minimize", "far": "minimize"},
        costs={"far": far} if known else None,
        seed=0,
    )
    tried = _searched(optimizer, 30, measure)
    on_line = [p for p in tried[10:] if abs(p["x"] - p["y"]) <= 6 and 15 <= p["x"] <= 85]
    assert len(on_line) >= 13
    places = np.sort([params["x"] for params in on_line])
    assert places[0] <= 30
    assert places[-1] >= 70
    assert np.diff(places).max() <= 20


@pytest.mark.parametrize("several", [2, 3, 4, 5])
def test_metrics_may_be_missing(several: int) -> None:
    """In some trials, or in all; and a batch with pending trials differs in all of them."""
    names = [f"m{i}" for i in range(several)]
    optimizer = NCPOptimizer(
        MIXED, directions=dict.fromkeys(names, "minimize"), seed=0, n_startup_trials=4
    )
    rng = np.random.default_rng(0)

    def measure(params: dict[str, Any]) -> dict[str, float]:
        report = {name: mixed_loss(params) + i * params["share"] for i, name in enumerate(names)}
        return {
            name: value for name, value in report.items() if name != "m1" and rng.random() > 0.3
        }

    _searched(optimizer, 9, measure)
    batch = optimizer.ask(4)
    assert len({tuple(params.values()) for params in batch}) == 4


def test_weights_choose_one_point_of_the_front() -> None:
    """The paper's lambda: with nearly all weight on one metric its own best is found."""
    ends = []
    for weights in ({"gain": 1.0, "loss": 0.0}, {"gain": 0.0, "loss": 1.0}):
        optimizer = NCPOptimizer(
            PLANE,
            directions={"gain": "maximize", "loss": "minimize"},
            costs={"loss": lambda codes: codes[:, 0]},
            objective_weights=weights,
            seed=0,
        )
        tried = _searched(optimizer, 18, lambda p: {"gain": float(p["x"]), "loss": float(p["x"])})
        ends.append([params["x"] for params in tried[12:]])
    assert np.median(ends[0]) >= 95
    assert np.median(ends[1]) <= 5


def test_state_with_goals_goes_on_as_if_never_stopped() -> None:
    def new() -> NCPOptimizer:
        return NCPOptimizer(
            PLANE,
            directions={"gain": "maximize", "sum": "minimize"},
            costs={"sum": _sum_of_code},
            limits={"sum": 120},
            constraints={"heat": 1.0},
            seed=0,
            n_startup_trials=5,
        )

    def measure(params: dict[str, Any]) -> dict[str, float]:
        return {"gain": float(params["y"]), "heat": params["x"] / 50}

    first, second = new(), new()
    _searched(first, 8, measure)
    second.load_state_dict(first.state_dict())
    assert _searched(first, 3, measure) == _searched(second, 3, measure)


def test_the_best_trial_by_a_known_cost_needs_no_report_of_the_cost() -> None:
    """A reported value of the cost is ignored, as in ``compromise``."""
    optimizer = NCPOptimizer(
        PLANE,
        directions={"sum": "minimize"},
        costs={"sum": _sum_of_params},
        constraints={"accuracy": (0.9, None)},
    )
    with pytest.raises(ValueError, match="no trial that is complete and feasible"):
        _ = optimizer.best_trial
    reports = [
        (30, {"accuracy": 0.95}),
        (20, {"accuracy": 0.92}),
        (10, {"accuracy": 0.5}),  # not feasible
        (5, {}),  # failed
        (40, {"accuracy": 0.99, "sum": 0.0}),
    ]
    for x, metrics in reports:
        optimizer.tell({"x": x, "y": 1}, metrics)
    assert optimizer.best_params == {"x": 20, "y": 1}
    assert optimizer.best_metrics == {"accuracy": 0.92, "sum": 21.0}


def test_the_best_trial_of_a_search_without_modeled_metrics() -> None:
    optimizer = NCPOptimizer(PLANE, directions={"sum": "maximize"}, costs={"sum": _sum_of_params})
    optimizer.tell([{"x": 3, "y": 4}, {"x": 5, "y": 1}], [{}, {"sum": 100.0}])
    assert optimizer.best_trial.params == {"x": 3, "y": 4}
    assert optimizer.best_metrics == {"sum": 7.0}
