"""Attributes of a space that figures use: units of metrics, and groups of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ncp_sampler import checks


class Group(NamedTuple):
    """Parameters that belong together in figures.

    Attributes:
        title: Title of the group.
        quantity: Quantity that the parameters specify, such as "channels".
        names: Names of the parameters.

    Examples:
        >>> Group("Size", "number", ("width", "depth")).names
        ('width', 'depth')
    """

    title: str
    quantity: str
    names: tuple[str, ...]


def check_units(units: Mapping[str, str]) -> dict[str, str]:
    """Check units, and return them as a dictionary from each metric or cost to its unit.

    Raises:
        ValueError: ``units`` is not a mapping from names to units.
    """
    checks.instance("units", units, Mapping, "map names to units")
    for name, unit in units.items():
        checks.text("units", name)
        checks.text(f"units[{name!r}]", unit)
    return dict(units)


def check_groups(groups: Sequence[Group], names: Sequence[str]) -> tuple[Group, ...]:
    """Check groups of a space's parameters, and return them.

    Raises:
        ValueError: An element is not a group, or a parameter is not among ``names``.
    """
    checked = checks.sequence("groups", groups, Group, "be a sequence of Group")
    unknown = [name for group in checked for name in group.names if name not in names]
    if unknown:
        raise ValueError(f"groups has unknown parameters {unknown}; known are {list(names)}")
    return tuple(checked)


def comparable(features: Any, space: object) -> Any:
    """Return a space's feature map in a form that compares equal for equal spaces."""
    if isinstance(features, partial):  # equal partials do not compare equal
        return features.func, features.args, features.keywords
    if getattr(features, "__self__", None) is space:  # a method of the space
        return features.__func__
    return features
