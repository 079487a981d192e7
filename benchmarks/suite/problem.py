"""Problems of the suite: params that a trial suggests, and their outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from torch import Tensor

from ncp_sampler import SearchSpace

_DRAWS = 101  # number of random trials whose median is the median of random search

Params: TypeAlias = Mapping[str, Any]
Directions: TypeAlias = tuple[Literal["minimize", "maximize"], ...]
Listed: TypeAlias = Iterator[tuple[str, str, Callable[[], "Problem"]]]


@dataclass(frozen=True)
class Outcome:
    """Result of a trial.

    Attributes:
        values: Values reported to the sampler, one for each direction; none if the trial fails.
        true: Values without noise, if there is noise.
        violations: Constraint values, each satisfied if at most 0.
        unreported: Indices of the violations that the trial does not report.
    """

    values: tuple[float, ...]
    true: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()
    unreported: frozenset[int] = frozenset()

    @property
    def failed(self) -> bool:
        """True if the trial has no value in Optuna's sense, where NaN is no value."""
        return not self.values or any(map(math.isnan, self.values))

    @property
    def feasible(self) -> bool:
        return all(violation <= 0 for violation in self.violations)


@dataclass(frozen=True)
class Problem:
    """Problem that is the same for every sampler.

    Attributes:
        name: Name, unique in the suite.
        family: Class of problem, by which results are grouped.
        suggest: Trial -> its params; the only place where a sampler is asked.
        evaluate: Params, and the generator of the noise -> outcome.
        directions: "minimize" or "maximize" for each value.
        trials: Number of trials of a study.
        space: Space that a user of NCPSampler would declare; None if it is left to the trials.
        noisy: True if the values have noise, which samplers receive as an argument.
        conditional: True if some params exist only under conditions.
        costs: Known costs that a user of NCPSampler would declare: name or index of the value ->
            function of codes.
        limits: Limits of costs; the violations are those of these limits.
        optimum: Best true feasible value, if it is known.
        earlier: Trials that the study contains at the beginning; they count neither as trials nor
            as results of the sampler.
        workers: Number of trials that run at once, with varying durations.
        reported_from: Number of the first trial that reports constraints.
        partial: True if the trials report different numbers of constraints.
        mean: Params -> values without noise, if these require further evaluations; called only for
            the best trials so far. None if ``evaluate`` returns these values.
        instance: Seed of a study -> problem of that study; None if all studies have the same.
    """

    name: str
    family: str
    suggest: Callable[[optuna.Trial], Params] = field(repr=False)
    evaluate: Callable[[Params, np.random.Generator], Outcome] = field(repr=False)
    directions: Directions = ("minimize",)
    trials: int = 100
    space: SearchSpace | None = None
    noisy: bool = False
    conditional: bool = False
    costs: Mapping[str | int, Callable[[Tensor], Tensor]] = field(default_factory=dict, repr=False)
    limits: Mapping[str | int, float] = field(default_factory=dict)
    optimum: float | None = None
    earlier: tuple[FrozenTrial, ...] = field(default=(), repr=False)
    workers: int = 1
    reported_from: int = 0
    partial: bool = False
    mean: Callable[[Params], tuple[float, ...]] | None = field(default=None, repr=False)
    instance: Callable[[int], Problem] | None = field(default=None, repr=False)

    @property
    def signs(self) -> NDArray[np.float64]:
        """-1 for each direction that is "maximize", so that values times signs are losses."""
        return np.array([-1.0 if way == "maximize" else 1.0 for way in self.directions])

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """Median losses of the random trials that do not fail, one per direction."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2**31))
        noise = np.random.default_rng(0)
        outcomes = [self.evaluate(self.suggest(study.ask()), noise) for _ in range(_DRAWS)]
        finished = [outcome for outcome in outcomes if not outcome.failed]
        median: NDArray[np.float64] = np.median(self.losses(finished), axis=0)
        return median

    def losses(self, outcomes: Sequence[Outcome], *, observed: bool = False) -> NDArray[np.float64]:
        """Return true or observed values (n, m), to be minimized; infinite for failed trials."""
        losses = np.full((len(outcomes), len(self.directions)), np.inf)
        for row, outcome in zip(losses, outcomes, strict=True):
            if not outcome.failed:
                row[:] = self.signs * (
                    outcome.values if observed else outcome.true or outcome.values
                )
        return losses
