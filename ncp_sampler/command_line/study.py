"""Optuna studies that build, train and score the network of each code.

By default, the metric of each problem is an objective of the study, and the last objective is a
known cost: the total multiply-adds of all networks, in G. With ``max_gflops``, the metrics are the
only objectives, and the multiply-adds of each problem's network are a known cost with a hard limit,
so that no code over the limit is proposed. A study with a single objective has a ``MedianPruner``,
which may stop the training after an epoch, based on the metric. Optuna does not prune studies with
several objectives.

Samplers other than ``NCPSampler`` do not know the limit, and ``enqueue_trial`` does not check it. A
code over the limit is not trained: its trial is pruned within milliseconds and does not count
towards ``trials``. In a study with one objective, the trial reports
``-10 log2(gflops / max_gflops)``, which is below every metric and decreases with the excess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial
from torch import nn

from ncp_sampler import checks
from ncp_sampler.command_line.study_costs import (
    MaxGflops,
    checked_limits,
    excess,
    gflops_of,
    known_costs,
)
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

_STARTUP = 6  # Number of trials before the predictor is used; few, because training is expensive
# Number of complete trials before the first trial can be pruned; number of a trial's first epochs
# after which it cannot be pruned
_PRUNER_STARTUP, _PRUNER_WARMUP = 4, 2
_MAX_PROPOSALS = 50  # Maximum proposals per trained code, for samplers that do not know the limit
_FOLDER = "be a folder's path"
_THIN = (1, 16)  # Depth and width of the thin start code
# Depth and width of uniform start codes: the paper's start code, then thinner ones
_STARTS = ((2, 64), (2, 32), (1, 32), _THIN, (1, 8))


def create_study(
    problems: Sequence[TrainingProblem],
    *,
    space: SearchSpace,
    max_gflops: MaxGflops = None,
    seed: int = 0,
) -> Study:
    """Create a study in memory, with its first trials enqueued.

    The first two trials are the paper's start code and a much thinner code, if the space contains
    them. With a limit, only one trial is enqueued: the largest of five uniform codes that is within
    the limit.

    Args:
        problems: Problems on which each code is trained, with one network per problem.
        space: Space of the codes, such as ``MRSpace(width=64, depth=2)``.
        max_gflops: Hard limit on the multiply-adds of each problem's network, in G; or a mapping
            from problem names to limits, where a problem without a name in the mapping has no
            limit. None for no limits.
        seed: Seed of the sampler.

    Raises:
        ValueError: An argument is not as described, or the limit is below the cost of the cheapest
            code.
    """
    problems = _checked_problems(problems)
    limits = checked_limits(problems, _checked_space(space), max_gflops)
    costs = known_costs(problems, space, limits)
    sampler = NCPSampler(space=space, seed=seed, n_startup_trials=_STARTUP, **costs)
    directions = [StudyDirection.MAXIMIZE] * len(problems)
    if not limits:
        directions.append(StudyDirection.MINIMIZE)
    single = len(directions) == 1
    pruner = optuna.pruners.MedianPruner(_PRUNER_STARTUP, _PRUNER_WARMUP) if single else None
    study = optuna.create_study(directions=directions, sampler=sampler, pruner=pruner)
    for params in _starts(problems, space, limits):
        study.enqueue_trial(params)
    return study


def run_study(
    study: Study,
    problems: Sequence[TrainingProblem],
    *,
    space: SearchSpace,
    out: str | Path,
    trials: int,
    max_gflops: MaxGflops = None,
    seed: int = 0,
    device: str = "cpu",
    bf16: bool = False,
    tensorboard: str | Path | None = None,
    tick: Callable[[int], object] = lambda epochs: None,
) -> None:
    """Train the codes of a study, and write checkpoints of the best trials.

    The ``Checkpoint`` of each best trial is ``trial-NNN.pt`` in the folder ``out``. Every trial has
    the user attribute ``gflops``. Trained trials also have ``epochs``, and complete trials
    ``params`` (in millions). If the loss of a training run is not finite, its trial fails.

    Args:
        study: Study from ``create_study`` with the same problems, space and limit.
        problems: Problems that each code is trained on.
        space: Space of the codes.
        out: Folder for the checkpoints, created if missing. It must not contain checkpoints of
            another study.
        trials: Number of codes to train, at least 1.
        max_gflops: Limit, as for ``create_study``.
        seed: Seed of the training runs.
        device: Device to train on.
        bf16: As for ``train``.
        tensorboard: Folder for TensorBoard curves, with a subfolder for each trial; None to write
            no curves.
        tick: Function that is called with a number of epochs whenever these epochs have been
            completed or skipped, for a progress bar.

    Raises:
        ValueError: An argument is not as described.
        ImportError: ``tensorboard`` is given, but the package is not installed.
    """
    if tensorboard is not None:
        find_writer()
        tensorboard = Path(checks.instance("tensorboard", tensorboard, str | Path, _FOLDER))
    checks.instance("study", study, Study, "be an optuna Study from create_study")
    problems = _checked_problems(problems)
    trainings = _Trainings(
        problems=problems,
        space=_checked_space(space),
        out=Path(checks.instance("out", out, str | Path, _FOLDER)),
        trials=checks.integer("trials", trials, low=1),
        limits=checked_limits(problems, space, max_gflops),
        pruning=len(study.directions) == 1,
        seed=checks.integer("seed", seed, low=0),
        device=checks.usable_device(device),
        bf16=checks.flag("bf16", bf16),
        tensorboard=tensorboard,
        tick=checks.function("tick", tick, "be a function of a number of epochs"),
    )
    wanted = len(trainings.problems) + (not trainings.limits)
    if len(study.directions) != wanted:
        made = "create it by create_study with the same problems and limit"
        raise ValueError(f"study has {len(study.directions)} objectives, not {wanted}; {made}")
    trainings.out.mkdir(parents=True, exist_ok=True)
    begun = any(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    if not begun and has_checkpoints(trainings.out):  # the checkpoints would be deleted
        raise ValueError(
            f"out={str(out)!r} contains checkpoints of another study; give a new folder"
        )
    study.optimize(
        trainings.objective,
        n_trials=trials * (_MAX_PROPOSALS if trainings.limits else 1),
        callbacks=[trainings.after],
        catch=FloatingPointError,
    )


@dataclass(frozen=True, kw_only=True)
class _Trainings:
    """Settings shared by the trials of a study; Optuna calls ``objective``, then ``after``."""

    problems: Sequence[TrainingProblem]
    space: SearchSpace
    out: Path
    trials: int
    limits: Mapping[str, float]
    pruning: bool
    seed: int
    device: torch.device
    bf16: bool
    tensorboard: Path | None
    tick: Callable[[int], object]

    def objective(self, trial: Trial) -> list[float]:
        """Return the values of a code: each problem's metric and, without a limit, the cost."""
        code = self.space.to_code(self.space.suggest(trial))
        gflops = gflops_of(self.problems, code)
        trial.set_user_attr("gflops", gflops)
        ratio = excess(self.problems, code, self.limits)
        if ratio > 1:
            if self.pruning:
                trial.report(-10 * math.log2(ratio), step=0)
            raise optuna.TrialPruned
        networks = {problem.name: problem.build(code) for problem in self.problems}
        metrics = self._train(networks, trial)
        params = sum(p.numel() for net in networks.values() for p in net.parameters())
        trial.set_user_attr("params", params / 1e6)
        checkpoint = Checkpoint.of(code, gflops=gflops, metrics=metrics, networks=networks)
        checkpoint.save(checkpoint_path(self.out, trial.number))
        return [*metrics.values(), *([] if self.limits else [gflops])]

    def after(self, study: Study, trial: FrozenTrial) -> None:
        """Delete checkpoints of trials that are no longer the best; stop after enough trials."""
        best = {trial.number for trial in best_trials(study)}
        for number in range(trial.number + 1):
            if number not in best:
                checkpoint_path(self.out, number).unlink(missing_ok=True)
        if sum(map(is_trained, study.get_trials(deepcopy=False))) >= self.trials:
            study.stop()

    def _train(self, networks: Mapping[str, nn.Module], trial: Trial) -> dict[str, float]:
        """Train the networks of a code in place; return problem name -> validation metric."""
        epochs = _Epochs(trial, self.tick, pruning=self.pruning)
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
    """Counter of a trial's epochs, which reports each epoch to Optuna so that it can be pruned."""

    def __init__(self, trial: Trial, tick: Callable[[int], object], *, pruning: bool) -> None:
        self.done = 0
        self._trial = trial
        self._tick = tick
        self._pruning = pruning

    def add(self, epoch: Epoch, log: Callable[[Epoch], object]) -> None:
        """Count and log an epoch; raise ``TrialPruned`` if the pruner stops the trial."""
        self.done += 1
        log(epoch)
        self._tick(1)
        if self._pruning:
            self._trial.report(epoch.metric, step=epoch.number)
            if self._trial.should_prune():
                raise optuna.TrialPruned


