"""Results of offline searches, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.propagation.propagate import Trace


@dataclass(frozen=True)
class BestRow:
    """The best measured row within the bounds, judged by its measured values.

    Attributes:
        code: Valid code, (d,).
        metrics: Metric -> measured value (the mean of repeated measurements) or known cost; the
            predicted mean for metrics without a measurement of this code.
        expected: Metric -> measured value, shrunk towards the prediction if measurements are
            noisy, because the best of many noisy rows was lucky.
        uncertainty: Metric -> standard deviation of ``expected``.
        utility: Utility of ``expected`` minus beta times ``uncertainty``.

    Examples:
        Continued from ``SearchProblem``:

        >>> rows = Records(space, codes, {"accuracy": accuracy})
        >>> known = SearchProblem(predictor, problem.targets, records=[rows])
        >>> best = propagate_search(known).best
        >>> within = codes.prod(1) <= 100
        >>> bool(best.metrics["accuracy"] == accuracy[within].max())
        True
    """

    code: NDArray[Any]
    metrics: dict[str, float]
    expected: dict[str, float]
    uncertainty: dict[str, float]
    utility: float


@dataclass(frozen=True)
class Solution:
    """Result of an offline search: an architecture, compared with the best measured row.

    Attributes:
        code: Valid code, (d,). In ``propagate_search``, it is the recommended architecture, which
            is the best measured row if no new code is better.
        predictions: Metric -> predicted mean; a known cost -> its value.
        uncertainty: Metric -> standard deviation of the prediction; 0 for a known cost.
        noise: Metric -> standard deviation of a measurement, such as a training run, around its
            mean; NaN if it is unknown, 0 for a known cost.
        utility: Maximized utility; for a measured row, the utility of its measured values.
        holds: True if the predictions minus beta times the standard deviations satisfy every bound.
        calls: Number of predicted codes, with or without a gradient.
        seconds: Wall time of the search, without fitting predictors.
        trace: Path from each start; None for a baseline. Hill climbing may continue beyond it.
        start: Position of the start that led to the code.
        best: Best measured row within the bounds; None if there is none.
        expected_improvement: Expected improvement of ``code`` over ``best``, in the metric's unit;
            in utility if several targets have no bound. NaN if there is no ``best``.
        probability: The predictor's probability that ``code`` is better than ``best``, which is too
            high for the best of many codes; NaN if there is none.
        next_trainings: If ``code`` is the best measured row, the new codes with the most promising
            trainings, each as a solution.

    Examples:
        Continued from ``SearchProblem``:

        >>> solution = propagate_search(problem)
        >>> solution.holds, bool(solution.code.prod() <= 100), sorted(solution.predictions)
        (True, True, ['accuracy', 'area'])
    """

    code: NDArray[Any]
    predictions: dict[str, float]
    uncertainty: dict[str, float]
    noise: dict[str, float]
    utility: float
    holds: bool
    calls: int
    seconds: float
    trace: Trace | None = field(default=None, repr=False)
    start: int = 0
    best: BestRow | None = None
    expected_improvement: float = float("nan")
    probability: float = float("nan")
    next_trainings: tuple[Solution, ...] = field(default=(), repr=False)

    @property
    def is_new(self) -> bool:
        """True unless the code is the best measured row."""
        return self.best is None or not np.array_equal(self.code, self.best.code)

    @property
    def note(self) -> str:
        """Comparison with the best measured row, in words."""
        if self.best is None:
            return "no measured row is known within the bounds"
        known = ", ".join(f"{name} {value:.5g}" for name, value in self.best.metrics.items())
        if not self.is_new:
            return f"this is the best measured row ({known}), because no new code promises more"
        return (
            f"better than the best measured row ({known}) with a probability of "
            f"{self.probability:.0%}; expected improvement {self.expected_improvement:.3g}"
        )
