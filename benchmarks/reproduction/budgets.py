"""Computing budgets of a full and of a quick run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """The quantities that a quick run reduces.

    Attributes:
        epochs: Epochs of the published recipe's predictors.
        evolution: Fraction of the children of regularized evolution.
        walk_seeds: Number of training sets for the walks over NAS-Bench-201.
        levels: Number of levels of FLOPs of a front.
        climbs: Number of codes from which hill climbing continues NCP's propagation.
    """

    epochs: int
    evolution: float
    walk_seeds: int
    levels: int
    climbs: int


FULL = Budget(epochs=200, evolution=1.0, walk_seeds=20, levels=10, climbs=4)
QUICK = Budget(epochs=60, evolution=0.1, walk_seeds=2, levels=4, climbs=1)
