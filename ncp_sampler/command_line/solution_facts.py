"""Solutions of an offline search as JSON values, in the units of the tables.

Metrics that are modeled as logarithms are converted back to their units. Their limits, and the
values compared with the limits, are converted in the same way, so the comparison does not change.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.sources import Scores, SearchSource
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.known_costs import cost_at
from ncp_sampler.offline.measured import MeasuredRows, deciding_targets
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import Solution, unmeasured_text
from ncp_sampler.propagation.targets import Target, label

# Held-out scores of one code, and metric -> mean absolute error of the evaluator
HeldOutScores: TypeAlias = tuple[Scores, Mapping[str, float]]


def metric_facts(
    sources: Sequence[SearchSource],
    evaluations: Sequence[HeldOutScores | None],
    targets: Sequence[Target],
    solution: Solution,
) -> list[dict[str, Any]]:
    """Return a row for each metric, with its held-out score and its prediction."""
    rows = {}
    for i, target in enumerate(targets):
        if target.cost is None and (target.predictor, target.metric) not in rows:
            source, evaluation = sources[target.predictor], evaluations[target.predictor]
            scores, errors = evaluation or (None, {})
            mean, std, noise = _prediction(sources, targets, i, solution)
            rows[target.predictor, target.metric] = {
                "source": source.name,
                "metric": target.metric,
                "held_out_score": None if scores is None else float(scores[target.metric][0]),
                "evaluator_error": _number(errors.get(target.metric, np.nan)),
                "predicted": mean,
                "predicted_std": std,
                "noise": _number(noise),
            }
    return list(rows.values())


def _prediction(
    sources: Sequence[SearchSource], targets: Sequence[Target], i: int, solution: Solution
) -> tuple[float, float, float]:
    """Return mean, standard deviation and noise of a target, in the metric's unit."""
    name, target = label(targets, i), targets[i]
    mean, std, noise = solution.predictions[name], solution.uncertainty[name], solution.noise[name]
    if target.cost is None and target.metric in sources[target.predictor].logged:
        mean = float(np.exp(mean))
        std, noise = mean * std, mean * noise
    return mean, std, noise


def _number(value: float) -> float | None:
    """Return a number for JSON, which does not support NaN."""
    return None if np.isnan(value) else value


def solution_facts(
    sources: Sequence[SearchSource], targets: Sequence[Target], solution: Solution
) -> dict[str, Any]:
    """Return one answer as JSON values.

    Rows of the answer in the tables are listed as ``measured_rows``, or as ``unmeasured_rows`` if
    they have no value of an optimized metric, such as architectures that are not trained yet.
    An answer in ``MRSpace`` also has its code in the published form, and its exact costs.
    """
    space = sources[0].records.space
    modeled = {(target.metric, target.predictor) for target in targets if target.cost is None}
    tasks = Counter(metric for metric, _ in modeled)
    predicted = {}
    for i, target in enumerate(targets):
        shared = target.cost is None and tasks[target.metric] > 1
        name = f"{target.metric}[{target.predictor}]" if shared else target.metric
        predicted[name] = _prediction(sources, targets, i, solution)
    rows = [_table_row(sources, i, targets, solution.code) for i in range(len(sources))]
    facts: dict[str, Any] = {
        "params": space.to_params(solution.code),
        "bounds_hold": solution.holds,
        "satisfies_limits": solution.satisfies_limits,
        "limits": _limit_facts(sources, targets, solution),
        "utility": solution.utility,
        "expected_improvement": _improvement(sources, targets, solution),
        "probability": _number(solution.probability),
        "predicted": {name: mean for name, (mean, _, _) in predicted.items()},
        "predicted_std": {name: std for name, (_, std, _) in predicted.items()},
        "measured_rows": [row for row, is_measured in rows if row is not None and is_measured],
        "unmeasured_rows": [
            row for row, is_measured in rows if row is not None and not is_measured
        ],
    }
    if isinstance(space, MRSpace):
        code = solution.code
        facts["code"] = space.to_string(code)
        facts["costs"] = {
            "gflops": costs.flops(code).item(),
            "g_multiply_adds": costs.flops(code, convention="multiply_adds").item(),
            "m_params": costs.params(code).item(),
        }
    return facts


