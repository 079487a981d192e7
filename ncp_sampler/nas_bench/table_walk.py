"""Walks over a complete table, in which every visited code can be looked up (paper, Appendix C).

Notation
    S, n, d   number of steps, starts, and columns of a code
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
_HIGH_FLOPS = 0.9  # Quantile above which FLOPs count as high


@dataclass(frozen=True)
class TableWalk:
    """Codes on walks of S steps from n starts, and their values in the table.

    Attributes:
        codes: Start codes and the codes after each step, (S + 1, n, d).
        metric: Main metric of these codes in the table, (S + 1, n).
        flops: FLOPs of these codes in the unit of the table, (S + 1, n).

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
        """Best metric on each walk, without the start, (n,)."""
        best: NDArray[np.float64] = self.metric[1:].max(0)
        return best


def hard_starts(table: Table, n: int) -> NDArray[np.int64]:
    """Return the n codes with the lowest main metric among those above the 90 % quantile of FLOPs.

    Codes with equal metrics keep the order of the table.

    Raises:
        ValueError: If n is below 1, or exceeds the number of codes above the quantile.
    """
    checks.instance("table", table, Table, "be a Table of NASBenchMR")
    high = np.flatnonzero(table.flops > np.quantile(table.flops, _HIGH_FLOPS))
    checks.integer("n", n, low=1, high=len(high))
    worst = np.argsort(table.metrics[table.main][high], kind="stable")[:n]
    return table.codes[high[worst]]


def table_predictor(table: Table, *, n_rows: int = 500, seed: int = 0) -> GaussianProcess:
    """Fit a Gaussian process to the main metric and the FLOPs of random rows of a table.

    The names of the predicted metrics are "metric" and "flops".

    The main metric is transformed by ``bounded_tail``, because the tail of poor values contains
    little information about the best values. FLOPs are standardized, so that the weights of both
    targets are comparable.

    Args:
        table: The table.
        n_rows: Number of rows for the fit.
        seed: Seed of the random choice of rows.

    Raises:
        ValueError: If ``n_rows`` is out of range.
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
    """Walk from ``hard_starts`` towards a higher main metric, guided by a predictor.

    The values of all visited codes are looked up in the table. The predictor is not fitted to them.

    Args:
        table: Table that covers its whole space, such as
            ``NASBenchMR(root).table("nas-bench-201")``.
        predictor: Result of ``table_predictor``, or another predictor of "metric" and "flops" in
            the same units.
        n_starts: Number of walks.
        flops_weight: Weight of lower FLOPs (the paper's lambda); by default, only the metric
            counts.
        strategy: As for ``discrete_walk``.
        revisit: True to allow codes that a walk has already visited, as for ``discrete_walk`` and
            as in the paper.

    Raises:
        ValueError: If ``n_starts`` is out of range, a code is not in the table, or as for
            ``discrete_walk``.
    """
    walk = discrete_walk(
        predictor,
        hard_starts(table, n_starts),
        [Target("metric"), Target("flops", "minimize", weight=flops_weight)],
        space=table.space,
        strategy=strategy,
        revisit=revisit,
    )
    rows = table.rows(walk.codes.reshape(-1, walk.codes.shape[-1])).reshape(walk.codes.shape[:2])
    return TableWalk(walk.codes, table.metrics[table.main][rows], table.flops[rows])
