"""Trials of a training study: codes, states, best trials and their checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.search.preference import relative_regrets

_SPACE = MRSpace()


def best_trials(study: Study) -> list[FrozenTrial]:
    """Return the Pareto-optimal complete trials; with one objective, the best trial."""
    if not complete_trials(study):
        return []
    return study.best_trials if len(study.directions) > 1 else [study.best_trial]


def answer_trial(study: Study, n_problems: int) -> FrozenTrial:
    """Return the best trial for a single problem, or the best compromise between several problems.

    Costs break ties only: of several trials with equal metrics, the cheapest is returned. The
    result is always Pareto-optimal.

    Args:
        study: Study with a complete trial.
        n_problems: Number of objectives that are metrics of problems; they come first.
    """
    best = {trial.number for trial in best_trials(study)}
    trials = complete_trials(study)
    regrets = regrets_of(trials, n_problems)
    keys = [
        (float(own.max()), float(own.sum()), trial.number not in best, trial.user_attrs["gflops"])
        for trial, own in zip(trials, regrets, strict=True)
    ]
    return trials[min(range(len(trials)), key=keys.__getitem__)]


def regrets_of(trials: Sequence[FrozenTrial], n_problems: int) -> NDArray[np.float64]:
    """Return the relative regrets (n, problems) of complete trials, in the given order."""
    values = np.array([trial.values[:n_problems] for trial in trials])
    return relative_regrets(values, np.ones(n_problems))


def complete_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials whose training is complete."""
    return [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]


def proposed_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that have a complete code; waiting and interrupted trials may have none."""
    return [t for t in study.get_trials(deepcopy=False) if "gflops" in t.user_attrs]


def is_trained(trial: FrozenTrial) -> bool:
    """Return True for a finished trial whose networks were trained, fully or in part."""
    return trial.state.is_finished() and "epochs" in trial.user_attrs


def code_of(trial: FrozenTrial) -> NDArray[np.int64]:
    """Return the code (27,) of a trial."""
    return _SPACE.to_code(trial.params)


def checkpoint_path(out: Path, number: int) -> Path:
    """Return the path of a trial's checkpoint, which exists if the trial is among the best."""
    return out / f"trial-{number:03}.pt"


def has_checkpoints(out: Path) -> bool:
    """Return True if a folder contains checkpoints of trials."""
    return any(out.glob("trial-*.pt"))
