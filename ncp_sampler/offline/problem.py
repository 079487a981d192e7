"""Offline search problems: predictors and targets, and how valid codes compare.

Notation
    d, n      columns of a code, codes
    values    prediction of each target, less its beta times the standard deviation, (targets, n)
    utility   sum over targets of weight * signed value / scale, less the violation of the bounds,
              whose factor puts it before everything else, (n,)
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.offline.recipes import learn
from ncp_sampler.predictors.calibration import Calibrated
from ncp_sampler.predictors.predictor import Predictor, as_model
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import Cost, Target, check_metric, label, predict_targets
from ncp_sampler.records.records import FloatArray, Records, spread_of
from ncp_sampler.space.search_space import SearchSpace

Source: TypeAlias = Records | Predictor

_UNIFORM_CODES = 1024  # random codes that scale the targets of a predictor without records
_BOUND_FACTOR = 1e3  # factor of a violation, above what other targets can gain
_LEAST_SCALE = 1e-12


@dataclass(frozen=True)
class Solution:
    """Result of an offline search.

    Attributes:
        code: Valid code, (d,).
        predictions: Metric -> predicted mean; a known cost -> its value.
        uncertainty: Metric -> standard deviation of the prediction; 0 for a known cost.
        noise: Metric -> standard deviation of a measurement, such as a training run, around its
            mean; NaN where the predictor does not know it, 0 for a known cost.
        utility: Maximized utility.
        holds: True if the predictions, less beta times the standard deviations, keep every bound.
        calls: Number of codes predicted, with or without a gradient.
        seconds: Wall time of the search, without that of fitting predictors.
        trace: Path of each start; None for a baseline. Hill climbing may lead beyond it.
        start: Position of the start that led to the code.

    Examples:
        >>> from ncp_sampler.offline import propagate_search  # ``problem`` as in SearchProblem
        >>> solution = propagate_search(problem)
        >>> solution.holds, bool(solution.code.prod() <= 100), sorted(solution.predictions)
        (True, True, ['accuracy', 'area'])
    """

    code: NDArray[Any]
    predictions: dict[str, float]
    uncertainty: dict[str, float]
    noise: dict[str, float]
    utility: float
    holds: bool
    calls: int
    seconds: float
    trace: Trace | None = field(default=None, repr=False)
    start: int = 0


@with_old_names
class SearchProblem:
    """Predictors and targets of an offline search.

    Args:
        sources: Records, to which ``learn`` fits a predictor, or fitted predictors; one per task.
        targets: At least one; ``Target.predictor`` is the position of the source that has the
            metric. A target without ``scale`` gets the metric's standard deviation over the
            records, or over random codes of the space where the source is a predictor.
        space: The codes' search space; the records' own if None.
        records: Rows that fitted predictors were fitted on, which give starts and scales.
        seed: Seed of fits and random codes.

    Attributes:
        predictors: One per source.
        records: The sources that are records, then ``records``.
        space: The codes' search space.
        targets: The targets, each with a scale.

    Raises:
        ValueError: No source or target, sources of different spaces, records that no target uses,
            or an unknown metric.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
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
        must = "be a sequence of Target, such as [Target('accuracy')]"
        if not checks.sequence("targets", targets, Target, must):
            raise ValueError("targets is empty; give at least one Target")
        own = [source for source in given if isinstance(source, Records)]
        must = "be a sequence of Records"
        self.records = [*own, *checks.sequence("records", records, Records, must)]
        self.space = _common_space([table.space for table in self.records], space)
        random = self.space.sample(_UNIFORM_CODES, checks.integer("seed", seed, low=0))
        check_sources(given, targets)
        self.predictors = [
            learn(source, metrics=modeled_metrics(targets, i), seed=seed)
            if isinstance(source, Records)
            else as_model("sources", source)
            for i, source in enumerate(given)
        ]
        self.targets = [
            target if target.scale else replace(target, scale=self._scale(target, given, random))
            for target in targets
        ]

    def values(self, codes: ArrayLike) -> FloatArray:
        """Return the value of every target at codes (n, d), (targets, n)."""
        x = self.space.normalize(np.atleast_2d(np.asarray(codes)))
        return predict_targets(self.predictors, self.targets, x, self.space)[0]

    def violation(self, values: FloatArray) -> FloatArray:
        """Return by how much values (targets, n) miss the bounds, weighted and scaled, (n,).

        It is 0 where all hold. Weights compare violated bounds; a bound of weight 0 is one still,
        and counts as one of weight 1.
        """
        total = np.zeros(values.shape[1])
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is not None:
                missed = np.maximum(target.sign * (target.bound - row), 0.0)
                total += (target.weight or 1.0) * missed / (target.scale or 1.0)
        return total

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Return the utility of codes (n, d), (n,)."""
        return self.utility_of(self.values(codes))

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Return the utility of values (targets, n), (n,)."""
        total = -_BOUND_FACTOR * self.violation(values)
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is None:
                total += target.sign * target.weight * row / (target.scale or 1.0)
        return total

    def with_target(self, at: int, target: Target) -> SearchProblem:
        """Return the problem with another target, which has a scale, in one position."""
        changed = copy.copy(self)
        changed.targets = [*self.targets[:at], target, *self.targets[at + 1 :]]
        return changed

    def assessed(self, solution: Solution) -> Solution:
        """Return a solution with the utility and bounds of this problem."""
        values = self.values(solution.code)
        utility, holds = float(self.utility_of(values)[0]), bool(self.violation(values)[0] <= 0)
        return replace(solution, utility=utility, holds=holds)

    def _scale(self, target: Target, sources: Sequence[Source], random: NDArray[Any]) -> float:
        if target.cost is not None:
            return cost_scale(target.cost, self.records[0].codes if self.records else random)
        source = sources[target.predictor]
        if isinstance(source, Records):
            return spread_of(source.values(target.metric))
        check_metric(self.predictors, target)
        mean, _ = source.predict(self.space.normalize(random))
        return max(float(mean[:, source.names.index(target.metric)].std()), _LEAST_SCALE)


