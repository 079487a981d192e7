"""Readers of CSV files, which return records with a search space for the parameter columns.

Every problem in a file raises a ``ValueError`` that names the file and, where they apply, the
column and the row. Rows are numbered from 1, starting below the header row; empty lines are not
counted.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncp_sampler import checks
from ncp_sampler.records.columns import (
    FloatArray,
    infer_dimension,
    metric_values,
    no_parameters,
    param_values,
    why_no_parameter,
)
from ncp_sampler.records.records import Records
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import Params, SearchSpace

_LEAST_ROWS = 2
_OTHER_SEPARATORS = ";\t|"


def read_csv(
    path: str | os.PathLike[str],
    *,
    metrics: str | Sequence[str],
    params: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] = (),
    id: str | None = None,
    categories: str | Sequence[str] = (),
    space: SearchSpace | None = None,
) -> Records:
    """Read records from a CSV file with a header row and one architecture per row.

    Without a space, each parameter becomes a dimension over its values: ``Integer`` for integers,
    ``Float`` for other numbers, and ``Categorical`` for text and numbers with leading zeros. Two
    kinds of columns are rejected unless ``params`` names them: columns that identify rows (text
    that differs in every row, dates, row numbers, a name like "id"), and columns named like a
    measurement. An empty cell of a metric becomes NaN. A parameter with an empty cell (or NA, NaN,
    null), or with an integer beyond 2**53 that a float cannot represent, is rejected, unless
    ``categories`` names it. A first column without a name, such as pandas' index, is ignored.

    Args:
        path: Path of the file.
        metrics: Columns that are metrics or costs.
        params: Columns that are parameters; None for all columns that no other argument names.
        ignore: Columns to ignore.
        id: Column with the name of each row (``Records.ids``), or None.
        categories: Parameters whose numbers are categories, without an order.
        space: Search space of the codes; None to infer it. Each of its parameters must be a
            column. Cells of a conditional parameter may be empty where the parameter does not
            exist.

    Raises:
        ValueError: If the file cannot be read, a column is missing, repeated or has two roles,
            a row has the wrong length, a metric is not a number, a column does not seem to be a
            parameter, or there are fewer than two rows.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> rows = ["run,width,norm,top1", "a,8,batch,70.5", "b,16,layer,74.0", "c,32,layer,73.1"]
        >>> with TemporaryDirectory() as folder:
        ...     table = Path(folder) / "runs.csv"
        ...     _ = table.write_text(chr(10).join(rows))
        ...     records = read_csv(table, metrics="top1", id="run")
        >>> records.space.names, records.metrics["top1"].tolist(), records.ids
        (('width', 'norm'), [70.5, 74.0, 73.1], ('a', 'b', 'c'))
    """
    return read_tables(
        [open_csv(path)],
        metrics=[metrics],
        params=params,
        ignore=ignore,
        id=id,
        categories=categories,
        space=space,
    )[0]


def read_tables(
    tables: Sequence[CsvTable],
    *,
    metrics: Sequence[str | Sequence[str]],
    params: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] = (),
    id: str | None = None,
    categories: str | Sequence[str] = (),
    space: SearchSpace | None = None,
) -> list[Records]:
    """Read the records of several tasks, in one space that covers the values of all tables.

    Args:
        tables: One table per task.
        metrics: Metrics of each table.
        params: As for ``read_csv``.
        ignore: As for ``read_csv``; a column may be missing in some of the tables.
        id: As for ``read_csv``.
        categories: As for ``read_csv``.
        space: As for ``read_csv``.

    Raises:
        ValueError: As for ``read_csv``.
    """
    measured = [_names("metrics", names) for names in metrics]
    left_out, labels = _names("ignore", ignore), () if id is None else (checks.text("id", id),)
    named = None if params is None else _names("params", params)
    for table, own in zip(tables, measured, strict=True):
        table.check_roles(metrics=own, params=named or (), ignore=(), id=labels)
    heads = {name for table in tables for name in table.head}
    unknown = [name for name in left_out if name not in heads]
    if unknown:
        raise ValueError(
            f"ignore={unknown} must be columns of {_paths(tables)!r}: {tables[0].head}"
        )
    every = list(dict.fromkeys([*(name for own in measured for name in own), *labels]))
    taken = [name for name in left_out if name in every or name in (named or ())]
    if taken:
        raise ValueError(f"ignore={taken} must not be metrics, parameters or the id; leave it out")
    for table in tables:
        table.check_rows()
    values = [
        {name: metric_values(table.path, name, table.cells(name)) for name in own}
        for table, own in zip(tables, measured, strict=True)
    ]
    if space is None:
        guessed = named is None
        if named is None:
            # columns of all tables, so that no table's parameter is dropped without an error
            head = dict.fromkeys(name for table in tables for name in table.head)
            named = tuple(n for n in head if n not in every and n not in left_out)
        if not named:
            raise ValueError(
                f"{_paths(tables)!r} has no columns but {[*every, *left_out]}; add a column for "
                "each parameter"
            )
        names = _names("categories", categories)
        inferred = _inferred_space(tables, named, names, guessed=guessed)
    elif named is not None or categories:
        raise ValueError("space is given together with params or categories; give the space alone")
    else:
        must = f"{checks.A_SPACE}, or None to have it inferred"
        inferred = checks.instance("space", space, SearchSpace, must)
    return [table.in_space(inferred, own, id) for table, own in zip(tables, values, strict=True)]


def csv_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the column names of a CSV file.

    Raises:
        ValueError: If the file cannot be read, or has no header row.
    """
    return open_csv(path).head


