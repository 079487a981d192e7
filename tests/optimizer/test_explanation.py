"""Why a proposal: the reasons are true, small, and readable as a table and as figures."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import numpy as np
import optuna
import pytest
from rich.console import Console

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    NCPOptimizer,
    NCPSampler,
    NCPSearch,
    SearchSpace,
    costs,
    explain,
)
from ncp_sampler.optimizer.explanation import _fitting
from ncp_sampler.optimizer.explanation_table import explain_markdown
from ncp_sampler.visualization import plot_calibration, plot_proposal
from tests.optimizer_examples import MIXED, mixed_loss
from tests.optuna_examples import constrain

PLANE = SearchSpace([Integer("x", 0, 100), Integer("y", 0, 100), Integer("idle", 0, 9)])

STOPPED = {"limit": [], "range": [], "tried": 0}


def _plane(**given: Any) -> NCPOptimizer:
    return NCPOptimizer(
        PLANE,
        directions={"gain": "maximize", "sum": "minimize"},
        costs={"sum": lambda codes: codes[:, 0] + codes[:, 1]},
        limits={"sum": 120},
        constraints={"heat": 50.0},
        seed=0,
        **given,
    )


def _reasons_of_asks(optimizer: NCPOptimizer, n: int) -> list[dict[str, Any]]:
    """Reasons of n proposals; heat is y, gain is x + 5 y."""
    reasons = []
    for _ in range(n):
        (params,) = optimizer.ask()
        reasons += optimizer.reasons
        gain = float(params["x"] + 5 * params["y"])
        optimizer.tell(params, {"gain": gain, "heat": float(params["y"])})
    return reasons


def _text(trial: Any) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(explain(trial))
    return console.export_text()


def test_reasons_add_up_and_name_what_matters() -> None:
    optimizer = _plane()
    reasons = _reasons_of_asks(optimizer, 24)
    assert [reason["how"] for reason in reasons[:10]] == ["startup"] * 10
    codes = optimizer.state_dict()["observations"]["codes"]
    for number, reason in enumerate(reasons[14:], 14):
        assert reason["how"] == "search"
        moved = sum(gain["sum"] for _, _, _, gain in reason["moves"])
        known = reason["metrics"]["sum"]
        assert moved == pytest.approx(known["value"] - known["start"], rel=1e-2, abs=0.1)
        assert known["value"] == sum(codes[number][:2])
        assert known["limit"] == 120
        gain = reason["metrics"]["gain"]
        moved = sum(move[3]["gain"] for move in reason["moves"])
        assert moved == pytest.approx(gain["mean"] - gain["start"], rel=0.05, abs=5)
        assert reason["moves"] == [] or reason["moves"][-1][0] == "idle" or len(reason["moves"]) < 3
        assert reason["metrics"]["heat"]["bound"] == 50
        assert reason["feasible"] == reason["metrics"]["heat"]["chance"]
        if reason["start"]["from"] == "trial":
            start = dict(zip(PLANE.names, codes[reason["start"]["observation"]], strict=True))
            assert all(start[name] == before for name, before, _, _ in reason["moves"])
    heat = [reason["metrics"]["heat"]["mean"] for reason in reasons[16:]]
    errors = np.abs(np.array(heat) - np.array(codes[16:])[:, 1])
    assert np.median(errors) < 3


def test_a_proposal_is_compared_with_its_start_and_with_the_incumbent() -> None:
    """Its acquisition value is the higher one, even if its mean is not: its uncertainty is."""
    line = SearchSpace([Float("x", -5, 5), Float("y", -5, 5)])
    optimizer = NCPOptimizer(line, directions={"loss": "minimize"}, seed=0, n_startup_trials=5)
    losses: list[float] = []
    means = []
    for number in range(16):
        (params,) = optimizer.ask()
        (reasons,) = optimizer.reasons
        if number >= 5:
            loss, acquisition = reasons["metrics"]["loss"], reasons["acquisition"]
            assert acquisition["value"] >= acquisition["start"]
            assert reasons["incumbent"] == {"observation": int(np.argmin(losses))}
            assert loss["incumbent"] == pytest.approx(min(losses), rel=1e-3)
            assert loss["start_std"] >= 0
            assert f"to improve on: trial {int(np.argmin(losses))}, loss " in _text(reasons)
            assert "acquisition value, a logarithm: " in _text(reasons)
            if reasons["start"]["from"] == "trial":
                means.append(loss["mean"] - loss["start"])
                assert loss["start"] == pytest.approx(
                    losses[reasons["start"]["observation"]], abs=3 * loss["start_std"] + 0.1
                )
        losses.append((params["x"] - 1) ** 2 + params["y"] ** 2)
        optimizer.tell(params, {"loss": losses[-1]})
    assert means


def test_a_front_has_no_incumbent() -> None:
    reasons = _reasons_of_asks(_plane(n_startup_trials=4), 8)[-1]
    assert "incumbent" not in reasons
    assert "incumbent" not in reasons["metrics"]["gain"]
    assert reasons["acquisition"]["value"] >= reasons["acquisition"]["start"]
    assert "start_std" not in reasons["metrics"]["sum"]  # a known cost


def test_the_incumbent_of_a_study_has_the_number_of_its_trial() -> None:
    sampler = NCPSampler(seed=0, n_startup_trials=4)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({"x": 9.0})
    study.optimize(lambda trial: (trial.suggest_float("x", -10, 10) - 2) ** 2, n_trials=9)
    before = study.trials[:-1]
    best = min(before, key=lambda trial: trial.value or 0.0)
    reasons = study.trials[-1].system_attrs["ncp:reasons"]
    assert reasons["incumbent"] == {"trial": best.number}
    assert f"to improve on: trial {best.number}, value {best.value:.4g}" in _text(study.trials[-1])


def test_reasons_are_the_same_whenever_they_are_read() -> None:
    """At once, after a result, or in a copy: the model is still the one that proposed."""
    at_once, later = (_plane(n_startup_trials=6) for _ in range(2))
    for optimizer in (at_once, later):
        _reasons_of_asks(optimizer, 8)
    proposed = at_once.ask(2)
    reasons = at_once.reasons
    assert [reason["how"] for reason in reasons] == ["search"] * 2
    assert later.ask(2) == proposed
    later.tell(proposed[1], {"gain": 1.0, "heat": 2.0})
    assert copy.deepcopy(later).reasons == later.reasons == reasons


def test_what_stopped_a_proposal() -> None:
    """More of x is better, and known to be too much; y has no more to give."""
    optimizer = NCPOptimizer(
        PLANE,
        directions={"gain": "maximize"},
        costs={"x": lambda codes: codes[:, 0]},
        limits={"x": 60},
        seed=0,
        n_startup_trials=6,
    )
    reasons: dict[str, Any] = {}
    for _ in range(12):
        (params,) = optimizer.ask()
        (reasons,) = optimizer.reasons
        optimizer.tell(params, {"gain": float(3 * params["x"] + params["y"])})
    assert params["x"] == 60
    assert reasons["stopped"]["limit"] == ["x"]
    assert "y" in reasons["stopped"]["range"]


def test_reasons_of_many_parameters_stay_under_four_kilobytes() -> None:
    space = SearchSpace([Integer(f"a_long_name_of_parameter_{i}", 0, 9) for i in range(120)])
    optimizer = NCPOptimizer(
        space, directions={"a": "maximize", "b": "minimize"}, seed=0, n_startup_trials=3
    )
    for _ in range(5):
        (params,) = optimizer.ask()
        (reasons,) = optimizer.reasons
        total = float(sum(params.values()))
        optimizer.tell(params, {"a": total, "b": total**2})
    assert len(json.dumps(reasons)) < 4000
    assert reasons["left_out"] > 0
    assert "and " in _text(reasons)


@pytest.mark.parametrize("several", [1, 3, 5])
def test_reasons_in_any_space(several: int) -> None:
    """Logs, steps, choices, more than 128 of them; noisy, and with a strategy of another kind."""
    space = SearchSpace([*MIXED.dimensions, Categorical("many", tuple(range(150)))])
    optimizer = NCPOptimizer(
        space,
        directions={f"m{i}": "minimize" for i in range(several)},
        costs={"many": lambda params: params["many"]},
        limits={"many": 99},
        seed=0,
        n_startup_trials=4,
        deterministic_objective=False,
    )
    for _ in range(7):
        (params,) = optimizer.ask(pending=[space.to_params(space.sample(1, 0)[0])])
        (reasons,) = optimizer.reasons
        optimizer.tell(params, {f"m{i}": mixed_loss(params) + i for i in range(several)})
    assert json.loads(json.dumps(reasons)) == reasons
    assert list(reasons["metrics"])[:several] == list(optimizer.directions)


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    space = MRSpace()
    sampler = NCPSampler(space=space, costs={"flops": costs.flops}, limits={"flops": 1.0}, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        code = space.to_code(space.suggest(trial))
        constrain(trial, "params", float(costs.params(code)) - 5)
        return float(-np.abs(code - 2).sum())

    study.optimize(objective, n_trials=14)
    return study


def test_explain_is_a_table(study: optuna.Study) -> None:
    text = _text(study.trials[-1])
    reasons = study.trials[-1].system_attrs["ncp:reasons"]
    assert len(json.dumps(reasons)) < 4000
    name, before, after, _ = reasons["moves"][0]
    for part in (
        name,
        str(before),
        str(after),
        "change in value",
        "flops",
        "limit 1",
        "probability",
    ):
        assert part in text
    if "trial" in reasons["start"]:
        assert f"trial {reasons['start']['trial']}" in text
    assert "quasi-random" in _text(study.trials[0])
    trial = study.ask(MRSpace().distributions)
    assert "parameter" in _text(trial)  # while it runs
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def test_figures(study: optuna.Study) -> None:
    figure = plot_proposal(study.trials[13])
    moves = study.trials[13].system_attrs["ncp:reasons"]["moves"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == f"{moves[0][0]}: {moves[0][1]} → {moves[0][2]}"
    assert len(figure.axes[0].patches) == min(len(moves), 16)
    calibration = plot_calibration(study)
    assert calibration.axes[0].get_title().startswith("value: ")
    assert "of 4 within" in calibration.axes[0].get_title()


def test_ray_has_the_same_through_the_searcher() -> None:
    search = NCPSearch(space=MIXED, metric="loss", mode="min", seed=0, n_startup_trials=4)
    results = []
    for i in range(7):
        config = search.suggest(f"t{i}")
        assert config is not None
        results.append(mixed_loss(config))
        search.on_trial_complete(f"t{i}", result={"loss": results[-1]})
    assert "loss" in _text(search.reasons["t6"])
    figure = plot_calibration(search.reasons.values(), results={"loss": results})
    assert "of 3 within" in figure.axes[0].get_title()
    assert plot_proposal(search.reasons["t6"]).axes


def test_markdown_says_the_same_and_escapes_names() -> None:
    reasons = _reasons_of_asks(_plane(n_startup_trials=4), 7)
    assert explain_markdown(reasons[0]).startswith("A startup trial: quasi-random")
    text, table = explain_markdown(reasons[-1]), _text(reasons[-1])
    for name, before, after, gain in reasons[-1]["moves"]:
        assert f"| {name} | {before} | {after} | {gain['gain']:+.3g} |" in text
    for line in text.splitlines():
        if line.startswith("- "):
            assert line.removeprefix("- ").split(":")[0] in table
    odd = {"how": "search", "start": {"from": "random"}, "left_out": 2, "stopped": STOPPED}
    odd |= {"moves": [["a|b", "<i>", "$x$", {"m_1": 1.0}]], "metrics": {}}
    assert r"| a\|b | \<i\> | \$x\$ | +1 |" in explain_markdown(odd)
    assert r"| and 2 more |  |  |  |" in explain_markdown(odd)


def test_many_names_are_cut_where_they_are_most() -> None:
    branch = {f"toggle_{i}_of_a_name_that_is_rather_long": "on" for i in range(120)}
    moves = [["width", 8, 16, {"gain": 1.0}]]
    reasons = {"how": "search", "moves": moves, "left_out": 0, "branch": branch, "stopped": STOPPED}
    fitting = _fitting(reasons)
    assert len(json.dumps(fitting)) < 4000
    assert fitting["moves"] == moves
    assert 50 < len(fitting["branch"]) < 120


@pytest.mark.parametrize("function", [explain, explain_markdown, plot_proposal])
@pytest.mark.parametrize("trial", [5, None, {"a": 1}])
def test_trials_without_reasons(function: Any, trial: Any) -> None:
    with pytest.raises(ValueError, match=r"trial=.* has no reasons; give a trial that"):
        function(trial)
    random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    random.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="has no reasons"):
        function(random.trials[0])


def test_startup_trials_say_when_the_model_proposes(study: optuna.Study) -> None:
    """From the eleventh trial on by default: no figure then, and no table of moves."""
    later = "The model first proposes trial 10, if the 10 trials before it have a value"
    assert later in _text(study.trials[0])
    assert explain_markdown(study.trials[9]).endswith(f"without a prediction. {later}.\n")
    assert study.trials[10].system_attrs["ncp:reasons"]["how"] == "search"
    assert "nothing was predicted" in _text({"how": "startup"})  # as version 0.2 stored it


def test_startup_has_no_figure(study: optuna.Study) -> None:
    with pytest.raises(ValueError, match="proposed without a prediction"):
        plot_proposal(study.trials[0])
    with pytest.raises(ValueError, match="has no trial with a prediction"):
        plot_calibration(optuna.create_study())
    with pytest.raises(ValueError, match="study=5 must be an Optuna study"):
        plot_calibration(5)
