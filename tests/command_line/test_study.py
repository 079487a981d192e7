"""Studies that train: objectives, limit, pruning, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import MRSpace, NCPSampler
from ncp_sampler.command_line.study import create_study, run_study
from ncp_sampler.command_line.study_trials import best_trials, checkpoint_path, code_of, is_trained
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.training import PRESETS, Checkpoint, evaluate
from tests.training_examples import digits_problem, scenes_problem, uniform_code, width_problem

TINY = MRSpace(width=16, depth=1)


def trials_of(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False)


def test_two_objectives_by_default(tmp_path: Path) -> None:
    problems = [digits_problem(limit=32, epochs=1)]
    study = create_study(problems, space=TINY, seed=1)
    epochs: list[int] = []
    run_study(study, problems, space=TINY, out=tmp_path, trials=3, seed=1, tick=epochs.append)
    assert isinstance(study.sampler, NCPSampler)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.state for trial in trials_of(study)] == [TrialState.COMPLETE] * 3
    assert sum(epochs) == 3
    for trial in trials_of(study):
        assert trial.values[1] == problems[0].gflops(code_of(trial)) == trial.user_attrs["gflops"]
        assert 0 <= trial.values[0] <= 100
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {checkpoint_path(tmp_path, t.number).name for t in study.best_trials}


def test_checkpoints_of_another_study_are_kept(tmp_path: Path) -> None:
    kept = tmp_path / "trial-007.pt"
    kept.touch()
    problem = digits_problem()
    study = create_study([problem], space=TINY)
    with pytest.raises(ValueError, match="contains checkpoints of another study"):
        run_study(study, [problem], space=TINY, out=str(tmp_path), trials=1)
    assert kept.exists()


def test_two_problems_have_three_objectives(tmp_path: Path) -> None:
    problems = [digits_problem(limit=32, epochs=1), scenes_problem(length=16)]
    study = create_study(problems, space=TINY)
    run_study(study, problems, space=TINY, out=tmp_path, trials=2)
    assert len(study.directions) == 3
    for trial in trials_of(study):
        assert trial.values[2] == pytest.approx(sum(p.gflops(code_of(trial)) for p in problems))
    best = best_trials(study)[0]
    kept = Checkpoint.load(checkpoint_path(tmp_path, best.number))
    assert set(kept.states) == {"digits", "scenes"}


def test_checkpoint_gives_the_metric_again(tmp_path: Path) -> None:
    problem = digits_problem(limit=96, epochs=2)
    study = create_study([problem], space=TINY, max_gflops=0.01)
    run_study(study, [problem], space=TINY, out=tmp_path, trials=2, max_gflops=0.01)
    (path,) = tmp_path.iterdir()
    assert path == checkpoint_path(tmp_path, study.best_trial.number)
    kept = Checkpoint.load(path)
    assert kept.code == tuple(code_of(study.best_trial))
    assert kept.metrics == {"digits": study.best_value}
    network = kept.network(problem)
    assert not network.training
    assert evaluate(network, problem.val, task=problem.task) == study.best_value
    with pytest.raises(ValueError, match="problem 'scenes' is not among"):
        kept.network(scenes_problem(length=16))


def test_pruner_stops_those_below_the_median(tmp_path: Path) -> None:
    problem, space = width_problem(), MRSpace()
    study = create_study([problem], space=space, max_gflops=10.0)
    ticks: list[int] = []
    run_study(
        study, [problem], space=space, out=tmp_path, trials=20, max_gflops=10.0, tick=ticks.append
    )
    assert sum(ticks) == 20 * 3  # a pruned trial's missing epochs too
    pruned = [t for t in trials_of(study) if t.state == TrialState.PRUNED]
    assert pruned
    assert all(map(is_trained, pruned))
    for trial in pruned:
        before = [
            t.intermediate_values[trial.last_step]
            for t in trials_of(study)[: trial.number]
            if t.state == TrialState.COMPLETE and trial.last_step is not None
        ]
        assert len(before) >= 4
        assert trial.last_step is not None
        assert trial.last_step > 1
        assert trial.intermediate_values[trial.last_step] < np.median(before)
        assert trial.user_attrs["epochs"] == trial.last_step
    assert study.best_value > 40 + 3  # the start code has 32 + 3


def test_diverged_training_fails_its_trial_alone(tmp_path: Path) -> None:
    problem, space = width_problem(ruin=64), MRSpace()
    study = create_study([problem], space=space)
    run_study(study, [problem], space=space, out=tmp_path, trials=4)
    states = [(int(code_of(t)[-1]), t.state) for t in trials_of(study)]
    assert states[0] == (64, TrialState.FAIL)  # the start code
    assert all((width == 64) == (state == TrialState.FAIL) for width, state in states)
    assert len(states) == 4


@pytest.mark.parametrize(
    ("space", "max_gflops", "expected"),
    [
        (MRSpace(), None, [(2, 64), (1, 16)]),
        (MRSpace(width=32, depth=2), None, [(2, 32), (1, 16)]),
        (MRSpace(width=16, depth=1), None, [(1, 16)]),
        (MRSpace(width=8, depth=1), None, [(1, 8)]),
        (MRSpace(), 0.5, [(2, 32)]),
        (MRSpace(), 0.3, [(1, 16)]),
    ],
)
def test_first_codes(
    space: Any, max_gflops: float | None, expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    problem = width_problem()
    study = create_study([problem], space=space, max_gflops=max_gflops)
    run_study(study, [problem], space=space, out=tmp_path, trials=2, max_gflops=max_gflops)
    for trial, (depth, width) in zip(trials_of(study), expected, strict=False):
        assert code_of(trial).tolist() == uniform_code(depth, width).tolist()


def test_same_seed_same_study(tmp_path: Path) -> None:
    values = []
    for i, seed in enumerate((0, 0, 1)):
        problem = digits_problem(limit=32, epochs=1)
        study = create_study([problem], space=TINY, seed=seed)
        run_study(study, [problem], space=TINY, out=tmp_path / str(i), trials=3, seed=seed)
        values.append([(code_of(t).tolist(), t.values) for t in trials_of(study)])
    assert values[0] == values[1]
    assert values[0] != values[2]


@pytest.mark.parametrize(("width", "depth"), [(128, 4), (48, 2), (8, 1)])
def test_narrow_codes_are_legal(width: int, depth: int) -> None:
    space = MRSpace(width=width, depth=depth)
    codes = space.sample(100, 0)
    assert (MRSpace().round(codes) == codes).all()
    assert codes.max() <= width
    if (width, depth) == (128, 4):
        assert space == MRSpace()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MRSpace(width=20), "width=20 must be a multiple of 8"),
        (lambda: MRSpace(depth=5), "depth=5 must be between 1 and 4"),
        (lambda: create_study([], space=TINY), "at least one, with different names"),
        (lambda: create_study([width_problem()] * 2, space=TINY), "with different names"),
        (
            lambda: create_study([width_problem()], space=TINY, max_gflops={"digits": 1}),
            r"be a number, or map some of the problems \('width',\) to numbers",
        ),
        (
            lambda: create_study([width_problem()], space=TINY, max_gflops={}),
            r"max_gflops={} must be a number, or map some of the problems",
        ),
        (
            lambda: create_study([width_problem()], space=TINY, max_gflops={"width": 0.01}),
            r"max_gflops\['width'\]=0.01 must be at least 0.1",
        ),
        (
            lambda: create_study([width_problem()], space=TINY, max_gflops=0.01),
            "max_gflops=0.01 must be at least 0.1",
        ),
        (
            lambda: create_study([width_problem()], space=SearchSpace([Integer("depth", 1, 4)])),
            "must be an MRSpace, such as MRSpace",
        ),
        (
            lambda: create_study([width_problem()], space=TINY, max_gflops=-1),
            "max_gflops=-1 must be above 0",
        ),
    ],
)
def test_bad_argument(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problems": 5}, "problems=5 must be a sequence of TrainingProblem"),
        ({"space": "x"}, "space='x' must be an MRSpace"),
        ({"study": None}, "study=None must be an optuna Study from create_study"),
        ({"trials": 0}, "trials=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"device": "nonsense"}, "device='nonsense' cannot be used here"),
        ({"tick": 5}, "tick=5 must be a function of a number of epochs"),
        ({"out": None}, "out=None must be a folder's path"),
        ({"max_gflops": 1.0}, "study has 2 objectives, not 1; create it by create_study"),
    ],
)
def test_wrong_study_is_refused_before_a_network_is_trained(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    problem = width_problem()
    study = create_study([problem], space=TINY)
    arguments = {"study": study, "problems": [problem], "space": TINY, "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=message):
        run_study(**{**arguments, "trials": 1, **change})
    assert not (tmp_path / "out").exists()
    assert not [trial for trial in trials_of(study) if trial.state.is_finished()]


def test_three_of_the_papers_presets_make_problems() -> None:
    """A detector is a problem too, but has another network: its preset alone is not enough."""
    from ncp_sampler.training import Digits, make_problem

    data = Digits("val", limit=4)
    with pytest.raises(ValueError, match="task='detection3d'"):
        make_problem("kitti", PRESETS["3ddet"], train=data, val=data, test=data)
