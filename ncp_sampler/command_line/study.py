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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial
from torch import nn

from ncp_sampler import checks
from ncp_sampler.command_line.study_logs import trial_log
from ncp_sampler.command_line.study_trials import (
    best_trials,
    checkpoint_path,
    has_checkpoints,
    is_trained,
)
from ncp_sampler.integrations.optuna import NCPSampler
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.training.checkpoint import Checkpoint
from ncp_sampler.training.loop import train
from ncp_sampler.training.problem import TrainingProblem
from ncp_sampler.training.progress import Epoch
from ncp_sampler.training.tensorboard import find_writer

_STARTUP = 6  # trials before the predictor is used; a training is dear
_PRUNER_STARTUP, _PRUNER_WARMUP = 4, 2  # whole trainings to compare with; first epoch to prune at
_MOST_PROPOSALS = 50  # for each trained code
_FOLDER = "be a folder's path"
_THIN = (1, 16)  # depth and width of a code
_STARTS = ((2, 64), (2, 32), (1, 32), _THIN, (1, 8))  # the paper's, and thinner


def create_study(
    problems: Sequence[TrainingProblem],
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
        space: Of the codes, such as ``MRSpace(width=64, depth=2)``.
        max_gflops: Most multiply-adds of a code, in G; for one problem only. None for no limit.
        seed: Of the sampler.

    Raises:
        ValueError: An argument is not as described, or the limit is below the cheapest code.
    """
    starts = _starts(_checked_problems(problems, max_gflops), _checked_space(space), max_gflops)
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
    problems: Sequence[TrainingProblem],
    *,
    space: SearchSpace,
    out: str | Path,
    trials: int,
    max_gflops: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    bf16: bool = False,
    tensorboard: str | Path | None = None,
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
        tensorboard: Folder of TensorBoard's curves, one in it for each trial; None for none.
        tick: Called with a number of epochs as they are done, or will not be.

    Raises:
        ValueError: An argument is not as described.
        ImportError: The package tensorboard is missing, and asked for.
    """
    if tensorboard is not None:
        find_writer()
        tensorboard = Path(checks.instance("tensorboard", tensorboard, str | Path, _FOLDER))
    checks.instance("study", study, Study, "be an optuna Study from create_study")
    trainings = _Trainings(
        problems=_checked_problems(problems, max_gflops),
        space=_checked_space(space),
        out=Path(checks.instance("out", out, str | Path, _FOLDER)),
        trials=checks.integer("trials", trials, low=1),
        max_gflops=max_gflops,
        seed=checks.integer("seed", seed, low=0),
        device=checks.usable_device(device),
        bf16=checks.flag("bf16", bf16),
        tensorboard=tensorboard,
        tick=checks.function("tick", tick, "be a function of a number of epochs"),
    )
    wanted = len(trainings.problems) + (max_gflops is None)
    if len(study.directions) != wanted:
        made = "make it by create_study with the same problems and limit"
        raise ValueError(f"study has {len(study.directions)} objectives, not {wanted}; {made}")
    trainings.out.mkdir(parents=True, exist_ok=True)
    begun = any(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    if not begun and has_checkpoints(trainings.out):  # they would be deleted
        raise ValueError(f"out={str(out)!r} holds checkpoints of another study; give a new folder")
    study.optimize(
        trainings.objective,
        n_trials=trials * (1 if max_gflops is None else _MOST_PROPOSALS),
        callbacks=[trainings.after],
        catch=FloatingPointError,
    )


@dataclass(frozen=True, kw_only=True)
class _Trainings:
    """What all trials of a study share; Optuna calls ``objective``, then ``after``."""

    problems: Sequence[TrainingProblem]
    space: SearchSpace
    out: Path
    trials: int
    max_gflops: float | None
    seed: int
    device: torch.device
    bf16: bool
    tensorboard: Path | None
    tick: Callable[[int], object]

    def objective(self, trial: Trial) -> list[float]:
        """The values of a code: a metric for each problem, and its cost where it has no limit."""
        code = self.space.to_code(self.space.suggest(trial))
        gflops = _gflops(self.problems, code)
        trial.set_user_attr("gflops", gflops)
        if self.max_gflops is not None and gflops > self.max_gflops:
            trial.report(-10 * math.log2(gflops / self.max_gflops), step=0)
            raise optuna.TrialPruned
        networks = {problem.name: problem.build(code) for problem in self.problems}
        metrics = self._train(networks, trial)
        params = sum(p.numel() for net in networks.values() for p in net.parameters())
        trial.set_user_attr("params", params / 1e6)
        kept = Checkpoint.of(code, gflops=gflops, metrics=metrics, networks=networks)
        kept.save(checkpoint_path(self.out, trial.number))
        return [*metrics.values(), *([gflops] if self.max_gflops is None else [])]

    def after(self, study: Study, trial: FrozenTrial) -> None:
        """Deletes the checkpoints of trials that are not best; ends a study that has its trials."""
        best = {trial.number for trial in best_trials(study)}
        for number in range(trial.number + 1):
            if number not in best:
                checkpoint_path(self.out, number).unlink(missing_ok=True)
        if sum(map(is_trained, study.get_trials(deepcopy=False))) >= self.trials:
            study.stop()

    def _train(self, networks: Mapping[str, nn.Module], trial: Trial) -> dict[str, float]:
        """Trains a code's networks in place; problem's name -> validation metric."""
        epochs = _Epochs(trial, self.tick, pruned=self.max_gflops is not None)
        metrics = {}
        try:
            for problem in self.problems:
                with trial_log(self.tensorboard, trial, problem) as log:
                    trained = train(
                        networks[problem.name],
                        problem.train,
                        problem.val,
                        task=problem.task,
                        recipe=problem.recipe,
                        device=self.device,
                        seed=self.seed,
                        bf16=self.bf16,
                        on_epoch=partial(epochs.add, log=log),
                    )
                metrics[problem.name] = trained.metric
        finally:
            self.tick(sum(problem.recipe.epochs for problem in self.problems) - epochs.done)
            trial.set_user_attr("epochs", epochs.done)
        return metrics


class _Epochs:
    """The epochs of a trial, told as they are done; a pruner may end them."""

    def __init__(self, trial: Trial, tick: Callable[[int], object], *, pruned: bool) -> None:
        self.done = 0
        self._trial = trial
        self._tick = tick
        self._pruned = pruned

    def add(self, epoch: Epoch, log: Callable[[Epoch], object]) -> None:
        """Counts and logs one, and raises ``TrialPruned`` if the trial is not to go on."""
        self.done += 1
        log(epoch)
        self._tick(1)
        if self._pruned:
            self._trial.report(epoch.metric, step=epoch.number)
            if self._trial.should_prune():
                raise optuna.TrialPruned


def _checked_problems(
    problems: Sequence[TrainingProblem], max_gflops: float | None
) -> list[TrainingProblem]:
    must = "be a sequence of TrainingProblem, such as [make_problem(...)]"
    checked = checks.sequence("problems", problems, TrainingProblem, must)
    if len({problem.name for problem in checked}) < max(len(checked), 1):
        raise ValueError("problems must be at least one, of different names")
    if max_gflops is not None:
        checks.number("max_gflops", max_gflops, above=0)
        if len(checked) > 1:
            raise ValueError(
                "max_gflops makes a study of one metric; give one problem, or no limit"
            )
    return checked


def _checked_space(space: SearchSpace) -> SearchSpace:
    if not isinstance(space, SearchSpace) or space.names != MRSpace().names:
        raise checks.refusal("space", space, "be an MRSpace, such as MRSpace(width=64, depth=2)")
    return space


def _gflops(problems: Sequence[TrainingProblem], code: NDArray[Any]) -> float:
    return sum(problem.gflops(code) for problem in problems)


def _starts(
    problems: Sequence[TrainingProblem], space: SearchSpace, max_gflops: float | None
) -> list[dict[str, int]]:
    """The first trials' params; see ``create_study``."""
    low, high = (space.denormalize(np.full(len(space.columns), end)) for end in (0.0, 1.0))
    cheapest = _gflops(problems, low)
    if max_gflops is not None and max_gflops < cheapest:
        must = f"be at least {cheapest:.4g}, what the cheapest code has"
        raise checks.refusal("max_gflops", max_gflops, must)
    fitting: dict[tuple[int, int], NDArray[np.int64]] = {}
    for depth, width in _STARTS:
        code = np.array([depth if name[0] in "bn" else width for name in space.names])
        affordable = max_gflops is None or _gflops(problems, code) <= max_gflops
        if affordable and (low <= code).all() and (code <= high).all():
            fitting[depth, width] = code
    largest = next(iter(fitting), _THIN)
    chosen = {largest, _THIN} if max_gflops is None else {largest}
    return [space.to_params(code) for start, code in fitting.items() if start in chosen]
