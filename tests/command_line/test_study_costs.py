"""Studies that train under a limit: no code over it is proposed, and several tasks compromise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from numpy.typing import ArrayLike
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from ncp_sampler import MRSpace, costs, nas_bench
from ncp_sampler.command_line.study import create_study, run_study
from ncp_sampler.command_line.study_trials import (
    answer_trial,
    best_trials,
    checkpoint_path,
    code_of,
    is_trained,
    regrets_of,
)
from ncp_sampler.optimizer.explanation import reasons_of
from ncp_sampler.training import Task, TrainingProblem
from tests.training_examples import (
    digits_problem,
    narrow_problem,
    scenes_problem,
    width_problem,
)

TINY, SMALL = MRSpace(width=16, depth=1), MRSpace(width=32, depth=2)


def trials_of(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False)


def surrogate_problem(setting: str) -> TrainingProblem:
    """Looks a code's metric up in a surrogate of NAS-Bench-MR; its FLOPs are the tables'."""
    surrogate = nas_bench.objective(setting)

    class Looked(nn.Module):
        def __init__(self, code: ArrayLike) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)
            self.metric = float(surrogate.evaluate(code)[0, 0])

    def gflops(code: ArrayLike) -> Any:
        cost = costs.flops(code)
        return cost if np.ndim(code) == 2 else float(cost[0])

    base = width_problem()
    task = Task(
        metric=surrogate.metrics[0],
        loss=lambda model, batch: model.layer(batch).square().mean(),  # type: ignore[operator]
        score=lambda model, batches: float(model.metric),  # type: ignore[arg-type]
    )
    recipe = replace(base.recipe, epochs=1)
    return replace(base, name=setting, task=task, recipe=recipe, build=Looked, gflops=gflops)


def test_no_code_over_the_limit_is_proposed(tmp_path: Path) -> None:
    """Real trainings; of random codes of this space, one in sixteen is within the limit."""
    problem, limit = digits_problem(limit=32, epochs=1), 0.004
    study = create_study([problem], space=SMALL, max_gflops=limit)
    run_study(study, [problem], space=SMALL, out=tmp_path, trials=10, max_gflops=limit)
    assert len(trials_of(study)) == 10
    assert all(map(is_trained, trials_of(study)))
    assert max(problem.gflops(code_of(trial)) for trial in trials_of(study)) <= limit
    random = [problem.gflops(code) for code in SMALL.sample(200, 0)]
    assert np.mean(np.array(random) <= limit) < 0.12


@pytest.mark.parametrize("seed", [0, 1])
def test_best_network_of_a_giga_in_25_trainings(seed: int, tmp_path: Path) -> None:
    """Learning the FLOPs from reports found 74.0 on average, and a fifth of its codes over it."""
    problem, space = surrogate_problem("seg"), MRSpace()
    study = create_study([problem], space=space, max_gflops=1.0, seed=seed)
    run_study(study, [problem], space=space, out=tmp_path, trials=25, max_gflops=1.0, seed=seed)
    assert len(trials_of(study)) == 25
    assert costs.flops(np.array([code_of(trial) for trial in trials_of(study)])).max() <= 1.0
    assert study.best_value > 75.5


@pytest.mark.parametrize(
    "gflops",
    [
        lambda code: float(np.asarray(code).sum()) / 1000,  # an error if it is given a tensor
        lambda code: float(torch.as_tensor(code).sum()) / 1000,  # one number for all codes
        lambda code: torch.tensor(np.array(code)[..., :].sum(-1) / 1000),  # without a gradient
    ],
)
def test_costs_that_are_not_functions_of_many_codes_are_interpolated(gflops: Any) -> None:
    """Beside a problem whose costs are."""
    problems, space = [replace(width_problem(), gflops=gflops), narrow_problem()], TINY
    study = create_study(problems, space=space)
    study.optimize(lambda trial: (0, 0, space.suggest(trial)["o1"]), n_trials=7)
    metrics = reasons_of(trials_of(study)[6])["metrics"]
    code = code_of(trials_of(study)[6])
    total = sum(float(problem.gflops(code)) for problem in problems)
    assert [*metrics.values()][2]["value"] == pytest.approx(total, rel=1e-3)


def test_costs_that_take_one_code_alone_are_limited_too(tmp_path: Path) -> None:
    """They are interpolated between codes."""
    problem = replace(width_problem(), gflops=lambda code: float(np.asarray(code).sum()) / 1000)
    space = MRSpace()
    study = create_study([problem], space=space, max_gflops=0.8)
    run_study(study, [problem], space=space, out=tmp_path, trials=12, max_gflops=0.8)
    assert len(trials_of(study)) == 12
    assert max(code_of(trial).sum() for trial in trials_of(study)) <= 800
    assert study.best_value > 50  # of at most 64 + 3, as wide as any; a random code is over


def test_codes_over_the_limit_of_other_samplers_are_pruned_untrained(tmp_path: Path) -> None:
    problem, space, limit = width_problem(), MRSpace(width=48, depth=2), 0.36
    study = create_study([problem], space=space, max_gflops=limit)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    run_study(study, [problem], space=space, out=tmp_path, trials=4, max_gflops=limit)
    trained = [trial for trial in trials_of(study) if is_trained(trial)]
    untrained = [trial for trial in trials_of(study) if not is_trained(trial)]
    assert len(trained) == 4
    assert untrained
    assert all(trial.user_attrs["gflops"] <= limit for trial in trained)
    for trial in untrained:
        assert trial.state == TrialState.PRUNED
        expected = -10 * math.log2(trial.user_attrs["gflops"] / limit)
        assert trial.intermediate_values == {0: pytest.approx(expected)}
        assert expected < 0


@pytest.mark.parametrize(
    ("max_gflops", "ends"),
    [
        (1.0, (1.0, 1.0)),
        ({"narrow": 1.4}, (math.inf, 1.4)),
        ({"width": 0.6, "narrow": 1.4}, (0.6, 1.4)),
    ],
)
def test_network_of_each_problem_keeps_its_limit(
    max_gflops: Any, ends: tuple[float, float], tmp_path: Path
) -> None:
    problems, space = [width_problem(), narrow_problem()], MRSpace()
    study = create_study(problems, space=space, max_gflops=max_gflops)
    run_study(study, problems, space=space, out=tmp_path, trials=10, max_gflops=max_gflops)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MAXIMIZE"]
    assert [trial.state for trial in trials_of(study)] == [TrialState.COMPLETE] * 10
    for problem, end in zip(problems, ends, strict=True):
        assert max(problem.gflops(code_of(trial)) for trial in trials_of(study)) <= end


def test_other_samplers_are_pruned_in_studies_of_several_problems(tmp_path: Path) -> None:
    """Optuna lets such a trial report nothing."""
    problems, space = [width_problem(), narrow_problem()], MRSpace(width=48, depth=2)
    study = create_study(problems, space=space, max_gflops=0.72)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    run_study(study, problems, space=space, out=tmp_path, trials=4, max_gflops=0.72)
    trained = [trial for trial in trials_of(study) if is_trained(trial)]
    assert len(trained) == 4 < len(trials_of(study))
    assert all(problems[1].gflops(code_of(trial)) <= 0.72 for trial in trained)


def test_cost_that_is_an_objective_is_not_learned(tmp_path: Path) -> None:
    """The first proposal by the model predicts the metric; the cost has no deviation."""
    problem = digits_problem(limit=32, epochs=1)
    study = create_study([problem], space=SMALL)
    run_study(study, [problem], space=SMALL, out=tmp_path, trials=7)
    metric, cost = reasons_of(trials_of(study)[6])["metrics"].values()
    assert "std" in metric
    assert "std" not in cost
    assert cost["value"] == pytest.approx(trials_of(study)[6].values[1], rel=1e-3)


def test_answer_of_two_tasks_is_a_compromise(tmp_path: Path) -> None:
    """The best trial of either task is the worst of the other; the answer is between them."""
    problems = [width_problem(), narrow_problem()]
    study = create_study(problems, space=MRSpace())
    run_study(study, problems, space=MRSpace(), out=tmp_path, trials=16)
    answer = answer_trial(study, len(problems))
    values = np.array([trial.values[:2] for trial in trials_of(study)])
    assert not (values[answer.number] == values.max(axis=0)).any()
    assert regrets_of(trials_of(study), 2)[answer.number].max() <= 1  # that of the median
    assert answer.number in {trial.number for trial in best_trials(study)}
    assert checkpoint_path(tmp_path, answer.number).exists()


def test_answer_of_equal_metrics_is_the_cheapest_network(tmp_path: Path) -> None:
    """Codes of equal last widths have equal metrics; one checkpoint of them is kept."""
    problem = width_problem()
    space = MRSpace(width=8)  # all are as wide
    study = create_study([problem], space=space)
    run_study(study, [problem], space=space, out=tmp_path, trials=5)
    assert len({trial.values[0] for trial in trials_of(study)}) == 1
    answer = answer_trial(study, 1)
    assert answer.values[1] == min(trial.values[1] for trial in trials_of(study))
    assert checkpoint_path(tmp_path, answer.number).exists()


def test_multiply_adds_of_many_codes_have_a_gradient() -> None:
    codes = torch.tensor(SMALL.sample(3, 0), dtype=torch.float64, requires_grad=True)
    for problem in (digits_problem(limit=32), scenes_problem(length=16)):
        counts: Any = problem.gflops(codes)
        assert counts.tolist() == [problem.gflops(code) for code in SMALL.sample(3, 0)]
        assert torch.autograd.grad(counts.sum(), codes)[0].abs().sum() > 0
