"""Report of the paper's studies: Markdown with pictures, from the folder of the tables."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import TypeAlias

from benchmarks.reproduction import baseline_tables, figures, jobs, paper_tables
from benchmarks.reproduction.budgets import QUICK
from benchmarks.reproduction.claims import claims_section, write_claims
from benchmarks.reproduction.jobs import Progress
from benchmarks.reproduction.results import Results
from ncp_sampler import checks
from ncp_sampler.files import write_atomic
from ncp_sampler.nas_bench.tables import NASBenchMR

Folder: TypeAlias = str | os.PathLike[str]

_SPLITS = 10  # number of splits of a full run
_INTRODUCTION = """# The paper's studies, from the public tables

No network was trained for this report. The paper trained the architectures that it found; here a
held-out evaluator scores them: the mean of boosted trees and a support-vector machine, fitted on
the half of the table's rows that the search did not see. So **our figures are scores of models,
the paper's are those of trained networks**, and only differences within one of our columns are
meaningful. Mean absolute errors of the evaluators on rows that they were not fitted on: {errors}.

Evaluators pull extremes towards the mean. Trained value and score of the ten best of these rows, on
average: {extremes}.

{splits}; ± is the standard error over splits.
FLOPs are G multiply-adds, params M of the network with 19 classes, unless a table says otherwise.
The run took {minutes:.0f} minutes.

"""


def write_report(
    root: Folder,
    out: Folder,
    *,
    quick: bool = False,
    splits: int | None = None,
    processes: int = 2,
    progress: Progress = print,
) -> Path:
    """Run the studies, and write ``report.md``, its pictures and ``results.pkl`` into a folder.

    Args:
        root: Folder of the tables.
        out: Folder of the report, created if missing.
        quick: Run the basic settings only, with a smaller budget.
        splits: Number of splits of the rows; None for 10, or 1 with ``quick``.
        processes: Number of processes, of one thread each.
        progress: Function that is called with a message when a part of the run has ended.

    Returns:
        Path of the report.

    Raises:
        ValueError: ``root`` has no tables, ``splits`` or ``processes`` is below 1, an argument has
            the wrong type, or the folder cannot be written to.
        OSError: The disk is full.
    """
    must = "be a function of a text, such as print"
    checks.call("progress", progress, must, required=True)
    quick = checks.flag("quick", quick)
    splits = (
        (1 if quick else _SPLITS) if splits is None else checks.integer("splits", splits, low=1)
    )
    processes = checks.integer("processes", processes, low=1)
    tables = checks.path("root", root, "the folder of the tables")
    folder = _writable("out", out)
    bench = NASBenchMR(tables)
    results = jobs.run(bench, quick=quick, splits=splits, processes=processes, progress=progress)
    write_atomic(folder / "results.pkl", pickle.dumps(results))
    return write_text(results, folder, bench)


def write_text(results: Results, folder: Path, bench: NASBenchMR | None = None) -> Path:
    """Write ``report.md``, ``claims.md`` and pictures into a folder, and return the report's path.

    Args:
        results: Results of a run.
        folder: An existing folder.
        bench: The tables, needed for results with walks.
    """
    claims = claims_section(results)
    write_claims(claims, folder)
    sections = [
        claims,
        paper_tables.prediction_section(results),
        paper_tables.code_section(),
        figures.correlations_section(results, folder),
        figures.rankings_section(results, folder),
        paper_tables.segmentation_section(results),
        baseline_tables.baselines_section(results),
        baseline_tables.bounded_section(results),
        paper_tables.joint_section(results),
        paper_tables.transfer_section(results),
        paper_tables.related_settings_section(results),
        paper_tables.seconds_section(results),
        figures.codes_section(results, folder),
        figures.trade_offs_section(results, folder),
    ]
    if results.walks and bench:
        sections.append(figures.walks_section(results, folder, bench))
    path = folder / "report.md"
    write_atomic(path, (_introduction(results) + "\n".join(sections)).encode())
    return path


def _writable(name: str, path: Folder) -> Path:
    """Create a folder if it is missing, and check that it can be written to."""
    folder = checks.path(name, path, "a folder, which is made if need be")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{name}={str(folder)!r} cannot be written to ({error.strerror}); give another folder"
        ) from error
    return folder


def _introduction(results: Results) -> str:
    number = "One split" if results.splits == 1 else f"{results.splits} splits"
    if results.quick:
        number += (
            f" of the rows (--quick), with {QUICK.evolution:.0%} of evolution's children, and "
            "fewer walks, levels of the fronts and hill climbs"
        )
    return _INTRODUCTION.format(
        errors=", ".join(f"{s} {error:.2f}" for s, error in results.evaluator_errors.items()),
        extremes=", ".join(f"{s} {a:.2f} and {b:.2f}" for s, (a, b) in results.extremes.items()),
        splits=number,
        minutes=results.seconds / 60,
    )
