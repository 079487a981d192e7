"""A predictor of few records, with another task's help: as much of it as the records bear out.

What is known of a related task is worth dozens of rows; of an unlike one it is worth nothing, and
with hundreds of rows hardly anything. Cross-validation on the records alone tells.

Notation
    members      predictors with and without the source, and by two kernels each
    candidates   committees of some members, compared by their errors on rows left out
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncp_sampler import checks
from ncp_sampler.offline.learning import metric_columns, plain_predictor
from ncp_sampler.predictors.calibrated import Calibrated
from ncp_sampler.predictors.committee import Committee
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.predictor import Predictor, check_predictor
from ncp_sampler.predictors.transferred import Transferred
from ncp_sampler.records.records import FloatArray, Records, spread_of
from ncp_sampler.space.search_space import SearchSpace

_FOLDS = 5
_ROUNDS = 2  # of cross-validation; with few rows one draw of the folds tells little
_LEARNT_ROWS = (
    100  # from so many on, the recipe of ``learn`` is a candidate; it takes seconds a fit
)
_PROCESS_ROWS = 2600

ADAPTED = ("adapted process", "adapted wide MLP")
PLAIN = ("process", "wide MLP")
LEARNT = ("learnt",)
_CANDIDATES = {
    "adapted": ADAPTED,
    "plain": PLAIN,
    "both": (*ADAPTED, *PLAIN),
    "learnt": LEARNT,
    "learnt and adapted": (*LEARNT, *ADAPTED),
}


@dataclass(frozen=True)
class AdaptingChoice:
    """What cross-validation says of each way to use a source.

    Attributes:
        name: The candidate chosen.
        errors: Candidate -> mean absolute error on rows left out, in the metrics' deviations.
    """

    name: str
    errors: Mapping[str, float]


def adapt(
    source: Predictor, records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0
) -> Calibrated:
    """The best of several predictors of few records, with a source's help or without.

    Candidates are Gaussian processes of what the source leaves unexplained (``Transferred``), the
    same without the source, both together, and from 100 rows on what ``learn`` fits, alone and
    with the source. All see the space's ``features`` where it has them.

    Args:
        source: A fitted predictor of another task in the same space; it is not changed.
        records: Rows of the new task, at least 5.
        metrics: Those to learn; all by default.
        seed: Of folds and networks.

    Raises:
        ValueError: Fewer than 5 rows, a metric that the records lack, or a source not fitted.
    """
    choice = choose_adapting(source, records, metrics=metrics, seed=seed)
    members = _members(source, records.space, seed)
    columns = metric_columns(records, metrics)
    chosen = Committee([members[name] for name in _CANDIDATES[choice.name]])
    return Calibrated(chosen, seed=seed).fit(records.space.normalize(records.codes), columns)


def choose_adapting(
    source: Predictor, records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0
) -> AdaptingChoice:
    """What ``adapt`` chooses, and by which errors: 5-fold cross-validation, twice.

    Raises:
        ValueError: As ``adapt``.
    """
    if not check_predictor("source", source).names:
        raise ValueError("source is not fitted; call its fit first")
    values = metric_columns(records, metrics)
    seed = checks.integer("seed", seed, low=0)
    n = len(records)
    if n < _FOLDS:
        raise ValueError(f"records has {n} rows; give at least {_FOLDS}")
    x = records.space.normalize(records.codes)
    y = np.stack(list(values.values()), axis=1)  # (n, m)
    spread = np.array([spread_of(column) for column in values.values()])
    usable = {
        name: members
        for name, members in _CANDIDATES.items()
        if n >= _LEARNT_ROWS or not {*LEARNT} & {*members}
    }
    totals = dict.fromkeys(usable, 0.0)
    for round_ in range(_ROUNDS):
        fold = np.random.default_rng(seed + round_).permutation(n) % _FOLDS
        _check_folds(values, fold)
        for k in range(_FOLDS):
            known, held = fold != k, fold == k
            members = _members(source, records.space, seed)
            needed = {member for names in usable.values() for member in names}
            predicted = {
                name: members[name]
                .fit(x[known], {metric: column[known] for metric, column in values.items()})
                .predict(x[held])[0]
                for name in needed
            }
            for name, chosen in usable.items():
                mean = np.mean([predicted[member] for member in chosen], axis=0)
                totals[name] += float(np.nansum(np.abs(mean - y[held]) / spread))
    count = _ROUNDS * int((~np.isnan(y)).sum())
    errors = {name: total / count for name, total in totals.items()}
    return AdaptingChoice(min(errors, key=errors.__getitem__), errors)


def _members(source: Predictor, space: SearchSpace, seed: int) -> dict[str, Predictor]:
    """Everything that candidates are made of, not fitted."""

    def process(name: str) -> Predictor:
        made: Predictor = (
            GaussianProcess(capacity=_PROCESS_ROWS)
            if name.endswith("process")
            else InfiniteMLP(capacity=_PROCESS_ROWS)
        )
        return made if space.features is None else Featured(made, space.features)

    members: dict[str, Predictor] = {name: process(name) for name in PLAIN}
    members |= {name: Transferred(source, residual=process(name)) for name in ADAPTED}
    return members | {LEARNT[0]: plain_predictor(space, seed)}


def _check_folds(values: Mapping[str, FloatArray], fold: np.ndarray) -> None:
    """Raises ValueError where a fold without the others would know nothing of a metric."""
    for name, column in values.items():
        known = ~np.isnan(column)
        if len(set(fold[known])) < 2:
            raise ValueError(
                f"records has {int(known.sum())} values of {name!r}, too few to compare "
                f"predictors by; give at least {_FOLDS}"
            )
