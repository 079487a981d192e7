"""Conditions of a define-by-run space, read off its trials.

Optuna's objectives suggest a parameter when they need it, so a study shows the tree of its space by
which trials have which parameters. A parameter's parent is present whenever the parameter is, and
has other values where the parameter is missing: other categories, or integers on the other side of
a threshold. Neither the order of the parameters in a trial nor that of the trials matters: gRPC
storages and ``add_trial`` change the one, parallel workers the other.

A parent is present in more trials than its child, so conditions never form a cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial

from ncp_sampler.space.conditional import Condition


@dataclass
class _Pair:
    """Observations of a parameter and of another one that may be its parent.

    Attributes:
        having: Values of the parent in trials that have both; of numbers the ends.
        without: Values in trials that have the parent alone.
        excluded: Whether a trial had the parameter alone.
    """

    having: dict[Any, None] = field(default_factory=dict)
    without: dict[Any, None] = field(default_factory=dict)
    excluded: bool = False

    def decides(self, numbers: bool) -> bool:
        """Return True if the parent's values tell where the parameter is missing."""
        if self.excluded or not self.having or not self.without:
            return False
        if not numbers:
            return not self.having.keys() & self.without.keys()
        low, high = sorted((tuple(self.having), tuple(self.without)), key=min)
        return bool(max(low) < min(high))

    def sides(self, numbers: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Values with and without the parameter; of numbers those beside the threshold."""
        if not numbers:
            return (*sorted(self.having, key=repr),), (*sorted(self.without, key=repr),)
        above = min(self.having) > max(self.without)
        inner = (min, max) if above else (max, min)
        return (inner[0](self.having),), (inner[1](self.without),)


def _note(values: dict[Any, None], value: Any, numbers: bool) -> None:
    values[value] = None
    if numbers and len(values) > 2:
        ends = min(values), max(values)
        values.clear()
        values.update(dict.fromkeys(ends))


class Conditions:
    """Conditions that the complete trials read so far agree with."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()  # trials that have each parameter
        self._numbers: dict[str, bool] = {}  # possible parent -> whether it is a number
        self._values: dict[str, dict[Any, None]] = {}  # possible parent -> its values
        self._pairs: dict[str, dict[str, _Pair]] = {}  # parameter -> possible parent -> ...
        self._mixed: set[str] = set()  # parameters that were both numbers and categoricals

    def read(self, trial: FrozenTrial) -> None:
        """Learn from a complete trial."""
        parents = {
            name: value
            for name, value in trial.params.items()
            if _may_decide(trial.distributions[name])
        }
        for name in parents:
            number = isinstance(trial.distributions[name], IntDistribution)
            if self._numbers.setdefault(name, number) != number:
                self._mixed.add(name)
        parents = {name: parents[name] for name in parents.keys() - self._mixed}
        for name in trial.params:
            self._read_present(name, parents)
        for name in self._pairs.keys() - trial.params.keys():
            for parent, value in parents.items():
                # a parent that is new now was missing where the parameter was present
                pair = self._pairs[name].setdefault(parent, _Pair(excluded=True))
                _note(pair.without, value, self._numbers[parent])
        for parent, value in parents.items():
            _note(self._values.setdefault(parent, {}), value, self._numbers[parent])
        self._times.update(trial.params.keys())

    def _read_present(self, name: str, parents: dict[str, Any]) -> None:
        new = name not in self._pairs
        if new:
            self._pairs[name] = {
                parent: _Pair(without=dict(values)) for parent, values in self._values.items()
            }
        pairs = self._pairs[name]
        for parent, value in parents.items():
            if parent != name:
                pair = pairs.setdefault(parent, _Pair(excluded=not new))
                _note(pair.having, value, self._numbers[parent])
        for parent in pairs.keys() - parents.keys():
            pairs[parent].excluded = True

    def among(self, names: Collection[str]) -> tuple[Condition, ...]:
        """Return the conditions of some parameters on others of them, one for each at most.

        Of several parents that explain a parameter equally, it depends on the one that most trials
        have, then on a categorical rather than a number, then on the first by name.
        """
        conditions = []
        for name in names:
            pairs = self._pairs.get(name, {})
            deciding = [
                parent
                for parent, pair in pairs.items()
                if parent in names
                and parent not in self._mixed
                and pair.decides(self._numbers[parent])
            ]
            if deciding:
                parent = min(deciding, key=lambda one: (-self._times[one], self._numbers[one], one))
                sides = pairs[parent].sides(self._numbers[parent])
                conditions.append(Condition(name, parent, *sides))
        return tuple(conditions)


def _may_decide(distribution: BaseDistribution) -> bool:
    """Return True if a parameter can be a parent: a categorical or an integer."""
    if isinstance(distribution, CategoricalDistribution):
        return all(isinstance(choice, Hashable) for choice in distribution.choices)
    return isinstance(distribution, IntDistribution)
