"""``ncp-sampler search``: offline searches of the published tables or the user's own tables.

The answer consists of an architecture with its predictions, a held-out evaluation of the method,
and a picture of the search. ``sources`` and ``tables`` read the rows, ``search_targets`` checks the
targets, and ``ncp_sampler.offline`` runs the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.search_options import SearchOptions
from ncp_sampler.command_line.search_targets import FLOPS, search_targets
from ncp_sampler.command_line.solution_facts import (
    HeldOutScores,
    best_rows,
    limits_missed,
    metric_facts,
    solution_facts,
)
from ncp_sampler.command_line.sources import SearchSource, setting_records
from ncp_sampler.command_line.tables import table_records
from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.confidence import MIN_ROWS, choose_beta, with_beta
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.offline.solutions import propagate_answers, propagate_front
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.records.records import Records
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace


def run_search(
    options: SearchOptions, *, before: Callable[[Sequence[Mapping[str, str]]], object] | None = None
) -> dict[str, Any]:
    """Run the search and return its answer as JSON values.

    The reported score is held out: it belongs to the architecture found before the final refit on
    all rows. The evaluator that computes the score is fitted to the half of the rows that was not
    used to find this architecture.

    Args:
        options: Options of the command line.
        before: Function that is called with the role of each column before anything is fitted.
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
    evaluated_code, evaluations = _evaluate(sources, problem, strategy, starts, options.seed)
    if options.refit and any(source.everything is not None for source in sources):
        records = [source.everything or source.records for source in sources]
        problem = SearchProblem(records, targets, seed=options.seed)
        rows = ", ".join(str(len(part)) for part in records)
        notes.append(
            f"the answer is learned from all {rows} rows; the check of the method scores the "
            "architecture that was found with one half of the rows"
        )
    learned = time.perf_counter()
    solution, answers = _answers(problem, strategy, starts, options)
    if len(answers) < options.n and not options.front:
        notes.append(
            f"only {len(answers)} of the {options.n} requested architectures can be returned: the "
            "space has no more that are new and dissimilar"
        )
    warning = None if solution.holds else limits_missed(sources, problem.targets, solution)
    if warning is not None:
        notes.append(warning)
    picture = options.picture
    if picture is not None:
        title = " and ".join(source.name for source in sources)
        units = {name: "logarithm" for source in sources for name in source.logged}
        if not _draw(solution, problem.space, picture, title, units):
            notes.append("no picture: matplotlib is not installed (pip install matplotlib)")
            picture = None
    seconds = {"learning": learned - begin, "search": time.perf_counter() - learned}
    facts = solution_facts(sources, problem.targets, solution)
    if options.front:  # points on a front are not compared with a single row
        facts |= {"expected_improvement": None, "probability": None}
    return {
        **facts,
        "warning": warning,
        "metrics": metric_facts(sources, evaluations, problem.targets, solution),
        "evaluated_params": (
            None if evaluated_code is None else problem.space.to_params(evaluated_code)
        ),
        "evaluated_architecture": _evaluated_architecture(
            sources, options, evaluated_code, solution
        ),
        "is_new": not facts["measured_rows"],
        # the search compares with the rows that it learned from, which can be part of the table
        "is_best_row": not solution.is_new,
        "compared_rows": [
            {"source": source.name, "rows": len(rows), "of": len(source.table)}
            for source, rows in zip(sources, problem.records, strict=True)
        ],
        "answers": [solution_facts(sources, problem.targets, answer) for answer in answers],
        "answers_order": _order(options, solution),
        "next_trainings": [
            solution_facts(sources, problem.targets, answer) for answer in solution.next_trainings
        ],
        "best_rows": best_rows(problem, sources),
        "columns": columns,
        "strategy": options.strategy,
        "lambda": options.weight,
        "beta": beta,
        "seed": options.seed,
        "predictions_made": solution.calls,
        "seconds": seconds,
        "picture": picture,
        "notes": notes,
    }


