"""Slack of black-box constraints: what is known of it, and its scale.

The slack of a trial is the bound less the reported value: at least 0 where the constraint holds,
NaN where it is unknown, infinite where a finished trial did not report it, which counts as
satisfied.

Notation
    n   trials, in the order in which they were reported
"""

from __future__ import annotations

import numpy as np

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.transforms import LARGEST

_LATE_REPORTS = 3  # reports in a row, after which a constraint counts as one that came late


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
