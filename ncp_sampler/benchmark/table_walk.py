"""The walk of the paper's Appendix C over a complete table, NAS-Bench-201's: every step looked up.

Notation
    S, n, d   steps, starts, columns
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.benchmark.tables import Table
from ncp_sampler.discrete_walk import discrete_walk
from ncp_sampler.gaussian_process import GaussianProcess
from ncp_sampler.history import warp
from ncp_sampler.propagation import Target

_HIGH_FLOPS = 0.9  # quantile of the table above which a code has high FLOPs


@dataclass(frozen=True)
class TableWalk:
    """What the table says of the codes that a walk came through; S steps, n starts.

    Attributes:
        codes: The starts first, (S + 1, n, d).
        metric: The table's main metric, (S + 1, n).
        flops: In the table's unit, (S + 1, n).
    """

    codes: NDArray[np.int64]
    metric: NDArray[np.float64]
    flops: NDArray[np.float64]

    @property
    def best(self) -> NDArray[np.float64]:
        """Best metric of each walk's steps, the start left out, (n,)."""
        found: NDArray[np.float64] = self.metric[1:].max(0)
        return found


def hard_starts(table: Table, n: int) -> NDArray[np.int64]:
    """Low accuracy, high FLOPs: the n rows of least main metric above the FLOPs' 90 % quantile.

    Equal ones in the table's order.

    Raises:
        ValueError: n < 1, or more than there are.
    """
    high = np.flatnonzero(table.flops > np.quantile(table.flops, _HIGH_FLOPS))
    if not 1 <= n <= len(high):
        raise ValueError(f"n={n} must be between 1 and {len(high)}")
    worst = np.argsort(table.metrics[table.main][high], kind="stable")[:n]
    return table.codes[high[worst]]


def walk_table(
    table: Table,
    *,
    n_rows: int = 500,
    n_starts: int = 10,
    steps: int = 6,
    flops_weight: float = 0.1,
    learning_rate: float = 0.5,
    revisit: bool = False,
    seed: int = 0,
) -> TableWalk:
    """Walks from ``hard_starts`` to higher main metric and lower FLOPs, and looks the steps up.

    The predictor is a Gaussian process fitted on ``n_rows`` rows drawn at random: the main metric
    through ``warp`` (its low tail says little about its best end), and FLOPs in standard
    deviations. It sees nothing else of the table; what the walk looks up is not learnt.

    Args:
        table: One that holds its whole space, ``NASBenchMR(root).table("nas-bench-201")``.
        n_rows: Rows to fit on.
        n_starts: Walks.
        steps: As ``discrete_walk``; 10 iterations each.
        flops_weight: The paper's lambda.
        learning_rate: As ``discrete_walk``.
        revisit: As ``discrete_walk``; True is the paper's plain argmax.
        seed: Draws the rows.

    Raises:
        ValueError: n_rows outside the table, n_starts out of range, or as ``discrete_walk``.
    """
    if not 2 <= n_rows <= len(table.codes):
        raise ValueError(f"n_rows={n_rows} must be between 2 and {len(table.codes)}")
    rows = np.random.default_rng(seed).choice(len(table.codes), n_rows, replace=False)
    metric, flops = table.metrics[table.main], table.flops
    predictor = GaussianProcess().fit(
        table.space.normalize(table.codes[rows]),
        {
            "metric": warp(metric[rows, None])[:, 0],
            "flops": (flops[rows] - flops[rows].mean()) / flops[rows].std(),
        },
    )
    walk = discrete_walk(
        predictor,
        hard_starts(table, n_starts),
        [Target("metric"), Target("flops", "minimize", weight=flops_weight)],
        space=table.space,
        steps=steps,
        learning_rate=learning_rate,
        revisit=revisit,
    )
    found = table.rows(walk.codes.reshape(-1, walk.codes.shape[-1])).reshape(walk.codes.shape[:2])
    return TableWalk(walk.codes, metric[found], flops[found])
