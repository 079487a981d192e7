"""How much a run takes upon itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a quick run has less of.

    Attributes:
        epochs: Of the published recipe's predictors.
        evolution: Share of the children that regularized evolution has.
        walk_seeds: Draws of rows for the walks over NAS-Bench-201.
    """

    epochs: int
    evolution: float
    walk_seeds: int


FULL = Effort(epochs=200, evolution=1.0, walk_seeds=20)
QUICK = Effort(epochs=60, evolution=0.1, walk_seeds=4)
