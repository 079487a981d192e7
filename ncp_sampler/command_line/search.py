"""``ncp-sampler search``: offline searches of the published tables or the user's own tables.

The answer is an architecture with its held-out evaluation, its predictions, and a picture of the
search. ``sources`` and ``tables`` read the rows, ``search_targets`` checks the targets, and
``ncp_sampler.offline`` searches.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.search_options import SearchOptions
from ncp_sampler.command_line.search_targets import LIMIT, search_targets
from ncp_sampler.command_line.sources import JudgedRecords, Scores, setting_records
from ncp_sampler.command_line.tables import table_records
from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.confidence import MIN_ROWS, choose_beta, with_beta
from ncp_sampler.offline.measured import MeasuredRows
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.offline.solutions import propagate_answers, propagate_front
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.records.records import Records
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace


def run_search(
    options: SearchOptions, *, before: Callable[[Sequence[Mapping[str, str]]], object] | None = None
) -> dict[str, Any]:
    """Return the answer as JSON values.

    The reported score is held-out: an evaluator fitted to the other half of the rows scores the
    architecture that was found before the final refit on all rows.

    Args:
        options: Options of the command line.
        before: Function called with the roles of the tables' columns, before anything is fitted.
    """
    sources = _sources(options)
    space = sources[0].records.space
    targets = search_targets(sources, options)
    starts = _starts(options.starts, sources, space)
    columns = [column for source in sources for column in source.columns]
    if before is not None:
        before(columns)
    begin = time.perf_counter()
    notes = [source.note for source in sources]
    records = [source.records for source in sources]
    beta = options.beta
    if beta is None:
        beta, note = _beta(records, targets, options)
        notes.append(note)
    targets = with_beta(targets, beta)
    problem = SearchProblem(records, targets, seed=options.seed)
    strategy = _strategy(options.strategy, problem.space)
    judged = _judged(sources, problem, strategy, starts, options.seed)
    if options.refit and any(source.everything is not None for source in sources):
        records = [source.everything or source.records for source in sources]
        problem = SearchProblem(records, targets, seed=options.seed)
        rows = ", ".join(str(len(one)) for one in records)
        notes.append(
            f"the answer is from a final search with all {rows} rows; the held-out score belongs "
            "to the architecture found before, without the evaluator's rows"
        )
    learned = time.perf_counter()
    found, answers = _answers(problem, strategy, starts, options)
    if len(answers) < options.n and not options.front:
        notes.append(f"only {len(answers)} of the {options.n} requested architectures were found")
    if not found.holds:
        notes.append(
            "no code was found whose predictions keep the bounds by beta standard deviations"
        )
    picture = options.picture
    if picture is not None:
        title = " and ".join(source.name for source in sources)
        units = {name: "logarithm" for source in sources for name in source.logged}
        if not _draw(found, problem.space, picture, title, units):
            notes.append("no picture: matplotlib is not installed (pip install matplotlib)")
            picture = None
    seconds = {"learning": learned - begin, "search": time.perf_counter() - learned}
    facts = _facts(sources, problem.targets, found)
    if options.front:  # the best compromise of a front is not compared with one row
        facts |= {"expected_improvement": None, "probability": None}
    return {
        **facts,
        "metrics": _metrics(sources, judged, problem.targets, found),
        "is_new": not facts["measured_rows"],
        "answers": [_facts(sources, problem.targets, one) for one in answers],
        "next_trainings": [_facts(sources, problem.targets, one) for one in found.next_trainings],
        "best_rows": [_best_row(problem, source) for source in sources],
        "columns": columns,
        "strategy": options.strategy,
        "lambda": options.weight,
        "beta": beta,
        "seed": options.seed,
        "predictions_made": found.calls,
        "seconds": seconds,
        "picture": picture,
        "notes": notes,
    }


_Judged = tuple[Scores, Mapping[str, float]]  # scores of one code, and the evaluator's errors


def _judged(
    sources: Sequence[JudgedRecords],
    problem: SearchProblem,
    strategy: Strategy | str,
    starts: NDArray[Any] | None,
    seed: int,
) -> list[_Judged | None]:
    """Return the held-out evaluation, if any, of the answer before the refit, for each source."""
    if all(source.judge is None for source in sources):
        return [None] * len(sources)
    code = propagate_search(problem, strategy=strategy, starts=starts, seed=seed).code
    return [None if one.judge is None else one.judge(code[None]) for one in sources]


def _beta(
    records: Sequence[Records], targets: Sequence[Target], options: SearchOptions
) -> tuple[float, str]:
    """Choose beta by cross-validation if the rows suffice; return it and a note."""
    if min(len(one) for one in records) < MIN_ROWS:
        return BETA, f"beta {BETA:g}, because there are too few rows to choose it"
    choice = choose_beta(records, targets, strategy=options.strategy, seed=options.seed)
    return choice.beta, choice.note


def _answers(
    problem: SearchProblem,
    strategy: Strategy | str,
    starts: NDArray[Any] | None,
    options: SearchOptions,
) -> tuple[Solution, list[Solution]]:
    """Return the recommended architecture, and all requested ones."""
    if options.front:
        front = propagate_front(problem, n=options.n, strategy=strategy, seed=options.seed)
        return max(front, key=lambda one: (one.holds, one.utility)), front
    seed = options.seed
    found = propagate_search(problem, strategy=strategy, starts=starts, seed=seed)
    if options.n == 1:
        return found, [found]
    return found, propagate_answers(
        problem, n=options.n, strategy=strategy, starts=starts, seed=seed
    )


def _sources(options: SearchOptions) -> list[JudgedRecords]:
    if not options.tables:
        return setting_records(
            options.settings, root=options.root, rows=options.rows, seed=options.seed
        )
    return table_records(options)


def _starts(
    texts: Sequence[str], sources: Sequence[JudgedRecords], space: SearchSpace
) -> NDArray[Any] | None:
    """Return the codes (n, d) given by ``--start``, or None."""
    return np.array([_start(text, sources, space) for text in texts]) if texts else None


def _start(text: str, sources: Sequence[JudgedRecords], space: SearchSpace) -> NDArray[Any]:
    for source in sources:
        if source.table.ids is not None and text in source.table.ids:
            code: NDArray[Any] = source.table.codes[source.table.ids.index(text)]
            return code
    try:
        if isinstance(space, MRSpace) and "=" not in text:
            return space.from_string(text)
        pairs = [part.partition("=") for part in text.split(",")]
        given = {name.strip(): value.strip() for name, _, value in pairs}
        words = {dim.name for dim in space.dimensions if isinstance(dim, Categorical)}
        return space.to_code({k: v if k in words else float(v) for k, v in given.items()})
    except ValueError as error:
        raise ValueError(
            f"--start {text!r} must be a name that --id has, or NAME=VALUE,.. of all parameters "
            f"{list(space.names)}: {error}"
        ) from error


def _strategy(name: str, space: SearchSpace) -> Strategy | str:
    """Return the strategy; winner-takes-all compares steps of MRSpace codes by exact FLOPs."""
    if name == "winner_takes_all" and isinstance(space, MRSpace):
        return WinnerTakesAll(costs.flops)
    return name


def _metrics(
    sources: Sequence[JudgedRecords],
    judged: Sequence[_Judged | None],
    targets: Sequence[Target],
    found: Solution,
) -> list[dict[str, Any]]:
    """Return the held-out evaluation and the prediction of each metric."""
    rows = {}
    for i, target in enumerate(targets):
        if target.cost is None and (target.predictor, target.metric) not in rows:
            source, judgement = sources[target.predictor], judged[target.predictor]
            scores, errors = judgement or (None, {})
            mean, std, noise = _prediction(sources, targets, i, found)
            rows[target.predictor, target.metric] = {
                "source": source.name,
                "metric": target.metric,
                "judged": None if scores is None else float(scores[target.metric][0]),
                "judge_error": _number(errors.get(target.metric, np.nan)),
                "predicted": mean,
                "predicted_std": std,
                "noise": _number(noise),
            }
    return list(rows.values())


def _prediction(
    sources: Sequence[JudgedRecords], targets: Sequence[Target], i: int, found: Solution
) -> tuple[float, float, float]:
    """Return mean, standard deviation and noise of a target, in the metric's unit."""
    name, target = label(targets, i), targets[i]
    mean, std, noise = found.predictions[name], found.uncertainty[name], found.noise[name]
    if target.cost is None and target.metric in sources[target.predictor].logged:
        mean = float(np.exp(mean))
        std, noise = mean * std, mean * noise
    return mean, std, noise


