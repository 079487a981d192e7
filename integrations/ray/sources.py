"""Earlier runs as sources, in the optimizer's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ray.tune.result import DONE

from ncp_sampler.integrations.ray.metrics import RunTrials, metrics_in, run_trials
from ncp_sampler.integrations.ray.space import find
from ncp_sampler.optimizer.sources import EarlierTrials, Source, checked_sources

_MISSING = object()
_MUST = (
    "be a ResultGrid, an ExperimentAnalysis, Records, the path of a CSV file, or a Source with "
    "one of them"
)


def read_sources(given: Any) -> tuple[Source, ...]:
    """The argument ``sources`` as plain values.

    Raises:
        ValueError: As ``checked_sources``.
    """
    return checked_sources(given, _snapshot, RunTrials, _MUST)


def in_search(sources: Sequence[Source], names: Sequence[str], told: Sequence[str]) -> list[Source]:
    """The sources, runs as trials in a search's names.

    Args:
        sources: From ``checked_sources``.
        names: Paths of the search's parameters.
        told: Its metrics and constraints, which a run reports under the same names.
    """
    return [
        replace(source, trials=_trials(source.trials, {*names} - {*source.fixed}, told))
        if isinstance(source.trials, RunTrials)
        else source
        for source in sources
    ]


def _snapshot(_: str, given: Any) -> Any:
    """A run's trials; anything else as it is."""
    run = run_trials(given)
    return given if run is None else run


def _trials(run: RunTrials, names: set[str], told: Sequence[str]) -> EarlierTrials:
    params, metrics, complete = [], [], []
    for config, result, error in run.rows:
        found = {name: find(config, name, _MISSING) for name in sorted(names)}
        params.append({name: value for name, value in found.items() if value is not _MISSING})
        metrics.append({} if error else metrics_in(result, told))
        complete.append(bool(error or result.get(DONE)))
    return EarlierTrials(params, metrics, complete)
