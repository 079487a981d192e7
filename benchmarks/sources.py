"""Gain from a source of another task, and loss from a misleading source.

Needs the tables of NAS-Bench-MR (``--root``, or ``NCP_BENCH_ROOT``) and the ``bench`` extra. Run
from the repository root:

    python -m benchmarks.sources --seeds 3

Each study searches the surrogate of one setting, without a source or with one. A source consists of
rows of a table: that of a similar setting, that of a dissimilar setting, that of the same setting
with its metric negated, or that of the similar setting with its metric shuffled.

When a study ends, its row is added to OUT/sources.csv, and an interrupted run continues from this
file. OUT/sources.md is the report.
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ncp_sampler import NCPOptimizer
from ncp_sampler.command_line.option_types import integer_at_least
from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table, mean_and_error, with_error
from ncp_sampler.nas_bench import NASBenchMR, objective
from ncp_sampler.nas_bench.tables import ROOT_VARIABLE
from ncp_sampler.records import Records

CHECKPOINTS = (10, 20, 50, 100)
_NONE, _NEGATED, _SHUFFLED = "none", "negated", "shuffled"
_KINDS = (_NONE, "near", "far", _NEGATED, _SHUFFLED)
_ORDER = (
    (_NONE, "near"),
    (_NEGATED, _SHUFFLED),
    ("far",),
)  # order of the studies, by pairs of kinds
_NEAR_AND_FAR = {
    "cls-a": ("cls-b", "seg"),
    "cls-b": ("cls-a", "video"),
    "cls-c": ("cls-a", "seg"),
    "cls-10c": ("cls-a", "video"),
    "seg": ("seg-4x", "cls-a"),
    "seg-4x": ("seg", "video"),
    "video": ("video-p", "cls-a"),
    "video-p": ("video", "seg"),
}
_HEAD = ["setting", "kind", "source", "seed", *[f"best at {n}" for n in CHECKPOINTS], "ask ms"]


class Study(NamedTuple):
    """Results of one study.

    Attributes:
        setting: Setting that was searched.
        kind: Kind of the source.
        source: Table of the source's rows; empty without a source.
        seed: Seed for the proposals and the choice of rows.
        best: Best value at each of ``CHECKPOINTS``.
        ask_ms: Median CPU time of the last 20 asks.
    """

    setting: str
    kind: str
    source: str
    seed: int
    best: tuple[float, ...]
    ask_ms: float


def rows_of(bench: NASBenchMR, setting: str, rows: int, seed: int, kind: str) -> Records:
    """Return random rows of a table with its main metric, unchanged, negated or shuffled."""
    table = bench.table(setting)
    rng = np.random.default_rng(seed)
    at = rng.permutation(len(table.codes))[:rows]
    metric = table.metrics[table.main][at]
    if kind == _NEGATED:
        metric = -metric
    elif kind == _SHUFFLED:
        metric = rng.permutation(metric)
    return Records(table.space, table.codes[at].astype(np.float64), {table.main: metric})


def run(bench: NASBenchMR, setting: str, kind: str, seed: int, rows: int) -> Study:
    """Run a study up to the last checkpoint."""
    near, far = _NEAR_AND_FAR[setting]
    source = {_NONE: "", "far": far, _NEGATED: setting}.get(kind, near)
    surrogate = objective(setting)
    (metric,) = surrogate.metrics
    optimizer = NCPOptimizer(
        surrogate.space,
        directions={metric: "maximize"},
        seed=seed,
        sources=[rows_of(bench, source, rows, seed, kind)] if source else [],
    )
    values, asks = [], []
    for _ in range(CHECKPOINTS[-1]):
        begin = time.process_time()
        (params,) = optimizer.ask()
        asks.append(1e3 * (time.process_time() - begin))
        values.append(float(surrogate.evaluate(surrogate.space.to_code(params))[0, 0]))
        optimizer.tell(params, {metric: values[-1]})
    best = tuple(max(values[:n]) for n in CHECKPOINTS)
    return Study(setting, kind, source, seed, best, float(np.median(asks[-20:])))


def read(path: Path) -> list[Study]:
    """Return the studies in a file, or none without a file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return [
        Study(row[0], row[1], row[2], int(row[3]), tuple(map(float, row[4:-1])), float(row[-1]))
        for row in rows
    ]


