"""Predictors for records: the default, the one for transfer from another task, and the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.offline.known_costs import cost_at
from ncp_sampler.predictors.calibration import Calibrated
from ncp_sampler.predictors.distillation import Distilled
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.kernels import NNGP
from ncp_sampler.predictors.mixture import Mixture
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Model, Predictor, as_model, one_thread
from ncp_sampler.predictors.registry import narrow_process
from ncp_sampler.predictors.transforms import (
    TAIL,
    ExtendedFeatures,
    FeaturePredictor,
    bounded_tail,
    with_features,
)
from ncp_sampler.predictors.trees import has_lightgbm
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import FloatArray, Records
from ncp_sampler.search.pareto import pareto_front

_MAX_ROWS = 2600  # maximum rows of a Gaussian process, so that exact inference takes seconds
_MAX_CODE_ROWS = 1300  # maximum for unit codes, because a search step takes quadratic time in it
_ONE_THREAD_ROWS = 1000  # number of rows up to which several threads are not faster than one
_MANY_ROWS = 200  # minimum number of rows for trees and a richer kernel
_TAIL_OF_CODES = 1.0  # tail for ``bounded_tail`` in spaces without features
_TREE_CODES = 4000  # number of random codes for which trees predict the metrics


def learn(
    records: Records,
    *,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    trees: bool | None = None,
) -> Calibrated:
    """Fit the mixture of predictors that offline searches use.

    If the space has ``features``, a ``GaussianProcess`` and two trained MLPs use them, and an
    infinitely wide MLP uses the unit code. The infinitely wide MLP is uncertain about codes that
    are far from the records in any column, even if their features are similar. With at least 200
    rows, the MLPs are trained on the predictions of boosted trees for the rows and for random codes
    (``Distilled``). Without features, the Gaussian process is used alone, because trained MLPs
    misled the search on NAS-Bench-Graph. With at least 40 rows, the standard deviations and the
    noise are calibrated on a fifth of the rows (``Calibrated``).

    Args:
        records: Records with at least one row. With a few dozen rows, a search with beta 2 proposes
            a known row, because all other codes are uncertain; ``choose_beta`` finds a better beta.
        metrics: Metrics to model; None for all.
        seed: Seed of the MLPs, the held-out rows and the codes for the trees.
        trees: True to train the MLPs on the predictions of boosted trees. None means True if the
            space has features, there are at least 200 rows, and LightGBM is installed
            (``pip install lightgbm``).

    Raises:
        ValueError: A metric is missing in the records or has no value; or ``trees=True`` is given
            with fewer than 200 rows.
        ImportError: ``trees=True`` is given, but LightGBM is not installed.
    """
    columns = _columns(records, metrics)
    seed, space = checks.integer("seed", seed, low=0), records.space
    enough = len(records) >= _MANY_ROWS
    if trees is not None and checks.flag("trees", trees) and not enough:
        must = f"be None or False with {len(records)} records; trees need {_MANY_ROWS}"
        raise checks.refusal("trees", trees, must)
    process, networks = _process(records), with_features(_networks(seed), space.features)
    if space.features is None and not trees:
        return _fitted(process, records, columns, seed)
    if enough and (has_lightgbm() if trees is None else trees):
        samples = space.normalize(space.sample(_TREE_CODES, seed))
        networks = Distilled(networks, samples, features=space.features)
    members = [with_features(process, space.features), networks]
    if space.features is not None:
        members.append(GaussianProcess(NNGP(), max_rows=_MAX_CODE_ROWS))
    return _fitted(Mixture(members), records, columns, seed)


def adapt(
    source: Predictor, records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0
) -> Calibrated:
    """Fit a predictor to a few records of a task, using the predictor of another task.

    The means of the source predictor are linear terms of a Gaussian process over the space's
    ``features``. The slopes of these terms are fitted, and are small if the source does not help
    (Kennedy & O'Hagan 2000).

    Args:
        source: Fitted predictor of another task in the same space; it is not changed.
        records: Rows of the new task.
        metrics: Metrics to model; None for all.
        seed: Seed of the held-out rows.

    Raises:
        ValueError: A metric is missing in the records, or the source is not fitted.
    """
    model_of_source = as_model("source", source)
    terms = len(model_of_source.names)
    if not terms:
        raise ValueError("source is not fitted; call its fit first")
    columns, space = _columns(records, metrics), records.space
    process = _process(records).with_linear_terms(terms)
    model = FeaturePredictor(process, ExtendedFeatures(space.features, [model_of_source.mean_vjp]))
    return _fitted(model, records, columns, seed)


def fit_paper(
    records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0, epochs: int = 200
) -> MLPEnsemble:
    """Fit the paper's predictor, ``MLPEnsemble.paper``, for comparison."""
    columns = _columns(records, metrics)
    paper = MLPEnsemble.paper(n_rows=len(records), epochs=epochs, seed=seed)
    return paper.fit(records.space.normalize(records.codes), columns)


def fit_source(records: Records, targets: Sequence[Target], i: int, *, seed: int) -> Calibrated:
    """Return the predictor that ``learn`` fits to source i, with bounded tails of poor values.

    Without a bound, a few poor architectures would determine the scale of all predictions. Only
    values more than three spreads below the median change. If the metric is the only target and the
    space has no features, the limit is one spread: a single Gaussian process for all codes then
    describes the best codes better. With several targets, the rows that a solution is compared with
    (``_compared``) do not change, and no row changes if none satisfies the bounds. Metrics with a
    bound do not change.
    """
    names = modeled_metrics(targets, i)
    alone = len(targets) == 1 and records.space.features is None
    tail = _TAIL_OF_CODES if alone else TAIL
    compared = _compared(records, targets, i)
    metrics = {name: records.values(name) for name in names}
    for name in names:
        own = [target for target in targets if target.metric == name and target.predictor == i]
        if all(target.bound is None and target.sign == own[0].sign for target in own):
            values = own[0].sign * metrics[name]
            metrics[name] = own[0].sign * _level_tail(values, tail, compared)
    return learn(replace(records, metrics=metrics), seed=seed)


def _compared(records: Records, targets: Sequence[Target], i: int) -> NDArray[np.bool_] | None:
    """Return a mask (n,) of the rows that a solution may be compared with; None for one target.

    These are the Pareto-optimal rows among those that satisfy the bounds. If targets of other
    sources decide as well, or if no row is known to satisfy the bounds, they are all rows that may
    satisfy them.
    """
    if len(targets) == 1:
        return None
    possible, satisfied = np.ones((2, len(records)), dtype=bool)
    known, free = True, []
    for target in targets:
        if target.cost is not None:
            values = cost_at(target.cost, records.codes)
        elif target.predictor == i:
            values = records.values(target.metric)
        else:
            known = False
            continue
        if target.bound is not None:
            over = target.sign * (target.bound - values) > 0
            possible &= ~over
            satisfied &= ~over & ~np.isnan(values)
        elif target.weight:
            free.append(np.nan_to_num(target.sign * values, nan=-np.inf, neginf=-np.inf))
    if not known or not free or not satisfied.any():
        return possible
    rows = np.flatnonzero(satisfied)
    return np.isin(np.arange(len(records)), rows[pareto_front(np.stack(free, 1)[rows])])


def modeled_metrics(targets: Sequence[Target], i: int) -> list[str]:
    """Return the metrics that source i must predict."""
    return [t.metric for t in targets if t.cost is None and t.predictor == i]


def _level_tail(values: FloatArray, tail: float, compared: NDArray[np.bool_] | None) -> FloatArray:
    """Return values (n,) to be maximized in their own unit, with the lower tail bounded.

    Args:
        values: Values, NaN where missing.
        tail: Number of spreads below the median at which the tail begins.
        compared: Mask (n,) of values that must not change, None for none; without any True, no
            value changes.
    """
    if np.isnan(values).all():
        return values
    lowest = np.inf  # of the values that must not change
    if compared is not None:
        fixed = values[compared & ~np.isnan(values)]
        middle, upper = np.nanquantile(values, [0.5, 0.75])
        if not len(fixed) or not upper > middle:
            return values
        lowest = fixed.min()
        tail = max(tail, (middle - lowest) / (upper - middle))
    leveled = bounded_tail(values[:, None], tail)[:, 0]
    top, middle = np.nanargmax(values), np.nanargmin(np.abs(values - np.nanmedian(values)))
    size = leveled[top] - leveled[middle]
    if not size > 0:
        return values
    unit = (values[top] - values[middle]) / size  # above the tail, the transform is linear
    in_unit = values[top] + (leveled - leveled[top]) * unit
    return np.where(values >= lowest, values, in_unit)  # exactly, although `in_unit` is rounded


def _fitted(
    model: Model, records: Records, columns: Mapping[str, FloatArray], seed: int
) -> Calibrated:
    with one_thread() if len(records) <= _ONE_THREAD_ROWS else nullcontext():
        codes = records.space.normalize(records.codes)
        return Calibrated(model, seed=seed).fit(codes, columns)


def _columns(records: Records, metrics: Sequence[str] | None) -> dict[str, FloatArray]:
    """Return metric -> values for the metrics to model.

    Raises:
        ValueError: ``records`` has another type, or lacks a metric.
    """
    must = "be Records, such as Records(space, codes, metrics)"
    checks.instance("records", records, Records, must)
    names = list(records.metrics) if metrics is None else checks.texts("metrics", metrics)
    return {name: records.values(name) for name in names}


def _process(records: Records) -> GaussianProcess:
    """Return a Gaussian process; with features and few rows, its kernel is the NNGP kernel alone.

    With 50 rows and 73 features, the Matern part of the default kernel makes searches too
    conservative.
    """
    few = records.space.features is not None and len(records) < _MANY_ROWS
    if few:
        return GaussianProcess(NNGP(), max_rows=_MAX_ROWS)
    return narrow_process(max_rows=_MAX_ROWS)


def _networks(seed: int) -> MLPEnsemble:
    return MLPEnsemble(
        members=2, shared=128, head=64, dropout=0.2, loss="smooth_l1", steps=300, warm_steps=None,
        batch_size=256, learning_rate=0.003, weight_decay=1.0, schedule="one_cycle",
        bootstrap=False, seed=seed,
    )  # fmt: skip
