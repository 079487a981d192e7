"""The command ``ncp-sampler``: offline searches from the published tables or one's own."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.sources import Task, setting_tasks, table_task
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import SETTINGS
from ncp_sampler.offline.problem import Found, SearchProblem
from ncp_sampler.offline.search import CAUTION, propagate_search
from ncp_sampler.propagation.strategies import STRATEGIES
from ncp_sampler.propagation.targets import Target, label
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.space.search_space import SearchSpace

_PICTURE = "ncp-search.png"
_FORMATS = (".png", ".svg", ".pdf")
_LAMBDA = 0.5  # the paper's, for its search of one task
_FLOPS, _LIMIT = "flops", "flops limit"  # names of the exact cost as a target

_DESCRIPTION = """\
Proposes an architecture from a table of trained ones, with nothing trained: predictors learn the
table, codes are edited along their gradients, and a judge that the search never saw scores the
answer. Of a published table one half of the rows is learnt from and the other half fits the judge.
Without the tables (--root, or NCP_BENCH_ROOT) the shipped surrogates stand for them.
"""
_EXAMPLES = """\
examples:
  ncp-sampler search --setting seg --lambda 0.5 --max-gflops 1
  ncp-sampler search --setting seg --lambda 0 --max-gflops 1     the best within 1 G
  ncp-sampler search --setting cls-a --min-metric 84             at least 84 %, fewest FLOPs
  ncp-sampler search --setting cls-a --setting seg               one architecture for both
  ncp-sampler search --table runs.csv --metrics accuracy,ms --minimize ms

A CSV file has a head of names, then one architecture a row; columns that are not among --metrics
are its code. 40 rows or more are split in halves, to learn from and to judge by.

GFLOPs are counted as in the published tables: the 50-class classification network at 128x128.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line in place of the whole usage."""
        self.exit(2, f"{self.prog}: error: {message}; --help lists the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for a wrong argument.

    Args:
        arguments: In place of the command line's.
    """
    options = _parser().parse_args(arguments)
    try:
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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ncp-sampler", description=__doc__)
    search = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "search",
        help="propose an architecture from a table, with nothing trained",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = search.add_mutually_exclusive_group(required=True)
    names = ", ".join(setting.alias for setting in SETTINGS)
    source.add_argument(
        "--setting",
        action="append",
        metavar="NAME",
        help=f"setting of NAS-Bench-MR: {names}; given several times, one architecture for all",
    )
    source.add_argument("--table", metavar="FILE", help="CSV file of your own architectures")
    search.add_argument(
        "--metrics", type=_names, metavar="A,B", help="columns of --table to learn, main one first"
    )
    search.add_argument(
        "--minimize", type=_names, default=[], metavar="B", help="--metrics that shall fall"
    )
    search.add_argument("--root", metavar="DIR", help="folder of the published tables")
    search.add_argument(
        "--lambda",
        dest="weight",
        type=_at_least(0),
        default=_LAMBDA,
        metavar="L",
        help="weight of few FLOPs, or of the other --metrics, against 1 of each main metric "
        f"(default {_LAMBDA})",
    )
    search.add_argument(
        "--max-gflops", type=_at_least(0), metavar="G", help="at most so many (MRSpace codes)"
    )
    search.add_argument(
        "--min-metric",
        action="append",
        type=float,
        metavar="M",
        help="main metric at least this (at most, of a minimized one), and no pull beyond; for "
        "several settings give it once for each, in their order",
    )
    search.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default=STRATEGIES[0],
        help="gradient descent on the whole code (default), or one number a step",
    )
    search.add_argument(
        "--caution",
        type=_at_least(0),
        default=CAUTION,
        metavar="C",
        help="standard deviations of doubt by which a prediction counts as worse; 0 is the "
        f"paper's search (default {CAUTION:g})",
    )
    search.add_argument(
        "--rows",
        type=_whole(2),
        metavar="N",
        help="learn from so many rows at most (default all; 2000 codes without tables)",
    )
    search.add_argument(
        "--seed", type=_whole(0), default=0, metavar="S", help="of halves and learning (default 0)"
    )
    search.add_argument(
        "--picture",
        default=_PICTURE,
        metavar="FILE",
        help=f"where the search's trace is drawn, {', '.join(_FORMATS)} (default {_PICTURE})",
    )
    search.add_argument(
        "--no-picture", dest="picture", action="store_const", const=None, help="draw none"
    )
    search.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return parser


