"""What an offline search is about: predictors, targets, and how legal codes compare.

Notation
    records    codes and what was measured of them, one set for each task or setting
    utility    sum over targets of weight * (signed prediction) / scale; a bound costs what it
               lacks, ahead of everything else
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.learning import learn
from ncp_sampler.predictors.calibrated import Calibrated
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import Cost, Target, check_metric, label, predict_targets
from ncp_sampler.records.records import FloatArray, Records, spread_of
from ncp_sampler.space.search_space import SearchSpace

Source: TypeAlias = Records | Predictor

_UNIFORM_CODES = 1024  # for the scales of a predictor that comes without records
_BOUND_FIRST = 1e3  # a bound's lack over what other targets can gain
_LEAST_SCALE = 1e-12


@dataclass(frozen=True)
class Found:
    """What a search proposes.

    Attributes:
        code: Legal code, (d,).
        predictions: Metric -> mean prediction; a known cost -> its value.
        uncertainty: Metric -> standard deviation of the prediction; 0 for a known cost.
        noise: Metric -> standard deviation of a measurement around what is predicted, such as of
            a training run; NaN where the predictor does not know it, 0 for a known cost.
        utility: What the search maximized.
        holds: Whether the predictions, less the caution asked for, keep every bound.
        calls: Codes of which a prediction was made, with or without a gradient.
        seconds: Wall time of the search; learning not included.
        trace: How each start was edited; None for a baseline. The code may lie some single steps
            beyond it.
        start: Which start of the trace led to the code.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import Target
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> codes = space.sample(60, 0)
        >>> accuracy = np.log(codes[:, 0] * codes[:, 1])  # what was measured
        >>> predictor = GaussianProcess().fit(space.normalize(codes), {"accuracy": accuracy})
        >>> product = lambda codes: codes[:, 0] * codes[:, 1]  # known of every code
        >>> area = Target("area", "minimize", bound=100, cost=product)
        >>> from ncp_sampler.offline import propagate_search
        >>> found = propagate_search(predictor, [Target("accuracy"), area], space=space)
        >>> found.holds, bool(found.code.prod() <= 100), sorted(found.predictions)
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


class SearchProblem:
    """Predictors and targets of an offline search; compares legal codes.

    Args:
        sources: Records, which are learnt from, or fitted predictors; one for each task.
        targets: At least one; ``predictor`` says which source has the metric. A target without
            ``scale`` takes the metric's standard deviation over the records, or over random codes
            of the space where the source is a predictor.
        space: The codes' search space; the records' own if None.
        records: What fitted predictors learnt: to start from, and to scale costs and codes by.
        seed: Of learning and of random codes.

    Raises:
        ValueError: No source or target, sources of unlike spaces, records that no
            target learns from, or an unknown metric.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> from ncp_sampler.propagation import Target
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> codes = space.sample(60, 0)
        >>> accuracy = np.log(codes[:, 0] * codes[:, 1])  # what was measured
        >>> predictor = GaussianProcess().fit(space.normalize(codes), {"accuracy": accuracy})
        >>> product = lambda codes: codes[:, 0] * codes[:, 1]  # known of every code
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
        must = "be records or a fitted predictor, or a sequence of them"
        alone = isinstance(sources, Records | Predictor)
        given: list[Source] = [
            *checks.sequence("sources", [sources] if alone else sources, object, must)
        ]
        if not given:
            raise ValueError("sources is empty; give records or a fitted predictor")
        for source in given:
            checks.instance("sources", source, (Records, Predictor), must)
        must = "be a sequence of Target, such as [Target('accuracy')]"
        if not checks.sequence("targets", targets, Target, must):
            raise ValueError("targets is empty; give at least one Target")
        learnt = [source for source in given if isinstance(source, Records)]
        must = "be a sequence of Records"
        self.records = [*learnt, *checks.sequence("records", records, Records, must)]
        self.space = _common_space([r.space for r in self.records], space)
        self._random = self.space.sample(_UNIFORM_CODES, checks.integer("seed", seed, low=0))
        self.predictors = [
            learn(source, metrics=wanted_metrics(targets, i), seed=seed)
            if isinstance(source, Records)
            else source
            for i, source in enumerate(checked_sources(given, targets))
        ]
        self.targets = [
            target if target.scale else replace(target, scale=self._scale(target, given))
            for target in targets
        ]

    def unit(self, codes: ArrayLike) -> torch.Tensor:
        """Unit codes of codes, on the predictors' device."""
        return torch.as_tensor(
            self.space.normalize(codes), dtype=torch.float64, device=self.predictors[0].device
        )

    def values(self, codes: ArrayLike, *, caution: bool = True) -> FloatArray:
        """Predictions of every target at codes (n, d), shape (targets, n)."""
        targets = self.targets if caution else [replace(t, caution=0.0) for t in self.targets]
        x = self.unit(np.atleast_2d(np.asarray(codes)))
        with torch.no_grad():
            values = predict_targets(self.predictors, targets, x, self.space)
        return values.cpu().numpy()

    def lacks(self, values: FloatArray) -> FloatArray:
        """By how much bounds are missed, in weighted scales, (n,); 0 where all hold.

        A bound's weight tells missed ones from one another; of weight 0 it is a bound still, and
        counts as if of weight 1.
        """
        total = np.zeros(values.shape[1])
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is not None:
                missed = np.maximum(target.sign * (target.bound - row), 0.0)
                total += (target.weight or 1.0) * missed / (target.scale or 1.0)
        return total

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Utility of codes (n, d), shape (n,)."""
        return self.utility_of(self.values(codes))

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Utility of predictions (targets, n), shape (n,)."""
        total = -_BOUND_FIRST * self.lacks(values)
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is None:
                total += target.sign * target.weight * row / (target.scale or 1.0)
        return total

    def posterior(
        self, code: NDArray[Any]
    ) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """Mean, its standard deviation, and noise of each target's metric at one code (d,)."""
        with torch.no_grad():
            posteriors = [p.posterior(self.unit(code[None])) for p in self.predictors]
        means = self.values(code, caution=False)[:, 0]
        predictions, uncertainty, noise = {}, {}, {}
        for i, (target, mean) in enumerate(zip(self.targets, means, strict=True)):
            name = label(self.targets, i)
            predictions[name], uncertainty[name], noise[name] = float(mean), 0.0, 0.0
            if target.cost is None:
                column = self.predictors[target.predictor].names.index(target.metric)
                uncertainty[name] = float(posteriors[target.predictor][1][0, column])
                predictor = self.predictors[target.predictor]
                noise[name] = float("nan")
                if isinstance(predictor, Calibrated):
                    noise[name] = float(predictor.noise[column])
        return predictions, uncertainty, noise

    def _scale(self, target: Target, sources: Sequence[Source]) -> float:
        if target.cost is not None:
            return cost_scale(target.cost, self.records[0].codes if self.records else self._random)
        source = sources[target.predictor]
        if isinstance(source, Records):
            return spread_of(source.values(target.metric))
        check_metric(self.predictors, target)
        mean, _ = source.predict(self.space.normalize(self._random))
        return max(float(mean[:, source.names.index(target.metric)].std()), _LEAST_SCALE)


