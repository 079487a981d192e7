"""Transfer from sources, as observations of the same task or as linear terms and first trials.

A source of the same task counts as an interrupted run of this search: its trials *join* the
observations, and the search continues as if it had never stopped. Any other source *transfers*: the
lower confidence bound of its model is one linear term of the predictor (Kennedy & O'Hagan 2000)
with a fitted slope, and some of its best codes are among the first trials. The user declares
whether the task is the same, or the search tests it with these first trials: if the codes have the
same values as before, up to rounding, the task is the same.

Notation
    n, m a source's trials that have a value, and its metrics
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.category_subset import has_too_many
from ncp_sampler.optimizer.observations import Observations, rows_to_fit
from ncp_sampler.optimizer.sources import EarlierTrials, Source, earlier_trials
from ncp_sampler.predictors.predictor import FloatArray, Model, Predictor
from ncp_sampler.predictors.registry import narrow_process
from ncp_sampler.predictors.transforms import (
    ExtendedFeatures,
    FeaturePredictor,
    Features,
    with_features,
)
from ncp_sampler.records.records import spread_of
from ncp_sampler.search.maximize import Excluded
from ncp_sampler.search.objectives import Objectives, ScaledObservations
from ncp_sampler.space.search_space import code_key

_STARTUP = 3  # number of startup trials of a search with sources of another task
_TRANSFERRED = 50  # number of observations after which sources no longer help
_TURNS = 2  # number of startup trials per code taken from a source
_MAX_ROWS = 256  # maximum number of a source's rows to which its model is fitted
_BETA = 2.0  # confidence coefficient of a source's predictions
_BEST_SHARE, _MIN_BEST = 0.1, 20  # fraction and minimum number of trials to take starts from
_SPREAD = 1.2  # weight of the distance between starts, relative to their rank
_SAME = 1e-3  # fraction of a metric's spread within which values are equal up to rounding


@runtime_checkable
class HasLinearTerms(Protocol):
    """Predictor that can have linear terms, such as ``GaussianProcess``."""

    def with_linear_terms(self, count: int) -> Model:
        """Return an unfitted predictor with linear terms in ``count`` additional input columns."""


class SourceStudy:
    """Trials of a source, and their model.

    Args:
        objectives: Objectives of the current search.
        trials: The source's trials.
        same_task: True if the trials belong to the same task; None if the search must determine
            this.

    Attributes:
        observations: The trials.
        same_task: As given, but False instead of None if the task is known to differ.
        codes: Valid codes of the trials that have a value, (n, d).
        metrics: Name -> observed values, (n,), NaN where missing.
    """

    def __init__(
        self, objectives: Objectives, trials: EarlierTrials, same_task: bool | None
    ) -> None:
        self._objectives, self._space = objectives, objectives.space
        self.observations = Observations(objectives)
        self.observations.add(
            self._space.to_code(list(trials.params)), trials.metrics, trials.complete
        )
        self.same_task = same_task if trials.alike or same_task is not None else False
        _, self.codes, self.metrics = self.observations.informative()

    def __getstate__(self) -> dict[str, Any]:
        """Return everything except the model, which can be fitted again with the same result."""
        return {name: value for name, value in self.__dict__.items() if name != "model"}

    @cached_property
    def observed(self) -> ScaledObservations:
        """The source's observations on the scales of the acquisition function."""
        return self._objectives.scale(self.codes, self.metrics)

    @cached_property
    def model(self) -> Model:
        """Predictor of the source's modeled metrics over unit codes."""
        rows = rows_to_fit(self._order, _MAX_ROWS)
        model = with_features(narrow_process(), self._space.features)
        model.fit(self._unit[rows], self.observed.take(rows).modeled)
        return model

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return self.observed.order(np.random.default_rng(0))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        return {code_key(code): i for i, code in enumerate(self.codes)}

    @cached_property
    def _unit(self) -> FloatArray:
        return self._space.normalize(self.codes)

    def lower_bounds(self, x: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return lower confidence bounds (n, m) at unit codes, and their pullback.

        If only the mean were used, a search would follow the model to codes far from all trials of
        the source.
        """
        mean, std, vjp = self.model.moments(x)
        return mean - _BETA * std, lambda g: vjp(g, -_BETA * g)

    def best(self) -> Iterator[NDArray[Any]]:
        """Yield good codes (d,): the best first, each of the others far from the previous ones."""
        pool = self._order[: max(_MIN_BEST, int(_BEST_SHARE * len(self._order)))]
        rank = np.arange(len(pool)) / len(pool)
        distance = np.full(len(pool), np.inf)
        at = 0
        for _ in range(len(pool)):
            yield self.codes[pool[at]]
            step = ((self._unit[pool] - self._unit[pool[at]]) ** 2).mean(axis=1)
            distance = np.minimum(distance, np.sqrt(step))
            at = int((distance * (_SPREAD - rank)).argmax())

    def agrees(self, codes: NDArray[Any], metrics: Mapping[str, FloatArray]) -> bool:
        """Return True if trials of the current search show that the source has the same task.

        This is the case if every code that the search and the source have both evaluated has the
        same values in both, and at least one of these values is unique within the source.

        Args:
            codes: Valid codes, (k, d).
            metrics: Name -> observed values, (k,), NaN where missing.
        """
        pairs = [(i, self._rows.get(code_key(code))) for i, code in enumerate(codes)]
        shown = False
        for name, before in self.metrics.items():
            tolerance = _SAME * spread_of(before) if not np.isnan(before).all() else 0.0
            for i, j in pairs:
                if j is None or np.isnan(metrics[name][i]) or np.isnan(before[j]):
                    continue
                if abs(metrics[name][i] - before[j]) > tolerance:
                    return False
                shown |= int((np.abs(before - before[j]) <= tolerance).sum()) == 1
        return shown


class Transfer:
    """Sources of a search, whose trials join its observations or whose models transfer to it.

    Args:
        sources: Result of ``checked_sources``.
        objectives: The search's objectives.

    Attributes:
        joined: Number of each source's trials that count as the search's own and come first among
            the observations; 0 for a source of another task.

    Raises:
        ValueError: As for ``earlier_trials``.
    """

    def __init__(self, sources: Sequence[Source], objectives: Objectives) -> None:
        self._space = objectives.space
        self._is_wide = any(map(has_too_many, self._space.dimensions))
        self._studies = [
            SourceStudy(
                objectives, earlier_trials(f"sources[{i}]", source, objectives), source.same_task
            )
            for i, source in enumerate(sources)
        ]
        self.joined = [len(own.observations) if own.same_task else 0 for own in self._studies]

    @property
    def n_joined(self) -> int:
        """Number of observations that come from sources."""
        return sum(self.joined)

    @property
    def studies(self) -> list[SourceStudy]:
        """Sources that do not count as observations of this search."""
        pairs = zip(self._studies, self.joined, strict=True)
        return [study for study, rows in pairs if not rows]

    def begin(self, observations: Observations) -> Observations:
        """Return observations that begin with the trials of the sources that have joined."""
        for study, rows in reversed([*zip(self._studies, self.joined, strict=True)]):
            if rows:
                observations = observations.after(study.observations)
        return observations

    def with_joined(self, joined: Sequence[int]) -> Transfer:
        """Return a copy in which the given numbers of trials count as the search's own.

        Raises:
            ValueError: ``joined`` does not fit these sources.
        """
        transfer = copy.copy(self)
        transfer.joined = [checks.integer("joined", rows, low=0) for rows in joined]
        every = [len(study.observations) for study in self._studies]
        if [rows or own for rows, own in zip(transfer.joined, every, strict=True)] != every:
            raise ValueError(f"joined={transfer.joined} does not fit sources of {every} trials")
        return transfer

    def key(self, n_observations: int) -> tuple[bool, ...]:
        """Return a key of the state on which ``predictor`` and ``features`` depend."""
        return (self._transfers(n_observations), *map(bool, self.joined))

    def compare(self, observations: Observations) -> Observations:
        """Return observations that begin with the trials of sources shown to have the same task.

        Args:
            observations: Observations of the search, with those of joined sources.
        """
        unknown = [study for study in self.studies if study.same_task is None]
        if not unknown:
            return observations
        positions, codes, metrics = observations.informative()
        own = positions >= self.n_joined
        values = {name: column[own] for name, column in metrics.items()}
        for study in unknown:
            if study.agrees(codes[own], values):
                self.joined[self._studies.index(study)] = len(study.observations)
                observations = observations.after(study.observations)
        return observations

    def startup(self, trials: int) -> int:
        """Return the number of startup trials, given the number for a search without sources."""
        return min(trials, _STARTUP) if self.studies else trials

    def start(self, turn: int, pinned: FloatArray, excluded: Excluded) -> NDArray[Any] | None:
        """Return a source's code (d,) to try; None if no source is due or no code is left.

        Args:
            turn: Position of the trial in the search, starting at 0.
            pinned: Values of fixed columns, NaN elsewhere, (d,).
            excluded: Predicate for codes that must not be proposed.
        """
        if turn % _TURNS:
            return None
        for codes in zip_longest(*(study.best() for study in self.studies)):  # in turn
            for code in codes:
                if code is not None:
                    given = self._space.round(np.where(np.isnan(pinned), code, pinned))
                    if not excluded(given[None])[0]:
                        return given
        return None

    def predictor(self, model: Model, n_observations: int) -> Model:
        """Return the model, with one linear term per metric of each source that transfers."""
        if not self._transfers(n_observations):
            return model
        assert isinstance(model, HasLinearTerms)  # ensured by check_transfer
        return model.with_linear_terms(sum(len(study.observed.modeled) for study in self.studies))

    def features(self, features: Features | None, n_observations: int) -> Features | None:
        """Return a feature map with one column per metric of each source that transfers."""
        if not self._transfers(n_observations):
            return features
        return ExtendedFeatures(features, [study.lower_bounds for study in self.studies])

    def _transfers(self, n_observations: int) -> bool:
        return bool(self.studies) and n_observations < _TRANSFERRED and not self._is_wide


def check_transfer(sources: Sequence[Source], model: Predictor) -> None:
    """Check that the predictor can have linear terms if a source may be of another task.

    Raises:
        ValueError: The predictor cannot have linear terms, and a source may be of another task.
    """
    inner = model.inner if isinstance(model, FeaturePredictor) else model
    if not isinstance(inner, HasLinearTerms) and not all(source.same_task for source in sources):
        raise ValueError(
            f"sources cannot transfer to predictor={checks.shown(model)}; give a Gaussian process, "
            'such as predictor="auto", or Source(..., same_task=True) if they are of the same task'
        )
