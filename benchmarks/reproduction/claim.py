"""Claims of the paper, our figures, and the rule that decides whether a claim held.

A claim states that one or more differences are above 0. Each difference has one value per split. It
counts as above 0 if its mean exceeds 0 by more than one standard error over splits; with a single
split, if its value does. A claim held if all differences are above 0, held partly if some are, and
did not hold otherwise.
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
