"""Ray Tune: ``NCPSearch`` translates between a run's trials and ``NCPOptimizer``.

In come Tune domains or a ``SearchSpace``, metric and mode, and the trials' results; out go nested
configs to try. The search starts once space, metric and mode are known: from here, from the Tuner
or, at last, when the first suggestion is asked for.

A trial is *running* from its suggestion until it completes; its params are kept off. One that
completes with a value is *done*, and nothing more is learnt of it. One that completes without has
failed: it is known, and told *again* once ``Tuner.restore`` has resumed it under its id. Those that
it restarts, under new ids, are known by the config in their results, and are told again with every
report: a ``ConcurrencyLimiter`` keeps back the completion of what it did not just suggest. A
warning says why one is *refused*, whose config does not fit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from ray.tune.result import DEFAULT_METRIC
from ray.tune.search import Searcher

from ncp_sampler import checks
from ncp_sampler.integrations.ray.configs import TuneSpace
from ncp_sampler.integrations.ray.metrics import (
    Evaluated,
    Names,
    checked_objective,
    evaluated_point,
    evaluated_trials,
    given_points,
    trials_in,
    warn_of,
)
from ncp_sampler.integrations.ray.saved import read_searcher, write_searcher
from ncp_sampler.integrations.ray.sources import read_sources
from ncp_sampler.integrations.ray.space import declared_space, from_domains
from ncp_sampler.integrations.ray.started import Started, new_start
from ncp_sampler.optimizer.earlier_work import check_guided
from ncp_sampler.optimizer.explanation import Reasons
from ncp_sampler.optimizer.goals import checked_goals
from ncp_sampler.optimizer.limits import Costs
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)
_DAMAGED = "%s. Learned the results of %d of the run's %d trials in its place"


class NCPSearch(Searcher):
    """Searches by Network Coding Propagation: gradient edits of good codes.

    The space comes from ``space`` or from the Tune domains in the Tuner's ``param_space``; metric
    and mode from here or from ``TuneConfig``, whose own arrive only with a ``param_space``. Several
    metrics are given here, as lists.

    The searcher learns from a trial's last report, also when a scheduler stopped it, and from
    trials that fail. No params are suggested that another trial runs. ``ConcurrencyLimiter``,
    ``Repeater``, ASHA, HyperBand and ``HyperBandForBOHB`` work, and so do ``Tuner.restore`` with
    resumed or restarted trials and ``add_evaluated_trials``.

    Args:
        space: The search space: a ``SearchSpace``, whose parameter ``a/b`` is
            ``config["a"]["b"]``, or a nested dictionary of Tune domains and constants.
        metric: Name of the metric, ``a/b`` for a nested one, or several.
        mode: "min" or "max", for each metric. With a mode alone, the metric is the value that the
            trainable returns.
        costs: What is computed, not learnt, as ``NCPOptimizer`` takes it.
        limits: Known cost -> what no suggestion exceeds, from the first on.
        constraints: Key of a result, ``a/b`` for a nested one -> the upper bound of what is
            feasible, which is learnt.
        weights: As ``NCPOptimizer`` takes it.
        points_to_evaluate: Configs to suggest first, flat or nested; constants may be in them.
        evaluated_rewards: Their values, if known: then they are learnt and not suggested. With
            several metrics each is a sequence.
        seed: Seed of all suggestions, or None for a fresh one.
        n_startup_trials: Trials that are spread over the space before the predictor is used.
        strategy: As ``NCPOptimizer`` takes it; an object can be pickled.
        deterministic_objective: As ``NCPOptimizer`` takes it; False for a noisy objective.
        device: Where the predictor computes, in the process of the Tuner: "cpu" or "cuda".
        predictor: As ``NCPOptimizer`` takes it; an object can be pickled.
        sources: Earlier runs, a ``ResultGrid`` or ``ExperimentAnalysis``; and as ``NCPOptimizer``.

    Attributes:
        reasons: Trial's id -> why its params were suggested; ``ncp_sampler.explain`` shows it.

    Raises:
        ValueError: An argument out of its range, or points that do not fit the space.

    Examples:
        >>> from ray import tune
        >>> space = {"x": tune.uniform(-10, 10), "net": {"depth": tune.randint(1, 5)}}
        >>> search = NCPSearch(space=space, metric="loss", mode="min", seed=0)
        >>> config = search.suggest("trial_1")  # so the Tuner asks, and tells
        >>> search.on_trial_complete("trial_1", {"loss": config["x"] ** 2})
    """

    def __init__(
        self,
        *,
        space: SearchSpace | Mapping[str, Any] | None = None,
        metric: Names | None = None,
        mode: Names | None = None,
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        constraints: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
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
        names, modes = checked_objective(metric, mode)
        super().__init__(metric=names, mode=modes)
        self._space = declared_space(space)
        self._new_optimizer = partial(
            NCPOptimizer, seed=seed, n_startup_trials=n_startup_trials, strategy=strategy,
            deterministic_objective=deterministic_objective, device=device, predictor=predictor,
        )  # fmt: skip
        # the optimizer checks its arguments, and should do so here rather than at the first trial
        plain = SearchSpace([Integer("x", 0, 1)])
        checked = self._new_optimizer(plain, directions={"value": "minimize"})
        self._goals = checked_goals(costs, limits, constraints, weights)
        self._goals["sources"] = read_sources(sources)
        check_guided(self._goals["sources"], checked.predictor)
        self._started: Started | None = None
        # configs to suggest, and those evaluated elsewhere until there is a space
        self._queued, self._evaluated = given_points(points_to_evaluate, evaluated_rewards)
        self.reasons: dict[str, Reasons] = {}
        self._running: dict[str, Params] = {}
        self._reports: dict[str, dict[str, float]] = {}  # last values of the running
        self._again: dict[str, tuple[int, Params]] = {}  # told, with position, and not done
        self._done: set[str] = set()
        self._refused: set[str] = set()
        self._start_if_known()

    def __getstate__(self) -> dict[str, Any]:
        started = self._started
        saved = None if started is None else started.optimizer.state_dict()
        return {**self.__dict__, "_started": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _started=None)
        if state["_started"] is not None:
            started = self._new_start()
            started.optimizer.load_state_dict(state["_started"])
            self._started = started

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        found = from_domains(config)
        known = self._space or (found and TuneSpace(found.space))
        if known and found and known.space.dimensions != found.space.dimensions:
            return False
        objective = checked_objective(
            metric if self._metric is None else self._metric,
            mode if self._mode is None else self._mode,
        )
        self._space = known and known.within(config if found is None else found.constants)
        self._metric, self._mode = objective
        self._start_if_known()
        if self._space is not None and self._started is not None:
            self._started = replace(self._started, space=self._space)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        started = self._start()
        if checks.text("trial_id", trial_id) not in self._running:
            if self._queued:
                params = started.legal(self._queued.pop(0))
            else:
                (params,) = started.optimizer.ask(pending=list(self._running.values()))
                (self.reasons[trial_id],) = started.optimizer.reasons
            self._running[trial_id] = params
            self._done.discard(trial_id)  # an id that is used again is another trial's
            self._again.pop(trial_id, None)
        return started.space.config(self._running[trial_id])

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        started = self._started
        checks.instance("result", result, Mapping, "be a dictionary, as reported")
        if checks.text("trial_id", trial_id) in self._done or started is None:
            return
        metrics = started.metrics_in(result)
        if trial_id in self._running:
            self._reports.setdefault(trial_id, {}).update(metrics)
        elif metrics and (params := self._params_of(started, trial_id, result)) is not None:
            self._tell(started, trial_id, params, metrics)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        started = self._started
        reported = {} if result is None else result
        checks.instance("result", reported, Mapping, "be a dictionary, as reported, or None")
        failed = checks.flag("error", error)
        if checks.text("trial_id", trial_id) in self._done:
            return
        if started is None:
            _logger.warning("nothing is learned from trial %s: there is no space yet", trial_id)
            return
        params = self._params_of(started, trial_id, reported)
        if params is None:  # unknown, and the result has none that fit
            return
        # without a result, HyperBand stopped the trial while it was paused
        metrics = {**self._reports.pop(trial_id, {}), **started.metrics_in(reported)}
        if failed:  # of its values none counts, but it may have told what a constraint is on
            metrics = {name: metrics[name] for name in metrics if name not in started.metrics}
        if reported and not failed:
            warn_of(trial_id, {**metrics, **reported}, started.metrics)
        self._running.pop(trial_id, None)
        if metrics or failed or trial_id not in self._again:
            self._tell(started, trial_id, params, metrics, failed=failed)
        if not all(math.isnan(metrics.get(name, math.nan)) for name in started.metrics):
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
            value: A number; with several metrics a sequence, or a mapping by name. With None, and
                without intermediate values, nothing is learned but that it was tried.
            error: Whether it failed.
            pruned: Whether it was stopped early.
            intermediate_values: The last one counts where ``value`` is None.

        Raises:
            ValueError: A config that does not fit the space, or as many values as there are not.
        """
        point = evaluated_point(parameters, value, error, pruned, intermediate_values)
        self._learn([point])

    def add_evaluated_trials(self, trials_or_analysis: Any, metric: Names) -> None:
        """Learn from the trials of an earlier run of the same task, by their last results.

        Trials that did not report the metric, or whose config does not fit the space or has another
        constant, are left out with a warning each. ``sources`` takes runs of another task.

        Args:
            trials_or_analysis: ``ExperimentAnalysis``, ``ResultGrid``, a ``Trial`` or a list of
                them.
            metric: The metric's name in their results, or several names, in order. Constraints are
                read by their own names.

        Raises:
            ValueError: Something else, or no trial that fits and reported the metric.
        """
        constraints = self._goals["constraints"] or ()
        self._learn(evaluated_trials(trials_or_analysis, metric, constraints))

    def on_pause(self, trial_id: str) -> None:
        """``HyperBandForBOHB`` has paused a trial: its params are kept off, as a running one's."""

    on_unpause = on_pause  # nothing changes for a trial that goes on, either

    def save(self, checkpoint_path: str) -> None:
        """Writes all that the next suggestions depend on to a file, or leaves it as it was.

        Raises:
            OSError: The disk is full, or nothing may be written there.
            ValueError: No path of a file.
        """
        write_searcher(checks.path("checkpoint_path", checkpoint_path), self)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """As ``save``, into a run's folder: what Tune calls.

        Tune may be copying that folder, and fails where a file is gone that it has just seen: what
        comes and goes is beside the folder.
        """
        folder = checks.path("checkpoint_dir", checkpoint_dir, "a folder")
        path = folder / self.CKPT_FILE_TMPL.format(session_str)
        beside = folder.absolute().parent
        write_searcher(path, self, name="checkpoint_dir", staging=beside)

    def restore(self, checkpoint_path: str) -> None:
        """Continues as the searcher that ``save`` was called on would have, whatever this one was.

        The file is unpickled: read only your own.

        Raises:
            ValueError: No such file, not all of one, or a changed one; then nothing is changed.
        """
        saved = read_searcher(checks.path("checkpoint_path", checkpoint_path))
        self.__dict__.update(saved.__dict__)

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Restores the newest searcher of a run's folder, as ``Tuner.restore`` does.

        Where it is refused, one that knows its space learns what the run's trials reported last.

        Raises:
            RuntimeError: There is none.
            ValueError: It is refused, and the run's trials cannot be learnt either.
        """
        try:
            super().restore_from_dir(str(checks.path("checkpoint_dir", checkpoint_dir, "a folder")))
        except ValueError as error:  # on which Ray would begin the run anew, or hang
            started, trials = self._started, trials_in(checkpoint_dir)
            if started is None or not trials:
                raise ValueError(f"{error}, as Tuner.restore does if given param_space") from error
            for trial in trials:
                self.on_trial_complete(*trial)
            self._queued = started.without(self._queued, (result for _, result, _ in trials))
            n_learned = len(self._done.intersection(trial_id for trial_id, _, _ in trials))
            _logger.error(_DAMAGED, error, n_learned, len(trials))

    def _start_if_known(self) -> None:
        """Starts where space, metric and mode were given; a mode alone may yet get its metric."""
        if self._space is not None and self._metric is not None:
            self._start()

    def _start(self) -> Started:
        """The started search, from now on if it had not been.

        Raises:
            ValueError: Space, metric or mode is still missing, or a given point does not fit.
        """
        if self._started is None:
            started = self._new_start()
            started.learn(self._evaluated)
            for config in self._queued:
                started.legal(config)
            self._evaluated = []
            self._started = started
        return self._started

    def _learn(self, evaluated: list[Evaluated]) -> None:
        if self._started is None:
            self._evaluated += evaluated
        else:
            self._started.learn(evaluated)

    def _new_start(self) -> Started:
        self._metric = self._metric or (self._mode and DEFAULT_METRIC)
        return new_start(self._space, self._metric, self._mode, self._new_optimizer, self._goals)

    def _tell(
        self,
        started: Started,
        trial_id: str,
        params: Params,
        metrics: dict[str, float],
        *,
        failed: bool = False,
    ) -> None:
        """Tell a trial anew; Ray does not tell a stopped one with a value from one that ended.

        One that reported no metric, without an error, was stopped before its first report.
        """
        position = self._again[trial_id][0] if trial_id in self._again else None
        known = started.optimizer.n_told if position is None else position
        self._again[trial_id] = known, params
        complete = failed or any(name in metrics for name in started.metrics)
        started.optimizer.tell(params, metrics, complete=complete, replace=position)

    def _params_of(
        self, started: Started, trial_id: str, result: Mapping[str, Any]
    ) -> Params | None:
        """Return the trial's params: as suggested, else as in the config that results carry."""
        if trial_id in self._running:
            return self._running[trial_id]
        if trial_id in self._again:
            return self._again[trial_id][1]
        if not result or trial_id in self._refused:  # it failed before its first report
            return None
        try:
            return started.params_in(result)
        except ValueError as error:
            self._refused.add(trial_id)
            _logger.warning("nothing is learned from trial %s: %s", trial_id, error)
            return None
