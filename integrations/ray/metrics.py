"""Ray Tune's metric and mode, and the values in results and trials, in the optimizer's terms."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ray.tune import ExperimentAnalysis, Result, ResultGrid
from ray.tune.experiment import Trial
from ray.tune.result import DONE

from ncp_sampler import checks
from ncp_sampler.integrations.ray.configs import find

_logger = logging.getLogger(__name__)
_DIRECTIONS = {"min": "minimize", "max": "maximize"}

Names: TypeAlias = str | Sequence[str]


@dataclass(frozen=True)
class Evaluated:
    """A config evaluated elsewhere.

    Attributes:
        config: The config, flat or nested.
        value: A number, several in order, or a mapping by name; None if it failed.
        complete: False if it was stopped early.
        constraints: Constraint -> its value, where one was reported.
        trial: Id of the trial of an earlier run; empty for a point that a user gave.
    """

    config: Mapping[str, Any]
    value: Any
    complete: bool = True
    constraints: Mapping[str, float] = field(default_factory=dict)
    trial: str = ""


@dataclass(frozen=True)
class RunTrials:
    """The trials of an earlier run, apart from it.

    Attributes:
        rows: Of each: config, last result with its ``trial_id``, whether it failed.
    """

    rows: tuple[tuple[dict[str, Any], dict[str, Any], bool], ...]

    def __repr__(self) -> str:
        return f"<run of {len(self.rows)} trials>"

    def evaluated(self, metric: Names, constraints: Collection[str] = ()) -> list[Evaluated]:
        """Return the trials that reported a metric, NaN for others of several; warn of the rest.

        Raises:
            ValueError: Metrics that are no names, or no such trial.
        """
        names = _names(metric)
        found, left_out = [], []
        for config, result, error in self.rows:
            trial = str(result["trial_id"])
            if values := metrics_in(result, names):
                value = None if error else [values.get(name, math.nan) for name in names]
                complete = bool(error or result.get(DONE))
                bounded = metrics_in(result, [*constraints])
                found.append(Evaluated(config, value, complete, bounded, trial))
            else:
                left_out.append(trial)
        if not found:
            shown = names[0] if len(names) == 1 else list(names)
            raise ValueError(f"metric={shown!r} is in no trial's result; give a name that is")
        for trial in left_out:
            _logger.warning("trial %s is left out: it reported none of %s", trial, names)
        return found


def run_trials(source: Any) -> RunTrials | None:
    """The trials of a ``ResultGrid``, an ``ExperimentAnalysis``, a ``Trial`` or a list of them.

    None of anything else.
    """
    if isinstance(source, ResultGrid):
        results = [source[i] for i in range(len(source))]
        return RunTrials(tuple(map(_row_of_result, results)))
    trials = source.trials if isinstance(source, ExperimentAnalysis) else source
    trials = [trials] if isinstance(trials, Trial) else trials
    if not isinstance(trials, list | tuple) or any(not isinstance(t, Trial) for t in trials):
        return None
    return RunTrials(tuple(map(_row_of_trial, trials)))


def evaluated_trials(
    source: Any, metric: Names, constraints: Collection[str] = ()
) -> list[Evaluated]:
    """Return the trials of an earlier run that reported a metric, NaN for others of several.

    Args:
        source: As for ``run_trials``.
        metric: The metric, or several.
        constraints: Names of the constraints that their results may have.

    Raises:
        ValueError: Another source, metrics that are no names, or no such trial.
    """
    names = _names(metric)
    run = run_trials(source)
    if run is None:
        must = "be an ExperimentAnalysis, a ResultGrid, a Trial or a list of Trials"
        raise checks.refusal("trials_or_analysis", source, must)
    return run.evaluated(names, constraints)


def trials_in(folder: str) -> list[tuple[str, dict[str, Any], bool]]:
    """Id, last result with config, and failure of the trials in a run's newest state.

    Those that have not ended count as failed as yet. None where it cannot be read.
    """
    try:
        trials = list(ExperimentAnalysis(folder).trials or ())
    except Exception:  # of files, storages, JSON
        return []
    return [
        (
            trial.trial_id,
            {**trial.last_result, "config": trial.config},
            trial.status != Trial.TERMINATED,
        )
        for trial in trials
    ]


def checked_objective(metric: Names | None, mode: Names | None) -> tuple[Any, Any]:
    """Metric and mode: both None, both strings, both lists, or a string of a mode alone.

    Raises:
        ValueError: Anything else, a mode that is neither "min" nor "max", or a metric twice.
    """
    names, modes = _names(metric), _as_list(mode)
    if names and not modes:
        raise ValueError(f'metric={metric!r} without mode; give mode="min" or mode="max"')
    if any(one not in list(_DIRECTIONS) for one in modes):
        raise checks.refusal("mode", mode, 'be "min" or "max", for each metric')
    alone = metric is None and not isinstance(mode, list | tuple)
    pair = isinstance(metric, str) == isinstance(mode, str) and len(names) == len(modes) > 0
    if not (alone or pair):
        raise ValueError(
            f"metric={metric!r} and mode={mode!r} must both be strings, or lists of equal length"
        )
    return (names, modes) if isinstance(mode, list | tuple) else (metric, mode)


def directions(metric: Names, mode: Names) -> dict[str, str]:
    """What ``NCPOptimizer`` takes, of a checked metric and mode."""
    pairs = zip(_as_list(metric), _as_list(mode), strict=True)
    return {name: _DIRECTIONS[one] for name, one in pairs}


def metrics_in(result: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Return those of the metrics that a result has, NaN for what is no number."""
    found = {name: find(result, name, None) for name in names}
    return {name: _number(value) for name, value in found.items() if value is not None}


