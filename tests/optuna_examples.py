"""A space, an objective and studies that the tests of the Optuna sampler share."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    NCPSampler,
    SearchSpace,
)

SPACE = SearchSpace(  # not in the order of the names
    [
        Integer("width", 8, 32, step=8),
        Float("rate", 1e-4, 1e-1, log=True),
        Categorical("op", ("conv", "pool", None)),
        Integer("one", 3, 3),
        Float("drop", 0.0, 0.5, step=0.1),
    ]
)


def score(params: dict[str, Any]) -> float:
    return float(params["width"] - 10 * params["drop"] + (params["op"] == "conv"))


def objective(trial: Trial) -> float:
    return score(SPACE.suggest(trial))


def new_study(sampler: NCPSampler | None = None, **kwargs: Any) -> Study:
    kwargs.setdefault("directions", ["maximize"])
    sampler = sampler or NCPSampler(space=SPACE, seed=0)
    return optuna.create_study(sampler=sampler, **kwargs)


def params_of(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def constrain(trial: Trial, key: str, value: float) -> None:
    """``Trial.set_constraint``, which Optuna has from version 5 on."""
    if hasattr(trial, "set_constraint"):
        trial.set_constraint(key, value)
    else:
        trial.storage.set_trial_system_attr(trial._trial_id, f"constraints:{key}", value)


class NotingSampler(RandomSampler):
    """A sampler of independent parameters that notes which it had to draw."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.drawn: list[tuple[int, str]] = []  # trial and parameter

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self.drawn.append((trial.number, param_name))
        return super().sample_independent(study, trial, param_name, param_distribution)