def limits_missed(
    sources: Sequence[SearchSource], targets: Sequence[Target], solution: Solution
) -> str:
    """Return the warning for an answer that does not satisfy the limits."""
    text = (
        "no architecture is predicted to satisfy the limits with a margin of beta standard "
        "deviations"
    )
    if solution.nearest:
        logged = _logged(sources, targets)
        values = [
            f"{name} {math.exp(value) if name in logged else value:.4g}"
            for name, value in solution.nearest.items()
        ]
        remark = unmeasured_text(solution.n_unmeasured)
        text += f"; no measured row satisfies them{remark}; the nearest has {', '.join(values)}"
    return f"{text}. The answer does not satisfy them either"


def _limit_facts(
    sources: Sequence[SearchSource], targets: Sequence[Target], solution: Solution
) -> list[dict[str, Any]]:
    """Return the limits of a solution as JSON values, each with the value compared with it."""
    logged = _logged(sources, targets)
    facts = []
    for limit in solution.limits:
        is_logged = limit.metric in logged
        bound, mean, compared = (
            math.exp(value) if is_logged else value
            for value in (limit.bound, limit.mean, limit.compared)
        )
        relation = "<=" if limit.direction == "minimize" else ">="
        facts.append(
            {
                "metric": limit.metric,
                "limit": f"{limit.metric}{relation}{bound:.4g}",
                "mean": mean,
                "beta": limit.beta,
                "exact": limit.is_exact,
                "logarithm": is_logged,
                "compared": compared,
                "satisfied": limit.satisfied,
            }
        )
    return facts


def _logged(sources: Sequence[SearchSource], targets: Sequence[Target]) -> set[str]:
    """Return the labels of the targets that are modeled as logarithms."""
    return {
        label(targets, i)
        for i, target in enumerate(targets)
        if target.cost is None and target.metric in sources[target.predictor].logged
    }


def _improvement(
    sources: Sequence[SearchSource], targets: Sequence[Target], solution: Solution
) -> float | None:
    """Return the expected improvement, in the unit of the metric; None if it is unknown."""
    gain = solution.expected_improvement
    free = [i for i, target in enumerate(targets) if target.weight and target.bound is None]
    target = targets[free[0]]
    logged = target.cost is None and target.metric in sources[target.predictor].logged
    if len(free) == 1 and logged and solution.best is not None:
        best = math.exp(solution.best.expected[label(targets, free[0])])
        gain = best * abs(math.expm1(target.sign * gain))
    return _number(gain)


def _table_row(
    sources: Sequence[SearchSource], i: int, targets: Sequence[Target], code: NDArray[Any]
) -> tuple[dict[str, Any] | None, bool]:
    """Return the row of a code in source i with its known costs, and whether it was measured.

    The row is None if the code is not in the source.
    """
    rows = np.flatnonzero((sources[i].table.codes == code).all(1))
    if not len(rows):
        return None, False
    row = _row(sources[i], targets, rows)
    own = [
        (target.metric, decides)
        for target, decides in zip(targets, deciding_targets(targets), strict=True)
        if target.cost is None and target.predictor == i
    ]
    # if no metric of this source is optimized, its other metrics decide
    deciding = [metric for metric, decides in own if decides] or [metric for metric, _ in own]
    known = [row["metrics"][metric] is not None for metric in deciding]
    return row, any(known) or not known


def best_rows(
    problem: SearchProblem, sources: Sequence[SearchSource]
) -> list[dict[str, Any] | None]:
    """Return each source's row of the best measured code within all limits, or None."""
    best = MeasuredRows.of(problem).best
    if best is None:
        return [None] * len(sources)
    rows = [_table_row(sources, i, problem.targets, best.code) for i in range(len(sources))]
    return [row if is_measured else None for row, is_measured in rows]


def _row(source: SearchSource, targets: Sequence[Target], rows: NDArray[np.intp]) -> dict[str, Any]:
    """Return the mean of rows (n,) with one code; row numbers start at 1 in the result."""
    ids = source.table.ids
    metrics: dict[str, float | None] = {}
    for name, values in source.table.metrics.items():
        measured = values[rows][~np.isnan(values[rows])]
        metrics[name] = _number(float(measured.mean())) if len(measured) else None
    code = source.table.codes[rows[:1]]
    known = {
        target.metric: cost_at(target.cost, code).item()
        for target in targets
        if target.cost is not None
    }
    return {
        "source": source.name,
        "row": int(rows[0]) + 1,
        "rows": [int(row) + 1 for row in rows],
        "id": None if ids is None else ids[rows[0]],
        "ids": None if ids is None else [ids[row] for row in rows],
        "metrics": metrics | known,
    }
