"""Which parameters of a define-by-run study exist only under others, as its trials tell.

Optuna's objectives ask for a parameter when they need it, so that a study shows the tree of its
space by which trials have what. A parameter's parent is one that was asked for before it, is there
whenever it is, and has other values where it is missing: choices, or whole numbers on the other
side of a threshold.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial

from ncp_sampler.space.conditional import Condition


@dataclass
class _Pair:
    """What is known of a parameter and one that may decide on it.

    Attributes:
        having: Values of the parent in trials that have both; of numbers the ends.
        without: In trials that have the parent alone.
        excluded: Whether a trial had the parameter alone, or asked for it first.
    """

    having: dict[Any, None] = field(default_factory=dict)
    without: dict[Any, None] = field(default_factory=dict)
    excluded: bool = False

    def decides(self, numbers: bool) -> bool:
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
    """Reads complete trials, and says what depends on what."""

    def __init__(self) -> None:
        self._numbers: dict[str, bool] = {}  # what may be a parent -> whether it is a number
        self._seen: dict[str, dict[Any, None]] = {}  # its values
        self._pairs: dict[str, dict[str, _Pair]] = {}  # parameter -> parent -> ...

    def read(self, trial: FrozenTrial) -> None:
        """Learns from a trial that has completed."""
        earlier: dict[str, Any] = {}
        for name, value in trial.params.items():
            self._read_present(name, earlier)
            if self._may_decide(trial.distributions[name]):
                earlier[name] = value
                self._numbers[name] = isinstance(trial.distributions[name], IntDistribution)
        for name in self._pairs.keys() - trial.params.keys():
            for parent, value in earlier.items():
                # a parent that is new now was missing where the parameter was there
                pair = self._pairs[name].setdefault(parent, _Pair(excluded=True))
                _note(pair.without, value, self._numbers[parent])
        for parent, value in earlier.items():
            _note(self._seen.setdefault(parent, {}), value, self._numbers[parent])

    def _read_present(self, name: str, earlier: Mapping[str, Any]) -> None:
        new = name not in self._pairs
        if new:
            self._pairs[name] = {
                parent: _Pair(without=dict(values)) for parent, values in self._seen.items()
            }
        pairs = self._pairs[name]
        for parent, value in earlier.items():
            pair = pairs.setdefault(parent, _Pair(excluded=not new))
            _note(pair.having, value, self._numbers[parent])
        for parent in pairs.keys() - earlier.keys():
            pairs[parent].excluded = True

    def _may_decide(self, distribution: BaseDistribution) -> bool:
        if isinstance(distribution, CategoricalDistribution):
            return all(isinstance(choice, Hashable) for choice in distribution.choices)
        return isinstance(distribution, IntDistribution)

    def among(self, names: Collection[str]) -> tuple[Condition, ...]:
        """The conditions of some parameters on others of them."""
        found = []
        for name in names:
            for parent, pair in self._pairs.get(name, {}).items():
                if parent in names and pair.decides(self._numbers[parent]):
                    found.append(Condition(name, parent, *pair.sides(self._numbers[parent])))
                    break
        return tuple(found)
