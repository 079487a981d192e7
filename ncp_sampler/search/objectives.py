"""Objectives, known costs, limits and constraints of a search, and scaled observations.

Notation
    n, d, m, c   observations, columns of a code, objectives, constraints
    values       objectives, all to be maximized and scaled, NaN where missing, (n, m)
    slack        scaled distance from a bound, (n, c); nonnegative if the constraint holds, NaN if
                 unknown
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.transforms import bounded_tail, standardizer
from ncp_sampler.search.known_cost import Costs, KnownCost
from ncp_sampler.search.limits import Limits
from ncp_sampler.search.pareto import chebyshev, pareto_front, reference_point
from ncp_sampler.search.preference import Preference, Weights
from ncp_sampler.search.slack import (
    Bound,
    Constraints,
    checked_bounds,
    known_slack,
    scaled_slack,
)
from ncp_sampler.space.search_space import SearchSpace

# Maximum numbers of modeled objectives, and of all objectives, for exact hypervolume improvement
_MAX_MODELED, _MAX_EXACT = 4, 6
_FEW = 10  # Number of latest values that are fitted if the selected rows lack a metric


@dataclass(frozen=True)
class CostScale:
    """Scale of a known cost as an objective: a + b t, where t is the cost or its logarithm.

    Attributes:
        a: Offset.
        b: Slope, negative for a cost to be minimized.
        log: True if t is the logarithm, which is used for a positive cost that spans more than a
            decade.
    """

    a: float
    b: float
    log: bool

    @classmethod
    def of(
        cls, cost: KnownCost, observed: FloatArray, sign: float, *, linear: bool = False
    ) -> CostScale:
        """Return the scale that standardizes observed costs (n,) for maximization."""
        log = not linear and cost.spans_decades and bool((observed > 0).all())
        values = np.log(observed) if log else observed
        mean, std = standardizer(values[:, None], np.ones(len(values)))
        b = sign / float(std[0])
        return cls(-b * float(mean[0]), b, log)

    def apply(self, cost: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return scaled costs (n,), and their derivative with respect to the cost."""
        if not self.log:
            return self.a + self.b * cost, np.full(len(cost), self.b)
        positive = np.maximum(cost, np.finfo(float).tiny)
        return self.a + self.b * np.log(positive), self.b / positive

    def invert(self, scaled: FloatArray) -> FloatArray:
        """Return the costs (n,) for scaled costs."""
        t = (scaled - self.a) / self.b
        return np.asarray(np.exp(t) if self.log else t)


