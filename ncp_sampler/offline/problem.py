"""Offline search problems: predictors, targets, measured rows, and the utility of codes.

Notation
    d, n      number of columns of a code, number of codes
    values    confidence bound of each target, mean - sign * beta * std, (targets, n); a known cost
              is exact
    utility   sum of weight * sign * value / scale over the targets without a bound, minus a large
              factor times the violation of the bounds, (n,)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.defaults import BETA
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.offline.known_costs import cost_at, with_known_costs
from ncp_sampler.offline.recipes import fit_source, modeled_metrics
from ncp_sampler.predictors.predictor import Model, Predictor, as_model
from ncp_sampler.propagation.targets import (
    Cost,
    Target,
    check_targets,
    checked_targets,
    predict_targets,
)
from ncp_sampler.records.records import FloatArray, Records, spread_of
from ncp_sampler.space.search_space import SearchSpace

Source: TypeAlias = Records | Predictor

_UNIFORM_CODES = 1024  # number of random codes that determine scales if there are no records
_BOUND_FACTOR = 1e3  # factor of a violation, so that bounds have priority over the other targets
_CONSTANT = 1e-12  # relative variation below which values count as constant (rounding)
# Failed runs are at most a quarter of the rows, and a gap separates them from the others, which is
# more than twice as wide as the range of all better values. No metric of the full NAS-Bench-MR
# tables has such a gap, although accuracies there extend to 40 times the distance between the
# median and the upper quartile.
_FAILED_SHARE = 0.25
_GAP = 2.0
_LEAST_BETTER = 5  # minimum number of better rows: in fewer, wide gaps are common


@with_old_names
class SearchProblem:
    """Predictors and targets of an offline search.

    Args:
        sources: Records, to which ``learn`` fits predictors, or fitted predictors; one per task.
        targets: At least one target; ``Target.predictor`` is the position of the source that has
            the metric. A target without ``scale`` gets the metric's standard deviation over the
            records, or over random codes of the space if the source is a predictor. Failed runs,
            whose values are far worse than all others, do not count. A target without ``beta`` gets
            ``BETA`` (3).
        space: The codes' search space; None for the space of the records.
        records: For sources that are fitted predictors, the rows to which they were fitted, in the
            order of these sources. The rows provide starts, the scales of known costs, and the best
            measured row.
        seed: Seed of the fits and the random codes.

    Attributes:
        predictors: One predictor per source.
        records: Sources that are records, followed by ``records``.
        tables: Records of each predictor, or None if they are unknown.
        space: The codes' search space.
        targets: The targets, each with a scale and a beta.

    Raises:
        ValueError: There is no source or no target, the sources have different spaces, a source of
            records is not used by any target, a metric is unknown, or a cost is a function of
            neither codes nor params.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
        >>> from ncp_sampler.offline import Records, SearchProblem, propagate_search
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import Target
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> codes = space.sample(60, 0)
        >>> accuracy = np.log(codes[:, 0] * codes[:, 1])  # as measured
        >>> predictor = GaussianProcess().fit(space.normalize(codes), {"accuracy": accuracy})
        >>> product = lambda codes: codes[:, 0] * codes[:, 1]  # known for every code
        >>> area = Target("area", "minimize", bound=100, cost=product)
        >>> problem = SearchProblem(predictor, [Target("accuracy"), area], space=space)
        >>> len(problem.targets)
        2
    """

    def __init__(
        self,
        sources: Source | Sequence[Source],
        targets: Sequence[Target],
        *,
        space: SearchSpace | None = None,
        records: Sequence[Records] = (),
        seed: int = 0,
    ) -> None:
        alone = isinstance(sources, Records | Predictor)
        must = "be records or a fitted predictor, or a sequence of them"
        listed = [sources] if alone else sources
        given: list[Source] = checks.sequence("sources", listed, (Records, Predictor), must)
        if not given:
            raise ValueError("sources is empty; give records or a fitted predictor")
        must = "be a sequence of Records"
        of_predictors: list[Records] = checks.sequence("records", records, Records, must)
        tables = [source for source in given if isinstance(source, Records)]
        self.records = [*tables, *of_predictors]
        rest = iter(of_predictors)
        self.tables = [
            source if isinstance(source, Records) else next(rest, None) for source in given
        ]
        self.space = _common_space([table.space for table in self.records], space)
        random = self.space.sample(_UNIFORM_CODES, checks.integer("seed", seed, low=0))
        check_sources(given, targets)
        targets = with_known_costs(targets, self.space)
        self.predictors: list[Model] = [
            fit_source(source, targets, i, seed=seed)
            if isinstance(source, Records)
            else as_model("sources", source)
            for i, source in enumerate(given)
        ]
        check_targets(self.predictors, targets)
        codes = self.records[0].codes if self.records else random
        unit = self.space.normalize(random)
        scaled = [with_scale(target, given, codes, unit) for target in targets]
        self.targets = [
            replace(target, beta=BETA) if target.beta is None else target for target in scaled
        ]

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of each target's measurements, (targets,); NaN if unknown."""
        noise = np.zeros(len(self.targets))
        for k, target in enumerate(self.targets):
            if target.cost is None:
                predictor = self.predictors[target.predictor]
                known = getattr(predictor, "noise", None)  # wrappers return 0 for unknown noise
                at = predictor.names.index(target.metric)
                noise[k] = np.nan if known is None or not known[at] > 0 else known[at]
        return noise

    def moments(self, codes: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the means and standard deviations (targets, n) of the targets at codes (n, d)."""
        rows = np.atleast_2d(np.asarray(codes, dtype=np.float64))
        x = self.space.normalize(rows)
        mean = self.costs(rows)
        std = np.zeros_like(mean)
        used = {target.predictor for target in self.targets if target.cost is None}
        posteriors = {i: self.predictors[i].predict(x) for i in used}
        for k, target in enumerate(self.targets):
            if target.cost is None:
                at = self.predictors[target.predictor].names.index(target.metric)
                mean[k], std[k] = (part[:, at] for part in posteriors[target.predictor])
        return mean, std

    def costs(self, codes: ArrayLike) -> FloatArray:
        """Return the known costs (targets, n) at codes (n, d), with 0 for each modeled target."""
        values = np.zeros((len(self.targets), len(np.asarray(codes))))
        for k, target in enumerate(self.targets):
            if target.cost is not None:
                values[k] = _evaluate(target.cost, codes).numpy()
        return values

    def shown(self, values: FloatArray, codes: ArrayLike) -> FloatArray:
        """Return values (targets, n) of valid codes (n, d) with infinite costs, for the user.

        Elsewhere, a finite number above all other costs replaces them.
        """
        shown = np.array(values)
        for k, target in enumerate(self.targets):
            if target.cost is not None:
                shown[k, np.isinf(cost_at(target.cost, np.atleast_2d(codes)))] = np.inf
        return shown

    def values(self, codes: ArrayLike) -> FloatArray:
        """Return the values (targets, n) of the targets at codes (n, d); see Notation."""
        x = self.space.normalize(np.atleast_2d(np.asarray(codes)))
        return predict_targets(self.predictors, self.targets, x, self.space)[0]

    def cautious(self, mean: FloatArray, std: FloatArray) -> FloatArray:
        """Return means that are made worse by beta standard deviations, (targets, n)."""
        betas = np.array([target.sign * (target.beta or 0.0) for target in self.targets])
        return mean - betas[:, None] * std

    def violation(self, values: FloatArray) -> FloatArray:
        """Return the violation (n,) of the bounds by values (targets, n).

        The violation is the sum of the excesses over the bounds, each multiplied by the weight of
        its target and divided by its scale. It is 0 if all bounds hold. A bound with weight 0
        counts with weight 1.
        """
        total = np.zeros(values.shape[1])
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is not None:
                missed = np.maximum(target.sign * (target.bound - row), 0.0)
                total += (target.weight or 1.0) * missed / (target.scale or 1.0)
        return total

    @property
    def weights(self) -> FloatArray:
        """Signed weight of each target per unit of its value, (targets,); 0 for bounded targets."""
        return np.array(
            [
                0.0
                if target.bound is not None
                else target.sign * target.weight / (target.scale or 1.0)
                for target in self.targets
            ]
        )

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Return the utility (n,) of codes (n, d)."""
        return self.utility_of(self.values(codes))

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Return the utility (n,) of values (targets, n)."""
        return np.asarray(self.weights @ values - self.penalty_of(values))

    def penalty_of(self, values: FloatArray) -> FloatArray:
        """Return the amounts (n,) that are subtracted from the utility for violated bounds."""
        return _BOUND_FACTOR * self.violation(values)

    def with_target(self, at: int, target: Target) -> SearchProblem:
        """Return a copy with one target replaced; the new target must have a scale."""
        changed = copy.copy(self)
        changed.targets = [*self.targets[:at], target, *self.targets[at + 1 :]]
        return changed

    def with_observed(self, code: NDArray[Any]) -> SearchProblem:
        """Return a copy whose predictors have observed their own mean at a code (d,)."""
        changed, x = copy.copy(self), self.space.normalize(code[None])
        changed.predictors = [predictor.condition(x) for predictor in self.predictors]
        return changed


def as_problem(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target],
    *,
    space: SearchSpace | None,
    seed: int,
) -> SearchProblem:
    """Return the given ``SearchProblem``, or a new one of the given sources and targets.

    Raises:
        ValueError: As for ``SearchProblem``; or targets or a space are given with a problem.
    """
    if not isinstance(sources, SearchProblem):
        return SearchProblem(sources, targets, space=space, seed=seed)
    if targets or space is not None:
        raise ValueError("a SearchProblem has its own targets and space; leave these arguments out")
    return sources


def given_codes(name: str, value: Any, space: SearchSpace) -> FloatArray:
    """Return codes (n, d) from an argument (n, d) or (d,); n may be 0.

    Raises:
        ValueError: The shape is wrong, or a number is not finite.
    """
    codes, d = np.atleast_2d(checks.array(name, value)), len(space.columns)
    if codes.size == 0 and codes.ndim == 2:
        return np.zeros((0, d))
    if codes.ndim != 2 or codes.shape[1] != d or not np.isfinite(codes).all():
        must = f"be finite codes of shape (n, {d}) or ({d},), such as space.start"
        raise checks.refusal(name, value, must)
    return codes


def with_scale(
    target: Target, sources: Sequence[Source], codes: ArrayLike, unit: ArrayLike
) -> Target:
    """Return the target with a scale, by default the standard deviation of its metric.

    Values of failed runs are left out. Otherwise, a single failed run among 80 can multiply the
    scale of an accuracy by 5, so that a trade-off neglects the accuracy. The scale of a known cost
    includes all values, because a cost is not measured and does not fail.

    Args:
        target: The target; if it has a scale, it is returned unchanged.
        sources: The sources. For records, the scale is the standard deviation of their values.
        codes: Codes (n, d) at which a known cost is evaluated.
        unit: Unit codes (n, d) at which the mean of a fitted predictor is evaluated.
    """
    if target.scale:
        return target
    source = None if target.cost is not None else sources[target.predictor]
    values: FloatArray
    if target.cost is not None:
        values = _evaluate(target.cost, codes).numpy()
    elif isinstance(source, Records):
        values = source.values(target.metric)
    else:
        assert source is not None
        values = source.predict(unit)[0][:, source.names.index(target.metric)]
    if target.cost is None:
        values = _without_failures(target.sign * values)  # the sign does not change the scale
    size = float(np.nanmax(np.abs(values)))
    # a constant must not get a tiny scale: its huge value would hide all other targets
    if np.nanmax(values) / 2 - np.nanmin(values) / 2 <= _CONSTANT * size:
        return replace(target, scale=max(size, 1.0))
    return replace(target, scale=spread_of(values))


def _without_failures(values: FloatArray) -> FloatArray:
    """Return values (n,) to be maximized without NaN and without the values of failed runs."""
    ordered = -np.sort(-values[~np.isnan(values)])
    with np.errstate(over="ignore"):
        gaps, ranges = ordered[:-1] - ordered[1:], ordered[:1] - ordered[:-1]
        n_better = np.arange(1, len(ordered))
        least = max(_LEAST_BETTER, (1 - _FAILED_SHARE) * len(ordered))
        varies = ranges > _CONSTANT * np.abs(ordered[:1])  # a constant has no range to compare
        ends = n_better[(n_better >= least) & varies & (gaps > _GAP * ranges)]
    return ordered[: ends[0]] if len(ends) else ordered


def check_sources(sources: Sequence[Source], targets: Sequence[Target]) -> None:
    """Raise ValueError if a target has no source, or if no target uses a source of records."""
    for target in checked_targets(targets):
        if target.cost is None and target.predictor >= len(sources):
            raise ValueError(
                f"target {target.metric!r} refers to source {target.predictor}, but the number "
                f"of sources is {len(sources)}"
            )
    for i, source in enumerate(sources):
        if isinstance(source, Records) and not modeled_metrics(targets, i):
            raise ValueError(
                f"no target uses source {i}; drop it, or give a Target with predictor={i}"
            )


def _evaluate(cost: Cost, codes: ArrayLike) -> torch.Tensor:
    with torch.no_grad():
        return cost(torch.as_tensor(np.asarray(codes, dtype=np.float64))).double().cpu()


def _common_space(spaces: Sequence[SearchSpace], given: SearchSpace | None) -> SearchSpace:
    """Return the given space, or the common space of all sources.

    Raises:
        ValueError: There is no space, or the spaces have different codes.
    """
    if given is not None:
        must = f"{checks.A_SPACE}, or None for the records' own"
        spaces = [checks.instance("space", given, SearchSpace, must), *spaces]
    if not spaces:
        raise ValueError("space is missing; fitted predictors do not have one, so give it")
    if not all(spaces[0].same_codes(space) for space in spaces):
        raise ValueError("sources of different search spaces cannot be searched together")
    return spaces[0]
