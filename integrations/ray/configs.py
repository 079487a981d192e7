"""The configs of a Tune run: where a search's params and constants stand in them.

A parameter in a nested config is named by its path, ``a/b`` for ``config["a"]["b"]``, as Ray names
it in results. A config is *nested* ({"a": {"b": 1}}) or *flat* ({"a/b": 1}).
"""

from __future__ import annotations

import copy
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ncp_sampler import checks
from ncp_sampler.space.categories import json_form
from ncp_sampler.space.dimensions import Categorical, Dimension, Float
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)
MISSING = object()  # Value at a path that a config lacks
_OBJECT_MARK = "__ref_ph"  # First item of the tuple by which a Tuner replaces an object


@dataclass(frozen=True)
class TuneSpace:
    """A search space whose parameters stand at paths of a nested config.

    Attributes:
        space: The space; each parameter is named by its path.
        constants: Nested config that every config has besides.
        added: Nested config of the constants that Ray adds itself, those of a ``param_space``.

    Raises:
        ValueError: A path that leads through another parameter or a constant.
    """

    space: SearchSpace
    constants: Mapping[str, Any] = field(default_factory=dict)
    added: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.space.names:
            inner = [n for n in self.space.names if n.startswith(f"{name}/")]
            if inner:
                raise ValueError(f"{inner[0]!r} lies inside parameter {name!r}; rename one")
        self.config(dict.fromkeys(self.space.names))

    def config(self, params: Params) -> dict[str, Any]:
        """The nested config of params."""
        config = copy.deepcopy(dict(self.constants))
        for name, value in params.items():
            *above, last = name.split("/")
            node = config
            for key in above:
                node = node.setdefault(key, {})
                if not isinstance(node, dict):
                    raise ValueError(f"{name!r} leads through the constant {key!r}; rename one")
            # a choice may be a list, and is the space's
            node[last] = copy.deepcopy(value) if isinstance(value, list | dict | set) else value
        return config

    def within(self, constants: Mapping[str, Any]) -> TuneSpace:
        """Return the space as a part of a ``param_space``, whose constants Ray adds.

        A constant that differs from that of an earlier ``param_space`` is logged.

        Raises:
            ValueError: A constant differs from the space's, or stands at a parameter's path.
        """
        declared = TuneSpace(self.space, self.constants)
        for path, (value, own) in declared.other_constants(constants).items():
            raise ValueError(
                f"param_space has {path}={value!r}, but NCPSearch(space=...) {own!r}; give one "
                "value, or leave it out of one of them"
            )
        for path, (value, own) in self.other_constants(constants).items():
            _logger.warning(
                "param_space has %s=%r, but that of the trials before %r; if that is another task, "
                "give a new NCPSearch, with the run before in sources=[...]", path, value, own
            )  # fmt: skip
        for name in self.space.names:
            if (value := find(constants, name)) is not MISSING:
                raise ValueError(
                    f"param_space fixes {name}={value!r}, which NCPSearch(space=...) searches; "
                    "leave it out of one of them"
                )
        TuneSpace(self.space, constants)
        return TuneSpace(self.space, self.constants, constants)

    def other_constants(
        self, config: Mapping[str, Any], prefix: str = ""
    ) -> dict[str, tuple[Any, Any]]:
        """Return the constants of a config that differ from the space's: path -> both values.

        Those that the config lacks do not differ. Objects that JSON cannot hold are not compared.
        """
        found = {path: (find(config, prefix + path, own), own) for path, own in self._plain.items()}
        return {path: pair for path, pair in found.items() if not _equal(*pair)}

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """Constants that JSON can hold, by path."""
        both = {**dict(leaves(self.added)), **dict(leaves(self.constants))}
        return {path: value for path, value in both.items() if _is_plain(value)}

    def params(self, config: Mapping[str, Any], prefix: str = "") -> Params:
        """Return the space's params in a nested or flat config.

        Args:
            config: The config, or a result with a config at ``prefix``. Whatever it holds besides
                params and constants is left out.
            prefix: Path of the config.

        Raises:
            ValueError: It is no dictionary, lacks a parameter, or has another constant.
        """
        if not isinstance(config, Mapping):
            raise checks.refusal("config", config, "be a dictionary, flat or nested")
        for path, (value, own) in self.other_constants(config, prefix).items():
            raise ValueError(
                f"config has the constant {path}={value!r}, but the search {own!r}; leave it out "
                "if it makes no difference, or give trials of another task as sources=[...]"
            )
        found = {dim.name: param(dim, config, prefix + dim.name) for dim in self.space.dimensions}
        missing = [name for name, value in found.items() if value is MISSING]
        if missing:
            raise ValueError(
                f"config lacks {missing}; give every parameter of {self.space}, flat "
                f'({{"a/b": 1}}) or nested ({{"a": {{"b": 1}}}})'
            )
        return found


def find(config: Mapping[str, Any], path: str, default: Any = MISSING) -> Any:
    """The value at a path of a flat, nested or partly nested config or result."""
    if path in config:
        return config[path]
    head, _, rest = path.partition("/")
    inner = config.get(head)
    return find(inner, rest, default) if rest and isinstance(inner, Mapping) else default


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested config with their paths, as Ray flattens results."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def param(dim: Dimension, config: Mapping[str, Any], path: str) -> Any:
    """Return the value of a parameter at a path of a config, as ``find`` does.

    Ray flattens results, and with them a category that is a dictionary: it is put together again.
    """
    value = find(config, path)
    if value is not MISSING or not isinstance(dim, Categorical):
        return _within(dim, value)
    start = f"{path}/"
    flat = {key[len(start) :]: inner for key, inner in config.items() if key.startswith(start)}
    dicts = [choice for choice in dim.choices if isinstance(choice, dict)]
    alike = [choice for choice in dicts if json_form(dict(leaves(choice))) == json_form(flat)]
    return alike[0] if flat and len(alike) == 1 else MISSING


def _equal(a: Any, b: Any) -> bool:
    """Return True if two constants are one number, or alike in JSON."""
    number = (int, float, np.generic)
    return json_form(a) == json_form(b) or (
        isinstance(a, number) and isinstance(b, number) and bool(a == b)
    )


def _is_plain(value: Any) -> bool:
    """Return True if JSON can hold a constant, and no object stood in its place."""
    if isinstance(value, list | tuple):
        return value[:1] != (_OBJECT_MARK,) and all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, str | int | float)


def _within(dim: Dimension, value: Any) -> Any:
    """A value as it is, or the end of a log range beside which Tune's rounding has put it.

    It draws exp(log(low)), say: of loguniform(1e-3, 1e-3) always 0.0010000000000000002.
    """
    if not isinstance(dim, Float) or not dim.log or not isinstance(value, float):
        return value
    end = min(max(value, dim.low), dim.high)
    rounding = sys.float_info.epsilon * (1 + abs(math.log(end))) * end
    return end if abs(value - end) <= rounding else value
