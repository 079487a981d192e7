"""Errors of predictors on held-out rows (Table 6), and correlations of settings (Figure 4)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.offline.recipes import fit_paper, learn
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.propagation.targets import Target

_HELD_OUT = 500  # number of rows that no predictor is fitted on
_SMALL = 600  # maximum number of rows of a table of which half are held out
_TIMED_SEARCHES = 5


@dataclass(frozen=True)
class Prediction:
    """Errors of two predictors on the same held-out rows; L1 in percent of the main metric.

    Attributes:
        setting: Folder name of the setting.
        mean: Mean of the main metric over all rows.
        std: Standard deviation of the main metric over all rows.
        n_rows: Number of training rows.
        n_held_out: Number of held-out rows.
        l1: Mean absolute error of our predictor.
        l1_error: Standard error of ``l1`` over the held-out rows.
        l1_published: Mean absolute error of the published recipe's predictor.
        spearman: Rank correlation of our predictions with the truth.
        covered: Fraction of the held-out rows in our 95 % interval.
        noise: Our estimate of the standard deviation of a training, percent.
        fit_seconds: Duration of our fit.
        mean_seconds: Duration of 70 iterations from the start code on the predictor's mean.
        bound_seconds: Duration of the same on a lower confidence bound.
    """

    setting: str
    mean: float
    std: float
    n_rows: int
    n_held_out: int
    l1: float
    l1_error: float
    l1_published: float
    spearman: float
    covered: float
    noise: float
    fit_seconds: float
    mean_seconds: float
    bound_seconds: float


def predict_held_out(bench: NASBenchMR, setting: str, *, epochs: int) -> Prediction:
    """Fit our predictor and the published recipe on all rows but 500 drawn with seed 0.

    With at most 600 rows, half are held out.
    """
    table = bench.table(setting)
    order = np.random.default_rng(0).permutation(len(table.codes))
    test, training = np.split(order, [_HELD_OUT if len(order) > _SMALL else len(order) // 2])
    records = table.records().take(training)
    values = table.metrics[table.main]
    truth, x = values[test], MRSpace().normalize(table.codes[test])
    started = time.perf_counter()
    predictor = learn(records, metrics=[table.main])
    fit_seconds = time.perf_counter() - started
    recipe = fit_paper(records, metrics=[*table.metrics, "flops"], epochs=epochs)
    predicted = predictor.predict(x)[0][:, 0]
    error = np.abs(predicted - truth)
    low, high = predictor.interval(x)
    return Prediction(
        setting=table.setting,
        mean=float(values.mean()),
        std=float(values.std()),
        n_rows=len(records),
        n_held_out=len(test),
        l1=float(error.mean()),
        l1_error=float(error.std() / len(error) ** 0.5),
        l1_published=float(np.abs(recipe.predict(x)[0][:, 0] - truth).mean()),
        spearman=float(spearmanr(predicted, truth)[0]),
        covered=float(((low[:, 0] <= truth) & (truth <= high[:, 0])).mean()),
        noise=float(predictor.noise[0]),
        fit_seconds=fit_seconds,
        mean_seconds=_propagation_seconds(predictor, Target(table.main)),
        bound_seconds=_propagation_seconds(predictor, Target(table.main, beta=1.0)),
    )


def _propagation_seconds(predictor: Predictor, target: Target) -> float:
    """Return the median duration of a propagation from the start code."""
    space, taken = MRSpace(), []
    for _ in range(_TIMED_SEARCHES):
        started = time.perf_counter()
        propagate(predictor, space.start, [target], space=space)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def correlations(bench: NASBenchMR, settings: list[str]) -> NDArray[np.float64]:
    """Return Spearman correlations of the main metrics over the public rows, (k, k)."""
    tables = [bench.table(setting) for setting in settings]
    columns = np.stack([table.metrics[table.main] for table in tables], axis=1)
    # For one or two columns spearmanr returns a number in place of the matrix
    ranks = rankdata(columns, axis=0)
    matrix: NDArray[np.float64] = np.atleast_2d(np.corrcoef(ranks, rowvar=False))
    return matrix
