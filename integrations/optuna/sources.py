"""Studies as sources: copies of their finished trials, converted to the optimizer's types."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.integrations.optuna import conversion
from ncp_sampler.optimizer import sources as earlier
from ncp_sampler.optimizer.sources import EarlierTrials, Source, checked_sources
from ncp_sampler.space.search_space import Params, SearchSpace

_MUST = "be a study, Records, the path of a CSV file, or a Source with one of them"


@dataclass(frozen=True)
class StudyTrials:
    """The finished trials of a study, independent of its storage."""

    directions: Mapping[str, str]  # metric -> "maximize" or "minimize"
    trials: tuple[FrozenTrial, ...]

    def __repr__(self) -> str:
        return f"<study of {len(self.trials)} finished trials>"


def read_sources(given: Any) -> tuple[Source, ...]:
    """Return the argument ``sources`` with studies as ``StudyTrials``.

    Raises:
        ValueError: As for ``checked_sources``.
    """
    return checked_sources(given, _snapshot, StudyTrials, _MUST)


def studies_of_task(sources: Sequence[Source]) -> list[FrozenTrial]:
    """Return the trials of all studies that are declared to have the same task."""
    return [
        trial
        for source in sources
        if source.same_task and isinstance(source.trials, StudyTrials)
        for trial in source.trials.trials
    ]


def source_constraints(sources: Sequence[Source]) -> set[str]:
    """Return the names of all constraints in those sources that are studies."""
    studies = [source.trials for source in sources if isinstance(source.trials, StudyTrials)]
    trials = [trial for study in studies for trial in study.trials]
    return {name for trial in trials for name in conversion.constraints_of(trial)}


def in_search(
    sources: Sequence[Source],
    directions: Mapping[str, str],
    space: SearchSpace,
    defaults: Params,
    own: Collection[object],
) -> list[Source]:
    """Return the sources, with each study converted to trials of the given space.

    The search's own study is left out: ``own`` identifies its trials, by ``identity``. ``defaults``
    are the values of parameters that a trial may lack.
    """
    converted, names = [], space.names
    for i, source in enumerate(sources):
        study, name = source.trials, f"sources[{i}]"
        if not isinstance(study, StudyTrials):
            converted.append(source)
            continue
        if any(identity(trial) in own for trial in study.trials):
            continue
        given = {**defaults, **source.fixed}
        metrics = earlier.metric_names(name, [*study.directions], [*directions], directions)
        if len(study.directions) == len(directions) > len(metrics):
            metrics = dict(zip(study.directions, directions, strict=True))
        turned = {old for old, new in metrics.items() if study.directions[old] != directions[new]}
        complete = [t for t in study.trials if not space.missing({**given, **t.params})]
        trials = complete or study.trials  # the optimizer reports missing params
        earlier.check_fixed(name, source.fixed, [trial.params for trial in trials])
        rows = []
        for trial in trials:
            values = conversion.metrics_of(trial, study.directions)
            signed = {old: -value if old in turned else value for old, value in values.items()}
            row = {new: signed[old] for old, new in metrics.items() if old in signed}
            rows.append({**row, **conversion.constraints_of(trial)})
        extra = any(
            param not in names and not distribution.single()
            for trial in trials
            for param, distribution in trial.distributions.items()
        )
        unseen = {*names}.difference(source.fixed, *(trial.params for trial in trials))
        in_names = EarlierTrials(
            [{**given, **{n: v for n, v in t.params.items() if n in names}} for t in trials],
            rows,
            [not conversion.was_stopped(trial) for trial in trials],
            alike=not (turned or extra or unseen),
        )
        converted.append(replace(source, trials=in_names))
    return converted


def identity(trial: FrozenTrial) -> object:
    """Return a key that identifies a finished trial, even among studies with the same name."""
    values = tuple(trial.values or ())
    return trial._trial_id, trial.datetime_start, trial.datetime_complete, values


def _snapshot(name: str, given: Any) -> Any:
    """Return the finished trials of a study; return any other object unchanged."""
    if not isinstance(given, Study):
        return given
    trials = tuple(t for t in given.get_trials(deepcopy=False) if t.state.is_finished())
    if all(trial.state == TrialState.FAIL for trial in trials):
        must = "have a finished trial; leave it out until it has one"
        raise checks.refusal(name, given.study_name, must)
    directions = [direction.name.lower() for direction in given.directions]
    return StudyTrials(dict(zip(conversion.metric_names(given), directions, strict=True)), trials)
