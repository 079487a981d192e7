"""Paired comparison of two versions of the sampler, from two files of the suite's studies.

    python -m benchmarks.compare_versions REFERENCE.csv CANDIDATE.csv > table.md

Each file has rows as ``python -m benchmarks.suite`` writes them, of one sampler and one version.
Studies of the same problem and seed are pairs; a lower loss is better.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.suite.studies import Study, load
from ncp_sampler.formatting import markdown_table

CHECKPOINTS = (20, 50, 100)

Pair = tuple[Study, Study]


def pairs_of(reference: Sequence[Study], candidate: Sequence[Study]) -> dict[str, list[Pair]]:
    """Return family -> pairs of studies of the same problem and seed."""
    known = {(study.problem, study.seed): study for study in reference}
    pairs: dict[str, list[Pair]] = {}
    for study in candidate:
        earlier = known.get((study.problem, study.seed))
        if earlier is not None:
            pairs.setdefault(study.family, []).append((earlier, study))
    return pairs


def counts(pairs: Sequence[Pair], trials: int) -> str:
    """Return the numbers of pairs in which the candidate is ahead, level and behind."""
    ahead = level = behind = 0
    for reference, candidate in pairs:
        at = min(trials, candidate.trials) - 1
        a, b = reference.losses[at], candidate.losses[at]
        close = a == b or abs(a - b) <= 1e-12 * abs(a)
        ahead, level, behind = (
            ahead + (b < a and not close),
            level + close,
            behind + (b > a and not close),
        )
    return f"{ahead} : {level} : {behind}"


def mean_of(studies: Sequence[Study], field: str) -> str:
    """Return the mean of a field, in percent; empty if no study has it."""
    values = [float(text) for study in studies if (text := getattr(study, field)) != ""]
    return f"{100 * np.mean(values):.1f} %" if values else ""


def ask_ms(studies: Sequence[Study]) -> float:
    """Return the median CPU milliseconds of an ask at the end of a study."""
    return float(np.median([float(study.ask_ms.split()[-1]) for study in studies]))


def table(reference: Sequence[Study], candidate: Sequence[Study]) -> str:
    """Return the comparison as Markdown, a row per class of problem."""
    classes = pairs_of(reference, candidate)
    classes["all"] = [pair for pairs in classes.values() for pair in pairs]
    rows = []
    for family, pairs in classes.items():
        before, after = zip(*pairs, strict=True)
        rows.append(
            [
                family,
                str(len(pairs)),
                *(counts(pairs, trials) for trials in CHECKPOINTS),
                f"{mean_of(before, 'worse')} / {mean_of(after, 'worse')}",
                f"{mean_of(before, 'within')} / {mean_of(after, 'within')}",
                f"{ask_ms(before):.0f} / {ask_ms(after):.0f}",
            ]
        )
    header = [
        "class", "pairs", *(f"after {trials}" for trials in CHECKPOINTS),
        "late trials worse than random", "within one deviation", "ms per ask",
    ]  # fmt: skip
    return markdown_table(header, rows)


def main() -> None:
    """Print the comparison of the two files given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("candidate", type=Path)
    options = parser.parse_args()
    print(table(load(options.reference), load(options.candidate)))


if __name__ == "__main__":
    main()
