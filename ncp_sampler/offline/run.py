"""State of one search: its measured rows, the number of its predictions, and its result."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.offline.measured import Improvement, MeasuredRows
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import BestRow, LimitCheck, Solution
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.targets import label
from ncp_sampler.records.records import FloatArray


class SearchRun:
    """One search of a problem, which counts its predictions and measures its time.

    Args:
        problem: The problem to search.
        compares: True to compare the code that is found with the measured rows. If False, the
            solution is always that code, as if no rows were known.

    Attributes:
        problem: The problem to search.
        calls: Number of codes predicted so far.
    """

    def __init__(self, problem: SearchProblem, *, compares: bool = True) -> None:
        self._began = time.perf_counter()
        must = "be a SearchProblem, such as SearchProblem(records, targets)"
        self.problem: SearchProblem = checks.instance("problem", problem, SearchProblem, must)
        self.calls = 0
        self._compares = compares

    @cached_property
    def measured(self) -> MeasuredRows:
        """Measured rows of the problem's tables; none if the run does not compare."""
        return MeasuredRows.of(self.problem) if self._compares else MeasuredRows.none(self.problem)

    def values(self, codes: ArrayLike) -> FloatArray:
        """Return the values (targets, n) of the targets at codes (n, d), and count the codes."""
        values = self.problem.values(codes)
        self.calls += values.shape[1]
        return values

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Return the utility (n,) of codes (n, d), and count the codes."""
        return self.utility_of(self.values(codes))

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Return the utility (n,) of values (targets, n)."""
        return self.problem.utility_of(values)

    def solution(
        self, code: NDArray[Any], *, trace: Trace | None = None, start: int = 0
    ) -> Solution:
        """Return a code (d,) as a solution; predictions for it are not counted."""
        problem, best = self.problem, self.measured.best
        mean, std = problem.moments(code)
        values = problem.values(code)
        utility, holds = float(problem.utility_of(values)[0]), problem.violation(values)[0] <= 0
        mean, values = problem.shown(mean, code), problem.shown(values, code)
        names = [label(problem.targets, k) for k in range(len(problem.targets))]
        predictions, uncertainty, noise = (
            dict(zip(names, map(float, row), strict=True))
            for row in (mean[:, 0], std[:, 0], problem.noise)
        )
        measured = best is not None and np.array_equal(code, best.code)
        expected, probability = float("nan"), float("nan")
        if best is not None:
            expected, probability = Improvement(problem, best).over(code)
            if measured:
                utility, holds = best.utility, True
        return Solution(
            code=code,
            predictions=predictions,
            uncertainty=uncertainty,
            noise=noise,
            utility=utility,
            holds=bool(holds),
            limits=self._limits(mean[:, 0], values[:, 0], best if measured else None),
            calls=self.calls,
            seconds=time.perf_counter() - self._began,
            trace=trace,
            start=start,
            best=best,
            nearest=dict(self.measured.nearest),
            n_unmeasured=self.measured.n_unmeasured,
            expected_improvement=expected,
            probability=probability,
        )

    def _limits(
        self, mean: FloatArray, values: FloatArray, row: BestRow | None
    ) -> tuple[LimitCheck, ...]:
        """Return the comparison with each bound of a code, or of a measured row.

        Args:
            mean: Mean of each target at the code, (targets,).
            values: Value of each target at the code, (targets,).
            row: The measured row if the code is one; its measured values are used instead.
        """
        limits = []
        for k, target in enumerate(self.problem.targets):
            if target.bound is None:
                continue
            name = label(self.problem.targets, k)
            measured = row is not None and name not in row.predicted
            exact = measured or target.cost is not None
            check = LimitCheck.of(
                name,
                target.direction,
                target.bound,
                mean=row.metrics[name] if row is not None and measured else float(mean[k]),
                beta=0.0 if exact else target.beta or 0.0,
                compared=row.metrics[name] if row is not None and measured else float(values[k]),
                is_exact=exact,
            )
            limits.append(check)
        return tuple(limits)