class Objectives:
    """Objectives, known costs, limits and constraints of a search.

    The arguments are those of ``NCPOptimizer``; ``checked_options`` has checked their form.

    Attributes:
        space: As given.
        directions: As given.
        signs: 1 for an objective to be maximized, -1 for one to be minimized, (m,).
        constraints: Name -> bound, either given or added by ``constrain``.
        costs: Name -> known cost.
        known: Known costs that are objectives.
        limits: Limits of the known costs.
        preference: Preference among several objectives; None for the whole front.

    Raises:
        ValueError: An objective with a weight is unknown, all weights are 0, a known cost has a
            constraint, or a cost cannot be computed or is not used.
    """

    def __init__(
        self,
        space: SearchSpace,
        directions: Mapping[str, str],
        *,
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        constraints: Constraints | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.space = space
        self.directions = dict(directions)
        self.signs = np.array([1.0 if d == "maximize" else -1.0 for d in directions.values()])
        self.costs = {name: KnownCost(name, given, space) for name, given in (costs or {}).items()}
        self.known = {name: self.costs[name] for name in self.directions if name in self.costs}
        self.limits = Limits(space, self.costs, limits or {})
        self.constraints: dict[str, Bound] = {}
        self.constrain(constraints or {})
        self.preference = Preference.of(weights, self.directions)
        unused = self.costs.keys() - {*self.directions, *self.limits.bounds}
        if unused:
            raise ValueError(
                f"costs has {sorted(unused)}, which no objective and no limit uses; give "
                f"limits={{{min(unused)!r}: number}}, or leave it out"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of observed metrics: the objectives, then constraints that are not objectives."""
        return tuple(dict.fromkeys([*self.directions, *self.constraints]))

    def constrain(self, bounds: Constraints) -> None:
        """Add constraints, in the same form as for the constructor.

        Raises:
            ValueError: A bound is not a number, or bounds a known cost.
        """
        added = checked_bounds(bounds)
        computed = [name for name in added if name in self.costs]
        if computed:
            raise ValueError(f"constraints has {computed}, which costs computes; limit it instead")
        self.constraints.update(added)

    def scale(
        self,
        codes: NDArray[Any],
        metrics: Mapping[str, FloatArray],
        diverged: NDArray[np.bool_] | None = None,
    ) -> ScaledObservations:
        """Return the observations on the scales of the acquisition function.

        Args:
            codes: Valid codes, (n, d).
            metrics: Name -> observed values, (n,), NaN if missing. If a finished trial did not
                report a constraint, the value is infinite on the side that satisfies the
                constraint. Observations of a source lack constraints that were added later.
            diverged: Mask of observations in which an objective diverged, (n,); None if there are
                none.
        """
        raw = {name: column for name, column in metrics.items() if name in self.directions}
        raw |= {name: cost.finite(codes) for name, cost in self.known.items()}
        # a metric without any value is omitted
        objectives = [name for name in self.directions if not np.isnan(raw[name]).all()]
        bounds = [c for c in self.constraints if not np.isnan(metrics.get(c, np.nan)).all()]
        columns: list[FloatArray] = []
        scales: list[CostScale | None] = []
        signs = dict(zip(self.directions, self.signs.tolist(), strict=True))
        for name in objectives:
            scales.append(None)
            if name in self.known:
                cost, linear = self.known[name], self.preference is not None
                scales[-1] = scale = CostScale.of(cost, raw[name], signs[name], linear=linear)
                columns.append(scale.apply(raw[name])[0])
            else:
                columns.append(bounded_tail(signs[name] * raw[name]))
        slack = [scaled_slack(known_slack(self.constraints[c].slack(metrics[c]))) for c in bounds]
        n, names = len(codes), tuple(objectives)
        values, own = _stacked(columns, n), _stacked([raw[name] for name in names], n)
        wanted = self.preference if len(names) > 1 else None
        return ScaledObservations(
            objectives=names,
            cost_scales=tuple(scales),
            values=values,
            raw=own,
            reference=reference_point(values) if len(names) > 1 else np.zeros(len(names)),
            constraints=tuple(bounds),
            slack=_stacked([scaled for scaled, _ in slack], n),
            bounds=tuple((self.constraints[c], s) for c, (_, s) in zip(bounds, slack, strict=True)),
            weights=None if wanted is None else wanted.scaled(names, values, own),
            is_maximin=wanted is not None and wanted.is_maximin,
            diverged=np.zeros(n, dtype=bool) if diverged is None else diverged,
        )


@dataclass(frozen=True)
class ScaledObservations:
    """Observations on the scales of the acquisition function.

    Attributes:
        objectives: Names of the objectives that have a value, in order.
        cost_scales: Scale of each objective that is a known cost; None for a modeled one.
        values: Objectives, all to be maximized, (n, m).
        raw: Objectives in their own units and directions, (n, m).
        reference: Point beyond which hypervolume counts, (m,).
        constraints: Names of the constraints that have a value, in order.
        slack: Scaled slack, (n, c).
        bounds: Bound and unit s of each constraint; its scaled slack is asinh(slack / s).
        weights: Weights of the scaled objectives, (m,); None for the whole front or a single
            objective.
        is_maximin: True to maximize the worst weighted objective plus the sum, instead of the sum.
        diverged: Mask of observations in which an objective diverged, (n,).
    """

    objectives: tuple[str, ...]
    cost_scales: tuple[CostScale | None, ...]
    values: FloatArray
    raw: FloatArray
    reference: FloatArray
    constraints: tuple[str, ...]
    slack: FloatArray
    bounds: tuple[tuple[Bound, float], ...]
    weights: FloatArray | None
    is_maximin: bool
    diverged: NDArray[np.bool_]

    @property
    def known(self) -> tuple[bool, ...]:
        """True for each objective that is a known cost."""
        return tuple(scale is not None for scale in self.cost_scales)

    @property
    def modeled(self) -> dict[str, FloatArray]:
        """Columns that a predictor models, name -> (n,): modeled objectives, then slack."""
        columns = zip(self.objectives, self.known, self.values.T, strict=True)
        modeled = {name: column for name, known, column in columns if not known}
        for name, column in zip(self.constraints, self.slack.T, strict=True):
            modeled[f"slack of {name}"] = column  # a metric may be an objective, too
        return modeled

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Mask (n,) of observations that are not known to violate a constraint."""
        return ~np.asarray((self.slack < 0).any(axis=1), dtype=bool)

    @property
    def is_front(self) -> bool:
        """True if the search is for the Pareto front of several objectives."""
        return self.weights is None and len(self.objectives) > 1

    @property
    def is_exact(self) -> bool:
        """True if the expected hypervolume improvement over the front is computed exactly."""
        m = len(self.objectives)
        return m <= _MAX_EXACT and m - sum(self.known) <= _MAX_MODELED

    @property
    def unreported(self) -> NDArray[np.bool_]:
        """Mask (n, m) of missing objectives in observations that reported other objectives."""
        missing = np.isnan(self.values)
        modeled = ~np.array(self.known, dtype=bool)
        reported = (~missing & modeled).any(axis=1) & ~self.diverged
        return np.asarray(missing & reported[:, None])

    @property
    def has_gaps(self) -> bool:
        """True if a slack is unknown, or if an observation reported only some of the objectives."""
        return bool(np.isnan(self.slack).any() or self.unreported.any())

    def covering(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the rows, plus further rows if a modeled column would otherwise lack values."""
        for column in self.modeled.values():
            if np.isnan(column[rows]).all():
                rows = np.union1d(rows, np.flatnonzero(~np.isnan(column))[-_FEW:])
        return rows

    def take(self, rows: NDArray[np.intp]) -> ScaledObservations:
        """Return the selected observations, without metrics that have no value in them."""
        has = [not np.isnan(column[rows]).all() for column in self.values.T]
        bound = [not np.isnan(column[rows]).all() for column in self.slack.T]
        return replace(
            self,
            objectives=tuple(compress(self.objectives, has)),
            cost_scales=tuple(compress(self.cost_scales, has)),
            values=self.values[rows][:, has],
            raw=self.raw[rows][:, has],
            reference=self.reference[has],
            constraints=tuple(compress(self.constraints, bound)),
            slack=self.slack[rows][:, bound],
            bounds=tuple(compress(self.bounds, bound)),
            weights=None if self.weights is None else self.weights[has],
            diverged=self.diverged[rows],
        )

    def merit(self) -> FloatArray:
        """Return the merit (n,) of each observation, NaN if an objective is missing."""
        if self.weights is None:
            return np.asarray(self.values.sum(axis=1))
        if not self.is_maximin:
            return np.asarray(self.values @ self.weights)
        return chebyshev(self.values - np.nanmax(self.values, axis=0), self.weights)[0]

    def order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return the positions (n,) of the observations, in order of preference.

        Feasible observations come first, sorted by merit, followed by all others, sorted by
        violation. If the search is for a front, the front comes first in random order, followed by
        the best half of the observations for each objective, in turn.
        """
        merit = np.nan_to_num(self.merit(), nan=-np.inf)
        violation = np.where(self.slack < 0, -self.slack, 0.0).sum(axis=1)
        order = np.lexsort((-merit, violation))
        if not self.is_front:
            return order
        known = np.flatnonzero(self.feasible & ~np.isnan(self.values).any(axis=1))
        front = known[pareto_front(self.values[known])]
        by_each = np.where(self.feasible[:, None], np.nan_to_num(-self.values, nan=np.inf), np.inf)
        best = np.argsort(by_each, axis=0, kind="stable")[: len(merit) // 2]
        first = [*rng.permutation(front).tolist(), *best.ravel().tolist(), *order.tolist()]
        return np.array(list(dict.fromkeys(first)), dtype=np.intp)


def _stacked(columns: Sequence[FloatArray], n: int) -> FloatArray:
    """Return a list of columns (n,), which may be empty, as an array."""
    return np.stack(columns, 1) if columns else np.empty((n, 0))
