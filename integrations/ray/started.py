"""A search whose space and metrics are known, between Ray's configs and the optimizer's params.

In come configs, flat or nested, with values, and results that hold a config; out go legal params
and metrics by name, and what was evaluated elsewhere goes on to the optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ncp_sampler.integrations.ray.metrics import Names, directions, metrics_in, named_values
from ncp_sampler.integrations.ray.sources import in_search
from ncp_sampler.integrations.ray.space import TuneSpace
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.space.search_space import Params


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

    def learn(self, config: Mapping[str, Any], value: Any, complete: bool) -> None:
        """Tells the optimizer a config evaluated elsewhere.

        Raises:
            ValueError: A config that does not fit the space, or as many values as there are not.
        """
        metrics = named_values(value, self.metrics)
        self.optimizer.tell(self.space.params(config), metrics, complete=complete)

    def legal(self, config: Mapping[str, Any], *, prefix: str = "", clip: bool = False) -> Params:
        """The params in a config, legal and in the space's own types.

        Args:
            config: The config, or a result with a config at ``prefix``.
            prefix: Path of the config.
            clip: Take the nearest legal value for a number off its range or grid.

        Raises:
            ValueError: A parameter is missing, or has an illegal value.
        """
        space = self.space.space
        code = space.to_code(self.space.params(config, prefix), clip=clip)
        params: Params = space.to_params(code)
        return params

    def params_in(self, result: Mapping[str, Any]) -> Params | None:
        """The params in the config that a result carries; None if it has none that fit."""
        try:
            return self.legal(result, prefix="config/", clip=True)
        except ValueError:
            return None

    def metrics_in(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Those of the metrics and constraints that a result has, NaN for what is no number."""
        return metrics_in(result, self.optimizer.told_names)


def new_start(
    space: TuneSpace | None,
    metric: Names | None,
    mode: Names | None,
    new_optimizer: Callable[..., NCPOptimizer],
    goals: Mapping[str, Any],
) -> Started:
    """A search that has learnt nothing yet; ``goals`` are costs and so on, and the sources.

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
    sources = in_search(goals["sources"], space.space.names, told)
    optimizer = new_optimizer(space.space, directions=wanted, **{**goals, "sources": sources})
    return Started(space, optimizer)
