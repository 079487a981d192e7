"""Measured rows: the best row, and the expected improvement of codes over this row.

Notation
    y, m, s   measured value, predicted mean and predicted standard deviation of a target
    v         standard deviation of the measurement noise
    w         weight of a measurement, s^2 / (s^2 + v^2); a row's value is shrunk to m + w (y - m)
    U         utility of a code without the bounds: a weighted sum of normally distributed targets
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import BestRow
from ncp_sampler.offline.selection_bias import SelectionBias
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.records.records import FloatArray
from ncp_sampler.search.utilities import log_expected_improvement
from ncp_sampler.space.search_space import code_key

# Number of standard deviations by which a recommended code must be better, and that the stated
# improvement leaves out: the best of thousands of predictions is too good (decision 0032)
_RELIABLE = 1.0
_LEAST_STD = 1e-9  # smallest standard deviation of an improvement, for known costs


@dataclass(frozen=True)
class MeasuredRows:
    """Distinct codes of a problem's tables that were measured.

    A code is measured if the tables have a value of at least one of the ``deciding_targets``. Rows
    without such a value, such as architectures that are listed but not trained yet, are new codes.

    Attributes:
        codes: Valid codes that were measured, best first, (n, d).
        keys: ``code_key`` of each of these codes.
        best: Best row that satisfies the bounds; None if no row does.
        nearest: Bounded metric -> value of the row that comes closest to the bounds, if no row
            satisfies them; otherwise empty.
        n_unmeasured: Number of codes in the tables that were not measured, but whose values of the
            bounded metrics satisfy the bounds.
    """

    codes: NDArray[Any]
    keys: frozenset[bytes]
    best: BestRow | None
    nearest: Mapping[str, float]
    n_unmeasured: int = 0

    @classmethod
    def none(cls, problem: SearchProblem) -> MeasuredRows:
        """Return no rows."""
        return cls(problem.space.sample(0), frozenset(), None, {})

    @classmethod
    def of(cls, problem: SearchProblem) -> MeasuredRows:
        """Return the measured rows of a problem's tables."""
        tables = [table for table in problem.tables if table is not None]
        if not tables:
            return cls.none(problem)
        rounded = [problem.space.round(table.codes) for table in tables]
        at = {code_key(code): i for i, code in enumerate(np.concatenate(rounded))}
        codes = np.concatenate(rounded)[[*at.values()]]
        place = {key: i for i, key in enumerate(at)}
        y, counts = problem.costs(codes), np.zeros((len(problem.targets), len(codes)))
        for k, target in enumerate(problem.targets):
            table = None if target.cost is not None else problem.tables[target.predictor]
            if table is not None and target.metric in table.metrics:
                values = table.metrics[target.metric]
                known = ~np.isnan(values)
                rows = [place[code_key(code)] for code in problem.space.round(table.codes[known])]
                counts[k] = np.bincount(rows, minlength=len(codes))
                y[k] = np.bincount(rows, values[known], len(codes)) / np.maximum(counts[k], 1)
        modeled = np.array([target.cost is None for target in problem.targets])
        deciding = deciding_targets(problem.targets)
        is_valued = counts[deciding].any(0) | ~deciding.any()
        limited = modeled & [target.bound is not None for target in problem.targets]
        within = (problem.violation(y) <= 0) & counts[limited].all(0)
        valued = np.flatnonzero(is_valued)
        codes, y, counts = codes[valued], y[:, valued], counts[:, valued]
        unknown = (counts[modeled] == 0).any(0)
        if unknown.any():
            # a prediction counts with its margin, as for new codes
            values = problem.cautious(*problem.moments(codes[unknown]))
            y[:, unknown] = np.where(counts[:, unknown] > 0, y[:, unknown], values)
        # sorted by violation first: a penalty can be too small if the costs span decades
        violation = problem.violation(y)
        order = np.lexsort((-problem.utility_of(y), violation))
        best, nearest = None, {}
        if len(order) and violation[order[0]] > 0:
            first = order[:1]
            mean, _ = problem.moments(codes[first])
            values = np.where(counts[:, first] > 0, y[:, first], mean)
            values = problem.shown(values, codes[first])
            nearest = {
                label(problem.targets, k): float(values[k, 0])
                for k, target in enumerate(problem.targets)
                if target.bound is not None
            }
        elif len(order):
            best = _best_row(problem, codes[order[0]], y[:, order[0]], counts[:, order[0]])
        keys = frozenset(map(code_key, codes))
        return cls(codes[order], keys, best, nearest, int((within & ~is_valued).sum()))

    def is_new(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask (n,) of the codes (n, d) that were not measured."""
        return np.array([code_key(code) not in self.keys for code in codes], dtype=bool)


def deciding_targets(targets: Sequence[Target]) -> NDArray[np.bool_]:
    """Return a mask (targets,) of the metrics of which a measured row has at least one value.

    They are the modeled metrics that are optimized, or all modeled metrics if none is optimized.
    """
    modeled = np.array([target.cost is None for target in targets])
    free = np.array([target.bound is None and target.weight > 0 for target in targets])
    optimized: NDArray[np.bool_] = modeled & free
    return optimized if optimized.any() else modeled


def _best_row(problem: SearchProblem, code: NDArray[Any], y: FloatArray, n: FloatArray) -> BestRow:
    """Return the row of a code with values y (targets,), each the mean of n (targets,) values."""
    mean, std = (part[:, 0] for part in problem.moments(code))
    noise = np.nan_to_num(problem.noise) / np.sqrt(np.maximum(n, 1))
    total = std**2 + noise**2
    weight = np.where(n > 0, np.divide(std**2, total, out=np.ones_like(std), where=total > 0), 0.0)
    expected = mean + weight * (y - mean)
    spread = np.where(n > 0, np.sqrt(weight) * noise, std)
    names = [label(problem.targets, k) for k in range(len(problem.targets))]
    y = problem.shown(np.where(n > 0, y, mean)[:, None], code)[:, 0]
    metrics, means, stds = (
        dict(zip(names, map(float, row), strict=True)) for row in (y, expected, spread)
    )
    # no penalty is subtracted, because the measured values satisfy the bounds
    utility = float(problem.weights @ problem.cautious(expected[:, None], spread[:, None])[:, 0])
    modeled = [target.cost is None for target in problem.targets]
    predicted = tuple(dict.fromkeys(np.array(names)[(n == 0) & modeled].tolist()))
    return BestRow(code, metrics, means, stds, utility, predicted)


class Improvement:
    """Log expected improvement over the best measured row, minus a penalty for violated bounds.

    Args:
        problem: The problem. Its predictors may treat codes as observed that were not measured.
        best: The best measured row.
        known: The problem whose predictors have only observed measured codes, if different. The
            margins of the bounds use its standard deviations, because a code that was not measured
            does not make predictions more certain.
    """

    def __init__(
        self, problem: SearchProblem, best: BestRow, *, known: SearchProblem | None = None
    ) -> None:
        self.problem, self.best = problem, best
        self._known = problem if known is None else known
        bounded = any(
            target.bound is not None and target.cost is None for target in problem.targets
        )
        self._margins = self._known if bounded else problem
        # looked up by label, because two targets may share a metric: a bound and a direction
        names = [label(problem.targets, k) for k in range(len(problem.targets))]
        self._level = problem.weights @ [best.expected[name] for name in names]
        deviations = problem.weights * [best.uncertainty[name] for name in names]
        self._variance = float(deviations @ deviations)
        self.calls = 0

    def values(self, codes: ArrayLike) -> FloatArray:
        """Return means, standard deviations and those of ``known``, stacked, (3 * targets, n)."""
        mean, std = self.problem.moments(codes)
        margin_std = std if self._margins is self.problem else self._margins.moments(codes)[1]
        self.calls += mean.shape[1]
        return np.concatenate([mean, std, margin_std])

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Return the log expected improvement minus the penalty for violated bounds, (n,)."""
        mean, std, margin_std = np.split(values, 3)
        penalty = self.problem.penalty_of(self.problem.cautious(mean, margin_std))
        return np.asarray(log_expected_improvement(*self._gain(mean, std))[0] - penalty)

    def over(self, code: NDArray[Any]) -> tuple[float, float]:
        """Return the expected improvement and the probability of improvement of a code (d,).

        The improvement is in the metric's unit if only one target has no bound, otherwise in units
        of the utility. Predictions are corrected for their ``SelectionBias``, and one standard
        deviation is subtracted from the improvement, because a search finds the codes whose
        improvement is overestimated most.
        """
        if np.array_equal(code, self.best.code):
            return 0.0, 0.0
        gain, std = self._corrected_gain(code)
        gain = gain - _RELIABLE * std
        free = np.abs(self.problem.weights[self.problem.weights != 0])
        unit = 1 / float(free[0]) if len(free) == 1 else 1.0
        expected = math.exp(float(log_expected_improvement(gain, std)[0][0]))
        return expected * unit, float(ndtr(gain / std)[0])

    def is_reliable(self, code: NDArray[Any]) -> bool:
        """Return True if a code (d,) is better than the best row by over one standard deviation.

        If beta is below 1, beta standard deviations are sufficient. If only known costs are
        optimized, any improvement is sufficient.
        """
        gain, std = self._corrected_gain(code)
        betas = [
            target.beta or 0.0
            for target, weight in zip(self.problem.targets, self.problem.weights, strict=True)
            if target.cost is None and weight
        ]
        return bool(gain[0] > min(_RELIABLE, max(betas, default=0.0)) * std[0])

    def believing(self, code: NDArray[Any]) -> Improvement:
        """Return the improvement after a code (d,) has been observed with its mean as value.

        Ginsbourger et al. (2010) call this method the Kriging believer; it spreads the codes of a
        batch over the space.
        """
        return Improvement(self.problem.with_observed(code), self.best, known=self._known)

    def _corrected_gain(self, code: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return ``_gain`` of a code (d,), with predictions corrected for their selection bias."""
        mean, std = self.problem.moments(code)
        for k, bias in enumerate(self._biases):
            if bias is not None:
                mean[k], variance = bias.correct(mean[k])
                std[k] = np.hypot(std[k], np.sqrt(variance))
        return self._gain(mean, std)

    @cached_property
    def _biases(self) -> list[SelectionBias | None]:
        """Selection bias of each target; None for a known cost or if there are too few rows."""
        biases: list[SelectionBias | None] = []
        for target in self.problem.targets:
            predictor = self.problem.predictors[target.predictor]
            if target.cost is not None or predictor.unseen is None:
                biases.append(None)
                continue
            at = predictor.names.index(target.metric)
            predicted, measured = predictor.unseen[..., at]
            biases.append(SelectionBias.of(predicted, measured, target.sign))
        return biases

    def _gain(self, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and standard deviation (n,) of U minus the U of the best row."""
        weights = self.problem.weights
        variance = np.square(weights[:, None] * std).sum(0) + self._variance
        return weights @ mean - self._level, np.sqrt(np.maximum(variance, _LEAST_STD**2))
