"""What a search is for: objectives, known costs, limits on them, constraints on what is measured.

In come the names and numbers that a user gives, then codes and what was told of them; out go the
same trials in the terms that the acquisition works in.

Notation
    n, d, m, c   trials, columns of a code, objectives, constraints
    values       (n, m) objectives, all to be maximized and scaled, NaN where missing
    margins      (n, c) what is left below a bound, scaled; at least 0 where it holds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.history import History
from ncp_sampler.optimizer.hypervolume import pareto_front, reference_of
from ncp_sampler.optimizer.improvement import scalarize
from ncp_sampler.optimizer.limits import Costs, KnownCost, Limits
from ncp_sampler.optimizer.slack import known_slack, scaled_slack, typical_size
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.scaling import standardizer, warp
from ncp_sampler.space.search_space import SearchSpace

MOST_METRICS = 4  # of which the expected hypervolume improvement is computed


class Goals:
    """Objectives, known costs, limits and constraints of a search of one space.

    Args:
        space: The search space.
        directions: Objective -> "maximize" or "minimize".
        costs: Name -> a function that computes it: of codes, a tensor (n, d) in natural units, to
            (n,), differentiable; or a plain function of params.
        limits: Known cost -> what no proposal exceeds.
        constraints: Told metric -> the upper bound of what is feasible.
        weights: Objective -> the paper's lambda, at least 0 and 1 where none is given; None for
            the whole front.

    Attributes:
        directions: As given.
        constraints: As given, and what ``constrain`` added.
        costs: Name -> known cost.
        known: Those that are objectives.
        limits: Of the known costs.

    Raises:
        ValueError: Something that names no objective or no cost, a cost that cannot be computed
            or that nothing uses, or a limit, bound or weight that is no such number.
    """

    def __init__(
        self,
        space: SearchSpace,
        directions: Mapping[str, str],
        *,
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        constraints: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.directions = dict(directions)
        functions, bounds = check_costs(costs, limits)
        self.costs = {name: KnownCost(name, given, space) for name, given in functions.items()}
        self.known = {name: self.costs[name] for name in self.directions if name in self.costs}
        self.limits = Limits(space, self.costs, bounds)
        self.constraints: dict[str, float] = {}
        self.constrain({} if constraints is None else constraints)
        self.weights = None if weights is None else self._weights(weights)
        unused = [name for name in self.costs if name not in {*self.directions, *bounds}]
        if unused:
            raise ValueError(
                f"costs has {unused}, which no objective and no limit uses; give "
                f"limits={{{unused[0]!r}: number}}, or leave it out"
            )

    def constrain(self, bounds: Mapping[str, float]) -> None:
        """Adds constraints: told metric -> upper bound.

        Raises:
            ValueError: A bound that is no number, or of a known cost.
        """
        added = check_numbers("constraints", bounds, "a told metric to its bound")
        computed = [name for name in added if name in self.costs]
        if computed:
            raise ValueError(f"constraints has {computed}, which costs computes; limit it instead")
        self.constraints.update(added)

    def new_history(self) -> History:
        """A history of the metrics that are told, without a trial."""
        return History(self.directions, watched=[*self.constraints], known=self.known)

    def told(self, codes: NDArray[Any], metrics: Mapping[str, FloatArray]) -> Told:
        """Trials in the terms of the acquisition.

        Args:
            codes: Legal codes, (n, d).
            metrics: Name -> observed values, (n,), NaN where missing; of a constraint -inf where a
                finished trial did not report it. Earlier work lacks later constraints.
        """
        raw = {name: column for name, column in metrics.items() if name in self.directions}
        raw |= {name: cost.finite(codes) for name, cost in self.known.items()}
        # a metric without any value is done without
        objectives = [name for name in self.directions if not np.isnan(raw[name]).all()]
        scaled = [self._scaled(name, raw[name]) for name in objectives]
        bounds = [c for c in self.constraints if not np.isnan(metrics.get(c, np.nan)).all()]
        slack = [known_slack(self.constraints[name] - metrics[name]) for name in bounds]
        sizes = [typical_size(column) for column in slack]
        margins = [scaled_slack(one, size) for one, size in zip(slack, sizes, strict=True)]
        empty = np.empty((len(codes), 0))
        values = np.stack([column for column, _ in scaled], 1) if scaled else empty
        return Told(
            objectives=tuple(objectives),
            known=tuple(name in self.known for name in objectives),
            values=values,
            raw=np.stack([raw[name] for name in objectives], 1) if scaled else empty,
            lines=tuple(line for _, line in scaled),
            reference=reference_of(values),
            constraints=tuple(bounds),
            margins=np.stack(margins, 1) if bounds else empty,
            bounds=tuple(zip([self.constraints[name] for name in bounds], sizes, strict=True)),
            weights=None
            if self.weights is None
            else np.array([self.weights[name] for name in objectives]),
        )

    def _scaled(self, name: str, raw: FloatArray) -> tuple[FloatArray, tuple[float, float]]:
        """Values to be maximized, and (a, b) of a + b raw where they are known to be that."""
        sign = 1.0 if self.directions[name] == "maximize" else -1.0
        if name not in self.known:
            return warp(sign * raw[:, None])[:, 0], (0.0, sign)
        # a known cost is scaled alone: warped, it would have to be as a function of codes, too
        mean, std = standardizer(raw[:, None], np.ones(len(raw)))
        b = sign / float(std[0])
        a = -b * float(mean[0])
        return a + b * raw, (a, b)

    def _weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        given = check_numbers("weights", weights, "an objective to its weight", low=0)
        unknown = [name for name in given if name not in self.directions]
        every = {**dict.fromkeys(self.directions, 1.0), **given}
        if unknown or not any(every.values()):
            must = f"weigh some of {tuple(self.directions)}, not all of them by 0"
            raise checks.refusal("weights", weights, must)
        return every


@dataclass(frozen=True)
class Told:
    """Trials in the terms of the acquisition; n of them.

    Attributes:
        objectives: Those with a value, in order.
        known: Whether each is a known cost.
        values: (n, m).
        raw: (n, m), in the objectives' own units and directions.
        lines: Of each known objective, (a, b) of its values a + b raw.
        reference: Beyond which hypervolume counts, (m,).
        constraints: Those with a value, in order.
        margins: (n, c).
        bounds: Of each constraint, (b, s): its margin is asinh((b - what was told) / s).
        weights: Of the objectives, (m,), or None for the whole front.
    """

    objectives: tuple[str, ...]
    known: tuple[bool, ...]
    values: FloatArray
    raw: FloatArray
    lines: tuple[tuple[float, float], ...]
    reference: FloatArray
    constraints: tuple[str, ...]
    margins: FloatArray
    bounds: tuple[tuple[float, float], ...]
    weights: FloatArray | None

    @property
    def learnt(self) -> dict[str, FloatArray]:
        """What a predictor learns, name -> (n,): objectives that are not known, then margins."""
        columns = zip(self.objectives, self.known, self.values.T, strict=True)
        found = {name: column for name, known, column in columns if not known}
        for name, margin in zip(self.constraints, self.margins.T, strict=True):
            found[margin_name(name)] = margin
        return found

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether a trial violates nothing that was told of it, (n,)."""
        return ~np.asarray((self.margins < 0).any(axis=1), dtype=bool)

    @property
    def is_front(self) -> bool:
        """Whether a front of several objectives is sought."""
        return self.weights is None and 1 < len(self.objectives) <= MOST_METRICS

    def take(self, rows: NDArray[np.intp]) -> Told:
        """Some of the trials; without what has no value in them."""
        has = [not np.isnan(column[rows]).all() for column in self.values.T]
        bound = [not np.isnan(column[rows]).all() for column in self.margins.T]
        return replace(
            self,
            objectives=tuple(compress(self.objectives, has)),
            known=tuple(compress(self.known, has)),
            values=self.values[rows][:, has],
            raw=self.raw[rows][:, has],
            lines=tuple(compress(self.lines, has)),
            reference=self.reference[has],
            constraints=tuple(compress(self.constraints, bound)),
            margins=self.margins[rows][:, bound],
            bounds=tuple(compress(self.bounds, bound)),
            weights=None if self.weights is None else self.weights[has],
        )

    def worth(self, weights: Mapping[str, float]) -> FloatArray:
        """One number for each trial, (n,), NaN where a metric is missing.

        Args:
            weights: Objective -> its weight in a random scalarization, of sum 1.
        """
        if self.weights is not None:
            found: FloatArray = self.values @ self.weights
        elif self.is_front or not self.objectives:
            found = self.values.sum(axis=1)
        else:
            shares = np.array([weights[name] for name in self.objectives])
            found = scalarize(self.values, shares / shares.sum())
        return found

    def order(self, weights: Mapping[str, float], rng: np.random.Generator) -> NDArray[np.intp]:
        """Positions of the trials as starts of the search, (n,).

        By worth, the feasible ones first, and of the others the least violated. Where a front is
        sought, the whole of it in random order, then the best by each objective.
        """
        worth = np.nan_to_num(self.worth(weights), nan=-np.inf)
        lost = np.where(self.margins < 0, -self.margins, 0.0).sum(axis=1)
        order = np.lexsort((-worth, lost))
        if not self.is_front:
            return order
        whole = np.flatnonzero(self.feasible & ~np.isnan(self.values).any(axis=1))
        front = whole[pareto_front(self.values[whole])]
        by_each = np.where(self.feasible[:, None], np.nan_to_num(-self.values, nan=np.inf), np.inf)
        best = np.argsort(by_each, axis=0, kind="stable")[: len(worth) // 2]
        first = [*rng.permutation(front).tolist(), *best.ravel().tolist(), *order.tolist()]
        return np.array(list(dict.fromkeys(first)), dtype=np.intp)


def margin_name(name: str) -> str:
    """The margin's name among what a predictor learns: a metric may be an objective, too."""
    return f"margin of {name}"


def check_costs(
    costs: Costs | None, limits: Mapping[str, float] | None
) -> tuple[dict[str, Any], dict[str, float]]:
    """Costs and limits, in form: what they say of a space is seen later.

    Raises:
        ValueError: No mappings from names to functions and to numbers, or a limit without a cost.
    """
    given = {} if costs is None else costs
    checks.instance("costs", given, Mapping, 'map names to functions, as {"flops": costs.flops}')
    for name, function in given.items():
        checks.text("costs", name)
        must = "be a function of codes, such as costs.flops, or of params"
        checks.call(f"costs[{name!r}]", function, must, required=True)
    bounds = check_numbers("limits", limits, "a known cost to what it must not exceed")
    unknown = [name for name in bounds if name not in given]
    if unknown:
        raise ValueError(
            f"limits has {unknown}, which costs does not compute; give costs={{name: function}}, "
            "or constraints= for what is measured"
        )
    return dict(given), bounds


def checked_goals(
    costs: Costs | None,
    limits: Mapping[str, float] | None,
    constraints: Mapping[str, float] | None,
    weights: Mapping[str, float] | None,
) -> dict[str, Any]:
    """The arguments by name, checked in form.

    Raises:
        ValueError: As ``Goals``, but for what only a space and its metrics tell.
    """
    check_costs(costs, limits)
    check_numbers("constraints", constraints, "a told metric to its bound")
    check_numbers("weights", weights, "an objective to its weight", low=0)
    return {"costs": costs, "limits": limits, "constraints": constraints, "weights": weights}


def check_numbers(
    name: str, given: Mapping[str, float] | None, what: str, *, low: float | None = None
) -> dict[str, float]:
    """Name -> a finite number; none of None.

    Raises:
        ValueError: Anything else.
    """
    checks.instance(name, {} if given is None else given, Mapping, f"map {what}")
    return {
        checks.text(name, key): checks.number(f"{name}[{key!r}]", value, low=low)
        for key, value in (given or {}).items()
    }
