"""The program that the training examples share: options, progress, and the final report."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import torch
from optuna.study import Study
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from examples.training_report import make_table, score_best, write_csv, write_figure
from ncp_sampler.checks import usable_device
from ncp_sampler.command_line.option_types import above, whole
from ncp_sampler.command_line.options import check_folder, make_parser
from ncp_sampler.command_line.study import create_study, run_study
from ncp_sampler.command_line.study_trials import (
    checkpoint_path,
    code_of,
    has_checkpoints,
    is_trained,
    proposed_trials,
)
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.training.problem import TrainingProblem
from ncp_sampler.training.tensorboard import find_writer

REPORTS = ("trials.png", "trials.csv")  # of all trials, in the folder of --out

_SMOKE = {"trials": 3, "epochs": 1, "width": 16, "depth": 1}


def main(
    description: str,
    problems: Callable[[bool], Sequence[TrainingProblem]],
    *,
    trials: int,
    out: str,
    width: int = 128,
    depth: int = 4,
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs a study as the command line says, and prints and writes its results.

    Args:
        description: Of the program; its first paragraph is shown by ``--help``.
        problems: Whether this is a smoke run (few samples) -> what to train.
        trials: Default of ``--trials``.
        out: Default of ``--out``.
        width: Default of ``--width``.
        depth: Default of ``--depth``.
        arguments: In place of the command line's.

    Returns:
        The exit status: 0, 1 if no trial ran to its end, 2 on a full disk, 130 after Ctrl-C.
    """
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = _parser(description, trials=trials, out=out, width=width, depth=depth)
    options = _parse(parser, arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        chosen = _with_epochs(problems(options.smoke), options.epochs)
        usable_device(options.device)
        space = MRSpace(width=options.width, depth=options.depth)
        study = create_study(chosen, space=space, max_gflops=options.max_gflops, seed=options.seed)
        check_folder(options.out)
        if options.tensorboard is not None:
            find_writer()
            check_folder(options.tensorboard, "--tensorboard")
        if has_checkpoints(options.out):
            raise ValueError(
                f"--out {options.out} holds networks of an earlier study; name another"
            )
        for name in REPORTS:
            if (options.out / name).is_dir():
                raise ValueError(f"--out {options.out} has a folder {name}; name another")
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    try:
        completed = _run(study, chosen, space, options)
        reported = _report(study, chosen, options.out, options.device, bf16=options.bf16)
    except OSError as error:  # a full disk
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 130 if not completed else 0 if reported else 1


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What the user asked for; each is described by ``--help``."""

    trials: int
    epochs: int | None
    max_gflops: float | None
    width: int
    depth: int
    device: str
    bf16: bool
    threads: int | None
    seed: int
    out: Path
    tensorboard: Path | None
    smoke: bool


def _parser(
    description: str, *, trials: int, out: str, width: int, depth: int
) -> argparse.ArgumentParser:
    parser = make_parser(description)
    add = parser.add_argument
    add("--trials", type=whole(1), default=trials, help="codes to train")
    add("--epochs", type=whole(1), help="of each training, in place of the preset's")
    add("--max-gflops", type=above(0), help="search the best code of at most so many G")
    add("--width", type=int, default=width, help="most channels of a layer, 8 to 128")
    add("--depth", type=int, default=depth, help="most blocks and residual units, 1 to 4")
    add("--device", default="cpu", help="cpu, cuda, ...")
    add("--bf16", action="store_true", help="forward passes in bfloat16")
    add("--threads", type=whole(1), help="of PyTorch on the CPU; all cores if not given")
    add("--seed", type=int, default=0, help="of the sampler and the trainings")
    add("--out", type=Path, default=Path(out), help="folder of checkpoints, figure and CSV")
    text = "folder of TensorBoard's curves, new for each study"
    add("--tensorboard", type=Path, metavar="DIR", help=text)
    add("--smoke", action="store_true", help="a few samples, codes and epochs, to see it work")
    return parser


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> _Options:
    given = parser.parse_args(arguments)
    if given.smoke:  # once more, so that a default that is asked for stays
        parser.set_defaults(**_SMOKE)
        given = parser.parse_args(arguments)
    return _Options(**vars(given))


def _with_epochs(
    problems: Sequence[TrainingProblem], epochs: int | None
) -> Sequence[TrainingProblem]:
    """The problems, trained for so many epochs if given."""
    if epochs is None:
        return problems
    return [replace(p, recipe=replace(p.recipe, epochs=epochs)) for p in problems]


def _run(
    study: Study, problems: Sequence[TrainingProblem], space: MRSpace, options: _Options
) -> bool:
    """Runs the study under a progress bar; False if the user interrupted it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        total = options.trials * sum(problem.recipe.epochs for problem in problems)
        bar = progress.add_task(f"{options.trials} trials", total=total)
        try:
            run_study(
                study,
                problems,
                space=space,
                out=options.out,
                trials=options.trials,
                tick=lambda epochs: progress.advance(bar, epochs),
                max_gflops=options.max_gflops,
                seed=options.seed,
                device=options.device,
                bf16=options.bf16,
                tensorboard=options.tensorboard,
            )
        except KeyboardInterrupt:
            return False  # what was trained so far is reported
    return True


def _report(
    study: Study, problems: Sequence[TrainingProblem], out: Path, device: str, *, bf16: bool
) -> bool:
    """Whether there was a trial to report."""
    # paths and names are no markup
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)
    results = score_best(study, problems, out, device, bf16=bf16)
    if not results:
        console.print("No trial ran to its end.")
        return False
    trials = proposed_trials(study)
    trained = sum(map(is_trained, trials))
    pruned = sum(t.state == TrialState.PRUNED and is_trained(t) for t in trials)
    figure, rows = (out / name for name in REPORTS)
    write_csv(study, problems, rows)
    write_figure(study, results, problems, figure)
    console.print(make_table(results, problems))
    best = max(results, key=lambda result: result.trial.values[0])
    console.print(
        f"{trained} codes trained, {pruned} of them stopped early; {len(trials) - trained} above "
        "the limit not trained.\n"
        "Epochs and codes are selected by the validation samples; the test samples are used here "
        "alone.\n"
        f"Highest validation {problems[0].task.metric}: trial {best.trial.number}, code "
        f"{MRSpace().to_string(code_of(best.trial))}\n"
        f"Networks: {checkpoint_path(out, best.trial.number)} and alike; "
        f"all trials: {rows}, {figure}",
        highlight=False,
        soft_wrap=True,
    )
    return True