def _number(value: float) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return None if np.isnan(value) else value


def _facts(
    sources: Sequence[JudgedRecords], targets: Sequence[Target], found: Solution
) -> dict[str, Any]:
    """Return one answer as JSON values; for MRSpace, with the published form and exact costs."""
    space = sources[0].records.space
    modeled = {(one.metric, one.predictor) for one in targets if one.cost is None}
    tasks = Counter(metric for metric, _ in modeled)
    predicted = {}
    for i, target in enumerate(targets):
        shared = target.cost is None and tasks[target.metric] > 1
        name = f"{target.metric}[{target.predictor}]" if shared else target.metric
        predicted[name] = _prediction(sources, targets, i, found)
    measured = [_measured_row(source, found.code) for source in sources]
    facts: dict[str, Any] = {
        "params": space.to_params(found.code),
        "bounds_hold": found.holds,
        "utility": found.utility,
        "expected_improvement": _improvement(sources, targets, found),
        "probability": _number(found.probability),
        "predicted": {name: mean for name, (mean, _, _) in predicted.items()},
        "predicted_std": {name: std for name, (_, std, _) in predicted.items()},
        "measured_rows": [row for row in measured if row is not None],
    }
    if isinstance(space, MRSpace):
        code = found.code
        facts["code"] = space.to_string(code)
        facts["costs"] = {
            "gflops": costs.flops(code).item(),
            "g_multiply_adds": costs.flops(code, convention="multiply_adds").item(),
            "m_params": costs.params(code).item(),
        }
    return facts


