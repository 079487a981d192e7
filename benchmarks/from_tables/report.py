"""Report: results of each method, compared with those of the reference on the same draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.from_tables.evaluation import Evaluation
from benchmarks.from_tables.methods import LABELS, NEW
from ncp_sampler.formatting import markdown_table, with_error

REFERENCE = "ncp"  # method that the others are compared with

_TIE = 1e-9  # maximum difference of true values that counts as rounding
_HEADINGS = [
    "method", "runs", "rank of recommended", "no worse (%)", "new (%)", "new and better (%)",
    "rank of best new", "no worse (%)", "better (%)", "behind NCP (rank)", "new ones",
]  # fmt: skip

_Index: TypeAlias = dict[tuple[str, int, int], Evaluation]


def write_report(evaluations: Sequence[Evaluation], command: str) -> str:
    """Return the page on all evaluations, in Markdown.

    Args:
        evaluations: At least one, of any tasks, rows, draws and methods.
        command: Command line of the program, which made some of them.
    """
    texts = [_introduction(command)]
    for family in _ordered(evaluation.family for evaluation in evaluations):
        texts.append(f"## {family}\n\n")
        own = [evaluation for evaluation in evaluations if evaluation.family == family]
        for rows in sorted({evaluation.rows for evaluation in own}):
            at = [evaluation for evaluation in own if evaluation.rows == rows]
            tasks, draws = (
                {evaluation.task for evaluation in at},
                {evaluation.draw for evaluation in at},
            )
            known = [
                evaluation.known_rank
                for evaluation in {evaluation.case: evaluation for evaluation in at}.values()
            ]
            first = [value == 0 for value in known]
            texts.append(
                f"### {rows:,} rows\n\n{_count(len(tasks), 'table')}, {_count(len(draws), 'draw')} "
                f"of rows. The best row known has rank {with_error(known)}; in {sum(first)} of "
                f"{len(first)} draws it is the best of the table, which nothing can beat.\n\n"
            )
            texts.append(_summary(at) + "\n")
            texts.append("Rank of the best new architecture, table by table:\n\n")
            texts.append(_by_task(at, "best_rank", "known_rank") + "\n")
            texts.append("Its true value:\n\n")
            texts.append(_by_task(at, "best", "known") + "\n")
    return "".join(texts).rstrip("\n") + "\n"


def _introduction(command: str) -> str:
    return f"""# Offline search evaluated on tables

Made last by `{command}`; a method's rows stay until it is run again.

Each method is given random rows of a table, and answers with an architecture that it recommends,
which may be a row, and with {NEW} new ones to train next. Both are looked up in the table. "Rank"
is the share of the table's architectures that are truly better, in %; 0 is the best. "No worse",
"new" and "better" are shares of the runs, against the true value of the best row known. The best
new architecture is the best of the {NEW}. "Behind NCP" is its rank less that of {LABELS[REFERENCE]}
on the same rows: above 0, NCP is ahead. "New ones" is the mean number of distinct new
architectures among the {NEW}. All figures are means over the runs ± standard errors. Methods with
fewer runs have the first draws alone; "behind NCP" compares what both have.

An ensemble of trees that predicts the whole table shows what a regressor can find without a
search. NetAdapt, local search and evolution maximize the predicted mean of our predictor, and name
the {NEW} best new codes that they predicted; NetAdapt starts from the best row. GPSampler and
NCPOptimizer have observed the rows, and are asked for {NEW} trials that run at once; the
recommendation is the best row. A code that means no architecture of the table counts as its worst.

"""


def _summary(evaluations: Sequence[Evaluation]) -> str:
    """Return a row of figures for each method."""
    rows, reference = [], _index(evaluations, REFERENCE)
    for method in _methods(evaluations):
        own = list(_index(evaluations, method).values())
        recommended = np.array([evaluation.recommended - evaluation.known for evaluation in own])
        is_new = np.array([evaluation.recommended_new for evaluation in own])
        cells = [
            LABELS[method],
            str(len(own)),
            with_error([evaluation.recommended_rank for evaluation in own]),
            _percent(recommended >= -_TIE),
            _percent(is_new),
            _percent((recommended > _TIE) & (is_new == 1)),
        ]
        searched = [evaluation for evaluation in own if not np.isnan(evaluation.best)]
        if searched:
            best = np.array([evaluation.best - evaluation.known for evaluation in searched])
            pairs = [
                evaluation.best_rank - reference[evaluation.case].best_rank
                for evaluation in searched
                if method != REFERENCE and evaluation.case in reference
            ]
            pairs = [pair for pair in pairs if not np.isnan(pair)]
            cells += [
                with_error([evaluation.best_rank for evaluation in searched]),
                _percent(best >= -_TIE),
                _percent(best > _TIE),
                with_error(pairs, "+.2f") if pairs else "",
                f"{np.mean([evaluation.new for evaluation in own]):.1f}",
            ]
        rows.append([*cells, *[""] * (len(_HEADINGS) - len(cells))])
    return markdown_table(_HEADINGS, rows, numbers=True)


def _by_task(evaluations: Sequence[Evaluation], value: str, known: str) -> str:
    """Return a row for each table, and a column for each method that names new architectures.

    Args:
        evaluations: Evaluations with one number of rows.
        value: Attribute of an evaluation that describes the best new architecture.
        known: Corresponding attribute of the best known row.
    """
    named = [evaluation for evaluation in evaluations if not np.isnan(evaluation.best)]
    methods, rows = _methods(named), []
    for name in _ordered(evaluation.task for evaluation in evaluations):
        at = [evaluation for evaluation in evaluations if evaluation.task == name]
        best_rows = {evaluation.case: getattr(evaluation, known) for evaluation in at}
        cells = [name, with_error(list(best_rows.values()))]
        for method in methods:
            values = [getattr(evaluation, value) for evaluation in _index(at, method).values()]
            cells.append(with_error(values) if values else "")
        rows.append(cells)
    return markdown_table(
        ["table", "best row known", *[LABELS[method] for method in methods]], rows, numbers=True
    )


def _index(evaluations: Sequence[Evaluation], method: str) -> _Index:
    return {
        evaluation.case: evaluation for evaluation in evaluations if evaluation.method == method
    }


def _methods(evaluations: Sequence[Evaluation]) -> list[str]:
    present = {evaluation.method for evaluation in evaluations}
    return [method for method in LABELS if method in present]


def _ordered(names: Iterable[str]) -> list[str]:
    """Return distinct names in the order of their first appearance."""
    return list(dict.fromkeys(names))


def _percent(held: ArrayLike) -> str:
    return with_error(100.0 * np.asarray(held, dtype=np.float64), ".0f")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