def _checked_problems(problems: Sequence[TrainingProblem]) -> list[TrainingProblem]:
    must = "be a sequence of TrainingProblem, such as [make_problem(...)]"
    checked = checks.sequence("problems", problems, TrainingProblem, must)
    if len({problem.name for problem in checked}) < max(len(checked), 1):
        raise ValueError("problems must be at least one, with different names")
    return checked


def _checked_space(space: SearchSpace) -> SearchSpace:
    if not isinstance(space, SearchSpace) or space.names != MRSpace().names:
        raise checks.refusal("space", space, "be an MRSpace, such as MRSpace(width=64, depth=2)")
    return space


def _starts(
    problems: Sequence[TrainingProblem], space: SearchSpace, limits: Mapping[str, float]
) -> list[dict[str, int]]:
    """Return the params of the first trials; see ``create_study``."""
    low, high = (space.denormalize(np.full(len(space.columns), end)) for end in (0.0, 1.0))
    fitting = {}
    for depth, width in _STARTS:
        code = np.array([depth if name[0] in "bn" else width for name in space.names])
        in_space = (low <= code).all() and (code <= high).all()
        if in_space and excess(problems, code, limits) <= 1:
            fitting[depth, width] = code
    largest = next(iter(fitting), _THIN)
    chosen = {largest} if limits else {largest, _THIN}
    return [space.to_params(code) for start, code in fitting.items() if start in chosen]
