"""Reasons for a proposal: its start, the predicted effects of its moves, and its predictions.

The reasons are plain values that are stored with a trial (docs/how-to/reasons.md):

    how        "startup", "source" (one of the first trials, copied from good ones of a source),
               "drawn" (no parameter was known before the trial), "search" or "untried" (every code
               that the search evaluated was excluded)
    startup    for "startup" and "source": number of trials with a value after which the model
               proposes; absent after that number, if no trial stood out for the model to learn from
    start      for a search: {"from": "trial" | "variation" | "random", "observation": its number};
               {"from": "source"} if the start was a source's trial or a variation of one
    moves      largest first: [parameter, before, after, {metric: change}], the change in predicted
               value in the metric's unit, positive where the metric rises; "absent" where the
               parameter does not exist
    left_out   number of moves that are not listed
    branch     {parameter: category} of the explored branch, if the best trial's branch makes no
               progress and another branch is explored; absent otherwise
    category   {parameter: category} that few trials had, if a search without branches makes no
               progress and explores this category; absent otherwise
    objectives names of the metrics that are optimized, in order
    metrics    {metric: {"mean", "std", "start", "start_std", "incumbent"}}: predictions of a
               measurement, including noise, with the calibrated predictive standard deviation, for
               the proposal and the start, and the incumbent's value; for a known cost {"value",
               "start"}, its "limit" and "incumbent"; for a constraint {"mean", "std", "chance", and
               its "bound", or "at_least" for a lower bound}
    acquisition
               {"value", "start"}: acquisition values of the proposal and of the start, logarithms
    incumbent  {"observation": its number} or {"from": "source"}: the best feasible observation,
               from which an improvement is measured; absent for a front, or if no observation is
               feasible
    feasible   probability that every constraint holds
    succeeds   probability that the trial does not fail; absent if no trial has failed, or if
               failures are random
    stopped    reasons why better codes, one step away, were not proposed: {"limit": [costs],
               "range": [parameters at the search-space boundary whose gradient points outwards],
               "tried": number of such codes already observed or pending}

Notation
    part       the space, or the subset of categories that was searched
    f (m,)     posterior means of objectives, scaled
    changes    integrated gradients of f (Sundararajan et al. 2017, equation 1) along the line from
               the start to the proposal, (m, d)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.predicted_metrics import Case, predicted_metrics, short
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.search.acquisition import Acquisition
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

Reasons: TypeAlias = dict[str, Any]

STARTUP: Reasons = {"how": "startup"}
SOURCE: Reasons = {"how": "source"}
DRAWN: Reasons = {"how": "drawn"}
UNTRIED: Reasons = {"how": "untried"}

ABSENT = "absent"  # Value, in a move, of a parameter that does not exist
_MAX_BYTES = 3900  # maximum size of the JSON, which stays under 4 kB
_EDGE = 1e-9  # tolerance in unit codes, and in acquisition values
_STEPS = 16  # number of points on the line from the start to the proposal


def reasons_for(case: Case) -> Reasons:
    """Return the reasons for a proposal."""
    acquisition, space, code = case.maximizer.acquisition, case.maximizer.space, case.maximum.code
    origin, start = _origin(case)
    neighbors = space.neighbors(code)
    unit = space.normalize(np.concatenate([[code, start], neighbors]))
    mean, values, slope, changes = _view(acquisition, unit)
    metrics, scales = predicted_metrics(case, mean, unit[:2], np.stack([code, start]))
    reasons: Reasons = {
        "how": "search",
        "start": origin,
        "moves": _moves(space, start, code, changes, scales),
        "left_out": 0,
        "objectives": list(case.objectives.directions),
        "metrics": metrics,
        "acquisition": {"value": short(values[0]), "start": short(values[1])},
    }
    if acquisition.incumbent is not None:
        number = int(case.numbers[acquisition.incumbent.row])
        reasons["incumbent"] = {"observation": number} if number >= 0 else {"from": "source"}
    if case.is_elsewhere:
        pinned, params = case.maximizer.pinned, space.to_params(code)
        fixed = [n for n in params if not np.isnan(pinned[space.column_slice(n)]).any()]
        key = "branch" if space.conditions else "category"
        reasons[key] = {name: _plain(params[name]) for name in fixed}
    chances = [metric["chance"] for metric in metrics.values() if "chance" in metric]
    if chances:
        reasons["feasible"] = short(math.prod(chances))
    if acquisition.success is not None:
        log_probability, _ = acquisition.success.log_probability(unit[:1])
        reasons["succeeds"] = short(math.exp(log_probability[0]))
    reasons["stopped"] = _stopped(case, neighbors[values[2:] > values[0] + _EDGE], unit[0], slope)
    return _fitting(reasons)


def numbered(reasons: Reasons, numbers: Sequence[int]) -> Reasons:
    """Return the reasons with the integration's trial numbers instead of observation numbers.

    Args:
        reasons: Reasons for a proposal.
        numbers: Trial number of each observation in the integration.
    """
    named = dict(reasons)
    for key in ("start", "incumbent"):
        point = reasons.get(key, {})
        if "observation" in point:
            kept = {name: value for name, value in point.items() if name != "observation"}
            named[key] = {**kept, "trial": numbers[point["observation"]]}
    return named


def _origin(case: Case) -> tuple[dict[str, Any], NDArray[Any]]:
    """Return the kind of start (trial, variation of one, or random code), and the start itself."""
    space, code = case.maximizer.space, case.maximum.code
    traced = False  # False if all codes were evaluated, because there are no steps to trace back
    for before, after in reversed(case.maximum.trail):
        rows = np.flatnonzero((after == code).all(axis=1))
        if len(rows):
            code, traced = before[rows[0]], True
    codes = space.round(space.denormalize(case.unit))
    differs = codes != code
    differing = sum(differs[:, space.column_slice(name)].any(axis=1) for name in space.names)
    nearest = int(np.argmin(differing))
    n_differing, number = int(np.min(differing)), int(case.numbers[nearest])
    if traced and n_differing > len(space.names) / 2:
        return {"from": "random"}, code
    origin: dict[str, Any] = {"from": "source"}
    if number >= 0:
        kind = "trial" if traced and n_differing == 0 else "variation"
        origin = {"from": kind, "observation": number}
    return origin, code if traced else codes[nearest]


def _view(
    acquisition: Acquisition, unit: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return predictions for a proposal and codes near it, computed in one batch.

    Args:
        acquisition: Acquisition function that was maximized.
        unit: Unit codes of proposal, start and codes one step away from the proposal, (2 + k, d).

    Returns:
        Posterior means of objectives and slack at proposal and start, (2, m + c); acquisition
        values, (2 + k,); its gradient at the proposal, (d,); and ``changes``, (m, d).
    """
    line = unit[0] - unit[1]
    shares = (np.arange(_STEPS) + 0.5) / _STEPS
    points = np.concatenate([unit, unit[1] + shares[:, None] * line])
    moments = acquisition.posterior.moments(points)
    values, pullback = acquisition.terms(points, moments, floor=True)
    at_proposal = np.zeros(len(points))
    at_proposal[0] = 1.0
    changes = np.zeros((len(acquisition.posterior.observations.objectives), len(line)))
    for k in range(len(changes)):
        by_mean = np.zeros_like(moments.mean)
        by_mean[len(unit) :, k] = 1 / _STEPS
        changes[k] = line * moments.vjp(by_mean, np.zeros_like(by_mean)).sum(0)
    return moments.mean[:2], values[: len(unit)], pullback(at_proposal)[0], np.nan_to_num(changes)


