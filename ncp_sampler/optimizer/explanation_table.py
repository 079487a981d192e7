"""The reasons for a proposal as a table, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncp_sampler.optimizer.explanation import reasons_of

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 78
_HOW = {
    "startup": "one of the first trials, which are spread over the space without a prediction",
    "source": "one of the first trials: it did well in earlier work",
    "untried": "drawn at random: every code that the search looked at is known already",
}
_FROM = {
    "trial": "trial",
    "variation": "a variation of trial",
    "source": "a trial of earlier work, or a variation of one",
    "random": "a random code",
}


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
    """
    reasons = reasons_of(trial)
    try:
        from rich.table import Table
    except ImportError as error:
        raise ImportError(
            f"explain needs rich ({error}); install it with: pip install rich"
        ) from error
    if reasons["how"] in _HOW:
        table = Table(title=_HOW[reasons["how"]], min_width=_WIDTH)
        table.add_column("nothing was predicted")
        return table
    objectives = list(dict.fromkeys(name for move in reasons["moves"] for name in move[3]))
    table = Table(
        title=_title(reasons),
        caption="\n".join(_summary(reasons)),
        caption_justify="left",
        min_width=_WIDTH,  # which the caption is wrapped to
    )
    table.add_column("parameter")
    table.add_column("from", justify="right")
    table.add_column("to", justify="right")
    for name in objectives:
        table.add_column(f"{name} by it", justify="right")
    for name, before, after, gain in reasons["moves"]:
        changes = [f"{gain[one]:+.3g}" for one in objectives]
        table.add_row(name, str(before), str(after), *changes)
    if reasons["left_out"]:
        table.add_row(f"and {reasons['left_out']} more", *[""] * (2 + len(objectives)))
    return table


def _title(reasons: Mapping[str, Any]) -> str:
    start = reasons["start"]
    number = start.get("trial", start.get("told"))
    return f"proposed from {_FROM[start['from']]}" + ("" if number is None else f" {number}")


def _summary(reasons: Mapping[str, Any]) -> list[str]:
    """What is predicted, and what stopped the search, a line each."""
    lines = []
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
    stopped = reasons["stopped"]
    if stopped["limit"]:
        lines.append(f"stopped by the limit on {', '.join(stopped['limit'])}")
    if stopped["tried"]:
        lines.append(f"better by one step, but known already: {stopped['tried']} codes")
    if stopped["range"]:
        lines.append(f"at an end of the range, and would go on: {', '.join(stopped['range'])}")
    return lines
