"""Observations of one search: the code, the reported metrics and the outcome of every trial.

A trial that ended with all objectives missing has *failed*. An objective that is infinite in its
unfavorable direction has *diverged* and counts as missing. If a complete trial reported all
objectives but not a constraint, the constraint counts as satisfied, as in Optuna. In any other
trial, an unreported constraint is unknown. A constraint reported as NaN is always unknown.

Notation
    n, d, m   trials, columns of a code, metrics (objectives first, then constraints)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.known_codes import KnownCodes
from ncp_sampler.optimizer.saved_names import saved_metrics, saved_names
from ncp_sampler.predictors.predictor import State
from ncp_sampler.predictors.transforms import LARGEST
from ncp_sampler.search.maximize import Excluded
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.space.search_space import code_key

_MIN_VALUES = 3  # values after which trials without a value also count as startup trials


class _Trial(NamedTuple):
    code: NDArray[Any]
    metrics: Mapping[str, float]
    complete: bool
    exact: bool  # False if the code, evaluated anew, may give other values
    placeholders: NDArray[np.bool_] | None = None  # columns whose values the trial did not have


class _Columns(NamedTuple):
    """All trials as arrays, with one column of values for each name."""

    names: tuple[str, ...]
    codes: NDArray[Any]  # (n, d)
    values: NDArray[np.float64]  # (n, m); constraints that count as satisfied are infinite
    complete: NDArray[np.bool_]  # (n,)


class Observations:
    """Trials of one search, in the order in which they were reported.

    An interrupt at any point leaves the observations consistent: trials are added in one step, and
    everything else is derived from them.

    Args:
        objectives: Objectives and constraints of the search; constraints may be added later.
    """

    def __init__(self, objectives: Objectives) -> None:
        self._objectives = objectives
        self._trials: list[_Trial] = []
        self._made: _Columns | None = None
        self._known = KnownCodes()
        self._searched: tuple[int, bool] = (
            0,
            False,
        )  # number of trials searched for gaps, and True if there are any

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the last axis of all values."""
        return self._objectives.names

    def reported(self, first: int) -> list[tuple[NDArray[Any], dict[str, float], bool]]:
        """Return code (d,), metrics and completeness of each trial from position ``first`` on."""
        return [(t.code, dict(t.metrics), t.complete) for t in self._trials[first:]]

    @property
    def has_gaps(self) -> bool:
        """True if any trial reported some, but not all, of the modeled objectives."""
        done, has_gap = self._searched
        if done < len(self._trials):
            has_gap = has_gap or any(map(self._has_gap, self._trials[done:]))
            self._searched = len(self._trials), has_gap
        return has_gap

    def excluded(
        self, pending: Sequence[NDArray[Any]], *, repeats: bool = False, retries: bool = False
    ) -> Excluded:
        """Return a predicate of valid codes that must not be proposed next.

        The predicate excludes codes over a limit, observed codes, and pending codes.

        Args:
            pending: Codes that are under evaluation.
            repeats: True if observed and pending codes may be proposed again.
            retries: True if codes that failed once and never succeeded may be proposed again.
        """
        known_codes = self._known
        for trial in self._trials[known_codes.count :]:
            known_codes.add(
                code_key(trial.code), trial.code, exact=trial.exact, placeholders=trial.placeholders
            )
        waiting = {code_key(code) for code in pending}
        once = {key for key, n in self.failures().items() if n == 1} if retries else set()
        limits = self._objectives.limits

        def excluded(codes: NDArray[Any]) -> NDArray[np.bool_]:
            over = limits.exceeded(codes) if limits.bounds else np.zeros(len(codes), dtype=bool)
            if repeats:
                return over
            keys = map(code_key, codes)
            known = [
                key in waiting or (key in known_codes.codes and key not in once) for key in keys
            ]
            return np.asarray(over | np.array(known, dtype=bool) | known_codes.in_part(codes))

        return excluded

    def forget_parts(self) -> bool:
        """Stop excluding codes that agree with a trial only in the columns it had.

        If this excludes every code, these columns do not decide which parameters a trial has.

        Returns:
            True if any code was excluded for this reason.
        """
        return self._known.forget_parts()

    def in_startup(self, n_startup: int) -> bool:
        """Return True as long as quasi-random trials should be proposed.

        Once three trials have a value, trials without a value count, too. If trials fail in much of
        the space, waiting for the usual number of values would take most of a study.

        Args:
            n_startup: Number of trials with a result before the predictor is used.
        """
        n_informative = int(self._informative().sum())
        missing = n_startup - n_informative
        if missing <= 0:
            return False
        without_value = len(self) - n_informative
        return n_informative < min(_MIN_VALUES, n_startup) or without_value < missing

    def add(
        self,
        codes: Sequence[NDArray[Any]] | NDArray[Any],
        metrics: Sequence[Mapping[str, float]],
        complete: Sequence[bool],
        *,
        exact: Sequence[bool] | None = None,
        placeholders: Sequence[NDArray[np.bool_] | None] | None = None,
        replace: int | None = None,
    ) -> None:
        """Record valid codes (n, d); check all of them before recording the first.

        Args:
            codes: Valid codes, (n, d).
            metrics: Reported metrics of each code.
            complete: False for each trial that was stopped early.
            exact: False for each code that is only the nearest to the evaluated params, so that the
                code itself may not have been evaluated, or that was evaluated under other
                conditions; all are exact if None.
            placeholders: Mask (d,) of the columns that a trial did not have, None if it had all;
                None if all trials had all columns.
            replace: Position of the trial that a single new trial replaces.

        Raises:
            ValueError: A metric is unknown, or a value is not a number or exceeds a float's range.
        """
        reported = []
        for row in metrics:
            unknown = [name for name in row if name not in self.names]
            if unknown:
                raise ValueError(f"metrics has unknown names {unknown}; known are {self.names}")
            try:
                reported.append({name: float(value) for name, value in row.items()})
            except (OverflowError, TypeError, ValueError):
                must = "map names to numbers in the range of a float"
                raise checks.refusal("metrics", dict(row), must) from None
        own = [True] * len(reported) if exact is None else exact
        lacking = [None] * len(reported) if placeholders is None else placeholders
        trials = [
            _Trial(code, row, bool(ended), bool(same), columns)
            for code, row, ended, same, columns in zip(
                codes, reported, complete, own, lacking, strict=True
            )
        ]
        if replace is None:
            self._trials += trials
        else:
            self._made, self._known, self._searched = None, KnownCodes(), (0, False)
            (self._trials[replace],) = trials

    def after(self, earlier: Observations) -> Observations:
        """Return observations that consist of an earlier search's trials, then of these."""
        joined = Observations(self._objectives)
        joined._trials = [*earlier._trials, *self._trials]
        return joined

    def informative(
        self,
    ) -> tuple[NDArray[np.intp], NDArray[Any], dict[str, NDArray[np.float64]]]:
        """Return the trials with a value of at least one modeled metric.

        Objectives are finite or NaN. An objective that is infinite in its favorable direction
        counts as the best finite value. A trial that was stopped early counts as at most as good as
        the median of the complete trials. Constraints are as reported, NaN if unknown, and infinite
        if they count as satisfied.

        Returns:
            Positions among all trials (n,), codes (n, d), and name -> values (n,).
        """
        columns, at = self._columns(), np.flatnonzero(self._informative())
        values, complete = columns.values[at], columns.complete[at]
        for k, sign in enumerate(self._objectives.signs):
            values[:, k] = sign * _finite(sign * values[:, k], complete)
        return at, columns.codes[at], dict(zip(self.names, values.T, strict=True))

    def diverged(self) -> NDArray[np.bool_]:
        """Return a mask (n,) of trials in which a modeled objective has diverged."""
        objectives = self._objectives
        modeled = np.array([name not in objectives.known for name in objectives.directions])
        values = self._columns().values[:, : len(modeled)] * objectives.signs
        return np.asarray((values[:, modeled] == -np.inf).any(axis=1))

    def outcomes(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the codes (k, d) of trials that succeeded or failed, and a mask (k,) of successes.

        Trials that were stopped before they had a value are left out. So are failed trials that
        violate a reported constraint, which explains the failure. A trial in which at least one
        objective diverged has failed.
        """
        at, succeeded = self._ended()
        return self._columns().codes[at], succeeded

    def failures(self) -> Counter[bytes]:
        """Return code -> number of failures, for codes that never gave a value.

        A trial that diverged in one objective and reported another has given a value. Its code is
        not listed for a retry, because the trial would diverge again.
        """
        at, succeeded = self._ended()
        if succeeded.all():
            return Counter()
        # a code that is only the nearest to a trial's params was not tried itself
        exact = at[[self._trials[i].exact for i in at.tolist()]]
        keys = [code_key(code) for code in self._columns().codes[exact]]
        good = {key for key, ok in zip(keys, self._has_objective()[exact], strict=True) if ok}
        return Counter(key for key in keys if key not in good)

    def state_dict(self) -> State:
        """Return all trials as plain lists, with None for unreported values, and their names."""
        return {
            **saved_names(self._objectives),
            "codes": [trial.code.tolist() for trial in self._trials],
            "values": [[t.metrics.get(name) for name in self.names] for t in self._trials],
            "complete": [trial.complete for trial in self._trials],
            "exact": [trial.exact for trial in self._trials],
            "placeholders": [
                None if trial.placeholders is None else trial.placeholders.tolist()
                for trial in self._trials
            ],
        }

    def load(self, state: State) -> None:
        """Add the trials of a ``state_dict`` to new observations.

        The metrics of the state may have another order.

        Raises:
            ValueError: The state has other names or directions, a code is not valid in the space,
                or the numbers of codes, rows of values and flags differ.
        """
        names = saved_metrics(state, self._objectives)
        codes, values, complete = state["codes"], state["values"], state["complete"]
        if not len(codes) == len(values) == len(complete):
            raise ValueError(
                f"observations have {len(codes)} codes, {len(values)} values and "
                f"{len(complete)} flags"
            )
        rows = [
            {n: v for n, v in zip(names, value, strict=True) if v is not None} for value in values
        ]
        if codes:
            exact, lacking = state.get("exact"), state.get("placeholders")  # not saved by 0.2
            masks = lacking and [
                None if mask is None else np.array(mask, dtype=bool) for mask in lacking
            ]
            wrong = [m for m in masks or () if m is not None and m.shape != np.shape(codes)[1:]]
            if wrong:
                raise ValueError(f"placeholders have {wrong[0].shape} columns, not those of codes")
            space = self._objectives.space
            space.to_params(np.array(codes))  # ``round`` would move a code that is not valid
            self.add(
                list(space.round(np.array(codes))), rows, complete, exact=exact, placeholders=masks
            )

    def _columns(self) -> _Columns:
        """Return all trials as arrays; append new trials to the cached arrays.

        Building an array from 10,000 lists takes longer than the fit of a proposal.
        """
        names, made = self.names, self._made
        if made is not None and made.names != names:
            made = None
        new = self._trials[0 if made is None else len(made.codes) :]
        if made is None or new:
            codes = np.array([trial.code for trial in new])
            values = np.array([self._values(t) for t in new]).reshape(-1, len(names))
            complete = np.array([trial.complete for trial in new], dtype=bool)
            if made is not None and len(made.codes):  # an array of no codes has no columns
                codes = np.concatenate([made.codes, codes])
                values = np.concatenate([made.values, values])
                complete = np.concatenate([made.complete, complete])
            made = self._made = _Columns(names, codes, values, complete)
        return made

    def _values(self, trial: _Trial) -> list[float]:
        """Return a trial's values: NaN if unknown, infinite for constraints assumed satisfied."""
        objectives = self._objectives
        values = {name: trial.metrics.get(name, np.nan) for name in objectives.directions}
        modeled = self._modeled(trial)
        # without all objectives, a constraint may be absent for the same reason as an objective
        finished = trial.complete and all(value > -np.inf for value in modeled) and bool(modeled)
        for name, bound in objectives.constraints.items():
            absent = bound.satisfied if finished else np.nan
            values.setdefault(name, trial.metrics.get(name, absent))
        return [values[name] for name in self.names]

    def _modeled(self, trial: _Trial) -> list[float]:
        """Return one trial's modeled objectives, all to be maximized, NaN if missing."""
        objectives = self._objectives
        return [
            sign * trial.metrics.get(name, np.nan)
            for name, sign in zip(objectives.directions, objectives.signs, strict=True)
            if name not in objectives.known
        ]

    def _has_gap(self, trial: _Trial) -> bool:
        modeled = self._modeled(trial)
        missing = [math.isnan(value) for value in modeled]
        return any(missing) and not all(missing) and -np.inf not in modeled

    def _ended(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return positions (k,) of trials that succeeded or failed, and a mask of successes."""
        columns, diverged = self._columns(), self.diverged()
        succeeded = self._has_objective() & ~diverged
        explained = np.zeros(len(succeeded), dtype=bool)
        for name, bound in self._objectives.constraints.items():
            explained |= bound.slack(columns.values[:, self.names.index(name)]) < 0
        failed = ~succeeded & (columns.complete | diverged) & ~explained
        at = np.flatnonzero(succeeded | failed)
        return at, succeeded[at]

    def _has_value(self, names: Collection[str]) -> NDArray[np.bool_]:
        """Return a mask (n,) of trials that have a value of at least one given modeled metric.

        A diverged objective has no value.
        """
        signs, known = self._objectives.signs, self._objectives.known
        values = self._columns().values
        maximized = values[:, : len(signs)] * signs
        has = np.concatenate([maximized > -np.inf, ~np.isnan(values[:, len(signs) :])], axis=1)
        counts = [name in names and name not in known for name in self.names]
        return np.asarray(has[:, counts].any(axis=1), dtype=bool)

    def _informative(self) -> NDArray[np.bool_]:
        return self._has_value(self.names)

    def _has_objective(self) -> NDArray[np.bool_]:
        """Return a mask of trials with a modeled objective; with any metric if none is modeled."""
        directions = self._objectives.directions
        modeled = directions.keys() - self._objectives.known.keys()
        return self._has_value(modeled or self.names)


def _finite(maximized: NDArray[np.float64], complete: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return an objective (n,) without infinities; bound stopped trials by the median.

    Magnitudes are at most ``LARGEST``. If most are larger, all values are divided by one number;
    otherwise, values keep their unit and the larger ones are clipped.
    """
    finite = maximized[np.isfinite(maximized)]
    best = finite.max() if len(finite) else 0.0
    values = np.where(maximized > -np.inf, np.minimum(maximized, best), np.nan)
    size = np.abs(finite)
    if len(size) and np.median(size) > LARGEST:  # clipped, most values would be equal
        values = values * (LARGEST / size.max())
    values = np.clip(values, -LARGEST, LARGEST)
    ended = values[complete & ~np.isnan(values)]
    if len(ended):
        values[~complete] = np.minimum(values[~complete], np.median(ended))
    return values


def rows_to_fit(order: NDArray[np.intp], limit: int | None) -> NDArray[np.intp]:
    """Return the rows to fit, ascending: all, or the best and an even selection of others."""
    if limit is None or len(order) <= limit:
        return np.arange(len(order))
    top, rest = order[: limit // 2], order[limit // 2 :]
    spread = np.linspace(0, len(rest) - 1, limit - len(top)).round().astype(int)
    return np.sort(np.concatenate([top, rest[spread]]))
