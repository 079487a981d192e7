"""Options of ``ncp-sampler search``, parsed and checked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncp_sampler.command_line.option_types import (
    Bound,
    CostTerm,
    at_least,
    bound,
    cost,
    integer_at_least,
    metrics,
    names,
    numbers,
)
from ncp_sampler.defaults import BETA, STRATEGIES
from ncp_sampler.deprecated import warn
from ncp_sampler.nas_bench.settings import SETTINGS

_PICTURE = "ncp-search.png"
_FORMATS = (".png", ".svg", ".pdf")
_FRONT = 8  # default number of points on a Pareto front
_LAMBDA = 0.5  # weight of the FLOPs in the paper's search for one task

_DESCRIPTION = """\
Propose an architecture from a table of trained architectures, without training. The search fits
predictors to the table and edits codes along the predictors' gradients. To check the method, a
first search uses one half of the rows, and a held-out evaluator, fitted to the other half, scores
its result. The answer comes from a final search with all rows, and is usually better than the
scored architecture. Without the published tables (--root, or NCP_BENCH_ROOT), a search of a
--setting uses the shipped surrogate instead.
"""
_EXAMPLES = """\
examples:
  ncp-sampler search --setting seg --lambda 0.5 --max-gflops 1
  ncp-sampler search --setting seg --lambda 0 --max-gflops 1     the best within 1 G
  ncp-sampler search --setting cls-a --min-metric 84             at least 84 %, fewest FLOPs
  ncp-sampler search --setting cls-a --setting seg               one architecture for both
  ncp-sampler search --setting video --front --n 6               six trade-offs with FLOPs
  ncp-sampler search --setting seg --max-gflops 1 --n 5          five dissimilar architectures
  ncp-sampler search --table runs.csv --metrics accuracy --bound 'ms<=20' --id run --ignore date
  ncp-sampler search --table runs.csv --metrics accuracy:max,ms:min --params width,depth
  ncp-sampler search --table a.csv --table b.csv --metrics accuracy   one architecture for both

A CSV file has a header row and one architecture per row. Columns that are not named by --metrics,
--id or --ignore are parameters. The role of each column is printed before anything is fitted. A
held-out evaluator needs at least 40 rows.

GFLOPs are counted as in the published tables: for the 50-class classification network at 128x128.
"""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of a search: its data, its targets, and the form of its answer.

    Attributes:
        settings: Settings of NAS-Bench-MR; empty with a table.
        tables: CSV files, one per task; empty with settings.
        metrics: Metric -> direction, for each table or once for all tables; the main metric is
            first.
        params: Columns that are parameters; None for all columns without another role.
        ignore: Columns to leave out.
        id: Column with the names of the rows, or None.
        categories: Parameters whose numbers are categories.
        costs: Costs that are functions of params.
        limits: Limits on columns and costs.
        weights: Weight of each setting or table; empty for a weight of 1 each.
        starts: Codes to edit, as text; empty to edit the best rows.
        root: Folder of the published tables, or None.
        weight: Weight of the FLOPs or of each further metric; the weight of a main metric is 1.
        max_gflops: Hard limit on the FLOPs of MRSpace codes, in G; None for no limit.
        bounds: Bound on the main metric of each source; empty if there are none.
        strategy: Propagation strategy, one of ``STRATEGIES``.
        beta: Confidence coefficient of the predictions; None to choose it by cross-validation.
        n: Number of answers, or of points on a Pareto front.
        front: True to return points on a Pareto front, False to return dissimilar answers.
        refit: True to search for the answer with all rows, including those of the evaluator.
        rows: Maximum number of rows to fit; None for all.
        seed: Seed for the halves and the fits.
        picture: File for a picture of the search, or None.
        json: True to print JSON.

    Raises:
        ValueError: Options contradict each other, or the picture cannot be written.
    """

    settings: tuple[str, ...]
    tables: tuple[str, ...]
    metrics: tuple[Mapping[str, str], ...]
    params: tuple[str, ...] | None
    ignore: tuple[str, ...]
    id: str | None
    categories: tuple[str, ...]
    costs: tuple[CostTerm, ...]
    limits: tuple[Bound, ...]
    weights: tuple[float, ...]
    starts: tuple[str, ...]
    root: str | None
    weight: float
    max_gflops: float | None
    bounds: tuple[float, ...]
    strategy: str
    beta: float | None
    n: int
    front: bool
    refit: bool
    rows: int | None
    seed: int
    picture: str | None
    json: bool

    def __post_init__(self) -> None:
        of_tables = (self.metrics, self.params, self.ignore, self.id, self.categories)
        if not self.tables and any(of_tables):
            raise ValueError(
                "--metrics and --minimize go with --table, as do --params, --ignore, --id and "
                "--categories; a setting has its own metric"
            )
        if self.tables and not self.metrics:
            raise ValueError("--metrics is missing; name the columns of --table that are metrics")
        n, what = len(self.settings or self.tables), "settings" if self.settings else "tables"
        for option, given in (("--min-metric", self.bounds), ("--objective-weights", self.weights)):
            if given and len(given) != n:
                raise ValueError(f"{option} is given {len(given)} times for {n} {what}")
        if self.front and self.starts:
            raise ValueError(
                "--start goes without --front, where each search starts from the previous point"
            )
        if self.picture is None:
            return
        path = Path(self.picture)
        if path.suffix.lower() not in _FORMATS:
            raise ValueError(f"--picture {self.picture!r} must end in one of {', '.join(_FORMATS)}")
        if not path.parent.is_dir():
            raise ValueError(
                f"--picture {self.picture!r} is in a folder that does not exist; create it first"
            )
        if path.is_dir():
            raise ValueError(f"--picture {self.picture!r} must be a file; this is a folder")

    @property
    def task_weights(self) -> Sequence[float]:
        """Weight of each setting or table."""
        return self.weights or [1.0] * len(self.settings or self.tables)


