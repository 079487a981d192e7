"""``NCPSearch``: a Ray Tune searcher based on ``NCPOptimizer``.

The search starts as soon as the constructor or the Tuner has provided the space, metric and mode,
and at the latest when the Tuner first asks for a suggestion.

A trial is *running* from its suggestion until it completes; other trials avoid its params. If it
completes with a value, it is *done*, and its later results are ignored. If it completes without a
value, it has failed: it is *recorded*, and the record is replaced if ``Tuner.restore`` resumes the
trial. If a trial is restarted under a new ID, the searcher recognizes it by the config in its
results. It is recorded again with every report, because a ``ConcurrencyLimiter`` does not pass on
the completion of trials that it did not suggest itself. A trial whose config does not fit the space
is *refused*: the searcher logs a warning and ignores the trial.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from ray.tune.result import DEFAULT_METRIC

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.integrations.ray import results
from ncp_sampler.integrations.ray import sources as earlier
from ncp_sampler.integrations.ray.checkpoint import SavedSearcher
from ncp_sampler.integrations.ray.results import Names
from ncp_sampler.integrations.ray.sources import Evaluated
from ncp_sampler.integrations.ray.space import TuneSpace, declared_space, from_domains
from ncp_sampler.optimizer.compromise import Compromise
from ncp_sampler.optimizer.explanation import Reasons
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.optimizer.options import checked_options
from ncp_sampler.optimizer.trials import Trial
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.search.known_cost import Costs
from ncp_sampler.search.preference import COMPROMISE, Preference, Weights
from ncp_sampler.search.slack import Constraints
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)


@with_old_names
class NCPSearch(SavedSearcher):
    """Ray Tune searcher based on Network Coding Propagation, which edits codes along gradients.

    The space comes from ``space`` or from the Tune domains in the Tuner's ``param_space``. Metric
    and mode come from the arguments or, if there is a ``param_space``, from ``TuneConfig``. For
    several metrics, pass lists of names and modes.

    The searcher learns from a trial's last report, even if a scheduler stopped the trial, and from
    trials that fail. It does not suggest params that another trial is running. It works with
    ``ConcurrencyLimiter``, ``Repeater``, ASHA, HyperBand, ``HyperBandForBOHB`` and
    ``Tuner.restore``.

    ``NCPOptimizer`` documents all other arguments. Objects that you pass must be picklable.

    Args:
        space: The search space: a ``SearchSpace``, whose parameter ``a/b`` is
            ``config["a"]["b"]``, or a nested dictionary of Tune domains and constants.
        metric: Name of the metric, ``a/b`` for a nested metric; or a list of names.
        mode: "min" or "max", or a list with one of them for each metric. If only the mode is given,
            the metric is the value that the trainable returns.
        points_to_evaluate: Configs to suggest first, flat or nested, with or without constants.
        evaluated_rewards: Values of these configs, if they are known; a sequence per config for
            several metrics. The configs then count as observations and are not suggested.
        sources: Earlier runs (``ResultGrid``, ``ExperimentAnalysis``), or sources as for
            ``NCPOptimizer``.

    Attributes:
        reasons: Trial ID -> reasons for its params, which ``ncp_sampler.explain`` shows.

    Raises:
        ValueError: An argument is out of its range, or a point does not fit the space.

    Examples:
        >>> from ray import tune
        >>> space = {"x": tune.uniform(-10, 10), "net": {"depth": tune.randint(1, 5)}}
        >>> search = NCPSearch(space=space, metric="loss", mode="min", seed=0)
        >>> config = search.suggest("trial_1")  # as the Tuner does
        >>> search.on_trial_complete("trial_1", {"loss": config["x"] ** 2})
    """

    def __init__(
        self,
        space: SearchSpace | Mapping[str, Any] | None = None,
        *,
        metric: Names | None = None,
        mode: Names | None = None,
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        constraints: Constraints | None = None,
        objective_weights: Weights | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[Any] | None = None,
        seed: int | None = None,
        n_startup_trials: int = 10,
        strategy: Strategy | str = "continuous",
        deterministic_objective: bool = True,
        device: str | torch.device = "cpu",
        predictor: Predictor | str = "auto",
        sources: Sequence[Any] | None = None,
    ) -> None:
        names, modes = results.checked_objective(metric, mode)
        super().__init__(metric=names, mode=modes)
        self._space = declared_space(space)
        self._options = checked_options(
            costs=costs, limits=limits, constraints=constraints, seed=seed,
            objective_weights=objective_weights, n_startup_trials=n_startup_trials,
            strategy=strategy, device=device, deterministic_objective=deterministic_objective,
            predictor=predictor, sources=earlier.read_sources(sources),
        )  # fmt: skip
        if names is not None and modes is not None:
            Preference.of(objective_weights, results.directions(names, modes))
        self._optimizer: NCPOptimizer | None = None  # set when the search starts
        # configs to suggest, and configs evaluated elsewhere that were received before the start
        self._queued, self._evaluated = earlier.given_points(points_to_evaluate, evaluated_rewards)
        self.reasons: dict[str, Reasons] = {}
        self._running: dict[str, Params] = {}
        self._reports: dict[str, dict[str, float]] = {}  # last values of running trials
        self._recorded: dict[str, tuple[int, Params]] = {}  # position in the optimizer, params
        self._done, self._refused = set[str](), set[str]()
        if self._space is not None and self._metric is not None:  # a mode alone does not suffice
            self._start()

    def __getstate__(self) -> dict[str, Any]:
        optimizer = self._optimizer
        saved = None if optimizer is None else optimizer.state_dict()
        return {**self.__dict__, "_optimizer": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _optimizer=None)
        if state["_optimizer"] is not None:
            self._optimizer = self._new_optimizer(state["_space"])
            self._optimizer.load_state_dict(state["_optimizer"])

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        given = from_domains(config)
        space = self._space or (given and TuneSpace(given.space))
        if space and given and space.space.dimensions != given.space.dimensions:
            return False
        metric = metric if self._metric is None else self._metric
        mode = mode if self._mode is None else self._mode
        objective = results.checked_objective(metric, mode)
        self._space = space and space.within(config if given is None else given.constants)
        self._metric, self._mode = objective
        if self._space is not None and metric is not None:
            self._start()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        space, optimizer = self._start()
        if checks.text("trial_id", trial_id) not in self._running:
            if self._queued:
                params = space.valid_params(self._queued.pop(0))
            else:
                (params,) = optimizer.ask(pending=list(self._running.values()))
                (self.reasons[trial_id],) = optimizer.reasons
            self._running[trial_id] = params
            self._done.discard(trial_id)  # a reused id belongs to a new trial
            self._recorded.pop(trial_id, None)
        return space.config(self._running[trial_id])

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        checks.instance("result", result, Mapping, "be a dictionary, as reported")
        if checks.text("trial_id", trial_id) in self._done or self._optimizer is None:
            return
        metrics = results.metrics_in(result, self._optimizer.metric_names)
        if trial_id in self._running:
            self._reports.setdefault(trial_id, {}).update(metrics)
        elif metrics and (params := self._params_of(trial_id, result)) is not None:
            self._tell(trial_id, params, metrics)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        must = "be a dictionary, as reported, or None"
        reported = checks.instance("result", {} if result is None else result, Mapping, must)
        failed = checks.flag("error", error)
        if checks.text("trial_id", trial_id) in self._done:
            return
        if self._optimizer is None:
            _logger.warning("nothing is learned from trial %s: there is no space yet", trial_id)
            return
        if (params := self._params_of(trial_id, reported)) is None:
            return
        # without a result (HyperBand stopped a paused trial), the last report counts
        last = self._reports.pop(trial_id, {})
        metrics = {**last, **results.metrics_in(reported, self._optimizer.metric_names)}
        objectives = list(self._optimizer.directions)
        if failed:  # the objectives do not count, but the trial may have reported a constraint
            metrics = {name: metrics[name] for name in metrics if name not in objectives}
        elif reported:
            results.warn_of(trial_id, {**metrics, **reported}, objectives)
        self._running.pop(trial_id, None)
        if metrics or failed or trial_id not in self._recorded:
            self._tell(trial_id, params, metrics, failed=failed)
        if not all(math.isnan(metrics.get(name, math.nan)) for name in objectives):
            del self._recorded[trial_id]
            self._done.add(trial_id)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Learn from a config that was evaluated elsewhere.

        Args:
            parameters: The config, flat or nested, with or without constants.
            value: Final value: a number, or for several metrics a sequence or a mapping by name.
                None if there is no final value. A trial without any value counts as stopped early.
            error: True if the trial failed.
            pruned: True if the trial was stopped early.
            intermediate_values: Values reported during the trial. If ``value`` is None, the last of
                them is used instead.

        Raises:
            ValueError: The config does not fit the space, or the number of values is wrong.
        """
        checks.instance("parameters", parameters, Mapping, "be a dictionary, flat or nested")
        failed, stopped = checks.flag("error", error), checks.flag("pruned", pruned)
        if value is None and intermediate_values is not None:
            must = "be a list of values, or None"
            listed = results.checked_list("intermediate_values", intermediate_values, must)
            value = [None, *listed][-1]
        value = None if failed else value
        complete = failed or not (stopped or value is None)
        self._learn([Evaluated(parameters, value, complete)])

    @property
    def best_trial(self) -> Trial:
        """Best complete trial that violates no constraint, for a single metric.

        Ray's ``ResultGrid.get_best_result`` ignores constraints. The params of the trial have flat
        names, ``a/b`` for ``config["a"]["b"]``, and do not include constants. A trial that a
        scheduler stopped counts as complete, with the values of its last report, as in Ray.

        Raises:
            ValueError: There is no such trial, or there are several metrics (see ``compromise``).
        """
        return self._start()[1].best_trial

    @property
    def best_params(self) -> Params:
        """Params of ``best_trial``."""
        return self.best_trial.params

    @property
    def best_metrics(self) -> dict[str, float]:
        """Metrics of ``best_trial``, including constraints."""
        return self.best_trial.metrics

    def compromise(self, objective_weights: Weights = COMPROMISE) -> Compromise:
        """Return the best compromise between several metrics; see ``NCPOptimizer.compromise``.

        If a trial reported only some of the metrics, the others are predicted. ``number`` counts
        the trials in the order in which they were reported.
        """
        return self._start()[1].compromise(objective_weights)

    def add_evaluated_trials(self, trials_or_analysis: Any, metric: Names) -> None:
        """Learn from the last results of the trials of an earlier run of the same task.

        A trial is left out, with a warning, if it did not report the metric, or if its config does
        not fit the space or has a different constant. For runs of another task, use ``sources``.

        Args:
            trials_or_analysis: ``ExperimentAnalysis``, ``ResultGrid``, a ``Trial`` or a list.
            metric: Name of the metric in the trials' results; for several metrics, a list in the
                order of the search's metrics. Constraints must have the same names as in the
                search.

        Raises:
            ValueError: An argument has another type, no trial reported the metric, or no trial fits
                the space.
        """
        constraints = self._options["constraints"] or {}
        self._learn(earlier.evaluated_trials(trials_or_analysis, metric, [*constraints]))

    def on_pause(self, trial_id: str) -> None:
        """Do nothing: a trial that ``HyperBandForBOHB`` has paused still counts as running."""

    on_unpause = on_pause

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Restore the newest searcher in a run's folder, as ``Tuner.restore`` does.

        If the file cannot be restored, the searcher learns from the last reports of the run's
        trials instead, provided that its search has started.

        Raises:
            RuntimeError: There is no searcher in the folder.
            ValueError: The file cannot be restored, and the run's trials cannot be used, either.
        """
        try:
            super().restore_from_dir(str(checks.path("checkpoint_dir", checkpoint_dir, "a folder")))
        except ValueError as error:  # after an error, Ray would start the run again, or hang
            trials = earlier.trials_in(checkpoint_dir)
            if self._optimizer is None or not trials:
                raise ValueError(f"{error}, as Tuner.restore does if given param_space") from error
            space, _ = self._start()
            known = []
            for trial_id, result, failed in trials:
                self.on_trial_complete(trial_id, result, failed)
                with suppress(ValueError):
                    known.append(space.valid_params(result, "config/", clip=True))
            self._queued = [c for c in self._queued if space.valid_params(c) not in known]
            n_learned = len(self._done.intersection(trial_id for trial_id, _, _ in trials))
            message = "%s. Learned the results of %d of the run's %d trials instead"
            _logger.error(message, error, n_learned, len(trials))

    def _start(self) -> tuple[TuneSpace, NCPOptimizer]:
        """Return the space and the optimizer; create them if the search has not started."""
        if self._space is None:
            raise ValueError(
                "NCPSearch has no search space; give it NCPSearch(space=...), or give the Tuner a "
                "param_space with domains such as tune.uniform(0, 1)"
            )
        if self._optimizer is None:
            optimizer = self._new_optimizer(self._space)
            earlier.learn(self._space, optimizer, self._evaluated)
            for config in self._queued:
                self._space.valid_params(config)
            self._evaluated, self._optimizer = [], optimizer
        return self._space, self._optimizer

    def _new_optimizer(self, space: TuneSpace) -> NCPOptimizer:
        self._metric = self._metric or (self._mode and DEFAULT_METRIC)
        wanted = results.directions(self._metric, self._mode)
        names = [*wanted, *(self._options["constraints"] or ())]
        # earlier runs are converted here, because the conversion needs the search's metric names
        sources = earlier.in_search(self._options["sources"] or (), space, names)
        self._options = {**self._options, "sources": sources}
        return NCPOptimizer(space.space, directions=wanted, **self._options)

    def _learn(self, evaluated: list[Evaluated]) -> None:
        if self._optimizer is None:
            self._evaluated += evaluated
        else:
            earlier.learn(*self._start(), evaluated)

    def _tell(
        self, trial_id: str, params: Params, metrics: dict[str, float], *, failed: bool = False
    ) -> None:
        """Report a trial to the optimizer, replacing an earlier record of the trial.

        Ray does not tell a searcher which trials were stopped early. A trial without any metric
        that did not fail was therefore stopped before its first report, and counts as incomplete.
        """
        _, optimizer = self._start()
        position, _ = self._recorded.setdefault(trial_id, (optimizer.n_observations, params))
        replace = position if position < optimizer.n_observations else None
        complete = failed or any(name in metrics for name in optimizer.directions)
        optimizer.tell(params, metrics, complete=complete, replace=replace)

    def _params_of(self, trial_id: str, result: Mapping[str, Any]) -> Params | None:
        """Return the trial's params, as suggested or from the config in its result, or None.

        A config that does not fit the space is refused with a warning.
        """
        if trial_id in self._running:
            return self._running[trial_id]
        if trial_id in self._recorded:
            return self._recorded[trial_id][1]
        if not result or trial_id in self._refused:  # without a result, the params are unknown
            return None
        try:
            return self._start()[0].valid_params(result, "config/", clip=True)
        except ValueError as error:
            self._refused.add(trial_id)
            _logger.warning("nothing is learned from trial %s: %s", trial_id, error)
            return None
