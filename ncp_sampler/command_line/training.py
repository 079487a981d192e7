"""The command line of the training examples: options, progress, and the final report."""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import torch
from optuna.study import Study
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ncp_sampler.checks import usable_device
from ncp_sampler.command_line.study import (
    checkpoint_path,
    code_of,
    create_study,
    has_checkpoints,
    is_trained,
    proposed_trials,
    run_study,
)
from ncp_sampler.command_line.study_report import (
    make_table,
    score_best,
    write_csv,
    write_figure,
)
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.training import Problem

_SMOKE = {"trials": 3, "epochs": 1, "width": 16, "depth": 1}


def main(
    description: str,
    problems: Callable[[bool], Sequence[Problem]],
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
        The exit status: 0, 1 if no trial ran to its end, 130 after Ctrl-C.
    """
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = _parser(description, trials=trials, out=out, width=width, depth=depth)
    options = parser.parse_args(arguments)
    if options.smoke:  # once more, so that a default that is asked for stays
        parser.set_defaults(**_SMOKE)
        options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        chosen = list(problems(options.smoke))
        if options.epochs is not None:
            chosen = [replace(p, recipe=replace(p.recipe, epochs=options.epochs)) for p in chosen]
        usable_device(options.device)
        space = MRSpace(width=options.width, depth=options.depth)
        study = create_study(chosen, space=space, max_gflops=options.max_gflops, seed=options.seed)
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.out):
            pass
        if has_checkpoints(options.out):
            parser.error(f"--out {options.out} holds networks of an earlier study; name another")
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"--out {options.out} must be a folder that can be written to: {error}")

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        total = options.trials * sum(problem.recipe.epochs for problem in chosen)
        bar = progress.add_task(f"{options.trials} trials", total=total)
        interrupted = False
        try:
            run_study(
                study,
                chosen,
                space=space,
                out=options.out,
                trials=options.trials,
                max_gflops=options.max_gflops,
                seed=options.seed,
                device=options.device,
                bf16=options.bf16,
                tick=lambda epochs: progress.advance(bar, epochs),
            )
        except KeyboardInterrupt:
            interrupted = True  # what was trained so far is reported
    reported = _report(study, chosen, options)
    return 130 if interrupted else 0 if reported else 1


def _report(study: Study, problems: Sequence[Problem], options: argparse.Namespace) -> bool:
    """Whether there was a trial to report."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    results = score_best(study, problems, options.out, options.device, bf16=options.bf16)
    if not results:
        console.print("No trial ran to its end.")
        return False
    trials = proposed_trials(study)
    trained = sum(map(is_trained, trials))
    pruned = sum(t.state == TrialState.PRUNED and is_trained(t) for t in trials)
    figure, rows = options.out / "trials.png", options.out / "trials.csv"
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
        f"Networks: {checkpoint_path(options.out, best.trial.number)} and alike; "
        f"all trials: {rows}, {figure}",
        highlight=False,
        soft_wrap=True,
    )
    return True


def _parser(
    description: str, *, trials: int, out: str, width: int, depth: int
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description.split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--trials", type=_positive(int), default=trials, help="codes to train")
    add("--epochs", type=_positive(int), help="of each training, in place of the preset's")
    add("--max-gflops", type=_positive(float), help="search the best code of at most so many G")
    add("--width", type=int, default=width, help="most channels of a layer, 8 to 128")
    add("--depth", type=int, default=depth, help="most blocks and residual units, 1 to 4")
    add("--device", default="cpu", help="cpu, cuda, ...")
    add("--bf16", action="store_true", help="forward passes in bfloat16")
    add("--threads", type=_positive(int), help="of PyTorch on the CPU; all cores if not given")
    add("--seed", type=int, default=0, help="of the sampler and the trainings")
    add("--out", type=Path, default=Path(out), help="folder of checkpoints, figure and CSV")
    add("--smoke", action="store_true", help="a few samples, codes and epochs, to see it work")
    return parser


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = kind(text)
        if not 0 < number < float("inf"):
            raise ValueError
        return number

    parse.__name__ = f"positive {kind.__name__}"  # argparse names it in its message
    return parse
