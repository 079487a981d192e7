"""Configs and states that went through JSON, whose tuples are lists and whose keys are text.

Two ``NCPSearch`` and two ``NCPOptimizer`` of one seed take the same results, one of each through
JSON, and restored from what was saved: they must propose the same, and drop nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.utils import flatten_dict

from ncp_sampler import Categorical, NCPOptimizer, NCPSearch, SearchSpace
from ncp_sampler.integrations.ray import to_domains
from tests.properties.invariants import Seen, check_valid, only_logs
from tests.properties.strategies import (
    Dimensions,
    Draw,
    dimensions,
    json_choices,
    params_of,
    seeds,
)


@dataclass(frozen=True)
class Observed:
    """A result, and how it comes.

    Attributes:
        params: Of a trial that the search does not know; None for those of its next suggestion.
        how: "result" (with its config), "evaluated", or "restored": the search is saved and
            restored in between.
    """

    loss: float
    params: Mapping[str, Any] | None = None
    how: str = "result"


@dataclass(frozen=True)
class JsonCase:
    dimensions: Dimensions
    observed: tuple[Observed, ...]
    seed: int = 0
    constants: Mapping[str, Any] = field(default_factory=dict)

    def search(self) -> NCPSearch:
        space = {"net": to_domains(SearchSpace(self.dimensions)), **self.constants}
        return NCPSearch(space=space, metric="loss", mode="min", n_startup_trials=2, seed=self.seed)

    def optimizer(self) -> NCPOptimizer:
        return NCPOptimizer(
            SearchSpace(self.dimensions),
            directions={"loss": "minimize"},
            n_startup_trials=2,
            seed=self.seed,
        )


@st.composite
def cases(draw: Draw) -> JsonCase:
    dims = [Categorical("x0", draw(json_choices()))]
    for i in range(1, draw(st.integers(1, 3))):
        if draw(st.booleans()):
            dims.append(Categorical(f"x{i}", draw(json_choices())))
        else:
            dims.append(draw(dimensions(f"x{i}", alike=False).filter(_has_domain)))
    own = st.one_of(st.none(), params_of(tuple(dims)))
    observed = st.builds(
        Observed, st.floats(-9, 9), own, st.sampled_from(["result", "evaluated", "restored"])
    )
    return JsonCase(
        tuple(dims),
        tuple(draw(st.lists(observed, min_size=3, max_size=5))),
        draw(seeds),
        draw(st.sampled_from([{}, {"data": {"shape": (3, 3), "names": {1: "a"}}}])),
    )


def _has_domain(dim: Any) -> bool:
    try:
        to_domains(SearchSpace([dim]))
    except ValueError:
        return False
    return True


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def check(case: JsonCase) -> int:
    """Raise at the first property that does not hold; return the number of proposals."""
    with only_logs():
        return _check_search(case) + _check_optimizer(case)


def _check_search(case: JsonCase) -> int:
    plain, changed = case.search(), case.search()
    seen = Seen(case.dimensions)
    for number, observed in enumerate(case.observed):
        config, again = plain.suggest(f"{number}"), changed.suggest(f"{number}")
        assert repr(config) == repr(again), f"{config}, through JSON {again}"
        assert config is not None
        params = config["net"]
        check_valid(case.dimensions, params)
        seen.check_new(params)
        seen.add(params)
        if observed.how == "restored":
            changed = _restored(case, changed)
        if observed.params is not None:
            seen.add(observed.params)
            config = {**config, "net": dict(observed.params)}
        trial_id = f"{number}" if observed.params is None else f"unknown{number}"
        for search, given_config in ((plain, config), (changed, through_json(config))):
            if observed.how == "evaluated":
                search.add_evaluated_point(given_config, observed.loss)
            else:
                result = flatten_dict({"loss": observed.loss, "config": given_config})
                search.on_trial_complete(trial_id=trial_id, result=result)
    return len(case.observed)


def _restored(case: JsonCase, search: NCPSearch) -> NCPSearch:
    blank = case.search()
    with tempfile.TemporaryDirectory() as folder:
        search.save(str(Path(folder) / "search"))
        blank.restore(str(Path(folder) / "search"))
    return blank


def _check_optimizer(case: JsonCase) -> int:
    plain, changed = case.optimizer(), case.optimizer()
    for observed in case.observed:
        (params,), (again,) = plain.ask(), changed.ask()
        assert repr(params) == repr(again), f"{params}, through JSON {again}"
        if observed.how == "restored":
            state = through_json(changed.state_dict())
            changed = case.optimizer()
            changed.load_state_dict(state)
        config = params if observed.params is None else observed.params
        plain.tell(config, {"loss": observed.loss})
        changed.tell(through_json(config), {"loss": observed.loss})
    return len(case.observed)


@settings(max_examples=10)
@given(cases())
def test_what_went_through_json_is_learned_alike(case: JsonCase) -> None:
    check(case)
