"""Observations of one search: the code, the reported metrics and the ending of every trial.

A trial that ran to its end without a value of any objective has *failed*. An objective that is
infinite in its bad direction counts as no value: the objective diverged. A constraint that a
finished trial did not report counts as satisfied, as in Optuna; where a trial failed or was stopped
early, or reported NaN, it is unknown.

Notation
    n, d, m   trials, columns of a code, metrics (objectives first, then constraints)
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import State
from ncp_sampler.predictors.transforms import LARGEST
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.space.search_space import SearchSpace, code_key


class _Trial(NamedTuple):
    code: NDArray[Any]
    metrics: Mapping[str, float]
    complete: bool
    exact: bool  # False if the code is only the nearest one to the params that were tried


class _Columns(NamedTuple):
    """All trials as arrays, for the names that they were made with."""

    names: tuple[str, ...]
    codes: NDArray[Any]  # (n, d)
    values: NDArray[np.float64]  # (n, m); constraints that count as satisfied are -inf
    complete: NDArray[np.bool_]  # (n,)


class Observations:
    """The trials of one search space, in the order in which they were reported.

    An interrupt at any point leaves it consistent: trials are added in one step, and everything
    else is derived from them.

    Args:
        directions: Metric name -> "maximize" or "minimize".
        watched: Further metrics, those of constraints.
        known: Metrics that are known costs, and not modeled.

    Attributes:
        names: The metrics, in the order of the last axis of all values.
    """

    def __init__(
        self,
        directions: Mapping[str, str],
        *,
        watched: Sequence[str] = (),
        known: Collection[str] = (),
    ) -> None:
        self.names = tuple(directions)
        self._sign = {name: 1.0 if directions[name] == "maximize" else -1.0 for name in directions}
        self._known = frozenset(known)
        self._trials: list[_Trial] = []
        self._made: _Columns | None = None
        self._indexed: tuple[int, set[bytes]] = (0, set())  # trials whose codes are in the set
        self.watch(watched)

    @classmethod
    def of(cls, objectives: Objectives) -> Observations:
        """Return empty observations of a search's metrics."""
        return cls(objectives.directions, watched=[*objectives.constraints], known=objectives.known)

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, code: NDArray[Any]) -> bool:
        return bool(self.seen(code[None])[0])

    def seen(
        self,
        codes: NDArray[Any],
        pending: Sequence[NDArray[Any]] = (),
        retried: Collection[bytes] = (),
    ) -> NDArray[np.bool_]:
        """Return True for valid codes (n, d) that were observed or are pending, (n,).

        Args:
            codes: Valid codes.
            pending: Pending codes.
            retried: Keys of observed codes that do not count.
        """
        done, observed = self._indexed
        if done < len(self._trials):
            observed.update(code_key(trial.code) for trial in self._trials[done:] if trial.exact)
            self._indexed = len(self._trials), observed
        waiting = {code_key(code) for code in pending}
        keys = map(code_key, codes)
        seen = [key in waiting or (key in observed and key not in retried) for key in keys]
        return np.array(seen, dtype=bool)

    @property
    def n_informative(self) -> int:
        """Number of trials with a value of at least one modeled metric."""
        return int(self._informative().sum())

    def watch(self, names: Sequence[str]) -> None:
        """Add further metrics, which the trials so far did not report."""
        self.names = (*self.names, *(name for name in names if name not in self.names))

    def add(
        self,
        codes: Sequence[NDArray[Any]] | NDArray[Any],
        metrics: Sequence[Mapping[str, float]],
        complete: Sequence[bool],
        *,
        exact: Sequence[bool] | None = None,
        replace: int | None = None,
    ) -> None:
        """Record valid codes (n, d); all are checked before the first is recorded.

        Args:
            codes: Valid codes, (n, d).
            metrics: Metrics of each, as reported.
            complete: False for each that was stopped early.
            exact: False for each that is only the nearest to the params that were tried, and so
                not known to be tried itself; all are exact if None.
            replace: Position of the trial that a single one takes the place of.

        Raises:
            ValueError: An unknown metric, or a value that is not a number.
        """
        reported = []
        for row in metrics:
            unknown = [name for name in row if name not in self.names]
            if unknown:
                raise ValueError(f"metrics has unknown names {unknown}; known are {self.names}")
            try:
                reported.append({name: float(value) for name, value in row.items()})
            except (TypeError, ValueError):
                raise ValueError(f"metrics={dict(row)!r} must map names to numbers") from None
        own = [True] * len(reported) if exact is None else exact
        trials = [
            _Trial(code, row, bool(ended), bool(same))
            for code, row, ended, same in zip(codes, reported, complete, own, strict=True)
        ]
        if replace is None:
            self._trials += trials
        else:
            (self._trials[replace],) = trials
            self._made, self._indexed = None, (0, set())

    def after(self, earlier: Observations) -> Observations:
        """Return a history of the trials of an earlier one of the same metrics, then of this one's.

        The metrics are those of this one.
        """
        joined = copy.copy(self)
        joined._trials = [*earlier._trials, *self._trials]
        joined._made, joined._indexed = None, (0, set())
        return joined

    def informative(self) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
        """Return codes (n, d) and name -> values (n,) of the informative trials.

        Objectives are finite or NaN: one that is infinite in its good direction counts as the best
        finite value, and a trial that was stopped early as at best the median of the complete ones.
        Constraints are as reported, NaN where unknown and -inf where they count as satisfied.
        """
        columns, rows = self._columns(), self._informative()
        complete = columns.complete[rows]
        values = columns.values[rows]
        for k, sign in enumerate(self._sign.values()):
            values[:, k] = sign * _finite(sign * values[:, k], complete)
        return columns.codes[rows], dict(zip(self.names, values.T, strict=True))

    def informative_positions(self) -> NDArray[np.intp]:
        """Positions of the informative trials among all."""
        return np.flatnonzero(self._informative())

    def outcomes(self, bounds: Mapping[str, float]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the positions of trials that succeeded or failed, (k,), and which succeeded, (k,).

        Neither are trials that were stopped before they had a value, and those whose failure a
        reported constraint explains.

        Args:
            bounds: Constraint -> its upper bound.
        """
        columns = self._columns()
        succeeded = self._has_objective()
        explained = np.zeros(len(succeeded), dtype=bool)
        for name, bound in bounds.items():
            explained |= columns.values[:, self.names.index(name)] > bound
        diverged = np.isinf(columns.values[:, : len(self._sign)]).any(axis=1)
        failed = ~succeeded & (columns.complete | diverged) & ~explained
        at = np.flatnonzero(succeeded | failed)
        return at, succeeded[at]

    def failures(self, bounds: Mapping[str, float]) -> Counter[bytes]:
        """Return code -> how often it failed, of the codes that never succeeded.

        Args:
            bounds: Constraint -> its upper bound.
        """
        at, succeeded = self.outcomes(bounds)
        if succeeded.all():
            return Counter()
        keys = [code_key(self._trials[i].code) for i in at]
        good = {key for key, ok in zip(keys, succeeded, strict=True) if ok}
        return Counter(key for key in keys if key not in good)

    def codes(self, at: NDArray[np.intp]) -> NDArray[Any]:
        """Codes (k, d) of the trials at some positions."""
        return self._columns().codes[at]

    def state_dict(self) -> State:
        """Return all trials as plain lists; None stands for what was not reported."""
        return {
            "codes": [trial.code.tolist() for trial in self._trials],
            "values": [[t.metrics.get(name) for name in self.names] for t in self._trials],
            "complete": [trial.complete for trial in self._trials],
            "exact": [trial.exact for trial in self._trials],
        }

    def load(self, state: State, space: SearchSpace) -> None:
        """Add what ``state_dict`` saved to new observations.

        Raises:
            ValueError: Codes of another space, or not as many values of each metric as codes.
        """
        codes, values, complete = state["codes"], state["values"], state["complete"]
        if not len(codes) == len(values) == len(complete):
            raise ValueError(
                f"observations have {len(codes)} codes, {len(values)} values and "
                f"{len(complete)} flags"
            )
        rows = [
            {n: v for n, v in zip(self.names, value, strict=True) if v is not None}
            for value in values
        ]
        if codes:
            exact = state.get("exact")  # which 0.2 did not save
            self.add(list(space.round(np.array(codes))), rows, complete, exact=exact)

    def _columns(self) -> _Columns:
        """All trials as arrays; new ones are appended to those made before.

        Of 10,000 lists an array takes longer than a proposal's fit.
        """
        made = self._made
        if made is not None and made.names != self.names:
            made = None
        new = self._trials[0 if made is None else len(made.codes) :]
        if made is None or new:
            codes = np.array([trial.code for trial in new])
            values = np.array([self._values(t) for t in new]).reshape(-1, len(self.names))
            complete = np.array([trial.complete for trial in new], dtype=bool)
            if made is not None and len(made.codes):  # an array of no codes has no columns either
                codes = np.concatenate([made.codes, codes])
                values = np.concatenate([made.values, values])
                complete = np.concatenate([made.complete, complete])
            made = self._made = _Columns(self.names, codes, values, complete)
        return made

    def _values(self, trial: _Trial) -> list[float]:
        """Values of one trial by name: NaN where unknown, -inf of a satisfied constraint."""
        modeled = [name for name in self._sign if name not in self._known]
        finished = trial.complete and any(
            _is_value(self._sign[name] * trial.metrics.get(name, np.nan)) for name in modeled
        )
        absent = -np.inf if finished else np.nan
        return [
            trial.metrics.get(name, np.nan if name in self._sign else absent) for name in self.names
        ]

    def _has_value(self) -> NDArray[np.bool_]:
        """Return whether a trial has a value of a metric, (n, m)."""
        values = self._columns().values.copy()
        values[:, : len(self._sign)] *= np.array(list(self._sign.values()))
        has = _is_value(values)
        has[:, len(self._sign) :] = ~np.isnan(values[:, len(self._sign) :])
        return np.asarray(has, dtype=bool)

    def _informative(self) -> NDArray[np.bool_]:
        modeled = [name not in self._known for name in self.names]
        return np.asarray(self._has_value()[:, modeled].any(axis=1), dtype=bool)

    def _has_objective(self) -> NDArray[np.bool_]:
        """Return whether a trial has a value of a modeled objective, or of anything without one."""
        modeled = [name in self._sign and name not in self._known for name in self.names]
        if not any(modeled):
            return self._informative()
        return np.asarray(self._has_value()[:, modeled].any(axis=1), dtype=bool)


def _is_value(maximized: Any) -> Any:
    """Return whether objectives, to be maximized, are values: not NaN, and not diverged."""
    return maximized > -np.inf


def _finite(maximized: NDArray[np.float64], complete: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return an objective (n,) without infinities, early values at best the median of the rest."""
    finite = maximized[np.isfinite(maximized)]
    best = finite.max() if len(finite) else 0.0
    values = np.where(maximized > -np.inf, np.minimum(maximized, best), np.nan)
    values = np.clip(values, -LARGEST, LARGEST)
    ended = values[complete & ~np.isnan(values)]
    if len(ended):
        values[~complete] = np.minimum(values[~complete], np.median(ended))
    return values


def rows_to_fit(order: NDArray[np.intp], limit: int | None) -> NDArray[np.intp]:
    """Return the rows to fit on, ascending: all, or the better half and a spread of the rest."""
    if limit is None or len(order) <= limit:
        return np.arange(len(order))
    top, rest = order[: limit // 2], order[limit // 2 :]
    spread = np.linspace(0, len(rest) - 1, limit - len(top)).round().astype(int)
    return np.sort(np.concatenate([top, rest[spread]]))


def checked_results(
    params: Any, metrics: Any, complete: Any
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, float]], list[bool]]:
    """Return params, metrics and completeness of one trial or of several, as lists.

    Raises:
        ValueError: No mappings, or not as many of each.
    """
    if isinstance(params, Mapping) != isinstance(metrics, Mapping):
        raise ValueError("params and metrics must be one mapping each, or a sequence each")
    single = isinstance(params, Mapping)
    rows = _mappings("params", [params] if single else params)
    results = _mappings("metrics", [metrics] if single else metrics)
    ended = list(complete) if isinstance(complete, Sequence) else [complete] * len(rows)
    if not len(rows) == len(results) == len(ended):
        raise ValueError(
            f"params, metrics and complete have lengths {len(rows)}, {len(results)} and "
            f"{len(ended)}; they must be equal"
        )
    return rows, results, [checks.flag("complete", each) for each in ended]


def check_replaced(replace: Any, n_observations: int, n_given: int) -> None:
    """Refuse a position that no trial has, or results of several trials for one.

    Raises:
        ValueError: That.
    """
    if replace is not None and not (
        n_given == 1 and 0 <= checks.integer("replace", replace) < n_observations
    ):
        raise ValueError(
            f"replace={replace} must be below n_observations={n_observations}, and params one "
            "trial's"
        )


def _mappings(name: str, given: Any) -> list[Mapping[str, Any]]:
    must = "be a mapping from names to values, or a sequence of such mappings"
    return checks.sequence(name, given, Mapping, must)
