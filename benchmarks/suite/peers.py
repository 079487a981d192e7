"""Optimizers other than Optuna samplers, as samplers of the suite.

``AskTellSampler`` takes any optimizer that proposes params and observes their loss. To add one,
write its ``AskTell`` and an entry of ``PEERS``. Each needs its package, in the versions of
``peers.txt``, which the suite itself does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmarks.suite.problem import Params, Problem

Distributions = Mapping[str, BaseDistribution]


class AskTell(Protocol):
    """Optimizer that minimizes one loss."""

    def ask(self) -> tuple[Params, Any]:
        """Return the next params, and the object to pass to ``tell`` with their loss."""

    def tell(self, token: Any, params: Params, loss: float) -> None:
        """Record a loss."""


class AskTellSampler(optuna.samplers.BaseSampler):
    """Optuna sampler from an ask/tell optimizer, for the parameters of a problem's first trial.

    Parameters that the optimizer does not know, or whose range has changed since, are drawn at
    random. Most such optimizers do not accept failed trials, which are therefore reported with the
    worst loss so far, or not at all before there is one.

    Args:
        optimizer: The optimizer.
        distributions: The parameters that it proposes.
        seed: Seed of all random draws.
    """

    def __init__(self, optimizer: AskTell, distributions: Distributions, seed: int) -> None:
        self._optimizer, self._distributions = optimizer, distributions
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._running: dict[int, tuple[Params, Any]] = {}
        self._worst = -np.inf

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self._distributions)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        self._running[trial.number] = params, _ = self._optimizer.ask()
        return dict(params)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        params, token = self._running.pop(trial.number)
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        loss = sign * values[0] if state == TrialState.COMPLETE and values else np.nan
        if np.isfinite(loss):
            self._worst = max(self._worst, loss)
        elif np.isfinite(self._worst):
            loss = self._worst
        if np.isfinite(loss):
            self._optimizer.tell(token, params, float(loss))


def distributions_of(problem: Problem) -> dict[str, BaseDistribution]:
    """Return the parameters of a problem's first trial."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    problem.suggest(trial)
    return trial.distributions


class _NGOpt:
    """Nevergrad's NGOpt, which selects an algorithm for the space and the budget."""

    def __init__(self, distributions: Distributions, budget: int, workers: int, seed: int) -> None:
        import nevergrad as ng

        def parameter(distribution: BaseDistribution) -> Any:
            if isinstance(distribution, CategoricalDistribution):
                return ng.p.Choice(list(distribution.choices))
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            bounds = {"lower": distribution.low, "upper": distribution.high}
            number = ng.p.Log(**bounds) if distribution.log else ng.p.Scalar(**bounds)
            return (
                number.set_integer_casting()
                if isinstance(distribution, IntDistribution)
                else number
            )

        space = ng.p.Dict(
            **{name: parameter(distribution) for name, distribution in distributions.items()}
        )
        space.random_state = np.random.RandomState(seed)
        self._optimizer = ng.optimizers.NGOpt(space, budget=budget, num_workers=workers)
        self._distributions = distributions

    def ask(self) -> tuple[Params, Any]:
        candidate = self._optimizer.ask()
        return {n: self._on_grid(n, v) for n, v in candidate.value.items()}, candidate

    def tell(self, token: Any, params: Params, loss: float) -> None:
        self._optimizer.tell(token, loss)

    def _on_grid(self, name: str, value: Any) -> Any:
        distribution = self._distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            return value
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        if distribution.step is not None and not distribution.log:
            value = (
                distribution.low
                + round((value - distribution.low) / distribution.step) * distribution.step
            )
        return min(
            max(value, distribution.low), distribution.high
        )  # corrects rounding errors of the logarithm


PEERS: dict[str, Callable[[Problem, int], optuna.samplers.BaseSampler]] = {
    "ngopt": lambda problem, seed: AskTellSampler(
        _NGOpt(distributions_of(problem), problem.trials, problem.workers, seed),
        distributions_of(problem),
        seed,
    ),
}
LABELS = {"ngopt": "NGOpt"}


def takes(problem: Problem) -> bool:
    """Return True if a problem has one objective, no constraints, and fixed parameters."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    outcome = problem.evaluate(problem.suggest(trial), np.random.default_rng(0))
    plain = len(problem.directions) == 1 and not outcome.violations
    return plain and not problem.conditional and not problem.earlier
