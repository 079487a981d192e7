"""Hashable keys for categories: exact keys, and keys of the categories' JSON forms."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import Any

import numpy as np


def category_key(value: Any) -> Hashable:
    """Return a hashable key, equal for categories of one type that are equal or are both NaN."""
    if _is_nan(value):
        return type(value), None
    try:
        hash(value)
    except TypeError:  # such as a list
        return _UnhashableKey(value)
    return type(value), value


def json_form(value: Any) -> Hashable:
    """Return a hashable key that is equal for values with the same JSON form.

    A tuple becomes a list in JSON, and the keys of a dictionary become strings.
    """
    if isinstance(value, list | tuple):
        return (list, *map(json_form, value))
    if isinstance(value, dict):
        keys = [key if isinstance(key, str) else json_form(key) for key in value]
        return (dict, frozenset(zip(keys, map(json_form, value.values()), strict=True)))
    try:
        return json.dumps(value.item() if isinstance(value, np.generic) else value)
    except (TypeError, ValueError):  # such as a class, which JSON cannot store
        return category_key(value)


def same_category(a: Any, b: Any) -> bool:
    """Return True if two categories are the same; NaN is the same as NaN."""
    return type(a) is type(b) and bool(a == b or (_is_nan(a) and _is_nan(b)))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


class _UnhashableKey:
    def __init__(self, value: Any) -> None:
        self._value = value

    def __hash__(self) -> int:
        return hash(type(self._value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _UnhashableKey) and same_category(self._value, other._value)
