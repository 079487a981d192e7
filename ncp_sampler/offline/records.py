"""Architectures and what was measured of them: what an offline search learns from."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.space.dimensions import (
    Categorical,
    Dimension,
    Float,
    Integer,
)
from ncp_sampler.space.search_space import Params, SearchSpace

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-6  # of a column's range


@dataclass(frozen=True)
class Records:
    """Codes and their metrics.

    Attributes:
        space: The codes' search space.
        codes: (n, d), natural units.
        metrics: Name -> (n,), costs included; NaN where not measured.

    Raises:
        ValueError: No row, a metric of another length, or codes that do not fit the space.
    """

    space: SearchSpace
    codes: FloatArray
    metrics: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        checks.instance("space", self.space, SearchSpace, "be the SearchSpace of the codes")
        checks.instance("metrics", self.metrics, Mapping, "map names to values of shape (n,)")
        codes = checks.array("codes", self.codes)
        if codes.ndim != 2 or not len(codes):
            raise ValueError(f"codes has shape {codes.shape}; it must be (n, d), n > 0")
        unit = self.space.normalize(codes)
        outside = np.argwhere((unit < -_TOLERANCE) | (unit > 1 + _TOLERANCE))
        if len(outside):
            row, column = outside[0]
            raise ValueError(
                f"codes[{row}] has {self.space.columns[column]}={codes[row, column]:g}, outside "
                "the search space; space.round gives the nearest legal code"
            )
        if not self.metrics:
            raise ValueError("metrics is empty; give at least one name -> values")
        columns = {
            name: checks.array(f"metrics[{name!r}]", values)
            for name, values in self.metrics.items()
        }
        for name, values in columns.items():
            if values.shape != (len(codes),):
                raise ValueError(
                    f"metrics[{name!r}] has shape {values.shape}; there are {len(codes)} codes"
                )
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "metrics", columns)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: ArrayLike) -> Records:
        """The records at some positions.

        Raises:
            ValueError: A position that does not exist, or none.
        """
        at = np.asarray(rows)
        if at.ndim != 1 or not len(at) or at.max() >= len(self) or at.min() < -len(self):
            raise ValueError(f"rows must be some of 0 to {len(self) - 1}, at least one")
        return Records(
            self.space, self.codes[at], {name: column[at] for name, column in self.metrics.items()}
        )

    def best(self, metric: str, direction: str = "maximize") -> NDArray[np.int64]:
        """Positions from the best value of a metric to the worst, NaN left out.

        Raises:
            ValueError: An unknown metric or direction.
        """
        checks.one_of("direction", direction, checks.DIRECTIONS)
        values = self.values(metric)
        known = np.flatnonzero(~np.isnan(values))
        ordered = known[np.argsort(values[known], kind="stable")]
        return ordered[::-1] if direction == "maximize" else ordered

    def values(self, metric: str) -> FloatArray:
        """One metric, (n,).

        Raises:
            ValueError: There is no such metric.
        """
        if metric not in self.metrics:
            raise ValueError(
                f"metric={metric!r} is not in the records; they have {list(self.metrics)}"
            )
        return self.metrics[metric]


def read_csv(
    path: str | os.PathLike[str], *, metrics: Sequence[str], space: SearchSpace | None = None
) -> Records:
    """Records of a CSV file: a head of names, then one architecture a row.

    Without a space every column that is not among ``metrics`` becomes a dimension over the values
    that occur: whole numbers an ``Integer``, other numbers a ``Float``, words a ``Categorical``.
    An empty metric is missing (NaN).

    Args:
        path: The file.
        metrics: Its columns that are metrics or costs.
        space: The codes' search space, whose parameters are columns too; others are left out.

    Raises:
        ValueError: A file that cannot be read, a missing column, a row of another length, a
            metric that is no number, or fewer than two rows.
    """
    head, *rows = _rows(path)
    metrics = checks.texts("metrics", metrics)
    missing = [name for name in metrics if name not in head]
    if missing or not metrics:
        raise ValueError(f"metrics={list(metrics)} must be columns of {os.fspath(path)!r}: {head}")
    if len(rows) < 2 or len(set(head)) < len(head):
        raise ValueError(f"{os.fspath(path)!r} needs distinct column names and at least two rows")
    for i, row in enumerate(rows):
        if len(row) != len(head):
            raise ValueError(
                f"{os.fspath(path)!r}: row {i + 1} has {len(row)} values, the head {len(head)}"
            )
    columns = {name: [row[j].strip() for row in rows] for j, name in enumerate(head)}
    measured = {name: _numbers(name, columns.pop(name), empty=True) for name in metrics}
    if space is None:
        space = SearchSpace([_dimension(name, values) for name, values in columns.items()])
    checks.instance("space", space, SearchSpace, "be a SearchSpace, or None to have it inferred")
    absent = [name for name in space.names if name not in columns]
    if absent:
        raise ValueError(f"{os.fspath(path)!r} lacks columns {absent} of {space}")
    columns = {name: columns[name] for name in space.names}
    cells = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    codes = np.array([space.to_code(_params(space, cell)) for cell in cells], dtype=np.float64)
    return Records(space, codes, measured)


def csv_names(path: str | os.PathLike[str]) -> list[str]:
    """The head of a CSV file.

    Raises:
        ValueError: It cannot be read.
    """
    return _rows(path)[0]


def _rows(path: str | os.PathLike[str]) -> list[list[str]]:
    """The head and the rows, without empty ones."""
    file_path = checks.path("path", path)
    try:
        with file_path.open(newline="", encoding="utf-8-sig") as file:
            head, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ValueError(f"path={os.fspath(path)!r} cannot be read: {error}") from error
    return [head, *rows]


def _numbers(name: str, cells: Sequence[str], *, empty: bool = False) -> FloatArray:
    values = []
    for i, cell in enumerate(cells):
        try:
            values.append(np.nan if empty and not cell else float(cell))
        except ValueError:
            raise ValueError(f"column {name!r}: row {i + 1} has {cell!r}, no number") from None
    return np.array(values)


def _dimension(name: str, cells: Sequence[str]) -> Dimension:
    try:
        values = _numbers(name, cells)
    except ValueError:
        return Categorical(name, tuple(sorted(set(cells))))
    if not np.isfinite(values).all():
        raise ValueError(f"column {name!r} has a number that is not finite")
    low, high = float(values.min()), float(values.max())
    if (values == np.round(values)).all():
        step = int(np.gcd.reduce((values - low).astype(np.int64))) or 1
        return Integer(name, int(low), int(high), step=step)
    return Float(name, low, high)


def _params(space: SearchSpace, cells: Mapping[str, str]) -> Params:
    out: Params = {}
    for dim in space.dimensions:
        cell = cells[dim.name]
        if isinstance(dim, Categorical):
            out[dim.name] = cell
            continue
        number = _numbers(dim.name, [cell])[0]
        whole = isinstance(dim, Integer) and number == round(number)
        out[dim.name] = int(number) if whole else float(number)
    return out
