"""Best compromise between several tasks: maximin of relative regret.

Notation
    n, m     trials, tasks
    regret   (best - value) / (best - worst) of a task, where best and worst are over the trials
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_compromise(values: NDArray[np.float64]) -> int:
    """Return the row whose largest relative regret over the tasks is the smallest.

    Of rows with equal largest regrets, it is the one with the smallest sum of regrets, then the
    first. For one task it is the first row with the best value.

    Args:
        values: Metrics (n, m), larger is better, n at least 1. A task with equal values has no
            regret.
    """
    regret = relative_regret(values)
    return int(np.lexsort((regret.sum(axis=1), regret.max(axis=1)))[0])


def relative_regret(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the regrets (n, m) of metrics (n, m), larger is better: 0 at best, 1 at worst."""
    best, worst = values.max(axis=0), values.min(axis=0)
    spread = np.where(best > worst, best - worst, 1.0)
    return np.asarray((best - values) / spread)
