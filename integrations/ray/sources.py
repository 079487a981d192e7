"""External evaluations: points with known values, and earlier runs as trials or as sources."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ray.tune import ExperimentAnalysis, ResultGrid
from ray.tune.experiment import Trial
from ray.tune.result import DONE

from ncp_sampler import checks
from ncp_sampler.integrations.ray.results import (
    Names,
    checked_list,
    checked_names,
    floats,
    metrics_in,
    named_values,
)
from ncp_sampler.integrations.ray.space import TuneSpace
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.optimizer.sources import EarlierTrials, Source, check_fixed, checked_sources
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)
_MUST = (
    "be a ResultGrid, an ExperimentAnalysis, Records, the path of a CSV file, or a Source with "
    "one of them"
)


@dataclass(frozen=True)
class Evaluated:
    """Config that was evaluated elsewhere, and its result."""

    config: Mapping[str, Any]  # flat or nested
    value: Any  # a number, a sequence, or a mapping by name; None if the trial failed
    complete: bool = True  # False if the trial was stopped early
    constraints: Mapping[str, float] = field(default_factory=dict)  # reported values by name
    trial: str = ""  # ID of the trial in an earlier run, if any


@dataclass(frozen=True)
class RunTrials:
    """Trials of an earlier run: config, last result (with ``trial_id``), and True if it failed."""

    rows: tuple[tuple[dict[str, Any], dict[str, Any], bool], ...]

    def __repr__(self) -> str:
        return f"<run of {len(self.rows)} trials>"


def given_points(
    points: Sequence[Mapping[str, Any]] | None, rewards: Sequence[Any] | None
) -> tuple[list[Mapping[str, Any]], list[Evaluated]]:
    """Return the configs to suggest, and the configs with known values, which are complete."""
    points, must = [] if points is None else points, "be a list of dictionaries"
    listed = checks.sequence("points_to_evaluate", points, Mapping, must)
    if rewards is None:
        return listed, []
    must = "be a list, with a number per point, or with several metrics a list of numbers"
    values = checked_list("evaluated_rewards", rewards, must)
    if any(floats(value) is None for value in values):
        raise checks.refusal("evaluated_rewards", rewards, must)
    if len(values) != len(listed):
        raise ValueError(
            f"evaluated_rewards has {len(values)} values for {len(listed)} points; give one "
            "for each of points_to_evaluate"
        )
    return [], [Evaluated(point, value) for point, value in zip(listed, values, strict=True)]


def evaluated_trials(source: Any, metric: Names, constraints: Sequence[str]) -> list[Evaluated]:
    """Return the trials of a run that reported at least one metric; warn about the others.

    The value of a missing metric is NaN.
    """
    names = checked_names(metric)
    run = _snapshot("", source)
    if not isinstance(run, RunTrials):
        must = "be an ExperimentAnalysis, a ResultGrid, a Trial or a list of Trials"
        raise checks.refusal("trials_or_analysis", source, must)
    if not any(metrics_in(result, names) for _, result, _ in run.rows):
        shown = names[0] if len(names) == 1 else list(names)
        raise ValueError(f"metric={shown!r} is in no trial's result; give the name of one that is")
    evaluated = []
    for config, result, failed in run.rows:
        trial, values = str(result["trial_id"]), metrics_in(result, names)
        if not values:
            _logger.warning("trial %s is left out: it reported none of %s", trial, names)
            continue
        value = None if failed else [values.get(name, math.nan) for name in names]
        bounded, complete = metrics_in(result, constraints), bool(failed or result.get(DONE))
        evaluated.append(Evaluated(config, value, complete, bounded, trial))
    return evaluated


def learn(space: TuneSpace, optimizer: NCPOptimizer, evaluated: Sequence[Evaluated]) -> None:
    """Report external evaluations to the optimizer.

    Trials of an earlier run that do not fit the space are left out with a warning.

    Raises:
        ValueError: A point does not fit, or no trial of an earlier run does.
    """
    refused = []
    for point in evaluated:
        try:
            values = {**point.constraints, **named_values(point.value, [*optimizer.directions])}
            optimizer.tell(space.params(point.config), values, complete=point.complete)
        except ValueError as error:
            if not point.trial:
                raise
            _logger.warning("trial %s is left out: %s", point.trial, error)
            refused.append(error)
    n_trials = sum(bool(point.trial) for point in evaluated)
    if 0 < len(refused) == n_trials:
        raise ValueError(f"none of the run's {n_trials} trials fits the search: {refused[0]}")


def trials_in(folder: str) -> list[tuple[str, dict[str, Any], bool]]:
    """Return the ID, the last result with config, and True if failed, of each trial of a run.

    The trials are those of the newest state in the run's folder. Unfinished trials count as failed
    for now. Return an empty list if the state cannot be read.
    """
    try:
        trials = list(ExperimentAnalysis(folder).trials or ())
    except Exception:  # errors of files, storages or JSON
        return []
    return [
        (t.trial_id, {**t.last_result, "config": t.config}, t.status != Trial.TERMINATED)
        for t in trials
    ]


def read_sources(given: Any) -> tuple[Source, ...]:
    """Return the argument ``sources`` with earlier runs as ``RunTrials``.

    Raises:
        ValueError: As for ``checked_sources``.
    """
    return checked_sources(given, _snapshot, RunTrials, _MUST)


def in_search(sources: Sequence[Source], space: TuneSpace, names: Sequence[str]) -> list[Source]:
    """Return the sources, with each run converted to trials of the search's space and metrics.

    Trials that do not fit are left out with a warning. A run with different constants counts as
    another task unless its source has ``same_task=True``.
    """
    return [
        replace(source, trials=_trials(f"sources[{i}]", source, space, names))
        if isinstance(source.trials, RunTrials)
        else source
        for i, source in enumerate(sources)
    ]


def _snapshot(_: str, given: Any) -> Any:
    """Return the trials of a run or of a list of ``Trial``; return any other object unchanged."""
    trials = given.trials if isinstance(given, ExperimentAnalysis) else given
    trials = [trials] if isinstance(trials, Trial) else trials
    if isinstance(trials, ResultGrid):
        results = [trials[i] for i in range(len(trials))]
        rows = [(r.config, Path(r.path).name, r.metrics, r.error is not None) for r in results]
    elif isinstance(trials, list | tuple) and all(isinstance(t, Trial) for t in trials):
        rows = [(t.config, t.trial_id, t.last_result, t.status == Trial.ERROR) for t in trials]
    else:
        return given
    return RunTrials(
        tuple((c or {}, {"trial_id": i, **(result or {})}, failed) for c, i, result, failed in rows)
    )


def _trials(name: str, source: Source, space: TuneSpace, names: Sequence[str]) -> EarlierTrials:
    rows = source.trials.rows
    check_fixed(name, source.fixed, [space.known_params(config) for config, _, _ in rows])
    params, metrics, complete = [], [], []
    others: dict[str, tuple[Any, Any]] = {}
    for config, result, error in rows:
        trial = result["trial_id"]
        values = {} if error else metrics_in(result, names)
        if not values and not error:
            _logger.warning("%s: trial %s reported none of %s", name, trial, names)
        every = space.known_params(config).items()
        known = {param: value for param, value in every if param not in source.fixed}
        if reason := _reason_against(space.space, known):
            _logger.warning("%s: trial %s is left out: %s", name, trial, reason)
            continue
        params.append(known)
        metrics.append(values)
        complete.append(bool(error or (values and result.get(DONE))))
        others |= space.other_constants(config)
    for path, (value, own) in others.items() if source.same_task is None else ():
        _logger.warning(
            "%s has %s=%r, but the search has %r, so it is treated as another task; if the task is "
            "the same, give Source(..., same_task=True)", name, path, value, own
        )  # fmt: skip
    return EarlierTrials(params, metrics, complete, not others and len(params) == len(rows))


def _reason_against(space: SearchSpace, params: Params) -> str:
    """Return the reason why params cannot be replaced by valid params; empty if they can."""
    for dim in space.dimensions:
        value = params.get(dim.name)
        text = isinstance(dim, Categorical) and str(value) in map(str, dim.choices)
        if dim.name in params and not text:
            try:
                SearchSpace([dim]).to_code({dim.name: value}, clip=True)
            except ValueError as error:
                return str(error)
    return ""