def write(studies: Sequence[Study], path: Path) -> None:
    """Write all studies in the order in which they finished."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_HEAD)
        for study in studies:
            best = [f"{value:.4f}" for value in study.best]
            rows.writerow([*study[:4], *best, f"{study.ask_ms:.1f}"])


def leads(studies: Sequence[Study], setting: str, kind: str) -> np.ndarray:
    """Return the lead (seeds, checkpoints) over the same seeds without a source."""
    without = {s.seed: s.best for s in studies if s.setting == setting and s.kind == _NONE}
    pairs = [
        (study.best, without[study.seed])
        for study in studies
        if study.setting == setting and study.kind == kind and study.seed in without
    ]
    return np.array([np.subtract(a, b) for a, b in pairs]).reshape(-1, len(CHECKPOINTS))


def markdown(studies: Sequence[Study], command: str, rows: int) -> str:
    """Return the report."""
    heads = ["setting", "source", "seeds", *[f"{n} trials" for n in CHECKPOINTS]]
    texts = [
        f"""# Searches with earlier work

Made by `{command}`.

Best values (%) of the surrogates of NAS-Bench-MR, not of training; a source is {rows} random rows
of a table, drawn anew for each seed. The rows of all tables are of the same architectures, those
that the surrogates were fitted on. *Negated* is the setting's own table with its metric negated,
which the predictor may learn to turn round; *shuffled* the near one's with its metric in random
order, which says nothing. Mean ± standard error over seeds, and the lead over the same seed without
a source; *ms* is the CPU time of an ask, the median of trials 81 to 100, when guides have left, on
2 cores that did other work too.
"""
    ]
    table, median = [], {}
    for kind in _KINDS:
        of_kind = [study for study in studies if study.kind == kind]
        if of_kind:
            median[kind] = float(np.median([study.ask_ms for study in of_kind]))
    for setting in _NEAR_AND_FAR:
        for kind in _KINDS:
            group = [study for study in studies if (study.setting, study.kind) == (setting, kind)]
            if not group:
                continue
            if kind == _NONE:
                cells = [
                    with_error([study.best[k] for study in group]) for k in range(len(CHECKPOINTS))
                ]
            else:
                lead = leads(studies, setting, kind)
                cells = [with_error(column, "+.2f") for column in lead.T] if len(lead) else []
            if cells:
                name = f"{kind}: {group[0].source}" if kind in {"near", "far"} else kind
                table.append([setting, name, str(len(group)), *cells])
    texts.append(markdown_table(heads, table, numbers=[False, False, *[True] * (len(heads) - 2)]))
    summary = []
    for kind in _KINDS[1:]:
        cells = []
        for k in range(len(CHECKPOINTS)):
            all_leads = [leads(studies, setting, kind)[:, k] for setting in _NEAR_AND_FAR]
            moments = [mean_and_error(values) for values in all_leads if len(values)]
            ahead = sum(mean > 0 for mean, _ in moments)
            behind = sum(mean < -2 * error for mean, error in moments)
            cells.append(f"{ahead} of {len(moments)}; {behind}")
        summary.append([kind, *cells, f"{median.get(kind, np.nan):.0f}"])
    texts.append(
        "Settings where the mean is ahead; and where it is behind by more than two standard "
        "errors. "
        f"Without a source an ask takes {median.get(_NONE, np.nan):.0f} ms.\n"
    )
    texts.append(markdown_table(["source", *heads[3:], "ms"], summary, numbers=True))
    return "\n".join(texts)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.sources")
    add = parser.add_argument
    add("--root", default=os.environ.get(ROOT_VARIABLE), help="folder of the tables")
    add("--seeds", type=int, default=3, help="number of studies of each kind")
    add(
        "--first",
        type=integer_at_least(0),
        default=3,
        help="seed of the first study; the design was chosen with seeds 0 to 2",
    )
    add("--rows", type=int, default=200, help="number of rows of a source")
    options = parse_benchmark(parser, arguments, "seeds", "rows")
    if options.root is None:
        parser.error(f"--root is missing; give the tables' folder, or set {ROOT_VARIABLE}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    torch.set_num_threads(1)
    bench, path = NASBenchMR(options.root), options.out / "sources.csv"
    studies = read(path)
    command = shlex.join(["python", "-m", "benchmarks.sources", *given])
    done = {(study.setting, study.kind, study.seed) for study in studies}
    seeds = range(options.first, options.first + options.seeds)
    for kinds, seed, setting in product(_ORDER, seeds, _NEAR_AND_FAR):
        for kind in kinds:
            if (setting, kind, seed) not in done:
                studies.append(run(bench, setting, kind, seed, options.rows))
                write(studies, path)
    text = markdown(studies, command, options.rows)
    (options.out / "sources.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
