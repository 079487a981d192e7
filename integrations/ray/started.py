"""A search whose space and metrics are known, between Ray's configs and the optimizer's params.

In come configs, flat or nested, with values, and results that hold a config; out go legal params
and metrics by name, and what was evaluated elsewhere goes on to the optimizer.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ncp_sampler.integrations.ray.configs import TuneSpace
from ncp_sampler.integrations.ray.metrics import (
    Evaluated,
    Names,
    directions,
    metrics_in,
    named_values,
)
from ncp_sampler.integrations.ray.sources import in_search
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.space.search_space import Params

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """What ``NCPSearch`` has from when it knows space, metric and mode.

    Attributes:
        space: Where the parameters stand in a config.
        optimizer: Of that space and the metrics.
    """

    space: TuneSpace
    optimizer: NCPOptimizer

    @property
    def metrics(self) -> list[str]:
        """The metrics' names, in order."""
        return list(self.optimizer.directions)

    def learn(self, evaluated: Sequence[Evaluated]) -> None:
        """Tell the optimizer configs evaluated elsewhere.

        Trials of an earlier run that do not fit are left out with a warning.

        Raises:
            ValueError: A point does not fit the space or the metrics, or none of the trials does.
        """
        refused: list[ValueError] = []
        for point in evaluated:
            try:
                values = {**point.constraints, **named_values(point.value, self.metrics)}
                params = self.space.params(point.config)
                self.optimizer.tell(params, values, complete=point.complete)
            except ValueError as error:
                if not point.trial:
                    raise
                _logger.warning("trial %s is left out: %s", point.trial, error)
                refused.append(error)
        n_trials = sum(bool(point.trial) for point in evaluated)
        if refused and len(refused) == n_trials:
            raise ValueError(f"none of the run's {n_trials} trials fits the search: {refused[0]}")

    def legal(self, config: Mapping[str, Any], *, prefix: str = "", clip: bool = False) -> Params:
        """The params in a config, legal and in the space's own types.

        Args:
            config: The config, or a result with a config at ``prefix``.
            prefix: Path of the config.
            clip: Take the nearest valid value for a number off its range or grid.

        Raises:
            ValueError: A parameter is missing, or has an illegal value.
        """
        space = self.space.space
        code = space.to_code(self.space.params(config, prefix), clip=clip)
        params: Params = space.to_params(code)
        return params

    def params_in(self, result: Mapping[str, Any]) -> Params:
        """Return the nearest legal params of the config that a result carries.

        Raises:
            ValueError: As ``legal``.
        """
        return self.legal(result, prefix="config/", clip=True)

    def without(
        self, queued: Sequence[Mapping[str, Any]], results: Iterable[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """Return the queued configs that none of a run's results has."""
        known = []
        for result in results:
            with contextlib.suppress(ValueError):
                known.append(self.params_in(result))
        return [config for config in queued if self.legal(config) not in known]

    def metrics_in(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Those of the metrics and constraints that a result has, NaN for what is no number."""
        return metrics_in(result, self.optimizer.told_names)


def new_start(
    space: TuneSpace | None,
    metric: Names | None,
    mode: Names | None,
    new_optimizer: Callable[..., NCPOptimizer],
    goals: dict[str, Any],
) -> Started:
    """Return a search without observations.

    Args:
        space: The space.
        metric: The metric, or several.
        mode: The mode of each.
        new_optimizer: Makes an optimizer of a space, directions and goals.
        goals: Costs and so on. The sources among them become trials in the search's names here.

    Raises:
        ValueError: Space, metric or mode is missing, or the goals or sources do not fit them.
    """
    if space is None:
        raise ValueError(
            "NCPSearch has no search space; give it NCPSearch(space=...), or give the Tuner a "
            "param_space with domains such as tune.uniform(0, 1)"
        )
    if mode is None or metric is None:
        raise ValueError(
            "NCPSearch has no metric and mode; give NCPSearch(metric=..., mode=...): those of "
            "TuneConfig do not reach it without a param_space"
        )
    wanted = directions(metric, mode)
    told = [*wanted, *(goals["constraints"] or ())]
    goals["sources"] = in_search(goals["sources"], space, told)
    return Started(space, new_optimizer(space.space, directions=wanted, **goals))
