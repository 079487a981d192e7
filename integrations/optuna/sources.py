"""Finished studies as sources: what a study has stored, then the same in the optimizer's terms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.integrations.optuna.trials import (
    constraints_of,
    metric_names,
    metrics_of,
    was_stopped,
)
from ncp_sampler.optimizer.sources import EarlierTrials, Source, check_fixed, checked_sources
from ncp_sampler.optimizer.sources import metric_names as names_in_search
from ncp_sampler.space.search_space import Params

_MUST = "be a study, Records, the path of a CSV file, or a Source with one of them"


@dataclass(frozen=True)
class StudyTrials:
    """The finished trials of a study, apart from its storage.

    Attributes:
        directions: Metric -> "maximize" or "minimize".
        trials: As they were stored.
    """

    directions: Mapping[str, str]
    trials: tuple[FrozenTrial, ...]

    def __repr__(self) -> str:
        return f"<study of {len(self.trials)} finished trials>"


def read_sources(given: Any) -> tuple[Source, ...]:
    """The argument ``sources`` as plain values.

    Raises:
        ValueError: As ``checked_sources``; or no trial of a study has finished.
    """
    return checked_sources(given, _snapshot, StudyTrials, _MUST)


def studies_of_task(sources: Sequence[Source]) -> list[FrozenTrial]:
    """The trials of studies that are said to be of the same task."""
    return [
        trial
        for source in sources
        if source.same_task and isinstance(source.trials, StudyTrials)
        for trial in source.trials.trials
    ]


def source_constraints(sources: Sequence[Source]) -> set[str]:
    """Names of the constraints that trials of studies among the sources have."""
    studies = [one.trials for one in sources if isinstance(one.trials, StudyTrials)]
    return {name for study in studies for trial in study.trials for name in constraints_of(trial)}


def in_search(
    sources: Sequence[Source],
    directions: Mapping[str, str],
    names: Collection[str],
    known: Params,
    own: Collection[object],
) -> list[Source]:
    """The sources, studies as trials in a search's names; without those that are its own trials.

    Args:
        sources: From ``checked_sources``.
        directions: Of the search's metrics.
        names: Of its parameters.
        known: Parameters that a trial may lack -> what stands for them.
        own: What tells trials of the search's own study from others (``identity``).

    Raises:
        ValueError: A study has other metrics.
    """
    found = []
    for i, source in enumerate(sources):
        study = source.trials
        if isinstance(study, StudyTrials):
            if any(identity(trial) in own for trial in study.trials):
                continue
            trials = _in_search(f"sources[{i}]", study, directions, names, known, source.fixed)
            found.append(replace(source, trials=trials))
        else:
            found.append(source)
    return found


def identity(trial: FrozenTrial) -> object:
    """Return what tells a finished trial from all others, also of a study of the same name."""
    values = tuple(trial.values or ())
    return trial._trial_id, trial.datetime_start, trial.datetime_complete, values


def _snapshot(name: str, given: Any) -> Any:
    """A study's finished trials; anything else as it is.

    Raises:
        ValueError: No trial of the study has finished.
    """
    if not isinstance(given, Study):
        return given
    trials = tuple(t for t in given.get_trials(deepcopy=False) if t.state.is_finished())
    if not any(t.state != TrialState.FAIL for t in trials):
        must = "have a finished trial; leave it out until it has"
        raise checks.refusal(name, given.study_name, must)
    pairs = zip(metric_names(given), given.directions, strict=True)
    return StudyTrials({metric: one.name.lower() for metric, one in pairs}, trials)


def _in_search(
    name: str,
    study: StudyTrials,
    directions: Mapping[str, str],
    names: Collection[str],
    known: Params,
    fixed: Mapping[str, Any],
) -> EarlierTrials:
    given = {**known, **fixed}
    metrics = names_in_search(name, [*study.directions], [*directions], directions)
    if len(study.directions) == len(directions) and len(metrics) < len(directions):
        metrics = dict(zip(study.directions, directions, strict=True))
    turned = {old for old, new in metrics.items() if study.directions[old] != directions[new]}
    whole = [t for t in study.trials if {*names} <= {*t.params, *given}]
    trials = whole or list(study.trials)  # of which the optimizer says what is missing
    check_fixed(name, fixed, [trial.params for trial in trials])
    rows = []
    for trial in trials:
        values = metrics_of(trial, [*study.directions])
        row = {new: values[old] for old, new in metrics.items() if old in values}
        flipped = {metrics[old] for old in turned}
        row = {one: -value if one in flipped else value for one, value in row.items()}
        rows.append({**row, **constraints_of(trial)})
    others = {
        one
        for trial in trials
        for one, distribution in trial.distributions.items()
        if one not in names and not distribution.single()
    }
    unseen = {*names}.difference(fixed, *(trial.params for trial in trials))
    return EarlierTrials(
        [{**given, **{n: v for n, v in t.params.items() if n in names}} for t in trials],
        rows,
        [not was_stopped(trial) for trial in trials],
        alike=not (turned or others or unseen),
    )
