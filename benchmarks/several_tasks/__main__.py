"""One architecture for several tasks: NCPSampler and other samplers, evaluated by true values.

Run from the repository root, in an environment with the package's ``suite`` extra:

    python -m benchmarks.several_tasks --jobs 2

When a study ends, its rows are added to OUT/several_tasks/METHOD.csv. OUT/several_tasks/report.md
is made from all rows in these files. ``--resume`` skips the studies that the files contain.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from rich.progress import track

from benchmarks.several_tasks.methods import METHODS
from benchmarks.several_tasks.problems import PROBLEMS
from benchmarks.several_tasks.report import write_report
from benchmarks.several_tasks.studies import CHECKPOINTS, append, load, run
from ncp_sampler.command_line.options import make_parser, parse_benchmark


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exit if one is wrong."""
    parser = make_parser(__doc__, prog="python -m benchmarks.several_tasks")
    add = parser.add_argument
    add("--problems", default="*", help="patterns of names, such as nbg-*,mr-flops")
    add("--draw", type=int, help="number of problems to draw at random; default: all")
    add("--draw-seed", type=int, default=0, help="seed of that draw")
    add("--first-seed", type=int, default=0, help="first seed of the studies")
    add("--seeds", type=int, default=5, help="number of studies of a method on a problem")
    add("--trials", type=int, choices=CHECKPOINTS, default=100, help="number of trials of a study")
    add("--methods", default=",".join(METHODS), help="some of the default methods")
    add("--jobs", type=int, default=1, help="number of studies that run at once")
    add("--resume", action="store_true", help="skip the studies that the files contain")
    add(
        "--report",
        action="store_true",
        help="run nothing; only write the report on the existing files",
    )
    options = parse_benchmark(parser, arguments, "seeds", "jobs")
    options.methods = options.methods.split(",")
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        parser.error(f"--methods has {unknown}; it must be some of {', '.join(METHODS)}")
    patterns = options.problems.split(",")
    options.names = [
        name for name in PROBLEMS if any(fnmatch(name, pattern) for pattern in patterns)
    ]
    if not options.names:
        parser.error(f"--problems {options.problems} match none of {', '.join(PROBLEMS)}")
    if options.draw is not None:
        if not 1 <= options.draw <= len(options.names):
            parser.error(f"--draw {options.draw} must be from 1 to {len(options.names)}")
        order = np.random.default_rng(options.draw_seed).permutation(len(options.names))
        options.names = [options.names[i] for i in sorted(order[: options.draw])]
    options.command = shlex.join(["python", "-m", "benchmarks.several_tasks", *arguments])
    return options


def run_all(options: argparse.Namespace, folder: Path) -> None:
    """Run the requested studies."""
    done = set()
    for method in options.methods:
        path = folder / f"{method}.csv"
        if options.resume:
            done |= {(study.problem, method, study.seed) for study in load(path)}
        else:
            path.unlink(missing_ok=True)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    cases = [
        case
        for seed, name, method in product(seeds, options.names, options.methods)
        if (case := (name, method, seed)) not in done
    ]
    ended = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(run)(*case, options.trials) for case in cases
    )
    for studies in track(ended, "studies", total=len(cases)):
        append(studies, folder / f"{studies[0].method}.csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = parse(sys.argv[1:] if arguments is None else list(arguments))
    folder: Path = options.out / "several_tasks"
    folder.mkdir(exist_ok=True)
    if not options.report:
        run_all(options, folder)
    studies = [study for method in METHODS for study in load(folder / f"{method}.csv")]
    if not studies:
        print(f"{folder} has no studies; run without --report", file=sys.stderr)
        return 1
    text = write_report(studies, options.command)
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
