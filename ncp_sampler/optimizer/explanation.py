"""Reasons of a proposal: where it comes from, what its moves change, what is expected of it.

The reasons are plain values, made to be stored with a trial (docs/how-to/reasons.md):

    how        "startup", "source" (one of the first trials, a good one of a source), "drawn" (no
               parameter was known before the trial), "search" or "untried" (every code that the
               search evaluated was excluded)
    start      of a search: {"from": "trial" | "variation" | "random", "observation": its number};
               {"from": "source"} if it was a source's trial, or a variation of one
    moves      largest first: [parameter, before, after, {metric: change}], the change in predicted
               value in the metric's unit, positive where the metric rises
    left_out   number of moves that are not listed
    branch     {parameter: category} of another branch than the best trial's, where that one makes
               no progress and it was the other's turn; absent otherwise
    objectives names of the metrics that are optimized, in order
    metrics    {metric: {"mean", "std", "start"}}: predicted for a measurement, noise included, with
               the calibrated predictive standard deviation, and predicted for the start; of a known
               cost {"value", "start"} and its "limit"; of a constraint {"mean", "std", "bound",
               "chance"}
    feasible   probability that every constraint holds
    succeeds   probability that the trial does not fail; present where failures are not random
    stopped    what kept better codes, one step away, from being proposed: {"limit": [costs],
               "range": [parameters at the search-space boundary whose gradient points outwards],
               "tried": number of them already observed or pending}

Notation
    part       the space, or the subset of categories that was searched
    f (m,)     posterior means of objectives, scaled
    changes    integrated gradients of f (Sundararajan et al. 2017, equation 1) along the line from
               the start to the proposal, (m, d)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.success_model import SuccessModel
from ncp_sampler.predictors.calibration import sequential_factors
from ncp_sampler.predictors.predictor import FloatArray, Model
from ncp_sampler.search.acquisition import Acquisition, ObjectivePosterior
from ncp_sampler.search.limits import Limits
from ncp_sampler.search.maximize import Excluded, Maximum
from ncp_sampler.search.objectives import ScaledObservations
from ncp_sampler.space.conditional import ConditionalSpace
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

Reasons: TypeAlias = dict[str, Any]

STARTUP: Reasons = {"how": "startup"}
SOURCE: Reasons = {"how": "source"}
DRAWN: Reasons = {"how": "drawn"}
UNTRIED: Reasons = {"how": "untried"}

_MAX_BYTES = 3900  # size of the JSON, so that it stays under 4 kB
_EDGE = 1e-9  # tolerance in unit codes, and in acquisition values
_STEPS = 16  # points on the line from the start to the proposal


@dataclass(frozen=True)
class Case:
    """The inputs of a proposal's choice.

    Attributes:
        directions: The objectives, in order.
        acquisition: Function that was maximized.
        space: The part that was searched.
        unit: Unit codes of the observations that the predictor was fitted on, (n, d).
        numbers: Their positions among all observations, (n,); below 0 for sources.
        excluded: Predicate of codes of the part that must not be proposed.
        limits: Limits on known costs.
        expand: Codes of the part -> codes of the whole space.
        fitted: The fitted predictor, before it observed any pending trial's mean.
        success: Model of the probability of success, where failures depend on the params.
        branch: Columns of the part that another branch's turn fixes, NaN elsewhere, (d,).
    """

    directions: Sequence[str]
    acquisition: Acquisition
    space: SearchSpace
    unit: FloatArray
    numbers: NDArray[np.intp]
    excluded: Excluded
    limits: Limits
    expand: Callable[[NDArray[Any]], NDArray[Any]]
    fitted: Model
    success: SuccessModel | None = None
    branch: FloatArray | None = None


@dataclass(frozen=True)
class _View:
    """Predictions around a proposal, all of one batch of codes.

    Attributes:
        mean: Posterior means of objectives and slack at proposal and start, (2, m + c).
        std: Posterior standard deviations at the proposal, (m + c,).
        acquisition: Acquisition values at proposal, start and codes one step away, (2 + k,).
        slope: Gradient of the acquisition at the proposal, (d,).
        changes: Integrated gradients of the objectives from start to proposal, (m, d).
    """

    mean: FloatArray
    std: FloatArray
    acquisition: FloatArray
    slope: FloatArray
    changes: FloatArray

    @classmethod
    def of(cls, acquisition: Acquisition, unit: FloatArray) -> _View:
        """Return the view of unit codes (2 + k, d): proposal, start, codes one step away."""
        line = unit[0] - unit[1]
        shares = (np.arange(_STEPS) + 0.5) / _STEPS
        points = np.concatenate([unit, unit[1] + shares[:, None] * line])
        posterior = acquisition.posterior
        moments = posterior.moments(points)
        values, pullback = acquisition.terms(points, moments, floor=True)
        at_proposal = np.zeros(len(points))
        at_proposal[0] = 1.0
        changes = []
        for k in range(len(posterior.observations.objectives)):
            by_mean = np.zeros_like(moments.mean)
            by_mean[len(unit) :, k] = 1 / _STEPS
            changes.append(line * moments.vjp(by_mean, np.zeros_like(by_mean)).sum(0))
        return cls(
            moments.mean[:2],
            moments.std[0],
            values[: len(unit)],
            pullback(at_proposal)[0],
            np.nan_to_num(np.array(changes).reshape(-1, len(line))),
        )


def reasons_for(case: Case, maximum: Maximum) -> Reasons:
    """Return the reasons for a proposal.

    Args:
        case: The inputs of its choice.
        maximum: The proposal, of the part, and the steps of the search.
    """
    space, code = case.space, maximum.code
    origin, start = _origin(case, code, _start_of(code, maximum.trail))
    neighbors = space.neighbors(code)
    observed = case.acquisition.posterior.observations
    unit = space.normalize(np.concatenate([[code, start], neighbors]))
    view = _View.of(case.acquisition, unit)
    metrics, scales = _metrics(case, view, unit[0], np.stack([code, start]))
    reasons: Reasons = {
        "how": "search",
        "start": origin,
        "moves": _moves(space, start, code, view.changes, observed.objectives, scales),
        "left_out": 0,
        "objectives": list(case.directions),
        "metrics": metrics,
    }
    if case.branch is not None:
        reasons["branch"] = _branch(space, code, case.branch)
    chances = [metric["chance"] for metric in metrics.values() if "chance" in metric]
    if chances:
        reasons["feasible"] = _short(math.prod(chances))
    if case.success is not None:
        reasons["succeeds"] = _short(case.success.probability(unit[0]))
    better = neighbors[view.acquisition[2:] > view.acquisition[0] + _EDGE]
    reasons["stopped"] = _stopped(case, better, unit[0], view.slope)
    return _fitting(reasons)


def numbered(reasons: Reasons, numbers: Sequence[int]) -> Reasons:
    """Return reasons with the integration's number of the trial that a proposal comes from.

    Args:
        reasons: Reasons of a proposal.
        numbers: The integration's number of each observation.
    """
    start = reasons.get("start", {})
    if "observation" not in start:
        return reasons
    trial = numbers[start["observation"]]
    return {**reasons, "start": {"from": start["from"], "trial": trial}}


def _start_of(code: NDArray[Any], trail: Sequence[tuple[Any, Any]]) -> NDArray[Any] | None:
    """Return the code that a proposal began as, traced back; None if it was only evaluated."""
    start = None
    for before, after in reversed(trail):
        at = code if start is None else start
        rows = np.flatnonzero((after == at).all(axis=1))
        if len(rows):
            start = before[rows[0]]
    return start


def _origin(
    case: Case, code: NDArray[Any], start: NDArray[Any] | None
) -> tuple[dict[str, Any], NDArray[Any]]:
    """Return the kind of start, a trial, a variation of one, or a random code; and the start."""
    codes = case.space.round(case.space.denormalize(case.unit))
    at = code if start is None else start
    differing = np.stack(
        [
            (codes[:, where] != at[where]).any(axis=1)
            for where in map(case.space.column_slice, case.space.names)
        ]
    ).sum(axis=0)
    nearest = int(differing.argmin())
    number = int(case.numbers[nearest])
    own = number >= 0
    variation = {"from": "variation", "observation": number} if own else {"from": "source"}
    if start is None:  # of a space that was evaluated whole
        return variation, codes[nearest]
    if differing[nearest] == 0:
        return ({"from": "trial", "observation": number} if own else variation), start
    if differing[nearest] <= len(case.space.names) / 2:
        return variation, start
    return {"from": "random"}, start


def _branch(space: SearchSpace, code: NDArray[Any], given: FloatArray) -> dict[str, Any]:
    params = space.to_params(code)
    fixed = [name for name in space.names if not np.isnan(given[space.column_slice(name)]).any()]
    return {name: _plain(params[name]) for name in fixed}


def _metrics(
    case: Case, view: _View, unit: FloatArray, ends: NDArray[Any]
) -> tuple[dict[str, Any], FloatArray]:
    """Return predictions for proposal and start, and the metrics' units per unit of f, (m,).

    Args:
        case: The inputs of the choice.
        view: Predictions around the proposal.
        unit: Unit code of the proposal, (d,).
        ends: Codes of proposal and start, (2, d).
    """
    values = view.mean
    observed = case.acquisition.posterior.observations
    m = len(observed.objectives)
    measured, latent = _deviations(case, view, unit, ends[0])
    metrics: dict[str, Any] = {}
    scales = np.ones(m)
    for k, name in enumerate(observed.objectives):
        f, start = values[:, k].tolist()
        scale = observed.cost_scales[k]
        if scale is not None:
            low, high = scale.invert(np.array([f, start]))
            scales[k] = (low - high) / (f - start) if f != start else 0.0
            metrics[name] = {"value": _short(float(low)), "start": _short(float(high))}
            continue
        s = float(measured[k])
        end, begin, low, high = _unscaled(observed, k, np.array([f, start, f - s, f + s]))
        rate = (high - low) / (2 * s) if s > 0 else 0.0
        scales[k] = (end - begin) / (f - start) if abs(f - start) > 1e-9 else rate
        std = abs(high - low) / 2
        metrics[name] = {"mean": _short(end), "std": _short(std), "start": _short(begin)}
    for k, name in enumerate(observed.constraints):
        bound, size = observed.bounds[k]
        mean, std = float(values[0, m + k]), float(latent[m + k])
        metric = metrics.setdefault(name, {})
        if "std" not in metric:  # an objective is predicted already
            metric["mean"] = _short(bound - size * math.sinh(mean))
            metric["std"] = _short(size * math.cosh(mean) * std)
        metric["bound"] = _short(bound)
        metric["chance"] = _short(0.5 * math.erfc(-mean / std / math.sqrt(2)))
    for name, bound in case.limits.bounds.items():
        value, start = case.limits.cost(name).at(case.expand(ends)).tolist()
        metrics[name] = {"value": _short(value), "start": _short(start), "limit": _short(bound)}
    return metrics, scales


def _deviations(
    case: Case, view: _View, unit: FloatArray, code: NDArray[Any]
) -> tuple[FloatArray, FloatArray]:
    """Return calibrated deviations of a measurement, and posterior deviations, (m + c,).

    Objectives are recalibrated by the latest trials; probabilities of constraints go by the
    posterior.
    """
    posterior, fitted = case.acquisition.posterior, case.fitted
    std = view.std
    if fitted is not posterior.predictor:  # that has observed the means of pending trials
        before = ObjectivePosterior(posterior.observations, fitted, posterior.costs)
        std = before.moments(unit[None]).std[0]
    noise = np.asarray(getattr(fitted, "noise", np.zeros(len(fitted.names))))
    factors = sequential_factors(fitted, _similar(case, code))
    measured = std.copy()
    observed = posterior.observations
    known = np.array([*observed.known, *[False] * len(observed.constraints)])
    measured[~known] = np.hypot(std[~known], noise) * factors
    return measured, std


def _similar(case: Case, code: NDArray[Any]) -> list[int]:
    """Return positions of the observations in order; in a conditional space, of the same branch."""
    order, space = np.argsort(case.numbers), case.space
    if isinstance(space, ConditionalSpace):
        present = space.exists(space.round(space.denormalize(case.unit)))
        order = order[(present[order] == space.exists(code)).all(axis=1)]
    positions: list[int] = order.tolist()
    return positions


def _unscaled(observed: ScaledObservations, k: int, f: FloatArray) -> FloatArray:
    """Return scaled values of an objective in its own unit, interpolated in its observations."""
    known = ~np.isnan(observed.values[:, k])
    scaled, first = np.unique(observed.values[known, k], return_index=True)
    raw = observed.raw[known, k][first]
    if len(scaled) == 1:
        return np.full(len(f), raw[0])
    values = np.interp(f, scaled, raw)
    middle = min(len(scaled) // 2, len(scaled) - 2)  # from the median up the scale is linear
    up = (raw[-1] - raw[middle]) / (scaled[-1] - scaled[middle])
    down = (raw[1] - raw[0]) / (scaled[1] - scaled[0])
    values = np.where(f > scaled[-1], raw[-1] + up * (f - scaled[-1]), values)
    values = np.where(f < scaled[0], raw[0] + down * (f - scaled[0]), values)
    return np.asarray(values)


def _moves(
    space: SearchSpace,
    start: NDArray[Any],
    code: NDArray[Any],
    changes: FloatArray,
    names: Sequence[str],
    scales: FloatArray,
) -> list[list[Any]]:
    """Return the parameters that moved, those of the largest change in any objective first."""
    before, after = space.to_params(start), space.to_params(code)
    moves, sizes = [], []
    for name in space.names:
        if before[name] == after[name]:
            continue
        scaled = changes[:, space.column_slice(name)].sum(axis=1)
        change = {k: _short(v) for k, v in zip(names, scaled * scales, strict=True)}
        moves.append([name, _plain(before[name]), _plain(after[name]), change])
        sizes.append(-float(np.abs(scaled).max(initial=0.0)))
    return [moves[i] for i in np.argsort(sizes, kind="stable")]


def _stopped(
    case: Case, better: NDArray[Any], unit: FloatArray, slope: FloatArray
) -> dict[str, Any]:
    """Return what kept better codes (k, d), one step away, from being proposed."""
    space = case.space
    expanded = case.expand(better)
    over = {name: case.limits.over(name, expanded) for name in case.limits.bounds}
    within = ~np.any([np.zeros(len(better), dtype=bool), *over.values()], axis=0)
    outward = ((unit >= 1 - _EDGE) & (slope > 0)) | ((unit <= _EDGE) & (slope < 0))
    boundary = [
        dim.name
        for dim in space.dimensions
        if not isinstance(dim, Categorical) and dim.low < dim.high
        and bool(outward[space.column_slice(dim.name)].any())
    ]  # fmt: skip
    return {
        "limit": [name for name, exceeds in over.items() if exceeds.any()],
        "range": boundary,
        "tried": int(case.excluded(better[within]).sum()) if within.any() else 0,
    }


def _fitting(reasons: Reasons) -> Reasons:
    """Return reasons with as many moves and parameters as fit, the longest list cut."""
    moves, ends = list(reasons["moves"]), list(reasons["stopped"]["range"])
    branch = list(reasons.get("branch", {}).items())
    size = sum(len(json.dumps(item)) for item in (*moves, *ends, *branch))  # without commas
    while True:
        left = len(reasons["moves"]) - len(moves)
        cut = {**reasons, "moves": moves, "left_out": left}
        cut["stopped"] = {**reasons["stopped"], "range": ends}
        if "branch" in reasons:
            cut["branch"] = dict(branch)
        longest: list[Any] = max(moves, ends, branch, key=len)
        if not longest or (size <= _MAX_BYTES and len(json.dumps(cut)) <= _MAX_BYTES):
            return cut
        size -= len(json.dumps(longest.pop()))


def _short(number: float) -> float:
    """Return four significant digits, more than a prediction has."""
    return float(f"{number:.4g}") if math.isfinite(number) else 0.0


def _plain(value: Any) -> Any:
    """Return a parameter's value for JSON, shortened."""
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    return _short(value) if isinstance(value, float) else str(value)[:40]


def reasons_of(trial: Any, key: str = "ncp:reasons") -> Mapping[str, Any]:
    """Return the reasons stored with a trial; a mapping counts as reasons themselves.

    Raises:
        ValueError: It has none: another sampler proposed it.
    """
    if isinstance(trial, Mapping) and "how" in trial:
        return trial
    if hasattr(trial, "storage"):  # a live trial: those of Optuna 5 have no system_attrs
        attrs = trial.storage.get_trial_system_attrs(trial._trial_id)
    else:
        attrs = getattr(trial, "system_attrs", None)
    if not isinstance(attrs, Mapping) or key not in attrs:
        raise ValueError(
            f"trial={checks.shown(trial)} has no reasons; give a trial that NCPSampler proposed, "
            "or an entry of NCPSearch.reasons"
        )
    reasons: Mapping[str, Any] = attrs[key]
    return reasons
