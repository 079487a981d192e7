"""Program that the training examples share: options, progress, and the final report."""

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

from examples.training_report import (
    describe_answer,
    make_table,
    score_best,
    write_csv,
    write_figure,
)
from ncp_sampler.checks import usable_device
from ncp_sampler.command_line.option_types import integer_at_least, limits
from ncp_sampler.command_line.options import check_folder, make_parser
from ncp_sampler.command_line.study import create_study, run_study
from ncp_sampler.command_line.study_costs import MaxGflops
from ncp_sampler.command_line.study_trials import has_checkpoints, is_trained, proposed_trials
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.training.problem import TrainingProblem
from ncp_sampler.training.tensorboard import find_writer

REPORTS = ("trials.png", "trials.csv")  # files about all trials, in the folder of --out

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
    """Run a study with the options of the command line, and print and write its results.

    Args:
        description: Description of the program; ``--help`` shows its first paragraph.
        problems: Function that returns the problems; given True, with only a few samples.
        trials: Default of ``--trials``.
        out: Default of ``--out``.
        width: Default of ``--width``.
        depth: Default of ``--depth``.
        arguments: Arguments in place of those of the command line.

    Returns:
        Exit status: 0, 1 if no trial was completed, 2 on a full disk, 130 after Ctrl-C.
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
    """Options of the command line; ``--help`` describes them."""

    trials: int
    epochs: int | None
    max_gflops: MaxGflops
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
    add("--trials", type=integer_at_least(1), default=trials, help="number of codes to train")
    add(
        "--epochs",
        type=integer_at_least(1),
        help="epochs of each training, in place of the preset's",
    )
    text = "limit of each network's multiply-adds, in G; or one per problem, as NAME=G,NAME=G"
    add("--max-gflops", type=limits, metavar="G", help=text)
    add("--width", type=int, default=width, help="maximum channels of a layer, 8 to 128")
    add("--depth", type=int, default=depth, help="maximum blocks and residual units, 1 to 4")
    add("--device", default="cpu", help="cpu, cuda, ...")
    add("--bf16", action="store_true", help="run forward passes in bfloat16")
    add(
        "--threads",
        type=integer_at_least(1),
        help="threads of PyTorch on the CPU; all cores by default",
    )
    add("--seed", type=int, default=0, help="seed of the sampler and the trainings")
    add("--out", type=Path, default=Path(out), help="folder of checkpoints, figure and CSV")
    text = "folder of TensorBoard curves, a new one for each study"
    add("--tensorboard", type=Path, metavar="DIR", help=text)
    add("--smoke", action="store_true", help="try it with few samples, codes and epochs")
    return parser


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> _Options:
    given = parser.parse_args(arguments)
    if given.smoke:  # parsed once more, so that given values win over the smoke run's
        parser.set_defaults(**_SMOKE)
        given = parser.parse_args(arguments)
    return _Options(**vars(given))


def _with_epochs(
    problems: Sequence[TrainingProblem], epochs: int | None
) -> Sequence[TrainingProblem]:
    """Return the problems, with a number of epochs if given."""
    if epochs is None:
        return problems
    return [replace(p, recipe=replace(p.recipe, epochs=epochs)) for p in problems]


def _run(
    study: Study, problems: Sequence[TrainingProblem], space: MRSpace, options: _Options
) -> bool:
    """Run the study under a progress bar; return False if the user interrupted it."""
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
            return False  # the trials so far are reported
    return True


def _report(
    study: Study, problems: Sequence[TrainingProblem], out: Path, device: str, *, bf16: bool
) -> bool:
    """Print and write the results; return False if no trial was completed."""
    # paths and names are not markup
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
    console.print(
        f"{trained} codes trained, {pruned} of them stopped early.\n"
        "Epochs and codes are selected on the validation samples; only these figures use the test "
        "samples.\n"
        f"{describe_answer(study, problems, out)}\n"
        f"All trials: {rows}, {figure}",
        highlight=False,
        soft_wrap=True,
    )
    return True
