"""``ncp-sampler search``: offline searches from the published tables or one's own.

In come options; out go an architecture, what the judge and the search think of it, and a picture
of the search. ``sources`` reads what is learnt from, ``ncp_sampler.offline`` searches.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncp_sampler.command_line.search_options import SearchOptions
from ncp_sampler.command_line.sources import JudgedRecords, setting_records, table_records
from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.confidence import MIN_ROWS, choose_beta, with_beta
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.offline.solutions import propagate_answers, propagate_front
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.records.records import Records
from ncp_sampler.space.search_space import SearchSpace

_FLOPS, _LIMIT = "flops", "flops limit"  # names of the exact cost as a target


def run_search(options: SearchOptions) -> dict[str, Any]:
    """What was found, as JSON holds it.

    First a search of the rows that are not the judge's, whose answer is judged; then the same
    search of all rows, which gives the answer.
    """
    sources = _sources(options)
    begin = time.perf_counter()
    targets = _main_targets(sources, options.bounds, options.weight)
    targets += _cost_targets(sources, options.max_gflops, options.weight)
    if not any(target.weight and target.bound is None for target in targets):
        raise ValueError("nothing is left to improve; give --lambda above 0, or no --min-metric")
    notes = [source.note for source in sources]
    records = [source.records for source in sources]
    beta = options.beta
    if beta is None:
        beta, note = _beta(records, targets, options)
        notes.append(note)
    targets = with_beta(targets, beta)
    problem = SearchProblem(records, targets, seed=options.seed)
    strategy = _strategy(options.strategy, problem.space)
    judged = _judged(sources, problem, strategy, options.seed)
    if options.refit and any(source.everything is not None for source in sources):
        records = [source.everything or source.records for source in sources]
        problem = SearchProblem(records, targets, seed=options.seed)
        rows = ", ".join(str(len(one)) for one in records)
        notes.append(
            f"the answer is of the same search, learnt from all {rows} rows; what is judged is the "
            "answer of the part of them that the judge did not see"
        )
    learnt = time.perf_counter()
    found, answers = _answers(problem, strategy, options)
    if not found.holds:
        notes.append(
            "no code was found that keeps the bounds by its predictions less beta deviations"
        )
    picture = options.picture
    if picture is not None:
        title = " and ".join(source.name for source in sources)
        if not _draw(found, problem.space, picture, title):
            notes.append("no picture: matplotlib is not installed (pip install 'ncp_sampler[viz]')")
            picture = None
    seconds = {"learning": learnt - begin, "search": time.perf_counter() - learnt}
    return {
        **_facts(problem.space, found),
        "metrics": _metrics(sources, judged, problem.targets, found),
        "answers": [_facts(problem.space, one) for one in answers],
        "strategy": options.strategy,
        "lambda": options.weight,
        "beta": beta,
        "seed": options.seed,
        "predictions_made": found.calls,
        "seconds": seconds,
        "picture": picture,
        "notes": notes,
    }


def _judged(
    sources: Sequence[JudgedRecords], problem: SearchProblem, strategy: Strategy | str, seed: int
) -> list[Mapping[str, Any] | None]:
    """What each source's judge, if any, says of the answer of rows that are not its own."""
    if all(source.judge is None for source in sources):
        return [None] * len(sources)
    code = propagate_search(problem, strategy=strategy, seed=seed).code
    return [None if one.judge is None else one.judge(code[None]) for one in sources]


def _beta(
    records: Sequence[Records], targets: Sequence[Target], options: SearchOptions
) -> tuple[float, str]:
    """Choose beta by cross-validation where the rows suffice; return it and a note."""
    if min(len(one) for one in records) < MIN_ROWS:
        return BETA, f"beta {BETA:g}, as there are too few rows to choose it by"
    choice = choose_beta(records, targets, strategy=options.strategy, seed=options.seed)
    return choice.beta, choice.note


