"""Tables that print the summary of a stored study on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ncp_sampler.optimizer.explanation_table import explain

_IMPORTANT = 10  # maximum number of parameters in the table of importances


def print_summary(result: Mapping[str, Any]) -> None:
    """Print the answer of ``ncp-sampler study --json`` as tables."""
    # brackets in the user's names are not markup
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    goals = ", ".join(f"{way} {name}" for name, way in result["directions"].items())
    counts = ", ".join(f"{n} {state}" for state, n in result["trials"].items() if n)
    console.print(f"study {result['study']}: {goals}; trials: {counts}")
    if result["front"]:
        console.print(_front(result["front"]))
    elif result["best"] is not None:
        _print_trial(console, "best trial", result["best"])
    else:
        console.print("no trial is complete, or none is feasible")
    _print_compromise(console, result["compromise"])
    console.print(_importances(result["importances"]))
    shown = result["trial"]
    if shown is None:
        return
    if shown["number"] != (result["best"] or {}).get("number"):
        _print_trial(console, "trial", shown)
    if shown["reasons"] is None:
        text = f"trial {shown['number']} has no reasons: NCPSampler did not propose it"
        console.print(text)
    else:
        console.print(explain(shown["reasons"]))


def _print_trial(console: Console, what: str, trial: Mapping[str, Any]) -> None:
    values = ", ".join(f"{name} {_short(value)}" for name, value in trial["values"].items())
    head = f"\n{what} {trial['number']} ({trial['state']}){': ' if values else ''}{values}"
    console.print(head)
    if "code" in trial:
        console.print(f"code  {trial['code']}")
    else:
        params = ", ".join(f"{name}={_short(value)}" for name, value in trial["params"].items())
        console.print(params)


def _print_compromise(console: Console, chosen: Mapping[str, Any] | None) -> None:
    if chosen is None:
        return
    console.print(f"best compromise: trial {chosen['number']}")
    for name, value in chosen["values"].items():
        note = " (predicted)" if name in chosen["predicted"] else ""
        regret = f"{chosen['regrets'][name]:.2f} of its range below the best"
        console.print(f"  {name} {_short(value)}{note}, {regret}")


def _front(front: Sequence[Mapping[str, Any]]) -> Table:
    names = list(front[0]["values"])
    last = "code" if all("code" in trial for trial in front) else "params"
    table = Table("trial", *names, title="front", title_justify="left")
    table.add_column(last, overflow="fold")
    for trial in front:
        cells = [_short(trial["values"][name]) for name in names]
        code = trial.get("code") if last == "code" else None
        code = code or ", ".join(f"{k}={_short(v)}" for k, v in trial["params"].items())
        table.add_row(str(trial["number"]), *cells, code)
    return table


def _importances(importances: Mapping[str, Any]) -> Table | str:
    """Return a table of the parameters that are most important for any metric, or a note."""
    of = importances["of"]
    if importances["note"] is not None:
        return str(importances["note"])
    largest = {
        name: max(shares.get(name, 0.0) for shares in of.values())
        for shares in of.values()
        for name in shares
    }
    order = sorted(largest, key=lambda name: -largest[name])
    table = Table(title=f"importance, by {importances['evaluator']}", title_justify="left")
    table.add_column("parameter")
    for metric in of:
        table.add_column(metric, justify="right")
    for name in order[:_IMPORTANT]:
        table.add_row(name, *(f"{shares.get(name, 0.0):.1%}" for shares in of.values()))
    if len(order) > _IMPORTANT:
        table.caption = (
            f"and {len(order) - _IMPORTANT} more, each at most {largest[order[_IMPORTANT]]:.1%}"
        )
    return table


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
