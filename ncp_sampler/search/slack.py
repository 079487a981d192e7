"""Bounds of black-box constraints, and their slack: what is known of it, and its scale.

The slack of a trial is the distance of the reported value from the bound: at least 0 where the
constraint holds, NaN where it is unknown, infinite where a finished trial did not report it, which
counts as satisfied.

Notation
    n   trials, in the order in which they were reported
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.transforms import LARGEST

# Observed metric -> its upper bound, or (low, high), one of which is None
Constraints: TypeAlias = Mapping[str, float | tuple[float | None, float | None]]

_LATE_REPORTS = 3  # reports in a row, after which a constraint counts as one that came late
_Values = TypeVar("_Values", float, FloatArray)


class Bound(NamedTuple):
    """A bound of an observed metric.

    Attributes:
        value: The bound, in the metric's own unit.
        sign: 1 of an upper bound, -1 of a lower one.
    """

    value: float
    sign: float = 1.0

    @property
    def satisfied(self) -> float:
        """Value that satisfies it by more than any other."""
        return -self.sign * math.inf

    def slack(self, observed: _Values) -> _Values:
        """Return the slack of observed values."""
        return self.sign * (self.value - observed)

    def of_slack(self, slack: float) -> float:
        """Return the observed value that has some slack."""
        return self.value - self.sign * slack


def checked_bounds(constraints: Constraints | None) -> dict[str, Bound]:
    """Return the bound of each constrained metric.

    Raises:
        ValueError: No mapping from names to numbers or pairs, or a pair with two bounds or none.
    """
    must = "map an observed metric to its bound"
    given = {} if constraints is None else constraints
    checks.instance("constraints", given, Mapping, must)
    bounds = {}
    for name, bound in given.items():
        label = f"constraints[{checks.text('constraints', name)!r}]"
        pair = bound if isinstance(bound, tuple | list) else (None, bound)
        if len(pair) != 2 or sum(end is None for end in pair) != 1:
            must = "be an upper bound, or (low, None) or (None, high) with one bound"
            raise checks.refusal(label, bound, must)
        low, high = pair
        if high is None:
            bounds[name] = Bound(checks.number(label, low), -1.0)
        else:
            bounds[name] = Bound(checks.number(label, high))
    return bounds


def known_slack(slack: FloatArray) -> FloatArray:
    """Return the slack (n,), NaN before a late start, infinite where only its sign is known.

    A constraint that every finished trial reports from some trial on, at least three of them or a
    satisfied one, is one that the objective reports since then: of the trials before nothing is
    known. One that only some of them report counts as satisfied in all others.

    Zeros are satisfied without saying by how much, as in a count or max(0, excess), where there are
    several of them and no slack is positive.
    """
    reported = ~np.isnan(slack) & (slack < np.inf)
    if not reported.any():
        return slack
    first = int(reported.argmax())
    always = not np.isposinf(slack[first:]).any()
    late = always and (reported.sum() >= _LATE_REPORTS or bool((slack[reported] >= 0).any()))
    zero = slack == 0
    sign_only = zero if zero.sum() > 1 and not (slack[reported] > 0).any() else zero & False
    unknown = np.isposinf(slack) & late
    return np.where(unknown, np.nan, np.where(sign_only, np.inf, slack))


def scaled_slack(slack: FloatArray) -> tuple[FloatArray, float]:
    """Return scaled slack (n,), finite where it is known, and its unit.

    The unit is the median distance from the bound. By asinh no violation of millions sets the
    scale, and the bound stays at 0, which standardizing or ``bounded_tail`` would move. An infinite
    violation counts as the worst finite one, and at least as a typical one; what is infinitely
    satisfied as the median of the positive slack, or by as much as a typical violation where all
    that was reported is violated.
    """
    distance = np.abs(slack[np.isfinite(slack) & (slack != 0)])
    size = float(np.median(distance)) if len(distance) else 1.0
    with np.errstate(over="ignore"):
        scaled = np.arcsinh(np.clip(slack / size, -LARGEST, LARGEST))
    typical = float(np.arcsinh(1.0))
    worst = min(scaled[np.isfinite(slack)].min(initial=0.0), -typical)
    scaled[np.isneginf(slack)] = worst
    positive = scaled[np.isfinite(slack) & (slack > 0)]
    scaled[np.isposinf(slack)] = np.median(positive) if len(positive) else typical
    return np.asarray(scaled), size
