"""Earlier runs as sources, in the optimizer's terms."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.result import DONE

from ncp_sampler.integrations.ray.configs import MISSING, TuneSpace, param
from ncp_sampler.integrations.ray.metrics import RunTrials, metrics_in, run_trials
from ncp_sampler.optimizer.sources import EarlierTrials, Source, check_fixed, checked_sources
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)
_MUST = (
    "be a ResultGrid, an ExperimentAnalysis, Records, the path of a CSV file, or a Source with "
    "one of them"
)


def read_sources(given: Any) -> tuple[Source, ...]:
    """Return the argument ``sources`` as plain values.

    Raises:
        ValueError: As ``checked_sources``.
    """
    return checked_sources(given, _snapshot, RunTrials, _MUST)


def in_search(sources: Sequence[Source], space: TuneSpace, told: Sequence[str]) -> list[Source]:
    """Return the sources, runs as trials in a search's names.

    Trials that do not fit are left out with a warning. A run of other constants is another task's
    unless the source says that it is not.

    Args:
        sources: From ``checked_sources``.
        space: The search's space.
        told: Its metrics and constraints, which a run reports under the same names.

    Raises:
        ValueError: A fixed value of a parameter that all trials of a run have.
    """
    return [
        replace(source, trials=_trials(f"sources[{i}]", source, space, told))
        if isinstance(source.trials, RunTrials)
        else source
        for i, source in enumerate(sources)
    ]


def _snapshot(_: str, given: Any) -> Any:
    """A run's trials; anything else as it is."""
    run = run_trials(given)
    return given if run is None else run


def _trials(name: str, source: Source, space: TuneSpace, told: Sequence[str]) -> EarlierTrials:
    params, metrics, complete = [], [], []
    others: dict[str, tuple[Any, Any]] = {}
    given = [_params(space, config, {}) for config, _, _ in source.trials.rows]
    check_fixed(name, source.fixed, given)
    for config, result, error in source.trials.rows:
        trial = result["trial_id"]
        values = {} if error else metrics_in(result, told)
        if not values and not error:
            _logger.warning("%s: trial %s reported none of %s", name, trial, told)
        found = _params(space, config, source.fixed)
        if reason := _reason_against(space.space, found):
            _logger.warning("%s: trial %s is left out: %s", name, trial, reason)
            continue
        params.append(found)
        metrics.append(values)
        complete.append(bool(error or (values and result.get(DONE))))
        others |= space.other_constants(config)
    for path, (value, own) in others.items() if source.same_task is None else ():
        _logger.warning(
            "%s has %s=%r, but the search %r, so it is taken for another task; if it is the same, "
            "give Source(..., same_task=True)", name, path, value, own
        )  # fmt: skip
    alike = not others and len(params) == len(source.trials.rows)
    return EarlierTrials(params, metrics, complete, alike)


def _params(space: TuneSpace, config: Mapping[str, Any], fixed: Mapping[str, Any]) -> Params:
    """Return those of a space's params that a config has and that are not fixed."""
    dims = [dim for dim in space.space.dimensions if dim.name not in fixed]
    found = {dim.name: param(dim, config, dim.name) for dim in dims}
    return {name: value for name, value in found.items() if value is not MISSING}


def _reason_against(space: SearchSpace, params: Params) -> str:
    """Return why params cannot be brought to the nearest legal ones; empty if they can."""
    for dim in space.dimensions:
        value = params.get(dim.name, MISSING)
        text = isinstance(dim, Categorical) and str(value) in map(str, dim.choices)
        if value is not MISSING and not text:
            try:
                SearchSpace([dim]).to_code({dim.name: value}, clip=True)
            except ValueError as error:
                return str(error)
    return ""
