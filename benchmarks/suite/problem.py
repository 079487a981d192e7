"""What a problem of the suite is: params suggested by a trial, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import optuna
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import SearchSpace

_DRAWS = 101  # random trials whose median is "random's median"

Params: TypeAlias = Mapping[str, Any]
Directions: TypeAlias = tuple[Literal["minimize", "maximize"], ...]
Listed: TypeAlias = Iterator[tuple[str, str, Callable[[], "Problem"]]]


@dataclass(frozen=True)
class Outcome:
    """What a trial comes to.

    Attributes:
        values: What the sampler is told, one for each direction.
        true: Without noise, where there is some.
        violations: Of constraints, each kept where it is at most 0.
    """

    values: tuple[float, ...]
    true: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()

    @property
    def feasible(self) -> bool:
        return all(violation <= 0 for violation in self.violations)


@dataclass(frozen=True)
class Problem:
    """A problem, the same for every sampler.

    Attributes:
        name: Unique in the suite.
        family: Class of problem, by which results are grouped.
        suggest: Trial -> its params; the only place where a sampler is asked.
        evaluate: Params, and the generator of the noise -> outcome.
        directions: "minimize" or "maximize" for each value.
        trials: Of a study.
        space: What a user of NCPSampler would declare; None to leave it to the trials.
        noisy: Whether the values have noise.
        conditional: Whether some params exist only under others.
        costs: What a user of NCPSampler would say is computed: a name or the value's index -> a
            function of codes.
        limits: Of costs; then the violations are of these limits.
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

    @property
    def signs(self) -> NDArray[np.float64]:
        """-1 for each direction that is "maximize", so that values times signs are losses."""
        return np.array([-1.0 if way == "maximize" else 1.0 for way in self.directions])

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """Median losses of random trials, one for each direction."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2**31))
        noise = np.random.default_rng(0)
        outcomes = [self.evaluate(self.suggest(study.ask()), noise) for _ in range(_DRAWS)]
        median: NDArray[np.float64] = np.median(self.losses(outcomes), axis=0)
        return median

    def losses(self, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
        """True values (n, m), to be minimized."""
        return np.array([one.true or one.values for one in outcomes]) * self.signs
