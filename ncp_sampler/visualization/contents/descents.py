"""Content of the figure of a proposal's origin: the chain of trials that led to the proposal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ncp_sampler import checks
from ncp_sampler.optimizer.explanation import reasons_of
from ncp_sampler.space.search_space import SearchSpace
from ncp_sampler.visualization.contents.traces import Curve, Edits, panels_of
from ncp_sampler.visualization.style import with_unit


def descent_of(study: Any, space: SearchSpace, *, trial: int | None = None) -> Edits:
    """Return the content of ``plot_descent``.

    Raises:
        ValueError: If there is no such trial, or if a trial lacks a parameter that exists given the
            trial's other params.
    """
    checks.instance("space", space, SearchSpace, "be the SearchSpace of the study's trials")
    chain = _chain(study, trial)
    lacked = {name for trial in chain for name in space.missing(trial.params)}
    missing = [name for name in space.names if name in lacked]
    if missing:
        raise ValueError(
            f"space has {missing}, but some of the trials {[trial.number for trial in chain]} lack "
            "them; give a space whose parameters all these trials have"
        )
    codes = np.array([space.to_code(trial.params, clip=True) for trial in chain], dtype=np.float64)
    return Edits(
        heading="Observed, and predicted",
        curves=tuple(_curves(chain, space)),
        panels=panels_of(space, codes),
        step="trial",
        names=tuple(str(trial.number) for trial in chain),
        title=f"How trial {chain[-1].number} came about, from trial {chain[0].number}"
        if len(chain) > 1
        else f"Trial {chain[-1].number}, not proposed from another trial",
    )


def origin_of(study: Any, trial: int | None = None) -> list[int]:
    """Return the numbers of the trials that led to a trial, ending with that trial.

    Raises:
        ValueError: If there is no such trial.
    """
    return [ancestor.number for ancestor in _chain(study, trial)]


def _chain(study: Any, number: int | None) -> list[Any]:
    """Return the chain of trials that ends with a trial, each proposed from the previous one."""
    trials = getattr(study, "trials", None)
    if not isinstance(trials, Iterable):
        raise checks.refusal("study", study, "be an Optuna study")
    known = {trial.number: trial for trial in trials}
    if number is None:
        number = _best(study, known)
    if checks.integer("trial", number) not in known:
        raise ValueError(f"trial={number} is not in the study, which has {len(known)} trials")
    chain = [known[number]]
    while (before := _source(chain[0])) in known and known[before] not in chain:
        chain.insert(0, known[before])
    return chain


def _best(study: Any, known: Mapping[int, Any]) -> int:
    """Return the number of the best trial, or of the latest trial on the Pareto front."""
    best = study.best_trials if any(trial.values for trial in known.values()) else []
    if not best:
        raise ValueError(f"study={checks.shown(study)} has no best trial; complete a feasible one")
    return max(int(trial.number) for trial in best)


def _source(trial: Any) -> int | None:
    """Return the number of the trial from which a trial was proposed, if any."""
    start = _reasons(trial).get("start", {})
    number: int | None = start.get("trial")
    return number


def _reasons(trial: Any) -> Mapping[str, Any]:
    try:
        return reasons_of(trial)
    except ValueError:  # the trial was enqueued, or another sampler proposed it
        return {}


def _curves(chain: list[Any], space: SearchSpace) -> list[Curve]:
    """Return a curve of observed and predicted values for each objective."""
    objectives = [_reasons(trial).get("objectives", ()) for trial in chain]
    names: list[str] = next((list(reported) for reported in reversed(objectives) if reported), [])
    if not names:
        n = len(chain[-1].values or ())
        names = ["value"] if n == 1 else [f"value_{i}" for i in range(n)]
    curves = []
    for i, name in enumerate(names):
        values = [t.values[i] if t.values else math.nan for t in chain]
        known = [_reasons(t).get("metrics", {}).get(name, {}) for t in chain]
        mean = [prediction.get("mean", prediction.get("value", math.nan)) for prediction in known]
        std = [
            prediction.get("std", 0.0 if "value" in prediction else math.nan)
            for prediction in known
        ]
        curves.append(
            Curve(with_unit(name, space.units), np.array(values), (np.array(mean), np.array(std)))
        )
    return curves
