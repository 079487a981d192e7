"""Reports on a comparison of samplers: a table, a figure and a CSV file.

The table and the figure show the best value so far. Results of several seeds are shown as mean ±
standard error.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from ncp_sampler import checks
from ncp_sampler.files import write_atomic
from ncp_sampler.formatting import mean_and_error, with_error
from ncp_sampler.nas_bench.comparison import LABELS, STARTUP, Run
from ncp_sampler.visualization.saving import save_figure
from ncp_sampler.visualization.style import BLACK, BLUE, GREEN, PINK, RED

CHECKPOINTS = (25, 50, 100, 200, 500, 1000)  # Numbers of trials at which results are shown

_LINES: dict[str, tuple[str, Any]] = {  # sampler -> color and dashes, distinguishable in gray, too
    "gp": (PINK, (0, (3, 1, 1, 1))),
    "ncp": (RED, "-"),
    "tpe": (BLUE, "--"),
    "cma": (GREEN, "-."),
    "random": (BLACK, ":"),
}


def checkpoints(n_trials: int, candidates: Sequence[int] = CHECKPOINTS) -> list[int]:
    """Return the numbers of trials at which results are shown, including the last one.

    Raises:
        ValueError: If there is no trial.
    """
    checks.integer("n_trials", n_trials, low=1)
    checks.sequence("candidates", candidates, int, "be integers, such as (25, 50, 100)")
    return [n for n in candidates if n < n_trials] + [n_trials]


def group(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each sampler, with the sampler of the highest final mean first.

    Raises:
        ValueError: If there is no run.
    """
    by_name: dict[str, list[Run]] = {}
    for run in _listed(runs):
        by_name.setdefault(run.sampler, []).append(run)
    final = {name: np.mean([run.best[-1] for run in of_one]) for name, of_one in by_name.items()}
    return {name: by_name[name] for name in sorted(by_name, key=lambda name: -final[name])}


