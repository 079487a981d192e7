"""The report's text: in come results, out goes report.md, a section for each table or figure."""

from __future__ import annotations

import os
from pathlib import Path

from ncp_sampler.files import write_atomic
from ncp_sampler.formatting import markdown_table
from ncp_sampler.multi_resolution.blueprint import (
    MAX_DEPTH,
    MAX_WIDTH,
    NAMES,
    OUTPUT,
    STAGES,
    STEM,
    WIDTH_STEP,
)
from ncp_sampler.reproduction import published
from ncp_sampler.reproduction.bounded_table import bounded_section
from ncp_sampler.reproduction.effort import QUICK
from ncp_sampler.reproduction.figures import (
    codes_section,
    correlations_section,
    efficiency_section,
    rankings_section,
    walks_section,
)
from ncp_sampler.reproduction.prediction import HELD_OUT
from ncp_sampler.reproduction.results import Results
from ncp_sampler.reproduction.search_tables import (
    NOT_QUICK,
    NOTHING,
    baselines_section,
    joint_section,
    seconds_section,
    segmentation_section,
    small_tables_section,
    transfer_section,
)

_INTRO = """# The paper's studies, from the public tables

Nothing here was trained. The paper trained what it found; here every architecture is scored by
judges (the mean of boosted trees and a support-vector machine) fitted on the half of the table's
rows that its search did not see, so **our figures are judged values, the paper's are trained
ones**, and only differences within a column of ours mean something. Mean absolute errors of
the judges on rows that they did not see: {errors}.

They pull extremes towards the mean: of the ten best of these rows, as they were trained and as
they are judged: {extremes}.

{splits}; ± is the standard error over splits.
FLOPs are G multiply-adds, params M of the network with 19 classes, unless a table says otherwise.
The run took {minutes:.0f} minutes.

"""


def write_pages(results: Results, folder: Path, *, root: str | os.PathLike[str]) -> Path:
    """Writes report.md and its pictures into a folder; returns the report's path."""
    sections = [
        _prediction_section(results),
        _representation_section(),
        correlations_section(results, folder),
        rankings_section(results, folder),
        segmentation_section(results),
        baselines_section(results),
        bounded_section(results),
        joint_section(results),
        transfer_section(results),
        small_tables_section(results),
        seconds_section(results),
        codes_section(results, folder),
        efficiency_section(results, folder),
    ]
    if results.walks:
        sections.append(walks_section(results, folder, root))
    path = folder / "report.md"
    write_atomic(path, (_introduction(results) + "\n".join(sections)).encode())
    return path


def _introduction(results: Results) -> str:
    return _INTRO.format(
        errors=", ".join(f"{s} {error:.2f}" for s, error in results.judge_errors.items()),
        extremes=", ".join(
            f"{s} {trained:.2f} and {judged:.2f}"
            for s, (trained, judged) in results.extremes.items()
        ),
        splits=_splits(results),
        minutes=results.seconds / 60,
    )


def _splits(results: Results) -> str:
    if not results.quick:
        return f"{results.splits} splits"
    number = "One split" if results.splits == 1 else f"{results.splits} splits"
    shorter = f"evolution has {QUICK.evolution:.0%} of its children, and the walks fewer draws"
    return f"{number} of the rows (--quick), where {shorter}"


def _prediction_section(results: Results) -> str:
    """Table 6: our predictor and the published recipe's; a setting without figures says why."""
    lines = []
    for p in results.predictions:
        printed = published.PREDICTION_L1[p.setting]
        line = [p.setting, f"{p.mean:.2f}", f"{p.std:.2f}", f"{p.l1:.3f} ± {p.l1_error:.3f}"]
        line += [f"{p.l1_paper:.3f}", f"{printed:.2f}", f"{p.spearman:.3f}"]
        lines.append([*line, f"{p.covered:.1%}", f"{p.noise:.2f}", f"{p.fit_seconds:.0f}"])
    shown = {p.setting for p in results.predictions}
    for setting, value in published.PREDICTION_L1.items():
        if setting not in shown:
            why = "no public table" if setting == "3ddet" else NOT_QUICK
            lines.append([setting, *[NOTHING] * 4, f"{value:.2f}", *[NOTHING] * 3, why])
    heads = ["setting", "mean", "std", "L1, ours", "L1, published recipe, same rows"]
    heads += ["L1, paper", "Spearman, ours", "covered", "noise", "s to fit"]
    rows = results.predictions[0].rows
    return (
        "## Table 6: predictor error\n\n"
        f"L1 in percent of the main metric on {HELD_OUT} held-out rows, drawn with seed 0 "
        f"and not looked at; {rows} rows are learnt from (the paper: 2,000, and the epoch that "
        "was best on the validation rows themselves). Covered: how many of the held-out rows lie "
        "in our interval of 95 %, of doubt and noise together; noise: the standard deviation of a "
        f"training that it states.\n\n{markdown_table(heads, lines)}\n"
    )


def _representation_section() -> str:
    """Table 7: what the 27 integers are."""
    lines = [
        ["input layers", NOTHING, NOTHING, " ".join(name for _, name in STEM)],
        *(
            [f"stage {one.number}", one.blocks, " ".join(one.units), " ".join(one.widths)]
            for one in STAGES
        ),
        ["output layer", NOTHING, NOTHING, OUTPUT],
    ]
    heads = ["component", "blocks", "residual units", "channels"]
    return (
        "## Table 7: the code\n\n"
        f"{len(NAMES)} integers, by their names here: blocks and units 1 to {MAX_DEPTH}, channels "
        f"{WIDTH_STEP} to {MAX_WIDTH} by {WIDTH_STEP}. One of several branches of a stage has the "
        f"number after the underscore.\n\n{markdown_table(heads, lines)}\n"
    )
