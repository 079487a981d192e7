"""Conversion of search spaces to Tune domains and of params to nested configs, and back."""

from __future__ import annotations

import copy
import json
import logging
import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from ray import tune
from ray.tune.search import sample
from ray.tune.search.variant_generator import parse_spec_vars
from ray.tune.utils import flatten_dict

from ncp_sampler import checks
from ncp_sampler.integrations.ray.results import MISSING, find
from ncp_sampler.space.categories import json_form
from ncp_sampler.space.dimensions import STEP_TOLERANCE, Categorical, Dimension, Float, Integer
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)

_SUPPORTED = (
    "uniform, loguniform, quniform, qloguniform, randint, qrandint, lograndint, qlograndint, "
    "randn, qrandn or choice"
)
_NORMAL_RANGE = 4  # Half-width of the searched part of a normal domain, in standard deviations
# First items of the tuples by which a Tuner replaces a sample_from and an object
_SAMPLE_FROM_MARK, _OBJECT_MARK = "__fn_ph", "__ref_ph"


@dataclass(frozen=True)
class TuneSpace:
    """A search space whose parameters are named by their paths in a nested config."""

    space: SearchSpace
    constants: Mapping[str, Any] = field(default_factory=dict)  # nested, part of every config
    added: Mapping[str, Any] = field(default_factory=dict)  # param_space's constants; Ray adds them

    def __post_init__(self) -> None:
        # raises if a name is a prefix of another ("a" and "a/b"); sorted, "a" comes first
        self.config(dict.fromkeys(sorted(self.space.names)))

    def config(self, params: Params) -> dict[str, Any]:
        """Return the nested config of params."""
        config = copy.deepcopy(dict(self.constants))
        for name, value in params.items():
            *above, last = name.split("/")
            node = config
            for key in above:
                node = node.setdefault(key, {})
                if not isinstance(node, dict):
                    raise ValueError(f"{name!r} leads through {key!r}, a value; rename one")
            # a copy, because a category may be a list that belongs to the space
            node[last] = copy.deepcopy(value) if isinstance(value, list | dict | set) else value
        return config

    def params(self, config: Any, prefix: str = "") -> Params:
        """Return the space's params in a config, or in a result whose config is at ``prefix``."""
        if not isinstance(config, Mapping):
            raise checks.refusal("config", config, "be a dictionary, flat or nested")
        for path, (value, own) in self.other_constants(config, prefix).items():
            raise ValueError(
                f"config has the constant {path}={value!r}, but the search {own!r}; leave it out "
                "if the difference is irrelevant, or give trials of another task as sources=[...]"
            )
        params = self.known_params(config, prefix)
        if missing := self.space.missing(params):
            every = "every parameter that exists" if self.space.conditions else "every parameter"
            raise ValueError(
                f"config lacks {missing}; give {every} of {self.space}, flat "
                f'({{"a/b": 1}}) or nested ({{"a": {{"b": 1}}}})'
            )
        return params

    def known_params(self, config: Mapping[str, Any], prefix: str = "") -> Params:
        """Return those params of the space that a config contains."""
        values = {dim.name: _value(dim, config, prefix) for dim in self.space.dimensions}
        return {name: value for name, value in values.items() if value is not MISSING}

    def valid_params(self, config: Any, prefix: str = "", *, clip: bool = False) -> Params:
        """Return the space's params in a config, at valid values.

        With ``clip``, numbers off the range or grid are moved to the nearest valid values; without
        it, they raise ValueError.
        """
        return self.space.to_params(self.space.to_code(self.params(config, prefix), clip=clip))

    def within(self, constants: Mapping[str, Any]) -> TuneSpace:
        """Return the space with the constants of a ``param_space``, which Ray adds to each config.

        Log a warning for each constant that differs from an earlier ``param_space``.
        """
        for path, (value, own) in self.other_constants(constants).items():
            if find(self.constants, path) is not MISSING:
                raise ValueError(
                    f"param_space has {path}={value!r}, but NCPSearch(space=...) {own!r}; give one "
                    "value, or leave it out of one of them"
                )
            _logger.warning(
                "param_space has %s=%r, but in the earlier trials it had %r; if this is another "
                "task, give a new NCPSearch, with the earlier run in sources=[...]",
                path, value, own,
            )  # fmt: skip
        for name in self.space.names:
            if (value := find(constants, name)) is not MISSING:
                raise ValueError(
                    f"param_space fixes {name}={value!r}, which NCPSearch(space=...) searches; "
                    "leave it out of one of them"
                )
        TuneSpace(self.space, constants)  # raises if they overlap
        return TuneSpace(self.space, self.constants, constants)

    def other_constants(
        self, config: Mapping[str, Any], prefix: str = ""
    ) -> dict[str, tuple[Any, Any]]:
        """Return path -> (config's value, own value) for constants that differ from the space's.

        Missing constants do not count as different. Objects that JSON cannot store are not
        compared.
        """
        others = {}
        for path, own in self._plain.items():
            value = find(config, prefix + path, own)
            numbers = all(isinstance(number, int | float | np.generic) for number in (value, own))
            if json_form(value) != json_form(own) and not (numbers and value == own):
                others[path] = value, own
        return others

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """Constants that JSON can store, by path, without the placeholders for objects."""
        # nested under an empty key, because flatten_dict needs strings as keys at the top level
        added, own = (flatten_dict({"": dict(given)}) for given in (self.added, self.constants))
        plain = {}
        for path, value in {**added, **own}.items():
            with suppress(TypeError, ValueError):
                if _OBJECT_MARK not in json.dumps(value):
                    plain[path[1:]] = value
        return plain


