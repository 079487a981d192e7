"""Bounds of black-box constraints, and the slack of observed values.

The slack of a trial is the distance of the reported value from the bound. The slack is nonnegative
if the constraint holds, NaN if the value is unknown, and infinite if a finished trial did not
report the value, because the constraint then counts as satisfied.

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

# Observed metric -> its upper bound, or a pair (low, high), of which one is None
Constraints: TypeAlias = Mapping[str, float | tuple[float | None, float | None]]

_LATE_REPORTS = 3  # number of reports after which a constraint counts as added later
_Values = TypeVar("_Values", float, FloatArray)


class Bound(NamedTuple):
    """Bound on an observed metric.

    Attributes:
        value: The bound, in the metric's own unit.
        sign: 1 for an upper bound, -1 for a lower bound.
    """

    value: float
    sign: float = 1.0

    @property
    def satisfied(self) -> float:
        """Infinite value that satisfies the bound."""
        return -self.sign * math.inf

    def slack(self, observed: _Values) -> _Values:
        """Return the slack of observed values."""
        return self.sign * (self.value - observed)

    def of_slack(self, slack: float) -> float:
        """Return the observed value for a given slack."""
        return self.value - self.sign * slack


def checked_bounds(constraints: Constraints | None) -> dict[str, Bound]:
    """Return the bound of each constrained metric.

    Raises:
        ValueError: The argument is not a mapping from names to numbers or pairs, or a pair does not
            have exactly one bound.
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
    """Return the slack (n,); NaN before a constraint was added, infinite if only the sign is known.

    If all finished trials since some trial report a constraint, and there are at least three such
    trials or one that satisfies it, the constraint was added at that trial, and the slack of
    earlier trials is unknown. A constraint that only some of the later trials report counts as
    satisfied in the others.

    If there are several zeros and no positive slack, the metric is probably a count or
    max(0, excess). A zero then shows only that the constraint holds, not by how much.
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
    """Return the scaled slack (n,), which is finite if known, and its unit.

    The unit is the median distance from the bound. With asinh, a huge violation does not determine
    the scale, and the bound stays at 0; standardization or ``bounded_tail`` would move it. An
    infinite violation counts as the worst finite violation, and at least as a typical one. Infinite
    positive slack counts as the median of the positive slack, or as a typical violation with the
    opposite sign if all reported values violate the constraint.
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
