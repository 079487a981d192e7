"""Held-out evaluators, which score untrained architectures by models that the search does not use.

The search uses one half of the rows of a table, and the evaluator is fitted to the other half.
Errors of the search's own predictor therefore do not improve its score. The halves can be swapped
(two-way cross-fitting).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from ncp_sampler import checks
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.features import features, valid_codes
from ncp_sampler.nas_bench.surrogates import rounds_of
from ncp_sampler.nas_bench.tables import Table
from ncp_sampler.predictors.trees import fit_trees, predict_trees

FloatArray = NDArray[np.float64]

# Hyperparameters of the kernel model of standardized log2 codes and metrics
_SUPPORT_VECTORS = {"C": 3.0, "gamma": 0.01, "epsilon": 0.05}


def halves(n: int, split: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the rows for the search and of those for the evaluator.

    The rows are split at random. Split 2k + 1 swaps the halves of split 2k.

    Raises:
        ValueError: If there are fewer than two rows, or if the split is negative.
    """
    n, split = checks.integer("n", n, low=2), checks.integer("split", split, low=0)
    order = np.random.default_rng(split // 2).permutation(n)
    parts = np.sort(order[: n // 2]), np.sort(order[n // 2 :])
    return parts if split % 2 == 0 else (parts[1], parts[0])


class HeldOutEvaluator:
    """Held-out evaluator: the mean of boosted trees (on features) and an SVM (on log2 codes).

    Args:
        table: Table of a setting of NAS-Bench-MR.
        rows: Positions of the rows to which the evaluator is fitted.
        metric: Metric to predict; None for the main metric.

    Attributes:
        metric: Name of the predicted metric, which is in percent.
        errors: Mean absolute errors on all other rows, in percentage points, of the "trees", of the
            "kernel" model, and of the "mean" of both. NaN if there are no other rows.

    Raises:
        ValueError: If the table has other codes, the metric is unknown, or fewer than two rows are
            given.
        ImportError: If LightGBM is not installed.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import MRSpace, costs
        >>> from ncp_sampler.nas_bench import Table, halves
        >>> codes = MRSpace().sample(200, 0).astype(np.int64)
        >>> gflops = costs.flops(codes).numpy()  # in place of a published table
        >>> params = costs.params(codes).numpy()
        >>> table = Table("seg", codes, {"mIoU": 70 + np.log(gflops)}, gflops, params)
        >>> searched, evaluated = halves(len(codes), 0)
        >>> evaluator = HeldOutEvaluator(table, evaluated)
        >>> evaluator.score(codes[:2]).shape, evaluator.errors["mean"] < 1
        ((2,), True)
    """

    def __init__(self, table: Table, rows: ArrayLike, *, metric: str | None = None) -> None:
        checks.instance("table", table, Table, "be a Table of NASBenchMR")
        self.metric = table.main if metric is None else checks.text("metric", metric)
        if not isinstance(table.space, MRSpace):
            raise ValueError(
                f"table={table.setting!r} has no MRSpace codes; look codes up in the table itself"
            )
        if self.metric not in table.metrics:
            raise ValueError(f"metric={metric!r} must be one of {list(table.metrics)}")
        values = table.metrics[self.metric]
        given = np.unique(checks.array("rows", rows))
        mine = np.nan_to_num(given).astype(np.int64)
        if (mine != given).any() or len(mine) < 2 or mine[0] < 0 or mine[-1] >= len(values):
            raise ValueError(f"rows must be at least two of 0 to {len(values) - 1}")
        others = np.setdiff1d(np.arange(len(values)), mine)
        codes, y = table.codes[mine], values[mine]
        self._mean, self._std = float(y.mean()), float(y.std())
        self._trees = fit_trees(features(codes), y, rounds_of(table.setting))
        self._kernel: Pipeline = make_pipeline(StandardScaler(), SVR(**_SUPPORT_VECTORS))
        self._kernel.fit(np.log2(codes), (y - self._mean) / self._std)
        self.errors = {
            name: float(np.abs(values[others] - column).mean()) if len(others) else float("nan")
            for name, column in self._columns(table.codes[others])
        }

    def score(self, codes: ArrayLike) -> FloatArray:
        """Return the predicted metric (n,) of valid codes (n, 27) or (27,).

        Raises:
            ValueError: If a code has the wrong length, a NaN or an invalid number.
        """
        return dict(self._columns(valid_codes(codes)))["mean"]

    def _columns(self, codes: NDArray[np.int64]) -> Iterator[tuple[str, FloatArray]]:
        if not len(codes):
            yield from ((name, np.zeros(0)) for name in ("trees", "kernel", "mean"))
            return
        trees = predict_trees(self._trees, features(codes))
        kernel = self._kernel.predict(np.log2(codes)) * self._std + self._mean
        yield "trees", trees
        yield "kernel", kernel
        yield "mean", (trees + kernel) / 2
