"""Compare samplers on a surrogate of NAS-Bench-MR, starting from the same first trials.

For each seed, the first trials of all samplers are the same: the quasi-random codes with which
NCPSampler starts. After these, each sampler makes its own proposals. The program prints a table,
draws the best value over trials as a figure (DIR/SETTING.png), and writes every trial to
DIR/SETTING.csv. ``--help`` lists the options.

The values are predictions of the surrogate; no network is trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ncp_sampler import nas_bench
from ncp_sampler.command_line.comparison import add_studies, check_samplers
from ncp_sampler.command_line.options import make_parser
from ncp_sampler.nas_bench.comparison import ASKS_TIMED, SAMPLERS, STARTUP, be_quiet, run_all
from ncp_sampler.nas_bench.comparison_report import make_table, write_csv, write_figure


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--setting", default="seg", help="cls-a, cls-b, cls-c, cls-10c, seg, seg-4x, video, ...")
    add("--samplers", default="random,tpe,cma,ncp", help=f"of {','.join(SAMPLERS)}")
    add_studies(parser, trials=100, seeds=3)
    add(
        "--out",
        type=Path,
        default=Path("comparison"),
        help="output folder for the figure and the CSV",
    )
    options = parser.parse_args(arguments)
    try:
        options.samplers = check_samplers(options, [options.setting])
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    be_quiet()
    options = parse(arguments)
    try:
        runs = run_all(
            options.setting,
            options.samplers,
            range(options.seeds),
            options.trials,
            jobs=options.jobs,
            threads=options.threads,
        )
    except KeyboardInterrupt:
        return 130
    stem, metric = options.out / options.setting, nas_bench.objective(options.setting).metrics[0]
    write_csv(runs, stem.with_suffix(".csv"))
    write_figure(runs, metric, stem.with_suffix(".png"))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(make_table(runs, metric))
    console.print(
        f"* the highest. The values are the surrogate's predictions, not results of training.\n"
        f"Per seed, all samplers start from the same {STARTUP} codes; CMA-ES does not use them.\n"
        f"s/study: the sampler's CPU seconds; ms/ask: their median, last {ASKS_TIMED} trials.\n"
        f"Curves: {stem.with_suffix('.png')}, all trials: {stem.with_suffix('.csv')}",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
