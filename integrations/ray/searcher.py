"""Ray Tune: ``NCPSearch`` translates between a run's trials and ``NCPOptimizer``.

A trial is *running* from its suggestion until it completes; its params are kept off. One that
completes with a value is *done*, and nothing more is learnt of it. One that completes without has
failed: it is known, and told *again* once ``Tuner.restore`` has resumed it under its id. Those that
it restarts, under new ids, are known by the config in their results, and are told again with every
report: a ``ConcurrencyLimiter`` keeps back the completion of what it did not just suggest.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

try:
    from ray import cloudpickle
    from ray.tune.result import DEFAULT_METRIC
    from ray.tune.search import Searcher
except ImportError as error:
    raise ImportError(
        f"NCPSearch needs Ray Tune ({error}); install it with: pip install 'ncp_sampler[ray]'"
    ) from error

from ncp_sampler.integrations.ray.metrics import (
    Names,
    checked_objective,
    directions,
    evaluated_trials,
    given_points,
    metrics_in,
    named_values,
)
from ncp_sampler.integrations.ray.space import TuneSpace, declared_space, from_domains
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import Params, SearchSpace

__all__ = ["NCPSearch"]

_logger = logging.getLogger(__name__)


class NCPSearch(Searcher):
    """Searches by Network Coding Propagation: gradient edits of good codes.

    The space comes from ``space`` or from the Tune domains in the Tuner's ``param_space``; metric
    and mode from here or from ``TuneConfig``, whose own arrive only with a ``param_space``. Several
    metrics are given here, as lists.

    The searcher learns from a trial's last report, also when a scheduler stopped it, and takes
    note of failed trials. No params are suggested that another trial runs. ``ConcurrencyLimiter``,
    ``Repeater``, ASHA and HyperBand work, and so do ``Tuner.restore`` with resumed or restarted
    trials and ``add_evaluated_trials``.

    Args:
        space: The search space: a ``SearchSpace``, whose parameter ``a/b`` is
            ``config["a"]["b"]``, or a nested dictionary of Tune domains and constants.
        metric: Name of the metric, ``a/b`` for a nested one, or several.
        mode: "min" or "max", for each metric. With a mode alone, the metric is the value that the
            trainable returns.
        points_to_evaluate: Configs to suggest first, flat or nested; constants may be in them.
        evaluated_rewards: Their values, if known: then they are learnt and not suggested. With
            several metrics each is a sequence.
        seed: Seed of all suggestions, or None for a fresh one.
        n_startup_trials: Trials that are spread over the space before the predictor is used.
        strategy: How codes are edited, ``"continuous"`` or ``"winner_takes_all"``.
        deterministic_objective: Whether equal params give equal values, so that none are
            suggested twice while others are left. Set it to False for a noisy objective.
        device: Device of the predictor's tensors.

    Raises:
        ValueError: An argument has a value that it cannot have.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | Mapping[str, Any] | None = None,
        metric: Names | None = None,
        mode: Names | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[Any] | None = None,
        seed: int | None = None,
        n_startup_trials: int = 10,
        strategy: str = "continuous",
        deterministic_objective: bool = True,
        device: str | torch.device = "cpu",
    ) -> None:
        names, modes = checked_objective(metric, mode)
        super().__init__(metric=names, mode=modes)
        self._space = declared_space(space)
        self._new_optimizer = partial(
            NCPOptimizer,
            seed=seed,
            n_startup_trials=n_startup_trials,
            strategy=strategy,
            deterministic_objective=deterministic_objective,
            device=device,
        )
        # the optimizer checks its arguments, and should do so here rather than at the first trial
        self._new_optimizer(SearchSpace([Integer("x", 0, 1)]), directions={"value": "minimize"})
        self._optimizer: NCPOptimizer | None = None
        # configs to suggest, and those evaluated elsewhere until there is a space
        self._queued, self._evaluated = given_points(points_to_evaluate, evaluated_rewards)
        self._running: dict[str, Params] = {}
        self._reports: dict[str, dict[str, float]] = {}  # last values of the running
        self._again: dict[str, tuple[int, Params]] = {}  # told, with position, and not done
        self._done: set[str] = set()
        self._warned = False
        if names is not None:
            self._start()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._optimizer is not None:
            state["_optimizer"] = self._optimizer.state_dict()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _optimizer=None)
        if state["_optimizer"] is not None:
            self._optimizer = self._make_optimizer()
            self._optimizer.load_state_dict(state["_optimizer"])

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        found = from_domains(config)
        if found is not None:
            found = TuneSpace(found.space)  # Ray adds the constants
            if self._space is not None and self._space.space != found.space:
                return False
        objective = checked_objective(
            metric if self._metric is None else self._metric,
            mode if self._mode is None else self._mode,
        )
        self._space = self._space or found
        self._metric, self._mode = objective
        if self._metric is not None:
            self._start()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._optimizer is None:
            self._start(at_last=True)
        assert self._optimizer is not None
        assert self._space is not None
        if trial_id not in self._running:
            if self._queued:
                params = self._legal(self._queued.pop(0))
            else:
                (params,) = self._optimizer.ask(pending=list(self._running.values()))
            self._running[trial_id] = params
        return self._space.config(self._running[trial_id])

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._done or self._optimizer is None:
            return
        metrics = self._metrics_in(result)
        if trial_id in self._running:
            self._reports.setdefault(trial_id, {}).update(metrics)
        elif metrics and (params := self._params_of(trial_id, result)) is not None:
            self._tell(trial_id, params, metrics)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id in self._done or self._optimizer is None:
            return
        params = self._params_of(trial_id, result or {})
        if params is None:
            _logger.debug("trial %s is unknown and has no params; nothing is learnt", trial_id)
            return
        reports = self._reports.pop(trial_id, {})
        # without a result, HyperBand stopped the trial while it was paused
        metrics = {} if error else {**reports, **self._metrics_in(result or {})}
        if result and not metrics and not error and not self._warned:
            self._warned = True
            _logger.warning(
                "trial %s reported none of %s, so nothing is learnt from it (warned once)",
                trial_id,
                list(self._optimizer.directions),
            )
        self._running.pop(trial_id, None)
        if metrics or error or trial_id not in self._again:
            self._tell(trial_id, params, metrics)
        if not all(map(math.isnan, metrics.values())):
            del self._again[trial_id]
            self._done.add(trial_id)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Learns from a config evaluated elsewhere, flat or nested, with or without constants.

        Args:
            parameters: The config.
            value: Its value; with several metrics a sequence, or a mapping by name. None is not
                learnt from, unless there are intermediate values.
            error: Whether it failed: then it is known, but not learnt from.
            pruned: Whether it was stopped early.
            intermediate_values: The last one counts where ``value`` is None.

        Raises:
            ValueError: A config that does not fit the space, or as many values as there are not.
        """
        if value is None and intermediate_values:
            value = intermediate_values[-1]
        point = (parameters, None if error else value, not pruned)
        if self._optimizer is None:
            self._evaluated.append(point)
        else:
            self._learn(*point)

    def add_evaluated_trials(self, trials_or_analysis: Any, metric: Names) -> None:
        """Learns from the trials of an earlier run, by their last results.

        Args:
            trials_or_analysis: ``ExperimentAnalysis``, ``ResultGrid``, a ``Trial`` or a list of
                them. Their configs must fit the space; other keys are left out.
            metric: The metric's name in their results, ``a/b`` for a nested one; with several
                metrics their names, in order.

        Raises:
            ValueError: Something else, configs that do not fit, or no trial that reported it.
        """
        for trial in evaluated_trials(trials_or_analysis, metric):
            self.add_evaluated_point(trial.config, trial.values, trial.error, trial.pruned)

    def save(self, checkpoint_path: str) -> None:
        """Writes all that the next suggestions depend on to a file."""
        Path(checkpoint_path).write_bytes(cloudpickle.dumps(self.__getstate__()))

    def restore(self, checkpoint_path: str) -> None:
        """Continues as the searcher that ``save`` was called on would have.

        Nothing given to the constructor remains. The file is unpickled: read only your own.

        Raises:
            ValueError: It is no such file, or not all of one.
        """
        try:
            state = cloudpickle.loads(Path(checkpoint_path).read_bytes())
        except (EOFError, UnpicklingError):  # as a process that is killed leaves it
            state = None
        if not isinstance(state, dict) or not self.__dict__.keys() <= state.keys():
            raise ValueError(
                f"checkpoint_path={str(checkpoint_path)!r} holds no NCPSearch; give a file that "
                "NCPSearch.save wrote"
            )
        self.__setstate__(state)

    def _start(self, *, at_last: bool = False) -> None:
        """Makes the optimizer once space, metric and mode are known; at last, they must be."""
        if self._optimizer is not None or (self._space is None and not at_last):
            return
        if self._space is None:
            raise ValueError(
                "NCPSearch has no search space; give it NCPSearch(space=...), or give the Tuner a "
                "param_space with domains such as tune.uniform(0, 1)"
            )
        if self._mode is None:
            raise ValueError(
                "NCPSearch has no metric and mode; give NCPSearch(metric=..., mode=...): those of "
                "TuneConfig do not reach it without a param_space"
            )
        self._metric = self._metric or DEFAULT_METRIC
        self._optimizer = self._make_optimizer()
        for point in self._evaluated:
            self._learn(*point)
        self._evaluated = []
        for config in self._queued:
            self._legal(config)

    def _make_optimizer(self) -> NCPOptimizer:
        assert self._space is not None
        assert self._metric is not None
        assert self._mode is not None
        return self._new_optimizer(
            self._space.space, directions=directions(self._metric, self._mode)
        )

    def _learn(self, config: Mapping[str, Any], value: Any, complete: bool) -> None:
        """Tells the optimizer a config evaluated elsewhere."""
        assert self._optimizer is not None
        assert self._space is not None
        metrics = named_values(value, list(self._optimizer.directions))
        self._optimizer.tell(self._space.params(config), metrics, complete=complete)

    def _tell(self, trial_id: str, params: Params, metrics: dict[str, float]) -> None:
        """Tells the optimizer a trial, in place of what it was told of it before.

        As complete: Ray does not tell a stopped trial from one that ran to its end.
        """
        assert self._optimizer is not None
        position = self._again[trial_id][0] if trial_id in self._again else None
        known = self._optimizer.n_told if position is None else position
        self._again[trial_id] = known, params
        self._optimizer.tell(params, metrics, replace=position)

    def _legal(self, config: Mapping[str, Any], *, prefix: str = "", clip: bool = False) -> Params:
        """The params in a config, legal and in the space's own types."""
        assert self._space is not None
        space = self._space.space
        code = space.to_code(self._space.params(config, prefix), clip=clip)
        params: Params = space.to_params(code)
        return params

    def _params_of(self, trial_id: str, result: Mapping[str, Any]) -> Params | None:
        """The trial's params: as suggested, else as in the config that results carry."""
        if trial_id in self._running:
            return self._running[trial_id]
        if trial_id in self._again:
            return self._again[trial_id][1]
        try:
            return self._legal(result, prefix="config/", clip=True)
        except ValueError:
            return None

    def _metrics_in(self, result: Mapping[str, Any]) -> dict[str, float]:
        assert self._optimizer is not None
        return metrics_in(result, list(self._optimizer.directions))