def open_csv(path: str | os.PathLike[str], *, name: str = "path") -> CsvTable:
    """Return the table of a file without checking its rows.

    Args:
        path: Path of the file.
        name: Name of the argument that contains the path, for error messages.

    Raises:
        ValueError: If the file cannot be read, or is empty.
    """
    file_path, shown = checks.path(name, path, "a CSV file"), os.fspath(path)
    try:
        text = file_path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}={shown!r} cannot be read: it is not text in UTF-8 ({error}); save the table "
            "as CSV in UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name}={shown!r} cannot be read: {error}; give the path of a CSV file"
        ) from error
    if "\0" in text:
        raise ValueError(
            f"{name}={shown!r} cannot be read: it contains null characters, so it is not CSV"
        )
    try:
        # strict, because otherwise an unclosed quotation mark would swallow the rows below it
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        # lines without values are dropped, because spreadsheets can end with lines such as ",,,"
        lines = [row for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise ValueError(
            f"{name}={shown!r} cannot be read: {error}; give a CSV file whose values are separated "
            "by commas and whose quotation marks are closed"
        ) from error
    if not lines:
        raise ValueError(f"{name}={shown!r} is empty; give a header row, then one row per code")
    head, *rows = [[cell.strip() for cell in line] for line in lines]
    if len(head) == 1 and any(mark in head[0] for mark in _OTHER_SEPARATORS):
        raise ValueError(
            f"{name}={shown!r} has one column, {head[0]!r}; its columns must be separated by commas"
        )
    if len(head) > 1 and not head[0]:  # a column of row labels, as pandas writes it
        head, rows = head[1:], [row[1:] for row in rows]
    return CsvTable(shown, head, rows)


@dataclass(frozen=True)
class CsvTable:
    """Cells of a CSV file, without surrounding spaces.

    Attributes:
        path: Path of the file, for error messages.
        head: Names of the columns.
        rows: Rows, of any length until ``check_rows`` has been called.
    """

    path: str
    head: list[str]
    rows: list[list[str]]

    def cells(self, name: str) -> list[str]:
        """Return the cells of a column; call ``check_rows`` first."""
        column = self.head.index(name)
        return [row[column] for row in self.rows]

    def check_roles(self, **roles: Sequence[str]) -> None:
        """Raise ValueError unless each name is a column with one role, and there are metrics."""
        for role, given in roles.items():
            if any(column not in self.head for column in given) or (
                role == "metrics" and not given
            ):
                raise ValueError(
                    f"{role}={list(given)} must be columns of {self.path!r}: {self.head}"
                )
            if len(set(given)) < len(given):
                raise ValueError(f"{role}={list(given)} must be distinct names")
        named = [(column, role) for role, given in roles.items() for column in given]
        for i, (column, role) in enumerate(named):
            for earlier, before in named[:i]:
                if column == earlier:
                    raise ValueError(f"{column!r} is in {before} and in {role}; name it in one")

    def check_rows(self) -> None:
        """Raise ValueError unless names are distinct and there are enough rows of equal length."""
        twice = [name for i, name in enumerate(self.head) if name in self.head[:i]]
        if twice:
            raise ValueError(f"{self.path!r} has two columns {twice[0]!r}; names must be distinct")
        if "" in self.head:
            raise ValueError(
                f"{self.path!r} has no name above column {self.head.index('') + 1}; give it one"
            )
        for i, row in enumerate(self.rows, start=1):
            if len(row) != len(self.head):
                raise ValueError(
                    f"{self.path!r}: row {i} has {len(row)} values, but the header row has "
                    f"{len(self.head)}; give one value per column"
                )
        if not self.rows:
            raise ValueError(
                f"{self.path!r} has a header row but no other rows; give at least {_LEAST_ROWS}"
            )
        if len(self.rows) < _LEAST_ROWS:
            raise ValueError(f"{self.path!r} has 1 row; give at least {_LEAST_ROWS}")

    def in_space(
        self, space: SearchSpace, metrics: dict[str, FloatArray], id: str | None = None
    ) -> Records:
        """Return the rows as records in a space, each of whose parameters is a column.

        Raises:
            ValueError: If a parameter is not a column, is also a metric, or has an invalid value.
        """
        absent = [name for name in space.names if name not in self.head or name in metrics]
        if absent:
            raise ValueError(f"{self.path!r} lacks columns {absent} of {checks.shown(space)}")
        codes = np.array([space.to_code(params) for params in self._params(space)], dtype=float)
        return Records(space, codes, metrics, None if id is None else tuple(self.cells(id)))

    def _params(self, space: SearchSpace) -> list[Params]:
        """Return the params of each row."""
        columns = {}
        for dim in space.dimensions:
            optional = dim.name in space.conditions
            columns[dim.name] = param_values(self.path, dim, self.cells(dim.name), optional)
        integers = {dim.name for dim in space.dimensions if isinstance(dim, Integer)}
        return [
            {
                name: int(values[i]) if name in integers and values[i] % 1 == 0 else values[i]
                for name, values in columns.items()
                if values[i] is not None
            }
            for i in range(len(self.rows))
        ]


def _inferred_space(
    tables: Sequence[CsvTable], params: Sequence[str], categories: Sequence[str], *, guessed: bool
) -> SearchSpace:
    """Return the space that covers the columns of all tables.

    Args:
        tables: Checked tables.
        params: Columns of the parameters.
        categories: Columns whose values are categories.
        guessed: True if no argument names the parameters, so that some columns may be none.
    """
    unknown = [name for name in categories if name not in params]
    if unknown:
        raise ValueError(f"categories={unknown} must be parameters: {list(params)}")
    dimensions, refused = [], {}
    for table in tables:
        absent = [name for name in params if name not in table.head]
        if absent:
            owner = next(other for other in tables if absent[0] in other.head)
            own = [name for name in absent if name in owner.head]
            raise ValueError(
                f"{table.path!r} lacks the columns {own} of {owner.path!r}; name them in "
                "ignore (--ignore), or name the columns that are parameters in params (--params)"
            )
    for name in params:
        columns = [(table.path, table.cells(name)) for table in tables]
        columns.append((_paths(tables), [cell for _, cells in columns for cell in cells]))
        is_category = name in categories
        reason = why_no_parameter(name, columns[-1][1]) if guessed and not is_category else None
        if reason is None:  # each table first, so that an error names the file and the row
            spans = [infer_dimension(p, name, c, category=is_category) for p, c in columns]
            dimensions.append(spans[-1])
        else:
            refused[name] = reason
    if refused:
        raise no_parameters(_paths(tables), refused)
    return SearchSpace(dimensions)


def _names(argument: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return names as a tuple; a string is a single name."""
    return (given,) if isinstance(given, str) and given else checks.texts(argument, given)


def _paths(tables: Sequence[CsvTable]) -> str:
    return ", ".join(dict.fromkeys(table.path for table in tables))
