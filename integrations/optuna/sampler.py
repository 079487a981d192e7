"""Optuna: ``NCPSampler`` translates between a study and ``NCPOptimizer``.

In come a study's trials, finished and running, and the space to sample; out go a trial's params,
one value for each parameter, which the study stores and other workers see at once.

Optuna asks for the params of a trial when the objective first suggests one, so the sampler knows
neither what the objective will suggest nor with which distributions. What does not fit a declared
space therefore shows up late, and in three places:

- another kind of distribution (or log, or other choices): Optuna's own ``ValueError``;
- a proposed value outside the suggested range: ``sample_independent`` raises ``ValueError``;
- any other difference, and a parameter that is not suggested: ``after_trial`` raises
  ``ValueError``, once Optuna is about to store the trial's state and values, which it does in
  spite of the error.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.integrations.optuna.goals import check_goals, publish_constraints
from ncp_sampler.integrations.optuna.history import SpaceHistory
from ncp_sampler.integrations.optuna.independent import IndependentSampling
from ncp_sampler.integrations.optuna.proposing import all_trials, propose
from ncp_sampler.integrations.optuna.sources import read_sources, studies_of_task
from ncp_sampler.integrations.optuna.study_history import StudyHistory
from ncp_sampler.integrations.optuna.trials import (
    Distributions,
    check_categories,
    describe_misfit,
    legal_pins,
    nearest_pins,
    pins_of,
    publish_reasons,
    to_searched_space,
    unchecked_proposal,
)
from ncp_sampler.optimizer.explanation import DRAWN
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.optimizer.transfer import check_transfer
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.search.known_cost import CostFunction
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import Params, SearchSpace

__all__ = ["NCPSampler"]

_MAX_STUDIES = 4  # remembered; one that is forgotten is read anew


class NCPSampler(BaseSampler):
    """Samples by Network Coding Propagation: gradient edits of good codes.

    With ``space`` the sampler proposes from the first trial on, in the space's own order, so that
    the same seed gives the same codes as ``NCPOptimizer(space)``. Without, it searches the
    parameters that the finished trials have had, those of all branches in one model: which exist
    only under others is read off the trials. A range that changes is followed. What is new, as all
    parameters of the first trial, comes from ``independent_sampler``.

    The sampler learns from complete trials, from pruned ones by their last report, and from failed
    ones which params fail. It keeps off what other workers on the same storage are running.
    Constraints of ``Trial.set_constraint`` are modeled, and the best is sought among what they
    allow. Several objectives, ``enqueue_trial``, ``PartialFixedSampler`` (proposals are conditional
    on the fixed values), pruners, threads and processes work as with Optuna's own samplers.

    Args:
        space: The search space that every trial suggests, or None to infer it.
        costs: What is computed, not learnt, as ``NCPOptimizer`` takes it; needs ``space``. The name
            is an objective's (``Study.set_metric_names``) or its index, or one of its own.
        limits: Known cost -> what it must not exceed; no proposal does, from the first trial on.
        constraints_func: Finished trial -> numbers that are to be at most 0, as Optuna's samplers
            take it; ``Trial.set_constraint`` in the objective has taken its place.
        weights: As ``NCPOptimizer`` takes it, by objective or its index.
        seed: Seed of all proposals, from 0 to 2**32 - 1, or None for a fresh one.
        n_startup_trials: Trials that are spread over the space before the predictor is used.
        strategy: "continuous" edits all columns of a code at once, "winner_takes_all" the best one
            in each step; or a strategy object, as ``NCPOptimizer`` takes, such as
            ``WinnerTakesAll(costs.flops)``.
        independent_sampler: Sampler of parameters outside the search space. None draws as
            ``RandomSampler``, by seed, trial and parameter, so that workers with one seed differ.
        warn_independent_sampling: Whether to warn, once for each parameter, when one is sampled
            independently after the startup trials.
        deterministic_objective: Whether equal params give equal values, so that trying them again
            is a waste: if True, no params are proposed twice while others are left, not even
            those that other workers are running. Set it to False for a noisy objective.
        device: Device of the predictor's tensors.
        predictor: What learns from the trials: "auto", "infinite-mlp", "gp", "mlp", "ensemble",
            "paper" or a predictor, as ``NCPOptimizer`` takes it.
        sources: Earlier work: studies, whose finished trials are read now, and what
            ``NCPOptimizer`` takes. Without ``space``, ``Source(study, same_task=True)`` gives its
            parameters, too, so that the first trial needs no drawing.

    Raises:
        ValueError: An argument has a value that it cannot have.

    Examples:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def objective(trial):
        ...     x = trial.suggest_float("x", -10, 10)
        ...     y = trial.suggest_int("y", 0, 10)
        ...     return (x - 2) ** 2 + y
        >>> study = optuna.create_study(sampler=NCPSampler(seed=0))
        >>> study.optimize(objective, n_trials=20)
        >>> study.best_value < 0.1
        True
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None = None,
        costs: Mapping[str | int, CostFunction] | None = None,
        limits: Mapping[str | int, float] | None = None,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        weights: Mapping[str | int, float] | None = None,
        seed: int | None = None,
        n_startup_trials: int = 10,
        strategy: Strategy | str = "continuous",
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        deterministic_objective: bool = True,
        device: str | torch.device = "cpu",
        predictor: Predictor | str = "auto",
        sources: Sequence[Any] | None = None,
    ) -> None:
        must = "be a SearchSpace, such as MRSpace(), or None"
        checks.instance("space", space, SearchSpace | None, must)
        if space is not None:
            check_categories(space)
        must = "be a sampler of Optuna, such as RandomSampler(), or None"
        checks.instance("independent_sampler", independent_sampler, BaseSampler | None, must)
        seed = checks.seed(seed, high=checks.LARGEST_SEED)
        self._goals = check_goals(space, costs, limits, weights)
        must = "be a function of a finished trial, or None"
        self._constraints_func = checks.call("constraints_func", constraints_func, must)
        self._sources = read_sources(sources)
        self._space = space
        self._declared: Distributions = {} if space is None else space.distributions
        self._searched = {n: d for n, d in self._declared.items() if not d.single()}
        self._new_optimizer = partial(
            NCPOptimizer,
            seed=seed,
            n_startup_trials=n_startup_trials,
            strategy=strategy,
            device=device,
            predictor=predictor,
        )
        # the optimizer checks its arguments, and should do so here rather than at the first trial
        checked = self._new_optimizer(
            space or SearchSpace([Integer("x", 0, 1)]),
            directions=dict.fromkeys(["value", *map(str, costs or {})], "minimize"),
            deterministic_objective=deterministic_objective,
            costs={str(key): cost for key, cost in (costs or {}).items()},
            limits={str(key): limit for key, limit in (limits or {}).items()},
        )
        check_transfer(self._sources, checked.predictor)
        self._deterministic = checked.deterministic_objective
        self._independent_sampler = independent_sampler
        self._independent = IndependentSampling(
            independent_sampler,
            seed,
            warn=checks.flag("warn_independent_sampling", warn_independent_sampling),
            n_startup_trials=checked.n_startup_trials,
            declared=space is not None,
        )
        self._studies: dict[tuple[str, int], StudyHistory] = {}
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # a pickle is written later, while other threads go on
            state = {**self.__dict__, "_studies": copy.deepcopy(self._studies)}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        with self._lock:
            self._new_optimizer = partial(self._new_optimizer, seed=None)
            for study in self._studies.values():
                for history in study.spaces:
                    history.reseed()
        self._independent.reseed()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is not None:
            return self._searched.copy()
        with self._lock:
            history = self._take(study, all_trials(study))
            searched = history.searched()
            self._studies[_key(study)] = history
        return searched

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            if not pins_of(study, trial):  # as of a first trial without a declared space
                publish_reasons(study, trial, DRAWN)
            return {}
        with self._lock:
            trials = all_trials(study)
            history = self._take(study, trials)
            space_history, pins = self._space_history(study, trial, history, search_space)
            params = propose(study, trial, trials, space_history, pins)
            self._studies[_key(study)] = history
        return {name: params[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        declared = self._declared.get(param_name, param_distribution)
        if declared != param_distribution:
            raise ValueError(describe_misfit(param_name, param_distribution, declared))
        proposed = unchecked_proposal(trial, param_name, param_distribution)
        if proposed is not None:
            return proposed
        return self._independent.sample(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.after_trial(study, trial, state, values)
        if self._constraints_func is not None and state in (
            TrialState.COMPLETE,
            TrialState.PRUNED,
        ):
            publish_constraints(study, trial, self._constraints_func)
        if state == TrialState.FAIL:  # an error of the objective must not be covered by another
            return
        for name, declared in self._declared.items():
            suggested = trial.distributions.get(name)
            unneeded = state == TrialState.PRUNED or declared.single()  # may be left out
            if suggested != declared and not (suggested is None and unneeded):
                raise ValueError(describe_misfit(name, suggested, declared))

    def _take(self, study: Study, trials: Sequence[FrozenTrial]) -> StudyHistory:
        """Take out the history of the study, read up to ``trials``; a new one if there is none.

        Put it back when all is done. Whatever interrupts in between, at any line, leaves none
        behind that is half read: the next call reads all trials anew.
        """
        history = self._studies.pop(_key(study), None)
        if history is None or not history.is_of(study, trials):
            earlier = studies_of_task(self._sources)
            history = StudyHistory(study, declared=self._space is not None, earlier=earlier)
        while len(self._studies) >= _MAX_STUDIES:
            del self._studies[next(iter(self._studies))]  # used the longest time ago
        history.read(trials)
        return history

    def _space_history(
        self,
        study: Study,
        trial: FrozenTrial,
        study_history: StudyHistory,
        passed: Distributions,
    ) -> tuple[SpaceHistory, Params]:
        """History of the space to propose in, and the values in it that are fixed already.

        The space is the passed one, or the whole one if the rest of it is fixed: then the proposal
        is conditional on the fixed values, and learns from all trials.
        """
        whole = self._searched or study_history.searched()
        fixed = pins_of(study, trial)
        rest = {name: dist for name, dist in whole.items() if name not in passed}
        legal = nearest_pins if self._goals["costs"] else legal_pins
        if all(whole.get(name) == dist for name, dist in passed.items()) and (
            legal(rest, fixed).keys() == rest.keys()
        ):
            passed = whole
        elif self._goals["costs"]:
            missing = sorted(rest.keys() - fixed.keys())
            raise ValueError(
                f"costs cannot be computed without {missing}; let every trial have "
                "all parameters of the space"
            )
        declared = self._space if passed is self._searched else None
        conditions = () if self._space is not None else study_history.conditions(passed)
        history = study_history.find(passed, conditions)
        if history is None:
            space = declared or to_searched_space(passed, conditions)
            history = SpaceHistory(
                study,
                space,
                passed,
                self._new_optimizer,
                self._deterministic,
                inferred=self._space is None,
                goals=self._goals,
                sources=self._sources,
                warned=study_history.warned,
            )
        study_history.add(history)
        return history, legal(passed, fixed)


def _key(study: Study) -> tuple[str, int]:
    """Return the name and number of a study; in memory, every study has the number 0."""
    return study.study_name, study._study_id