def _answers(
    problem: SearchProblem, strategy: Strategy | str, options: SearchOptions
) -> tuple[Solution, list[Solution]]:
    """The best, and all that were asked for."""
    if options.front:
        front = propagate_front(problem, n=options.n, strategy=strategy, seed=options.seed)
        return max(front, key=lambda one: (one.holds, one.utility)), front
    answers = propagate_answers(problem, n=options.n, strategy=strategy, seed=options.seed)
    return answers[0], answers


def _sources(options: SearchOptions) -> list[JudgedRecords]:
    if options.table is None:
        return setting_records(
            options.settings, root=options.root, rows=options.rows, seed=options.seed
        )
    table = table_records(
        options.table,
        metrics=options.metrics,
        minimized=options.minimized,
        rows=options.rows,
        seed=options.seed,
    )
    return [table]


def _main_targets(
    sources: Sequence[JudgedRecords], bounds: Sequence[float], weight: float
) -> list[Target]:
    """Of what is learnt: each main metric with its bound, if any; the others with a weight."""
    if bounds and len(bounds) != len(sources):
        raise ValueError(f"--min-metric is given {len(bounds)} times for {len(sources)} settings")
    return [
        Target(
            metric,
            "minimize" if metric in source.minimized else "maximize",
            weight=1.0 if metric == source.main else weight,
            bound=bounds[i] if bounds and metric == source.main else None,
            predictor=i,
        )
        for i, source in enumerate(sources)
        for metric in source.records.metrics
    ]


def _cost_targets(
    sources: Sequence[JudgedRecords], max_gflops: float | None, weight: float
) -> list[Target]:
    """Of the exact FLOPs: few of them where nothing else is weighed, and their limit."""
    exact = isinstance(sources[0].records.space, MRSpace)
    targets = []
    if exact and weight and all(len(source.records.metrics) == 1 for source in sources):
        targets.append(Target(_FLOPS, "minimize", weight=weight, cost=costs.flops))
    if max_gflops is not None:
        if not exact:
            raise ValueError("--max-gflops needs a table with the 27 columns of MRSpace")
        targets.append(Target(_LIMIT, "minimize", bound=max_gflops, cost=costs.flops))
    return targets


def _strategy(name: str, space: SearchSpace) -> Strategy | str:
    """Steps of MRSpace codes compete by their exact cost, whatever the targets are."""
    if name == "winner_takes_all" and isinstance(space, MRSpace):
        return WinnerTakesAll(costs.flops)
    return name


def _metrics(
    sources: Sequence[JudgedRecords],
    judged: Sequence[Mapping[str, Any] | None],
    targets: Sequence[Target],
    found: Solution,
) -> list[dict[str, Any]]:
    """Of each learnt metric: what the judge says of the trial, and what the search predicts."""
    rows = []
    for i, target in enumerate(targets):
        if target.cost is None:
            source, scores = sources[target.predictor], judged[target.predictor]
            error, name = source.errors[target.metric], label(targets, i)
            rows.append(
                {
                    "source": source.name,
                    "metric": target.metric,
                    "judged": None if scores is None else float(scores[target.metric][0]),
                    "judge_error": _number(error),
                    "predicted": found.predictions[name],
                    "predicted_std": found.uncertainty[name],
                    "noise": _number(found.noise[name]),
                }
            )
    return rows


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value


def _facts(space: SearchSpace, found: Solution) -> dict[str, Any]:
    """What one answer is; published form and exact costs of an MRSpace code."""
    facts: dict[str, Any] = {
        "params": space.to_params(found.code),
        "bounds_hold": found.holds,
        "utility": found.utility,
        "predicted": found.predictions,
        "predicted_std": found.uncertainty,
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


def _draw(found: Solution, space: SearchSpace, picture: str, title: str) -> bool:
    """Draws the search's trace into a file; False where Matplotlib is missing."""
    try:
        from ncp_sampler.visualization import trace_figure
        from ncp_sampler.visualization.saving import save_figure
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        return False
    assert found.trace is not None  # of a propagation there is one
    figure = trace_figure(found.trace, space, start=found.start, units={_LIMIT: "G"}, title=title)
    save_figure(figure, picture, name="picture")
    return True
