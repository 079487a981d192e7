"""What all studies together find: everything that the report shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.reproduction.prediction import Prediction
from benchmarks.reproduction.rows import Row, Search, Study
from ncp_sampler.nas_bench.table_walk import TableWalk
from ncp_sampler.propagation.propagate import Trace


@dataclass(frozen=True)
class Results:
    """Everything that the report shows.

    Attributes:
        quick: Whether only the basic settings and one split were run.
        splits: Number of splits.
        rows: Searches, judged.
        predictions: Of each setting.
        judge_errors: Setting -> mean L1 of its judges, percent.
        extremes: Setting -> the ten best rows that a judge did not see: means of what they were
            trained to and of what they are judged, percent.
        correlations: Spearman between `SHIPPED`, (8, 8).
        segmentation: Metric -> of the rows of the segmentation table, percent, (n,); the main one
            first.
        walks: NAS-Bench-201, one for each seed of the 500 rows.
        traces: Strategy -> a propagation on segmentation from the start code.
        clouds: Setting -> FLOPs (G), judged main metric (percent) and params (M) of the rows that
            the first split learnt, (n, 3).
        seconds: Of the whole run.
    """

    quick: bool
    splits: int
    rows: list[Row]
    predictions: list[Prediction]
    judge_errors: dict[str, float]
    extremes: dict[str, tuple[float, float]]
    correlations: NDArray[np.float64]
    segmentation: dict[str, NDArray[np.float64]]
    walks: list[TableWalk]
    traces: dict[str, Trace]
    clouds: dict[str, NDArray[np.float64]]
    seconds: float

    def searches(self, study: Study) -> dict[Search, list[Row]]:
        """Searches of a study, in the order of the first split -> a row for each split."""
        found: dict[Search, list[Row]] = {}
        for row in self.rows:
            if row.search.study is study:
                found.setdefault(row.search, []).append(row)
        return found