def search_options(given: Mapping[str, Any]) -> SearchOptions:
    """Return the options, given the values that a parser of ``add_search`` returned.

    Raises:
        ValueError: As for ``SearchOptions``.
    """
    n = given["n"] if given["n"] is not None else _FRONT if given["front"] else 1
    if given["front"] and n < 2:
        raise ValueError("--n must be at least 2 with --front")
    tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    tuples["metrics"] = _directed(tuples["metrics"], given["minimized"], len(given["tables"]))
    kept = {name: value for name, value in given.items() if name != "minimized"}
    return SearchOptions(**{**kept, "n": n, **tuples})


def _directed(
    given: Sequence[Sequence[tuple[str, str]]], minimized: Sequence[str], tables: int
) -> tuple[Mapping[str, str], ...]:
    """Return the metrics of each table, with those in ``--minimize`` to be minimized."""
    if tables == 1:
        given = [[term for terms in given for term in terms]]
    known = [name for terms in given for name, _ in terms]
    unknown = [name for name in minimized if name not in known]
    if unknown:
        raise ValueError(f"--minimize {','.join(unknown)} must be among metrics={known}")
    for terms in given:
        own = [name for name, _ in terms]
        if len({*own}) < len(own):
            raise ValueError(f"metrics={own} must be distinct names")
    down = dict.fromkeys(minimized, "minimize")
    return tuple({name: down.get(name, way) for name, way in terms} for terms in given if terms)


