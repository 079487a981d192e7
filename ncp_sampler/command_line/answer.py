"""Tables that print the answer of a search on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncp_sampler.multi_resolution.blueprint import N_STAGES
from ncp_sampler.offline.results import probability_text

_VERDICTS = {
    "yes": "satisfied",
    "only by its mean": "satisfied only by the mean",
    "no": "not satisfied",
}
_SIGNS = {"upper bound": "plus", "lower bound": "minus"}


def print_columns(columns: Sequence[Mapping[str, str]]) -> None:
    """Print the role of each column of the CSV files."""
    for file in dict.fromkeys(column["file"] for column in columns):
        table = Table("column", "taken as", "values", title=file)
        for column in columns:
            if column["file"] == file:
                table.add_row(
                    column["column"], column["kind"], column["values"].replace("; ", "\n")
                )
        _console().print(table)


def print_found(result: Mapping[str, Any]) -> None:
    """Print the answer of ``ncp-sampler search --json`` as tables."""
    console = _console()
    for note in result["notes"]:
        if note != result["warning"]:
            console.print(note, style="yellow")
    params = result["params"]
    if "code" in result:
        console.print("\ncode ", Text(result["code"], "bold"))
        branches = [f"1/{2 ** (r + 1)}" for r in range(1, N_STAGES + 1)]
        table = Table("part", "blocks", *branches, title="residual units × channels of each branch")
        table.add_row("input", "", f"{params['i1']}, {params['i2']}")
        for s in range(1, N_STAGES + 1):
            cells = [f"{params[f'n{s}_{r}']} × {params[f'c{s}_{r}']}" for r in range(1, s + 1)]
            table.add_row(f"stage {s}", str(params[f"b{s}"]), *cells)
        table.add_row("output", "", str(params["o1"]))
    else:
        table = Table("parameter", "value")
        for name, value in params.items():
            table.add_row(str(name), f"{value:g}" if isinstance(value, float) else str(value))
    console.print(table)
    table = Table("source", "metric", "predicted ± std", "noise")
    for row in result["metrics"]:
        prediction = f"{row['predicted']:.4g} ± {row['predicted_std']:.2g}"
        table.add_row(row["source"], row["metric"], prediction, _known(row["noise"], ".2g"))
    console.print(table)
    for limit in result["limits"]:
        console.print(_limit(limit), style=None if limit["satisfied"] == "yes" else "yellow")
    if result["warning"] is not None:
        console.print(result["warning"], style="yellow")
    if "costs" in result:
        size = result["costs"]
        console.print(
            f"{size['gflops']:.4g} GFLOPs (the tables' convention), "
            f"{size['g_multiply_adds']:.4g} G multiply-adds, {size['m_params']:.4g} M params"
        )
    limited = {limit["metric"] for limit in result["limits"] if limit["exact"]}
    exact = [
        name for name, std in result["predicted_std"].items() if std == 0 and name not in limited
    ]
    if exact and "costs" not in result:
        values = ", ".join(f"{name} {result['predicted'][name]:.4g}" for name in exact)
        console.print(f"exact: {values}")
    for row in result["measured_rows"]:
        console.print(f"this architecture is measured: {_row(row)}")
    for row in result["unmeasured_rows"]:
        console.print(f"this architecture is in the table, but not measured: {_row(row)}")
    for row in result["best_rows"]:
        if row is not None:
            console.print(f"best measured within the limits{_among(result)}: {_row(row)}")
    if result["probability"] is not None:
        console.print(_comparison(result))
    if len(result["answers"]) > 1:
        _print_answers(console, result["answers"], f"answers, {result['answers_order']}")
    elif result["next_trainings"]:
        _print_answers(
            console,
            result["next_trainings"],
            f"most promising architectures to train, {result['answers_order']}",
        )
    if result["evaluated_params"] is not None:
        console.print(_held_out_scores(result))
    seconds = result["seconds"]
    console.print(
        f"learned in {seconds['learning']:.1f} s, searched in {seconds['search']:.1f} s "
        f"({result['predictions_made']} predictions)"
    )
    if result["picture"]:
        console.print(f"picture of the search: {result['picture']}")


def _console() -> Console:
    # brackets in the user's names are not markup
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def _row(row: Mapping[str, Any]) -> str:
    """Return a measured row as one line."""
    values = [
        f"{k} {'missing' if v is None else format(v, '.4g')}" for k, v in row["metrics"].items()
    ]
    names = [] if row["ids"] is None else [*dict.fromkeys(name for name in row["ids"] if name)]
    named = f" ({', '.join(names)})" if names else ""
    if len(row["rows"]) == 1:
        return f"row {row['row']}{named} of {row['source']}: {', '.join(values)}"
    numbers = ", ".join(map(str, row["rows"]))
    return f"rows {numbers}{named} of {row['source']}, on average: {', '.join(values)}"


def _comparison(result: Mapping[str, Any]) -> str:
    """Return a sentence that compares the answer with the best measured row."""
    best = f"the best measured row{_among(result)}"
    if result["is_best_row"]:
        return f"the answer is {best}, because no new architecture is clearly better"
    return (
        f"better than {best} with an estimated probability of "
        f"{probability_text(result['probability'])}; expected improvement "
        f"{result['expected_improvement']:.3g}"
    )


def _among(result: Mapping[str, Any]) -> str:
    """Return which rows the answer is compared with; empty for all rows of the tables."""
    compared = result["compared_rows"]
    if all(part["rows"] == part["of"] for part in compared):
        return ""
    parts = [f"{part['rows']} of {part['of']} rows" for part in compared]
    return f" among the {' and '.join(parts)} that were learned from"


def _limit(limit: Mapping[str, Any]) -> str:
    """Return a sentence with a limit and the value of the answer that is compared with it."""
    text = f"limit {limit['limit']}: {_VERDICTS[limit['satisfied']]}"
    if not limit["beta"]:  # without a margin, a prediction is still no measurement
        value = "value" if limit["exact"] else "predicted value"
        return f"{text}; the {value} is {limit['compared']:.4g}"
    of = " of the logarithm" if limit["logarithm"] else ""
    return (
        f"{text}; the {_end_of(limit)} of the prediction is {limit['compared']:.4g} "
        f"({limit['mean']:.4g} {_SIGNS[_end_of(limit)]} {limit['beta']:g} standard deviations{of})"
    )


def _held_out_scores(result: Mapping[str, Any]) -> Table:
    """Return the table of the held-out evaluation, which scores the method and not the answer."""
    title = f"Check of the method: {result['evaluated_architecture']}"
    table = Table("source", "metric", "held-out score", "evaluator's error", title=title)
    for row in result["metrics"]:
        if row["held_out_score"] is not None:
            error = _known(row["evaluator_error"], ".4g")
            table.add_row(row["source"], row["metric"], f"{row['held_out_score']:.4g}", error)
    return table


def _known(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)


def _print_answers(console: Console, answers: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print several answers: a table of their predictions and limits, then their codes."""
    names = list(answers[0]["predicted"])
    compared = all(answer["expected_improvement"] is not None for answer in answers)
    margins = [i for i, limit in enumerate(answers[0]["limits"]) if limit["beta"]]
    columns = [
        f"{answers[0]['limits'][i]['metric']}, {_end_of(answers[0]['limits'][i])}" for i in margins
    ]
    columns += ["satisfies the limits"] if answers[0]["limits"] else []
    columns.append("expected improvement" if compared else "utility")
    table = Table("", *names, *columns, title=title)
    for i, answer in enumerate(answers, start=1):
        cells = []
        for name in names:
            std = answer["predicted_std"][name]
            cells.append(f"{answer['predicted'][name]:.4g}" + (f" ± {std:.2g}" if std else ""))
        cells += [f"{answer['limits'][k]['compared']:.4g}" for k in margins]
        cells += [answer["satisfies_limits"]] if answer["limits"] else []
        cells.append(f"{answer['expected_improvement' if compared else 'utility']:.3g}")
        table.add_row(str(i), *cells)
    console.print(table)
    for limit in (answers[0]["limits"][i] for i in margins):
        of, sign = " of the logarithm" if limit["logarithm"] else "", _SIGNS[_end_of(limit)]
        console.print(
            f"{limit['metric']}, {_end_of(limit)}: prediction {sign} {limit['beta']:g} standard "
            f"deviations{of}, to be compared with {limit['limit']}"
        )
    for i, answer in enumerate(answers, start=1):
        code = answer.get("code") or ",".join(f"{k}={v}" for k, v in answer["params"].items())
        rows = "".join(f" ({_row(row)})" for row in answer["unmeasured_rows"])
        console.print(f"{i}: {code}{rows}")


def _end_of(limit: Mapping[str, Any]) -> str:
    """Return the name of the prediction bound that is compared with a limit."""
    return "upper bound" if "<=" in limit["limit"] else "lower bound"
