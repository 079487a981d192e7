"""Comparison of samplers that users would consider, on every class of problem.

Run from the repository root, in an environment with the package's ``suite`` extra:

    python -m benchmarks.suite --jobs 2

When a study ends, its row is added to OUT/suite/SAMPLER.csv. OUT/suite.md and OUT/suite.png are
made from all rows in these files. ``--resume`` skips the studies that the files contain. Samplers,
families and problems can be selected. Each study has one thread, in a separate process.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

from joblib import Parallel, delayed, parallel_config
from rich.progress import track

from benchmarks.suite.report import draw, write_report
from benchmarks.suite.samplers import SAMPLERS, takes
from benchmarks.suite.studies import PROBLEMS, append, load, problem, run
from ncp_sampler.command_line.options import make_parser, parse_benchmark

_DEFAULT = "random,tpe,cma,nsga2,gp,ncp"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.suite")
    add = parser.add_argument
    add("--samplers", default=_DEFAULT, help=f"some of {', '.join(SAMPLERS)}")
    add("--families", default="*", help="pattern of the classes of problem, such as bbob*")
    add("--problems", default="*", help="pattern of the problems' names")
    add("--first-seed", type=int, default=0, help="seed of the first study")
    add("--seeds", type=int, default=10, help="number of studies of a sampler on a problem")
    add(
        "--trials",
        type=int,
        help="maximum number of trials of a study; by default the problem's own number",
    )
    add("--jobs", type=int, default=1, help="number of studies that run at once")
    add("--resume", action="store_true", help="skip the studies that OUT/suite contains")
    add(
        "--report",
        action="store_true",
        help="run nothing; only write the report on the existing files",
    )
    options = parse_benchmark(parser, arguments, "seeds", "jobs")
    if options.trials is not None and options.trials < 1:
        parser.error(f"--trials {options.trials} must be at least 1")
    options.samplers = options.samplers.split(",")
    unknown = [name for name in options.samplers if name not in SAMPLERS]
    if unknown:
        parser.error(f"--samplers has {unknown}; it must be some of {', '.join(SAMPLERS)}")
    options.names = [
        name
        for name, (family, _) in PROBLEMS.items()
        if fnmatch(family, options.families) and fnmatch(name, options.problems)
    ]
    if not options.names:
        parser.error(f"--families {options.families} --problems {options.problems} match none")
    if options.first_seed < 0:
        parser.error(f"--first-seed {options.first_seed} must be at least 0")
    options.command = shlex.join(["python", "-m", "benchmarks.suite", *arguments])
    return options


def run_all(options: argparse.Namespace, folder: Path) -> None:
    """Run the requested studies, cycling through the seeds of all problems."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    paths = {name: folder / f"{name.replace(':', '-')}.csv" for name in options.samplers}
    done = set()
    for name, path in paths.items():
        if options.resume:
            done |= {(study.seed, study.problem, name) for study in load(path)}
        else:
            path.unlink(missing_ok=True)
    tasks = [
        task
        for task in product(seeds, options.names, options.samplers)
        if task not in done and takes(task[2], problem(task[1]))
    ]
    with parallel_config(backend="loky", inner_max_num_threads=1):
        studies = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
            delayed(run)(name, sampler, seed, trials=options.trials)
            for seed, name, sampler in tasks
        )
        for study in track(studies, "studies", total=len(tasks)):
            append(study, paths[study.sampler])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else list(arguments))
    folder: Path = options.out / "suite"
    folder.mkdir(exist_ok=True)
    if not options.report:
        run_all(options, folder)
    studies = [study for path in sorted(folder.glob("*.csv*")) for study in load(path)]
    text = write_report(studies, options.out / "suite.md")
    draw(studies, options.out / "suite.png")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
