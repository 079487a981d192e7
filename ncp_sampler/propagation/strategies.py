"""Strategies that edit codes in each iteration of propagation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from ncp_sampler import checks
from ncp_sampler.defaults import STRATEGIES
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.space.search_space import SearchSpace

# Unit codes (n, d), gradient of the loss (n, d) -> edited unit codes (n, d)
Step: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]


@runtime_checkable
class Strategy(Protocol):
    """Strategy that edits unit codes along a gradient, such as ``GradientDescent(rate=3.0)``.

    Examples:
        >>> from ncp_sampler.propagation import GradientDescent
        >>> isinstance(GradientDescent(), Strategy)
        True
    """

    def begin(self, space: SearchSpace, x: FloatArray) -> Step:
        """Return the step function, possibly stateful, of a new run over unit codes x (n, d)."""


def as_strategy(given: Strategy | str, *, continuous: Strategy) -> Strategy:
    """Return a strategy that is given as an object or by name.

    Args:
        given: A strategy, "continuous" or "winner_takes_all".
        continuous: Strategy that the name "continuous" stands for.

    Raises:
        ValueError: ``given`` is neither a strategy nor a valid name.
    """
    if isinstance(given, Strategy) and not isinstance(given, str | type):
        return given
    if not isinstance(given, str) or given not in STRATEGIES:
        must = f"be one of {STRATEGIES}, or a strategy such as GradientDescent(rate=3.0)"
        raise checks.refusal("strategy", given, must)
    return continuous if given == "continuous" else WinnerTakesAll()
