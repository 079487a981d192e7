"""Histories of studies: the trials read so far, the inferred space, and one optimizer per space.

Trials are numbered 0, 1, 2, ... and never removed, and a finished trial never changes. The sampler
therefore reads each finished trial only once and each unfinished trial at every call.
"""

from __future__ import annotations

import logging
import reprlib
import weakref
from bisect import insort
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    check_distribution_compatibility,
)
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.integrations.optuna import conversion, sources
from ncp_sampler.integrations.optuna.claims import claimed_params
from ncp_sampler.integrations.optuna.conversion import Distributions, Goals
from ncp_sampler.integrations.optuna.inferred_space import Conditions, Ranges
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.optimizer.options import Options
from ncp_sampler.search.preference import Preference
from ncp_sampler.space.conditions import Conditions as SpaceConditions
from ncp_sampler.space.dimensions import n_values
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)

_RECENT = 10  # Number of latest trials that decide whether the objective is deterministic
_MAX_SPACES = 8  # Number of search spaces per study whose optimizers are kept in memory

Code = tuple[float, ...]


class StudyHistory:
    """Trials read from one study, whose space is declared or inferred from them."""

    def __init__(
        self, study: Study, space: SearchSpace | None, options: Options, goals: Goals
    ) -> None:
        self._space, self._options, self._goals = space, options, goals
        self._directions = study.directions
        self._names = conversion.metric_names(study)
        weights = conversion.named_goals(goals, self._names)["objective_weights"]
        Preference.of(weights, dict.fromkeys(self._names, ""))  # checks the weights early
        self._storage: weakref.ref[BaseStorage] | None = weakref.ref(study._storage)
        self.spaces: list[SpaceHistory] = []  # the most recently used is the last
        self._warned: set[str] = set()
        self.suggested: dict[str, BaseDistribution] = {}  # of trials that this sampler proposed
        self._ranges = Ranges()
        self._conditions = Conditions()
        self._cursor = _Cursor()
        for trial in sources.studies_of_task(options["sources"] or ()):
            self._infer(trial, -1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_storage": None}

    def is_of(self, study: Study, trials: Sequence[FrozenTrial]) -> bool:
        """Return True if this history was read from the study, not from another one with its name.

        All in-memory studies have the same ID, and their trials may be copies. Such a study is
        therefore identified by its storage object. A pickled or copied history has lost its storage
        and takes that of the first study whose trials agree with it.
        """
        if study.directions != self._directions or not self._cursor.is_in(trials):
            return False
        if len(self._directions) > 1 and conversion.metric_names(study) != self._names:
            return False  # the metrics have been named since then
        self._storage = self._storage or weakref.ref(study._storage)
        return not isinstance(study._storage, InMemoryStorage) or self._storage() is study._storage

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Update the inferred space with the trials that finished since the last call."""
        for trial in self._cursor.finished(trials):
            self._infer(trial, trial.number)

    def searched(self) -> Distributions:
        """Return the distributions of all parameters that the optimizer can search.

        These are the parameters of all complete and pruned trials. Not every trial has each of
        them, but a parameter without a condition that none of the latest trials has is left out.
        """
        current = self._ranges.current()
        searchable = {n: dist for n, dist in current.items() if conversion.is_searchable(n, dist)}
        absent = self._ranges.absent() & searchable.keys()
        conditions = self._conditions.among(searchable) if absent else ()
        while returning := {c.name for c in conditions if c.parent not in absent} & absent:
            absent -= returning  # a conditional parameter may return with its parent
        return {name: dist for name, dist in searchable.items() if name not in absent}

    def is_suggested(self, name: str, distribution: BaseDistribution) -> bool:
        """Return True if trials of this sampler suggest a parameter with this type."""
        if name not in self.suggested:
            return False
        try:
            check_distribution_compatibility(self.suggested[name], distribution)
        except ValueError:
            return False
        return True

    def of_space(
        self, study: Study, distributions: Distributions, space: SearchSpace | None
    ) -> SpaceHistory:
        """Return the history of the space with the given distributions; create it if needed.

        The order of the parameters matters, and the conditions are those known at present.
        ``space`` is the declared space if ``distributions`` cover all of it, and otherwise None.
        """
        inferred = self._space is None
        conditions = self._conditions_among(distributions)
        wanted = list(distributions.items()), conditions
        for history in self.spaces:
            if (list(history.distributions.items()), history.conditions) == wanted:
                break
        else:
            space = space or conversion.to_searched_space(distributions, conditions)
            history = SpaceHistory(
                study, space, distributions, conditions, self._options, self._goals, inferred,
                self._ranges.first, self._warned,
            )  # fmt: skip
        others = [known for known in self.spaces if known.distributions != distributions]
        self.spaces = [*others, history][-_MAX_SPACES:]
        return history

    def reseed(self) -> None:
        """Make further proposals independent of the seed."""
        self._options = {**self._options, "seed": None}
        for history in self.spaces:
            history.reseed()

    def _conditions_among(self, distributions: Distributions) -> SpaceConditions:
        """Return the declared or inferred conditions between some parameters."""
        if self._space is None:
            return {
                inferred.name: condition
                for inferred in self._conditions.among(distributions)
                if (condition := inferred.within(distributions[inferred.parent])) is not None
            }
        return {
            name: condition
            for name, condition in self._space.conditions.items()
            if name in distributions and condition.parent in distributions
        }

    def _infer(self, trial: FrozenTrial, number: int) -> None:
        if self._space is None and not conversion.has_failed(trial):
            self._ranges.read(number, trial.distributions)
            if number >= 0 and conversion.REASONS_KEY in trial.system_attrs:
                self.suggested.update(trial.distributions)
            if trial.state == TrialState.COMPLETE:
                self._conditions.read(trial)


class SpaceHistory:
    """Optimizer of one search space of a study, and the trials that it has observed.

    If a trial lacks a parameter that exists given its other params, the optimizer does not observe
    the trial in a declared space. In an inferred space, the middle of the range replaces the
    missing value, and the other values are not proposed again. A trial with parameters outside the
    space may be repeated, because equal codes do not mean equal trials. If most of the recent
    trials have such parameters, the optimizer treats the objective as not deterministic.
    """

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        distributions: Distributions,
        conditions: SpaceConditions,
        options: Options,
        goals: Goals,
        inferred: bool,
        first: Mapping[str, int],
        warned: set[str],
    ) -> None:
        self.space, self.distributions, self._warned = space, distributions, warned
        self._first = first  # parameter -> number of the first trial that has it
        self.conditions, self.inferred = conditions, inferred
        self._single = {dim.name for dim in space.dimensions if n_values(dim) == 1}
        plain = SearchSpace(space.dimensions)  # without conditions, so all parameters exist
        middle = plain.round(plain.denormalize(np.full(len(plain.columns), 0.5)))
        self._middle = plain.to_params(middle)
        # values used for parameters that a trial lacks
        self._defaults = {n: v for n, v in self._middle.items() if inferred or n in self._single}
        names = conversion.metric_names(study)
        directions = [direction.name.lower() for direction in study.directions]
        self._directions = dict(zip(names, directions, strict=True))
        given = options["sources"] or ()
        trials = study._get_trials(deepcopy=False, use_cache=True)
        own = {sources.identity(trial) for trial in trials}
        arguments: Any = {
            **options,
            **conversion.named_goals(goals, names),
            "sources": sources.in_search(given, self._directions, space, self._defaults, own),
            "constraints": dict.fromkeys(sorted(sources.source_constraints(given)), 0.0),
        }
        self._options: Options = arguments
        self.optimizer = NCPOptimizer(self.space, directions=self._directions, **self._options)
        self.numbers: list[int] = []  # numbers of the observed trials, in order of observation
        self.codes: set[Code] = set()  # codes of complete and pruned trials
        self.cursor = _Cursor()
        # numbers of the latest trials, and True for those with parameters outside the space
        self._others: list[tuple[int, bool]] = []

    def reseed(self) -> None:
        """Make further proposals independent of the seed."""
        self._options["seed"] = None
        self.optimizer.reseed()

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Report all trials that have finished since the last call of ``read`` to the optimizer."""
        new = self.cursor.finished(trials)
        others = {trial.number for trial in new if self._has_other_params(trial)}
        for trial in new:  # sorted by number, because processes read trials in different orders
            if not conversion.has_failed(trial):
                insort(self._others, (trial.number, trial.number in others))
        del self._others[:-_RECENT]
        n_others = sum(has_others for _, has_others in self._others)
        deterministic = self._options["deterministic_objective"]
        self.optimizer.deterministic_objective = deterministic and 2 * n_others <= len(self._others)
        rows = [(trial, *row) for trial in new if (row := self._row(trial)) is not None]
        if not rows:
            return
        self.numbers += [trial.number for trial, _, _ in rows]
        lacking = [self._lacking(trial) for trial, _, _ in rows]
        self.codes.update(
            code
            for (trial, _, code), names in zip(rows, lacking, strict=True)
            if code is not None and not names and trial.number not in others
        )
        constraints = [conversion.constraints_of(trial) for trial, _, _ in rows]
        # Optuna does not declare constraints; a trial's attributes are the first sign of one
        new_names = {*chain.from_iterable(constraints)} - {*self.optimizer.metric_names}
        if new_names:
            self.optimizer.constrain(dict.fromkeys(sorted(new_names), 0.0))
        metrics = [conversion.metrics_of(trial, self._directions) for trial, _, _ in rows]
        self.optimizer.tell(
            [params for _, params, _ in rows],
            [values | bounded for values, bounded in zip(metrics, constraints, strict=True)],
            complete=[not conversion.was_stopped(trial) for trial, _, _ in rows],
            exact=[trial.number not in others for trial, _, _ in rows],
            placeholders=lacking if any(lacking) else None,
        )

    def code(self, params: Params) -> Code:
        """Return the code of valid params, for comparisons."""
        return tuple(self.space.to_code(params, clip=True).tolist())

    def with_middle(self, params: Params) -> Params:
        """Return params plus the middle of the range for each parameter that they do not have."""
        return {**self._middle, **params}

    def missing(self, params: Params) -> list[str]:
        """Return the parameters that exist given the other params but are missing in ``params``."""
        return conversion.missing_params(self.space, params)

    def all_params(self, params: Params, *, may_lack: bool = False) -> Params | None:
        """Return the params that belong to the space; None if one is missing.

        Parameters that do not exist given the other params do not count as missing.

        Args:
            params: Params of a trial, which may include parameters outside the space.
            may_lack: True to replace missing params by the middle of their range if the space is
                inferred.
        """
        if self.missing(params) and not (may_lack and self.inferred):
            return None
        known = {**self._defaults, **params}
        return {name: known[name] for name in self.space.names if name in known}

    def _has_other_params(self, trial: FrozenTrial) -> bool:
        own = self.distributions.keys() | self._single
        return not conversion.has_failed(trial) and any(
            name not in own and not dist.single() for name, dist in trial.distributions.items()
        )

    def _lacking(self, trial: FrozenTrial) -> list[str]:
        """Return parameters that a trial with the same other params would lack, too.

        A trial that ended early might have suggested more. A trial before the first one that has a
        parameter may be older than the parameter.
        """
        if not self.inferred or trial.state != TrialState.COMPLETE:
            return []
        return [n for n in self.missing(trial.params) if self._first.get(n, -1) < trial.number]

    def _row(self, trial: FrozenTrial) -> tuple[Params, Code | None] | None:
        """Return the params and the code of a finished trial; None if the trial does not fit.

        The code is None if the trial failed or has values off the ranges or grids.
        """
        failed = conversion.has_failed(trial)
        params = self.all_params(trial.params, may_lack=not failed)
        if params is None and trial.state != TrialState.COMPLETE:
            # the trial ended before it had suggested all params; its claim may have them
            params = self.all_params(claimed_params(trial, self.distributions))
        if params is None:
            if trial.state == TrialState.COMPLETE:
                self._warn_once(
                    "trial %d lacks %s, so it is left out of a space that has them; declare only "
                    "parameters that every trial suggests", trial.number,
                    reprlib.repr(self.missing(trial.params)),
                )  # fmt: skip
            return None
        kinds_fit = all(
            isinstance(distribution, CategoricalDistribution)
            == isinstance(self.distributions[name], CategoricalDistribution)
            for name, distribution in trial.distributions.items()
            if name in self.distributions
        )
        nearest = conversion.nearest_code(self.space, params) if kinds_fit else None
        if nearest is None:
            message = "trial %d does not fit %s; left out: %s"
            self._warn_once(message, trial.number, self.space, reprlib.repr(params))
            return None
        code, moved = nearest
        if moved and failed:
            return None  # the failure says nothing about a valid code
        if moved:
            self._warn_once(
                "trial %d has values off the ranges or grids of %s; the nearest valid ones are "
                "used instead: %s", trial.number, self.space, reprlib.repr(params),
            )  # fmt: skip
        return params, None if moved or failed else tuple(code.tolist())

    def _warn_once(self, message: str, *values: object) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _logger.warning(f"{message} (such trials are reported once)", *values)


class _Cursor:
    """A position in a study's trials."""

    def __init__(self) -> None:
        self._n_read = 0
        self._unfinished: list[int] = []
        self._mark: tuple[int, object] | None = None  # number and identity of a finished trial

    def is_in(self, trials: Sequence[FrozenTrial]) -> bool:
        """Return True if the trials include those read so far, that is, if the study is the same.

        Only the number of trials and the last finished trial are compared.
        """
        if self._n_read > len(trials):
            return False
        return self._mark is None or sources.identity(trials[self._mark[0]]) == self._mark[1]

    def finished(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials that have finished since the last call, in order of their numbers."""
        unread = [*self.unfinished(trials), *trials[self._n_read :]]
        new = [trial for trial in unread if trial.state.is_finished()]
        self._unfinished = [trial.number for trial in unread if not trial.state.is_finished()]
        self._n_read = len(trials)
        if new:
            self._mark = (new[-1].number, sources.identity(new[-1]))
        return new

    def unfinished(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the current state of the trials that were unfinished at the last ``finished``."""
        return [trials[i] for i in self._unfinished]
