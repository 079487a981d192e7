"""``NCPSearch``: whatever Ray reports, it suggests valid and new configs, also once restored.

A case is a space, given as such or as Tune's domains, and what Ray does in turn. From a restore on
two searchers run, the restored one and the uninterrupted one, and must suggest the same.
"""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search import sample

from ncp_sampler import NCPSearch, SearchSpace
from ncp_sampler.integrations.ray import to_domains
from tests.properties.invariants import Seen, check_valid, play, seen_by
from tests.properties.strategies import (
    Dimensions,
    Draw,
    Setup,
    metric_lists,
    named,
    params_of,
    setups,
    spaces,
)

_MODES = {"minimize": "min", "maximize": "max"}


@dataclass(frozen=True)
class Suggest:
    """Suggests for a new trial, or again for the running one at a position."""

    again: int | None = None


@dataclass(frozen=True)
class Result:
    """A report of the running trial at a position; or of one that the searcher does not know."""

    result: Mapping[str, Any]
    which: int = 0
    unknown: Mapping[str, Any] | None = None  # its params
    complete: bool = True
    error: bool = False


@dataclass(frozen=True)
class Evaluated:
    """A config evaluated elsewhere."""

    params: Mapping[str, Any]
    values: tuple[float, ...]
    error: bool = False
    pruned: bool = False


@dataclass(frozen=True)
class Restore:
    """The searcher is saved and restored: "file", "folder", "pickle" or "copy"."""

    how: str = "file"


Step: TypeAlias = Suggest | Result | Evaluated | Restore


@dataclass(frozen=True)
class RayCase:
    dimensions: Dimensions
    steps: tuple[Step, ...]
    setup: Setup = field(default_factory=Setup)
    points: tuple[Mapping[str, Any], ...] = ()
    as_domains: bool = False
    constants: Mapping[str, Any] = field(default_factory=dict)

    def search(self) -> NCPSearch:
        space: Any = SearchSpace(self.dimensions)
        if self.as_domains and (domains := _domains(self.dimensions)):
            space = {**_nested(domains), **self.constants}
        several = len(self.setup.directions) > 1
        metric, mode = (
            [*named(self.setup.directions)],
            [_MODES[direction] for direction in self.setup.directions],
        )
        return NCPSearch(
            space=space,
            metric=metric if several else metric[0],
            mode=mode if several else mode[0],
            points_to_evaluate=[dict(point) for point in self.points] or None,
            **self.setup.arguments,
        )


def _domains(dims: Dimensions) -> dict[str, Any]:
    """Tune's domains by name; none where Tune has no such grid."""
    try:
        return to_domains(SearchSpace(dims))
    except ValueError:
        return {}


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *above, last = name.split("/")
        node = nested
        for key in above:
            node = node.setdefault(key, {})
        node[last] = value
    return nested


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}/") if inner else {prefix + key: value}
    return flat


@st.composite
def cases(draw: Draw) -> RayCase:
    dims, setup = draw(spaces(alike=False)), draw(setups)
    n_observations = setup.n_startup_trials + draw(st.integers(1, 3))
    values = draw(metric_lists(n_observations, len(setup.directions)))
    steps: list[Step] = []
    for row in values:
        steps += [Suggest()] * draw(st.sampled_from([1, 1, 1, 2]))
        kind = draw(st.sampled_from(["result"] * 8 + ["evaluated", "unknown", "again", "restore"]))
        if kind == "evaluated":
            steps.append(Evaluated(draw(params_of(dims)), row, draw(st.booleans())))
            continue
        if kind == "again":
            steps.append(Suggest(draw(st.integers(0, 2))))
        if kind == "restore":
            steps.append(Restore(draw(st.sampled_from(["file", "folder", "pickle", "copy"]))))
        own = params_of(dims, valid=False)
        unknown = draw(own) if kind == "unknown" else None
        ending = draw(st.sampled_from(["done"] * 5 + ["report", "error", "empty", "odd"]))
        result: dict[str, Any] = named(row, missing=draw(st.booleans()))
        if ending in ("empty", "odd"):
            result = {} if ending == "empty" else dict.fromkeys(result, "no number")
        which = draw(st.integers(0, 2))
        steps.append(Result(result, which, unknown, ending != "report", ending == "error"))
    steps.append(Suggest())
    return RayCase(
        dims,
        tuple(steps),
        setup,
        tuple(draw(st.lists(params_of(dims), max_size=1))),
        draw(st.booleans()),
        draw(st.sampled_from([{}, {"epochs": 3, "data": {"size": None}}])),
    )


