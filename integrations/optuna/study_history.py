"""What the sampler has read of a study: its parameters, their conditions, and its search spaces."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.integrations.optuna.conditions import Conditions
from ncp_sampler.integrations.optuna.cursor import Cursor
from ncp_sampler.integrations.optuna.history import SpaceHistory
from ncp_sampler.integrations.optuna.ranges import Ranges
from ncp_sampler.integrations.optuna.trials import Distributions, is_searchable
from ncp_sampler.space.conditional import Condition

_MOST_NAMES = 256  # parameters, above which one that came once is left out
_MOST_SPACES = 8  # search spaces of a study that are remembered


class StudyHistory:
    """What has been read of one study: its parameters, and a history per space.

    Args:
        study: The study.
        declared: Whether its space is, so that nothing is to be read off the trials.
        earlier: Trials of other studies that have the same parameters.

    Attributes:
        spaces: Histories of search spaces, the one used last at the end.
        warned: Kinds of warnings given so far, each of which is given once.
    """

    def __init__(
        self, study: Study, *, declared: bool = False, earlier: Sequence[FrozenTrial] = ()
    ) -> None:
        self._declared = declared
        self._directions = study.directions
        self._storage: weakref.ref[BaseStorage] | None = weakref.ref(study._storage)
        self.spaces: list[SpaceHistory] = []
        self.warned: set[str] = set()
        self._ranges = Ranges()
        self._times: Counter[str] = Counter()
        self._conditions = Conditions()
        self._cursor = Cursor()
        for trial in earlier:
            self._learn(trial, -1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_storage": None}

    def is_of(self, study: Study, trials: Sequence[FrozenTrial]) -> bool:
        """Return True if this was read from the study, rather than from one of the same name.

        Studies in memory have equal numbers, and their trials may be copies: such a study is
        known by its storage. A copy of a history belongs to the first study that fits.
        """
        if study.directions != self._directions or not self._cursor.is_in(trials):
            return False
        if self._storage is None:
            self._storage = weakref.ref(study._storage)
        return not isinstance(study._storage, InMemoryStorage) or (
            self._storage() is study._storage
        )

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Learn the parameters of the trials finished since the last look, and their tree."""
        for trial in self._cursor.finished(trials):
            self._learn(trial, trial.number)

    def _learn(self, trial: FrozenTrial, number: int) -> None:
        if self._declared or trial.state == TrialState.FAIL:
            return
        self._times.update(trial.distributions.keys())
        self._ranges.read(number, trial.distributions)
        if trial.state == TrialState.COMPLETE:
            self._conditions.read(trial)

    def searched(self) -> Distributions:
        """Return the parameters of complete or pruned trials, by name.

        A parameter may be missing in some trials: see ``conditions``. Of very many, those that
        were there once alone are left out: such names may never come again.
        """
        often = len(self._ranges) <= _MOST_NAMES
        return {
            name: distribution
            for name, distribution in self._ranges.current().items()
            if (often or self._times[name] > 1) and is_searchable(name, distribution)
        }

    def conditions(self, names: Collection[str]) -> tuple[Condition, ...]:
        """Return what is known of when some parameters exist."""
        return self._conditions.among(names)

    def find(
        self, distributions: Distributions, conditions: tuple[Condition, ...]
    ) -> SpaceHistory | None:
        """Return the history of a space in the same order, with the same conditions, if any."""
        wanted = list(distributions.items())
        for history in self.spaces:
            if list(history.distributions.items()) == wanted and history.conditions == conditions:
                return history
        return None

    def add(self, history: SpaceHistory) -> None:
        """Keep a history as the one used last, in place of one with other conditions."""
        others = [one for one in self.spaces if one.distributions != history.distributions]
        self.spaces = [*others, history][-_MOST_SPACES:]
