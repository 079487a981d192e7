"""Earlier work: what it is given as, when it joins a search, and what it does to one if not."""

from __future__ import annotations

import copy
import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace, Source
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.mixture import Mixture
from ncp_sampler.predictors.transforms import FeaturePredictor
from ncp_sampler.records import Records
from tests.optimizer_examples import MIXED, mixed_loss, run

MINIMIZE = {"loss": "minimize"}


def records(n: int, *, seed: int = 0, sign: float = 1.0, name: str = "loss") -> Records:
    """Random codes of ``MIXED`` and their losses, or something else about them."""
    codes = MIXED.sample(n, seed).astype(np.float64)
    losses = [sign * mixed_loss(params) for params in params_of(codes)]
    return Records(MIXED, codes, {name: np.array(losses)})


def params_of(codes: NDArray[Any]) -> list[dict[str, Any]]:
    return [MIXED.to_params(code.tolist()) for code in codes]


def optimizer(**given: Any) -> NCPOptimizer:
    return NCPOptimizer(MIXED, **{"directions": MINIMIZE, "seed": 0, **given})


def hows(search: NCPOptimizer, n: int, loss: Any = mixed_loss) -> list[str]:
    """Return the reasons' ``how`` of the next n proposals."""
    kinds = []
    for _ in range(n):
        (params,) = search.ask()
        kinds.append(search.reasons[0]["how"])
        search.tell(params, {"loss": loss(params)})
    return kinds


def test_an_interrupted_search_goes_on_as_if_never_stopped() -> None:
    earlier = records(14)
    resumed, observer = optimizer(sources=[Source(earlier, same_task=True)]), optimizer()
    observer.tell(params_of(earlier.codes), [{"loss": v} for v in earlier.metrics["loss"]])
    assert run(resumed, 4) == run(observer, 4)
    assert (resumed.n_observations, observer.n_observations) == (4, 18)


def test_an_interrupted_startup_goes_on() -> None:
    uninterrupted, first = optimizer(), optimizer()
    proposed = run(uninterrupted, 12)
    begun = run(first, 6)
    codes = MIXED.to_code(begun).astype(np.float64)
    earlier = Records(MIXED, codes, {"loss": np.array([mixed_loss(p) for p in begun])})
    assert run(optimizer(sources=[Source(earlier, same_task=True)]), 4) == proposed[6:10]


def test_the_first_trial_finds_out_that_it_is_the_same_task() -> None:
    earlier = records(30)
    search = optimizer(sources=[earlier])
    (first,) = run(search, 1)
    best = int(np.argmin(earlier.metrics["loss"]))
    assert first == MIXED.to_params(earlier.codes[best].tolist())
    assert hows(search, 2) == ["search", "search"]  # of 31 trials: startup is over
    assert search.n_observations == 3


def test_values_that_were_rounded_are_still_the_same_task() -> None:
    earlier = records(30)
    rounded = Records(MIXED, earlier.codes, {"loss": earlier.metrics["loss"].round(4)})
    search = optimizer(sources=[rounded])
    assert hows(search, 2) == ["source", "search"]


def test_another_tasks_best_codes_are_among_the_first() -> None:
    search = optimizer(sources=[records(40)])
    kinds = hows(search, 5, lambda params: 3 + 2 * mixed_loss(params))
    assert kinds == ["source", "startup", "source", "search", "search"]


def test_an_unlike_task_that_is_said_to_be_one_is_never_joined() -> None:
    search = optimizer(sources=[Source(records(30), same_task=False)])
    assert hows(search, 3) == ["source", "startup", "source"]


def test_one_value_that_many_codes_have_proves_nothing() -> None:
    space = SearchSpace([Integer("a", 0, 9), Integer("b", 0, 9), Integer("c", 0, 99)])
    codes = space.sample(30, 0).astype(np.float64)
    hit = (codes[:, 0] > 2).astype(float)  # 1 for most: a saturated metric
    search = NCPOptimizer(
        space, directions={"hit": "maximize"}, seed=0, sources=[Records(space, codes, {"hit": hit})]
    )
    (params,) = search.ask()
    search.tell(params, {"hit": 1.0})
    search.ask()
    assert search.reasons[0]["how"] == "startup"


def test_a_related_task_helps() -> None:
    def miss(params: dict[str, Any]) -> float:  # its best code is far from the middle
        distance: float = abs(math.log10(params["rate"]) + 3.5) + abs(params["width"] - 120) / 32
        distance += (params["act"] != "relu") + params["share"]
        return distance

    def best(seed: int, sources: list[Any]) -> float:
        return min(map(miss, run(optimizer(seed=seed, sources=sources), 6, miss)))

    codes = MIXED.sample(60, 0).astype(np.float64)
    related = np.array([5 + 2 * miss(params) ** 1.5 for params in params_of(codes)])
    sources = [Records(MIXED, codes, {"loss": related})]
    leads = [best(seed, []) - best(seed, sources) for seed in range(3)]
    assert np.mean(leads) > 0.3, leads


