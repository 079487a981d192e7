"""Search spaces of Tune domains, and search spaces as Tune domains."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ray import tune
from ray.tune.search import sample
from ray.tune.search.variant_generator import parse_spec_vars

from ncp_sampler import checks
from ncp_sampler.integrations.ray.configs import TuneSpace
from ncp_sampler.space.dimensions import STEP_TOLERANCE, Categorical, Dimension, Float, Integer
from ncp_sampler.space.search_space import SearchSpace

_SUPPORTED = (
    "uniform, loguniform, quniform, qloguniform, randint, qrandint, lograndint, qlograndint, "
    "randn, qrandn or choice"
)
_NORMAL_RANGE = 4  # Standard deviations of a normal domain that are searched, on either side
_SAMPLE_FROM_MARK = "__fn_ph"  # First item of the tuple by which a Tuner replaces a sample_from


def declared_space(space: SearchSpace | Mapping[str, Any] | None) -> TuneSpace | None:
    """What ``NCPSearch(space=...)`` was given.

    Raises:
        ValueError: Neither a ``SearchSpace`` nor a dictionary with domains.
    """
    if space is None:
        return None
    if isinstance(space, SearchSpace):
        return TuneSpace(space)
    found = from_domains(space) if isinstance(space, Mapping) else None
    if found is None:
        must = (
            "be a SearchSpace such as MRSpace(), or a dictionary with at least one Tune domain, "
            "such as tune.uniform(0, 1)"
        )
        raise checks.refusal("space", space, must)
    return found


def from_domains(config: Mapping[str, Any]) -> TuneSpace | None:
    """The search space of the Tune domains in a nested config; None if it has none.

    Raises:
        ValueError: No dictionary, a grid search, ``sample_from``, a domain that the optimizer
            cannot search, or one that stands in a list or under a key with ``/``.

    Examples:
        >>> from ray import tune
        >>> found = from_domains({"net": {"width": tune.qrandint(8, 64, 8)}, "epochs": 3})
        >>> found.space.names
        ('net/width',)
    """
    checks.instance("config", config, Mapping, "be a dictionary with Tune domains in it")
    fixed, domains, grids = parse_spec_vars(dict(config))
    for path, _ in grids:
        raise ValueError(
            f"{_joined(path)!r} is a grid_search, which no search algorithm can take; use "
            "tune.choice, or run the grid without search_alg"
        )
    for path, value in fixed:
        if path[-1] == 0 and isinstance(value, str) and value == _SAMPLE_FROM_MARK:
            raise ValueError(_no_sample_from(_joined(path[:-1])))
    for path, _ in domains:
        _check_path(path)
    if not domains:
        return None
    space = SearchSpace([to_dimension("/".join(path), domain) for path, domain in domains])
    return TuneSpace(space, _without(config, [path for path, _ in domains]))


def to_dimension(name: str, domain: Any) -> Dimension:
    """Return the dimension of one Tune domain.

    A normal domain, which has no bounds, is searched to 4 standard deviations from its mean.

    Raises:
        ValueError: A domain that the optimizer cannot search, or an empty range.
    """
    if domain.is_function():
        raise ValueError(_no_sample_from(name))
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


def to_domain(dim: Dimension) -> Any:
    """Return the Tune domain of one dimension."""
    if isinstance(dim, Categorical):
        return tune.choice(list(dim.choices))
    if isinstance(dim, Integer) and dim.step == 1:  # Tune leaves the upper bound out
        return (tune.lograndint if dim.log else tune.randint)(dim.low, dim.high + 1)
    if isinstance(dim, Integer):
        return (tune.qlograndint if dim.log else tune.qrandint)(dim.low, dim.high, dim.step)
    if dim.step is None:
        return (tune.loguniform if dim.log else tune.uniform)(dim.low, dim.high)
    return (tune.qloguniform if dim.log else tune.quniform)(dim.low, dim.high, dim.step)


def to_domains(space: SearchSpace) -> dict[str, Any]:
    """The space as Tune domains, name -> domain; ``from_domains`` gives it back.

    A name with ``/`` stays one key; ``NCPSearch`` takes such a space itself, and nests it.

    Raises:
        ValueError: No space, or a grid that does not hold 0, as all of Tune's quantized domains do.

    Examples:
        >>> from ncp_sampler import Float, SearchSpace
        >>> to_domains(SearchSpace([Float("rate", 1e-4, 1e-1, log=True)]))["rate"].upper
        0.1
    """
    checks.instance("space", space, SearchSpace, "be a SearchSpace, such as MRSpace()")
    for dim in space.dimensions:
        if not isinstance(dim, Categorical) and _is_off_zero(dim):
            raise ValueError(
                f"{dim.name}: Tune's steps of {dim.step} count from 0, and low={dim.low} is none "
                "of them; give NCPSearch(space=...) the space itself"
            )
    return {dim.name: to_domain(dim) for dim in space.dimensions}


def _is_off_zero(dim: Integer | Float) -> bool:
    """Whether its values are others than multiples of its step."""
    if isinstance(dim, Integer):
        return dim.low % dim.step != 0
    if dim.step is None:
        return False
    steps = [end / dim.step for end in (dim.low, dim.high)]
    rounding = 4 * sys.float_info.epsilon * max(map(abs, steps))
    return not all(  # Tune asks for isclose, codes for the tolerance
        math.isclose(one, round(one)) and abs(one - round(one)) <= STEP_TOLERANCE + rounding
        for one in steps
    )


def _no_sample_from(name: str) -> str:
    return (
        f"{name!r} is a sample_from, whose values a search algorithm cannot choose; use "
        f"tune.{_SUPPORTED}, or compute the value in the trainable"
    )


def _check_path(path: tuple[Any, ...]) -> None:
    if not all(isinstance(key, str) and key for key in path):
        raise ValueError(
            f"{_joined(path)!r} is a domain in a list or under a key that is no string, or an "
            "empty one; use a dictionary with strings for keys"
        )
    if any("/" in key for key in path):
        raise ValueError(
            f"{list(path)!r} has a key with '/', which separates nested keys; rename it, or nest: "
            '{"a": {"b": ...}} for "a/b"'
        )


def _joined(path: tuple[Any, ...]) -> str:
    return "/".join(map(str, path))


def _without(config: Mapping[str, Any], paths: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """A nested config without the values at paths, and without the dictionaries left empty."""
    rest: dict[str, Any] = {}
    for key, value in config.items():
        inner = [path[1:] for path in paths if path[0] == key]
        if not inner:
            rest[key] = value
        elif () not in inner and (kept := _without(value, inner)):
            rest[key] = kept
    return rest
