"""Invariants of proposals: valid by an independent check, and new while codes are left."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np

from ncp_sampler import NCPOptimizer
from ncp_sampler.space.dimensions import Categorical, Dimension, Float, Integer
from ncp_sampler.space.search_space import MAX_ENUMERATED, SearchSpace, code_key
from tests.properties.strategies import Dimensions

_MANY = 2**30  # floats between two ends, of which no draw repeats one
_UNREACHABLE = 2**40  # from which on exp(log(n)) need not round to n


def misfit(dim: Dimension, value: Any) -> str | None:
    """Why a value is not one of a dimension, by plain arithmetic; None if it is."""
    if isinstance(dim, Categorical):
        return None if any(same(value, choice) for choice in dim.choices) else "not a choice"
    kind = int if isinstance(dim, Integer) else float
    if type(value) is not kind:
        return f"a {type(value).__name__}"
    if not dim.low <= value <= dim.high:
        return "out of range"
    if isinstance(dim, Integer):
        return "off the grid" if (value - dim.low) % dim.step else None
    if dim.step is not None:
        steps = (Decimal(value) - Decimal(dim.low)) / Decimal(dim.step)
        rounding = Decimal(4 * np.spacing(max(-dim.low, dim.high)) / dim.step)
        if abs(steps - round(steps)) > Decimal("1e-8") + rounding:
            return "off the grid"
    return None


def check_valid(dims: Dimensions, params: Mapping[str, Any]) -> None:
    """Raises if params are not the dimensions' own, in order, each valid."""
    names = [dim.name for dim in dims]
    if list(params) != names:
        raise AssertionError(f"params are of {list(params)}, not of {names}")
    for dim in dims:
        if why := misfit(dim, params[dim.name]):
            raise AssertionError(f"{dim.name}={params[dim.name]!r} is {why}: {dim}")
    SearchSpace(dims).to_code(params)  # and by the space's own check


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, of one type."""
    return type(a) is type(b) and repr(a) == repr(b)


@contextmanager
def only_logs(*documented: str) -> Iterator[None]:
    """Raise if the package logs a warning that has none of the documented phrases."""
    names: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: names.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("ncp_sampler")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    for message in names:
        assert any(phrase in message for phrase in documented), f"logged: {message}"


def play(run: Any) -> int:
    """Takes the steps of a run's case in turn; returns how many proposals it looked at.

    A run has a method for each kind of step, ``ask`` for an ``Ask``.
    """
    for step in run.case.steps:
        getattr(run, type(step).__name__.lower())(step)
    n_proposed: int = run.n_proposed
    return n_proposed


class Seen:
    """Codes that are told, or pending, and how many are left."""

    def __init__(self, dims: Dimensions) -> None:
        self._dims = dims
        self._space = SearchSpace(dims)
        self._codes: dict[bytes, np.ndarray[Any, Any]] = {}

    def add(self, params: Mapping[str, Any]) -> None:
        code = self._space.to_code(params, clip=True)
        self._codes[code_key(code)] = code

    def check_new(
        self, params: Mapping[str, Any], fixed: Mapping[str, Any] | None = None, kept: int = 0
    ) -> None:
        """Raises if params were seen, and others with the fixed values were not, nor are kept."""
        code = self._space.to_code(params, clip=True)
        if code_key(code) not in self._codes:
            return
        free = [dim for dim in self._dims if dim.name not in (fixed or {})]
        counts = [self._at_least(dim) for dim in free]
        columns = [c for name in fixed or {} for c in range(*self._range(name))]
        used = sum(np.array_equal(c[columns], code[columns]) for c in self._codes.values())
        if math.prod(counts) > used + kept:
            raise AssertionError(
                f"{dict(params)} is proposed again; {used} of {math.prod(counts):g} are used"
            )

    def _range(self, name: str) -> tuple[int, int]:
        where = self._space.column_slice(name)
        return where.start, where.stop

    def _at_least(self, dim: Dimension) -> float:
        """Number of values that a draw can be relied upon to find."""
        if isinstance(dim, Categorical):
            return len(dim.choices)
        if isinstance(dim, Float) and dim.step is None:
            apart = (dim.high - dim.low) / max(math.ulp(dim.low), math.ulp(dim.high))
            return math.inf if apart > _MANY else 1
        is_enumerated = self._space.size <= MAX_ENUMERATED  # then they are enumerated
        if dim.log and dim.low > _UNREACHABLE and not is_enumerated:
            return 1
        return round((dim.high - dim.low) / (dim.step or 1.0)) + 1


def seen_by(optimizer: NCPOptimizer, waiting: Iterable[Mapping[str, Any]]) -> Seen:
    """Return what an optimizer is to keep off: what was tried and has not failed, and what waits.

    Params that failed may be tried again, and params off the range say nothing of the nearest
    valid ones.
    """
    seen = Seen(optimizer.space.dimensions)
    saved = optimizer.state_dict()["observations"]
    signs = [1 if way == "maximize" else -1 for way in optimizer.directions.values()]
    for code, values, complete, exact in zip(
        saved["codes"], saved["values"], saved["complete"], saved["exact"], strict=True
    ):
        reported = [
            (sign, v) for sign, v in zip(signs, values, strict=False) if v is not None
        ]  # objectives come first
        succeeded = any(sign * v > -math.inf for sign, v in reported)  # not NaN
        diverged = any(math.isinf(v) for _, v in reported)
        if exact and (succeeded or not (complete or diverged)):
            seen.add(optimizer.space.to_params(code))
    for params in waiting:
        seen.add(params)
    return seen
