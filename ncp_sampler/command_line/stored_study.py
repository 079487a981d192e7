"""Summary of a stored study as JSON values, for ``ncp-sampler study``."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.command_line.storages import read_study
from ncp_sampler.integrations.optuna.conversion import REASONS_KEY, metric_names, reported_tasks
from ncp_sampler.integrations.optuna.tasks import compromise
from ncp_sampler.multi_resolution.space import MRSpace

EVALUATOR = "Optuna's fANOVA"


def summary(
    storage: str, *, name: str | None = None, trial: int | str | None = None
) -> dict[str, Any]:
    """Return the summary of a study.

    Args:
        storage: Storage, as for ``read_study``.
        name: Name of the study; None if it is the only one.
        trial: Trial whose reasons are included: its number, "best" or "last". None means the best
            trial of a single objective, or the last trial of several.

    Raises:
        ValueError: There is no such storage, study or trial, or the study has no trials.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = read_study(storage, name)
    trials = study.get_trials(deepcopy=False)
    if not trials:
        raise ValueError(f"study {study.study_name!r} in {storage} has no trials yet")
    names = metric_names(study)
    best = _best(study, trials)
    counts = Counter(trial.state.name.lower() for trial in trials)
    shown = _shown(study, trials, best, trial)
    several = len(names) > 1
    return {
        "storage": storage,
        "study": study.study_name,
        "directions": {
            n: direction.name.lower() for n, direction in zip(names, study.directions, strict=True)
        },
        "trials": {state.name.lower(): counts[state.name.lower()] for state in TrialState},
        "best": None if several or not best else _facts(best[0], names),
        "front": [_facts(trial, names) for trial in best] if several else None,
        "compromise": _compromise(study) if several else None,
        "importances": _importances(study, names),
        "trial": None
        if shown is None
        else {**_facts(shown, names), "reasons": shown.system_attrs.get(REASONS_KEY)},
    }


def _best(study: Study, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the best feasible trial, or the Pareto front sorted by the first objective.

    The list is empty if no trial is complete and feasible.
    """
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        return []
    if len(study.directions) == 1:
        try:
            return [study.best_trial]
        except ValueError:  # no trial is feasible
            return []
    return sorted(study.best_trials, key=lambda trial: (trial.values[0], trial.number))


def _compromise(study: Study) -> dict[str, Any] | None:
    """Return the best compromise of the objectives; None before any trial has a value."""
    with suppress(ValueError):
        chosen = compromise(study)
        return {
            "number": chosen.number,
            "values": {name: _number(value) for name, value in chosen.values.items()},
            "predicted": list(chosen.predicted),
            "regrets": chosen.regrets,
        }
    return None


def _shown(
    study: Study,
    trials: Sequence[FrozenTrial],
    best: Sequence[FrozenTrial],
    wanted: int | str | None,
) -> FrozenTrial | None:
    """Return the trial whose reasons are shown; None if there is no such trial yet."""
    several = len(study.directions) > 1
    if isinstance(wanted, int):
        if wanted >= len(trials):
            raise ValueError(f"--trial {wanted}: the study's last trial is {len(trials) - 1}")
        return trials[wanted]
    if wanted == "best" and several:
        front = ", ".join(str(trial.number) for trial in best)
        raise ValueError(
            "--trial best: a study with several objectives has no single best trial; give the "
            f"number of a trial on the front: {front}"
        )
    if wanted == "last" or several:
        proposed = [trial for trial in trials if trial.state != TrialState.WAITING]
        return proposed[-1] if proposed else None
    return best[0] if best else None


def _facts(trial: FrozenTrial, names: Sequence[str]) -> dict[str, Any]:
    """Return a trial as JSON values; with ``MRSpace``, also its code in the published form."""
    values = [_number(value) for value in trial.values or ()]
    facts: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "values": dict(zip(names, values, strict=False)) or reported_tasks(trial, names),
        "params": trial.params,
        "seconds": None if trial.duration is None else trial.duration.total_seconds(),
    }
    space = MRSpace()
    if trial.params.keys() == {*space.names}:
        with suppress(ValueError):  # the values may belong to another space with the same names
            facts["code"] = space.to_string(space.to_code(trial.params))
    return facts


def _importances(study: Study, names: Sequence[str]) -> dict[str, Any]:
    """Return each parameter's share of the variance of each metric, and a note if one has none."""
    of: dict[str, dict[str, float]] = {}
    note = None
    evaluator = FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, name in enumerate(names):
            try:
                of[name] = get_param_importances(study, evaluator=evaluator, target=_Value(i))
            except (RuntimeError, ValueError) as error:  # too few trials, or equal values
                note = f"no importances of {name}: {error}"
                continue
            if not of[name]:
                note = f"no importances of {name}: fewer than two complete trials share parameters"
    return {"evaluator": EVALUATOR, "of": of, "note": note}


@dataclass(frozen=True)
class _Value:
    """Function that returns one of the values of a trial."""

    index: int

    def __call__(self, trial: FrozenTrial) -> float:
        return float(trial.values[self.index])


def _number(value: float) -> float | str:
    """Return a number for JSON, which does not support infinity."""
    return value if math.isfinite(value) else str(value)
