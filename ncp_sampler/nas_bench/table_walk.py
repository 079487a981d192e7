"""The walk of the paper's Appendix C over a complete table, NAS-Bench-201's: every step looked up.

Notation
    S, n, d   steps, starts, columns
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.nas_bench.tables import Table
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.transforms import bounded_tail
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.discrete_walk import discrete_walk
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target

_STRATEGY = GradientDescent(rate=0.7)
_HIGH_FLOPS = 0.9  # quantile of the table above which a code has high FLOPs


@dataclass(frozen=True)
class TableWalk:
    """What the table says of the codes that a walk came through; S steps, n starts.

    Attributes:
        codes: The starts first, (S + 1, n, d).
        metric: The table's main metric, (S + 1, n).
        flops: In the table's unit, (S + 1, n).

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import NB201Space
        >>> accuracy = np.array([[1.0], [46.0], [44.8]])
        >>> TableWalk(np.zeros((3, 1, 30), dtype=np.int64), accuracy, np.ones((3, 1))).best.tolist()
        [46.0]
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
    checks.instance("table", table, Table, "be a Table of NASBenchMR")
    high = np.flatnonzero(table.flops > np.quantile(table.flops, _HIGH_FLOPS))
    checks.integer("n", n, low=1, high=len(high))
    worst = np.argsort(table.metrics[table.main][high], kind="stable")[:n]
    return table.codes[high[worst]]


def table_predictor(table: Table, *, n_rows: int = 500, seed: int = 0) -> GaussianProcess:
    """A Gaussian process of "metric" and "flops" fitted on rows of a table drawn at random.

    The main metric goes through ``warp``, since its low tail says little about its best end, and
    FLOPs are in standard deviations, so that the weights of both compare.

    Args:
        table: The table.
        n_rows: Rows to fit on.
        seed: Draws the rows.

    Raises:
        ValueError: n_rows outside the table.
    """
    checks.instance("table", table, Table, "be a Table of NASBenchMR")
    checks.integer("n_rows", n_rows, low=2, high=len(table.codes))
    rows = np.random.default_rng(checks.integer("seed", seed, low=0)).choice(
        len(table.codes), n_rows, replace=False
    )
    flops = table.flops[rows]
    return GaussianProcess().fit(
        table.space.normalize(table.codes[rows]),
        {
            "metric": bounded_tail(table.metrics[table.main][rows]),
            "flops": (flops - flops.mean()) / flops.std(),
        },
    )


def walk_table(
    table: Table,
    predictor: Predictor,
    *,
    n_starts: int = 10,
    flops_weight: float = 0.0,
    strategy: Strategy = _STRATEGY,
    revisit: bool = False,
) -> TableWalk:
    """Walks from ``hard_starts`` to higher main metric, and looks the steps up.

    What it looks up is not learnt.

    Args:
        table: One that holds its whole space, ``NASBenchMR(root).table("nas-bench-201")``.
        predictor: From ``table_predictor``, or another of "metric" and "flops" in like units.
        n_starts: Walks.
        flops_weight: The paper's lambda, for lower FLOPs too; by default the metric alone counts.
        strategy: As ``discrete_walk``.
        revisit: As ``discrete_walk``; True is the paper's plain argmax.

    Raises:
        ValueError: n_starts out of range, a code outside the table, or as ``discrete_walk``.
    """
    walk = discrete_walk(
        predictor,
        hard_starts(table, n_starts),
        [Target("metric"), Target("flops", "minimize", weight=flops_weight)],
        space=table.space,
        strategy=strategy,
        revisit=revisit,
    )
    found = table.rows(walk.codes.reshape(-1, walk.codes.shape[-1])).reshape(walk.codes.shape[:2])
    return TableWalk(walk.codes, table.metrics[table.main][found], table.flops[found])
