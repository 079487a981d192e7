"""``NCPOptimizer``: whatever it is told, in whatever space, it proposes something valid and new.

A case is a space, settings, and what is done in turn. From a ``Reload`` on two optimizers run, the
restored one and the uninterrupted one, and must propose the same to the bit.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from ncp_sampler import NCPOptimizer, SearchSpace
from tests.properties.invariants import Seen, check_valid, play, seen_by
from tests.properties.strategies import (
    Dimensions,
    Draw,
    Setup,
    metric_lists,
    named,
    params_of,
    setups,
    some_params_of,
    spaces,
)


@dataclass(frozen=True)
class Ask:
    """Asks for n proposals with fixed values; they are pending until they are told."""

    n: int = 1
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tell:
    """Tells the pending proposal at a position, modulo their number, or else params of its own.

    No values: it failed.
    """

    values: tuple[float, ...] = ()
    which: int = 0
    complete: bool = True
    params: Mapping[str, Any] | None = None
    missing: bool = False  # a NaN is left out


@dataclass(frozen=True)
class Replace:
    """Tells the pending proposal at a position in place of what was told first."""

    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Reload:
    """A new optimizer goes on from the state, which went through JSON or a pickle."""

    by_json: bool = True


Step: TypeAlias = Ask | Tell | Replace | Reload


@dataclass(frozen=True)
class AskTellCase:
    dimensions: Dimensions
    steps: tuple[Step, ...]
    setup: Setup = field(default_factory=Setup)

    def optimizer(self, seed: int) -> NCPOptimizer:
        return NCPOptimizer(
            SearchSpace(self.dimensions),
            directions=named(self.setup.directions),
            **{**self.setup.arguments, "seed": seed},
        )


@st.composite
def cases(draw: Draw) -> AskTellCase:
    dims, setup = draw(spaces()), draw(setups)
    n_observations = setup.n_startup_trials + draw(st.integers(0, 2))
    values = draw(metric_lists(n_observations, len(setup.directions)))
    steps: list[Step] = []
    for row in values:
        fixed = draw(some_params_of(dims)) if draw(st.integers(0, 9)) == 9 else {}
        steps.append(Ask(draw(st.sampled_from([1] * 6 + [2, 3])), fixed))
        kind = draw(st.sampled_from(["told"] * 8 + ["failed", "own", "replace", "reload"]))
        if kind == "reload":
            steps.append(Reload(draw(st.booleans())))
        if kind == "replace":
            steps.append(Replace(row))
        elif kind == "failed":
            steps.append(Tell())
        else:
            own = draw(params_of(dims, valid=draw(st.booleans()))) if kind == "own" else None
            complete = draw(st.sampled_from([True, True, False]))
            steps.append(Tell(row, draw(st.integers(0, 2)), complete, own, draw(st.booleans())))
    steps.append(Ask(draw(st.sampled_from([1, 1, 2]))))
    return AskTellCase(dims, tuple(steps), setup)


class _Run:
    """The optimizer, with the uninterrupted one beside it once it was restored."""

    def __init__(self, case: AskTellCase) -> None:
        self.case = case
        self.space = SearchSpace(case.dimensions)
        self.optimizers = [case.optimizer(case.setup.seed)]
        self.pending: list[dict[str, Any]] = []
        self.seen = Seen(case.dimensions)
        self.n_proposed = 0

    def ask(self, step: Ask) -> None:
        first, *others = [
            optimizer.ask(step.n, pending=self.pending, fixed=step.fixed)
            for optimizer in self.optimizers
        ]
        assert len(first) == step.n
        for repeated in others:
            assert repr(first) == repr(repeated), f"restored asks {first}, uninterrupted {repeated}"
        for params in first:
            check_valid(self.case.dimensions, params)
            fixed = {**params, **step.fixed}  # on a grid, the same but for the last digit
            nearest = self.space.to_params(self.space.to_code(fixed, clip=True))
            assert repr(nearest) == repr(params), f"{params} has not the fixed {step.fixed}"
            if self.case.setup.deterministic_objective:
                self.seen.check_new(params, step.fixed)
            self.seen.add(params)
            self.pending.append(params)
        self.n_proposed += len(first)

    def tell(self, step: Tell) -> None:
        params = step.params
        if params is None:
            if not self.pending:
                return
            params = self.pending.pop(step.which % len(self.pending))
        metrics = named(step.values, missing=step.missing)
        for optimizer in self.optimizers:
            optimizer.tell(params, metrics, complete=step.complete)
        self.seen = seen_by(self.optimizers[0], self.pending)

    def replace(self, step: Replace) -> None:
        if not self.pending:
            return
        params = self.pending.pop()
        n_observations = self.optimizers[0].n_observations
        for optimizer in self.optimizers:
            optimizer.tell(params, named(step.values), replace=0 if n_observations else None)
        self.seen = seen_by(self.optimizers[0], self.pending)

    def reload(self, step: Reload) -> None:
        state = self.optimizers[0].state_dict()
        saved = json.loads(json.dumps(state)) if step.by_json else pickle.loads(pickle.dumps(state))
        restored = self.case.optimizer(self.case.setup.seed + 1)
        restored.load_state_dict(saved)
        self.optimizers = [restored, self.optimizers[-1]]


def check(case: AskTellCase) -> int:
    """Raises at the first thing that does not hold; returns the number of proposals."""
    return play(_Run(case))


@settings(max_examples=15)
@given(cases())
def test_every_proposal_is_valid_and_new_and_restored_as_uninterrupted(case: AskTellCase) -> None:
    check(case)
