"""Conversion of Ray's metric, mode, configs and results to the optimizer's types.

A nested value is named by its path: ``a/b`` for ``config["a"]["b"]``. A config or a result is
*nested* ({"a": {"b": 1}}) or *flat* ({"a/b": 1}).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ncp_sampler import checks

_logger = logging.getLogger(__name__)
_DIRECTIONS = {"min": "minimize", "max": "maximize"}

MISSING = object()  # Value at a path that a config lacks
Names: TypeAlias = str | Sequence[str]


def checked_objective(metric: Names | None, mode: Names | None) -> tuple[Any, Any]:
    """Return a valid metric and mode: both None, both strings, both lists, or a mode alone."""
    names, modes = checked_names(metric), _as_list(mode)
    if names and not modes:
        raise ValueError(f'metric={metric!r} without mode; give mode="min" or mode="max"')
    if any(given not in list(_DIRECTIONS) for given in modes):
        raise checks.refusal("mode", mode, 'be "min" or "max", for each metric')
    listed = isinstance(mode, list | tuple)
    pair = isinstance(metric, str) == isinstance(mode, str) and len(names) == len(modes) > 0
    if not pair and (listed or metric is not None):
        raise ValueError(
            f"metric={metric!r} and mode={mode!r} must both be strings, or lists of equal length"
        )
    return (names, modes) if listed else (metric, mode)


def checked_names(metric: Any) -> list[str]:
    """Return the names of the metrics; an empty list for None."""
    names = _as_list(metric)
    if any(not isinstance(name, str) or not name for name in names) or len({*names}) < len(names):
        raise checks.refusal("metric", metric, "be the metric's name, or a list of several")
    return names


def directions(metric: Names | None, mode: Names | None) -> dict[str, str]:
    """Return the optimizer's directions for a checked metric and mode; raise if one is missing."""
    if mode is None or metric is None:
        raise ValueError(
            "NCPSearch has no metric and mode; give NCPSearch(metric=..., mode=...): those of "
            "TuneConfig do not reach the searcher without a param_space"
        )
    pairs = zip(_as_list(metric), _as_list(mode), strict=True)
    return {name: _DIRECTIONS[given] for name, given in pairs}


def find(config: Mapping[str, Any], path: str, default: Any = MISSING) -> Any:
    """Return the value at a path of a flat, nested or partly nested config or result."""
    if path in config:
        return config[path]
    head, _, rest = path.partition("/")
    inner = config.get(head)
    return find(inner, rest, default) if rest and isinstance(inner, Mapping) else default


def metrics_in(result: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Return the metrics in a result, with NaN for values that are not numbers."""
    values = _reported(result, names)
    return {name: (floats([value]) or [math.nan])[0] for name, value in values.items()}


def warn_of(trial_id: str, result: Mapping[str, Any], names: Sequence[str]) -> None:
    """Warn if the last result of a trial lacks the metrics, or has values that are not numbers."""
    values = _reported(result, names)
    no_numbers = {name: value for name, value in values.items() if floats([value]) is None}
    reason = f"values that are not numbers: {no_numbers}" if values else f"none of {[*names]}"
    if no_numbers or not values:
        _logger.warning("no value is learned from trial %s: it reported %s", trial_id, reason)


def named_values(value: Any, names: Sequence[str]) -> dict[str, float]:
    """Return the metrics by name, given None, a number, a sequence in order, or a mapping."""
    if value is None:
        return {}
    given = list(value) if isinstance(value, Mapping) else list(names)
    numbers = floats(value)
    if numbers is None or len(numbers) != len(given):
        raise checks.refusal("value", value, f"have a number for each of {list(names)}")
    return dict(zip(given, numbers, strict=True))


def checked_list(name: str, values: Any, must: str) -> list[Any]:
    """Return the items of a sequence or array (NumPy or another library) as a list."""
    plain = values.tolist() if hasattr(values, "tolist") else values
    return checks.sequence(name, plain, object, must)


def floats(value: Any) -> list[float] | None:
    """Return the values of one or several metrics as floats; None if any is not a number."""
    values = list(value.values()) if isinstance(value, Mapping) else _as_list(value)
    try:
        return [float(v.item() if isinstance(v, np.ndarray) else v) for v in values]
    except Exception:  # the error's type depends on the value: a tensor can raise RuntimeError
        return None


def _reported(result: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: v for name in names if (v := find(result, name, None)) is not None}


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple | np.ndarray) else [given]
