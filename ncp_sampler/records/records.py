"""Records of measured architectures, for offline searches and as sources of studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.space.search_space import SearchSpace

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-6  # Tolerated excess over the range of a column, relative to the range
_LEAST_SPREAD = 1e-12  # Smallest result of spread_of
_LARGEST_HALF = float(np.finfo(np.float64).max) / 2  # Half of the largest finite float


@dataclass(frozen=True)
class Records:
    """Codes of architectures with their measured metrics.

    Attributes:
        space: Search space of the codes.
        codes: Codes (n, d) in natural units; values of parameters that do not exist are replaced
            by the middle of their range.
        metrics: Name -> values (n,), including costs; NaN if not measured.
        ids: Name of each row, or None. Rows with the same name are measurements of one
            architecture. An empty string does not count as a name.

    Raises:
        ValueError: If there are no rows, a metric has a different length or an infinite value,
            codes are not values of the space, or different architectures have the same name.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import Integer, SearchSpace
        >>> space = SearchSpace([Integer("width", 1, 64), Integer("depth", 1, 12)])
        >>> codes = space.sample(60, 0)
        >>> accuracy = np.log(codes[:, 0] * codes[:, 1])
        >>> records = Records(space, codes, {"accuracy": accuracy})
        >>> len(records), records.best("accuracy")[:1].shape
        (60, (1,))
    """

    space: SearchSpace
    codes: FloatArray
    metrics: Mapping[str, FloatArray]
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        checks.instance("space", self.space, SearchSpace, "be the SearchSpace of the codes")
        checks.instance("metrics", self.metrics, Mapping, "map names to values of shape (n,)")
        codes = checks.array("codes", self.codes)
        if codes.ndim != 2 or not len(codes):
            raise ValueError(f"codes has shape {codes.shape}; it must be (n, d), n > 0")
        if not np.isfinite(codes).all():
            row = int((~np.isfinite(codes)).any(1).argmax())
            raise ValueError(f"codes[{row}] has a number that is not finite; leave the row out")
        unit = self.space.normalize(codes)
        outside = np.argwhere((unit < -_TOLERANCE) | (unit > 1 + _TOLERANCE))
        if len(outside):
            row, column = outside[0]
            raise ValueError(
                f"codes[{row}] has {self.space.columns[column]}={codes[row, column]:g}, outside "
                "the search space; space.round gives the nearest valid code"
            )
        valid = self.space.round(codes)
        if self.space.conditions:
            codes = np.where(self.space.exists(valid, by_column=True), codes, valid)
        ends = self.space.denormalize(np.stack([np.zeros(codes.shape[1]), np.ones(codes.shape[1])]))
        rounding = _TOLERANCE * np.abs(codes) + _TOLERANCE**2 * (ends[1] - ends[0])
        between = np.argwhere(np.abs(valid - codes) > rounding)
        if len(between):
            row, column = between[0]
            name, value = self.space.columns[column], codes[row, column]
            raise ValueError(
                f"codes[{row}] has {name}={value:g}, which is not a value of the space; declare "
                "the dimension with the data's step, or give space.round(codes)"
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
            if np.isinf(values).any():
                at = int(np.isinf(values).argmax())
                raise ValueError(
                    f"metrics[{name!r}] has {values[at]} in row {at}; give NaN where it is missing"
                )
        if self.ids is not None:
            object.__setattr__(self, "ids", _checked_ids(self.ids, codes))
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "metrics", columns)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: ArrayLike) -> Records:
        """Return the records at the given positions.

        Raises:
            ValueError: If a position does not exist, or if no positions are given.
        """
        at = np.asarray(rows)
        if at.ndim != 1 or not len(at) or at.max() >= len(self) or at.min() < -len(self):
            raise ValueError(f"rows must be some of 0 to {len(self) - 1}, at least one")
        metrics = {name: column[at] for name, column in self.metrics.items()}
        ids = None if self.ids is None else tuple(self.ids[i] for i in at)
        return Records(self.space, self.codes[at], metrics, ids)

    def best(self, metric: str, direction: str = "maximize") -> NDArray[np.int64]:
        """Return the positions of the rows from the best value of a metric to the worst.

        Rows without a value (NaN) are left out.

        Raises:
            ValueError: If the metric or direction is unknown.
        """
        checks.one_of("direction", direction, checks.DIRECTIONS)
        values = self.values(metric)
        known = np.flatnonzero(~np.isnan(values))
        ordered = known[np.argsort(values[known], kind="stable")]
        return ordered[::-1] if direction == "maximize" else ordered

    def values(self, metric: str) -> FloatArray:
        """Return the values (n,) of one metric.

        Raises:
            ValueError: If there is no such metric.
        """
        if metric not in self.metrics:
            raise ValueError(
                f"metric={metric!r} is not in the records; they have {list(self.metrics)}"
            )
        return self.metrics[metric]


def _checked_ids(ids: Sequence[str], codes: FloatArray) -> tuple[str, ...]:
    """Return the names of the rows; raise ValueError unless each belongs to one architecture."""
    names = tuple(checks.sequence("ids", ids, str, "be a sequence of strings, one per row"))
    if len(names) != len(codes):
        raise ValueError(f"ids has {len(names)} names; there are {len(codes)} codes")
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        before = first.setdefault(name, i)
        if name and (codes[before] != codes[i]).any():
            raise ValueError(
                f"ids has {name!r} for rows {before + 1} and {i + 1}, whose parameters differ; "
                "correct one of them, or leave the ids out"
            )
    return names


def spread_of(values: FloatArray) -> float:
    """Return the standard deviation of the values without NaN, which is positive and finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(np.nanstd(values))
        if not np.isfinite(spread) or spread == 0:  # Squares may overflow or underflow
            largest = float(np.nanmax(np.abs(values)))
            if largest > 0:
                spread = 2 * min(float(np.nanstd(values / largest)) * (largest / 2), _LARGEST_HALF)
    return spread if spread > 0 else _LEAST_SPREAD
