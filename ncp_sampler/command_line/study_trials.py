"""What the trials of a training study tell: code, state, and where the networks are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.multi_resolution.space import MRSpace

_SPACE = MRSpace()


def best_trials(study: Study) -> list[FrozenTrial]:
    """The complete trials that no other one dominates; for one objective, the best one."""
    if not complete_trials(study):
        return []
    return study.best_trials if len(study.directions) > 1 else [study.best_trial]


def complete_trials(study: Study) -> list[FrozenTrial]:
    """The trials whose trainings ran to their end."""
    return [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]


def proposed_trials(study: Study) -> list[FrozenTrial]:
    """The trials that have a code, unlike those still enqueued or interrupted while proposed."""
    return [t for t in study.get_trials(deepcopy=False) if "gflops" in t.user_attrs]


def is_trained(trial: FrozenTrial) -> bool:
    """Whether a finished trial trained its networks, be it in part or in vain."""
    penalized = trial.state == TrialState.PRUNED and list(trial.intermediate_values) == [0]
    return trial.state.is_finished() and not penalized


def code_of(trial: FrozenTrial) -> NDArray[np.int64]:
    """The code (27,) of a trial."""
    return _SPACE.to_code(trial.params)


def checkpoint_path(out: Path, number: int) -> Path:
    """Where a trial's checkpoint is, if it is among the best."""
    return out / f"trial-{number:03}.pt"


def has_checkpoints(out: Path) -> bool:
    """Whether a folder holds checkpoints of trials."""
    return any(out.glob("trial-*.pt"))
