"""From records to a predictor, by our recipe or by the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from ncp_sampler import checks
from ncp_sampler.predictors.calibrated import Calibrated
from ncp_sampler.predictors.committee import Committee
from ncp_sampler.predictors.distilled import Distilled
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.trees import has_lightgbm
from ncp_sampler.records.records import FloatArray, Records
from ncp_sampler.space.search_space import SearchSpace

_PROCESS_ROWS = 2600  # exact inference on so many takes seconds
_CODE_ROWS = 1300  # its doubt costs their square at each step of a search
_TREES_ROWS = 200  # with fewer, trees tell little
_TREES_CODES = 4000  # that they are asked about


def learn(
    records: Records,
    *,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    trees: bool | None = None,
) -> Calibrated:
    """A predictor of records: infinitely wide MLPs and ensembles of trained ones, their mean.

    Where the space has ``features``, one wide MLP and the ensembles see those, and another wide
    MLP the unit code: it doubts codes far from the records in any column, where features may be
    alike. One ensemble learns the rows, and from 200 of them on another one what boosted trees say
    of them and of codes far away (``Distilled``). From 40 rows on, doubt and noise are fitted to a
    fifth of them (``Calibrated``).

    Args:
        records: At least one row. With a few dozen, doubt is so wide everywhere else that a search
            with caution 2 proposes a known row; ``choose_caution`` tells how much to take.
        metrics: Those to learn; all by default.
        seed: Of the networks, of the rows held out and of the codes that trees are asked about.
        trees: Whether to ask boosted trees; None if there are 200 rows and LightGBM is installed,
            as by ``pip install "ncp_sampler[bench]"``.

    Raises:
        ValueError: A metric that the records lack, or one without a value; or ``trees=True`` with
            fewer than 200 rows.
        ImportError: ``trees=True``, and LightGBM is not installed.
    """
    columns = metric_columns(records, metrics)
    seed = checks.integer("seed", seed, low=0)
    enough = len(records) >= _TREES_ROWS
    if trees is not None and checks.flag("trees", trees) and not enough:
        must = f"be None or False with {len(records)} records; trees need {_TREES_ROWS}"
        raise checks.refusal("trees", trees, must)
    members = _members(records.space, seed)
    if enough and (has_lightgbm() if trees is None else trees):
        members.append(_distilled(records.space, seed))
    x = records.space.normalize(records.codes)
    return Calibrated(Committee(members), seed=seed).fit(x, columns)


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
    """What ``learn`` fits without trees, not fitted."""
    return Committee(_members(space, seed))


def _members(space: SearchSpace, seed: int) -> list[Predictor]:
    wide, networks = InfiniteMLP(capacity=_PROCESS_ROWS), _networks(seed)
    if space.features is None:
        return [GaussianProcess(capacity=_PROCESS_ROWS), wide, networks]
    by_features = [Featured(wide, space.features), Featured(networks, space.features)]
    return [*by_features, InfiniteMLP(capacity=_CODE_ROWS)]


def _distilled(space: SearchSpace, seed: int) -> Predictor:
    """Networks taught by trees, not fitted."""
    networks: Predictor = _networks(seed, members=4, batch_size=256)
    if space.features is not None:
        networks = Featured(networks, space.features)
    samples = space.normalize(space.sample(_TREES_CODES, seed))
    return Distilled(networks, samples, features=space.features)


def _networks(seed: int, *, members: int = 8, batch_size: int = 128) -> MLPEnsemble:
    return MLPEnsemble(
        members=members,
        shared=128,
        head=64,
        dropout=0.2,
        loss="smooth_l1",
        steps=600,
        warm_steps=None,
        batch_size=batch_size,
        learning_rate=0.003,
        weight_decay=1.0,
        schedule="one_cycle",
        bootstrap=False,
        seed=seed,
    )
