"""Report: regrets and hypervolumes of every method, and cases in which NCPSampler is ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.several_tasks.methods import METHODS
from benchmarks.several_tasks.studies import CHECKPOINTS, Study
from ncp_sampler.formatting import markdown_table, with_error

REFERENCE = "ncp-compromise"  # method that the others are compared with


def write_report(studies: Sequence[Study], command: str) -> str:
    """Return the page on all studies, in Markdown.

    Args:
        studies: At least one.
        command: Command line of the program, which made some of them.
    """
    texts = [
        f"""# One architecture for several tasks

Made last by `{command}`; a method's rows stay until it is run again.

A trial trains an architecture on every task of a problem. After so many trials a method names one
architecture: of those that it has tried, the one of least relative regret in its worst task, as far
as it has seen. The regret in these tables is the true one: 0 at the best known value of a task, 1
at the median of the space. "Half of the reports" loses each report with probability one half. A
method with a study per task is given the true values of what its studies found. Hypervolume is the
share of the box from the medians to the best values that all trials dominate. Figures are means
over problems and seeds ± standard errors over problems; "ahead" counts the problems in which
{_label(REFERENCE)} has the lower mean regret in the worst task.
"""
    ]
    for family in dict.fromkeys(study.family for study in studies):
        own = [study for study in studies if study.family == family]
        names = list(dict.fromkeys(study.problem for study in own))
        seeds = len({study.seed for study in own})
        texts.append(f"\n## {family}\n\n{_count(len(names), 'problem')}, {seeds} seeds.\n\n")
        for field, title in (
            ("worst", "Regret in the worst task"),
            ("mean", "Mean regret of the tasks"),
            ("hypervolume", "Hypervolume"),
        ):
            texts.append(f"{title}:\n\n{_table(own, names, field)}\n")
        texts.append(f"Regret in the worst task after 50 trials:\n\n{_by_problem(own, names)}\n")
    return "".join(texts).rstrip("\n") + "\n"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n > 1 else ''}"


def _label(method: str) -> str:
    return METHODS[method][0]


def _means(studies: Sequence[Study], method: str, trials: int, field: str) -> dict[str, float]:
    """Return problem -> mean over seeds."""
    values: dict[str, list[float]] = {}
    for study in studies:
        if study.method == method and study.trials == trials:
            values.setdefault(study.problem, []).append(getattr(study, field))
    return {name: float(np.mean(all_seeds)) for name, all_seeds in values.items()}


def _table(studies: Sequence[Study], names: Sequence[str], field: str) -> str:
    """Return a row of means for each method, after each number of trials."""
    methods = [method for method in METHODS if any(study.method == method for study in studies)]
    ahead = field == "worst" and REFERENCE in methods
    rows = []
    for method in methods:
        cells = [_label(method)]
        for trials in CHECKPOINTS:
            means = _means(studies, method, trials, field)
            cells.append(with_error(list(means.values()), ".3f") if means else "")
        if ahead:
            reference, compared = (
                _means(studies, name, 50, "worst") for name in (REFERENCE, method)
            )
            pairs = [(reference[n], compared[n]) for n in names if n in reference and n in compared]
            won = sum(a < b for a, b in pairs)
            cells.append("" if method == REFERENCE else f"{won} of {len(pairs)}")
        rows.append(cells)
    header = ["method", *(f"{n} trials" for n in CHECKPOINTS), *["ahead after 50"] * ahead]
    return markdown_table(header, rows, numbers=True)


def _by_problem(studies: Sequence[Study], names: Sequence[str]) -> str:
    methods = [method for method in METHODS if any(study.method == method for study in studies)]
    means = {method: _means(studies, method, 50, "worst") for method in methods}
    rows = [
        [name, *(f"{means[m][name]:.3f}" if name in means[m] else "" for m in methods)]
        for name in names
    ]
    return markdown_table(["problem", *map(_label, methods)], rows, numbers=True)
