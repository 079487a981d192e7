"""From records to a predictor, by our recipe or by the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from ncp_sampler import checks
from ncp_sampler.predictors.calibrated import Calibrated
from ncp_sampler.predictors.committee import Committee
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.records.records import FloatArray, Records
from ncp_sampler.space.search_space import SearchSpace

_PROCESS_ROWS = 2600  # exact inference on so many takes seconds
_CODE_ROWS = 1300  # its doubt costs their square at each step of a search


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
    columns = metric_columns(records, metrics)
    seed = checks.whole("seed", seed, low=0)
    x = records.space.normalize(records.codes)
    return Calibrated(plain_predictor(records.space, seed), seed=seed).fit(x, columns)


def fit_paper(
    records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0, epochs: int = 200
) -> MLPEnsemble:
    """The published recipe on the same records, for comparison: `MLPEnsemble.paper`."""
    columns = metric_columns(records, metrics)
    paper = MLPEnsemble.paper(n_rows=len(records), epochs=epochs, seed=seed)
    return paper.fit(records.space.normalize(records.codes), columns)


def metric_columns(records: Records, metrics: Sequence[str] | None) -> dict[str, FloatArray]:
    """The metrics to learn, each once.

    Raises:
        ValueError: No records, or a metric that they lack.
    """
    checks.instance(
        "records", records, Records, "be Records, such as Records(space, codes, metrics)"
    )
    names = list(records.metrics) if metrics is None else checks.texts("metrics", metrics)
    return {name: records.values(name) for name in names}


def plain_predictor(space: SearchSpace, seed: int) -> Predictor:
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
