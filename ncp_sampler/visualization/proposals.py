"""Figures of proposals: what each move brings, and whether predictions come true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncp_sampler import checks
from ncp_sampler.optimizer.explanation import reasons_of
from ncp_sampler.visualization.style import BLUE, DPI, MEDIUM, RED, SMALL

_MOST_MOVES = 16


def plot_proposal(trial: Any) -> Figure:
    """The moves from a proposal's start to it, and by how much each changes every metric.

    Args:
        trial: A trial of Optuna that NCPSampler proposed, or the reasons themselves.

    Raises:
        ValueError: The trial holds no reasons, or was proposed without a prediction.
    """
    reasons = reasons_of(trial)
    if reasons["how"] != "search":
        raise ValueError(
            f"trial was proposed without a prediction (how={reasons['how']!r}); give one after the "
            "startup trials"
        )
    moves = reasons["moves"][:_MOST_MOVES]
    names = list(moves[0][3]) if moves else []
    rows, columns = max(len(moves), 3), max(len(names), 1)
    size = (2.2 + 3.2 * columns, 1.4 + 0.28 * rows)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, columns, sharey=True))
    for axes, name in zip(panels, names, strict=False):
        changes = [move[3][name] for move in moves]
        colors = [BLUE if change >= 0 else RED for change in changes]
        axes.barh(range(len(moves)), changes, color=colors)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(_expected(name, reasons["metrics"][name]), fontsize=MEDIUM)
        axes.set_xlabel(f"change of {name} by the move", fontsize=SMALL)
    if not moves:
        panels[0].text(0.5, 0.5, "nothing moved", ha="center", transform=panels[0].transAxes)
    labels = [f"{name}: {before} → {after}" for name, before, after, _ in moves]
    panels[0].set_yticks(range(len(moves)), labels, fontsize=SMALL)
    panels[0].invert_yaxis()
    left = reasons["left_out"] + len(reasons["moves"]) - len(moves)
    if left:
        panels[0].set_ylabel(f"and {left} smaller moves", fontsize=SMALL)
    if "feasible" in reasons:
        figure.suptitle(f"chance of feasibility {reasons['feasible']:.0%}", fontsize=MEDIUM)
    return figure


def plot_calibration(study: Any, *, results: Mapping[str, Sequence[float]] | None = None) -> Figure:
    """Predicted against observed values of the trials, with two standard deviations.

    Args:
        study: A study of Optuna whose trials NCPSampler proposed; or reasons in order, such as
            ``NCPSearch.reasons.values()``.
        results: With reasons, metric -> what was observed of each, NaN where nothing was.

    Raises:
        ValueError: No trial has both a prediction and a value.
    """
    pairs = _of_reasons(study, results) if results is not None else _of_study(study)
    if not pairs:
        raise ValueError(
            f"study={checks.shown(study)} has no trial with a prediction and a value; run more "
            "than the startup trials"
        )
    size = (0.6 + 3.6 * len(pairs), 3.8)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(pairs)))
    for axes, (name, rows) in zip(panels, pairs.items(), strict=True):
        _calibration(axes, name, np.array(rows))
    return figure


def _calibration(axes: Axes, name: str, rows: Any) -> None:
    """Of one metric: rows of mean, std and observed value."""
    mean, std, value = rows.T
    low, high = min(mean.min(), value.min()), max(mean.max(), value.max())
    axes.plot([low, high], [low, high], color="black", linewidth=0.8)
    axes.errorbar(
        mean, value, xerr=2 * std, fmt="o", color=BLUE, ecolor="0.75", markersize=3, linewidth=0.8
    )
    inside = float(np.mean(np.abs(value - mean) <= 2 * std))
    axes.set_title(f"{name}: {inside:.0%} of {len(rows)} within 2 σ", fontsize=MEDIUM)
    axes.set_xlabel("predicted, ± 2 σ")
    axes.set_ylabel("observed")
    margin = 0.1 * (high - low) or 1.0  # a prediction's bar may reach far beyond what was observed
    axes.set_xlim(low - margin, high + margin)


def _of_study(study: Any) -> dict[str, list[tuple[float, float, float]]]:
    trials = getattr(study, "trials", None)
    if not isinstance(trials, Iterable):
        raise checks.refusal("study", study, "be a study of Optuna, or reasons with results=")
    pairs: dict[str, list[tuple[float, float, float]]] = {}
    for trial in trials:
        try:
            reasons = reasons_of(trial)
        except ValueError:  # another sampler's
            continue
        predicted = reasons.get("metrics", {})
        names = reasons.get("objectives", ())
        for name, value in zip(names, trial.values or (), strict=False):
            _add(pairs, name, predicted.get(name, {}), value)
    return pairs


def _of_reasons(
    reasons: Iterable[Mapping[str, Any]], results: Mapping[str, Sequence[float]]
) -> dict[str, list[tuple[float, float, float]]]:
    pairs: dict[str, list[tuple[float, float, float]]] = {}
    for i, one in enumerate(reasons):
        for name, values in results.items():
            _add(pairs, name, one.get("metrics", {}).get(name, {}), values[i])
    return pairs


def _add(
    pairs: dict[str, list[tuple[float, float, float]]],
    name: str,
    predicted: Mapping[str, float],
    value: float,
) -> None:
    if "mean" in predicted and np.isfinite(value):
        pairs.setdefault(name, []).append((predicted["mean"], predicted["std"], value))


def _expected(name: str, one: Mapping[str, float]) -> str:
    if "value" in one:
        return f"{name}: {one['start']:g} → {one['value']:g}"
    return f"{name}: {one['start']:g} → {one['mean']:g} ± {one['std']:.2g}"
