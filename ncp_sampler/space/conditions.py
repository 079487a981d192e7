"""Conditions for parameters that exist only for certain values of other parameters.

A parameter has at most one parent, so parents and children form trees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ncp_sampler import checks
from ncp_sampler.space.categories import same_category
from ncp_sampler.space.dimensions import (
    Categorical,
    Dimension,
    Float,
    Integer,
    n_values,
)

_LISTED = 1000  # Maximum length of a range whose values are listed one by one
_COLLECTIONS = (list, tuple, range, set, frozenset)


class Condition(NamedTuple):
    """Condition for a parameter to exist: its parent exists and has one of the given values.

    Attributes:
        parent: Name of the parent, a categorical or an integer.
        values: Values of the parent for which the parameter exists.

    Examples:
        >>> Condition("n_layers", (2, 3, 4)).parent
        'n_layers'
    """

    parent: str
    values: tuple[Any, ...] | range


Conditions: TypeAlias = Mapping[str, tuple[str, Any]]  # parameter -> parent, and its values


def checked_conditions(
    given: Conditions | None, dimensions: Sequence[Dimension]
) -> dict[str, Condition]:
    """Return the conditions, parents before their children, without those that always hold.

    A ``Condition`` may have no values, because ``narrowed`` may have removed all of them.

    Raises:
        ValueError: A parameter or parent is unknown, a parent is a float, the values are missing or
            are not values of the parent, or the conditions form a cycle.
    """
    must = 'map parameters to a parent and its values, such as {"w2": ("n_layers", [2, 3])}'
    left = dict(checks.instance("conditions", {} if given is None else given, Mapping, must))
    dims = {dim.name: dim for dim in dimensions}
    conditions = {name: _checked(name, condition, dims) for name, condition in left.items()}
    ordered: dict[str, Condition] = {}
    while conditions:
        ready = {
            n: condition
            for n, condition in conditions.items()
            if condition.parent not in conditions
        }
        if not ready:
            raise ValueError(
                f"conditions of {sorted(conditions)} form a cycle; a parameter must not be "
                "its own parent, directly or indirectly"
            )
        for name, condition in ready.items():
            every = len(condition.values) == n_values(dims[condition.parent])
            if not every or condition.parent in ordered:
                ordered[name] = condition
            del conditions[name]
    return ordered


def narrowed(
    conditions: Mapping[str, Condition], dimensions: Sequence[Dimension]
) -> dict[str, Condition]:
    """Restrict conditions on categorical parents to the categories in the given dimensions."""
    choices = {dim.name: dim.choices for dim in dimensions if isinstance(dim, Categorical)}
    return {
        name: condition._replace(
            values=tuple(v for v in condition.values if _is_among(v, choices[condition.parent]))
        )
        if condition.parent in choices
        else condition
        for name, condition in conditions.items()
    }


def describe(conditions: Mapping[str, Condition], params: Mapping[str, Any], name: str) -> str:
    """Return a phrase for error messages: the parent's value, due to which a parameter exists."""
    parent = conditions[name].parent
    return f"{name!r} exists with {parent}={checks.shown(params.get(parent))}"


def _checked(name: Any, given: Any, dims: Mapping[str, Dimension]) -> Condition:
    argument = f"conditions[{name!r}]"
    if name not in dims:
        raise ValueError(
            f"conditions has {name!r}, which is not a parameter of the space: {list(dims)}"
        )
    must = 'be a parent and its values, such as ("n_layers", [2, 3])'
    if not isinstance(given, list | tuple) or len(given) != 2 or not isinstance(given[0], str):
        raise checks.refusal(argument, given, must)
    parent, values = given
    if parent not in dims:
        raise ValueError(f"{argument} has the parent {parent!r}; the space has {list(dims)}")
    dim = dims[parent]
    if isinstance(dim, Float):
        raise ValueError(
            f"{argument} has the parent {parent!r}, a float; give a categorical or an integer"
        )
    if not isinstance(values, _COLLECTIONS):
        must = f"be a list of values of {parent!r}, or a range"
        raise checks.refusal(f"{argument}: values", values, must)
    if not len(values) and not isinstance(given, Condition):
        raise ValueError(
            f"{argument} has no value of {parent!r}, so that {name!r} never exists; give at least "
            "one, or leave the parameter out"
        )
    try:
        return Condition(parent, _checked_values(dim, values))
    except ValueError as error:
        raise ValueError(f"{argument}: {error}") from None


def _checked_values(dim: Integer | Categorical, values: Any) -> tuple[Any, ...] | range:
    """Return the distinct values in ascending order; a long range stays a range."""
    if isinstance(dim, Categorical):
        return tuple(dim.choices[i] for i in sorted({dim.index(value) for value in values}))
    long = isinstance(values, range) and len(values) > _LISTED
    for value in (values[0], values[1], values[-1]) if long else values:
        if not checks.is_number(type(value)) or nearest_value(dim, value) != value:
            raise ValueError(f"{dim.name}={checks.shown(value)} is not a value of {dim}")
    if long:
        return values[::-1] if values.step < 0 else values  # type: ignore[no-any-return]
    return tuple(sorted({int(value) for value in values}))


def nearest_value(dim: Dimension, value: Any) -> int | None:
    """Return a number's nearest valid value, or a category's position; None if there is none."""
    if isinstance(dim, Categorical):
        try:
            return dim.index(value)
        except ValueError:
            return None
    assert isinstance(dim, Integer)  # a Float cannot be a parent
    if not checks.is_number(type(value)):
        return None
    steps = (min(max(value, dim.low), dim.high) - dim.low) / dim.step
    return None if math.isnan(steps) else dim.low + dim.step * round(steps)


def _is_among(value: Any, choices: Sequence[Any]) -> bool:
    return any(same_category(value, choice) for choice in choices)
