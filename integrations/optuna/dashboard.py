"""Optuna's dashboard: why each trial was proposed, as its note, and figures of the study.

In come trials with their reasons (``NCPSampler`` leaves them); out go, in the study's storage, a
note for each finished trial and four figures, which ``optuna-dashboard`` shows:

    ncp-moves           what each move of the latest proposal is predicted to change
    ncp-descent         how a trial came about, proposal by proposal, and what each brought
    ncp-architectures   the best codes and the latest; of other spaces than MRSpace their params
    ncp-calibration     predicted against observed values
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.search_space import intersection_search_space
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.integrations.optuna.trials import REASONS_KEY, is_searchable, to_space
from ncp_sampler.optimizer.explanation_table import explain_markdown
from ncp_sampler.space.search_space import SearchSpace

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

try:
    import optuna_dashboard
    import plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the dashboard needs optuna-dashboard and Plotly ({error}); install them with: "
        "pip install 'ncp_sampler[dashboard]'"
    ) from error

HEADING = "### Why this proposal"  # of our part of a note
_MOST_ROWS = 3  # architectures


class DashboardCallback:
    """Publishes after each trial of ``study.optimize(..., callbacks=[DashboardCallback()])``.

    With several workers one of them draws the figures: give the others ``every=None``, so that
    they write their trials' notes alone.

    Args:
        every: Trials from one drawing of the figures to the next; None to draw none.
        space: As ``publish`` takes it.

    Raises:
        ValueError: ``every`` below 1, or no space.
    """

    def __init__(self, *, every: int | None = 1, space: SearchSpace | None = None) -> None:
        self._every = None if every is None else checks.integer("every", every, low=1)
        self._space = _checked(space)

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Writes the trial's note, and the figures where it is their turn."""
        _write_notes(study, [trial])
        if self._every is not None and (trial.number + 1) % self._every == 0:
            _write_figures(study, self._space, None)


def publish(
    study: Study, *, space: SearchSpace | None = None, trial: int | None = None
) -> tuple[str, ...]:
    """Writes notes and figures of a study into its storage, for ``optuna-dashboard``.

    A note of the user's stays; the reasons are put below it, once. Figures take the place of those
    published before.

    Args:
        study: Proposed by ``NCPSampler``, finished or running.
        space: What was searched; None for the space of the study's sampler, else what all its
            trials have in common.
        trial: Number of the trial whose descent, moves and code are drawn; None for the best (of
            several objectives the latest of the front), or the latest proposal where that one comes
            from no other trial; and the latest proposal's moves.

    Returns:
        The figures' names in the dashboard. Those that there is nothing to show in yet are left
        out: before a trial is complete all are.

    Raises:
        ValueError: No study, no space, or no such trial.
    """
    checks.instance("study", study, Study, "be a study of Optuna")
    space = _checked(space)
    trials = study.get_trials(deepcopy=False)
    if trial is not None and checks.integer("trial", trial, low=0) >= len(trials):
        raise ValueError(f"trial={trial} is none of the study's, which has {len(trials)}")
    _write_notes(study, trials)
    return _write_figures(study, space, trial)


@dataclass(frozen=True)
class _Noted:
    """What ``optuna_dashboard.save_note`` wants of a live trial; a finished one has none of it."""

    study: Study
    storage: BaseStorage
    _trial_id: int


