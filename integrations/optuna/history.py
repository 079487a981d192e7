"""The optimizer of one search space of a study, and the trials that it has observed."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.integrations.optuna.cursor import Cursor
from ncp_sampler.integrations.optuna.sources import identity, in_search, source_constraints
from ncp_sampler.integrations.optuna.stale import stale_numbers
from ncp_sampler.integrations.optuna.trials import (
    Distributions,
    by_name,
    claimed_params,
    constraints_of,
    metric_names,
    metrics_of,
    nearest_code,
    was_stopped,
)
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.optimizer.sources import Source
from ncp_sampler.space.conditional import ConditionalSpace
from ncp_sampler.space.dimensions import Categorical, n_values
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)

Code = tuple[float, ...]
OptimizerFactory = Callable[..., NCPOptimizer]


class SpaceHistory:
    """The optimizer of one search space, and the trials that it has been told.

    Trials that lack a parameter of a declared space are not told; of an inferred one the middle
    stands for it. Once trials differ in more than the
    space's parameters (conditional or undeclared ones), equal codes are not equal trials, and the
    optimizer becomes one for an objective that is not deterministic.

    Args:
        study: The study.
        space: Its search space, or a part of it.
        distributions: The space as Optuna passes it, without single-valued parameters.
        new_optimizer: ``NCPOptimizer`` with all arguments but the space, ``directions`` and
            ``deterministic_objective``.
        deterministic: Whether equal params give equal values.
        inferred: Whether the space is that of the trials so far, of which each may lack some.
        goals: ``costs``, ``limits`` and ``weights`` of the optimizer, by metric or its index.
        sources: Earlier work, from ``checked_sources``.
        warned: Kinds of warnings given so far, which the study's histories share.

    Attributes:
        conditions: Of the space.
        optimizer: The optimizer.
        told: Codes of the complete and pruned trials that it has observed, but for those that are
            only the nearest to what was tried.
        numbers: Of those trials, in the order they were told.
    """

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        distributions: Distributions,
        new_optimizer: OptimizerFactory,
        deterministic: bool,
        *,
        inferred: bool = False,
        goals: Mapping[str, Any] | None = None,
        sources: Sequence[Source] = (),
        warned: set[str] | None = None,
    ) -> None:
        self.space = space
        self.distributions = distributions
        self.conditions = space.conditions if isinstance(space, ConditionalSpace) else ()
        self._absent: Params = {}  # what stands for a parameter that a trial does not have
        if inferred:
            middle = np.full(len(space.columns), 0.5)
            self._absent = space.to_params(space.round(space.denormalize(middle)).tolist())
        self._single: Params = {
            dim.name: dim.choices[0] if isinstance(dim, Categorical) else dim.low
            for dim in space.dimensions
            if n_values(dim) == 1
        }
        self._metric_names = metric_names(study)
        self._directions = {
            name: direction.name.lower()
            for name, direction in zip(self._metric_names, study.directions, strict=True)
        }
        self._new_optimizer = new_optimizer
        self._goals = {
            argument: by_name(argument, given, self._metric_names) or None
            for argument, given in (goals or {}).items()
        }
        known = {**self._absent, **self._single}
        own = {identity(trial) for trial in study._get_trials(deepcopy=False, use_cache=True)}
        self._sources = in_search(sources, self._directions, space.names, known, own)
        self._bounds = dict.fromkeys(sorted(source_constraints(sources)), 0.0)
        self._warned = set() if warned is None else warned
        self._start(deterministic)

    def _start(self, deterministic: bool) -> None:
        self.deterministic = deterministic
        self.optimizer = self._new_optimizer(
            self.space,
            directions=self._directions,
            deterministic_objective=deterministic,
            **self._goals,
            sources=self._sources,
            constraints=self._bounds,
        )
        self._constraints = {*self._bounds}
        self.numbers: list[int] = []
        self.told: set[Code] = set()
        self._cursor = Cursor()

    def reseed(self) -> None:
        """Makes the optimizer's further proposals independent of the seed."""
        self._new_optimizer = partial(self._new_optimizer, seed=None)
        self.optimizer.reseed()

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Tells the optimizer each trial that has finished and was not told yet."""
        new = self._cursor.finished(trials)
        if self.deterministic and any(self._has_other_params(trial) for trial in new):
            self._start(deterministic=False)
            new = self._cursor.finished(trials)
        rows = [(trial, params) for trial in new if (params := self._params(trial)) is not None]
        told = [(*row, found) for row in rows if (found := self._nearest(*row)) is not None]
        if told:
            self.numbers += [trial.number for trial, _, _ in told]
            self.told.update(
                tuple(code.tolist())
                for trial, _, (code, moved) in told
                if not moved and trial.state != TrialState.FAIL
            )
            constraints = [constraints_of(trial) for trial, _, _ in told]
            names = sorted({name for one in constraints for name in one})  # as storages may not
            new_bounds = {name: 0.0 for name in names if name not in self._constraints}
            if new_bounds:  # Optuna says of none before a trial has it
                self.optimizer.constrain(new_bounds)
                self._constraints.update(new_bounds)
            self.optimizer.tell(
                [params for _, params, _ in told],
                [
                    {**metrics_of(trial, self._metric_names), **broken}
                    for (trial, _, _), broken in zip(told, constraints, strict=True)
                ],
                complete=[not was_stopped(trial) for trial, _, _ in told],
            )

    def pending(self, trials: Sequence[FrozenTrial], number: int) -> dict[int, Params]:
        """Return valid params of the other unfinished trials, by number, where all are known.

        Trials of workers that were killed long ago are left out: see ``stale``.
        """
        claims: dict[int, Params] = {}
        others = [t for t in self._cursor.unfinished(trials) if t.number != number]
        stale = stale_numbers(trials, others)
        for trial in others:
            if trial.number in stale:
                continue
            params = self._complete(claimed_params(trial, self.distributions))
            nearest = None if params is None else nearest_code(self.space, params)
            if nearest is not None:
                claims[trial.number] = self.space.to_params(nearest[0])
        return claims

    def code(self, params: Params) -> Code:
        """Code of legal params, to compare."""
        return tuple(self.space.to_code(params, clip=True).tolist())

    def _complete(self, params: Params, *, may_lack: bool = False) -> Params | None:
        """The space's own params among params; None if one is missing that exists."""
        known = {**self._absent, **self._single, **params}
        if any(name not in known for name in self.space.names):
            return None
        whole = {name: known[name] for name in self.space.names}
        missing = whole.keys() - params.keys() - self._single.keys()
        if missing and not may_lack:
            nearest = nearest_code(self.space, whole)
            if nearest is None or not isinstance(self.space, ConditionalSpace):
                return None
            exists = dict(zip(self.space.names, self.space.exists(nearest[0])[0], strict=True))
            if any(exists[name] for name in missing):
                return None
        return whole

    def _has_other_params(self, trial: FrozenTrial) -> bool:
        return trial.state != TrialState.FAIL and any(
            name not in self.distributions and name not in self._single and not dist.single()
            for name, dist in trial.distributions.items()
        )

    def _params(self, trial: FrozenTrial) -> Params | None:
        """What to tell of a finished trial: its params in the space, if it has all of them."""
        params = self._complete(trial.params, may_lack=trial.state != TrialState.FAIL)
        if params is None and trial.state == TrialState.COMPLETE:
            missing = [name for name in self.space.names if name not in trial.params]
            self._warn_once(
                "lacks",
                f"trial {trial.number} lacks {reprlib.repr(missing)}, so nothing is learnt from it "
                f"in a space that has them; declare only what every trial suggests",
            )
        return params

    def _nearest(self, trial: FrozenTrial, params: Params) -> tuple[NDArray[Any], bool] | None:
        """Return the code of a finished trial, as ``nearest_code``; None if it does not fit."""
        kinds_fit = all(
            isinstance(distribution, CategoricalDistribution)
            == isinstance(self.distributions[name], CategoricalDistribution)
            for name, distribution in trial.distributions.items()
            if name in self.distributions
        )
        nearest = nearest_code(self.space, params) if kinds_fit else None
        if nearest is None:
            self._warn_once(
                "misfit",
                f"trial {trial.number} does not fit {self.space}; left out: {reprlib.repr(params)}",
            )
            return None
        moved = nearest[1]
        if moved and trial.state == TrialState.FAIL:
            return None  # no valid code was tried
        if moved:
            self._warn_once(
                "moved",
                f"trial {trial.number} has values off the ranges or grids of {self.space}; the "
                f"nearest valid ones are learned instead: {reprlib.repr(params)}",
            )
        return nearest

    def _warn_once(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            _logger.warning("%s (such trials are reported once)", message)