def test_a_misleading_source_is_no_worse_than_a_few_trials() -> None:
    def best(seed: int, sources: list[Any]) -> float:
        return min(map(mixed_loss, run(optimizer(seed=seed, sources=sources), 30)))

    losses = [(best(s, []), best(s, [records(60, sign=-1.0)])) for s in range(2)]
    assert np.mean([b - a for a, b in losses]) < 0.15, losses


def test_state_and_restore_go_on_the_same_before_and_after_joining() -> None:
    for loss in (mixed_loss, lambda params: 2 * mixed_loss(params)):
        search = optimizer(sources=[records(30)])
        run(search, 5, loss)
        restored = optimizer(sources=[records(30)], seed=9)
        restored.load_state_dict(json.loads(json.dumps(search.state_dict())))
        assert restored.n_observations == 5
        assert run(restored, 3, loss) == run(search, 3, loss)


def test_a_state_keeps_a_constraint_that_came_later() -> None:
    def constrained(seed: int) -> NCPOptimizer:
        search = optimizer(sources=[records(30)], seed=seed)
        search.constrain({"width": 20.0})
        return search

    search, restored = constrained(0), constrained(9)
    for _ in range(6):
        (params,) = search.ask()
        search.tell(params, {"loss": 2 * mixed_loss(params), "width": params["width"]})
    restored.load_state_dict(json.loads(json.dumps(search.state_dict())))
    assert copy.deepcopy(restored).ask() == restored.ask() == search.ask()


def test_a_state_wants_the_same_sources() -> None:
    state = optimizer(sources=[Source(records(30), same_task=True)]).state_dict()
    for sources in ([], [records(20)]):
        with pytest.raises(ValueError, match="same space, directions, constraints and sources"):
            optimizer(sources=sources).load_state_dict(state)


def test_positions_to_replace_are_the_searchs_own() -> None:
    search = optimizer(sources=[Source(records(12), same_task=True)])
    (params,) = run(search, 1)
    search.tell(params, {"loss": 0.0}, replace=0)
    assert search.n_observations == 1
    with pytest.raises(ValueError, match=r"replace=1 must be below n_observations=1"):
        search.tell(params, {"loss": 0.0}, replace=1)


def test_reasons_tell_own_trials_from_earlier_ones() -> None:
    search = optimizer(sources=[Source(records(20), same_task=True)])
    starts = []
    for _ in range(6):
        (params,) = search.ask()
        starts.append(search.reasons[0]["start"])
        search.tell(params, {"loss": mixed_loss(params)})
    assert {start["from"] for start in starts} <= {"source", "trial", "variation", "random"}
    assert starts[0]["from"] in {"source", "random"}  # there was no trial of its own
    assert all(0 <= start.get("observation", 0) < 6 for start in starts)


def test_a_file_of_the_parameters_and_the_metric(tmp_path: Path) -> None:
    earlier = records(20)
    path = tmp_path / "old.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["note", *MIXED.names, "loss"])
        for params, loss in zip(params_of(earlier.codes), earlier.metrics["loss"], strict=True):
            rows.writerow(["", *params.values(), loss])  # act=None is written as nothing
    search = optimizer(sources=[str(path)])
    path.unlink()  # it was read at once
    assert hows(search, 2) == ["source", "startup"]  # rows of act=None have no such choice


def test_metrics_go_by_name_and_else_in_order() -> None:
    earlier = Records(MIXED, (r := records(20)).codes, {"other": -r.metrics["loss"], **r.metrics})
    assert hows(optimizer(sources=[earlier]), 2) == ["source", "search"]
    assert hows(optimizer(sources=[records(20, name="error")]), 2) == ["source", "search"]


def test_a_parameter_that_is_new_had_one_value() -> None:
    space = SearchSpace([*MIXED.dimensions, Float("momentum", 0.0, 1.0)])

    def new(**given: Any) -> NCPOptimizer:
        return NCPOptimizer(space, directions=MINIMIZE, seed=0, **given)

    with pytest.raises(ValueError, match=r"sources\[0\] lacks the parameters \['momentum'\]"):
        new(sources=[records(20)])
    (first,) = new(sources=[Source(records(20), fixed={"momentum": 0.9})]).ask()
    assert first["momentum"] == 0.9