def _search(options: argparse.Namespace) -> dict[str, Any]:
    """What was found, as JSON holds it."""
    if options.table is None and (options.metrics or options.minimize):
        raise ValueError("--metrics and --minimize go with --table; a setting has its own metric")
    if options.table is not None and not options.metrics:
        raise ValueError("--metrics is missing; name the columns of --table that are metrics")
    _check_picture(options.picture)
    seeded = {"rows": options.rows, "seed": options.seed}
    if options.table is None:
        tasks = setting_tasks(options.setting, root=options.root, **seeded)
    else:
        tasks = [
            table_task(options.table, metrics=options.metrics, minimized=options.minimize, **seeded)
        ]
    begin = time.perf_counter()
    targets = _targets(tasks, options)
    problem = SearchProblem([task.records for task in tasks], targets, seed=options.seed)
    learnt = time.perf_counter()
    strategy = options.strategy
    if strategy == "winner_takes_all" and isinstance(problem.space, MRSpace):
        strategy = WinnerTakesAll(costs.flops)
    found = propagate_search(problem, strategy=strategy, seed=options.seed)
    notes = [task.note for task in tasks]
    if not found.holds:
        notes.append("no code was found that keeps the bounds by its predictions less the caution")
    title = " and ".join(task.name for task in tasks)
    picture = _draw(found, problem.space, options.picture, notes, title)
    result: dict[str, Any] = {
        "params": problem.space.to_params(found.code),
        "metrics": _metrics(tasks, targets, found),
        "bounds_hold": found.holds,
        "strategy": options.strategy,
        "lambda": options.weight,
        "caution": options.caution,
        "seed": options.seed,
        "predictions_made": found.calls,
        "seconds": {"learning": learnt - begin, "search": found.seconds},
        "picture": picture,
        "notes": notes,
    }
    if isinstance(problem.space, MRSpace):
        result["code"] = problem.space.to_string(found.code)
        result["costs"] = _costs(found.code)
    return result


def _targets(tasks: Sequence[Task], options: argparse.Namespace) -> list[Target]:
    bounds: list[float | None] = options.min_metric or [None] * len(tasks)
    if len(bounds) != len(tasks):
        raise ValueError(f"--min-metric is given {len(bounds)} times for {len(tasks)} settings")
    targets = []
    for i, (task, bound) in enumerate(zip(tasks, bounds, strict=True)):
        for metric in task.records.metrics:
            first = metric == task.main
            targets.append(
                Target(
                    metric,
                    "minimize" if metric in task.minimized else "maximize",
                    weight=1.0 if first else options.weight,
                    bound=bound if first else None,
                    predictor=i,
                    caution=options.caution,
                )
            )
    exact = isinstance(tasks[0].records.space, MRSpace)
    if exact and len(targets) == len(tasks) and options.weight:
        targets.append(Target(_FLOPS, "minimize", weight=options.weight, cost=costs.flops))
    if options.max_gflops is not None:
        if not exact:
            raise ValueError("--max-gflops needs a table with the 27 columns of MRSpace")
        limit = options.max_gflops
        targets.append(Target(_LIMIT, "minimize", bound=limit, cost=costs.flops))
    if not any(target.weight and target.bound is None for target in targets):
        raise ValueError("nothing is left to improve; give --lambda above 0, or no --min-metric")
    return targets


def _metrics(
    tasks: Sequence[Task], targets: Sequence[Target], found: Found
) -> list[dict[str, Any]]:
    """Of each learnt metric: what the judge says and what the search predicted."""
    judged = [None if task.judge is None else task.judge(found.code[None]) for task in tasks]
    rows = []
    for i, target in enumerate(targets):
        if target.cost is None:
            task, scores = tasks[target.predictor], judged[target.predictor]
            error, name = task.errors[target.metric], label(targets, i)
            rows.append(
                {
                    "source": task.name,
                    "metric": target.metric,
                    "judged": None if scores is None else float(scores[target.metric][0]),
                    "judge_error": None if np.isnan(error) else error,
                    "predicted": found.predictions[name],
                    "predicted_std": found.uncertainty[name],
                }
            )
    return rows


def _costs(code: NDArray[Any]) -> dict[str, float]:
    return {
        "gflops": costs.flops(code).item(),
        "g_multiply_adds": costs.flops(code, convention="multiply_adds").item(),
        "m_params": costs.params(code).item(),
    }


def _check_picture(picture: str | None) -> None:
    if picture is None:
        return
    path = Path(picture)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"--picture {picture!r} must end in one of {', '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise ValueError(f"--picture {picture!r} is in no folder that exists; make it first")


def _draw(
    found: Found, space: SearchSpace, picture: str | None, notes: list[str], title: str
) -> str | None:
    if picture is None or found.trace is None:
        return None
    try:
        from ncp_sampler.visualization import trace_figure

        figure = trace_figure(
            found.trace, space, start=found.start, units={_LIMIT: "G"}, title=title
        )
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        notes.append("no picture: matplotlib is not installed (pip install 'ncp_sampler[viz]')")
        return None
    figure.savefig(picture)
    return picture


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _at_least(low: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not (np.isfinite(value) and value >= low):
            raise argparse.ArgumentTypeError(f"{text} must be at least {low:g}")
        return value

    return number


def _whole(low: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} must be at least {low}")
        return value

    return number
