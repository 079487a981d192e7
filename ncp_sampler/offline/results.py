"""Results of offline searches, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.propagation.propagate import Trace

DEGREES = ("yes", "only by its mean", "no")  # values of ``LimitCheck.satisfied``, best first
_NEARLY_CERTAIN = 0.99  # largest probability that is shown exactly


@dataclass(frozen=True)
class BestRow:
    """Best measured row whose measured values satisfy the bounds.

    Attributes:
        code: Valid code, (d,).
        metrics: Metric -> measured value (the mean if the code was measured repeatedly) or known
            cost; for metrics that were not measured, the predicted mean.
        expected: Metric -> measured value, shrunk towards the prediction if measurements are noisy,
            because the best of many noisy rows tends to be lucky.
            An infinite cost is a finite number above all others here.
        uncertainty: Metric -> standard deviation of ``expected``.
        utility: Utility of ``expected`` minus beta times ``uncertainty``.
        predicted: Metrics without a measurement of this code. Their predictions satisfy the bounds
            with a margin of beta standard deviations.

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
    predicted: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {value:.5g}" + (" (predicted)" if name in self.predicted else "")
            for name, value in self.metrics.items()
        )


@dataclass(frozen=True)
class LimitCheck:
    """Comparison of one code with a limit on a metric.

    Attributes:
        metric: Name of the metric or known cost.
        direction: "minimize" if the value must be at most ``bound``, "maximize" if at least.
        bound: The limit.
        mean: Predicted mean of the code; for a known cost or a measured row, the value itself.
        beta: Number of standard deviations between ``mean`` and ``compared``; 0 for a known cost or
            a measured row.
        compared: Value that is compared with the limit: the mean plus (for an upper limit) or minus
            (for a lower limit) beta standard deviations.
        satisfied: "yes" if ``compared`` satisfies the limit, "only by its mean" if only ``mean``
            does, or "no".
        is_exact: True for a known cost or a measured row; False for a prediction, even if beta is
            0.

    Examples:
        >>> from ncp_sampler.offline import LimitCheck
        >>> LimitCheck.of("ms", "minimize", 10.0, mean=9.0, beta=3.0, compared=11.0).satisfied
        'only by its mean'
    """

    metric: str
    direction: str
    bound: float
    mean: float
    beta: float
    compared: float
    satisfied: str
    is_exact: bool = False

    @classmethod
    def of(
        cls,
        metric: str,
        direction: str,
        bound: float,
        *,
        mean: float,
        beta: float,
        compared: float,
        is_exact: bool = False,
    ) -> LimitCheck:
        """Return the comparison with a limit; ``satisfied`` follows from the arguments."""
        sign = 1 if direction == "maximize" else -1
        satisfied = DEGREES[2]
        if sign * (compared - bound) >= 0:
            satisfied = DEGREES[0]
        elif sign * (mean - bound) >= 0:
            satisfied = DEGREES[1]
        return cls(metric, direction, bound, mean, beta, compared, satisfied, is_exact)

    def __str__(self) -> str:
        relation = "<=" if self.direction == "minimize" else ">="
        text = f"{self.metric}{relation}{self.bound:.4g}: {self.mean:.4g}"
        if not self.is_exact:
            text += " predicted"
        if self.beta:
            end, sign = ("upper", "+") if self.direction == "minimize" else ("lower", "-")
            margin = f"{sign} {self.beta:g} standard deviations"
            text += f", {end} bound {self.compared:.4g} ({margin})"
        return f"{text}; satisfied: {self.satisfied}"


def probability_text(probability: float) -> str:
    """Return a probability of improvement as text, such as "> 99%" for values close to 1."""
    if probability > _NEARLY_CERTAIN:
        return f"> {_NEARLY_CERTAIN:.0%}"
    if probability < 1 - _NEARLY_CERTAIN:
        return f"< {1 - _NEARLY_CERTAIN:.0%}"
    return f"{probability:.0%}"