def _improvement(
    sources: Sequence[JudgedRecords], targets: Sequence[Target], found: Solution
) -> float | None:
    """Return the expected improvement, in the metric's unit."""
    gain = found.expected_improvement
    free = [i for i, target in enumerate(targets) if target.weight and target.bound is None]
    target = targets[free[0]]
    logged = target.cost is None and target.metric in sources[target.predictor].logged
    if len(free) == 1 and logged and found.best is not None:
        best = math.exp(found.best.expected[label(targets, free[0])])
        gain = best * abs(math.expm1(target.sign * gain))
    return _number(gain)


def _measured_row(source: JudgedRecords, code: NDArray[Any]) -> dict[str, Any] | None:
    """Return the first row that has a code; None if it is new."""
    rows = np.flatnonzero((source.table.codes == code).all(1))
    return _row(source, int(rows[0])) if len(rows) else None


def _best_row(problem: SearchProblem, source: JudgedRecords) -> dict[str, Any] | None:
    """Return the best measured row of the source within all limits, or None."""
    best = MeasuredRows.of(problem).best
    return None if best is None else _measured_row(source, best.code)


def _row(source: JudgedRecords, row: int) -> dict[str, Any]:
    """Return the measurements of a row, which is counted from 0 here and from 1 in the answer."""
    ids = source.table.ids
    metrics = {name: _number(float(v[row])) for name, v in source.table.metrics.items()}
    return {
        "source": source.name,
        "row": row + 1,
        "id": None if ids is None else ids[row],
        "metrics": metrics,
    }


def _draw(
    found: Solution, space: SearchSpace, picture: str, title: str, units: Mapping[str, str]
) -> bool:
    """Draw the trace of the search to a file; return False if Matplotlib is missing."""
    try:
        from ncp_sampler.visualization import plot_trace
        from ncp_sampler.visualization.saving import save_figure
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        return False
    assert found.trace is not None  # propagation records it
    figure = plot_trace(
        found.trace, space, start=found.start, units={LIMIT: "G", **units}, title=title
    )
    save_figure(figure, picture, name="picture")
    return True
