"""Full comparison of the samplers: several settings, more trials and seeds than the example.

Run from the repository root, in an environment with the package's ``bench`` extra:

    python -m benchmarks.compare_samplers --samplers random,tpe,cma,ncp,gp

writes OUT/samplers.md and OUT/samplers.csv. The studies are those of
`examples/compare_samplers.py`.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ncp_sampler import nas_bench
from ncp_sampler.command_line.comparison import add_studies, check_samplers
from ncp_sampler.command_line.options import make_parser
from ncp_sampler.formatting import markdown_table, with_error
from ncp_sampler.nas_bench.comparison import ASKS_TIMED, LABELS, STARTUP, Run, run_all
from ncp_sampler.nas_bench.comparison_report import cells, checkpoints, group

CHECKPOINTS = (50, 100, 200)
PACKAGES = ("ncp_sampler", "optuna", "torch", "numpy", "cmaes", "lightgbm")


def write_csv(runs: Sequence[Run], at: Sequence[int], path: Path) -> None:
    """Write one row per study and checkpoint."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["setting", "sampler", "seed", "trials", "best", "ask_seconds", "ask_ms"])
        for run in runs:
            for n in at:
                total = f"{sum(run.ask_seconds[:n]):.3f}"
                row = [run.setting, run.sampler, run.seed, n, f"{run.best[n - 1]:.4f}", total]
                rows.writerow([*row, f"{run.ask_ms(n):.2f}"])


def markdown(runs: Sequence[Run], at: Sequence[int], metric: str) -> str:
    """Return the section on one setting."""
    grouped = group(runs)
    heads = [
        "sampler",
        *[f"{n} trials" for n in at],
        f"NCP's lead at {at[-1]}",
        "s per study",
        *[f"ms per ask at {n}" for n in at[-2:]],
    ]
    ask = {
        name: [float(np.median([run.ask_ms(n) for run in of_one])) for n in at[-2:]]
        for name, of_one in grouped.items()
    }
    rows = []
    for name, texts in cells(grouped, at).items():
        total = np.mean([sum(run.ask_seconds) for run in grouped[name]])
        lead = "" if name == "ncp" else _lead(grouped.get("ncp", []), grouped[name])
        times = [f"{total:.2f}", *[f"{ms:.1f}" for ms in ask[name]]]
        bold = [f"**{t[:-1]}**" if t.endswith("*") else t.strip() for t in texts]
        rows.append([LABELS[name], *bold, lead, *times])
    table = markdown_table(heads, rows, numbers=True)
    text = f"## {runs[0].setting}: {metric} (%)\n\n{table}"
    if {"ncp", "tpe"} <= grouped.keys():
        ratios = [
            f"{ncp / tpe:.1f} at {n}"
            for n, ncp, tpe in zip(at[-2:], ask["ncp"], ask["tpe"], strict=True)
        ]
        text += f"\nNCP's time per ask over TPE's, by trials: {', '.join(ratios)}.\n"
    return text


def _lead(ncp: Sequence[Run], rival: Sequence[Run]) -> str:
    """Return mean ± standard error of the paired differences, and the number of seeds won."""
    theirs = {run.seed: run.best[-1] for run in rival}
    lead = [run.best[-1] - theirs[run.seed] for run in ncp]
    won = sum(difference > 0 for difference in lead)
    return f"{with_error(lead, '+.2f')} ({won} of {len(lead)})" if lead else ""


def _introduction(options: argparse.Namespace, command: str) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""# Samplers on the surrogates of NAS-Bench-MR

Made by `{command}`.

Best value found (%): mean ± standard error of {options.seeds} seeds; the highest is bold. The
values are the surrogates' predictions, not results of training. For each seed, all samplers start
from the same {STARTUP} codes; CMA-ES learns nothing from them and starts in the middle of the
space. CMA-ES's rows hold for one kind of CPU (docs/results). NCP's lead: paired by seed, with the
number of seeds in which NCP is ahead. Times are CPU time of the sampler alone: all asks of a study,
mean; and one ask, the median of the {ASKS_TIMED} up to that trial.

{options.jobs} studies at once on {os.cpu_count()} {platform.machine()} cores, {options.threads} \
thread each. Python {platform.python_version()}, {versions}.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.compare_samplers")
    add = parser.add_argument
    add("--settings", default="cls-a,seg,video", help="short names of settings")
    add("--samplers", default="random,tpe,cma,ncp", help="gp takes minutes per study")
    add_studies(parser, trials=200, seeds=5)
    add("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args(arguments)
    options.settings = options.settings.split(",")
    try:
        options.samplers = check_samplers(options, options.settings)
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    at = checkpoints(options.trials, CHECKPOINTS)
    command = shlex.join(["python", "-m", "benchmarks.compare_samplers", *given])
    texts, everything = [_introduction(options, command)], []
    for setting in options.settings:
        runs = run_all(
            setting,
            options.samplers,
            range(options.seeds),
            options.trials,
            jobs=options.jobs,
            threads=options.threads,
        )
        texts.append(markdown(runs, at, nas_bench.objective(setting).metrics[0]))
        everything += runs
        (options.out / "samplers.md").write_text("\n".join(texts), encoding="utf-8")
        write_csv(everything, at, options.out / "samplers.csv")
    print((options.out / "samplers.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
