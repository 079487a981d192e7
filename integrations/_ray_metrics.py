"""Ray Tune's metric and mode, and the values in results, in the optimizer's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ncp_sampler.integrations._ray_space import find

_DIRECTIONS = {"min": "minimize", "max": "maximize"}

Names: TypeAlias = str | Sequence[str]


def checked_objective(metric: Names | None, mode: Names | None) -> tuple[Any, Any]:
    """Metric and mode: both None, both strings, both lists, or a string of a mode alone.

    Raises:
        ValueError: Anything else, a mode that is neither "min" nor "max", or a metric twice.
    """
    names, modes = _as_list(metric), _as_list(mode)
    if names and not modes:
        raise ValueError(f'metric={metric!r} without mode; give mode="min" or mode="max"')
    if any(one not in _DIRECTIONS for one in modes):
        raise ValueError(f'mode={mode!r} must be "min" or "max", for each metric')
    if any(not isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"metric={metric!r} must be the metric's name, or a list of several")
    alone = metric is None and not isinstance(mode, list | tuple)
    pair = isinstance(metric, str) == isinstance(mode, str) and len(names) == len(modes) > 0
    if not (alone or pair):
        raise ValueError(
            f"metric={metric!r} and mode={mode!r} must both be strings, or lists of equal length"
        )
    return (names, modes) if isinstance(mode, list | tuple) else (metric, mode)


def directions(metric: Names, mode: Names) -> dict[str, str]:
    """What ``NCPOptimizer`` takes, of a checked metric and mode."""
    pairs = zip(_as_list(metric), _as_list(mode), strict=True)
    return {name: _DIRECTIONS[one] for name, one in pairs}


def metrics_in(result: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Those of the metrics that a result has, NaN for what is no number."""
    found = {name: find(result, name, None) for name in names}
    return {name: _number(value) for name, value in found.items() if value is not None}


def named_values(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """Metrics by name: of None, a number, a sequence in order, or a mapping.

    Raises:
        ValueError: As many values as there are not.
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    values = _as_list(value)
    if len(values) != len(names):
        raise ValueError(f"value={value!r} must have a number for each of {list(names)}")
    return dict(zip(names, values, strict=True))


def _as_list(one_or_several: Any) -> list[Any]:
    if one_or_several is None:
        return []
    several = isinstance(one_or_several, list | tuple | np.ndarray)
    return list(one_or_several) if several else [one_or_several]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