class SearchRun:
    """One search of a problem: counts its predictions, and its time from here on.

    Args:
        problem: What to maximize.

    Attributes:
        problem: As given.
        calls: Codes of which a prediction was made so far.
    """

    def __init__(self, problem: SearchProblem) -> None:
        must = "be a SearchProblem, such as SearchProblem(records, targets)"
        self.problem: SearchProblem = checks.instance("problem", problem, SearchProblem, must)
        self.calls = 0
        self._since = time.perf_counter()

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Utility of codes (n, d), shape (n,)."""
        values = self.problem.utility(codes)
        self.calls += len(values)
        return values

    def values(self, codes: ArrayLike) -> FloatArray:
        """Predictions of every target at codes (n, d), less its caution, (targets, n)."""
        values = self.problem.values(codes)
        self.calls += values.shape[1]
        return values

    def found(self, code: NDArray[Any], *, trace: Trace | None = None, start: int = 0) -> Found:
        """A code as the search's result; predictions of the answer itself are no search."""
        values = self.problem.values(code)
        predictions, uncertainty, noise = self.problem.posterior(code)
        return Found(
            code=code,
            predictions=predictions,
            uncertainty=uncertainty,
            noise=noise,
            utility=float(self.problem.utility_of(values)[0]),
            holds=bool(self.problem.lacks(values)[0] <= 0),
            calls=self.calls,
            seconds=time.perf_counter() - self._since,
            trace=trace,
            start=start,
        )


def _common_space(spaces: Sequence[SearchSpace], given: SearchSpace | None) -> SearchSpace:
    """Return the given space, or the one that all sources have.

    Raises:
        ValueError: There is none, or they have other codes.
    """
    if given is not None:
        checks.instance(
            "space", given, SearchSpace, "be a SearchSpace, or None for the records' own"
        )
        spaces = [given, *spaces]
    if not spaces:
        raise ValueError("space is missing; predictors do not know theirs, so give it")
    if not all(spaces[0].same_codes(other) for other in spaces):
        raise ValueError("sources of different search spaces cannot be searched together")
    return spaces[0]


def cost_scale(cost: Cost, codes: ArrayLike) -> float:
    """Standard deviation of a known cost over codes (n, d), above 0."""
    values = cost(torch.as_tensor(np.asarray(codes, dtype=np.float64)))
    return max(float(values.std()), _LEAST_SCALE)


def wanted_metrics(targets: Sequence[Target], i: int) -> list[str]:
    """Metrics that source i has to predict."""
    return [t.metric for t in targets if t.cost is None and t.predictor == i]


def checked_sources(given: list[Source], targets: Sequence[Target]) -> list[Source]:
    """The sources, each with a target, and each target with a source.

    Raises:
        ValueError: A target without a source, or records without a target.
    """
    for target in targets:
        if target.cost is None and target.predictor >= len(given):
            raise ValueError(
                f"target {target.metric!r} wants source {target.predictor}, there are {len(given)}"
            )
    for i, source in enumerate(given):
        if isinstance(source, Records) and not wanted_metrics(targets, i):
            raise ValueError(
                f"no target learns from source {i}; drop it, or give a Target with predictor={i}"
            )
    return given
