"""Tables that show the reasons for a proposal, in a terminal or in Markdown."""

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
    "startup": "a startup trial: quasi-random, without a prediction",
    "source": "a startup trial: one of the best of a source",
    "drawn": "drawn at random: no parameter was known before the trial asked for it",
    "untried": "drawn at random: every code that the search evaluated is excluded",
}
_FROM = {
    "trial": "trial",
    "variation": "a variation of trial",
    "source": "a trial of a source, or a variation of such a trial",
    "random": "a random code",
}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~])")


def explain(trial: Any) -> Table:
    """Return the reasons for a trial's params as a table.

    Args:
        trial: An Optuna trial, or the reasons themselves: ``NCPSearch.reasons[trial_id]``.

    Returns:
        A Rich table for ``rich.print``. It has one row for each parameter that moved, with the
        resulting change in predicted value, and a caption with the predictions for the proposal.

    Raises:
        ValueError: The trial has no reasons.
        ImportError: Rich is not installed.

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
        from rich.text import Text  # in a Text, brackets are not markup
    except ImportError as error:
        raise ImportError(
            f"explain needs rich ({error}); install it with: pip install rich"
        ) from error
    if reasons["how"] in _HOW:
        table = Table(title=_HOW[reasons["how"]], min_width=_WIDTH)
        table.add_column(_later(reasons) or "nothing was predicted")
        return table
    table = Table(
        title=_title(reasons),
        caption=Text("\n".join(_summary(reasons)), style="table.caption"),
        caption_justify="left",
        min_width=_WIDTH,  # width to which the caption is wrapped
    )
    first, *others = _heads(reasons)
    table.add_column(first)
    for head in others:
        table.add_column(Text(head), justify="right")
    for row in _rows(reasons):
        table.add_row(*map(Text, row))
    return table


def explain_markdown(trial: Any) -> str:
    """Return the reasons for a trial's params as Markdown, for notes and TensorBoard.

    Args:
        trial: An Optuna trial, or the reasons themselves: ``NCPSearch.reasons[trial_id]``.

    Raises:
        ValueError: The trial has no reasons.
    """
    reasons = reasons_of(trial)
    if reasons["how"] in _HOW:
        return ". ".join(filter(None, (_HOW[reasons["how"]].capitalize(), _later(reasons)))) + ".\n"
    heads = _heads(reasons)
    rows = [[_escaped(cell) for cell in row] for row in _rows(reasons)]
    table = markdown_table([_escaped(head) for head in heads], rows, numbers=True)
    points = "".join(f"- {_escaped(line)}\n" for line in _summary(reasons))
    return f"{_title(reasons).capitalize()}.\n\n{table if rows else ''}\n{points}"


def _later(reasons: Mapping[str, Any]) -> str:
    """Return a note on when the model first proposes a trial; an empty string if unknown."""
    if "startup" not in reasons:
        return ""
    n = reasons["startup"]
    return f"The model first proposes trial {n}, if the {n} trials before it have a value"


def _heads(reasons: Mapping[str, Any]) -> list[str]:
    return ["parameter", "from", "to", *(f"change in {name}" for name in _objectives(reasons))]


def _rows(reasons: Mapping[str, Any]) -> list[list[str]]:
    """Return one row for each move, and one row for all omitted moves."""
    names = _objectives(reasons)
    rows = [
        [name, str(before), str(after), *(f"{change[key]:+.3g}" for key in names)]
        for name, before, after, change in reasons["moves"]
    ]
    if reasons["left_out"]:
        rows.append([f"and {reasons['left_out']} more", *[""] * (2 + len(names))])
    return rows


def _objectives(reasons: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for move in reasons["moves"] for name in move[3]))


def _title(reasons: Mapping[str, Any]) -> str:
    start = reasons["start"]
    number = start.get("trial", start.get("observation"))
    return f"proposed from {_FROM[start['from']]}" + ("" if number is None else f" {number}")


def _summary(reasons: Mapping[str, Any]) -> list[str]:
    """Return lines with the predictions, and with the reasons why the search went no further."""
    lines = []
    if "branch" in reasons:
        branch = ", ".join(f"{name} = {category}" for name, category in reasons["branch"].items())
        lines.append(f"explores another branch, because the best one makes no progress: {branch}")
    for name, category in reasons.get("category", {}).items():
        lines.append(f"explores the rarely tried {name} = {category}: the search makes no progress")
    for name, metric in reasons["metrics"].items():
        if "value" in metric:
            line = f"{name}: {metric['value']:g}, known cost"
        else:
            line = f"{name}: {metric['mean']:g} ± {metric['std']:.2g} predicted"
        line += _start(metric)
        line += f", limit {metric['limit']:g}" if "limit" in metric else ""
        if "chance" in metric:
            end = f"at most {metric['bound']:g}" if "bound" in metric else None
            end = end or f"at least {metric['at_least']:g}"
            line += f"; {end} with probability {metric['chance']:.0%}"
        lines.append(line)
    if "acquisition" in reasons:
        value, start = (reasons["acquisition"][key] for key in ("value", "start"))
        lines.append(f"acquisition value, a logarithm: {value:.3g} (start: {start:.3g})")
    if "incumbent" in reasons:
        lines.append(_incumbent(reasons))
    if "feasible" in reasons:
        lines.append(f"probability that every constraint holds: {reasons['feasible']:.0%}")
    if "succeeds" in reasons:
        lines.append(f"probability that the trial succeeds: {reasons['succeeds']:.0%}")
    stopped = reasons["stopped"]
    if stopped["limit"]:
        lines.append(f"stopped by the limit on {', '.join(stopped['limit'])}")
    if stopped["tried"]:
        lines.append(f"better codes one step away that were tried already: {stopped['tried']}")
    if stopped["range"]:
        lines.append(
            "at the search-space boundary, gradient pointing outwards: "
            + ", ".join(stopped["range"])
        )
    return lines


def _start(metric: Mapping[str, float]) -> str:
    if "start" not in metric:
        return ""
    spread = f" ± {metric['start_std']:.2g}" if "start_std" in metric else ""
    return f" (start: {metric['start']:g}{spread})"


def _incumbent(reasons: Mapping[str, Any]) -> str:
    """Return a line with the incumbent and its values."""
    number = reasons["incumbent"].get("trial", reasons["incumbent"].get("observation"))
    values = ", ".join(
        f"{name} {metric['incumbent']:g}"
        for name, metric in reasons["metrics"].items()
        if "incumbent" in metric
    )
    return f"to improve on: {'a source' if number is None else f'trial {number}'}, {values}"


def _escaped(text: str) -> str:
    """Return a string for a table cell or a list item, with Markdown characters escaped."""
    return _MARKUP.sub(r"\\\1", text.replace("\n", " "))