def test_a_parameter_that_is_gone_is_left_out() -> None:
    space = SearchSpace([dim for dim in MIXED.dimensions if dim.name != "units"])
    search = NCPOptimizer(space, directions=MINIMIZE, seed=0, sources=[records(20)])
    (first,) = search.ask()
    assert {*first} == {*space.names}


def test_ranges_are_clipped_and_unknown_choices_left_out() -> None:
    wide = SearchSpace([Integer("n", 0, 200), Categorical("op", ("a", "b", "c"))])
    narrow = SearchSpace([Integer("n", 0, 100), Categorical("op", ("a", "b"))])
    codes = wide.to_code([{"n": 200, "op": "a"}, {"n": 7, "op": "c"}, {"n": 5, "op": "b"}])
    earlier = Records(wide, codes.astype(np.float64), {"score": np.array([3.0, 9.0, 1.0])})
    search = NCPOptimizer(narrow, directions={"score": "maximize"}, seed=0, sources=[earlier])
    (first,) = search.ask()
    assert first == {"n": 100, "op": "a"}


def test_no_code_of_a_source_exceeds_a_limit() -> None:
    search = optimizer(
        sources=[records(40)],
        costs={"width": lambda params: float(params["width"])},
        limits={"width": 32.0},
    )
    assert max(params["width"] for params in run(search, 6)) <= 32


def test_fixed_parameters_hold_in_what_a_source_gives() -> None:
    (params,) = optimizer(sources=[records(40)]).ask(fixed={"act": "relu"})
    assert params["act"] == "relu"


def test_a_noisy_search_tries_each_code_of_a_source_once() -> None:
    search = optimizer(sources=[records(40)], deterministic_objective=False)
    first, _, third = run(search, 3, lambda params: 1 + mixed_loss(params))
    assert [*map(params_of(records(40).codes).count, (first, third))] == [1, 1]
    assert first != third


def test_several_metrics_constraints_and_gaps() -> None:
    r = records(40)
    gaps = np.where(np.arange(40) % 3 == 0, np.nan, r.codes[:, 1])
    earlier = Records(MIXED, r.codes, {**r.metrics, "size": gaps, "ms": r.codes[:, 0]})
    search = NCPOptimizer(
        MIXED,
        directions={"loss": "minimize", "size": "minimize"},
        constraints={"ms": 20.0},
        seed=0,
        sources=[earlier, records(20, seed=1)],
    )
    for _ in range(7):
        (params,) = search.ask()
        report = {"loss": 1 + mixed_loss(params), "size": params["width"], "ms": params["units"]}
        search.tell(params, report)
    assert search.n_observations == 7
    assert isinstance(search.predictor, FeaturePredictor)


def test_many_rows_stay_few() -> None:
    search = optimizer(sources=[Source(records(3000), same_task=False)])
    assert len(run(search, 5)) == 5
    predictor = search.predictor
    assert isinstance(predictor, FeaturePredictor)
    assert isinstance(predictor.inner, GaussianProcess)


def test_a_source_is_dropped_once_the_search_knows_better() -> None:
    search = optimizer(sources=[Source(records(20), same_task=False)])
    codes = MIXED.sample(50, 1)
    rows = [{"loss": mixed_loss(params)} for params in params_of(codes)]
    search.tell(params_of(codes)[:49], rows[:49])
    run(search, 1)
    state = json.loads(json.dumps(search.state_dict()))
    restored = optimizer(sources=[Source(records(20), same_task=False)], seed=5)
    restored.load_state_dict(state)
    assert run(search, 1) == run(restored, 1)
    assert isinstance(search.predictor, GaussianProcess)  # as without a source


@pytest.mark.parametrize("predictor", ["auto", "infinite-mlp", "gp", "mlp"])
def test_sources_transfer_to_every_process(predictor: str) -> None:
    search = optimizer(sources=[Source(records(20), same_task=False)], predictor=predictor)
    plain = optimizer(predictor=predictor).predictor
    assert len(run(search, 5)) == 5
    assert type(search.predictor) is not type(plain)


@pytest.mark.parametrize("predictor", ["ensemble", "paper", Mixture([GaussianProcess()])])
def test_other_predictors_take_sources_of_the_same_task_alone(predictor: Any) -> None:
    for same_task in (None, False):
        given = [Source(records(20), same_task=True), Source(records(20), same_task=same_task)]
        with pytest.raises(
            ValueError, match=r"sources cannot transfer to predictor=.*; give a Gaussian"
        ):
            optimizer(sources=given, predictor=predictor)
    assert len(run(optimizer(sources=given[:1], predictor=predictor), 1)) == 1


def test_earlier_work_is_read_once_for_all_that_follow() -> None:
    search = optimizer(sources=[Source(records(20), same_task=False)], n_startup_trials=2)
    assert hows(search, 3) == ["source", "startup", "search"]
