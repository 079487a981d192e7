"""Options of the programs that compare samplers or searchers, added and checked in one way."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence

from ncp_sampler.command_line.option_types import names
from ncp_sampler.command_line.options import check_at_least_one, check_folder
from ncp_sampler.nas_bench.comparison import SAMPLERS, STARTUP
from ncp_sampler.nas_bench.objectives import objective


def add_studies(parser: argparse.ArgumentParser, *, trials: int, seeds: int) -> None:
    """Adds how many studies there are, and how they are run: ``--trials`` to ``--threads``."""
    add = parser.add_argument
    add("--trials", type=int, default=trials, help="of each study")
    add("--seeds", type=int, default=seeds, help="studies of each sampler, with seeds 0, 1, ..")
    add("--jobs", type=int, default=2, help="studies at once")
    add("--threads", type=int, default=1, help="threads of a study, for torch and BLAS")


def check_samplers(options: argparse.Namespace, settings: Sequence[str]) -> tuple[str, ...]:
    """The samplers that ``--samplers`` names, once all options of a comparison are good.

    Raises:
        ValueError: One is not.
        ImportError: LightGBM, or what a sampler needs, is not installed.
    """
    check_at_least_one(options, "jobs", "threads")
    picked = check_comparison(options, settings, kind="samplers", known=SAMPLERS)
    for name in picked:
        SAMPLERS[name](0)  # cmaes may be missing
    return picked


def check_comparison(
    options: argparse.Namespace, settings: Sequence[str], *, kind: str, known: Collection[str]
) -> tuple[str, ...]:
    """The names that the option ``kind`` holds, once it and those of any comparison are good.

    Args:
        options: With ``trials``, ``seeds``, ``out``, and ``kind``: names with commas between.
        settings: Of the surrogates.
        kind: What is compared, "samplers".
        known: All that can be.

    Raises:
        ValueError: An option is wrong, or ``out`` cannot be written to.
        ImportError: LightGBM is not installed.
    """
    picked = names(getattr(options, kind))
    if not picked or len({*picked}) < len(picked) or not {*picked} <= {*known}:
        raise ValueError(f"--{kind} must name some of {','.join(known)}, each once")
    if options.trials <= STARTUP:
        must = f"must exceed {STARTUP}, which all {kind} share"
        raise ValueError(f"--trials {options.trials} {must}")
    check_at_least_one(options, "seeds")
    for setting in settings:
        objective(setting)
    check_folder(options.out)
    return picked
