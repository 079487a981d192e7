"""Search space of a study without a declared space: ranges and conditions inferred from trials.

The result depends neither on the order of the parameters within a trial, which gRPC storages and
``add_trial`` change, nor on the order of the trials, which parallel workers change.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from ncp_sampler.space.conditions import Condition

_RECENT = 10  # Number of latest trials in which two changes make a parameter's range dynamic
_ABSENT = 20  # Number of latest trials that must have a parameter between them
_MAX_NAMES = 256  # Number of parameters above which parameters of a single trial are left out

_Number = FloatDistribution | IntDistribution


class Ranges:
    """Distributions of all parameters of the trials read so far.

    If the distribution of a parameter changes once, for example because the user has widened the
    range, the new distribution is used immediately. If the range changes repeatedly, because it
    depends on another parameter or on the branch, the smallest range that contains all ranges is
    searched instead (the *hull*): it seldom changes, so each value keeps its place in the code.
    Trials added by ``add_trial`` may even have another type of distribution.
    """

    def __init__(self) -> None:
        self._recent: dict[str, list[tuple[int, BaseDistribution]]] = {}  # with trial numbers
        self._hulls: dict[tuple[str, type, bool], _Number] = {}
        self._numbers: list[int] = []  # of the latest trials of the study itself
        self.first: dict[str, int] = {}  # parameter -> number of the first trial that has it

    def read(self, number: int, distributions: Mapping[str, BaseDistribution]) -> None:
        """Add the distributions of a trial with its number, or -1 for a trial of another study."""
        if number >= 0:
            insort(self._numbers, number)
            del self._numbers[:-_ABSENT]
        for name, distribution in distributions.items():
            self.first[name] = min(number, self.first.get(name, number))
            recent = self._recent.setdefault(name, [])
            insort(recent, (number, distribution), key=lambda pair: pair[0])
            del recent[:-_RECENT]
            if isinstance(distribution, _Number):
                key = name, type(distribution), distribution.log
                hull = self._hulls.setdefault(key, distribution)
                if hull != distribution:
                    self._hulls[key] = _union(hull, distribution)

    def current(self) -> dict[str, BaseDistribution]:
        """Return each parameter's distribution: the newest one, or the hull of a changing range.

        If there are very many parameters, those that only one trial has are left out, because their
        names may never recur.
        """
        current = {}
        for name, recent in sorted(self._recent.items()):
            newest = recent[-1][1]
            n_changes = sum(a != b for (_, a), (_, b) in pairwise(recent))
            if n_changes > 1 and isinstance(newest, _Number):
                newest = self._hulls[name, type(newest), newest.log]
            if len(self._recent) <= _MAX_NAMES or len(recent) > 1:
                current[name] = newest
        return current

    def absent(self) -> set[str]:
        """Return the parameters that none of the latest 20 trials of the study has.

        If the study has fewer trials, these are the parameters that only other studies have.
        """
        if not self._numbers:
            return set()
        first = self._numbers[0] if len(self._numbers) == _ABSENT else 0
        return {name for name, recent in self._recent.items() if recent[-1][0] < first}


@dataclass(frozen=True)
class InferredCondition:
    """Condition under which a parameter exists, inferred from the trials.

    Attributes:
        name: Name of the conditional parameter.
        parent: Name of the categorical or integer that determines whether the parameter exists.
        having: Values of the parent with which the parameter is known to exist.
        without: Values of the parent with which the parameter is known not to exist. For any other
            category of the parent, the parameter is assumed to exist; any other integer is treated
            like the nearest known integer.
    """

    name: str
    parent: str
    having: tuple[Any, ...]
    without: tuple[Any, ...]

    def within(self, distribution: BaseDistribution) -> Condition | None:
        """Return the condition on the values in the parent's distribution.

        Return None if the parent had another type in the trials that determine the condition.
        """
        if isinstance(distribution, CategoricalDistribution):
            choices = dict.fromkeys(distribution.choices)  # keeps one of several equal choices
            return Condition(
                self.parent, tuple(choice for choice in choices if choice not in self.without)
            )
        known = (*self.having, *self.without)
        numbers = len(known) == 2 and all(isinstance(value, int) for value in known)
        if not isinstance(distribution, IntDistribution) or not numbers:
            return None
        grid = range(distribution.low, distribution.high + 1, distribution.step)
        above, below = known  # the threshold is halfway
        if above > below:
            return Condition(self.parent, grid[bisect_left(grid, -(-(above + below) // 2)) :])
        return Condition(self.parent, grid[: bisect_right(grid, (above + below) // 2)])


class Conditions:
    """Conditions that agree with the complete trials read so far.

    A parameter's parent is in every trial that has the parameter. In trials without the parameter,
    the parent has different values: other categories, or integers on the other side of a threshold.
    A parent is in more trials than its child, so conditions never form a cycle.
    """

    def __init__(self) -> None:
        self._n_trials: Counter[str] = Counter()  # parameter -> number of trials that have it
        self._is_number: dict[str, bool] = {}  # possible parent -> True for an integer
        self._values: dict[str, dict[Any, None]] = {}  # possible parent -> its values
        self._pairs: dict[str, dict[str, _Pair]] = {}  # parameter -> possible parent -> values
        self._mixed: set[str] = set()  # parameters that were both integers and categoricals

    def read(self, trial: FrozenTrial) -> None:
        """Add a complete trial."""
        may_decide = [name for name, dist in trial.distributions.items() if _may_decide(dist)]
        for name in may_decide:
            is_number = isinstance(trial.distributions[name], IntDistribution)
            if self._is_number.setdefault(name, is_number) != is_number:
                self._mixed.add(name)
        parents = {name: trial.params[name] for name in may_decide if name not in self._mixed}
        for name in self._pairs.keys() | trial.params.keys():
            present, new = name in trial.params, name not in self._pairs
            if new:
                self._pairs[name] = {p: _Pair(without=dict(v)) for p, v in self._values.items()}
            pairs = self._pairs[name]
            for parent in parents.keys() - {name}:
                # a parent that appears only now is excluded: earlier trials had `name` without it
                pair = pairs.setdefault(parent, _Pair(excluded=not new))
                values = pair.having if present else pair.without
                _add(values, parents[parent], self._is_number[parent])
            for parent in pairs.keys() - parents.keys() if present else ():
                pairs[parent].excluded = True
        for parent, value in parents.items():
            _add(self._values.setdefault(parent, {}), value, self._is_number[parent])
        self._n_trials.update(trial.params.keys())

    def among(self, names: Collection[str]) -> tuple[InferredCondition, ...]:
        """Return the conditions between the given parameters, at most one for each.

        If several parents agree with the trials, the one in the most trials is used. Ties are
        broken in favor of categoricals, then by name.
        """
        conditions = []
        for name in names:
            deciding = [
                (-self._n_trials[parent], is_number, parent, sides)
                for parent, pair in self._pairs.get(name, {}).items()
                if parent in names and parent not in self._mixed
                if (sides := pair.sides(is_number := self._is_number[parent])) is not None
            ]
            if deciding:
                _, _, parent, sides = min(deciding, key=lambda row: row[:3])
                conditions.append(InferredCondition(name, parent, *sides))
        return tuple(conditions)


@dataclass
class _Pair:
    """Values of a parent in trials with and without a parameter; for integers, the extremes."""

    having: dict[Any, None] = field(default_factory=dict)  # parent's values in trials with both
    without: dict[Any, None] = field(default_factory=dict)  # values in trials without the parameter
    excluded: bool = False  # True if a trial had the parameter without the parent

    def sides(self, is_number: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
        """Return the parent's values with and without the parameter; for integers, the nearest two.

        Return None if the parent's value does not determine whether the parameter exists.
        """
        if self.excluded or not self.having or not self.without:
            return None
        if is_number and min(self.having) > max(self.without):
            return (min(self.having),), (max(self.without),)
        if is_number and max(self.having) < min(self.without):
            return (max(self.having),), (min(self.without),)
        if is_number or self.having.keys() & self.without.keys():
            return None
        return (*sorted(self.having, key=repr),), (*sorted(self.without, key=repr),)


def _add(values: dict[Any, None], value: Any, is_number: bool) -> None:
    values[value] = None
    if is_number and len(values) > 2:
        ends = min(values), max(values)
        values.clear()
        values.update(dict.fromkeys(ends))


def _may_decide(distribution: BaseDistribution) -> bool:
    """Return True if a parameter can be a parent: a categorical or an integer."""
    if isinstance(distribution, CategoricalDistribution):
        return all(isinstance(choice, Hashable) for choice in distribution.choices)
    return isinstance(distribution, IntDistribution)


def _union(a: _Number, b: _Number) -> _Number:
    """Return the smallest distribution that contains the values of two of the same type."""
    low, high = min(a.low, b.low), max(a.high, b.high)
    if isinstance(a, IntDistribution) and isinstance(b, IntDistribution):
        step = math.gcd(a.step, b.step, a.low - b.low)
        return IntDistribution(int(low), int(high), log=a.log, step=step)
    grid = a.step if a.step == b.step else None
    if grid is not None and (Decimal(str(a.low)) - Decimal(str(b.low))) % Decimal(str(grid)):
        grid = None
    return FloatDistribution(low, high, log=a.log, step=grid)
