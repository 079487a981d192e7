"""Comparison of offline searches on tables with the true value of every architecture.

Run from the repository root, in an environment with the package's ``suite`` extra:

    python -m benchmarks.from_tables --jobs 2

When a draw of rows has been evaluated, its result is added to OUT/from_tables/METHOD.csv.
OUT/from_tables/report.md is made from all these files. The files of the selected methods are
replaced; with ``--resume``, the draws that they contain are skipped instead. Tables, numbers of
rows, draws and methods can be selected.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

from joblib import Parallel, delayed
from rich.progress import track

from benchmarks.from_tables.evaluation import append, file_of, load, run, sort
from benchmarks.from_tables.methods import METHODS
from benchmarks.from_tables.report import write_report
from benchmarks.from_tables.tasks import TASKS
from ncp_sampler.command_line.options import make_parser, parse_benchmark


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exit if one is wrong."""
    parser = make_parser(__doc__, prog="python -m benchmarks.from_tables")
    add = parser.add_argument
    add("--tasks", default="*", help="patterns of the tables' names, such as nbg-*,nb201-cifar10")
    add("--rows", default="100,150,400,1000", help="numbers of rows that are known")
    add("--first-draw", type=int, default=0, help="number of the first draw, also a seed")
    add("--draws", type=int, default=10, help="number of draws of rows from a table")
    add("--methods", default=",".join(METHODS), help="some of the default methods")
    add("--jobs", type=int, default=1, help="number of draws that are evaluated at once")
    add("--resume", action="store_true", help="skip the draws that the files contain")
    add(
        "--report",
        action="store_true",
        help="run nothing; only write the report on the existing files",
    )
    options = parse_benchmark(parser, arguments, "draws", "jobs")
    options.methods = options.methods.split(",")
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        parser.error(f"--methods has {unknown}; it must be some of {', '.join(METHODS)}")
    patterns = options.tasks.split(",")
    options.names = [name for name in TASKS if any(fnmatch(name, pattern) for pattern in patterns)]
    if not options.names:
        parser.error(f"--tasks {options.tasks} match none of {', '.join(TASKS)}")
    sizes = options.rows.split(",")
    if not all(text.isdigit() and int(text) > 0 for text in sizes):
        parser.error(f"--rows {options.rows} must be numbers of at least 1, such as 150,400")
    options.sizes = [int(text) for text in sizes]
    if options.first_draw < 0:
        parser.error(f"--first-draw {options.first_draw} must be at least 0")
    options.command = shlex.join(["python", "-m", "benchmarks.from_tables", *arguments])
    return options


def run_all(options: argparse.Namespace, folder: Path) -> None:
    """Run the requested methods, cycling through the draws of all tables."""
    done = set()
    for method in options.methods:
        if options.resume:
            done |= {(evaluation.case, method) for evaluation in load(file_of(folder, method))}
        else:
            file_of(folder, method).unlink(missing_ok=True)
    draws = range(options.first_draw, options.first_draw + options.draws)
    wanted = {
        case: [method for method in options.methods if (case, method) not in done]
        for draw, rows, name in product(draws, options.sizes, options.names)
        for case in [(name, rows, draw)]
    }
    cases = [(*case, methods) for case, methods in wanted.items() if methods]
    evaluated = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(run)(*case) for case in cases
    )
    for evaluations in track(evaluated, "draws", total=len(cases)):
        append(evaluations, folder)
    for method in options.methods:
        sort(file_of(folder, method))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = parse(sys.argv[1:] if arguments is None else list(arguments))
    folder: Path = options.out / "from_tables"
    folder.mkdir(exist_ok=True)
    if not options.report:
        run_all(options, folder)
    evaluations = [evaluation for method in METHODS for evaluation in load(file_of(folder, method))]
    if not evaluations:
        print(f"{folder} has no evaluations; run without --report", file=sys.stderr)
        return 1
    text = write_report(evaluations, options.command)
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
