"""Hashable keys of categories: exact, and of their JSON forms."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import Any

import numpy as np


class CategoryKey:
    """Hashable key of a category: distinguished by type and equality, NaN equal to NaN."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __hash__(self) -> int:
        try:
            return hash((type(self._value), None if _is_nan(self._value) else self._value))
        except TypeError:  # such as a list
            return hash(type(self._value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CategoryKey) and same_category(self._value, other._value)


def json_form(value: Any) -> Hashable:
    """Return a hashable key that a value shares with its JSON round trip alone.

    A tuple becomes a list in JSON, and the keys of a dictionary become strings.
    """
    if isinstance(value, list | tuple):
        return (list, *map(json_form, value))
    if isinstance(value, dict):
        keys = [key if isinstance(key, str) else json_form(key) for key in value]
        return (dict, frozenset(zip(keys, map(json_form, value.values()), strict=True)))
    try:
        return json.dumps(value.item() if isinstance(value, np.generic) else value)
    except (TypeError, ValueError):  # such as a class, which JSON cannot hold
        return CategoryKey(value)


def same_category(a: Any, b: Any) -> bool:
    """Return True if two categories are the same, also for NaN and NaN."""
    return type(a) is type(b) and bool(a == b or (_is_nan(a) and _is_nan(b)))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