def _evaluate(
    sources: Sequence[SearchSource],
    problem: SearchProblem,
    strategy: Strategy | str,
    starts: NDArray[Any] | None,
    seed: int,
) -> tuple[NDArray[Any] | None, list[HeldOutScores | None]]:
    """Search before the refit; return the code and its held-out evaluation by each source, or None.

    The code is None if no source has an evaluator.
    """
    if all(source.evaluator is None for source in sources):
        return None, [None] * len(sources)
    code = propagate_search(problem, strategy=strategy, starts=starts, seed=seed).code
    return code, [
        None if source.evaluator is None else source.evaluator(code[None]) for source in sources
    ]


def _beta(
    records: Sequence[Records], targets: Sequence[Target], options: SearchOptions
) -> tuple[float, str]:
    """Choose beta by cross-validation if there are enough rows; return beta and a note."""
    if min(len(part) for part in records) < MIN_ROWS:
        return BETA, f"beta {BETA:g}: too few rows to choose it by cross-validation"
    choice = choose_beta(records, targets, strategy=options.strategy, seed=options.seed)
    return choice.beta, choice.note


def _answers(
    problem: SearchProblem,
    strategy: Strategy | str,
    starts: NDArray[Any] | None,
    options: SearchOptions,
) -> tuple[Solution, list[Solution]]:
    """Return the recommended architecture, and the list of all requested architectures."""
    if options.front:
        front = propagate_front(problem, n=options.n, strategy=strategy, seed=options.seed)
        return max(front, key=lambda answer: (answer.holds, answer.utility)), front
    seed = options.seed
    solution = propagate_search(problem, strategy=strategy, starts=starts, seed=seed)
    if options.n == 1:
        return solution, [solution]
    return solution, propagate_answers(
        problem, n=options.n, strategy=strategy, starts=starts, seed=seed
    )


def _evaluated_architecture(
    sources: Sequence[SearchSource],
    options: SearchOptions,
    code: NDArray[Any] | None,
    solution: Solution,
) -> str | None:
    """Return a description of the architecture that the held-out evaluation scores, or None."""
    if code is None:
        return None
    if np.array_equal(code, solution.code):
        return "this architecture"
    if options.refit and any(source.everything is not None for source in sources):
        return "the architecture found with one half of the rows, scored by the other half"
    return "the architecture with the highest utility"


def _order(options: SearchOptions, solution: Solution) -> str:
    """Return a description of the order of the answers."""
    if options.front:
        return "along the front"
    by = "utility" if solution.best is None else "expected improvement"
    return f"those that satisfy the limits first, then by {by}"


def _sources(options: SearchOptions) -> list[SearchSource]:
    if not options.tables:
        return setting_records(
            options.settings, root=options.root, rows=options.rows, seed=options.seed
        )
    return table_records(options)


def _starts(
    texts: Sequence[str], sources: Sequence[SearchSource], space: SearchSpace
) -> NDArray[Any] | None:
    """Return the codes (n, d) given by ``--start``, or None."""
    return np.array([_start(text, sources, space) for text in texts]) if texts else None


def _start(text: str, sources: Sequence[SearchSource], space: SearchSpace) -> NDArray[Any]:
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
            f"--start {text!r} must be a name in the --id column, or NAME=VALUE,.. of all "
            f"parameters {list(space.names)}: {error}"
        ) from error


def _strategy(name: str, space: SearchSpace) -> Strategy | str:
    """Return the strategy; for MRSpace, winner-takes-all divides by the exact FLOPs of a step."""
    if name == "winner_takes_all" and isinstance(space, MRSpace):
        return WinnerTakesAll(costs.flops)
    return name


def _draw(
    solution: Solution, space: SearchSpace, picture: str, title: str, units: Mapping[str, str]
) -> bool:
    """Draw the trace of the search to a file; return False if Matplotlib is missing."""
    try:
        from ncp_sampler.visualization import plot_trace
        from ncp_sampler.visualization.saving import save_figure
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        return False
    assert solution.trace is not None  # propagation always records a trace
    figure = plot_trace(
        solution.trace, space, start=solution.start, units={FLOPS: "G", **units}, title=title
    )
    save_figure(figure, picture, name="picture")
    return True
