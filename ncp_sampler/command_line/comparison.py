"""Options, with their checks, of the programs that compare samplers or searchers."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence

from ncp_sampler.command_line.option_types import names
from ncp_sampler.command_line.options import check_at_least_one, check_folder
from ncp_sampler.nas_bench.comparison import SAMPLERS, STARTUP
from ncp_sampler.nas_bench.objectives import objective


def add_studies(parser: argparse.ArgumentParser, *, trials: int, seeds: int) -> None:
    """Add ``--trials``, ``--seeds``, ``--jobs`` and ``--threads``.

    Args:
        parser: Parser to which the options are added.
        trials: Default number of trials of each study.
        seeds: Default number of studies of each sampler.
    """
    add = parser.add_argument
    add("--trials", type=int, default=trials, help="number of trials of each study")
    add("--seeds", type=int, default=seeds, help="number of studies of each sampler (seeds 0, 1..)")
    add("--jobs", type=int, default=2, help="number of simultaneous studies")
    add("--threads", type=int, default=1, help="threads of a study, for torch and BLAS")


def check_samplers(options: argparse.Namespace, settings: Sequence[str]) -> tuple[str, ...]:
    """Check the options of a comparison, and return the samplers that ``--samplers`` names.

    Raises:
        ValueError: An option is wrong.
        ImportError: LightGBM, or a package of a sampler, is not installed.
    """
    check_at_least_one(options, "jobs", "threads")
    picked = check_comparison(options, settings, kind="samplers", known=SAMPLERS)
    for name in picked:
        SAMPLERS[name](0)  # raises ImportError if a package, such as cmaes, is missing
    return picked


def check_comparison(
    options: argparse.Namespace, settings: Sequence[str], *, kind: str, known: Collection[str]
) -> tuple[str, ...]:
    """Check the options of a comparison, and return the names given by the option ``kind``.

    Args:
        options: Options ``trials``, ``seeds``, ``out``, and the option ``kind``, which contains
            names separated by commas.
        settings: Settings of the surrogates.
        kind: Name of the option that lists the items to compare, such as "samplers".
        known: Valid names.

    Raises:
        ValueError: An option is wrong, or ``out`` cannot be written to.
        ImportError: LightGBM is not installed.
    """
    picked = names(getattr(options, kind))
    if not picked or len({*picked}) < len(picked) or not {*picked} <= {*known}:
        raise ValueError(f"--{kind} must name some of {','.join(known)}, each once")
    if options.trials <= STARTUP:
        must = f"must exceed the {STARTUP} startup trials of all {kind}"
        raise ValueError(f"--trials {options.trials} {must}")
    check_at_least_one(options, "seeds")
    for setting in settings:
        objective(setting)
    check_folder(options.out)
    return picked