def unmeasured_text(n: int) -> str:
    """Return a remark on n architectures in the tables without a value; empty for none."""
    return f" ({n} in the tables satisfy them, but the optimized metric is missing)" if n else ""


@dataclass(frozen=True)
class Solution:
    """Result of an offline search: an architecture, compared with the best measured row.

    Attributes:
        code: Valid code, (d,). In ``propagate_search``, it is the recommended architecture, which
            is the best measured row if no new code is reliably better.
        predictions: Metric -> predicted mean; a known cost -> its value.
        uncertainty: Metric -> standard deviation of the prediction; 0 for a known cost.
        noise: Metric -> standard deviation of a single measurement, such as one training run; NaN
            if the predictor does not know it, 0 for a known cost.
        utility: Utility of the code, which the search maximizes; for the best measured row, that of
            its measured values.
        holds: True if the predictions satisfy every bound with a margin of beta standard
            deviations; always True for the best measured row.
        limits: Comparison with each bound.
        calls: Number of codes for which predictions were made, with or without a gradient.
        seconds: Wall time of the search, without the fits of predictors.
        trace: Paths from all starts; None for a baseline. Hill climbing may lead beyond a path.
        start: Position of the start that led to the code.
        best: Best measured row that satisfies the bounds; None if there is none.
        nearest: Bounded metric -> value of the measured row that comes closest to the bounds, if
            rows are known but none satisfies the bounds; otherwise empty.
        n_unmeasured: Number of codes in the tables that satisfy the bounds, but have no value of
            an optimized metric. They are new codes, not measured rows.
        expected_improvement: Expected improvement of ``code`` over ``best``, in the metric's unit,
            or in utility if several targets have no bound, estimated like ``probability``. NaN if
            there is no ``best``.
        probability: Estimated probability that ``code`` is better than ``best``, after one standard
            deviation is subtracted from the improvement, because the search selects the best of
            many predictions. NaN if there is no ``best``.
        next_trainings: The most promising new codes to train, each as a solution, if ``code`` is
            the best measured row; otherwise empty.

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
    limits: tuple[LimitCheck, ...] = ()
    trace: Trace | None = field(default=None, repr=False)
    start: int = 0
    best: BestRow | None = None
    nearest: dict[str, float] = field(default_factory=dict)
    expected_improvement: float = float("nan")
    probability: float = float("nan")
    next_trainings: tuple[Solution, ...] = field(default=(), repr=False)
    n_unmeasured: int = 0

    @property
    def is_new(self) -> bool:
        """True unless the code is the best measured row."""
        return self.best is None or not np.array_equal(self.code, self.best.code)

    @property
    def satisfies_limits(self) -> str:
        """Degree to which all limits are satisfied: "yes", "only by its mean" or "no"."""
        degrees = (limit.satisfied for limit in self.limits)
        return max(degrees, key=DEGREES.index, default=DEGREES[0])

    @property
    def note(self) -> str:
        """Comparison of the code with the best measured row, and violated limits, in words."""
        missed = [str(limit) for limit in self.limits if limit.satisfied != DEGREES[0]]
        return "; ".join([self._comparison, *missed])

    @property
    def _comparison(self) -> str:
        if self.best is None and self.nearest:
            values = ", ".join(f"{name} {value:.5g}" for name, value in self.nearest.items())
            return (
                f"no measured row satisfies the limits{unmeasured_text(self.n_unmeasured)}; the "
                f"nearest has {values}"
            )
        if self.best is None:
            return "no measured row is known"
        if not self.is_new:
            reason = "because no new code is clearly better"
            return f"this is the best measured row ({self.best}), {reason}"
        return (
            f"better than the best measured row ({self.best}) with an estimated probability of "
            f"{probability_text(self.probability)}; expected improvement "
            f"{self.expected_improvement:.3g}"
        )
