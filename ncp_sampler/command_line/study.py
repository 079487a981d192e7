"""Optuna studies that build, train and score the network of every code.

By default a study has one objective for each problem, its metric, and one more, the multiply-adds
of all networks together, in G. With ``max_gflops`` and a single problem it has one objective, the
metric, and a ``MedianPruner`` that stops trainings by the metric after each epoch (Optuna prunes
single-objective studies only).

A code above ``max_gflops`` is not trained. Its trial is pruned with the reported value
``-10 log2(gflops / max_gflops)``: below 0, which no metric reaches, and falling with the excess,
so that the sampler learns where the limit is. Such a trial costs milliseconds and does not count
among ``trials``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from torch import nn

from ncp_sampler.integrations.optuna import NCPSampler
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.training import (
    Checkpoint,
    Epoch,
    Problem,
    train,
)

__all__ = [
    "best_trials",
    "checkpoint_path",
    "code_of",
    "create_study",
    "has_checkpoints",
    "is_trained",
    "narrow_space",
    "proposed_trials",
    "run_study",
]

_STARTUP = 6  # trials before the predictor is used; a training is dear
_PRUNER_STARTUP, _PRUNER_WARMUP = 4, 2  # whole trainings to compare with; first epoch to prune at
_MOST_PROPOSALS = 50  # for each trained code
_THIN = (1, 16)  # depth and width of a code
_STARTS = ((2, 64), (2, 32), (1, 32), _THIN, (1, 8))  # the paper's, and thinner

_SPACE = MRSpace()


def narrow_space(*, width: int = 128, depth: int = 4) -> SearchSpace:
    """The codes of ``MRSpace`` whose channels and depths are at most so many.

    Args:
        width: Most channels, a multiple of 8 from 8 to 128.
        depth: Most blocks and residual units, 1 to 4.

    Raises:
        ValueError: An argument is not as described.
    """
    if width not in range(8, 129, 8):
        raise ValueError(f"width={width} must be a multiple of 8 from 8 to 128")
    if depth not in range(1, 5):
        raise ValueError(f"depth={depth} must be 1 to 4")
    return SearchSpace(
        [
            Integer(name, 1, depth) if name[0] in "bn" else Integer(name, 8, width, step=8)
            for name in _SPACE.names
        ]
    )


def create_study(
    problems: Sequence[Problem],
    *,
    space: SearchSpace,
    max_gflops: float | None = None,
    seed: int = 0,
) -> Study:
    """A study in memory, with its first trials enqueued.

    These are the paper's start code and a much thinner one, or the largest such code within the
    limit, as far as the space has them.

    Args:
        problems: What each code is trained on, one network for each.
        space: From ``narrow_space``.
        max_gflops: Most multiply-adds of a code, in G; for one problem only. None for no limit.
        seed: Of the sampler.

    Raises:
        ValueError: An argument is not as described, or the limit is below the cheapest code.
    """
    if len({problem.name for problem in problems}) < max(len(problems), 1):
        raise ValueError("problems must be at least one, of different names")
    if max_gflops is not None and len(problems) > 1:
        raise ValueError("max_gflops makes a study of one metric; give one problem, or no limit")
    starts = _starts(problems, space, max_gflops)
    sampler = NCPSampler(space=space, seed=seed, n_startup_trials=_STARTUP)
    if max_gflops is None:
        directions = [*[StudyDirection.MAXIMIZE] * len(problems), StudyDirection.MINIMIZE]
        study = optuna.create_study(directions=directions, sampler=sampler)
    else:
        pruner = optuna.pruners.MedianPruner(_PRUNER_STARTUP, _PRUNER_WARMUP)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    for params in starts:
        study.enqueue_trial(params)
    return study


def run_study(
    study: Study,
    problems: Sequence[Problem],
    *,
    space: SearchSpace,
    out: str | Path,
    trials: int,
    max_gflops: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    bf16: bool = False,
    tick: Callable[[int], object] = lambda epochs: None,
) -> None:
    """Trains codes; ``out`` then holds a ``Checkpoint`` of each best trial, ``trial-NNN.pt``.

    Every trial has the user attributes ``gflops`` and ``epochs``, a complete one ``params`` (M)
    too. A training whose loss is not finite fails its trial.

    Args:
        study: From ``create_study`` with the same problems, space and limit.
        problems: What each code is trained on.
        space: Of the codes.
        out: Folder, made if missing; without checkpoints of another study.
        trials: Codes to train, at least 1.
        max_gflops: As for ``create_study``.
        seed: Of the trainings.
        device: Where to train.
        bf16: As for ``train``.
        tick: Called with a number of epochs as they are done, or will not be.

    Raises:
        ValueError: An argument is not as described.
    """
    if trials < 1:
        raise ValueError(f"trials={trials} must be at least 1")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    begun = any(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    if not begun and has_checkpoints(out):  # they would be deleted
        raise ValueError(f"out={str(out)!r} holds checkpoints of another study; give a new folder")

    def objective(trial: Trial) -> list[float]:
        code = space.to_code(space.suggest(trial))
        gflops = _gflops(problems, code)
        trial.set_user_attr("gflops", gflops)
        if max_gflops is not None and gflops > max_gflops:
            trial.report(-10 * math.log2(gflops / max_gflops), step=0)
            raise optuna.TrialPruned
        total = sum(problem.recipe.epochs for problem in problems)
        done = 0

        def on_epoch(epoch: Epoch) -> None:
            nonlocal done
            done += 1
            tick(1)
            if max_gflops is not None:
                trial.report(epoch.metric, step=epoch.number)
                if trial.should_prune():
                    raise optuna.TrialPruned

        networks: dict[str, nn.Module] = {}
        metrics: dict[str, float] = {}
        try:
            for problem in problems:
                networks[problem.name] = network = problem.build(code)
                trained = train(
                    network,
                    problem.train,
                    problem.val,
                    task=problem.task,
                    recipe=problem.recipe,
                    device=device,
                    seed=seed,
                    bf16=bf16,
                    on_epoch=on_epoch,
                )
                metrics[problem.name] = trained.metric
        finally:
            tick(total - done)
            trial.set_user_attr("epochs", done)
        params = sum(p.numel() for net in networks.values() for p in net.parameters())
        trial.set_user_attr("params", params / 1e6)
        kept = Checkpoint.of(code, gflops=gflops, metrics=metrics, networks=networks)
        kept.save(checkpoint_path(out, trial.number))
        return [*metrics.values(), *([gflops] if max_gflops is None else [])]

    def after(study: Study, trial: FrozenTrial) -> None:
        best = {trial.number for trial in best_trials(study)}
        for number in range(trial.number + 1):
            if number not in best:
                checkpoint_path(out, number).unlink(missing_ok=True)
        if sum(map(is_trained, study.get_trials(deepcopy=False))) >= trials:
            study.stop()

    study.optimize(
        objective,
        n_trials=trials * (1 if max_gflops is None else _MOST_PROPOSALS),
        callbacks=[after],
        catch=FloatingPointError,
    )


def best_trials(study: Study) -> list[FrozenTrial]:
    """The complete trials that no other one dominates; for one objective, the best one."""
    complete = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    if not complete:
        return []
    return study.best_trials if len(study.directions) > 1 else [study.best_trial]


def proposed_trials(study: Study) -> list[FrozenTrial]:
    """The trials that have a code, unlike those still enqueued or interrupted while proposed."""
    return [t for t in study.get_trials(deepcopy=False) if "gflops" in t.user_attrs]


def checkpoint_path(out: Path, number: int) -> Path:
    """Where a trial's checkpoint is, if it is among the best."""
    return out / f"trial-{number:03}.pt"