class _Run:
    """The searcher, with the uninterrupted one beside it once it was restored."""

    def __init__(self, case: RayCase) -> None:
        self.case = case
        self.searches = [case.search()]
        self.domains = _domains(case.dimensions)
        self.running: dict[str, dict[str, Any]] = {}
        self.seen = Seen(case.dimensions)
        self.n_proposed = self.n_others = 0

    def suggest(self, step: Suggest) -> None:
        trial_id = f"trial{self.n_proposed}"
        if step.again is not None and self.running:
            trial_id = list(self.running)[step.again % len(self.running)]
        config, *others = [search.suggest(trial_id) for search in self.searches]
        for repeated in others:
            assert repr(config) == repr(repeated), f"restored: {config}, uninterrupted: {repeated}"
        assert config is not None
        params = {dim.name: _flat(config)[dim.name] for dim in self.case.dimensions}
        if trial_id in self.running:
            assert repr(params) == repr(self.running[trial_id])
            return
        check_valid(self.case.dimensions, params)
        for name, domain in self.domains.items():
            one_of = isinstance(domain, sample.Categorical)  # which has no NaN but the same one
            valid = one_of or domain.is_valid(params[name])
            assert valid, f"{name}={params[name]!r} is not a value of {domain.domain_str}"
        if self.case.as_domains and self.domains:
            assert {**config, **self.case.constants} == config, "a constant is missing"
        if self.n_proposed >= len(self.case.points) and self.case.setup.deterministic_objective:
            self.seen.check_new(params)
        self.n_proposed += 1
        self.seen.add(params)
        self.running[trial_id] = params

    def result(self, step: Result) -> None:
        result = dict(step.result)
        trial_id = f"other{self.n_others}"
        if step.unknown is not None:
            self.n_others += 1
            result |= {f"config/{name}": value for name, value in step.unknown.items()}
        elif self.running:
            trial_id = list(self.running)[step.which % len(self.running)]
        for search in self.searches:
            search.on_trial_result(trial_id, copy.deepcopy(result))
            if step.complete:
                search.on_trial_complete(trial_id, result=result or None, error=step.error)
        if step.complete:
            self.running.pop(trial_id, None)
        self.look_again()

    def look_again(self) -> None:
        optimizer = self.searches[0]._optimizer
        assert optimizer is not None  # something was suggested
        self.seen = seen_by(optimizer, self.running.values())

    def evaluated(self, step: Evaluated) -> None:
        for search in self.searches:
            search.add_evaluated_point(
                dict(step.params), list(step.values), error=step.error, pruned=step.pruned
            )
        if self.searches[0]._optimizer is not None:
            self.look_again()

    def restore(self, step: Restore) -> None:
        saved, blank = self.searches[0], NCPSearch(metric="other", mode="max", seed=9)
        with tempfile.TemporaryDirectory() as folder:
            if step.how == "file":
                saved.save(str(Path(folder) / "search"))
                blank.restore(str(Path(folder) / "search"))
            elif step.how == "folder":
                saved.save_to_dir(folder, session_str="now")
                blank.restore_from_dir(folder)
            else:
                pickled = step.how == "pickle"
                blank = pickle.loads(pickle.dumps(saved)) if pickled else copy.deepcopy(saved)
        self.searches = [blank, self.searches[-1]]


def check(case: RayCase) -> int:
    """Raises at the first thing that does not hold; returns the number of proposals."""
    return play(_Run(case))


@settings(max_examples=15)
@given(cases())
def test_every_suggestion_is_valid_and_new_and_restored_as_uninterrupted(case: RayCase) -> None:
    check(case)
