"""Claims of the paper, our figures, and the rule that decides if a claim held.

A claim is a set of differences that should be above 0, each a value per split. One is above 0 if
its mean is so by more than one standard error over splits. A claim held if all are, partly if some
are, and did not hold otherwise. One split has no standard error: it is compared with 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.reproduction.results import SearchResult

HELD, PARTLY, NOT_HELD, NOT_RUN = "held", "partly", "did not hold", "not run"

Values: TypeAlias = Sequence[float]  # one per split

_REPORT = "`python examples/reproduce_paper.py --root DATA`"


@dataclass(frozen=True)
class Claim:
    """A row of the table.

    Attributes:
        text: The claim, with its place in the paper.
        paper: The paper's figures.
        ours: Our figures.
        verdict: One of the four words above.
        command: Command that makes our figures.
    """

    text: str
    paper: str
    ours: str
    verdict: str
    command: str = _REPORT


def verdict(differences: Sequence[Values]) -> str:
    """Return the verdict on differences, each with one value per split, that should be above 0."""
    above = []
    for values in differences:
        error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
        above.append(float(np.mean(values)) > error)
    if not above:
        return NOT_RUN
    return HELD if all(above) else PARTLY if any(above) else NOT_HELD


def scores(group: Sequence[SearchResult], setting: str) -> Values:
    """Return the score on a setting in each split."""
    return [result.scores[setting] for result in group]


def difference(a: Values, b: Values) -> Values:
    """Return a minus b, paired by split."""
    return [float(value) for value in np.subtract(a, b)]
