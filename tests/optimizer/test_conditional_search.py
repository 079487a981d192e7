"""Searches of spaces with conditions: proposals, limits, trials and states of what exists alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace, Source
from ncp_sampler.offline import Records, propagate_search, read_csv
from ncp_sampler.optimizer.explanation_table import explain_markdown
from ncp_sampler.propagation import Target
from ncp_sampler.search.known_cost import KnownCost
from ncp_sampler.search.limits import Limits
from tests.conditional_examples import (
    LIMIT,
    NETWORK,
    WIDTHS,
    accuracy,
    flops,
    flops_of_codes,
    widths,
)


def new_optimizer(**kwargs: Any) -> NCPOptimizer:
    kwargs = {"seed": 0, "n_startup_trials": 6, **kwargs}
    return NCPOptimizer(NETWORK, directions={"acc": "maximize"}, **kwargs)


def run(optimizer: NCPOptimizer, n: int, **kwargs: Any) -> list[dict[str, Any]]:
    """Ask for n params, one after the other, and tell their accuracy."""
    proposed = []
    for _ in range(n):
        (params,) = optimizer.ask(**kwargs)
        optimizer.tell(params, {"acc": accuracy(params)})
        proposed.append(params)
    return proposed


@pytest.mark.parametrize("cost", [flops, flops_of_codes])
def test_no_proposal_exceeds_a_limit(cost: Any) -> None:
    """Not those of the startup either; ``accuracy`` and ``flops`` refuse what does not exist."""
    optimizer = new_optimizer(costs={"flops": cost}, limits={"flops": LIMIT})
    proposed = run(optimizer, 20)
    assert max(map(flops, proposed)) <= LIMIT
    assert len({params["n_layers"] for params in proposed}) > 1
    assert optimizer.best_params == max(proposed, key=accuracy)
    assert flops(optimizer.best_params) > 0.9 * LIMIT  # the optimum is at the limit
    assert accuracy(optimizer.best_params) > 1.55  # of 1.64; the best of 20 random ones has 1.4
    last = optimizer.reasons[0]["metrics"]["flops"]
    assert last["value"] == pytest.approx(flops(proposed[-1]), rel=1e-3)
    assert last["limit"] == LIMIT


def test_costs_of_params_and_of_codes_are_the_same() -> None:
    codes = NETWORK.sample(300, 0)
    by_params, by_codes = (KnownCost("flops", f, NETWORK) for f in (flops, flops_of_codes))
    np.testing.assert_allclose(by_params.at(codes), by_codes.at(codes))
    # between valid codes, too, nothing is infinite, and valid codes have their own value
    values, _ = by_params.vjp(NETWORK.normalize(codes))
    np.testing.assert_allclose(values, by_params.at(codes))


def test_a_layer_more_costs_as_much_as_its_own_width_says() -> None:
    """The gradient by the number of layers knows the width that the layer would have."""
    cost = KnownCost("flops", flops, NETWORK)
    unit = NETWORK.normalize(NETWORK.to_code({"n_layers": 2, "w0": 64, "w1": 64}))
    slopes = []
    for third in (0.0, 1.0):  # columns of the layer that does not exist
        unit[NETWORK.column_slice("w2")] = third
        value, pullback = cost.vjp(unit[None])
        assert value == flops({"n_layers": 2, "w0": 64, "w1": 64})
        slopes.append(pullback(np.ones(1))[0, 0])
    differences = [
        flops({"n_layers": 3, "w0": 64, "w1": 64, "w2": w})
        - flops({"n_layers": 2, "w0": 64, "w1": 64})
        for w in (16, 128)
    ]
    assert slopes == pytest.approx([3 * difference for difference in differences])  # steps of 1/3


def test_codes_over_a_limit_are_moved_below_it() -> None:
    limits = Limits(NETWORK, {"flops": KnownCost("flops", flops, NETWORK)}, {"flops": LIMIT})
    codes = NETWORK.sample(200, 1)
    over = codes[limits.exceeded(codes)]
    moved = limits.projected(over, np.full(codes.shape[1], np.nan))
    np.testing.assert_array_equal(moved, NETWORK.round(moved))
    assert len(over) > 50
    assert (~limits.exceeded(moved)).mean() > 0.95


def test_each_code_is_proposed_once_and_all_are() -> None:
    space = SearchSpace(
        [Categorical("kind", ("a", "b")), Integer("n", 0, 2), Integer("x", 1, 3)],
        conditions={"n": ("kind", ["b"]), "x": ("n", [1, 2])},
    )
    assert space.size == 1 + 1 + 2 * 3
    optimizer = NCPOptimizer(space, directions={"y": "minimize"}, n_startup_trials=3, seed=0)
    proposed = []
    for _ in range(8):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"y": params.get("x", 2) + params.get("n", 3)})
        proposed.append(tuple(params.items()))
    assert len(set(proposed)) == 8


def test_fixed_values_hold_where_their_parameter_exists() -> None:
    optimizer = new_optimizer()
    proposed = optimizer.ask(5, fixed={"w2": 16})  # of the startup
    run(optimizer, 8)
    proposed += run(optimizer, 3, fixed={"w2": 16})
    assert {params.get("w2", 16) for params in proposed} == {16}
    assert {"w2" in params for params in proposed} == {True, False}
    for params in optimizer.ask(3, fixed={"n_layers": 2}):
        assert len(widths(params)) == 2


def test_a_proposal_differs_from_what_is_pending() -> None:
    optimizer = new_optimizer()
    known = run(optimizer, 8)
    pending = optimizer.ask(3)
    others = optimizer.ask(3, pending=pending)
    assert all(params not in pending for params in others)
    full = {"n_layers": 1, **dict.fromkeys(WIDTHS, 128)}  # as others may say it
    left = {w for w in range(16, 128, 8) if {"n_layers": 1, "w0": w} not in known}
    shallow = optimizer.ask(len(left), pending=[full], fixed={"n_layers": 1})
    assert {params["w0"] for params in shallow} == left


def test_a_trial_needs_what_exists_and_may_have_more() -> None:
    optimizer = new_optimizer()
    with pytest.raises(ValueError, match=r"missing \['w1'\] \('w1' exists with n_layers=2\)"):
        optimizer.tell({"n_layers": 2, "w0": 16}, {"acc": 1.0})
    assert optimizer.n_observations == 0
    optimizer.tell({"n_layers": 1, "w0": 16, "w1": 99, "w3": None}, {"acc": 1.0})
    assert optimizer.best_params == {"n_layers": 1, "w0": 16}
    assert optimizer.trials[0].params == {"n_layers": 1, "w0": 16}


def test_a_restored_search_goes_on_as_if_never_stopped() -> None:
    optimizer = new_optimizer()
    run(optimizer, 9)
    restored = new_optimizer(seed=1)
    restored.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    assert run(restored, 3) == run(optimizer, 3)
    assert restored.trials == optimizer.trials


def test_reasons_name_what_begins_and_ceases_to_exist() -> None:
    def value(params: dict[str, Any]) -> dict[str, float]:
        return {"acc": accuracy(params) - 0.2 * params["n_layers"] ** 2}  # one layer or two

    optimizer = new_optimizer()
    for params in optimizer.ask(6):
        optimizer.tell(params, value(params))
    seen = set()
    for _ in range(15):
        (params,) = optimizer.ask()
        reasons = optimizer.reasons[0]
        optimizer.tell(params, value(params))
        for name, before, after, _ in reasons.get("moves", ()):
            assert (after == "absent") == (name not in params)
            seen |= {before == "absent", after == "absent"}
        explain_markdown(reasons)
    assert seen == {True, False}


def test_trials_of_a_source_lack_what_does_not_exist(tmp_path: Path) -> None:
    """A table has empty cells there; a cell too many empty is refused."""
    table = tmp_path / "runs.csv"
    table.write_text("n_layers,w0,w1,w2,w3,acc\n1,64,,,,0.6\n2,64,32,,,0.9\n3,16,16,16,,0.7\n")
    optimizer = new_optimizer(sources=[Source(table, same_task=True)])
    params = run(optimizer, 2)
    assert {"n_layers": 2, "w0": 64, "w1": 32} not in params
    records = read_csv(table, metrics="acc", space=NETWORK)
    new_optimizer(sources=[records])
    table.write_text("n_layers,w0,w1,w2,w3,acc\n1,64,,,,0.6\n2,64,,,,0.9\n")
    with pytest.raises(ValueError, match=r"lacks the parameters \['w1'\]"):
        new_optimizer(sources=[table])
    with pytest.raises(ValueError, match="'w1' exists with n_layers=2"):
        read_csv(table, metrics="acc", space=NETWORK)
    table.write_text("n_layers,w0,w1,w2,acc\n1,64,,,0.6\n2,64,8,,0.9\n")
    fixed = Source(table, fixed={"w3": 16})  # which no trial had that had fewer layers
    assert run(new_optimizer(sources=[fixed]), 1)


def test_a_table_is_searched_with_its_conditions() -> None:
    codes = NETWORK.sample(60, 0).astype(float)
    codes[:, 1:] += 0.0
    values = np.array([accuracy(NETWORK.to_params(code)) for code in codes])
    raw = codes.copy()
    raw[~NETWORK.exists(codes, by_column=True)] = 16  # what a table may have there
    records = Records(NETWORK, raw, {"acc": values})
    np.testing.assert_array_equal(records.codes, codes)
    few = Target("flops", "minimize", bound=LIMIT, cost=flops_of_codes)
    solution = propagate_search([records], [Target("acc"), few], seed=0)
    params = NETWORK.to_params(solution.code)
    assert flops(params) <= LIMIT
    assert accuracy(params) > np.quantile(values, 0.5)
    np.testing.assert_array_equal(solution.code, NETWORK.round(solution.code))


def test_categories_of_which_few_are_considered_have_conditions_too() -> None:
    """Conditions also hold if proposals consider only a subset of the categories."""
    space = SearchSpace(
        [
            Categorical("shop", tuple(range(200))),
            Categorical("item", tuple(f"i{i}" for i in range(150))),
            Float("price", 0, 1),
        ],
        conditions={"item": ("shop", range(100)), "price": ("shop", range(50, 150))},
    )
    optimizer = NCPOptimizer(space, directions={"y": "minimize"}, n_startup_trials=5, seed=0)
    proposed = []
    for _ in range(16):
        (params,) = optimizer.ask()
        assert ("item" in params) == (params["shop"] < 100)
        assert ("price" in params) == (50 <= params["shop"] < 150)
        y = abs(params["shop"] - 120) / 100 + abs(params.get("price", 1) - 0.5)
        optimizer.tell(params, {"y": y})
        proposed.append(tuple(params.items()))
    assert len(set(proposed)) == 16


def test_a_stalled_search_goes_on_where_codes_are_left() -> None:
    """A branch whose only code is tried is explored in turn: nothing is left there."""
    space = SearchSpace(
        [Categorical("k", ("a", "c")), Integer("x", 0, 29)], conditions={"x": ("k", ["a"])}
    )
    optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0, n_startup_trials=4)
    asked = []
    for _ in range(25):
        (params,) = optimizer.ask()
        asked.append((params["k"], params.get("x")))
        loss = 1.0 if params["k"] == "c" else abs(params["x"] - 15) / 50
        optimizer.tell(params, {"loss": loss})
    assert len(set(asked)) == 25


@pytest.mark.parametrize("conditions", [None, {"x": ("k", ["a", "b", "c"])}])
def test_a_stalled_search_leaves_out_what_is_over_the_limit(conditions: Any) -> None:
    """The category tried least is over the limit, which came after its trials."""
    space = SearchSpace(
        [Categorical("k", ("a", "b", "c", "d")), Integer("x", 0, 300)], conditions=conditions
    )

    def cost(params: Any) -> float:
        return float(params.get("x", 0) + (1000 if params["k"] in ("c", "d") else 0))

    optimizer = NCPOptimizer(
        space, directions={"gain": "maximize"}, costs={"f": cost}, limits={"f": 50}, seed=0
    )
    rng = np.random.default_rng(0)
    for _ in range(4):
        for k in space.dimensions[0].choices:  # type: ignore[union-attr]
            x = int(rng.integers(301))
            optimizer.tell({"k": k, "x": x}, {"gain": x / 1000 + (k == "a")})
    for _ in range(25):
        (params,) = optimizer.ask()
        assert cost(params) <= 50
        optimizer.tell(params, {"gain": params.get("x", 0) / 1000 + (params["k"] == "a")})


@pytest.mark.parametrize("seed", range(3))
def test_codes_within_a_limit_are_found_beside_a_costly_category(seed: int) -> None:
    """The least cost is 0; the slope of the category is steep and leads out of the space."""
    space = SearchSpace([Categorical("a", ("s", "t")), *(Float(f"x{i}", 0, 1) for i in range(6))])

    def cost(params: Any) -> float:
        return float((params["a"] == "t") * 300 + sum(params[f"x{i}"] for i in range(6)))

    optimizer = NCPOptimizer(
        space, directions={"gain": "maximize"}, costs={"c": cost}, limits={"c": 0.5}, seed=seed
    )
    (params,) = optimizer.ask()
    assert cost(params) <= 0.5


def test_many_conditions_are_suggested_and_counted_at_once() -> None:
    layers = range(1, 301)
    space = SearchSpace(
        [Integer("n", 1, 300), *(Integer(f"w{i}", 1, 64) for i in layers)],
        conditions={f"w{i}": ("n", range(i, 301)) for i in layers},
    )
    assert space.size == float("inf")
    same = {f"w{i}": ("n", [*range(i, 301)]) for i in layers}
    assert space == SearchSpace(space.dimensions, conditions=same)
    code = space.sample(1, 0)[0]
    params = space.to_params(code)
    assert [*params] == ["n", *(f"w{i}" for i in range(1, params["n"] + 1))]
