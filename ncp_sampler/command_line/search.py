"""The command ``ncp-sampler``: offline searches from the published tables or one's own.

In come options; out go an architecture, what the judge and the search think of it, and a picture
of the search. ``sources`` reads what is learnt from, ``ncp_sampler.offline`` searches.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.search_options import SearchOptions, parse_search
from ncp_sampler.command_line.sources import JudgedRecords, setting_records, table_records
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.problem import Found, SearchProblem
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.space.search_space import SearchSpace

_FLOPS, _LIMIT = "flops", "flops limit"  # names of the exact cost as a target


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for a wrong argument.

    Args:
        arguments: In place of the command line's.
    """
    try:
        options = parse_search(arguments)
        result = _search(options)
        if options.json:
            print(json.dumps(result, indent=2, allow_nan=False))
        else:
            from ncp_sampler.command_line.answer import print_found

            print_found(result)
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed: pip install 'ncp_sampler[bench]'")
    except (ImportError, OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"ncp-sampler: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _search(options: SearchOptions) -> dict[str, Any]:
    """What was found, as JSON holds it."""
    sources = _sources(options)
    begin = time.perf_counter()
    targets = _main_targets(sources, options.bounds, options.weight, options.caution)
    targets += _cost_targets(sources, options.max_gflops, options.weight)
    if not any(target.weight and target.bound is None for target in targets):
        raise ValueError("nothing is left to improve; give --lambda above 0, or no --min-metric")
    problem = SearchProblem([source.records for source in sources], targets, seed=options.seed)
    learnt = time.perf_counter()
    strategy = _strategy(options.strategy, problem.space)
    found = propagate_search(problem, strategy=strategy, seed=options.seed)
    notes = [source.note for source in sources]
    if not found.holds:
        notes.append("no code was found that keeps the bounds by its predictions less the caution")
    picture = options.picture
    if picture is not None:
        title = " and ".join(source.name for source in sources)
        if not _draw(found, problem.space, picture, title):
            notes.append("no picture: matplotlib is not installed (pip install 'ncp_sampler[viz]')")
            picture = None
    return {
        "params": problem.space.to_params(found.code),
        "metrics": _metrics(sources, targets, found),
        "bounds_hold": found.holds,
        "strategy": options.strategy,
        "lambda": options.weight,
        "caution": options.caution,
        "seed": options.seed,
        "predictions_made": found.calls,
        "seconds": {"learning": learnt - begin, "search": found.seconds},
        "picture": picture,
        "notes": notes,
        **_mr_facts(problem.space, found.code),
    }


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
    sources: Sequence[JudgedRecords], bounds: Sequence[float], weight: float, caution: float
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
            caution=caution,
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
    sources: Sequence[JudgedRecords], targets: Sequence[Target], found: Found
) -> list[dict[str, Any]]:
    """Of each learnt metric: what the judge says and what the search predicted."""
    judged = [None if one.judge is None else one.judge(found.code[None]) for one in sources]
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
                    "judge_error": None if np.isnan(error) else error,
                    "predicted": found.predictions[name],
                    "predicted_std": found.uncertainty[name],
                }
            )
    return rows


def _mr_facts(space: SearchSpace, code: NDArray[Any]) -> dict[str, Any]:
    """Published form and exact costs of an MRSpace code; nothing of another."""
    if not isinstance(space, MRSpace):
        return {}
    return {
        "code": space.to_string(code),
        "costs": {
            "gflops": costs.flops(code).item(),
            "g_multiply_adds": costs.flops(code, convention="multiply_adds").item(),
            "m_params": costs.params(code).item(),
        },
    }


def _draw(found: Found, space: SearchSpace, picture: str, title: str) -> bool:
    """Draws the search's trace into a file; False where Matplotlib is missing."""
    try:
        from ncp_sampler.visualization import trace_figure
        from ncp_sampler.visualization.saving import save_figure
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        return False
    assert found.trace is not None  # propagation always has one
    figure = trace_figure(found.trace, space, start=found.start, units={_LIMIT: "G"}, title=title)
    save_figure(figure, picture, name="picture")
    return True
