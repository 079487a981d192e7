"""Contents of figures of proposals: effects of moves, and predicted against observed values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.explanation import reasons_of
from ncp_sampler.visualization.style import shorten, wrap

_MOST_MOVES = 16  # Maximum number of moves in a figure
_NAME, _VALUE = 40, 20  # Maximum number of characters of a parameter's name and of each value


@dataclass(frozen=True)
class Changes:
    """Changes in one metric due to the moves of a proposal.

    Attributes:
        name: Name of the metric.
        title: Lines with the metric's name and its prediction for the proposal.
        numbers: Change due to each move.
    """

    name: str
    title: tuple[str, ...]
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Moves:
    """Moves (changes of one parameter each) of a proposal, the largest first.

    Attributes:
        labels: Label of each move, such as "b1: 1 → 2"; long names and values are shortened.
        metrics: Changes in each metric.
        left_out: Number of smaller moves that are not listed.
        title: Title with the probability of feasibility; empty without constraints.
    """

    labels: tuple[str, ...]
    metrics: tuple[Changes, ...]
    left_out: int
    title: str


@dataclass(frozen=True)
class Calibration:
    """Predicted and observed values of one metric.

    Attributes:
        name: Name of the metric.
        mean: Predicted means (n,).
        std: Predicted standard deviations (n,).
        value: Observed values (n,).
        trials: Number (n,) of each trial; for reasons, their positions.
    """

    name: str
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    value: NDArray[np.float64]
    trials: tuple[int, ...]

    @property
    def title(self) -> str:
        """Title with the share of values within two standard deviations of their prediction."""
        inside = float(np.mean(np.abs(self.value - self.mean) <= 2 * self.std))
        return f"{self.name}: {inside:.0%} of {len(self.mean)} within 2 σ"

    @property
    def diagonal(self) -> tuple[float, float]:
        """Ends of the diagonal: the lowest and the highest of all means and observed values."""
        low = min(float(self.mean.min()), float(self.value.min()))
        return low, max(float(self.mean.max()), float(self.value.max()))

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of the axis of predictions.

        The limits ignore the error bars, which can extend far beyond the observed values.
        """
        low, high = self.diagonal
        margin = 0.1 * (high - low) or 1.0
        return low - margin, high + margin


def moves_of(trial: Any, room: Callable[[int], int]) -> Moves:
    """Return the moves that lead from the start of a proposal to the proposal.

    Args:
        trial: A trial that NCPSampler proposed, or the reasons for a trial.
        room: Function that, given the number of panels, returns the number of characters that fit
            above each panel.

    Raises:
        ValueError: If the trial has no reasons, or was proposed without a prediction.
    """
    reasons = reasons_of(trial)
    if reasons["how"] != "search":
        raise ValueError(
            f"trial was proposed without a prediction (how={reasons['how']!r}); give a trial after "
            "the startup trials"
        )
    moves = reasons["moves"][:_MOST_MOVES]
    names = list(moves[0][3]) if moves else []
    return Moves(
        labels=tuple(_label(*move[:3]) for move in moves),
        metrics=tuple(
            Changes(
                name,
                _title(name, reasons["metrics"][name], room(len(names))),
                tuple(move[3][name] for move in moves),
            )
            for name in names
        ),
        left_out=reasons["left_out"] + len(reasons["moves"]) - len(moves),
        title=f"chance of feasibility {reasons['feasible']:.0%}" if "feasible" in reasons else "",
    )


def calibrations_of(
    study: Any, results: Mapping[str, Sequence[float]] | None = None
) -> list[Calibration]:
    """Return the predicted and observed values of each metric.

    Args:
        study: A study whose trials NCPSampler proposed; or a sequence of reasons.
        results: Metric -> observed values in the order of the reasons, NaN if missing; required if
            reasons are given.

    Raises:
        ValueError: If no trial has both a prediction and a value.
    """
    pairs = _of_reasons(study, results) if results is not None else _of_study(study)
    if not pairs:
        raise ValueError(
            f"study={checks.shown(study)} has no trial with a prediction and a value; run more "
            "than the startup trials"
        )
    calibrations = []
    for name, rows in pairs.items():
        number, mean, std, value = np.array(rows).T
        calibrations.append(Calibration(name, mean, std, value, tuple(number.astype(int).tolist())))
    return calibrations


_Rows = dict[str, list[tuple[int, float, float, float]]]  # Metric -> trial, mean, std, value


def _of_study(study: Any) -> _Rows:
    trials = getattr(study, "trials", None)
    if not isinstance(trials, Iterable):
        raise checks.refusal("study", study, "be an Optuna study, or reasons with results=")
    pairs: _Rows = {}
    for trial in trials:
        try:
            reasons = reasons_of(trial)
        except ValueError:  # another sampler proposed the trial
            continue
        predicted = reasons.get("metrics", {})
        names = reasons.get("objectives", ())
        for name, value in zip(names, trial.values or (), strict=False):
            _add(pairs, trial.number, name, predicted.get(name, {}), value)
    return pairs


def _of_reasons(
    reasons: Iterable[Mapping[str, Any]], results: Mapping[str, Sequence[float]]
) -> _Rows:
    pairs: _Rows = {}
    for i, reason in enumerate(reasons):
        for name, values in results.items():
            _add(pairs, i, name, reason.get("metrics", {}).get(name, {}), values[i])
    return pairs


def _add(
    pairs: _Rows, number: int, name: str, predicted: Mapping[str, float], value: float
) -> None:
    if "mean" in predicted and np.isfinite(value):
        pairs.setdefault(name, []).append((number, predicted["mean"], predicted["std"], value))


def _label(name: str, before: Any, after: Any) -> str:
    values = " → ".join(shorten(str(value), _VALUE) for value in (before, after))
    return f"{shorten(name, _NAME)}: {values}"


def _title(name: str, prediction: Mapping[str, float], room: int) -> tuple[str, ...]:
    """Return the lines of a title with name and prediction: a single line if the text fits."""
    end = (
        f"{prediction['value']:g}"
        if "value" in prediction
        else f"{prediction['mean']:g} ± {prediction['std']:.2g}"
    )
    expected = f"{prediction['start']:g} → {end}"
    line = f"{name}: {expected}"
    return (line,) if len(line) <= room else (*wrap(name, room), expected)
