"""Sources that users pass (tables, files and trials), checked and converted to one form.

Each source becomes ``EarlierTrials``: params and metrics under the names of the current search. An
integration first converts its own studies to this form.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ncp_sampler import checks
from ncp_sampler.records.columns import param_values
from ncp_sampler.records.csv_records import CsvTable, open_csv, read_tables
from ncp_sampler.records.records import Records
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import Params, SearchSpace

Convert = Callable[[str, Any], Any]  # argument's name, its value -> ``Source.trials``

_MUST = "be Records, the path of a CSV file, or a Source with one of them"


@dataclass(frozen=True)
class Source:
    """Trials of an earlier search, and information about their task.

    Args:
        trials: ``Records`` or the path of a CSV file; a study of Optuna in ``NCPSampler``, a
            ``ResultGrid`` or ``ExperimentAnalysis`` in ``NCPSearch``.
        same_task: True if the values come from the same objective, so that they count as
            observations; False if they come from another one. None to let the search test this: it
            evaluates the best code again and compares the values.
        fixed: Parameter of the search that the trials lack -> its value in all trials.

    Raises:
        ValueError: ``same_task`` or ``fixed`` has the wrong type.

    Examples:
        A CSV file of runs of the same objective, before the width became a parameter.

        >>> source = Source("runs.csv", same_task=True, fixed={"width": 32})
        >>> source.fixed["width"]
        32
    """

    trials: Any
    same_task: bool | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.same_task is not None and not isinstance(self.same_task, bool):
            raise checks.refusal("same_task", self.same_task, "be True, False or None")
        checks.instance("fixed", self.fixed, Mapping, "map parameters to the value that they had")


@dataclass(frozen=True)
class EarlierTrials:
    """Finished trials of an earlier search, under the names that the current search uses.

    Attributes:
        params: Params of each trial, without parameters that the current search does not have.
        metrics: Metrics of each trial, name -> value.
        complete: True for each trial that was not stopped early.
        alike: False if the task is known to differ from that of the current search.
    """

    params: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, float]]
    complete: Sequence[bool]
    alike: bool = True


def checked_sources(
    given: Any, convert: Convert | None = None, kind: Any = None, must: str = _MUST
) -> tuple[Source, ...]:
    """Check the argument ``sources``; read its files, and convert its studies.

    Args:
        given: A sequence of ``Source``, or of valid values of ``Source.trials``.
        convert: Function of an integration that converts its own studies to objects that can be
            pickled, and returns everything else unchanged.
        kind: Class of the objects that ``convert`` returns.
        must: Description of valid sources, for error messages.

    Raises:
        ValueError: A source has another type, or a file cannot be read.
    """
    if given is None:
        return ()
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise checks.refusal("sources", given, 'be a sequence, such as ["old.csv", records]')
    checked = []
    for i, entry in enumerate(given):
        name = f"sources[{i}]"
        source = entry if isinstance(entry, Source) else Source(entry)
        trials = source.trials if convert is None else convert(name, source.trials)
        if isinstance(trials, str | os.PathLike):
            trials = open_csv(trials, name=name)
            trials.check_rows()
        known = isinstance(trials, Records | CsvTable | EarlierTrials)
        if not known and (kind is None or not isinstance(trials, kind)):
            raise checks.refusal(name, source.trials, must)
        checked.append(replace(source, trials=trials))
    return tuple(checked)


def earlier_trials(name: str, source: Source, objectives: Objectives) -> EarlierTrials:
    """Return a source's trials under the names of a search.

    Args:
        name: Name of the source, for error messages.
        source: Result of ``checked_sources``.
        objectives: Objectives of the search.

    Raises:
        ValueError: The argument is not a source, a parameter is missing or both present and fixed,
            or no usable trial has a value.
    """
    trials, space = source.trials, objectives.space
    unknown = [param for param in source.fixed if param not in space.names]
    if unknown:
        raise ValueError(f"{name}: fixed has {unknown}; the search has {list(space.names)}")
    if not isinstance(trials, EarlierTrials):
        trials = _of_table(name, source, objectives)
    kept, params = [], []
    for i, row in enumerate(trials.params):
        own = {**source.fixed, **{param: row[param] for param in space.names if param in row}}
        every = _by_text(space, own)
        _check_has(name, space.missing(every))
        valid = _valid(space, every)
        if valid is not None:  # no category is unknown
            kept.append(i)
            params.append(valid)
    metrics = [trials.metrics[i] for i in kept]
    if all(np.isnan(value) for row in metrics for value in row.values()):
        raise ValueError(
            f"{name} has no trial with a value and with params of {checks.shown(space)}; leave it "
            "out, or give one of the same parameters and categories"
        )
    alike = trials.alike and len(kept) == len(trials.params)
    return EarlierTrials(params, metrics, [trials.complete[i] for i in kept], alike)


def _of_table(name: str, source: Source, objectives: Objectives) -> EarlierTrials:
    """Return the rows of ``Records`` or of a CSV file under the names of a search."""
    table, space = source.trials, objectives.space
    if isinstance(table, CsvTable):
        have: Sequence[str] = table.head
        measured = [column for column in have if column not in space.names]
    elif isinstance(table, Records):
        have, measured = table.space.names, [*table.metrics]
    else:
        raise checks.refusal(name, table, _MUST)
    modeled = [metric for metric in objectives.directions if metric not in objectives.costs]
    metrics = metric_names(name, measured, modeled, objectives.names)
    check_fixed(name, source.fixed, [have])
    every_row = [param for param in space.names if param not in space.conditions]
    _check_has(name, [param for param in every_row if param not in {*have, *source.fixed}])
    rows_of: dict[str, list[Any]] = {}  # for parameters whose cells may be empty
    if isinstance(table, CsvTable):
        columns = [param for param in every_row if param in have]
        for dim in space.dimensions:
            if dim.name in space.conditions and dim.name in have:
                cells = table.cells(dim.name)
                rows_of[dim.name] = param_values(table.path, dim, cells, optional=True)
        of_text = [
            dim.name
            for dim in space.dimensions
            if isinstance(dim, Categorical)
            and dim.name in columns
            and not all(checks.is_number(type(choice)) for choice in dim.choices)
        ]
        (table,) = read_tables(
            [table], metrics=[[*metrics]], params=columns or None, categories=of_text,
            ignore=[*rows_of],
        )  # fmt: skip
    params: list[Params] = table.space.to_params(table.space.round(table.codes))
    for i, row in enumerate(params):
        row |= {param: cells[i] for param, cells in rows_of.items() if cells[i] is not None}
    values = {new: table.metrics[old].tolist() for old, new in metrics.items()}
    # constraints that the table lacks are unknown
    absent = {
        metric: np.nan
        for metric in objectives.names
        if metric not in modeled and metric not in values
    }
    rows = [absent | {metric: values[metric][i] for metric in values} for i in range(len(params))]
    # a table does not state why a row has no value
    complete = [any(not np.isnan(row.get(metric, np.nan)) for metric in modeled) for row in rows]
    return EarlierTrials(params, rows, complete, {*table.space.names} <= {*space.names})


def metric_names(
    name: str, have: Sequence[str], objectives: Sequence[str], names: Collection[str]
) -> dict[str, str]:
    """Map a source's metrics to those of the search, by name or, without a match, by order.

    Raises:
        ValueError: No metric has the name of an objective, and the numbers of metrics differ.
    """
    same = {metric: metric for metric in have if metric in names}
    if not objectives or any(metric in objectives for metric in same):
        return same
    if len(have) != len(objectives):
        raise ValueError(
            f"{name} has the metrics {list(have)}, none of {list(objectives)}; rename one, or "
            "leave the others out"
        )
    return dict(zip(have, objectives, strict=True))


def check_fixed(name: str, fixed: Collection[str], have: Collection[Collection[str]]) -> None:
    """Raise ValueError if a fixed parameter has a value in every trial.

    Args:
        name: Name of the source, for error messages.
        fixed: The parameters that are fixed.
        have: The parameters of each trial.

    Raises:
        ValueError: A fixed parameter has a value in every trial.
    """
    known = [param for param in fixed if all(param in given for given in have)]
    if known:
        raise ValueError(f"{name}: fixed has {known}, which its trials have; remove it there")


def _check_has(name: str, lacks: Sequence[str]) -> None:
    """Raise ValueError if a parameter is neither present nor fixed."""
    if lacks:
        raise ValueError(
            f"{name} lacks the parameters {list(lacks)}; if all its trials had one value of each, "
            f"give Source(..., fixed={{{lacks[0]!r}: value}})"
        )


def _by_text(space: SearchSpace, params: Params) -> Params:
    """Return params in which the text forms of categories are replaced by the categories."""
    by_text = dict(params)
    for dim in space.dimensions:
        if isinstance(dim, Categorical) and dim.name in params:
            texts = {str(choice): choice for choice in dim.choices}
            try:
                dim.index(params[dim.name])
            except ValueError:
                by_text[dim.name] = texts.get(str(params[dim.name]), params[dim.name])
    return by_text


def _valid(space: SearchSpace, params: Params) -> Params | None:
    """Return the nearest valid params; None if there are none."""
    try:
        valid: Params = space.to_params(space.to_code(params, clip=True))
    except ValueError:
        return None
    return valid