def warn_of(trial_id: str, result: Mapping[str, Any], names: Sequence[str]) -> None:
    """Log which of the metrics cannot be learned from a trial's last result, and why."""
    found = {name: find(result, name, None) for name in names}
    if all(value is None for value in found.values()):
        reason = f"it reported none of {[*names]}"
    elif odd := {n: v for n, v in found.items() if v is not None and _scalar(v) is None}:
        reason = f"it reported what is no number: {odd}"
    else:
        return
    _logger.warning("no value is learned from trial %s: %s", trial_id, reason)


def named_values(value: Any, names: Sequence[str]) -> dict[str, float]:
    """Metrics by name: of None, a number, a sequence in order, or a mapping.

    Raises:
        ValueError: Something else, or as many values as there are not.
    """
    if value is None:
        return {}
    given = list(value) if isinstance(value, Mapping) else list(names)
    numbers = _floats(value)
    if numbers is None or len(numbers) != len(given):
        raise checks.refusal("value", value, f"have a number for each of {list(names)}")
    return dict(zip(given, numbers, strict=True))


def given_points(
    points: Sequence[Mapping[str, Any]] | None, rewards: Sequence[Any] | None
) -> tuple[list[Mapping[str, Any]], list[Evaluated]]:
    """Return the configs to suggest, and those with a value, which count as complete.

    Raises:
        ValueError: Points that are no list of dictionaries, values that are no numbers, or not as
            many of them.
    """
    points = [] if points is None else points
    must = "be a list of dictionaries"
    listed = checks.sequence("points_to_evaluate", points, Mapping, must)
    if rewards is None:
        return listed, []
    must = "be a list, with a number per point, or with several metrics a list of numbers"
    values = _listed("evaluated_rewards", rewards, must)
    if any(_floats(value) is None for value in values):
        raise checks.refusal("evaluated_rewards", rewards, must)
    if len(values) != len(listed):
        raise ValueError(
            f"evaluated_rewards has {len(values)} values for {len(listed)} points; give one "
            "for each of points_to_evaluate"
        )
    return [], [Evaluated(point, value) for point, value in zip(listed, values, strict=True)]


def evaluated_point(
    config: Any, value: Any, error: Any, pruned: Any, intermediate_values: Any
) -> Evaluated:
    """Return a config evaluated elsewhere, as ``NCPSearch.add_evaluated_point`` is given it.

    Raises:
        ValueError: No dictionary, flags that are none, or intermediate values that are no list.
    """
    checks.instance("parameters", config, Mapping, "be a dictionary, flat or nested")
    if value is None and intermediate_values is not None:
        values = _listed("intermediate_values", intermediate_values, "be a list of values, or None")
        value = values[-1] if values else None
    failed, stopped = checks.flag("error", error), checks.flag("pruned", pruned)
    value = None if failed else value
    return Evaluated(config, value, failed or not (stopped or value is None))


def _row_of_result(result: Result) -> tuple[dict[str, Any], dict[str, Any], bool]:
    metrics = {"trial_id": Path(result.path).name, **(result.metrics or {})}
    return result.config or {}, metrics, result.error is not None


def _row_of_trial(trial: Trial) -> tuple[dict[str, Any], dict[str, Any], bool]:
    result = {"trial_id": trial.trial_id, **trial.last_result}
    return trial.config, result, trial.status == Trial.ERROR


def _listed(name: str, values: Any, must: str) -> list[Any]:
    """A list, also of an array of NumPy's and others'."""
    plain = values.tolist() if hasattr(values, "tolist") else values
    return checks.sequence(name, plain, object, must)


def _names(metric: Any) -> list[str]:
    """The metrics' names; none of None.

    Raises:
        ValueError: No names, or one twice.
    """
    names = _as_list(metric)
    if any(not isinstance(name, str) or not name for name in names) or len({*names}) < len(names):
        raise checks.refusal("metric", metric, "be the metric's name, or a list of several")
    return names


def _as_list(one_or_several: Any) -> list[Any]:
    if one_or_several is None:
        return []
    several = isinstance(one_or_several, list | tuple | np.ndarray)
    return list(one_or_several) if several else [one_or_several]


def _floats(value: Any) -> list[float] | None:
    """The numbers of one metric or of several; None if anything else is among them."""
    values = list(value.values()) if isinstance(value, Mapping) else _as_list(value)
    try:
        return [float(one) for one in values]
    except Exception:  # of any type: a tensor of several numbers raises RuntimeError
        return None


def _number(value: Any) -> float:
    number = _scalar(value)
    return math.nan if number is None else number


def _scalar(value: Any) -> float | None:
    one = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    numbers = _floats([one])
    return None if numbers is None else numbers[0]
