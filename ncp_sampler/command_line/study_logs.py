"""TensorBoard's curves of a training study: a folder for each trial."""

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
    """Hears a training's epochs: curves named by the problem, and why the code was proposed.

    Args:
        folder: Of all trials; None to write nothing.
        trial: Whose folder is ``trial-NNN`` in it.
        problem: What is trained.
    """
    if folder is None:
        yield lambda epoch: None
        return
    with TensorBoardLog(folder / f"trial-{trial.number:03}", name=problem.name) as log:
        with suppress(ValueError):  # one that was enqueued has no reasons
            log.text("why", explain_markdown(trial))
        yield log
