"""What an optimizer's saved state holds, read back whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ncp_sampler import checks
from ncp_sampler.optimizer.earlier_work import EarlierWork
from ncp_sampler.optimizer.goals import Goals
from ncp_sampler.optimizer.history import History
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.space.search_space import SearchSpace

_KEYS = {"history", "joined", "predictor", "n_fitted", "rng", "design"}


class Restored(NamedTuple):
    """A saved state's parts, of the kinds that an optimizer has them in."""

    history: History
    earlier: EarlierWork
    predictor: Predictor
    rng: np.random.Generator
    n_fitted: int
    design: tuple[int, int]  # the seed, and how many points were taken


def restored(
    state: Any, space: SearchSpace, goals: Goals, earlier: EarlierWork, plain: Predictor
) -> Restored:
    """The parts of what ``NCPOptimizer.state_dict`` gave.

    Args:
        state: The state.
        space: Of the optimizer that it is read for, as all that follows.
        goals: Its own.
        earlier: Its own; it is not changed.
        plain: A new predictor as its own was, without guides.

    Raises:
        ValueError: It is no such state, or of another space or other sources.
    """
    checks.instance("state", state, Mapping, "be what state_dict() returned")
    try:
        history = goals.new_history()
        history.load(state["history"], space)
        work = earlier.with_joined(state["joined"])
        predictor = work.guided(plain, len(history) - work.n_joined)
        predictor.load_state_dict(state["predictor"])
        rng = np.random.default_rng()
        rng.bit_generator.state = state["rng"]
        seed, designed = (checks.integer("design", number, low=0) for number in state["design"])
        fitted = checks.integer("n_fitted", state["n_fitted"], low=0)
    except Exception as error:  # a foreign state can raise nearly anything
        raise ValueError(
            f"state lacks {sorted(_KEYS - {*state})} or has codes of another space, or is broken "
            f"({type(error).__name__}: {error}); give what state_dict() of an optimizer of the "
            "same space, directions and sources returned"
        ) from error
    return Restored(history, work, predictor, rng, fitted, (seed, designed))
