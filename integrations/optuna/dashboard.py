"""Figures and trial notes for Optuna's dashboard; the notes give the reasons for each proposal.

Notes and figures are written to the study's storage. The figures are:

    ncp-moves           predicted effect of each move (changed parameter) of the latest proposal
    ncp-descent         chain of proposals that led to a trial, and the change in value due to each
    ncp-architectures   best and latest architectures; their params in spaces other than MRSpace
    ncp-calibration     predicted against observed values
    ncp-tasks           objectives as parallel axes, with the best compromise
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.integrations.optuna.conversion import REASONS_KEY, is_searchable, to_space
from ncp_sampler.integrations.optuna.tasks import compromise
from ncp_sampler.optimizer.explanation_table import explain_markdown
from ncp_sampler.space.search_space import SearchSpace

try:
    import optuna_dashboard
    import plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the dashboard needs optuna-dashboard and Plotly ({error}); install them with: "
        "pip install optuna-dashboard plotly"
    ) from error

HEADING = "### Why this proposal"  # First line of the section that ``publish`` adds to a note
_MAX_CODES = 3  # Maximum number of architectures in the figure
_MUST = f"{checks.A_SPACE}, or None"


class DashboardCallback:
    """Callback for ``study.optimize(..., callbacks=[DashboardCallback()])`` that calls ``publish``.

    With several workers, let one of them draw the figures, and pass ``every=None`` to the others.
    They then write only the notes of their trials.

    Args:
        every: Number of trials after which the figures are drawn again; None for no figures.
        space: As for ``publish``.

    Raises:
        ValueError: ``every`` is below 1, or ``space`` is not a space.
    """

    def __init__(self, *, every: int | None = 1, space: SearchSpace | None = None) -> None:
        self._every = None if every is None else checks.integer("every", every, low=1)
        self._space = checks.instance("space", space, SearchSpace | None, _MUST)

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Write the trial's note, and the figures after every ``every`` trials."""
        _write_notes(study, [trial])
        if self._every is not None and (trial.number + 1) % self._every == 0:
            _write_figures(study, self._space, None)


def publish(
    study: Study, *, space: SearchSpace | None = None, trial: int | None = None
) -> tuple[str, ...]:
    """Write notes and figures of a study to its storage, for ``optuna-dashboard``.

    The reasons are added once, below a note that the user has written. Figures replace earlier
    figures.

    Args:
        study: A study of ``NCPSampler``, finished or running.
        space: The search space. None for the space of the study's sampler or, if the sampler has
            none, the parameters that all trials have.
        trial: Number of the trial whose descent, moves and architecture are drawn. None for the
            moves of the latest proposal, and the descent and architecture of the best trial (with
            several objectives, the latest trial on the Pareto front) or, if the best trial was not
            derived from another trial, of the latest complete proposal.

    Returns:
        Names of the figures that were written to the dashboard. Until a trial is complete, only the
        moves can be drawn.

    Raises:
        ValueError: An argument is not a study or not a space, or the trial does not exist.
    """
    checks.instance("study", study, Study, "be an Optuna study")
    checks.instance("space", space, SearchSpace | None, _MUST)
    trials = study.get_trials(deepcopy=False)
    if trial is not None and checks.integer("trial", trial, low=0) >= len(trials):
        raise ValueError(f"trial={trial} is not in the study, which has {len(trials)} trials")
    _write_notes(study, trials)
    return _write_figures(study, space, trial)


def noted(study: Study, trial: FrozenTrial) -> Any:
    """Return an object with the attributes of a running trial that ``optuna_dashboard`` uses."""
    return SimpleNamespace(study=study, storage=study._storage, _trial_id=trial._trial_id)


def _write_notes(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Append the reasons for the proposals of finished trials to the notes of these trials."""
    for trial in trials:
        if not trial.state.is_finished() or REASONS_KEY not in trial.system_attrs:
            continue
        note = optuna_dashboard.get_note(noted(study, trial))
        if HEADING not in note:
            own = f"{note.rstrip()}\n\n" if note.strip() else ""
            text = f"{own}{HEADING}\n\n{explain_markdown(trial)}"
            optuna_dashboard.save_note(noted(study, trial), text)


def _write_figures(study: Study, space: SearchSpace | None, number: int | None) -> tuple[str, ...]:
    figures = _figures(study, space, number)
    for name, figure in figures.items():
        optuna_dashboard.save_plotly_graph_object(study, figure, graph_object_id=name)
    return tuple(figures)


def _figures(study: Study, space: SearchSpace | None, number: int | None) -> dict[str, Any]:
    from ncp_sampler.visualization import plotly as plots
    from ncp_sampler.visualization.contents.architectures import has_stages
    from ncp_sampler.visualization.contents.descents import origin_of

    trials = study.get_trials(deepcopy=False)
    figures: dict[str, Any] = {}
    predicted = [t for t in trials if t.system_attrs.get(REASONS_KEY, {}).get("how") == "search"]
    moved = [t for t in predicted if number in (None, t.number)]
    if moved:
        title = f"What each move of trial {moved[-1].number} is predicted to change"
        figures["ncp-moves"] = plots.plot_proposal(moved[-1], title=title)
    if all(trial.state != TrialState.COMPLETE for trial in trials):
        return figures
    measured = [trial.number for trial in predicted if trial.state == TrialState.COMPLETE]
    best = [trial.number for trial in study.best_trials]
    if number is None and not best:  # no trial is feasible
        return figures
    if number is None:
        number = max(best)
        if measured and len(origin_of(study, number)) <= 1:
            number = measured[-1]
    space = space or _space_of(study, trials)
    if space is not None and not space.missing(trials[number].params):
        figures["ncp-descent"] = plots.plot_descent(study, space, trial=number)
        latest = [trial.number for trial in predicted[-1:]]
        picked = dict.fromkeys([origin_of(study, number)[0], number, *reversed(best), *latest])
        codes = {
            _label(trials[i], best): space.to_code(trials[i].params, clip=True)
            for i in list(picked)[:_MAX_CODES]
            if not space.missing(trials[i].params)
        }
        draw = plots.plot_architectures if has_stages(space) else plots.plot_params
        title = f"Where trial {number} began, and what it became"
        figures["ncp-architectures"] = draw(codes, space, title=title)
    if measured:
        title = "Predicted before, and observed"
        figures["ncp-calibration"] = plots.plot_calibration(study, title=title)
    if len(study.directions) > 1:
        with suppress(ValueError):  # an objective may have no finite value yet
            chosen = compromise(study)
            title = f"Every trial, and the best compromise, trial {chosen.number}"
            figures["ncp-tasks"] = plots.plot_tasks(study, chosen, title=title)
    return figures


def _space_of(study: Study, trials: Sequence[FrozenTrial]) -> SearchSpace | None:
    """Return the sampler's space; without one, the parameters common to all trials, or None."""
    declared = getattr(study.sampler, "_space", None)
    if isinstance(declared, SearchSpace):
        return declared
    common = intersection_search_space([*trials], include_pruned=True)
    known = {name: dist for name, dist in common.items() if is_searchable(name, dist)}
    return to_space(known) if known else None


def _label(trial: FrozenTrial, best: Sequence[int]) -> str:
    several = trial.values is not None and len(trial.values) > 1
    rank = "" if trial.number not in best else ", on the front" if several else ", best"
    values = ", ".join(f"{value:.4g}" for value in trial.values or ())
    return f"trial {trial.number}{rank}{f': {values}' if values else ''}"
