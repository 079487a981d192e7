"""Predictions that explain a proposal: those for the proposal and its start, and the incumbent.

Notation
    f (m,)     posterior means of objectives, scaled
    m, c, d    objectives, constraints, columns
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.optimizer.category_subset import CategorySubset
from ncp_sampler.predictors.calibration import sequential_factors
from ncp_sampler.predictors.predictor import FloatArray, Model
from ncp_sampler.search.acquisition import ObjectivePosterior
from ncp_sampler.search.maximize import Maximizer, Maximum
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.search.scaling import unscaled


@dataclass(frozen=True)
class Case:
    """Proposal, and the search that chose it.

    Attributes:
        objectives: Objectives and limits of the search.
        subset: The part of the space that was searched.
        maximizer: Maximizer that searched the part.
        maximum: Result of the search.
        predictor: The fitted predictor, not conditioned on pending trials.
        unit: Unit codes of the observations to which the predictor was fitted, (n, d).
        numbers: Positions of these among the search's own observations, (n,); negative for sources.
        pending: Number of pending trials.
        is_elsewhere: True if pinned columns select another branch or category to explore.
    """

    objectives: Objectives
    subset: CategorySubset
    maximizer: Maximizer
    maximum: Maximum
    predictor: Model
    unit: FloatArray
    numbers: NDArray[np.intp]
    pending: int
    is_elsewhere: bool


def predicted_metrics(
    case: Case, values: FloatArray, unit: FloatArray, ends: NDArray[Any]
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return predictions for proposal and start, and each objective's change per unit of f.

    Args:
        case: The proposal.
        values: Posterior means of objectives and slack at proposal and start, (2, m + c).
        unit: Unit codes of proposal and start, (2, d).
        ends: Codes of proposal and start, (2, d).
    """
    acquisition, limits = case.maximizer.acquisition, case.objectives.limits
    observed, incumbent = acquisition.posterior.observations, acquisition.incumbent
    m = len(observed.objectives)
    measured, latent = _deviations(case, unit, ends[0])
    metrics: dict[str, dict[str, float]] = {}
    scales: dict[str, float] = {}
    for k, (name, scale) in enumerate(zip(observed.objectives, observed.cost_scales, strict=True)):
        f, start = values[:, k].tolist()
        if scale is not None:
            end, begin = scale.invert(np.array([f, start])).tolist()
            scales[name] = (end - begin) / (f - start) if f != start else 0.0
            metrics[name] = {"value": end, "start": begin}
            if incumbent is not None and np.isfinite(incumbent.values[k]):
                best = np.array([incumbent.values[k]])
                metrics[name]["incumbent"] = float(scale.invert(best)[0])
            continue
        s, t = measured[:, k].tolist()
        points = np.array([f, start, f - s, f + s, start - t, start + t])
        end, begin, low, high, worse, better = unscaled(observed, k, points).tolist()
        rate = (high - low) / (2 * s) if s > 0 else 0.0
        scales[name] = (end - begin) / (f - start) if abs(f - start) > 1e-9 else rate
        metrics[name] = {"mean": end, "std": abs(high - low) / 2, "start": begin}
        metrics[name]["start_std"] = abs(better - worse) / 2
        if incumbent is not None and np.isfinite(incumbent.values[k]):
            best = np.array([incumbent.values[k]])
            metrics[name]["incumbent"] = float(unscaled(observed, k, best)[0])
    for k, name in enumerate(observed.constraints, m):
        bound, size = observed.bounds[k - m]
        mean, std = float(values[0, k]), float(latent[0, k])
        metric = metrics.setdefault(name, {})
        if "std" not in metric:  # objectives already have a prediction
            metric["mean"] = bound.of_slack(size * math.sinh(mean))
            metric["std"] = size * math.cosh(mean) * std
        side = "at_least" if bound.sign < 0 else "bound"
        metric |= {side: bound.value, "chance": 0.5 * math.erfc(-mean / std / math.sqrt(2))}
    costs = limits.costs(case.subset.expand(ends)).T.tolist()
    for (name, limit), (value, start) in zip(limits.bounds.items(), costs, strict=True):
        metrics[name] = {**metrics.get(name, {}), "value": value, "start": start, "limit": limit}
    shown = {name: {k: short(v) for k, v in metric.items()} for name, metric in metrics.items()}
    return shown, scales


def _deviations(case: Case, unit: FloatArray, code: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return calibrated predictive and posterior standard deviations, each (2, m + c).

    All deviations are those of the predictor without pending trials. The deviations of objectives
    are recalibrated with the latest trials; in a conditional space, only with those of the same
    branch. The probabilities of constraints use the posterior.
    """
    posterior, space = case.maximizer.acquisition.posterior, case.maximizer.space
    before = ObjectivePosterior(posterior.observations, case.predictor, posterior.costs)
    std = before.moments(unit).std
    latest = np.argsort(case.numbers)
    if space.conditions:
        present = space.exists(space.round(space.denormalize(case.unit)))
        latest = latest[(present[latest] == space.exists(code)).all(axis=1)]
    noise = np.asarray(getattr(case.predictor, "noise", np.zeros(len(case.predictor.names))))
    factors = sequential_factors(case.predictor, latest.tolist(), pending=case.pending)
    known = [*posterior.observations.known, *[False] * len(posterior.observations.constraints)]
    modeled = ~np.array(known)
    measured = std.copy()
    measured[:, modeled] = np.hypot(std[:, modeled], noise) * factors
    return measured, std


def short(number: float) -> float:
    """Return a number rounded to four significant digits, which suffice for a prediction."""
    return float(f"{number:.4g}") if math.isfinite(number) else 0.0