def declared_space(space: SearchSpace | Mapping[str, Any] | None) -> TuneSpace | None:
    """Return the argument ``space`` of ``NCPSearch`` as a ``TuneSpace``."""
    if isinstance(space, SearchSpace):
        return TuneSpace(space)
    declared = from_domains(space) if isinstance(space, Mapping) else None
    if declared is None and space is not None:
        must = (
            f"{checks.A_SPACE}, or a dictionary with at least one Tune domain, such as "
            "tune.uniform(0, 1)"
        )
        raise checks.refusal("space", space, must)
    return declared


def from_domains(config: Mapping[str, Any]) -> TuneSpace | None:
    """Return the search space of the Tune domains in a nested config; None if it has none.

    Raises:
        ValueError: The config is not a dictionary, or contains a grid search, ``sample_from``, a
            domain that the optimizer cannot search, or a domain in a list or under a key with
            ``/``.

    Examples:
        >>> from ray import tune
        >>> tune_space = from_domains({"net": {"width": tune.qrandint(8, 64, 8)}, "epochs": 3})
        >>> tune_space.space.names
        ('net/width',)
    """
    checks.instance("config", config, Mapping, "be a dictionary with Tune domains in it")
    fixed, domains, grids = parse_spec_vars(dict(config))
    for path, _ in grids:
        raise ValueError(
            f"{_joined(path)!r} is a grid_search, which no search algorithm supports; use "
            "tune.choice, or run the grid without search_alg"
        )
    for path, value in fixed:
        if path[-1] == 0 and isinstance(value, str) and value == _SAMPLE_FROM_MARK:
            raise _no_sample_from(_joined(path[:-1]))
    for path, _ in domains:
        if not all(isinstance(key, str) and key for key in path):
            raise ValueError(
                f"{_joined(path)!r} is a domain in a list, or under a key that is empty or not a "
                "string; use a dictionary whose keys are nonempty strings"
            )
        if any("/" in key for key in path):
            raise ValueError(
                f"{list(path)!r} has a key with '/', which separates nested keys; rename it, or "
                'nest: {"a": {"b": ...}} for "a/b"'
            )
    if not domains:
        return None
    space = SearchSpace([to_dimension("/".join(path), domain) for path, domain in domains])
    return TuneSpace(space, _constants(config))


def to_dimension(name: str, domain: Any) -> Dimension:
    """Return the dimension of a Tune domain.

    A normal domain has no bounds; it is searched within 4 standard deviations of its mean.
    """
    if domain.is_function():
        raise _no_sample_from(name)
    sampler = domain.get_sampler()
    step = None
    if isinstance(sampler, sample.Quantized):
        sampler, step = sampler.get_sampler(), sampler.q
    log = isinstance(sampler, sample.LogUniform)
    if isinstance(sampler, sample.Normal):
        reach = _NORMAL_RANGE * sampler.sd
        low, high = sampler.mean - reach, sampler.mean + reach
        if step is not None:  # in decimals, as Float counts: -3 * 0.1 is not -0.3
            low, high = (float(round(end / step) * Decimal(str(step))) for end in (low, high))
        return Float(name, low, high, step)
    if not isinstance(sampler, sample.Uniform | sample.LogUniform):
        raise ValueError(
            f"{name!r} has a domain that NCPSearch cannot search ({type(domain).__name__}, "
            f"{type(sampler).__name__}); use tune.{_SUPPORTED}"
        )
    if isinstance(domain, sample.Categorical):
        _, inner, grids = parse_spec_vars({"choices": list(domain.categories)})
        if inner or grids:
            raise ValueError(f"{name!r} has a domain among its choices; give plain values")
        return Categorical(name, tuple(domain.categories))
    low, high = domain.lower, domain.upper
    if isinstance(domain, sample.Integer):
        if step is None or step == 1:
            return Integer(name, low, high - 1, log=log)  # Tune leaves the upper bound out
        low, high = math.ceil(low / step) * step, math.floor(high / step) * step
        return Integer(name, low, high, step, log)
    return Float(name, low, high, step, log)


