"""Earlier runs as sources, in the optimizer's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.result import DONE

from ncp_sampler.integrations.ray.metrics import RunTrials, metrics_in, run_trials
from ncp_sampler.integrations.ray.space import find
from ncp_sampler.optimizer.sources import EarlierTrials, Source, check_fixed, checked_sources

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

    Raises:
        ValueError: A fixed value of a parameter that all trials of a run have.
    """
    return [
        replace(source, trials=_trials(f"sources[{i}]", source.trials, names, told, source.fixed))
        if isinstance(source.trials, RunTrials)
        else source
        for i, source in enumerate(sources)
    ]


def _snapshot(_: str, given: Any) -> Any:
    """A run's trials; anything else as it is."""
    run = run_trials(given)
    return given if run is None else run


def _trials(
    name: str, run: RunTrials, names: Sequence[str], told: Sequence[str], fixed: Mapping[str, Any]
) -> EarlierTrials:
    params, metrics, complete = [], [], []
    for config, result, error in run.rows:
        found = {path: find(config, path, _MISSING) for path in sorted(names)}
        params.append({path: value for path, value in found.items() if value is not _MISSING})
        metrics.append({} if error else metrics_in(result, told))
        complete.append(bool(error or result.get(DONE)))
    check_fixed(name, fixed, params)
    return EarlierTrials(params, metrics, complete)
