"""Tables that print the answer of a search on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncp_sampler.multi_resolution.blueprint import N_STAGES


def print_columns(columns: Sequence[Mapping[str, str]]) -> None:
    """Print the role of each column of the tables, before anything is fitted."""
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
    table = Table("source", "metric", "scored", "evaluator's error", "predicted ± std", "noise")
    for row in result["metrics"]:
        cells = ["none" if row[k] is None else f"{row[k]:.4g}" for k in ("judged", "judge_error")]
        if row["judged"] is not None and row["judge_error"] is None:
            cells[1] = "unknown"
        prediction = f"{row['predicted']:.4g} ± {row['predicted_std']:.2g}"
        noise = "unknown" if row["noise"] is None else f"{row['noise']:.2g}"
        table.add_row(row["source"], row["metric"], *cells, prediction, noise)
    console.print(table)
    if "costs" in result:
        size = result["costs"]
        console.print(
            f"{size['gflops']:.4g} GFLOPs (the tables' convention), "
            f"{size['g_multiply_adds']:.4g} G multiply-adds, {size['m_params']:.4g} M params"
        )
    exact = [name for name, std in result["predicted_std"].items() if std == 0]
    if exact and "costs" not in result:
        values = ", ".join(f"{name} {result['predicted'][name]:.4g}" for name in exact)
        console.print(f"exact: {values}")
    for row in result["measured_rows"]:
        console.print(f"this architecture is measured: {_row(row)}")
    for row in result["best_rows"]:
        if row is not None:
            console.print(f"best measured within the limits: {_row(row)}")
    if result["probability"] is not None:
        console.print(_comparison(result))
    if len(result["answers"]) > 1:
        console.print(_answers(result["answers"], "answers"))
    elif result["next_trainings"]:
        console.print(_answers(result["next_trainings"], "most promising trainings"))
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
    name = "" if row["id"] is None else f" ({row['id']})"
    return f"row {row['row']}{name} of {row['source']}: {', '.join(values)}"


def _comparison(result: Mapping[str, Any]) -> str:
    """Return a comparison of the answer with the best measured row, in words."""
    if not result["is_new"]:
        return "the answer is the best measured row, because no new architecture promises more"
    return (
        f"better than the best measured row with a probability of {result['probability']:.0%} by "
        f"the predictor; expected improvement {result['expected_improvement']:.3g}"
    )


def _answers(answers: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Return a table of several answers, one row each, with their expected improvements."""
    names = list(answers[0]["predicted"])
    last = "code" if "code" in answers[0] else "params"
    compared = all(one["expected_improvement"] is not None for one in answers)
    gain = ["expected improvement"] if compared else []
    table = Table("", *names, *gain, last, title=title)
    for i, one in enumerate(answers, start=1):
        cells = []
        for name in names:
            std = one["predicted_std"][name]
            cells.append(f"{one['predicted'][name]:.4g}" + (f" ± {std:.2g}" if std else ""))
        if compared:
            cells.append(f"{one['expected_improvement']:.3g}")
        code = one.get("code") or ", ".join(f"{k}={v}" for k, v in one["params"].items())
        table.add_row(str(i), *cells, code)
    return table
