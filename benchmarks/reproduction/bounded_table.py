"""The report's section of searches within one bound on FLOPs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.reproduction.bounded import CAUTIONS, GFLOPS
from benchmarks.reproduction.labels import METHODS
from benchmarks.reproduction.results import Results
from benchmarks.reproduction.rows import Method, Row, Study
from benchmarks.reproduction.studies import BASIC
from ncp_sampler.formatting import markdown_table, with_error

_HEADS = [
    "search",
    "own objective, less NCP's",
    "judged",
    "by the first judge",
    "by the second",
    "NCP ahead",
    "won",
    "s",
]


def bounded_section(results: Results) -> str:
    """All methods with the same caution, by setting; what propagation adds, in a line."""
    text = f"## At most {GFLOPS:g} G: every search with the same caution\n\n" + (
        "All maximize the same objective of the same predictor: the metric less so many standard "
        "deviations, in deviations of the metric. Judged: by the models of the whole other half. "
        "The first and the second judge are fitted on rows of it that have none in common; NCP "
        "ahead is by their mean. Local searches move by single steps from random codes, the best "
        "of as many as end in NCP's seconds (at least one, at most 20).\n\n"
    )
    for setting in BASIC:
        found = _rows(results, setting)
        for caution in CAUTIONS:
            ours = found.get((Method.NCP, caution), [])
            lines = [
                _line(rows, ours, setting) for (_, own), rows in found.items() if own == caution
            ]
            text += f"### {setting}, at most {GFLOPS:g} G, caution {caution:g}\n\n"
            text += f"{markdown_table(_HEADS, lines)}\n"
    return text


def _rows(results: Results, setting: str) -> dict[tuple[Method, float], list[Row]]:
    return {
        (search.method, float(search.caution or 0.0)): rows
        for search, rows in results.searches(Study.BOUNDED).items()
        if search.settings == (setting,)
    }


def _line(rows: Sequence[Row], ours: Sequence[Row], setting: str) -> list[str]:
    """A method's figures; both lists are in the order of the splits."""
    means = [np.mean(row.disjoint or (np.nan, np.nan)) for row in rows]
    best = [np.mean(row.disjoint or (np.nan, np.nan)) for row in ours]
    ahead = [float(mine - other) for mine, other in zip(best, means, strict=True)]
    behind = [
        float((row.utility or 0.0) - (mine.utility or 0.0))
        for row, mine in zip(rows, ours, strict=True)
    ]
    own = rows[0].search.method is Method.NCP
    pair = list(zip(*(row.disjoint or (np.nan, np.nan) for row in rows), strict=True))
    return [
        METHODS[rows[0].search.method],
        "–" if own else with_error(behind),
        with_error([row.judged[setting] for row in rows]),
        *(with_error([float(value) for value in column]) for column in pair),
        "–" if own else with_error(ahead),
        "–" if own else f"{sum(one > 0 for one in ahead)}/{len(ahead)}",
        f"{np.median([row.seconds for row in rows]):.1f}",
    ]