def to_domains(space: SearchSpace) -> dict[str, Any]:
    """Return the space as Tune domains by name; ``from_domains`` is the inverse.

    A name with ``/`` stays a single key; ``NCPSearch`` accepts such a space and nests its configs.

    Raises:
        ValueError: The argument is not a space, or it has conditions or a grid whose values are not
            multiples of its step, as those of Tune's quantized domains are.

    Examples:
        >>> from ncp_sampler import Float, SearchSpace
        >>> to_domains(SearchSpace([Float("rate", 1e-4, 1e-1, log=True)]))["rate"].upper
        0.1
    """
    checks.instance("space", space, SearchSpace, checks.A_SPACE)
    if space.conditions:
        raise ValueError(
            f"space has conditions, on {list(space.conditions)}, but Tune's domains have none; "
            "give NCPSearch(space=...) the space itself, with metric and mode"
        )
    return {dim.name: _to_domain(dim) for dim in space.dimensions}


def _to_domain(dim: Dimension) -> Any:
    if isinstance(dim, Categorical):
        return tune.choice(list(dim.choices))
    if _is_off_zero(dim):
        raise ValueError(
            f"{dim.name}: Tune's domains contain multiples of the step {dim.step}, and "
            f"low={dim.low} is not one; give NCPSearch(space=...) the space itself"
        )
    if isinstance(dim, Integer) and dim.step == 1:  # Tune leaves the upper bound out
        return (tune.lograndint if dim.log else tune.randint)(dim.low, dim.high + 1)
    if isinstance(dim, Integer):
        return (tune.qlograndint if dim.log else tune.qrandint)(dim.low, dim.high, dim.step)
    if dim.step is None:
        return (tune.loguniform if dim.log else tune.uniform)(dim.low, dim.high)
    return (tune.qloguniform if dim.log else tune.quniform)(dim.low, dim.high, dim.step)


def _is_off_zero(dim: Integer | Float) -> bool:
    """Return True if the values of a dimension are not multiples of its step."""
    if isinstance(dim, Integer):
        return dim.low % dim.step != 0
    if dim.step is None:
        return False
    steps = [end / dim.step for end in (dim.low, dim.high)]
    tolerance = STEP_TOLERANCE + 4 * sys.float_info.epsilon * max(map(abs, steps))
    # Tune requires that isclose holds, and codes require the tolerance
    return any(not math.isclose(n, round(n)) or abs(n - round(n)) > tolerance for n in steps)


def _no_sample_from(name: str) -> ValueError:
    return ValueError(
        f"{name!r} is a sample_from, whose values a search algorithm cannot choose; use "
        f"tune.{_SUPPORTED}, or compute the value in the trainable"
    )


def _joined(path: tuple[Any, ...]) -> str:
    return "/".join(map(str, path))


def _constants(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested config without its domains."""
    return {
        key: _constants(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if not isinstance(value, sample.Domain)
    }


def _value(dim: Dimension, config: Mapping[str, Any], prefix: str) -> Any:
    """Return the value of a parameter in a config, or ``MISSING``.

    Ray flattens results, including categories that are dictionaries. This function finds the
    category again. Tune draws exp(log(low)), which is 0.0010000000000000002 for
    loguniform(1e-3, 1e-3). A value that rounding has moved slightly beyond an end of a log range
    therefore counts as that end.
    """
    path = prefix + dim.name
    value = find(config, path)
    if isinstance(dim, Categorical) and value is MISSING:
        flat = {key: inner for key, inner in config.items() if key.startswith(f"{path}/")}
        dicts = [choice for choice in dim.choices if isinstance(choice, dict)]
        equal = [c for c in dicts if json_form(flatten_dict({path: c})) == json_form(flat)]
        return equal[0] if flat and len(equal) == 1 else MISSING
    if isinstance(dim, Float) and dim.log and isinstance(value, float):
        end = min(max(value, dim.low), dim.high)
        rounding = sys.float_info.epsilon * (1 + abs(math.log(end))) * end
        return end if abs(value - end) <= rounding else value
    return value
