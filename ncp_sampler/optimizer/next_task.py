"""Choice of the task on which to train an architecture next, given the costs of the tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.compromise import fitted_posterior
from ncp_sampler.optimizer.observations import Observations, rows_to_fit
from ncp_sampler.predictors.predictor import Model
from ncp_sampler.search.acquisition import Acquisition, ObjectivePosterior
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.search.scaling import rescaled


def next_task(
    objectives: Objectives,
    observations: Observations,
    models: tuple[Model, Model],
    steps: tuple[int | None, int | None],
    code: NDArray[Any],
    reported: Mapping[str, float],
    costs: Mapping[str, float],
    *,
    may_stop: bool,
) -> str | None:
    """Return the task to train next for a code; None if no remaining task is worth its cost.

    Two ratios are compared (expected improvement per second, Snoek et al. 2012, section 3.2): the
    expected improvement given the reported values, divided by the cost of the remaining tasks; and
    the expected improvement before any report, divided by the cost of all tasks, which represents
    starting another code. Training continues only if the first ratio is at least the second. The
    next task is the one with the largest weighted posterior standard deviation per unit cost.

    Args:
        objectives: Objectives of the search.
        observations: Observations of the search, without the values reported for the code.
        models: Two predictors; the second models correlations between metrics.
        steps: Training steps of each predictor, as for ``Predictor.fit``.
        code: Valid code, (d,).
        reported: Trained task -> its value.
        costs: Task -> positive cost of training on it, in any unit; all tasks are listed.
        may_stop: False to train on every task.
    """
    left = [name for name in costs if name not in reported]
    positions, codes, metrics = observations.informative()
    if not left or not len(positions):
        return min(left, key=lambda name: costs[name], default=None)
    observed = objectives.scale(codes, metrics, observations.diverged()[positions])
    unit, at = (objectives.space.normalize(each) for each in (codes, code[None]))
    single, joint = models
    posterior = fitted_posterior(observed, unit, objectives, single, steps=steps[0])
    acquisition = Acquisition(posterior, unit, noisy=False, rng=np.random.default_rng(0))
    moments = posterior.moments(at)
    before = acquisition.terms(at, moments)[0][0]
    if reported:
        row = dict.fromkeys(observed.modeled, np.nan)
        for k, name in enumerate(observed.objectives):
            if name in reported and name in row:
                row[name] = float(rescaled(observed, k, np.array([reported[name]]))[0])
        rows = rows_to_fit(observed.order(np.random.default_rng(0)), joint.max_rows)
        rows = observed.covering(rows)
        columns = {k: np.append(column[rows], row[k]) for k, column in observed.modeled.items()}
        joint.fit(np.concatenate([unit[rows], at]), columns, steps=steps[1])
        moments = ObjectivePosterior(observed, joint, posterior.costs).moments(at)
        now = acquisition.terms(at, moments)[0][0]
        total, rest = sum(costs.values()), sum(costs[name] for name in left)
        if may_stop and now - math.log(rest) < before - math.log(total):
            return None
    weights = np.ones(len(observed.objectives)) if observed.weights is None else observed.weights
    spread = moments.std[0, : len(weights)] * weights
    uncertain = dict(zip(observed.objectives, spread.tolist(), strict=True))
    return max(left, key=lambda name: uncertain.get(name, math.inf) / costs[name])
