"""From records to a predictor: by our recipe, by the paper's, or from another task's predictor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ncp_sampler import checks
from ncp_sampler.offline.records import FloatArray, Records, spread_of
from ncp_sampler.predictors.calibrated import Calibrated
from ncp_sampler.predictors.committee import Committee
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor, check_predictor
from ncp_sampler.predictors.transferred import Transferred
from ncp_sampler.space.search_space import SearchSpace

_PROCESS_ROWS = 2600  # exact inference on so many takes seconds
_CODE_ROWS = 1300  # its doubt costs their square at each step of a search
_FOLDS = 5


def learn(records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0) -> Calibrated:
    """A predictor of records: infinitely wide MLPs and an ensemble of trained ones, their mean.

    Where the space has ``features``, one wide MLP and the ensemble see those, and another wide MLP
    the unit code: it doubts codes far from the records in any column, where features may be alike.
    From 40 rows on, doubt and noise are fitted to a fifth of them (``Calibrated``).

    Args:
        records: At least one row. With a few dozen, doubt is so wide everywhere else that a search
            with caution 2 proposes a known row; ``choose_caution`` tells how much to take.
        metrics: Those to learn; all by default.
        seed: Of the networks, and of the rows held out.

    Raises:
        ValueError: A metric that the records lack, or one without a value.
    """
    columns = _columns(records, metrics)
    seed = checks.whole("seed", seed, low=0)
    x = records.space.normalize(records.codes)
    return Calibrated(_plain(records.space, seed), seed=seed).fit(x, columns)


def fit_paper(
    records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0, epochs: int = 200
) -> MLPEnsemble:
    """The published recipe on the same records, for comparison: `MLPEnsemble.paper`."""
    columns = _columns(records, metrics)
    paper = MLPEnsemble.paper(n_rows=len(records), epochs=epochs, seed=seed)
    return paper.fit(records.space.normalize(records.codes), columns)


def adapt(
    source: Predictor, records: Records, *, metrics: Sequence[str] | None = None
) -> Predictor:
    """The better of two predictors of few records: transferred from a source, or from scratch.

    Which is better is told by 5-fold cross-validation on the records alone. Related tasks gain
    while there are a few dozen rows; unlike ones, or hundreds of rows, do not.

    Args:
        source: A fitted predictor of another task in the same space.
        records: Rows of the new task, at least 5.
        metrics: Those to learn; all by default.

    Raises:
        ValueError: Fewer than 5 rows, a metric that the records lack, or a source not fitted.
    """
    if not check_predictor("source", source).names:
        raise ValueError("source is not fitted; call its fit first")
    values = _columns(records, metrics)
    if len(records) < _FOLDS:
        raise ValueError(f"records has {len(records)} rows; give at least {_FOLDS}")
    x = records.space.normalize(records.codes)
    makers: list[Callable[[], Predictor]] = [lambda: Transferred(source), GaussianProcess]
    fold = np.random.default_rng(0).permutation(len(x)) % _FOLDS
    for name, column in values.items():
        if len(set(fold[~np.isnan(column)])) < 2:  # a fold without the others would know nothing
            raise ValueError(
                f"records has {int((~np.isnan(column)).sum())} values of {name!r}, too few to "
                f"compare predictors by; give at least {_FOLDS}"
            )
    spread = np.array([spread_of(column) for column in values.values()])
    errors = []
    for make in makers:
        total = 0.0
        for k in range(_FOLDS):
            known, held = fold != k, fold == k
            model = make().fit(x[known], {name: v[known] for name, v in values.items()})
            truth = np.stack([v[held] for v in values.values()], axis=1)
            total += float(np.nansum(np.abs(model.predict(x[held])[0] - truth) / spread))
        errors.append(total)
    return makers[int(np.argmin(errors))]().fit(x, values)


def _columns(records: Records, metrics: Sequence[str] | None) -> dict[str, FloatArray]:
    """The metrics to learn, each once."""
    checks.instance(
        "records", records, Records, "be Records, such as Records(space, codes, metrics)"
    )
    names = list(records.metrics) if metrics is None else checks.texts("metrics", metrics)
    return {name: records.values(name) for name in names}


def _plain(space: SearchSpace, seed: int) -> Predictor:
    """What ``learn`` fits, not fitted."""
    networks = MLPEnsemble(
        members=8,
        shared=128,
        head=64,
        dropout=0.2,
        loss="smooth_l1",
        steps=600,
        warm_steps=None,
        batch_size=128,
        learning_rate=0.003,
        weight_decay=1.0,
        schedule="one_cycle",
        bootstrap=False,
        seed=seed,
    )
    wide = InfiniteMLP(capacity=_PROCESS_ROWS)
    if space.features is None:
        return Committee([GaussianProcess(capacity=_PROCESS_ROWS), wide, networks])
    by_features = [Featured(wide, space.features), Featured(networks, space.features)]
    return Committee([*by_features, InfiniteMLP(capacity=_CODE_ROWS)])
