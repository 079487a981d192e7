"""``NCPSampler``: an Optuna sampler based on ``NCPOptimizer``.

Optuna asks for the params of a trial before the objective suggests the first parameter, so the
sampler does not know which parameters the objective will suggest. Differences between these and a
declared space are therefore detected late: Optuna itself rejects another type of distribution,
``sample_independent`` rejects a range that does not contain the proposed value, and ``after_trial``
rejects missing parameters and all other differences. Optuna stores the trial's state and values
even if ``after_trial`` raises.
"""

from __future__ import annotations

import copy
import logging
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.integrations.optuna import claims, conversion, proposing
from ncp_sampler.integrations.optuna.conversion import REASONS_KEY, Distributions, Goals
from ncp_sampler.integrations.optuna.sources import read_sources
from ncp_sampler.integrations.optuna.study_history import SpaceHistory, StudyHistory
from ncp_sampler.optimizer.explanation import DRAWN
from ncp_sampler.optimizer.options import checked_options
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.search.known_cost import CostFunction, KnownCost
from ncp_sampler.search.limits import checked_limits
from ncp_sampler.search.preference import Weight, check_weights
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)

_MAX_STUDIES = 4  # Number of studies kept in memory; any other study is read again from the storage


@with_old_names
class NCPSampler(BaseSampler):
    """Optuna sampler that improves good params along the gradients of a surrogate model.

    With ``space``, the sampler proposes every trial, including the first, in the order of the
    space, so that the same seed gives the same codes as ``NCPOptimizer(space)``. Without ``space``,
    it infers the space from the finished trials, including conditions and changing ranges, with all
    branches in one model. Parameters that no finished trial has had, such as all parameters of the
    first trial, are drawn by ``independent_sampler``.

    The sampler learns from complete trials, from the last reports of pruned trials, and from
    failed trials. It avoids params that other workers on the same storage are running. It models
    the constraints of ``Trial.set_constraint`` and looks for the best feasible trial.
    Several objectives, ``enqueue_trial``, ``PartialFixedSampler`` (proposals are conditional on
    the fixed values), pruners, threads and processes work as they do with Optuna's own samplers.

    ``NCPOptimizer`` documents all other arguments.

    Args:
        space: Search space that every trial suggests, or None to infer it.
        costs: Known costs, as for ``NCPOptimizer``, by objective name
            (``Study.set_metric_names``), objective index, or any other name. Costs need ``space``.
        constraints_func: Function of a finished trial, as for Optuna's samplers: it returns a
            sequence of numbers, all of which are at most 0 if the trial is feasible. An alternative
            is to call ``Trial.set_constraint`` in the objective.
        objective_weights: Goal for several objectives, as for ``NCPOptimizer``, by the name or the
            index of an objective.
        seed: Seed of all proposals, from 0 to 2**32 - 1, or None for a random seed.
        independent_sampler: Sampler for parameters outside the search space. None for a
            ``RandomSampler`` whose seed depends on ``seed``, the trial and the parameter, so that
            workers with the same seed draw different values.
        warn_independent_sampling: True to warn about parameters that are sampled independently
            after the startup trials, once per parameter.
        deterministic_objective: True if equal params give equal values. In that case, while untried
            params are left, the sampler proposes no params that have been tried or that another
            worker is running.
        sources: Earlier trials: studies, whose finished trials the constructor reads, or sources as
            for ``NCPOptimizer``. Without ``space``, the parameters of ``Source(study,
            same_task=True)`` are known from the start, so that the first trial is not drawn at
            random.

    Raises:
        ValueError: An argument has the wrong type or is out of its range.

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
        objective_weights: Mapping[str | int, Weight] | str | None = None,
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
        must = f"{checks.A_SPACE}, or None"
        checks.instance("space", space, SearchSpace | None, must)
        if space is not None:
            conversion.check_categories(space)
        must = "be an Optuna sampler, such as RandomSampler(), or None"
        checks.instance("independent_sampler", independent_sampler, BaseSampler | None, must)
        must = "be a function of a finished trial, or None"
        self._constraints_func = checks.call("constraints_func", constraints_func, must)
        self._goals = _checked_goals(objective_weights, costs=costs, limits=limits)
        by_text = {
            name: {str(k): v for k, v in self._goals[name].items()} for name in ("costs", "limits")
        }
        measured = "Trial.set_constraint or constraints_func="
        checked_limits(by_text["costs"], by_text["limits"], measured)
        self._options = checked_options(
            costs=by_text["costs"], limits=by_text["limits"], constraints=None,
            objective_weights=None, seed=checks.seed(seed, high=checks.LARGEST_SEED),
            n_startup_trials=n_startup_trials, strategy=strategy, device=device,
            deterministic_objective=deterministic_objective, predictor=predictor,
            sources=read_sources(sources),
        )  # fmt: skip
        for name, function in by_text["costs"].items():
            if space is None:
                raise ValueError(
                    f"costs has {[*self._goals['costs']]}, but there is no space: a cost needs all "
                    "params before the trial suggests the first one; give NCPSampler(space=...)"
                )
            KnownCost(name, function, space)
        self._space = space
        self._declared: Distributions = {} if space is None else space.distributions
        self._searched = {n: d for n, d in self._declared.items() if not d.single()}
        self._independent_sampler = independent_sampler
        self._entropy: Any = np.random.SeedSequence(seed).entropy  # for independent draws
        self._warn = checks.flag("warn_independent_sampling", warn_independent_sampling)
        self._warned: set[str] = set()
        self._studies: dict[tuple[str, int], StudyHistory] = {}
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        sources = self._options["sources"]  # shared by the histories
        with self._lock:  # the pickle is written later, while other threads continue
            studies = copy.deepcopy(self._studies, {id(sources): sources})
            state = {**self.__dict__, "_studies": studies}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        with self._lock:
            self._options = {**self._options, "seed": None}
            for history in self._studies.values():
                history.reseed()
        self._entropy = np.random.SeedSequence().entropy
        if self._independent_sampler is not None:
            self._independent_sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is not None:
            return self._searched.copy()
        with self._lock:
            history = self._take(study, proposing.all_trials(study))
            searched = history.searched()
            self._studies[_key(study)] = history
        return searched

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            if not conversion.pins_of(study, trial):  # as in a first trial without a declared space
                study._storage.set_trial_system_attr(trial._trial_id, REASONS_KEY, dict(DRAWN))
            return {}
        with self._lock:
            trials = proposing.all_trials(study)
            history = self._take(study, trials)
            space_history, pins = self._space_history(study, trial, history, search_space)
            params = proposing.propose(study, trial, trials, space_history, pins)
            # Optuna raises an error for a relative value if the trial suggests the parameter with
            # another type, as after `add_trial`; `sample_independent` uses the claim if it fits
            known = {
                name
                for name, distribution in search_space.items()
                if self._space is not None or history.is_suggested(name, distribution)
            }
            self._studies[_key(study)] = history
        return {name: params[name] for name in search_space if name in params and name in known}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        declared = self._declared.get(param_name, param_distribution)
        if declared != param_distribution:
            raise ValueError(conversion.describe_misfit(param_name, param_distribution, declared))
        # Optuna rejects a relative proposal for a stepped float that is off the grid by more than
        # 1e-8 steps, even if no floating-point number is nearer, as for most values of
        # FloatDistribution(1e6, 1e6 + 1, step=1e-3). It then calls this method and does not check
        # the returned value, so the proposal is returned here.
        only = {param_name: param_distribution}
        proposed = conversion.valid_pins(only, claims.claimed_params(trial, only))
        if proposed:
            return proposed[param_name]
        self._warn_independent(study, trial, param_name, param_distribution)
        sampler = self._independent_sampler
        if sampler is None:
            key = [self._entropy, trial.number, zlib.crc32(param_name.encode())]
            sampler = RandomSampler(seed=int(np.random.SeedSequence(key).generate_state(1)[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.after_trial(study, trial, state, values)
        if state == TrialState.FAIL:  # an error raised here would hide the objective's error
            return
        if self._constraints_func is not None:
            conversion.publish_constraints(study, trial, self._constraints_func)
        if self._space is not None:
            conversion.check_suggested(self._space, self._declared, trial, state)

    def known_costs(self, study: Study, params: Params) -> dict[str, float]:
        """Return the values of those objectives of a study that are known costs.

        The result is empty if a parameter is missing in ``params``.
        """
        names = conversion.metric_names(study)
        costs = conversion.named_goals({"costs": self._goals["costs"]}, names)["costs"] or {}
        if self._space is None or conversion.missing_params(self._space, params):
            return {}
        code = self._space.to_code(conversion.with_single_values(self._space, params), clip=True)
        return {
            name: float(KnownCost(name, function, self._space).at(code[None])[0])
            for name, function in costs.items()
            if name in names
        }

    @contextmanager
    def observing(self, study: Study) -> Iterator[SpaceHistory | None]:
        """Yield the history of a study's full search space, after it has read all finished trials.

        Yield None as long as no parameter is known.
        """
        with self._lock:
            trials = proposing.all_trials(study)
            history = self._take(study, trials)
            searched = self._searched or history.searched()
            own = history.of_space(study, searched, self._space) if searched else None
            if own is not None:
                own.read(trials)
            yield own
            self._studies[_key(study)] = history

    def _take(self, study: Study, trials: Sequence[FrozenTrial]) -> StudyHistory:
        """Remove the study's history from memory and return it, updated with ``trials``.

        Create the history if there is none. The caller puts it back when it is finished. After an
        interrupt in between, no partially updated history remains: the next call reads all trials
        again.
        """
        history = self._studies.pop(_key(study), None)
        if history is None or not history.is_of(study, trials):
            history = StudyHistory(study, self._space, self._options, self._goals)
        while len(self._studies) >= _MAX_STUDIES:
            del self._studies[next(iter(self._studies))]  # the least recently used
        history.read(trials)
        return history

    def _space_history(
        self, study: Study, trial: FrozenTrial, history: StudyHistory, passed: Distributions
    ) -> tuple[SpaceHistory, Params]:
        """Return the history of the space to search for a trial, and the valid pins in this space.

        The space consists of the parameters in ``passed``. If all other parameters of the full
        space are pinned, it is the full space: the proposal is then conditional on the pins, and
        the optimizer observes all trials.
        """
        full = self._searched or history.searched()
        pins = conversion.pins_of(study, trial)
        rest = {name: dist for name, dist in full.items() if name not in passed}
        clip = bool(self._goals["costs"])
        is_part = all(full.get(name) == dist for name, dist in passed.items())
        if is_part and conversion.valid_pins(rest, pins, clip=clip).keys() == rest.keys():
            passed = full
        elif clip:
            missing = sorted(rest.keys() - pins.keys())
            raise ValueError(
                f"costs cannot be computed without {missing}; let every trial suggest all "
                "parameters of the space"
            )
        space = self._space if passed is self._searched else None
        pins = conversion.valid_pins(passed, pins, clip=clip)
        return history.of_space(study, passed, space), pins

    def _warn_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> None:
        """Warn once about a parameter that is sampled independently although trials have had it."""
        if not self._warn or name in self._warned:
            return
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        trials = study._get_trials(deepcopy=False, states=states, use_cache=True)
        known = any(name in earlier.params for earlier in trials)
        if not known or len(trials) < self._options["n_startup_trials"]:
            return
        if name in claims.claimed_params(trial, {name: distribution}):
            reason = f"its proposal is outside {distribution}, which other trials did not have"
        else:
            unknown = "it is not declared" if self._space else "too few trials have had it so far"
            reason = conversion.reason_against(name, distribution) or unknown
            reason = f"it is not in the search space of NCPSampler: {reason}"
        self._warned.add(name)
        _logger.warning(
            "parameter %r of trial %d is sampled by %s, since %s; "
            "warn_independent_sampling=False silences this",
            name, trial.number, type(self._independent_sampler or RandomSampler()).__name__, reason,
        )  # fmt: skip


def _checked_goals(
    weights: Mapping[str | int, Weight] | str | None, **goals: Mapping[str | int, Any] | None
) -> Goals:
    """Check ``costs``, ``limits`` and ``objective_weights``, whose keys are names or indices."""
    checked: Goals = {}
    for argument, given in {
        **goals,
        "objective_weights": {} if isinstance(weights, str) else weights,
    }.items():
        checks.instance(argument, {} if given is None else given, Mapping, "map names of metrics")
        checked[argument] = dict(given or {})
        for key in checked[argument]:
            if isinstance(key, bool) or not isinstance(key, str | int):
                must = "be a metric's name, or an objective's index"
                raise checks.refusal(f"{argument}: key", key, must)
    check_weights(weights)
    return {**checked, "objective_weights": weights} if isinstance(weights, str) else checked


def _key(study: Study) -> tuple[str, int]:
    """Return the name and the ID of a study. The ID of every in-memory study is 0."""
    return study.study_name, study._study_id