def has_checkpoints(out: Path) -> bool:
    """Whether a folder holds checkpoints of trials."""
    return any(out.glob("trial-*.pt"))


def is_trained(trial: FrozenTrial) -> bool:
    """Whether a finished trial trained its networks, be it in part or in vain."""
    penalized = trial.state == TrialState.PRUNED and list(trial.intermediate_values) == [0]
    return trial.state.is_finished() and not penalized


def code_of(trial: FrozenTrial) -> NDArray[np.int64]:
    """The code (27,) of a trial."""
    return _SPACE.to_code(trial.params)


def _gflops(problems: Sequence[Problem], code: NDArray[Any]) -> float:
    return sum(problem.gflops(code) for problem in problems)


def _starts(
    problems: Sequence[Problem], space: SearchSpace, max_gflops: float | None
) -> list[dict[str, int]]:
    """The first trials' params; see ``create_study``."""
    low, high = (space.denormalize(np.full(len(space.columns), end)) for end in (0.0, 1.0))
    cheapest = _gflops(problems, low)
    if max_gflops is not None and not cheapest <= max_gflops:
        raise ValueError(
            f"max_gflops={max_gflops} must be at least {cheapest:.4g}, what the cheapest code has"
        )
    fitting: dict[tuple[int, int], NDArray[np.int64]] = {}
    for depth, width in _STARTS:
        code = np.array([depth if name[0] in "bn" else width for name in space.names])
        affordable = max_gflops is None or _gflops(problems, code) <= max_gflops
        if affordable and (low <= code).all() and (code <= high).all():
            fitting[depth, width] = code
    largest = next(iter(fitting))
    chosen = {largest, _THIN} if max_gflops is None else {largest}
    return [space.to_params(code) for start, code in fitting.items() if start in chosen]
