"""How well metrics are predicted, and how settings agree: Table 6 and Figure 4."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.settings import find_setting
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.offline.learning import fit_paper, learn
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.propagation.targets import Target

HELD_OUT = 500


@dataclass(frozen=True)
class Prediction:
    """Errors on rows that nothing was chosen by; L1 in percent of the main metric.

    Attributes:
        setting: Folder name.
        mean: Of the main metric over all rows.
        std: Likewise.
        rows: Learnt from.
        l1: Ours, on the held-out rows.
        l1_error: Its standard error over these rows.
        l1_paper: The published recipe's, on the same rows.
        spearman: Ours.
        covered: Share of the held-out rows in our 95 % interval.
        noise: Standard deviation of a measurement, as ours states it, percent.
        fit_seconds: To fit ours.
        walk_seconds: 70 iterations from the start code, no caution, median of five.
        careful_seconds: The same with caution.
    """

    setting: str
    mean: float
    std: float
    rows: int
    l1: float
    l1_error: float
    l1_paper: float
    spearman: float
    covered: float
    noise: float
    fit_seconds: float
    walk_seconds: float
    careful_seconds: float


def predict_held_out(bench: NASBenchMR, setting: str, *, epochs: int) -> Prediction:
    """Fits ours and the published recipe on all but 500 rows, drawn with seed 0."""
    table = bench.table(find_setting(setting).name)
    order = np.random.default_rng(0).permutation(len(table.codes))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    records, space = table.records().take(rest), MRSpace()
    truth, x = table.metrics[table.main][held], space.normalize(table.codes[held])
    since = time.perf_counter()
    ours = learn(records, metrics=[table.main])
    fit_seconds = time.perf_counter() - since
    paper = fit_paper(records, metrics=[*table.metrics, "flops"], epochs=epochs)
    predicted = ours.predict(x)[0][:, 0]
    error = np.abs(predicted - truth)
    low, high = ours.interval(x)

    def walk(caution: float) -> float:
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            propagate(ours, space.start, [Target(table.main, caution=caution)], space=space)
            taken.append(time.perf_counter() - begin)
        return float(np.median(taken))

    values = table.metrics[table.main]
    return Prediction(
        setting=table.setting,
        mean=float(values.mean()),
        std=float(values.std()),
        rows=len(records),
        l1=float(error.mean()),
        l1_error=float(error.std() / len(error) ** 0.5),
        l1_paper=float(np.abs(paper.predict(x)[0][:, 0] - truth).mean()),
        spearman=float(spearmanr(predicted, truth)[0]),
        covered=float(((low[:, 0] <= truth) & (truth <= high[:, 0])).mean()),
        noise=float(ours.noise[0]),
        fit_seconds=fit_seconds,
        walk_seconds=walk(0.0),
        careful_seconds=walk(1.0),
    )


def correlations(bench: NASBenchMR, settings: list[str]) -> NDArray[np.float64]:
    """Spearman correlation of the main metrics over the public rows, (k, k)."""
    tables = [bench.table(setting) for setting in settings]
    columns = np.stack([table.metrics[table.main] for table in tables], axis=1)
    # of two columns, or one, spearmanr itself gives a number in place of the matrix
    ranks = rankdata(columns, axis=0)
    matrix: NDArray[np.float64] = np.atleast_2d(np.corrcoef(ranks, rowvar=False))
    return matrix
