"""Content of the figure of several tasks: values of trials, Pareto front, and compromise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.compromise import Compromise
from ncp_sampler.search.pareto import pareto_front

_MUST = "be an Optuna study with several objectives and a complete trial"


@dataclass(frozen=True)
class TaskValues:
    """Values of the complete trials of a study.

    Attributes:
        names: Names of the m objectives.
        is_maximized: Mask (m,) of the objectives that are maximized.
        numbers: Numbers of the trials, (n,).
        values: Values of the trials, (n, m).
        is_front: Mask (n,) of the Pareto-optimal trials.
        chosen: The best compromise, or None.
    """

    names: tuple[str, ...]
    is_maximized: tuple[bool, ...]
    numbers: tuple[int, ...]
    values: NDArray[np.float64]
    is_front: NDArray[np.bool_]
    chosen: Compromise | None

    @property
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values (m,) at the lower and the upper end of each axis; the upper end is the better one.

        An axis extends from the worst value on the Pareto front, or the median if that is worse, to
        the best value. If it included the worst trials, all others would be too close together.
        """
        up = np.where(self.is_maximized, 1.0, -1.0)
        signed, front = up * self.values, up * self.values[self.is_front]
        low, high = np.minimum(front.min(axis=0), np.median(signed, axis=0)), signed.max(axis=0)
        if self.chosen is not None:
            own = up * np.array(list(self.chosen.values.values()))
            own[np.isinf(own)] = np.nan  # no axis extends to infinity
            low, high = np.fmin(low, own), np.fmax(high, own)
        return up * low, up * high

    def heights(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return heights of values (..., m) on their axes: 0 at the lower end, 1 at the upper."""
        worst, best = self.ends
        spread = np.where(best == worst, 1.0, best - worst)
        return np.asarray(np.where(best == worst, 0.5, (values - worst) / spread))


def tasks_of(study: Any, chosen: Any) -> TaskValues:
    """Return the content of ``plot_tasks``.

    Raises:
        ValueError: The study has a single objective or no complete trial, or ``chosen`` is not a
            compromise between its objectives.
    """
    directions = [way.name for way in getattr(study, "directions", ())]
    if len(directions) < 2:
        raise checks.refusal("study", study, _MUST)
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if not trials:
        raise checks.refusal("study", study, _MUST)
    must = "be a result of compromise(study), or None"
    checks.instance("chosen", chosen, Compromise | None, must)
    names = study.metric_names or [f"value_{i}" for i in range(len(directions))]
    if chosen is not None and len(chosen.values) != len(names):
        raise checks.refusal("chosen", chosen, must)
    values = np.array([trial.values for trial in trials], dtype=np.float64)
    is_maximized = tuple(way == "MAXIMIZE" for way in directions)
    is_front = np.zeros(len(trials), dtype=bool)
    is_front[pareto_front(np.where(is_maximized, values, -values))] = True
    numbers = tuple(trial.number for trial in trials)
    return TaskValues(tuple(names), is_maximized, numbers, values, is_front, chosen)
