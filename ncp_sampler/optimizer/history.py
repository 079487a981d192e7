"""What was told: codes, metrics, and which trials ran to their end."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import State
from ncp_sampler.predictors.scaling import LARGEST
from ncp_sampler.space.search_space import SearchSpace, code_key


class History:
    """The told trials of one search space, in the order they were told.

    Args:
        directions: Metric name -> "maximize" or "minimize".
        watched: Further metrics, which are to be kept below a bound.
        known: Those of the metrics that are computed and not learnt.

    Attributes:
        names: The metrics, in the order of the last axis of all values.
        n_learnable: Number of trials with at least one metric to learn that is not NaN.
    """

    def __init__(
        self,
        directions: Mapping[str, str],
        *,
        watched: Sequence[str] = (),
        known: Collection[str] = (),
    ) -> None:
        self.names = tuple(directions)
        self._directed = len(self.names)
        self._sign = np.array([1.0 if directions[n] == "maximize" else -1.0 for n in self.names])
        self._learnt = np.array([name not in known for name in self.names])
        self._codes: list[NDArray[Any]] = []
        self._values: list[NDArray[np.float64]] = []
        self._complete: list[bool] = []
        self._keys: set[bytes] = set()
        self.n_learnable = 0
        self._made: tuple[NDArray[Any], NDArray[np.float64]] | None = None
        self.watch(watched)

    def __len__(self) -> int:
        return len(self._codes)

    def __contains__(self, code: NDArray[Any]) -> bool:
        return code_key(code) in self._keys

    def watch(self, names: Sequence[str]) -> None:
        """Takes up further metrics; the trials so far lack them."""
        new = [name for name in names if name not in self.names]
        self.names = (*self.names, *new)
        self._sign = np.append(self._sign, -np.ones(len(new)))
        self._learnt = np.append(self._learnt, np.ones(len(new), dtype=bool))
        self._values = [np.append(value, np.full(len(new), np.nan)) for value in self._values]
        self._made = None

    def add(
        self,
        codes: Sequence[NDArray[Any]] | NDArray[Any],
        metrics: Sequence[Mapping[str, float]],
        complete: Sequence[bool],
        *,
        replace: int | None = None,
    ) -> None:
        """Records legal codes (n, d); all are checked before the first is recorded.

        With ``replace``, one code takes the place of the one that was recorded at that position.

        Raises:
            ValueError: An unknown metric, or a value that is no number.
        """
        values = []
        for row in metrics:
            unknown = [name for name in row if name not in self.names]
            if unknown:
                raise ValueError(f"metrics has unknown names {unknown}; known are {self.names}")
            try:
                values.append(np.array([float(row.get(name, np.nan)) for name in self.names]))
            except (TypeError, ValueError):
                raise ValueError(f"metrics={dict(row)!r} must map names to numbers") from None
        if replace is not None:
            (self._codes[replace],), (self._values[replace],) = codes, values
            (self._complete[replace],) = complete
            self._index()
            return
        for code, value, ended in zip(codes, values, complete, strict=True):
            self._codes.append(code)
            self._values.append(value)
            self._complete.append(bool(ended))
            self._keys.add(code_key(code))
            self.n_learnable += not np.isnan(value[self._learnt]).all()

    def after(self, earlier: History) -> History:
        """A history of the trials of an earlier one of the same metrics, and then of this one's."""
        whole = copy.copy(earlier)
        whole._codes = [*earlier._codes, *self._codes]
        whole._values = [*earlier._values, *self._values]
        whole._complete = [*earlier._complete, *self._complete]
        whole._index()
        return whole

    def learnable(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Codes (n, d) and metrics (n, m), all to be maximized, of the learnable trials.

        Infinite values become the largest or smallest finite one of their metric. A trial that
        did not run to its end counts as at best the median of those that did, but for the metrics
        that are only watched.
        """
        every, told = self._arrays()
        values = told * self._sign
        known = ~np.isnan(values[:, self._learnt]).all(1)
        values = values[known]
        complete = np.array(self._complete, dtype=bool)[known]
        codes = every[known]
        for k, column in enumerate(values.T):
            finite = column[np.isfinite(column)]
            low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
            column[:] = np.clip(np.clip(column, low, high), -LARGEST, LARGEST)
            ended = column[complete & ~np.isnan(column)]
            if len(ended) and k < self._directed:
                column[~complete] = np.minimum(column[~complete], np.median(ended))
        return codes, values

    def learnable_at(self) -> NDArray[np.intp]:
        """Positions of the learnable trials among all that were told."""
        return np.flatnonzero(~np.isnan(self._arrays()[1][:, self._learnt]).all(axis=1))

    def told(self) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
        """Codes (n, d) of the learnable trials, and name -> values (n,), as they were told.

        Infinite and early values count as ``learnable`` says.
        """
        codes, values = self.learnable()
        return codes, dict(zip(self.names, (values * self._sign).T, strict=True))

    def state_dict(self) -> State:
        """Everything told, as plain lists."""
        return {
            "codes": [code.tolist() for code in self._codes],
            "values": [value.tolist() for value in self._values],
            "complete": list(self._complete),
        }

    def load(self, state: State, space: SearchSpace) -> None:
        """Adds what ``state_dict`` saved to a new history.

        Raises:
            ValueError: Codes of another space, or not as many values of each metric as codes.
        """
        codes, values, complete = state["codes"], state["values"], state["complete"]
        if not len(codes) == len(values) == len(complete):
            raise ValueError(
                f"history has {len(codes)} codes, {len(values)} values and {len(complete)} flags"
            )
        rows = [dict(zip(self.names, value, strict=True)) for value in values]
        if codes:
            self.add(list(space.round(np.array(codes))), rows, complete)

    def _arrays(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Codes (n, d) and values (n, m) of all trials; of those made before, new ones are added.

        Of 10,000 lists an array takes longer than a proposal's fit.
        """
        made = 0 if self._made is None else len(self._made[0])
        new = self._codes[made:]
        if self._made is None or new:
            codes = np.array(new)
            values = np.array(self._values[made:]).reshape(-1, len(self.names))
            if self._made is not None and made:  # an array of no codes has no columns either
                codes = np.concatenate([self._made[0], codes])
                values = np.concatenate([self._made[1], values])
            self._made = codes, values
        return self._made

    def _index(self) -> None:
        self._made = None
        self._keys = {code_key(code) for code in self._codes}
        self.n_learnable = sum(not np.isnan(value[self._learnt]).all() for value in self._values)


def rows_to_fit(order: NDArray[np.intp], capacity: int | None) -> NDArray[np.intp]:
    """The rows to fit on, in their own order: all, or the better ones and some of the rest."""
    if capacity is None or len(order) <= capacity:
        return np.arange(len(order))
    top, rest = order[: capacity // 2], order[capacity // 2 :]
    spread = np.linspace(0, len(rest) - 1, capacity - len(top)).round().astype(int)
    return np.sort(np.concatenate([top, rest[spread]]))


def checked_results(
    params: Any, metrics: Any, complete: Any
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, float]], list[bool]]:
    """Params, metrics and whether they are complete, of one trial or of several, as lists.

    Raises:
        ValueError: No mappings, or not as many of each.
    """
    if isinstance(params, Mapping) != isinstance(metrics, Mapping):
        raise ValueError("params and metrics must be one mapping each, or a sequence each")
    one = isinstance(params, Mapping)
    rows = _mappings("params", [params] if one else params)
    results = _mappings("metrics", [metrics] if one else metrics)
    ended = list(complete) if isinstance(complete, Sequence) else [complete] * len(rows)
    if not len(rows) == len(results) == len(ended):
        raise ValueError(
            f"params, metrics and complete have lengths {len(rows)}, {len(results)} and "
            f"{len(ended)}; they must be equal"
        )
    return rows, results, [checks.flag("complete", each) for each in ended]


def check_replaced(replace: Any, n_told: int, n_given: int) -> None:
    """Refuses a position that no trial has, or results of several trials for one.

    Raises:
        ValueError: That.
    """
    if replace is not None and not (
        n_given == 1 and 0 <= checks.whole("replace", replace) < n_told
    ):
        raise ValueError(f"replace={replace} must be below n_told={n_told}, and params one trial's")


def _mappings(name: str, given: Any) -> list[Mapping[str, Any]]:
    must = "be a mapping from names to values, or a sequence of such mappings"
    return checks.sequence(name, given, Mapping, must)