def summarize(runs: Sequence[Run]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean best value after each trial, and its standard error (NaN for a single run).

    Raises:
        ValueError: If there is no run.
    """
    best = np.stack([run.best for run in _listed(runs)])
    mean, error = np.array([mean_and_error(values) for values in best.T]).T
    return mean, error


def cells(grouped: Mapping[str, Sequence[Run]], at: Sequence[int]) -> dict[str, list[str]]:
    """Return "mean ± standard error" after given numbers of trials; ``*`` marks the highest mean.

    Raises:
        ValueError: If the runs are not a result of ``group``, or have too few trials.
    """
    must = "map samplers to their runs, as group(runs) does"
    for runs in checks.instance("grouped", grouped, Mapping, must).values():
        least = min(len(run.values) for run in _listed(runs))
        for n in checks.sequence("at", at, int, "be numbers of trials, such as [25, 50]"):
            checks.integer("at", n, low=1, high=least)
    texts: dict[str, list[str]] = {name: [] for name in grouped}
    for n in at:
        best = {name: [run.best[n - 1] for run in runs] for name, runs in grouped.items()}
        means = {name: mean_and_error(values)[0] for name, values in best.items()}
        for name, values in best.items():
            mark = "*" if means[name] == max(means.values()) else " "
            texts[name].append(with_error(values) + mark)
    return texts


def make_table(runs: Sequence[Run], metric: str) -> Table:
    """Return the table of results, with the best sampler first.

    Raises:
        ValueError: If there is no run, or if the proposals of a run were not timed.
    """
    seconds, asks = {}, {}
    for name, own in group(runs).items():
        seconds[name] = f"{np.mean([sum(run.ask_seconds) for run in own]):.2f}"
        asks[name] = f"{np.median([run.ask_ms(len(run.values)) for run in own]):.1f}"
    return best_table(runs, metric, times={"s/study": seconds, "ms/ask": asks})


def best_table(
    runs: Sequence[Run],
    metric: str,
    *,
    kind: str = "sampler",
    how: str = "",
    times: Mapping[str, Mapping[str, str]],
) -> Table:
    """Return a table of the best values at the checkpoints, with the best sampler first.

    Args:
        runs: Runs of one setting, of equal length.
        metric: Name of the metric, which is in percent.
        kind: Header of the column with the names of the samplers.
        how: Text that is added to the title, such as ", 2 at a time".
        times: Header of an additional column -> sampler -> text.

    Raises:
        ValueError: If there is no run.
    """
    checks.instance("times", times, Mapping, "map headers of columns to texts by sampler")
    for head, column in times.items():
        checks.instance(f"times[{head!r}]", column, Mapping, "map samplers to texts")
    grouped = group(runs)
    checks.text("metric", metric)
    at, n_seeds = checkpoints(len(runs[0].values)), len({run.seed for run in runs})
    spread = f", mean ± standard error of {n_seeds} seeds" if n_seeds > 1 else ", one seed"
    title = f"{runs[0].setting}: best {metric} (%) after n trials{how}{spread}"
    table = Table(title=title, title_justify="left")
    table.add_column(kind)
    for head in (*[f"n = {n} " for n in at], *times):
        table.add_column(head, justify="right", no_wrap=True)
    for name, texts in cells(grouped, at).items():
        marked = [f"[bold]{text}[/bold]" if text.endswith("*") else text for text in texts]
        table.add_row(LABELS[name], *marked, *[column[name] for column in times.values()])
    return table


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """Write every trial to a CSV file; ``ask_seconds`` is empty if proposals were not timed.

    Raises:
        ValueError: If there is no run.
    """
    listed = _listed(runs)
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["setting", "sampler", "seed", "trial", "value", "best", "ask_seconds"])
    for run in listed:
        who = (run.setting, run.sampler, run.seed)
        asks = [f"{ask:.6f}" for ask in run.ask_seconds] or [""] * len(run.values)
        columns = zip(run.values, run.best.tolist(), asks, strict=True)
        for trial, (value, best, ask) in enumerate(columns, start=1):
            rows.writerow([*who, trial, value, best, ask])
    write_atomic(path, text.getvalue().encode())


def write_figure(runs: Sequence[Run], metric: str, path: Path) -> None:
    """Draw the mean and standard error of the best value so far against the number of trials.

    Raises:
        ValueError: If there is no run.
    """
    grouped = group(runs)
    checks.text("metric", metric)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    n_trials, n_seeds = len(runs[0].values), len({run.seed for run in runs})
    trials = np.arange(1, n_trials + 1)
    band: dict[str, Any] = {"alpha": 0.18, "linewidth": 0, "step": "post"}
    lowest, highest = np.inf, -np.inf
    for name, of_one in grouped.items():
        mean, error = summarize(of_one)
        color, dashes = _LINES[name]
        axes.plot(trials, mean, color=color, ls=dashes, lw=2, label=LABELS[name], ds="steps-post")
        axes.fill_between(trials, mean - error, mean + error, color=color, **band)
        lowest = min(lowest, mean[min(STARTUP, n_trials) - 1])
        highest = max(highest, np.nanmax([mean, mean + error]))
    margin = 0.06 * (highest - lowest) or 1.0
    axes.set_ylim(lowest - 2 * margin, highest + margin)
    axes.set_xlim(1, max(n_trials, 2))
    if n_trials > STARTUP:  # otherwise, the text would be outside the axes and shrink them
        axes.axvspan(1, STARTUP, color="0.93", zorder=0)
        axes.text(STARTUP, highest, f" the first {STARTUP} are shared", color="0.35", va="center")
    axes.set_xlabel("Trials")
    axes.set_ylabel(f"Best {metric} so far (%, predicted by the surrogate)")
    numbers = "seed 0" if n_seeds == 1 else f"mean ± standard error over seeds 0 to {n_seeds - 1}"
    axes.set_title(f"NAS-Bench-MR, {runs[0].setting} surrogate: {numbers}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path, dpi=150)


def _listed(runs: Sequence[Run]) -> list[Run]:
    """Return the runs after checking that all have the same setting and length."""
    must = "be the runs of one setting, at least one"
    checked: list[Run] = checks.sequence("runs", runs, Run, must)
    if not checked or len({run.setting for run in checked}) > 1:
        raise checks.refusal("runs", runs, must)
    lengths = sorted({len(run.values) for run in checked})
    if len(lengths) > 1 or not lengths[0]:
        raise ValueError(
            f"runs have {lengths} trials; they must have equal lengths of at least one"
        )
    return checked
