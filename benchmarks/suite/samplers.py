"""The samplers of the suite, each with its default settings except for the seed."""

from __future__ import annotations

from collections.abc import Callable

import optuna

from benchmarks.suite import peers
from benchmarks.suite.problem import Problem
from ncp_sampler import NCPSampler
from ncp_sampler.predictors.registry import PREDICTORS

Make = Callable[[Problem, int], optuna.samplers.BaseSampler]

_GP = "gp"
_VARIANT = "ncp:"  # followed by the name of a predictor
_MODELED = "ncp:learnt"  # costs and limits are modeled like any metric


def _ncp(predictor: str = "auto", *, known: bool = True) -> Make:
    """Return a factory of NCPSampler, with or without known costs and limits."""
    return lambda problem, seed: NCPSampler(
        space=problem.space,
        costs=problem.costs if known else None,
        limits=problem.limits if known else None,
        seed=seed,
        deterministic_objective=not problem.noisy,
        predictor=predictor,
    )


def _botorch(_: Problem, seed: int) -> optuna.samplers.BaseSampler:
    """Return BoTorchSampler, which needs ``pip install botorch optuna-integration``."""
    from optuna_integration import BoTorchSampler

    sampler: optuna.samplers.BaseSampler = BoTorchSampler(seed=seed)
    return sampler


SAMPLERS: dict[str, Make] = {
    "random": lambda _, seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda _, seed: optuna.samplers.TPESampler(seed=seed),
    "cma": lambda _, seed: optuna.samplers.CmaEsSampler(seed=seed),
    "nsga2": lambda _, seed: optuna.samplers.NSGAIISampler(seed=seed),
    _GP: lambda problem, seed: optuna.samplers.GPSampler(
        seed=seed,
        # False is the default; nothing is declared for trainings
        deterministic_objective=not (problem.noisy or problem.mean is not None),
    ),
    "botorch": _botorch,
    **peers.PEERS,
    "ncp": _ncp(),
    _MODELED: _ncp(known=False),
    **{_VARIANT + name: _ncp(name) for name in PREDICTORS},
}
LABELS = {
    "random": "random",
    "tpe": "TPE",
    "cma": "CMA-ES",
    "nsga2": "NSGA-II",
    _GP: "GPSampler",
    "botorch": "BoTorch",
    **peers.LABELS,
    "ncp": "NCP",
    _MODELED: "NCP, costs modeled",
    **{_VARIANT + name: f"NCP, {name}" for name in PREDICTORS},
}


def takes(sampler: str, problem: Problem) -> bool:
    """Return True if a sampler supports a problem.

    CMA-ES is run with one objective, NSGA-II with several. GPSampler and BoTorch require the same
    constraints of every trial. Optimizers that are not Optuna samplers support only one objective.
    """
    if problem.partial and sampler in {_GP, "botorch"}:
        return False
    if sampler in peers.PEERS:
        return peers.takes(problem)
    several = len(problem.directions) > 1
    return not several if sampler == "cma" else several if sampler == "nsga2" else True


def holds_limits(sampler: str, problem: Problem) -> bool:
    """Return True if a sampler knows the problem's limits, and so needs no constraints."""
    return bool(problem.limits) and sampler.startswith("ncp") and sampler != _MODELED
