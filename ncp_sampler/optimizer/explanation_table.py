"""The reasons for a proposal as a table, for a terminal or as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncp_sampler.formatting import markdown_table
from ncp_sampler.optimizer.explanation import reasons_of

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 78
_HOW = {
    "startup": "one of the first trials, which are spread over the space without a prediction",
    "source": "one of the first trials: it did well in earlier work",
    "drawn": "drawn at random: no parameter was known before the trial asked for it",
    "untried": "drawn at random: every code that the search looked at is known already",
}
_FROM = {
    "trial": "trial",
    "variation": "a variation of trial",
    "source": "a trial of earlier work, or a variation of one",
    "random": "a random code",
}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~])")


def explain(trial: Any) -> Table:
    """Why the params of a trial were proposed.

    Args:
        trial: A trial of Optuna, or the reasons themselves: ``NCPSearch.reasons[trial_id]``.

    Returns:
        A table of rich, to be printed with ``rich.print``: a row for each parameter that moved,
        with what the move is predicted to change; below, what is predicted of the whole.

    Raises:
        ValueError: The trial holds no reasons.
        ImportError: rich is missing.

    Examples:
        >>> from ncp_sampler import Float, NCPOptimizer, SearchSpace
        >>> space = SearchSpace([Float("x", 0, 1)])
        >>> optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, n_startup_trials=3)
        >>> for _ in range(4):
        ...     (params,) = optimizer.ask()
        ...     optimizer.tell(params, {"loss": (params["x"] - 0.3) ** 2})
        >>> table = explain(optimizer.reasons[0])  # rich.print(table) shows it
        >>> table.row_count > 0
        True
    """
    reasons = reasons_of(trial)
    try:
        from rich.table import Table
        from rich.text import Text  # in which brackets are no markup, as in a name that has some
    except ImportError as error:
        raise ImportError(
            f"explain needs rich ({error}); install it with: pip install rich"
        ) from error
    if reasons["how"] in _HOW:
        table = Table(title=_HOW[reasons["how"]], min_width=_WIDTH)
        table.add_column("nothing was predicted")
        return table
    table = Table(
        title=_title(reasons),
        caption=Text("\n".join(_summary(reasons)), style="table.caption"),
        caption_justify="left",
        min_width=_WIDTH,  # which the caption is wrapped to
    )
    first, *others = _heads(reasons)
    table.add_column(first)
    for head in others:
        table.add_column(Text(head), justify="right")
    for row in _rows(reasons):
        table.add_row(*map(Text, row))
    return table


def explain_markdown(trial: Any) -> str:
    """The same as Markdown, as notes and TensorBoard show it.

    Args:
        trial: A trial of Optuna, or the reasons themselves: ``NCPSearch.reasons[trial_id]``.

    Raises:
        ValueError: The trial holds no reasons.
    """
    reasons = reasons_of(trial)
    if reasons["how"] in _HOW:
        return f"{_capital(_HOW[reasons['how']])}.\n"
    heads = _heads(reasons)
    rows = [[_escaped(cell) for cell in row] for row in _rows(reasons)]
    table = markdown_table([_escaped(head) for head in heads], rows, numbers=True)
    points = "".join(f"- {_escaped(line)}\n" for line in _summary(reasons))
    return f"{_capital(_title(reasons))}.\n\n{table if rows else ''}\n{points}"


def _heads(reasons: Mapping[str, Any]) -> list[str]:
    return ["parameter", "from", "to", *(f"{name} by it" for name in _objectives(reasons))]


def _rows(reasons: Mapping[str, Any]) -> list[list[str]]:
    """A row for each move, and one for those that are left out."""
    names = _objectives(reasons)
    rows = [
        [name, str(before), str(after), *(f"{gain[one]:+.3g}" for one in names)]
        for name, before, after, gain in reasons["moves"]
    ]
    if reasons["left_out"]:
        rows.append([f"and {reasons['left_out']} more", *[""] * (2 + len(names))])
    return rows


def _objectives(reasons: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for move in reasons["moves"] for name in move[3]))


def _title(reasons: Mapping[str, Any]) -> str:
    start = reasons["start"]
    number = start.get("trial", start.get("told"))
    return f"proposed from {_FROM[start['from']]}" + ("" if number is None else f" {number}")


def _summary(reasons: Mapping[str, Any]) -> list[str]:
    """What is predicted, and what stopped the search, a line each."""
    lines = []
    if "branch" in reasons:
        branch = ", ".join(f"{name} = {choice}" for name, choice in reasons["branch"].items())
        lines.append(f"asked of another branch, as the best trial's has stalled: {branch}")
    for name, one in reasons["metrics"].items():
        if "value" in one:
            line = f"{name}: {one['value']:g}, computed"
        else:
            line = f"{name}: {one['mean']:g} ± {one['std']:.2g} predicted"
        line += f" (start: {one['start']:g})" if "start" in one else ""
        line += f", limit {one['limit']:g}" if "limit" in one else ""
        if "chance" in one:
            line += f"; at most {one['bound']:g} with a chance of {one['chance']:.0%}"
        lines.append(line)
    if "feasible" in reasons:
        lines.append(f"chance that every constraint holds: {reasons['feasible']:.0%}")
    if "succeeds" in reasons:
        lines.append(f"chance that the trial succeeds: {reasons['succeeds']:.0%}")
    stopped = reasons["stopped"]
    if stopped["limit"]:
        lines.append(f"stopped by the limit on {', '.join(stopped['limit'])}")
    if stopped["tried"]:
        lines.append(f"better by one step, but known already: {stopped['tried']} codes")
    if stopped["range"]:
        lines.append(f"at an end of the range, and would go on: {', '.join(stopped['range'])}")
    return lines


def _escaped(text: str) -> str:
    """A text whose signs are no markup, within a cell or a point."""
    return _MARKUP.sub(r"\\\1", text.replace("\n", " "))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
