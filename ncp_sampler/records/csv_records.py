"""Records from a CSV file: a table comes in, ``Records`` or a message that names the place go out.

Rows are counted from 1, below the head; empty lines do not count.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncp_sampler import checks
from ncp_sampler.records.records import FloatArray, Records
from ncp_sampler.space.dimensions import Categorical, Dimension, Float, Integer
from ncp_sampler.space.search_space import Params, SearchSpace

_LEAST_ROWS = 2
_LARGEST_INTEGER = 2**53  # beyond it a float is no longer each whole number
_OTHER_SEPARATORS = ";\t|"


def read_csv(
    path: str | os.PathLike[str], *, metrics: Sequence[str], space: SearchSpace | None = None
) -> Records:
    """Records of a CSV file: a head of names, then one architecture a row.

    Without a space every column that is not among ``metrics`` becomes a dimension over the values
    that occur: whole numbers an ``Integer``, other numbers a ``Float``, words a ``Categorical``.
    An empty metric is missing (NaN). A first column without a name, such as the index that pandas
    writes, is left out.

    Args:
        path: The file.
        metrics: Its columns that are metrics or costs.
        space: The codes' search space, whose parameters are columns too; others are left out.

    Raises:
        ValueError: A file that cannot be read, a missing column or one that is there twice, a row
            of another length, a metric that is no number, or fewer than two rows.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> rows = ["width,norm,accuracy", "8,batch,70.5", "16,layer,74.0"]
        >>> with TemporaryDirectory() as folder:
        ...     table = Path(folder) / "runs.csv"
        ...     _ = table.write_text(chr(10).join(rows))
        ...     records = read_csv(table, metrics=["accuracy"])
        >>> records.space.names, records.metrics["accuracy"].tolist()
        (('width', 'norm'), [70.5, 74.0])
    """
    return open_csv(path).records(metrics=metrics, space=space)


def csv_names(path: str | os.PathLike[str]) -> list[str]:
    """The head of a CSV file.

    Raises:
        ValueError: It cannot be read, or has no head.
    """
    return open_csv(path).head


def open_csv(path: str | os.PathLike[str], *, name: str = "path") -> CsvTable:
    """The table in a file, its rows not yet looked at.

    Args:
        path: The file.
        name: Of the argument that it was given as.

    Raises:
        ValueError: It cannot be read, or is empty.
    """
    file_path, shown = checks.path(name, path, "a CSV file"), os.fspath(path)
    try:
        text = file_path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}={shown!r} cannot be read: it is no text in UTF-8 ({error}); save the table as "
            "CSV in UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name}={shown!r} cannot be read: {error}; give the path of a CSV file"
        ) from error
    if "\0" in text:
        raise ValueError(
            f"{name}={shown!r} cannot be read: it holds null characters, as no CSV does"
        )
    try:
        # strict, or a quotation mark that nothing closes would swallow the rows below it
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise ValueError(
            f"{name}={shown!r} cannot be read: {error}; give a CSV file, its values separated by "
            "commas and its quotation marks closed"
        ) from error
    if not lines:
        raise ValueError(f"{name}={shown!r} is empty; give a head of names, then one row a code")
    head, *rows = [[cell.strip() for cell in line] for line in lines]
    if len(head) == 1 and any(mark in head[0] for mark in _OTHER_SEPARATORS):
        raise ValueError(
            f"{name}={shown!r} has one column, {head[0]!r}; its columns must be separated by commas"
        )
    if len(head) > 1 and not head[0]:  # row labels, as pandas writes them
        head, rows = head[1:], [row[1:] for row in rows]
    return CsvTable(shown, head, rows)


@dataclass(frozen=True)
class CsvTable:
    """The cells of a file, without the space around them.

    Attributes:
        path: For messages.
        head: The columns' names.
        rows: Of any length until ``check_rows`` has been called.
    """

    path: str
    head: list[str]
    rows: list[list[str]]

    def records(
        self,
        *,
        metrics: Sequence[str],
        space: SearchSpace | None = None,
        columns: Sequence[str] = (),
    ) -> Records:
        """The rows as ``read_csv`` gives them.

        Args:
            metrics: As for it.
            space: As for it.
            columns: Without a space, the columns that become dimensions, all others being left
                out; every column that is no metric if empty.

        Raises:
            ValueError: As it does.
        """
        metrics = checks.texts("metrics", metrics)
        missing = [name for name in metrics if name not in self.head]
        if missing or not metrics:
            raise ValueError(
                f"metrics={list(metrics)} must be columns of {self.path!r}: {self.head}"
            )
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"metrics={list(metrics)} must be distinct names")
        self.check_rows()
        measured = {name: self.numbers(name, empty=True) for name in metrics}
        if space is None:
            others = [name for name in columns or self.head if name not in measured]
            if not others:
                raise ValueError(
                    f"{self.path!r} has no column but {list(metrics)}; add one for each number of "
                    "a code"
                )
            space = SearchSpace([self.dimension(name) for name in others])
        checks.instance(
            "space", space, SearchSpace, "be a SearchSpace, or None to have it inferred"
        )
        absent = [name for name in space.names if name not in self.head or name in measured]
        if absent:
            raise ValueError(f"{self.path!r} lacks columns {absent} of {checks.shown(space)}")
        codes = np.array([space.to_code(params) for params in self.params(space)], dtype=np.float64)
        return Records(space, codes, measured)

    def check_rows(self) -> None:
        """Raises ValueError unless rows are enough, each as long as a head of unlike names."""
        twice = [name for i, name in enumerate(self.head) if name in self.head[:i]]
        if twice:
            raise ValueError(f"{self.path!r} has a column {twice[0]!r} twice; name each one once")
        if "" in self.head:
            raise ValueError(
                f"{self.path!r} has no name above column {self.head.index('') + 1}; give it one"
            )
        for i, row in enumerate(self.rows, start=1):
            if len(row) != len(self.head):
                raise ValueError(
                    f"{self.path!r}: row {i} has {len(row)} values, the head {len(self.head)}; "
                    "give each column one"
                )
        if not self.rows:
            raise ValueError(f"{self.path!r} has a head and no rows; give at least {_LEAST_ROWS}")
        if len(self.rows) < _LEAST_ROWS:
            raise ValueError(f"{self.path!r} has 1 row; give at least {_LEAST_ROWS}")

    def numbers(self, name: str, *, empty: bool = False) -> FloatArray:
        """A column's numbers; NaN where it is empty, if it may be."""
        values = []
        for i, cell in enumerate(self._cells(name), start=1):
            try:
                value = np.nan if empty and not cell else float(cell)
            except ValueError:
                raise self._refusal(name, i, f"{checks.shown(cell)}, no number") from None
            if np.isinf(value) or (np.isnan(value) and not empty):
                raise self._refusal(name, i, f"{cell}, no finite number")
            values.append(value)
        return np.array(values)

    def dimension(self, name: str) -> Dimension:
        """What a column spans."""
        cells = self._cells(name)
        filled = [cell for cell in cells if cell]
        if not all(map(_is_number, filled)):
            return Categorical(name, tuple(sorted(set(cells))))
        if len(filled) < len(cells):
            raise self._refusal(name, cells.index("") + 1, "no value; only a metric may be empty")
        values = self.numbers(name)
        low, high = float(values.min()), float(values.max())
        if (values == np.round(values)).all() and max(-low, high, high - low) <= _LARGEST_INTEGER:
            step = int(np.gcd.reduce((values - low).astype(np.int64))) or 1
            return Integer(name, int(low), int(high), step=step)
        return Float(name, low, high)

    def params(self, space: SearchSpace) -> list[Params]:
        """The rows in a space's form."""
        columns = {}
        for dim in space.dimensions:
            cells: list[str] | FloatArray = self._cells(dim.name)
            columns[dim.name] = (
                cells if isinstance(dim, Categorical) else self.numbers(dim.name).tolist()
            )
        whole = {dim.name for dim in space.dimensions if isinstance(dim, Integer)}
        return [
            {
                name: int(values[i]) if name in whole and values[i] % 1 == 0 else values[i]
                for name, values in columns.items()
            }
            for i in range(len(self.rows))
        ]

    def _cells(self, name: str) -> list[str]:
        column = self.head.index(name)
        return [row[column] for row in self.rows]

    def _refusal(self, name: str, row: int, what: str) -> ValueError:
        return ValueError(f"{self.path!r}: column {name!r}: row {row} has {what}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
