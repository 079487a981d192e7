"""Why a code was proposed: where it comes from, what its moves bring, what is expected of it.

The reasons are plain values, made to be stored with a trial (docs/how-to/reasons.md):

    how        "startup", "source" (one of the first trials, which did well in earlier work),
               "drawn" (no parameter was known before the trial), "search" or "untried" (every
               code that the search looked at was known)
    start      of a search: {"from": "trial" | "variation" | "random", "told": its number};
               {"from": "source"} if it was a trial of earlier work, or a variation of one
    moves      the largest first: [parameter, before, after, {metric: gain}], the gain in the
               metric's unit, positive where the metric rises
    left_out   moves that are not listed
    branch     {parameter: choice} of another branch than the best trial's, where that one has
               stalled and it was the other's turn; else it is not there
    objectives names of the metrics that are optimized, in order
    metrics    {metric: {"mean", "std", "start"}}: predicted of what is measured, its noise
               included (the deviation as the last trials bear it out: `stated`), and predicted of
               the start; of a known cost {"value", "start"} and its "limit"; of a constraint
               {"mean", "std", "bound", "chance"}
    feasible   chance that every constraint holds
    succeeds   chance that the trial does not fail; there where trials fail, and not at random
    stopped    what kept better codes, one step away, from being proposed: {"limit": [costs],
               "range": [parameters at an end that would go on], "tried": how many}

Notation
    part       the space, or of very many choices those that were looked at
    f (m,)     predicted means of objectives, scaled
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.acquisition import Acquisition
from ncp_sampler.optimizer.goals import Told
from ncp_sampler.optimizer.limits import Limits
from ncp_sampler.optimizer.stated import stretch
from ncp_sampler.optimizer.view import View
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.space.conditional import ConditionalSpace
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

Reasons: TypeAlias = dict[str, Any]

STARTUP: Reasons = {"how": "startup"}
SOURCE: Reasons = {"how": "source"}
DRAWN: Reasons = {"how": "drawn"}
UNTRIED: Reasons = {"how": "untried"}

_MOST_BYTES = 3900  # of the JSON, so that it stays under 4 kB
_EDGE = 1e-9


@dataclass(frozen=True)
class Case:
    """What a proposal was chosen by.

    Attributes:
        directions: The objectives, in the order that they are told in.
        acquisition: What was raised.
        space: The part that was looked at.
        unit: Unit codes of the trials that the predictor was fitted on, (n, d).
        numbers: Their positions among all that were told, (n,); below 0 for earlier work.
        known: Codes of the part -> whether they are ruled out.
        limits: Of known costs.
        expand: Codes of the part -> codes of the whole space.
        fitted: The predictor, fitted on the trials, that does not take those that run for known.
        branch: Numbers of the part's columns that another branch's turn gives, NaN elsewhere, (d,).
    """

    directions: Sequence[str]
    acquisition: Acquisition
    space: SearchSpace
    unit: FloatArray
    numbers: NDArray[np.intp]
    known: Callable[[NDArray[Any]], NDArray[np.bool_]]
    limits: Limits
    expand: Callable[[NDArray[Any]], NDArray[Any]]
    fitted: Predictor
    branch: FloatArray | None = None


def reasons_for(case: Case, code: NDArray[Any], trail: Sequence[tuple[Any, Any]]) -> Reasons:
    """The reasons for a proposal.

    Args:
        case: What it was chosen by.
        code: The proposal, of the part, (d,).
        trail: Codes and what became of them, (k, d) each, in the order of the search.
    """
    space = case.space
    start = _start_of(code, trail)
    origin, start = _origin(case, code, start)
    told = case.acquisition.outlook.told
    near = space.neighbors(code)
    view = View.of(case.acquisition, space.normalize(np.concatenate([[code, start], near])))
    metrics, scales = _metrics(case, view, np.stack([code, start]))
    reasons: Reasons = {
        "how": "search",
        "start": origin,
        "moves": _moves(space, start, code, view.gains, told.objectives, scales),
        "left_out": 0,
        "objectives": list(case.directions),
        "metrics": metrics,
    }
    if case.branch is not None:
        reasons["branch"] = _branch(space, code, case.branch)
    chances = [one["chance"] for one in metrics.values() if "chance" in one]
    if chances:
        reasons["feasible"] = _short(math.prod(chances))
    success = case.acquisition.success
    if success is not None:
        reasons["succeeds"] = _short(success.probability(view.unit))
    reasons["stopped"] = _stopped(case, near, view)
    return _fitting(reasons)


def numbered(reasons: Reasons, numbers: Sequence[int]) -> Reasons:
    """The same with a host's number of the trial that a proposal comes from.

    Args:
        reasons: Of a proposal.
        numbers: The host's, of all told trials.
    """
    start = reasons.get("start", {})
    if "told" not in start:
        return reasons
    told = start["told"]
    return {**reasons, "start": {"from": start["from"], "trial": numbers[told]}}


def _start_of(code: NDArray[Any], trail: Sequence[tuple[Any, Any]]) -> NDArray[Any] | None:
    """The code that a proposal began as, found back step by step; None if it was only looked up."""
    found = None
    for before, after in reversed(trail):
        at = code if found is None else found
        rows = np.flatnonzero((after == at).all(axis=1))
        if len(rows):
            found = before[rows[0]]
    return found


def _origin(
    case: Case, code: NDArray[Any], start: NDArray[Any] | None
) -> tuple[dict[str, Any], NDArray[Any]]:
    """What the start was: a trial, a variation of one, or a random code; and the start."""
    codes = case.space.round(case.space.denormalize(case.unit))
    at = code if start is None else start
    differing = np.stack(
        [
            (codes[:, where] != at[where]).any(axis=1)
            for where in map(case.space.column_slice, case.space.names)
        ]
    ).sum(axis=0)
    nearest = int(differing.argmin())
    told = int(case.numbers[nearest])
    own = told >= 0
    variation = {"from": "variation", "told": told} if own else {"from": "source"}
    if start is None:  # of a space that was looked at whole
        return variation, codes[nearest]
    if differing[nearest] == 0:
        return ({"from": "trial", "told": told} if own else variation), start
    if differing[nearest] <= len(case.space.names) / 2:
        return variation, start
    return {"from": "random"}, start


def _branch(space: SearchSpace, code: NDArray[Any], given: FloatArray) -> dict[str, Any]:
    params = space.to_params(code)
    decided = [name for name in space.names if not np.isnan(given[space.column_slice(name)]).any()]
    return {name: _plain(params[name]) for name in decided}


def _metrics(case: Case, view: View, ends: NDArray[Any]) -> tuple[dict[str, Any], FloatArray]:
    """What is predicted of proposal and start (2, d); metric units per unit of f, (m,)."""
    outlook = case.acquisition.outlook
    told = outlook.told
    values, margins = view.values, view.margins
    spread, doubt = _deviations(case, view.unit, ends[0])
    found: dict[str, Any] = {}
    scales = np.ones(len(told.objectives))
    for k, name in enumerate(told.objectives):
        if told.known[k]:
            a, b = told.lines[k]
            value, start = ((values[:, k] - a) / b).tolist()
            scales[k] = 1 / b
            found[name] = {"value": _short(value), "start": _short(start)}
            continue
        f = values[:, k].tolist()
        s = float(spread[k])
        end, start, low, high = _unscaled(told, k, np.array([*f, f[0] - s, f[0] + s]))
        moved = f[0] - f[1]
        rate = (high - low) / (2 * s) if s > 0 else 0.0
        scales[k] = (end - start) / moved if abs(moved) > 1e-9 else rate
        found[name] = {
            "mean": _short(end), "std": _short(abs(high - low) / 2), "start": _short(start)
        }  # fmt: skip
    for k, name in enumerate(told.constraints):
        bound, scale = told.bounds[k]
        m, s = float(margins[0, k]), float(doubt[k])
        one = found.setdefault(name, {})
        if "std" not in one:  # an objective is foretold already
            one["mean"] = _short(bound - scale * math.sinh(m))
            one["std"] = _short(scale * math.cosh(m) * s)
        one["bound"] = _short(bound)
        one["chance"] = _short(0.5 * math.erfc(-m / s / math.sqrt(2)))
    for name, bound in case.limits.bounds.items():
        cost = case.limits.cost(name)
        value, start = cost.at(case.expand(ends)).tolist()
        found[name] = {"value": _short(value), "start": _short(start), "limit": _short(bound)}
    return found, scales


def _deviations(case: Case, unit: FloatArray, code: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Of scaled objectives as measured (m,), and of margins beneath their noise (c,)."""
    outlook, fitted = case.acquisition.outlook, case.fitted
    x = torch.as_tensor(unit, device=fitted.device)[None]
    with torch.no_grad():
        mean, std = fitted.posterior(x)
        _, doubt = outlook.margins(mean, std)
        noise = std.new_tensor(getattr(fitted, "noise", np.zeros(std.shape[1])))
        as_measured = torch.hypot(std, noise) * std.new_tensor(stretch(fitted, _like(case, code)))
        _, spread = outlook.objectives(mean, as_measured, x)
    return spread[0].double().cpu().numpy(), doubt[0].double().cpu().numpy()