def add_search(commands: Any) -> argparse.ArgumentParser:
    """Add the command ``search`` to the subcommands of a parser, and return its parser."""
    search: argparse.ArgumentParser = commands.add_parser(
        "search",
        help="propose an architecture from a table, without training",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_source(search)
    _add_goals(search)
    _add_search(search)
    _add_answer(search)
    return search


def _beta(text: str) -> float | None:
    try:
        return None if text == "auto" else at_least(0)(text)
    except ValueError as error:  # otherwise argparse would show the name of this function
        raise argparse.ArgumentTypeError(
            f"{text!r} must be auto, or a number of at least 0"
        ) from error


class _Caution(argparse.Action):
    """Action of ``--caution``, the name of ``--beta`` in version 0.2."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        warn("--caution", "--beta")
        namespace.beta = values


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that define the data."""
    source = parser.add_mutually_exclusive_group(required=True)
    known = ", ".join(setting.alias for setting in SETTINGS)
    source.add_argument(
        "--setting",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME",
        help=f"setting of NAS-Bench-MR: {known}; repeat to search one architecture for several",
    )
    text = "CSV file of your own architectures; repeat to search one architecture for several tasks"
    source.add_argument(
        "--table", dest="tables", action="append", default=[], metavar="FILE", help=text
    )
    text = (
        "metrics of --table, the main metric first (default direction: max); repeat for separate "
        "metrics of each --table"
    )
    parser.add_argument(
        "--metrics", action="append", type=metrics, default=[], metavar="A:max,B:min", help=text
    )
    text = "metrics to minimize, instead of B:min in --metrics"
    parser.add_argument(
        "--minimize", dest="minimized", type=names, default=(), metavar="B", help=text
    )
    text = "columns that are parameters (default: all columns that no other option names)"
    parser.add_argument("--params", type=names, metavar="A,B", help=text)
    text = "columns to leave out, such as dates"
    parser.add_argument("--ignore", type=names, default=(), metavar="A,B", help=text)
    parser.add_argument("--id", metavar="A", help="column with the names of the rows")
    text = "parameters whose numbers are categories, without an order"
    parser.add_argument("--categories", type=names, default=(), metavar="A,B", help=text)
    text = (
        "cost that a Python function computes from the params, instead of a column; minimized if "
        "--metrics has NAME:min, limited if --bound has NAME"
    )
    parser.add_argument(
        "--cost", dest="costs", action="append", type=cost, default=[],
        metavar="[NAME=]MODULE:FUNCTION", help=text,
    )  # fmt: skip
    parser.add_argument("--root", metavar="DIR", help="folder of the published tables")


def _add_goals(parser: argparse.ArgumentParser) -> None:
    """Add the options that define the targets."""
    parser.add_argument(
        "--lambda",
        dest="weight",
        type=at_least(0),
        default=_LAMBDA,
        metavar="L",
        help="weight of the FLOPs, or of each of --metrics except the main metric, whose weight is "
        f"1 (default {_LAMBDA})",
    )
    text = "weight of each --setting or --table, in the given order (default 1 each)"
    parser.add_argument(
        "--objective-weights", "--weights", dest="weights", type=numbers, default=(),
        metavar="W,W", help=text,
    )  # fmt: skip
    text = (
        "limit on a metric, another measured column (not listed in --metrics), a parameter or a "
        "--cost, such as 'gflops<=0.5'"
    )
    parser.add_argument(
        "--bound", dest="limits", action="append", type=bound, default=[],
        metavar="'NAME<=X'", help=text,
    )  # fmt: skip
    text = "hard limit on the FLOPs of MRSpace codes, in G"
    parser.add_argument("--max-gflops", type=at_least(0), metavar="G", help=text)
    parser.add_argument(
        "--min-metric",
        dest="bounds",
        action="append",
        type=float,
        default=[],
        metavar="M",
        help="lower bound on the main metric (upper bound if it is minimized); the metric is then "
        "not optimized beyond the bound; with several settings, give it once for each, in order",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    """Add the options that control the search."""
    text = (
        "architecture to edit instead of the best rows: NAME=VALUE,.. for all parameters, a name "
        "in the --id column, or a code string of MRSpace; can be repeated"
    )
    parser.add_argument(
        "--start", dest="starts", action="append", default=[], metavar="CODE", help=text
    )
    text = "gradient descent on the whole code (default), or a change of one number per step"
    parser.add_argument("--strategy", choices=STRATEGIES, default=STRATEGIES[0], help=text)
    text = (
        "confidence coefficient: number of standard deviations subtracted from a prediction (added "
        "if the metric is minimized); 0 is the paper's search, auto selects beta by "
        f"cross-validation (default {BETA:g})"
    )
    parser.add_argument("--beta", type=_beta, default=BETA, metavar="B", help=text)
    parser.add_argument(
        "--caution", type=_beta, action=_Caution, default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    text = "maximum number of rows to fit (default: all rows; 2000 codes without tables)"
    parser.add_argument("--rows", type=integer_at_least(2), metavar="N", help=text)
    text = "seed of the split into halves and of the fits (default 0)"
    parser.add_argument("--seed", type=integer_at_least(0), default=0, metavar="S", help=text)


def _add_answer(parser: argparse.ArgumentParser) -> None:
    """Add the options that define the answer."""
    text = (
        "number of answers, any two of which differ in at least 5 parameters, or in a third of the "
        "parameters if that is fewer; with --front, number of points on the front"
    )
    parser.add_argument("--n", type=integer_at_least(1), metavar="N", help=text)
    text = f"return the Pareto front of metric and FLOPs (N = {_FRONT} by default)"
    parser.add_argument("--front", action="store_true", help=text)
    text = "return the architecture found with one half of the rows, which the evaluator scores"
    parser.add_argument("--no-refit", dest="refit", action="store_false", help=text)
    text = f"file for a picture of the search, {', '.join(_FORMATS)} (default {_PICTURE})"
    parser.add_argument("--picture", default=_PICTURE, metavar="FILE", help=text)
    parser.add_argument(
        "--no-picture", dest="picture", action="store_const", const=None, help="write no picture"
    )