def _moves(
    space: SearchSpace,
    start: NDArray[Any],
    code: NDArray[Any],
    changes: FloatArray,
    scales: Mapping[str, float],
) -> list[list[Any]]:
    """Return the parameters that moved, sorted by their largest change in any objective."""
    before, after = (
        {**dict.fromkeys(space.names, ABSENT), **space.to_params(end)} for end in (start, code)
    )
    scaled = {n: changes[:, space.column_slice(n)].sum(axis=1) for n in space.names}
    moved = [name for name in space.names if before[name] != after[name]]
    moved.sort(key=lambda name: -np.abs(scaled[name]).max(initial=0.0))
    moves = []
    for name in moved:
        change = {k: short(v * s) for v, (k, s) in zip(scaled[name], scales.items(), strict=True)}
        moves.append([name, _plain(before[name]), _plain(after[name]), change])
    return moves


def _stopped(
    case: Case, better: NDArray[Any], unit: FloatArray, slope: FloatArray
) -> dict[str, Any]:
    """Return the reasons why better codes (k, d), one step away, were not proposed."""
    space, limits = case.maximizer.space, case.objectives.limits
    over = limits.over(case.subset.expand(better))
    outward = ((unit >= 1 - _EDGE) & (slope > 0)) | ((unit <= _EDGE) & (slope < 0))
    boundary = [
        dim.name
        for dim in space.dimensions
        if not isinstance(dim, Categorical) and dim.low < dim.high
        and bool(outward[space.column_slice(dim.name)].any())
    ]  # fmt: skip
    return {
        "limit": [name for name, column in zip(limits.bounds, over.T, strict=True) if column.any()],
        "range": boundary,
        "tried": int((case.maximizer.excluded(better) & ~over.any(axis=1)).sum()),
    }


def _fitting(reasons: Reasons) -> Reasons:
    """Shorten the longest lists of the reasons until their JSON has at most ``_MAX_BYTES``."""
    moves, stopped = list(reasons["moves"]), reasons["stopped"]
    ends, branch = list(stopped["range"]), list(reasons.get("branch", {}).items())
    size, lists = len(json.dumps(reasons)), [moves, ends, branch]
    while size > _MAX_BYTES and any(lists):
        size -= len(json.dumps(max(lists, key=len).pop()))
    cut = {**reasons, "moves": moves, "left_out": len(reasons["moves"]) - len(moves)}
    cut["stopped"] = {**stopped, "range": ends}
    return {**cut, "branch": dict(branch)} if "branch" in reasons else cut


def _plain(value: Any) -> Any:
    """Return a parameter's value for JSON, shortened."""
    if isinstance(value, float):
        return short(value)
    return value if value is None or isinstance(value, int) else str(value)[:40]


def reasons_of(trial: Any, key: str = "ncp:reasons") -> Mapping[str, Any]:
    """Return the reasons stored with a trial; reasons given as a mapping are returned unchanged.

    Raises:
        ValueError: The trial has no reasons, because another sampler proposed it.
    """
    if isinstance(trial, Mapping) and "how" in trial:
        return trial
    if hasattr(trial, "storage"):  # a live trial; Optuna 4 warns about its system_attrs
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
