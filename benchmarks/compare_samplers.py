"""Full comparison of the samplers: several settings, more trials and seeds than the example.

Run from the repository root, in an environment with the package's ``bench`` extra:

    python -m benchmarks.compare_samplers --samplers random,tpe,cma,ncp,gp

writes OUT/samplers.md and OUT/samplers.csv. The studies are those of `examples.compare_samplers`.
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
from numpy.typing import NDArray

from examples import compare_samplers as compare
from examples.compare_samplers import ASKS_TIMED, LABELS, STARTUP, Run
from ncp_sampler import nas_bench

CHECKPOINTS = (50, 100, 200)
PACKAGES = ("ncp_sampler", "optuna", "torch", "numpy", "cmaes", "lightgbm")


def write_csv(runs: Sequence[Run], at: Sequence[int], path: Path) -> None:
    """Writes one row per study and checkpoint."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["setting", "sampler", "seed", "trials", "best", "ask_seconds", "ask_ms"])
        for run in runs:
            for n in at:
                total = f"{sum(run.ask_seconds[:n]):.3f}"
                row = [run.setting, run.sampler, run.seed, n, f"{run.best[n - 1]:.4f}", total]
                rows.writerow([*row, f"{run.ask_ms(n):.2f}"])


def markdown(runs: Sequence[Run], at: Sequence[int], metric: str) -> str:
    """Section of one setting."""
    grouped = compare.group(runs)
    headings = [
        "sampler",
        *[f"{n} trials" for n in at],
        f"NCP's lead at {at[-1]}",
        "s per study",
        *[f"ms per ask at {n}" for n in at[-2:]],
    ]
    lines = [f"## {runs[0].setting}: {metric} (%)", "", _row(headings)]
    lines.append(_row(["---"] + ["---:"] * (len(headings) - 1)))
    ask = {
        name: [float(np.median([run.ask_ms(n) for run in of_one])) for n in at[-2:]]
        for name, of_one in grouped.items()
    }
    for name, texts in compare.cells(grouped, at).items():
        total = np.mean([sum(run.ask_seconds) for run in grouped[name]])
        lead = "" if name == "ncp" else _lead(grouped.get("ncp", []), grouped[name])
        times = [f"{total:.2f}", *[f"{ms:.1f}" for ms in ask[name]]]
        bold = [f"**{t[:-1]}**" if t.endswith("*") else t.strip() for t in texts]
        lines.append(_row([LABELS[name], *bold, lead, *times]))
    if {"ncp", "tpe"} <= grouped.keys():
        ratios = [
            f"{ncp / tpe:.1f} at {n}"
            for n, ncp, tpe in zip(at[-2:], ask["ncp"], ask["tpe"], strict=True)
        ]
        lines += ["", f"NCP's time per ask over TPE's, by trials: {', '.join(ratios)}."]
    return "\n".join(lines) + "\n"


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _lead(ncp: Sequence[Run], other: Sequence[Run]) -> str:
    """Mean ± standard error of the paired differences, and the number of seeds won."""
    theirs = {run.seed: run.best[-1] for run in other}
    lead: NDArray[np.float64] = np.array([run.best[-1] - theirs[run.seed] for run in ncp])
    if not len(lead):
        return ""
    error = f" ± {lead.std(ddof=1) / np.sqrt(len(lead)):.2f}" if len(lead) > 1 else ""
    return f"{lead.mean():+.2f}{error} ({int((lead > 0).sum())} of {len(lead)})"


def _introduction(options: argparse.Namespace, command: str) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""# Samplers on the surrogates of NAS-Bench-MR

Made by `{command}`.

Best value found (%): mean ± standard error of {options.seeds} seeds; the highest is bold. The
values are the surrogates' predictions, not results of training. For each seed, all samplers start
from the same {STARTUP} codes; CMA-ES learns nothing from them and starts in the middle of the
space. NCP's lead: paired by seed, with the number of seeds in which NCP is ahead. Times are CPU
time of the sampler alone: all asks of a study, mean; and one ask, the median of the {ASKS_TIMED}
up to that trial.

{options.jobs} studies at once on {os.cpu_count()} {platform.machine()} cores, {options.threads} \
thread each. Python {platform.python_version()}, {versions}.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare_samplers",
        description=(__doc__ or "").split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--settings", default="cls-a,seg,video", help="short names of settings")
    add("--samplers", default="random,tpe,cma,ncp", help="gp takes minutes per study")
    add("--trials", type=int, default=200, help="of each study")
    add("--seeds", type=int, default=5, help="studies of each sampler, with seeds 0, 1, ..")
    add("--jobs", type=int, default=2, help="studies at once")
    add("--threads", type=int, default=1, help="threads of a study, for torch and BLAS")
    add("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args(arguments)
    options.settings = options.settings.split(",")
    for setting in options.settings:  # the example's checks, which exit with its message
        shared = [f"--{n}={getattr(options, n)}" for n in ("trials", "seeds", "jobs", "threads")]
        own = [f"--setting={setting}", f"--samplers={options.samplers}", f"--out={options.out}"]
        checked = compare.parse([*shared, *own])
    options.samplers = checked.samplers
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    at = [n for n in CHECKPOINTS if n < options.trials] + [options.trials]
    command = shlex.join(["python", "-m", "benchmarks.compare_samplers", *given])
    texts, everything = [_introduction(options, command)], []
    for setting in options.settings:
        runs = compare.run_all(
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