class SearchRun:
    """One search of a problem, which counts its predictions and its time.

    Args:
        problem: The problem to search.

    Attributes:
        problem: As given.
        calls: Number of codes predicted so far.
    """

    def __init__(self, problem: SearchProblem) -> None:
        must = "be a SearchProblem, such as SearchProblem(records, targets)"
        self.problem: SearchProblem = checks.instance("problem", problem, SearchProblem, must)
        self.calls = 0
        self._began = time.perf_counter()

    def values(self, codes: ArrayLike) -> FloatArray:
        """Return the value of every target at codes (n, d), (targets, n)."""
        values = self.problem.values(codes)
        self.calls += values.shape[1]
        return values

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Return the utility of codes (n, d), (n,)."""
        return self.problem.utility_of(self.values(codes))

    def solution(
        self, code: NDArray[Any], *, trace: Trace | None = None, start: int = 0
    ) -> Solution:
        """Return a code (d,) as the search's result; its own predictions do not count."""
        problem, x = self.problem, self.problem.space.normalize(code[None])
        values = problem.values(code)
        posteriors = [predictor.predict(x) for predictor in problem.predictors]
        facts = {}  # name -> mean, standard deviation, noise
        for i, target in enumerate(problem.targets):
            row = float(values[i, 0]), 0.0, 0.0
            if target.cost is None:
                predictor = problem.predictors[target.predictor]
                mean, std = posteriors[target.predictor]
                column = predictor.names.index(target.metric)
                spread = np.nan
                if isinstance(predictor, Calibrated):
                    spread = predictor.noise[column]
                row = float(mean[0, column]), float(std[0, column]), float(spread)
            facts[label(problem.targets, i)] = row
        predictions, uncertainty, noise = (
            {name: row[k] for name, row in facts.items()} for k in range(3)
        )
        return Solution(
            code=code,
            predictions=predictions,
            uncertainty=uncertainty,
            noise=noise,
            utility=float(problem.utility_of(values)[0]),
            holds=bool(problem.violation(values)[0] <= 0),
            calls=self.calls,
            seconds=time.perf_counter() - self._began,
            trace=trace,
            start=start,
        )


def as_problem(
    sources: Source | Sequence[Source] | SearchProblem,
    targets: Sequence[Target],
    *,
    space: SearchSpace | None,
    seed: int,
) -> SearchProblem:
    """Return a problem, given as it is or by its parts.

    Raises:
        ValueError: As ``SearchProblem``; or parts beside a problem.
    """
    if not isinstance(sources, SearchProblem):
        return SearchProblem(sources, targets, space=space, seed=seed)
    if targets or space is not None:
        raise ValueError("targets and space are the problem's own; give them to it alone")
    return sources


def given_codes(name: str, value: Any, space: SearchSpace) -> FloatArray:
    """Return codes (n, d) from an argument (n, d) or (d,); n may be 0.

    Raises:
        ValueError: Another shape, or numbers that are not finite.
    """
    codes, d = np.atleast_2d(checks.array(name, value)), len(space.columns)
    if codes.size == 0 and codes.ndim == 2:
        return np.zeros((0, d))
    if codes.ndim != 2 or codes.shape[1] != d or not np.isfinite(codes).all():
        must = f"be finite codes of shape (n, {d}) or ({d},), such as space.start"
        raise checks.refusal(name, value, must)
    return codes


def cost_scale(cost: Cost, codes: ArrayLike) -> float:
    """Return the standard deviation of a known cost over codes (n, d), above 0."""
    values = cost(torch.as_tensor(np.asarray(codes, dtype=np.float64)))
    return max(float(values.std()), _LEAST_SCALE)


def modeled_metrics(targets: Sequence[Target], i: int) -> list[str]:
    """Return the metrics that source i must predict."""
    return [t.metric for t in targets if t.cost is None and t.predictor == i]


def check_sources(sources: Sequence[Source], targets: Sequence[Target]) -> None:
    """Raise ValueError for a target without a source, or records without a target."""
    for target in targets:
        if target.cost is None and target.predictor >= len(sources):
            raise ValueError(
                f"target {target.metric!r} wants source {target.predictor}, there are "
                f"{len(sources)}"
            )
    for i, source in enumerate(sources):
        if isinstance(source, Records) and not modeled_metrics(targets, i):
            raise ValueError(
                f"no target uses source {i}; drop it, or give a Target with predictor={i}"
            )


def _common_space(spaces: Sequence[SearchSpace], given: SearchSpace | None) -> SearchSpace:
    """Return the given space, or the one that all sources have.

    Raises:
        ValueError: There is none, or they have different codes.
    """
    if given is not None:
        must = "be a SearchSpace, or None for the records' own"
        spaces = [checks.instance("space", given, SearchSpace, must), *spaces]
    if not spaces:
        raise ValueError("space is missing; predictors do not know theirs, so give it")
    if not all(spaces[0].same_codes(other) for other in spaces):
        raise ValueError("sources of different search spaces cannot be searched together")
    return spaces[0]
