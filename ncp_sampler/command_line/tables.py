"""User tables as sources of a search: roles of columns, split of rows, and held-out evaluator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.option_types import Bound
from ncp_sampler.command_line.search_options import SearchOptions
from ncp_sampler.command_line.sources import Evaluator, Scores, SearchSource, some_rows
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import halves
from ncp_sampler.offline.recipes import learn
from ncp_sampler.records.csv_records import CsvTable, open_csv, read_tables
from ncp_sampler.records.records import Records
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.dimensions import Categorical, Dimension, Integer

MIN_SPLIT_ROWS = 40  # minimum number of rows that are split for a held-out evaluator
_DECADE = 10.0  # ratio of a cost's largest to smallest value above which its logarithm is modeled
_SHOWN_CATEGORIES = 6  # maximum number of categories listed


def table_records(options: SearchOptions) -> list[SearchSource]:
    """Read CSV files, one per task; files with the 27 columns of MRSpace contain its codes.

    A column that only ``--bound`` names is a metric that is limited but not optimized. A column
    with the name of a ``--cost`` is left out. A measured column that is minimized or has an upper
    limit counts as a cost. If it is positive and its largest value exceeds 10 times the smallest,
    its logarithm is modeled; this does not apply to the main metric. With at least 40 rows, the
    search is fitted to one half of the rows, and the held-out evaluator is a second predictor,
    fitted to the other half.

    Raises:
        ValueError: As for ``read_csv``; ``--metrics`` is given neither once nor once per file; or a
            limit names an unknown column.
    """
    metrics, bounds, params = options.metrics, options.limits, options.params
    costs = [term.name for term in options.costs]
    tables = [open_csv(path) for path in options.tables]
    given = metrics if len(metrics) > 1 else [*metrics] * len(tables)
    if len(given) != len(tables):
        raise ValueError(
            f"--metrics is given {len(given)} times for {len(tables)} tables; give it once for "
            "all, or once for each"
        )
    modeled = [{m: way for m, way in own.items() if m not in costs} for own in given]
    if not all(modeled):
        raise ValueError(
            "--metrics has only costs of --cost; add a measured metric, such as "
            "--metrics accuracy:max,gflops:min"
        )
    for table, own in zip(tables, modeled, strict=True):
        table.check_roles(metrics=[*own])
        table.check_rows()
    known = {name for own in modeled for name in own} | {*costs}
    is_mr = all({*MRSpace().names} <= {*table.head} - known for table in tables)
    space = MRSpace() if is_mr and params is None else None
    knobs = [*(params or ()), *(space.names if space else ())]
    limited = [
        [
            *own,
            *_limits_alone(
                table, bounds, {*own, *costs, *knobs}, [*options.ignore, options.id], params
            ),
        ]
        for table, own in zip(tables, modeled, strict=True)
    ]
    _check_bounded(bounds, tables, {*known, *knobs})
    heads = {name for table in tables for name in table.head}
    replaced = [name for name in costs if name in heads and name not in options.ignore]
    records = read_tables(
        tables,
        metrics=limited,
        params=params,
        ignore=[*options.ignore, *replaced],
        id=options.id,
        categories=options.categories,
        space=space,
    )
    return [
        _source(table, rows, own, options)
        for table, rows, own in zip(tables, records, modeled, strict=True)
    ]


def _limits_alone(
    table: CsvTable,
    bounds: Sequence[Bound],
    known: set[str],
    left_out: Sequence[str | None],
    params: Sequence[str] | None,
) -> list[str]:
    """Return the columns that only ``--bound`` names, which are therefore limited metrics.

    Raises:
        ValueError: Such a column is left out, or has as few different values as a parameter.
    """
    measured = []
    for bound in bounds:
        if bound.name in known or bound.name not in table.head or bound.name in measured:
            continue
        if bound.name in left_out:
            raise ValueError(
                f"--bound '{bound}': {bound.name!r} is left out by --ignore or --id; take it out "
                "there, because --bound alone makes a column a metric with a limit"
            )
        cells = table.cells(bound.name)
        if not params and len({*cells}) <= len(cells) / 2:
            raise ValueError(
                f"--bound '{bound}': is {bound.name!r} measured, or a parameter? Name it in "
                "--metrics, or name all columns that are parameters in --params"
            )
        measured.append(bound.name)
    return measured


def _check_bounded(bounds: Sequence[Bound], tables: Sequence[CsvTable], known: set[str]) -> None:
    for bound in bounds:
        if bound.name not in known and not any(bound.name in table.head for table in tables):
            raise ValueError(
                f"--bound '{bound}' must name a column of {tables[0].path!r}, "
                f"{tables[0].head}, or a --cost"
            )


def _source(
    table: CsvTable, natural: Records, directions: Mapping[str, str], options: SearchOptions
) -> SearchSource:
    rows, seed = options.rows, options.seed
    name, n = os.path.basename(table.path), len(natural)
    _check_measured(name, "rows", natural)
    logged = frozenset(
        metric
        for metric in [*natural.metrics][1:]
        if _is_decades_of_cost(metric, natural.values(metric), directions, options.limits)
    )
    modeled = _in_logs(natural, logged)
    evaluator, everything = None, None
    if n < MIN_SPLIT_ROWS:
        records = some_rows(modeled, rows, seed)
        why = (
            f"fewer than {MIN_SPLIT_ROWS} rows are too few for a held-out evaluator, so "
            "the figures are the search's own predictions"
        )
    else:
        mine, others = halves(n, seed)
        _check_measured(name, "rows to learn from", natural.take(mine))
        _check_measured(name, "rows to evaluate on", natural.take(others))
        records = some_rows(modeled.take(mine), rows, seed)
        evaluator = _second_predictor(modeled.take(others), natural.take(mine), logged, seed)
        everything = some_rows(modeled, rows, seed)
        why = f"the held-out evaluator is a second predictor, learned from the other {len(others)}"
    for metric in directions:
        values = natural.values(metric)
        if np.nanmin(values) == np.nanmax(values):
            raise ValueError(
                f"{name}: {metric!r} is {np.nanmin(values):g} in all rows, so that nothing can be "
                "learned about it; leave it out of --metrics"
            )
    return SearchSource(
        name,
        records,
        natural,
        directions,
        evaluator,
        f"{name}: learned from {len(records)} of {n} rows; {why}",
        everything,
        logged,
        _columns(table, natural, directions, logged, options),
    )


def _is_decades_of_cost(
    metric: str, values: NDArray[np.float64], directions: Mapping[str, str], bounds: Sequence[Bound]
) -> bool:
    """Return True for a cost whose values span more than a decade, so that its log is modeled."""
    own = [bound for bound in bounds if bound.name == metric]
    is_cost = directions.get(metric) == "minimize" or any(b.direction == "minimize" for b in own)
    low, high = np.nanmin(values), np.nanmax(values)
    return bool(
        is_cost
        and directions.get(metric) != "maximize"
        and high > _DECADE * low > 0
        and all(bound.value > 0 for bound in own)
    )


def _in_logs(records: Records, logged: frozenset[str]) -> Records:
    metrics = {
        name: np.log(values) if name in logged else values
        for name, values in records.metrics.items()
    }
    return Records(records.space, records.codes, metrics, records.ids)


def _check_measured(name: str, what: str, records: Records) -> None:
    """Raise ValueError if a metric has no value in any of the records' rows."""
    for metric, values in records.metrics.items():
        if np.isnan(values).all():
            raise ValueError(
                f"{name} has no value of {metric!r} in its {len(records)} {what}; add rows with one"
            )


