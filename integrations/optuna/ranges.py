"""The distribution to search of each parameter, where trials suggested it with several.

Optuna lets the range and the step of a number differ between trials, and trials that are added may
even have another kind of distribution. A distribution that replaces another one, as when a range is
widened in the code, is followed at once, and values of older trials count as the nearest valid one.
A range that keeps changing, because it depends on another parameter or on the branch, is searched
as the smallest range that holds them all: it seldom changes, and each value keeps its place.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

_RECENT = 10  # latest trials of a parameter, two changes within which make its range dynamic

Number = FloatDistribution | IntDistribution


class Ranges:
    """Distributions of all parameters of the trials read so far, in whatever order they came."""

    def __init__(self) -> None:
        self._recent: dict[str, list[tuple[int, BaseDistribution]]] = {}  # by number of trial
        self._hulls: dict[tuple[str, type, bool], Number] = {}

    def __len__(self) -> int:
        return len(self._recent)

    def read(self, number: int, distributions: Mapping[str, BaseDistribution]) -> None:
        """Learn the distributions of the trial of a number; those of other studies have -1."""
        for name, distribution in distributions.items():
            recent = self._recent.setdefault(name, [])
            insort(recent, (number, distribution), key=lambda one: one[0])
            del recent[:-_RECENT]
            if isinstance(distribution, Number):
                key = name, type(distribution), distribution.log
                hull = self._hulls.setdefault(key, distribution)
                if hull != distribution:
                    self._hulls[key] = _joined(hull, distribution)

    def current(self) -> dict[str, BaseDistribution]:
        """Return each parameter's distribution: the newest, or the hull of a dynamic range."""
        return {name: self._current(name) for name in sorted(self._recent)}

    def _current(self, name: str) -> BaseDistribution:
        recent = [distribution for _, distribution in self._recent[name]]
        newest = recent[-1]
        changes = sum(a != b for a, b in pairwise(recent))
        if changes > 1 and isinstance(newest, Number):
            return self._hulls[name, type(newest), newest.log]
        return newest


def _joined(one: Number, two: Number) -> Number:
    """Return the smallest distribution that holds the values of two of one kind."""
    low, high = min(one.low, two.low), max(one.high, two.high)
    if isinstance(one, IntDistribution) and isinstance(two, IntDistribution):
        step = math.gcd(one.step, two.step, one.low - two.low)
        return IntDistribution(int(low), int(high), log=one.log, step=step)
    grid = one.step if one.step == two.step else None
    if grid is not None and (Decimal(str(one.low)) - Decimal(str(two.low))) % Decimal(str(grid)):
        grid = None
    return FloatDistribution(low, high, log=one.log, step=grid)
