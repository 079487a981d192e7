"""Warnings about a search's observations, each logged once.

Hard limits apply to proposals only; params from a user may exceed them. A constraint that no trial
reports counts as satisfied in all trials, as if it had not been given.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.observations import Observations
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.space.search_space import code_key

_logger = logging.getLogger(__name__)


class Notices:
    """Logger of warnings about one search, which remembers the warnings already logged.

    Args:
        objectives: Objectives of the search. Constraints that are added later are not checked for
            reports, because a trial has already reported them.
    """

    def __init__(self, objectives: Objectives) -> None:
        self._objectives = objectives
        self._over: set[bytes] = set()  # codes over a limit, already logged
        self._bounded = [n for n in objectives.constraints if n not in objectives.directions]

    @property
    def awaits_reports(self) -> bool:
        """True if ``warn_unreported`` has constraints to look for."""
        return bool(self._bounded)

    def warn_over_limits(self, codes: NDArray[Any], first: int) -> None:
        """Warn once about each code over a hard limit.

        Args:
            codes: Observed codes, (n, d).
            first: Position of the first code among the search's observations.
        """
        limits = self._objectives.limits
        if not limits.bounds:
            return
        costs = np.empty((0, len(limits.bounds)))
        with suppress(ValueError):  # if a cost function fails for these params, do not warn
            costs = limits.costs(codes)
        for i, row in enumerate(costs.tolist()):
            over = [
                f"{name}<={bound:,.6g}: {cost:,.6g}"
                for (name, bound), cost in zip(limits.bounds.items(), row, strict=True)
                if cost > bound
            ]
            key = code_key(codes[i])
            if over and key not in self._over:
                self._over.add(key)
                params = checks.shown(self._objectives.space.to_params(codes[i]))
                _logger.warning(
                    "trial with %s (observation %d) exceeds the limit %s; hard limits apply "
                    "to proposals only, and the trial counts like any other",
                    params, first + i, ", ".join(over),
                )  # fmt: skip

    def warn_unreported(self, observations: Observations, others: Sequence[Observations]) -> None:
        """Warn once about declared constraints that no complete trial has reported so far.

        Args:
            observations: All observations, including those of the startup trials.
            others: Observations of sources, whose trials may have reported the constraints.
        """
        reports = [metrics for _, metrics, complete in observations.reported(0) if complete]
        if not any(metrics.keys() & self._objectives.directions.keys() for metrics in reports):
            return  # no complete trial has a value
        for each in others:
            reports += [metrics for _, metrics, complete in each.reported(0) if complete]
        names, self._bounded = self._bounded, []
        unreported = [name for name in names if not any(name in metrics for metrics in reports)]
        if unreported:
            _logger.warning(
                "no complete trial has reported the constraints %s, so they count as satisfied; "
                "report them together with %s, or correct their names",
                unreported, [*self._objectives.directions],
            )  # fmt: skip