def _write_notes(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Puts the reasons of finished trials below what their notes say."""
    for trial in trials:
        if not trial.state.is_finished() or REASONS_KEY not in trial.system_attrs:
            continue
        noted: Any = _Noted(study, study._storage, trial._trial_id)
        note = optuna_dashboard.get_note(noted)
        if HEADING not in note:
            own = f"{note.rstrip()}\n\n" if note.strip() else ""
            optuna_dashboard.save_note(noted, f"{own}{HEADING}\n\n{explain_markdown(trial)}")


def _write_figures(study: Study, space: SearchSpace | None, number: int | None) -> tuple[str, ...]:
    """Draws and stores what there is to show."""
    figures = _figures(study, space, number)
    for name, figure in figures.items():
        optuna_dashboard.save_plotly_graph_object(study, figure, graph_object_id=name)
    return tuple(figures)


def _figures(study: Study, space: SearchSpace | None, number: int | None) -> dict[str, Figure]:
    from ncp_sampler.visualization.contents.architectures import has_stages
    from ncp_sampler.visualization.contents.descents import origin_of
    from ncp_sampler.visualization.plotly import (
        architecture_figure,
        descent_figure,
        params_figure,
        plot_calibration,
        plot_proposal,
    )

    trials = study.get_trials(deepcopy=False)
    figures: dict[str, Figure] = {}
    predicted = [t for t in trials if _reasons(t).get("how") == "search"]
    moved = [t for t in predicted if number in (None, t.number)]
    if moved:
        title = f"What each move of trial {moved[-1].number} is predicted to change"
        figures["ncp-moves"] = plot_proposal(moved[-1], title=title)
    best = _best(study, trials)
    if not best:
        return figures
    shown = trials[_shown(study, best, predicted) if number is None else number]
    space = space or _space_of(study, trials)
    if space is not None and set(space.names) <= shown.params.keys():
        figures["ncp-descent"] = descent_figure(study, space, trial=shown.number)
        latest = [t.number for t in predicted[-1:]]
        picked = [origin_of(study, shown.number)[0], shown.number, *reversed(best), *latest]
        codes = {
            _label(trials[i], best): space.to_code(trials[i].params, clip=True)
            for i in list(dict.fromkeys(picked))[:_MOST_ROWS]
            if set(space.names) <= trials[i].params.keys()
        }
        draw = architecture_figure if has_stages(space) else params_figure
        title = f"Where trial {shown.number} began, and what it became"
        figures["ncp-architectures"] = draw(codes, space, title=title)
    if any(t.state == TrialState.COMPLETE for t in predicted):
        title = "Predicted before, and observed"
        figures["ncp-calibration"] = plot_calibration(study, title=title)
    return figures


def _best(study: Study, trials: Sequence[FrozenTrial]) -> list[int]:
    """Numbers of the best trials: one, or those of the front."""
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        return []
    return [trial.number for trial in study.best_trials]


def _shown(study: Study, best: Sequence[int], predicted: Sequence[FrozenTrial]) -> int:
    """The latest of the best, or the latest proposal where that one comes from no other trial."""
    from ncp_sampler.visualization.contents.descents import origin_of

    number = max(best)
    latest = [trial.number for trial in predicted if trial.state == TrialState.COMPLETE]
    return number if len(origin_of(study, number)) > 1 or not latest else latest[-1]


def _space_of(study: Study, trials: Sequence[FrozenTrial]) -> SearchSpace | None:
    """The sampler's space, else what all trials have in common; None if that is nothing."""
    declared = getattr(study.sampler, "_space", None)
    if isinstance(declared, SearchSpace):
        return declared
    common = intersection_search_space([*trials], include_pruned=True)
    known = {name: one for name, one in common.items() if is_searchable(name, one)}
    return to_space(known) if known else None


def _label(trial: FrozenTrial, best: Sequence[int]) -> str:
    several = trial.values is not None and len(trial.values) > 1
    rank = "" if trial.number not in best else ", on the front" if several else ", best"
    values = ", ".join(f"{value:.4g}" for value in trial.values or ())
    return f"trial {trial.number}{rank}{f': {values}' if values else ''}"


def _reasons(trial: FrozenTrial) -> Mapping[str, Any]:
    found: Mapping[str, Any] = trial.system_attrs.get(REASONS_KEY, {})
    return found


def _checked(space: SearchSpace | None) -> SearchSpace | None:
    must = "be a SearchSpace, such as MRSpace(), or None"
    checks.instance("space", space, SearchSpace | None, must)
    return space
