"""Preferences between objectives: a weighted sum in the user's units, or the best compromise.

Notation
    n, m    observations, objectives
    values  objectives, all to be maximized, scaled by ``bounded_tail``, NaN where missing, (n, m)
    raw     objectives in their own units and directions, (n, m)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.transforms import bounded_tail

COMPROMISE = "compromise"
UNITS = ("std", "range")
WORDS = (COMPROMISE, *UNITS)

_EARLY = 10  # Number of first values, whose median is one end of a range

Weight: TypeAlias = float | str | tuple[float, str]
Weights: TypeAlias = Mapping[str, Weight] | str


@dataclass(frozen=True)
class Preference:
    """Weights of the objectives, and the choice between their sum and the worst objective.

    Attributes:
        weights: Name of an objective -> weight and its unit: None for the objective's own unit,
            otherwise one of ``UNITS``.
        is_maximin: True if the worst objective decides, instead of the weighted sum.
    """

    weights: Mapping[str, tuple[float, str | None]]
    is_maximin: bool = False

    @classmethod
    def of(cls, given: Weights | None, directions: Mapping[str, str]) -> Preference | None:
        """Return the preference given as ``objective_weights``; None for the whole front.

        Raises:
            ValueError: An objective with a weight is unknown, or all weights are 0.
        """
        if given is None:
            return None
        if isinstance(given, str):
            unit = "std" if given == COMPROMISE else given
            return cls(dict.fromkeys(directions, (1.0, unit)), given == COMPROMISE)
        weights: dict[str, tuple[float, str | None]] = dict.fromkeys(directions, (1.0, None))
        weights |= {name: _with_unit(weight) for name, weight in given.items()}
        if unknown := [name for name in given if name not in directions]:
            raise ValueError(
                f"objective_weights has {unknown}, not among the objectives {[*directions]}"
            )
        if not any(weight for weight, _ in weights.values()):
            must = f"weight some of {tuple(directions)}, with at least one weight above 0"
            raise checks.refusal("objective_weights", given, must)
        return cls(weights)

    def scaled(self, names: tuple[str, ...], values: FloatArray, raw: FloatArray) -> FloatArray:
        """Return the weights (m,) of scaled values, which sum to 1 unless all are 0.

        A scaled value is linear in the raw value except in the tail of poor values. A weight in the
        objective's own unit is therefore divided by the slope of this linear part.
        """
        scaled = []
        for name, column, own in zip(names, values.T, raw.T, strict=True):
            weight, unit = self.weights[name]
            if unit != "std":  # the unit that a scaled value already has
                weight /= _slope(column, own)
            if unit == "range":
                weight /= progress_of(own, best=own[np.nanargmax(column)])
            scaled.append(weight)
        total = sum(scaled)
        return np.array(scaled) / (total if total > 0 else 1.0)

    def per_unit(self, names: tuple[str, ...], raw: FloatArray, signs: FloatArray) -> FloatArray:
        """Return the weights (m,) of objectives in their own units.

        Args:
            names: The objectives.
            raw: Values of the objectives in the order of observation, (n, m), without missing
                values.
            signs: 1 for an objective to be maximized, -1 for one to be minimized, (m,).
        """
        weights = []
        for name, column, sign in zip(names, raw.T, signs, strict=True):
            weight, unit = self.weights[name]
            if unit == "range":
                weight /= progress_of(column, best=sign * (sign * column).max())
            elif unit == "std":  # so that outliers do not determine the unit
                weight *= _slope(bounded_tail(sign * column), column)
            weights.append(weight)
        return np.array(weights)


def check_weights(given: Mapping[Any, Weight] | str | None, words: Sequence[str] = WORDS) -> None:
    """Check the form of ``objective_weights`` before the objectives are known.

    Args:
        given: The argument.
        words: Strings that are valid in place of weights.

    Raises:
        ValueError: ``given`` is neither a mapping of weights nor a valid word, a weight is
            negative, or a unit is unknown.
    """
    must = f"map objectives to weights, or be one of {(*words,)}"
    if isinstance(given, str):
        if given not in words:
            raise checks.refusal("objective_weights", given, must)
        return
    weights = checks.instance("objective_weights", {} if given is None else given, Mapping, must)
    for name, weight in weights.items():
        label = f"objective_weights[{name!r}]"  # a name or, for NCPSampler, an objective's index
        number, unit = weight if isinstance(weight, tuple) and len(weight) == 2 else (weight, None)
        if isinstance(weight, str):
            number, unit = 1.0, weight
        if unit is not None and unit not in UNITS:
            raise checks.refusal(label, weight, f"be a number, one of {UNITS}, or both")
        checks.number(label, number, low=0)


def progress_of(raw: FloatArray, best: float) -> float:
    """Return the distance, above 0, from the median of the first ten values to the best one.

    This distance is the unit of a relative regret. The first values were not chosen by a search, so
    the unit does not shrink as the search concentrates, and outliers do not determine it.

    Args:
        raw: Observed values in order, (n,), NaN if missing.
        best: The best of these values.
    """
    known = raw[~np.isnan(raw)]
    for earlier in (np.median(known[:_EARLY]), np.median(known), known.min(), known.max()):
        if earlier != best:
            return float(abs(best - earlier))
    return 1.0


def relative_regrets(raw: FloatArray, signs: FloatArray) -> FloatArray:
    """Return the relative regret (n, m) of each observation in each objective, NaN if missing.

    The regret is 0 for the best observed value of the objective, and 1 for the median of the first
    ten.

    Args:
        raw: Objectives in their own units, in the order of observation, (n, m).
        signs: 1 for an objective to be maximized, -1 for one to be minimized, (m,).
    """
    best = signs * np.nanmax(signs * raw, axis=0)
    unit = [progress_of(column, value) for column, value in zip(raw.T, best, strict=True)]
    return np.asarray(signs * (best - raw) / np.array(unit))


def _with_unit(weight: Weight) -> tuple[float, str | None]:
    if isinstance(weight, str):
        return 1.0, weight
    return (float(weight[0]), weight[1]) if isinstance(weight, tuple) else (float(weight), None)


def _slope(scaled: FloatArray, raw: FloatArray) -> float:
    """Return the ratio of the scaled to the raw distance from median to best; 1 if constant."""
    known = np.flatnonzero(~np.isnan(scaled))
    order = known[np.argsort(scaled[known], kind="stable")]
    best, middle = order[-1], order[len(order) // 2]
    distance = abs(raw[best] - raw[middle])
    if not distance > 0:  # more than half of the values equal the best
        best, middle = order[-1], order[0]
        distance = abs(raw[best] - raw[middle])
    rise = float(scaled[best] - scaled[middle])
    return rise / float(distance) if distance > 0 and rise > 0 else 1.0
