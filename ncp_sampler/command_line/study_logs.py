"""TensorBoard curves of a training study, in a folder for each trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.trial import Trial

from ncp_sampler.optimizer.explanation_table import explain_markdown
from ncp_sampler.training.problem import TrainingProblem
from ncp_sampler.training.progress import Epoch
from ncp_sampler.training.tensorboard import TensorBoardLog


@contextmanager
def trial_log(
    folder: Path | None, trial: Trial, problem: TrainingProblem
) -> Iterator[Callable[[Epoch], object]]:
    """Log the reasons for a trial's code, and yield a function that logs epochs of its training.

    Args:
        folder: Folder of all trials; None to log nothing.
        trial: The trial, whose subfolder is ``trial-NNN``.
        problem: Problem whose network is trained; its name labels the curves.
    """
    if folder is None:
        yield lambda epoch: None
        return
    with TensorBoardLog(folder / f"trial-{trial.number:03}", name=problem.name) as log:
        with suppress(ValueError):  # an enqueued trial has no reasons
            log.text("why", explain_markdown(trial))
        yield log
