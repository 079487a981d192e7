"""Optimizers other than Optuna samplers, as samplers of the suite.

``AskTellSampler`` takes any optimizer that proposes params and observes their loss. To add one,
write its ``AskTell`` and an entry of ``PEERS``. Each needs its package, in the versions of
``peers.txt``, which the suite itself does not need.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import optuna
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmarks.suite.problem import Params, Problem

Distributions: TypeAlias = Mapping[str, BaseDistribution]
Peer: TypeAlias = Callable[[Problem, int], optuna.samplers.BaseSampler]


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


def params_of(distributions: Distributions, values: Mapping[str, Any]) -> Params:
    """Return params from numbers and positions of categories."""
    params: dict[str, Any] = {}
    for name, distribution in distributions.items():
        value = values[name]
        if isinstance(distribution, CategoricalDistribution):
            params[name] = distribution.choices[int(value)]
            continue
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        low, high, step = distribution.low, distribution.high, distribution.step
        if step is not None and not distribution.log:
            value = low + round((value - low) / step) * step
        kind = int if isinstance(distribution, IntDistribution) else float
        params[name] = kind(min(max(value, low), high))  # logarithms round
    return params


class _NGOpt:
    """Nevergrad's NGOpt, which selects an algorithm for the space and the budget."""

    def __init__(self, distributions: Distributions, problem: Problem, seed: int) -> None:
        import nevergrad as ng

        def parameter(distribution: BaseDistribution) -> Any:
            if isinstance(distribution, CategoricalDistribution):
                return ng.p.Choice([*range(len(distribution.choices))])
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
        self._optimizer = ng.optimizers.NGOpt(
            space, budget=problem.trials, num_workers=problem.workers
        )
        self._distributions = distributions

    def ask(self) -> tuple[Params, Any]:
        candidate = self._optimizer.ask()
        return params_of(self._distributions, candidate.value), candidate

    def tell(self, token: Any, params: Params, loss: float) -> None:
        self._optimizer.tell(token, loss)


class _HEBO:
    """Huawei's HEBO, with its default settings."""

    def __init__(self, distributions: Distributions, seed: int) -> None:
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        def parameter(name: str, distribution: BaseDistribution) -> dict[str, Any]:
            if isinstance(distribution, CategoricalDistribution):
                places = [*range(len(distribution.choices))]  # a data frame may change other types
                return {"name": name, "type": "cat", "categories": places}
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            kind = "int" if isinstance(distribution, IntDistribution) else "num"
            if distribution.log:
                kind = {"int": "pow_int", "num": "pow"}[kind]
            return {"name": name, "type": kind, "lb": distribution.low, "ub": distribution.high}

        np.random.seed(seed)  # noqa: NPY002  # HEBO draws from the global generators
        torch.manual_seed(seed)
        space = DesignSpace().parse([parameter(n, d) for n, d in distributions.items()])
        self._optimizer = HEBO(space, scramble_seed=seed)
        self._distributions = distributions

    def ask(self) -> tuple[Params, Any]:
        frame = self._optimizer.suggest(n_suggestions=1)
        return params_of(self._distributions, dict(frame.iloc[0])), frame

    def tell(self, token: Any, params: Params, loss: float) -> None:
        self._optimizer.observe(token, np.array([[loss]]))


class _Ax:
    """Ax with its default generation strategy."""

    def __init__(self, distributions: Distributions, seed: int) -> None:
        from ax.api.client import Client
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

        def parameter(name: str, distribution: BaseDistribution) -> Any:
            if isinstance(distribution, CategoricalDistribution):
                places = [*range(len(distribution.choices))]
                return ChoiceParameterConfig(
                    name=name, values=places, parameter_type="int", is_ordered=False
                )
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            return RangeParameterConfig(
                name=name,
                bounds=(distribution.low, distribution.high),
                parameter_type="int" if isinstance(distribution, IntDistribution) else "float",
                scaling="log" if distribution.log else None,
            )

        # Ax's names must be identifiers
        self._names = {f"p{i}": name for i, name in enumerate(distributions)}
        places = {name: place for place, name in self._names.items()}
        self._distributions = distributions
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(
            parameters=[parameter(places[n], d) for n, d in distributions.items()]
        )
        self._client.configure_optimization(objective="-loss")

    def ask(self) -> tuple[Params, Any]:
        [(trial, values)] = self._client.get_next_trials(max_trials=1).items()
        values = {name: values[place] for place, name in self._names.items()}
        return params_of(self._distributions, values), trial

    def tell(self, token: Any, params: Params, loss: float) -> None:
        self._client.complete_trial(trial_index=token, raw_data={"loss": loss})


class _SMAC:
    """SMAC's facade for hyperparameter optimization, with random forests."""

    def __init__(self, distributions: Distributions, budget: int, seed: int) -> None:
        import ConfigSpace
        from smac import HyperparameterOptimizationFacade, Scenario

        def parameter(name: str, distribution: BaseDistribution) -> Any:
            if isinstance(distribution, CategoricalDistribution):
                places = [*range(len(distribution.choices))]
                return ConfigSpace.CategoricalHyperparameter(name, places)
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            kind = (
                ConfigSpace.UniformIntegerHyperparameter
                if isinstance(distribution, IntDistribution)
                else ConfigSpace.UniformFloatHyperparameter
            )
            return kind(name, distribution.low, distribution.high, log=distribution.log)

        space = ConfigSpace.ConfigurationSpace(seed=seed)
        space.add([parameter(n, d) for n, d in distributions.items()])
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space,
            n_trials=budget,
            seed=seed,
            deterministic=True,
            output_directory=Path(self._folder.name),
        )
        self._optimizer = HyperparameterOptimizationFacade(
            scenario, _never_called, logging_level=False, overwrite=True
        )
        self._distributions = distributions

    def ask(self) -> tuple[Params, Any]:
        info = self._optimizer.ask()
        return params_of(self._distributions, info.config), info

    def tell(self, token: Any, params: Params, loss: float) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self._optimizer.tell(token, TrialValue(cost=loss))


def _never_called(config: Any, seed: int = 0) -> float:
    raise RuntimeError("the suite evaluates the configurations, not SMAC")


def _peer(make: Callable[[Distributions, Problem, int], AskTell]) -> Peer:
    """Return the maker of a sampler from that of an optimizer."""

    def sampler(problem: Problem, seed: int) -> optuna.samplers.BaseSampler:
        distributions = distributions_of(problem)
        try:
            optimizer = make(distributions, problem, seed)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{error.name} is not installed; install the peers: pip install --no-deps -r "
                "benchmarks/suite/peers.txt"
            ) from error
        return AskTellSampler(optimizer, distributions, seed)

    return sampler


PEERS: dict[str, Peer] = {
    "ngopt": _peer(_NGOpt),
    "hebo": _peer(lambda space, problem, seed: _HEBO(space, seed)),
    "ax": _peer(lambda space, problem, seed: _Ax(space, seed)),
    "smac": _peer(lambda space, problem, seed: _SMAC(space, problem.trials, seed)),
}
LABELS = {"ngopt": "NGOpt", "hebo": "HEBO", "ax": "Ax", "smac": "SMAC"}


def takes(problem: Problem) -> bool:
    """Return True if a problem has one objective, no constraints, and fixed parameters."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    outcome = problem.evaluate(problem.suggest(trial), np.random.default_rng(0))
    plain = len(problem.directions) == 1 and not outcome.violations
    return plain and not problem.conditional and not problem.earlier