def _like(case: Case, code: NDArray[Any]) -> list[int]:
    """Positions of the trials in the order they were told; of a branch, its own ones."""
    order, space = np.argsort(case.numbers), case.space
    if isinstance(space, ConditionalSpace):
        there = space.exists(space.round(space.denormalize(case.unit)))
        order = order[(there[order] == space.exists(code)).all(axis=1)]
    found: list[int] = order.tolist()
    return found


def _unscaled(told: Told, k: int, f: FloatArray) -> FloatArray:
    """Scaled values of an objective in its own unit, through what was told of it."""
    has = ~np.isnan(told.values[:, k])
    scaled, first = np.unique(told.values[has, k], return_index=True)
    raw = told.raw[has, k][first]
    if len(scaled) == 1:
        return np.full(len(f), raw[0])
    found = np.interp(f, scaled, raw)
    middle = min(len(scaled) // 2, len(scaled) - 2)  # from the median up the scale is linear
    up = (raw[-1] - raw[middle]) / (scaled[-1] - scaled[middle])
    down = (raw[1] - raw[0]) / (scaled[1] - scaled[0])
    found = np.where(f > scaled[-1], raw[-1] + up * (f - scaled[-1]), found)
    found = np.where(f < scaled[0], raw[0] + down * (f - scaled[0]), found)
    return np.asarray(found)


def _moves(
    space: SearchSpace,
    start: NDArray[Any],
    code: NDArray[Any],
    gains: FloatArray,
    names: Sequence[str],
    scales: FloatArray,
) -> list[list[Any]]:
    """The parameters that moved, those of the largest gain in any objective first."""
    before, after = space.to_params(start), space.to_params(code)
    moves, sizes = [], []
    for name in space.names:
        if before[name] == after[name]:
            continue
        scaled = gains[:, space.column_slice(name)].sum(axis=1)
        gain = {one: _short(v) for one, v in zip(names, scaled * scales, strict=True)}
        moves.append([name, _plain(before[name]), _plain(after[name]), gain])
        sizes.append(-float(np.abs(scaled).max(initial=0.0)))
    return [moves[i] for i in np.argsort(sizes, kind="stable")]


def _stopped(case: Case, near: NDArray[Any], view: View) -> dict[str, Any]:
    """What kept better codes (k, d), one step away, from being proposed."""
    space = case.space
    better = near[view.worth[1:] > view.worth[0] + _EDGE]
    whole = case.expand(better)
    over = {name: case.limits.over(name, whole) for name in case.limits.bounds}
    within = ~np.any([np.zeros(len(better), dtype=bool), *over.values()], axis=0)
    rising, at = view.rising, view.unit
    outward = ((at >= 1 - _EDGE) & (rising > 0)) | ((at <= _EDGE) & (rising < 0))
    ends = [
        dim.name
        for dim in space.dimensions
        if not isinstance(dim, Categorical) and dim.low < dim.high
        and bool(outward[space.column_slice(dim.name)].any())
    ]  # fmt: skip
    return {
        "limit": [name for name, some in over.items() if some.any()],
        "range": ends,
        "tried": int(case.known(better[within]).sum()) if within.any() else 0,
    }


def _fitting(reasons: Reasons) -> Reasons:
    """The same with as many moves and parameters, the longest list cut, as there is room for."""
    moves, ends = list(reasons["moves"]), list(reasons["stopped"]["range"])
    branch = list(reasons.get("branch", {}).items())
    least = sum(len(json.dumps(one)) for one in (*moves, *ends, *branch))  # without commas
    while True:
        left = len(reasons["moves"]) - len(moves)
        found = {**reasons, "moves": moves, "left_out": left}
        found["stopped"] = {**reasons["stopped"], "range": ends}
        if "branch" in reasons:
            found["branch"] = dict(branch)
        longest: list[Any] = max(moves, ends, branch, key=len)
        if not longest or (least <= _MOST_BYTES and len(json.dumps(found)) <= _MOST_BYTES):
            return found
        least -= len(json.dumps(longest.pop()))


def _short(number: float) -> float:
    """Four digits, which is more than a prediction has."""
    return float(f"{number:.4g}") if math.isfinite(number) else 0.0


def _plain(value: Any) -> Any:
    """A parameter's value as JSON has it, briefly."""
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    return _short(value) if isinstance(value, float) else str(value)[:40]


def reasons_of(trial: Any, key: str = "ncp:reasons") -> Mapping[str, Any]:
    """The reasons that a trial holds; a mapping is taken for reasons themselves.

    Raises:
        ValueError: It holds none: another sampler proposed it.
    """
    if isinstance(trial, Mapping) and "how" in trial:
        return trial
    if hasattr(trial, "storage"):  # a live trial: those of Optuna 5 have no system_attrs
        attrs = trial.storage.get_trial_system_attrs(trial._trial_id)
    else:
        attrs = getattr(trial, "system_attrs", None)
    if not isinstance(attrs, Mapping) or key not in attrs:
        raise ValueError(
            f"trial={checks.shown(trial)} holds no reasons; give a trial that NCPSampler proposed, "
            "or what NCPSearch.reasons has of one"
        )
    found: Mapping[str, Any] = attrs[key]
    return found