def _second_predictor(
    records: Records, unseen: Records, logged: frozenset[str], seed: int
) -> Evaluator:
    """Return an evaluator that fits a predictor to records, with its errors on unseen records."""

    def evaluate(codes: NDArray[Any]) -> tuple[Scores, Mapping[str, float]]:
        predictor = learn(records, seed=seed)

        def score(codes: NDArray[Any]) -> Scores:
            mean, _ = predictor.predict(records.space.normalize(codes))
            columns = zip(predictor.names, mean.T, strict=True)
            return {name: np.exp(m) if name in logged else m for name, m in columns}

        seen = score(unseen.codes)
        errors = {
            name: float(np.nanmean(np.abs(seen[name] - values)))
            for name, values in unseen.metrics.items()
        }
        return score(codes), errors

    return evaluate


def _columns(
    table: CsvTable,
    records: Records,
    directions: Mapping[str, str],
    logged: frozenset[str],
    options: SearchOptions,
) -> list[dict[str, str]]:
    """Return the role and a summary of the values of each column."""
    spans = {dim.name: dim for dim in records.space.dimensions}
    rows = []
    for name in table.head:
        kind, values = "left out", ""
        if name in spans:
            dim = spans[name]
            kind, values = type(dim).__name__.lower(), _span(dim)
        elif name in records.metrics:
            column = records.values(name)
            missing = int(np.isnan(column).sum())
            kind = f"metric, {directions[name]}" if name in directions else "metric with a limit"
            values = f"{np.nanmin(column):g} to {np.nanmax(column):g}"
            values += f", {missing} missing" if missing else ""
            values += ", learned as logarithm" if name in logged else ""
            for bound in options.limits:
                if bound.name == name:
                    within = bound.is_satisfied_by(column).sum()
                    values += f"; {within} of {len(column)} rows satisfy {bound}"
        elif any(name == term.name for term in options.costs):
            kind = "left out for --cost"
        elif name == options.id:
            kind, values = "id", f"{len(unique_codes(records.codes))} architectures"
        rows.append({"file": table.path, "column": name, "kind": kind, "values": values})
    return rows


def _span(dim: Dimension) -> str:
    if isinstance(dim, Categorical):
        shown = ", ".join(map(str, dim.choices[:_SHOWN_CATEGORIES]))
        n_further = len(dim.choices) - _SHOWN_CATEGORIES
        return shown + (f" and {n_further} more" if n_further > 0 else "")
    if dim.low == dim.high:
        return f"always {dim.low:g}"
    step = f", steps of {dim.step}" if isinstance(dim, Integer) and dim.step > 1 else ""
    return f"{dim.low:g} to {dim.high:g}{step}"
