"""``NCPOptimizer``: the ask/tell loop, with conversion of params to codes, and saved state.

The loop does not depend on Optuna or Ray; the integrations adapt it to them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.optimizer.compromise import ANSWERS, Compromise
from ncp_sampler.optimizer.explanation import Reasons
from ncp_sampler.optimizer.options import checked_options
from ncp_sampler.optimizer.proposer import Proposer
from ncp_sampler.optimizer.results import (
    checked_flags,
    checked_results,
    nearest_codes,
    pinned_columns,
    placeholder_columns,
)
from ncp_sampler.optimizer.sources import checked_sources
from ncp_sampler.optimizer.trials import Trial, best_trial
from ncp_sampler.predictors.predictor import Predictor, State
from ncp_sampler.predictors.registry import as_predictor
from ncp_sampler.predictors.transforms import FeaturePredictor
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.search.known_cost import Costs
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.search.preference import COMPROMISE, Weights, check_weights
from ncp_sampler.search.slack import Constraints
from ncp_sampler.space.search_space import Params, SearchSpace

_STATE_KEYS = {"observations", "joined", "predictor", "n_fitted", "rng", "design"}


@with_old_names
class NCPOptimizer:
    """Ask/tell optimizer that searches a space by Network Coding Propagation.

    The first ``n_startup_trials`` trials are the middle of the space and scrambled Sobol codes.
    Then each ``ask`` fits the predictor to the observations, increases the expected improvement of
    many codes along its gradient, and proposes the best new valid code from a trust region around
    the best trial. With several objectives, it maximizes the expected hypervolume improvement
    around a point of the Pareto front, or the goal of ``objective_weights``. The expectation is
    exact for up to six objectives, of which up to four are modeled, and sampled for more.

    ``NCPSampler`` and ``NCPSearch`` also take the arguments from ``costs`` to ``sources``, with
    the same meaning.

    Args:
        space: The search space.
        directions: Metric name -> "maximize" or "minimize"; at least one.
        costs: Known costs, which are evaluated, not modeled: name -> a differentiable function of
            codes, tensor (n, d) in natural units to (n,), such as ``costs.flops``; or a plain
            function of the params that exist, which may return inf for params over every limit.
            Each cost must be one of ``directions`` or have one of ``limits``.
        limits: Known cost -> hard limit, which no proposal exceeds, even during startup.
        constraints: Observed metric -> upper bound for feasible trials, or ``(low, None)`` for a
            lower bound. The metric need not be one of ``directions``. Constraints are modeled, and
            the search looks for the best feasible code.
        objective_weights: Goal for several metrics, instead of the whole front. Metric -> weight,
            the paper's lambda, by default 1: the search maximizes the weighted sum of the metrics
            in their own units. A weight "std", or (2.0, "std"), applies per standard deviation of
            the observed values, whose tail of poor values is bounded; "range" applies per range,
            from the median of the first ten values to the best. "std" or "range" alone applies to
            every metric. "compromise" minimizes the loss in the worst metric: the search maximizes
            the worst standardized metric plus the sum of all.
        seed: Seed of all random choices; None for a random seed.
        n_startup_trials: Number of quasi-random trials with a result before the predictor is used,
            at least 1; at most three are used with a source of another task.
        strategy: "continuous" edits all columns along the gradient (``Adam()``), "winner_takes_all"
            edits one column per step (paper, section 3.1); or a strategy object with its own
            settings. The steps of ``Adam()`` are too short to change a category; the hill climbing
            that follows changes categories. In a space of at most 2,048 codes, the acquisition
            function is evaluated for all codes instead.
        deterministic_objective: True if a code always gives the same metrics. In that case, no code
            is proposed twice while untried codes are left.
        device: Device of a named ensemble; a predictor object has its own device.
        predictor: "auto" (an infinitely wide MLP plus a residual), "infinite-mlp", "gp", "mlp",
            "ensemble" or "paper"; or a predictor object with its own settings, which is copied. The
            predictor uses the space's ``features`` if there are any, unless it is a
            ``FeaturePredictor``.
        sources: List of ``Records``, paths of CSV files, or ``Source`` objects with more
            information. Trials of the same task count as observations. From a source of another
            task, two of the best codes are among the first three trials of the search. For 50
            trials, a model of this source is also a linear term of the predictor, which must be a
            Gaussian process (no such model is used if a categorical has more than 128 categories).
            A source is of the same task if you declare it so, or if evaluating its best code again
            gives the old value.

    Raises:
        ValueError: An argument is out of its range.

    Examples:
        >>> from ncp_sampler import Float, SearchSpace
        >>> space = SearchSpace([Float("x", -5, 5), Float("y", -5, 5)])
        >>> optimizer = NCPOptimizer(space, directions={"loss": "minimize"}, seed=0)
        >>> losses = []
        >>> for _ in range(20):
        ...     (params,) = optimizer.ask()
        ...     losses.append((params["x"] - 1) ** 2 + params["y"] ** 2)
        ...     optimizer.tell(params, {"loss": losses[-1]})
        >>> min(losses) < 0.01
        True
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        directions: Mapping[str, str],
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        constraints: Constraints | None = None,
        objective_weights: Weights | None = None,
        seed: int | None = None,
        n_startup_trials: int = 10,
        strategy: Strategy | str = "continuous",
        deterministic_objective: bool = True,
        device: str | torch.device = "cpu",
        predictor: Predictor | str = "auto",
        sources: Sequence[Any] | None = None,
    ) -> None:
        self.space: SearchSpace = checks.instance("space", space, SearchSpace, checks.A_SPACE)
        self.directions = checks.directions(directions)
        given = checked_sources(sources)
        options = checked_options(
            costs=costs, limits=limits, constraints=constraints, seed=seed,
            objective_weights=objective_weights, n_startup_trials=n_startup_trials,
            strategy=strategy, device=device, deterministic_objective=deterministic_objective,
            predictor=predictor, sources=given,
        )  # fmt: skip
        self.n_startup_trials = options["n_startup_trials"]
        self.strategy = strategy
        self.device = torch.device(options["device"])
        features = space.features
        model = as_predictor(predictor, device=self.device, has_features=features is not None)
        if isinstance(model, FeaturePredictor):
            features, model = model.features, model.inner
        self._objectives = Objectives(
            space, self.directions, costs=costs, limits=options["limits"],
            constraints=options["constraints"], weights=objective_weights,
        )  # fmt: skip
        self._proposer = Proposer(
            self._objectives, given, model, features,
            strategy=as_strategy(strategy, continuous=Adam()),
            n_startup_trials=self.n_startup_trials, device=self.device, seed=options["seed"],
            deterministic=options["deterministic_objective"],
        )  # fmt: skip

    @property
    def deterministic_objective(self) -> bool:
        """True if a code always gives the same metrics; may be changed during the search."""
        return not self._proposer.noisy

    @deterministic_objective.setter
    def deterministic_objective(self, deterministic: bool) -> None:
        self._proposer.noisy = not checks.flag("deterministic_objective", deterministic)

    @property
    def n_observations(self) -> int:
        """Number of trials reported by ``tell``, including failed ones but not those of sources."""
        return self._proposer.n_observations

    @property
    def trials(self) -> list[Trial]:
        """The search's own trials, in the order in which they were reported."""
        return self._proposer.trials()

    @property
    def best_trial(self) -> Trial:
        """Best complete trial that violates no reported constraint, for a single objective.

        An objective that is a known cost is computed, so trials need not report it.

        Raises:
            ValueError: There is no such trial, or there are several objectives: see ``compromise``.
        """
        return best_trial(self._objectives, self.trials)

    @property
    def best_params(self) -> Params:
        """Params of ``best_trial``."""
        return self.best_trial.params

    @property
    def best_metrics(self) -> dict[str, float]:
        """Metrics of ``best_trial``."""
        return self.best_trial.metrics

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics for ``tell``: those of ``directions``, then of ``constraints``."""
        return self._objectives.names

    @property
    def reasons(self) -> list[Reasons]:
        """Reasons for each proposal of the last ``ask``; see ``explanation.py``.

        The reasons are computed when they are first read.
        """
        return self._proposer.reasons

    @property
    def predictor(self) -> Predictor:
        """Predictor that was fitted by the last ``ask`` after startup.

        If a categorical has more than 128 categories, the input of the predictor has columns for
        only some of them.
        """
        return self._proposer.predictor

    def reseed(self, seed: int | None = None) -> None:
        """Reseed the random choices; keep the observations and the fitted model.

        Raises:
            ValueError: The seed is negative or not an integer.
        """
        self._proposer.reseed(checks.seed(seed))

    def constrain(self, bounds: Constraints) -> None:
        """Add constraints after construction, in the same form as for the constructor.

        Raises:
            ValueError: A bound is not a number, or it bounds a known cost.
        """
        self._objectives.constrain(bounds)

    def ask(
        self,
        n: int = 1,
        *,
        pending: Sequence[Mapping[str, Any]] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> list[Params]:
        """Propose n params.

        Args:
            n: Number of proposals, each of which treats the earlier ones as pending.
            pending: Params under evaluation elsewhere. If the objective is deterministic, they are
                not proposed again while untried codes are left.
            fixed: Parameter -> its value in every proposal in which it exists. All other parameters
                are chosen conditionally on these values.

        Raises:
            ValueError: n is below 1, pending or fixed values do not fit the space, or no code
                within the limits was found.
        """
        checks.integer("n", n, low=1)
        checks.sequence("pending", pending, Mapping, "be a sequence of params, such as [params]")
        checks.instance("fixed", fixed or {}, Mapping, "map parameters to values, or be None")
        # rounded like observations, because a rounding error of a stepped float must not matter
        waiting = list(self.space.round(self.space.to_code(list(pending)))) if pending else []
        codes = self._proposer.ask(n, waiting, pinned_columns(self.space, fixed or {}))
        params: list[Params] = self.space.to_params(np.array(codes))  # type: ignore[assignment]
        return params

    def tell(
        self,
        params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        metrics: Mapping[str, float] | Sequence[Mapping[str, float]],
        *,
        complete: bool | Sequence[bool] = True,
        exact: bool | Sequence[bool] = True,
        placeholders: Sequence[Collection[str]] | None = None,
        replace: int | None = None,
    ) -> None:
        """Record the results of one or several trials.

        Args:
            params: Params of the trial. Numbers off the range or grid count as the nearest valid
                value, whose code may still be proposed. Parameters that do not exist are ignored.
            metrics: Name -> value. A complete trial in which all objectives are missing, as in
                ``{}``, has failed. If failures depend on the params, the search avoids its params.
                NaN and infinity in the unfavorable direction count as missing; infinity in the
                favorable direction counts as the best finite value. If a complete trial has all
                objectives but lacks a constraint, the constraint counts as satisfied. A constraint
                reported as NaN is unknown, and an infinite violation is a violation.
            complete: False for a trial that was stopped early. Its objectives count as at most as
                good as the median of the complete trials. Without metrics, it is ignored.
            exact: False for a trial that also depended on something outside the space, so that its
                params may be proposed again.
            placeholders: For each trial, the parameters that it did not have although the space has
                them. Their values are placeholders, and no params that agree with the trial in all
                other parameters are proposed again. None if every trial had all parameters.
            replace: Position, starting at 0, of the observation to replace because its trial
                continued or was corrected.

        Raises:
            ValueError: Params or metrics do not fit, or there is no observation to replace. In that
                case, nothing is recorded.
        """
        rows, results, ended = checked_results(
            params, metrics, complete, replace, self.n_observations
        )
        codes, valid = nearest_codes(self.space, rows)
        flags = checked_flags("exact", exact, len(rows))
        own = [given and nearest for given, nearest in zip(flags, valid, strict=True)]
        lacking = placeholder_columns(self.space, placeholders, len(rows))
        self._proposer.tell(codes, results, ended, own, lacking, replace)

    def compromise(self, objective_weights: Weights = COMPROMISE) -> Compromise:
        """Return the best compromise between the objectives among the observed trials.

        Objectives that a trial has not reported are replaced by pessimistic predictions, which are
        one posterior standard deviation worse than the posterior mean.

        Args:
            objective_weights: As for the constructor; by default, the trial whose largest relative
                regret is smallest. "knee" is the Pareto-optimal trial with the smallest sum of
                regrets, relative to the range of the front.

        Raises:
            ValueError: The weights are invalid, or no feasible trial has a value of each objective.
        """
        check_weights(objective_weights, ANSWERS)
        return self._proposer.compromise(objective_weights)

    def next_task(
        self,
        params: Mapping[str, Any],
        reported: Mapping[str, float],
        costs: Mapping[str, float] | None = None,
    ) -> str | None:
        """Return the objective to measure next for some params; None if none is worth its cost.

        After startup, the method returns None once the expected improvement given the reported
        values, divided by the cost of the remaining objectives, is smaller than the expected
        improvement before any report, divided by the cost of all objectives. The latter represents
        starting with new params.

        Args:
            params: Params whose objectives are measured one after another, not yet reported by
                ``tell``.
            reported: Measured objective -> value.
            costs: Objective -> positive cost of measuring it, in any unit; by default 1. Known
                costs need no measurement.

        Raises:
            ValueError: Params do not fit, an objective is unknown, or a cost is not positive.
        """
        given = {} if costs is None else costs
        for argument, mapping in (("reported", reported), ("costs", given)):
            checks.instance(argument, mapping, Mapping, "map objectives to numbers")
            unknown = [name for name in mapping if name not in self.directions]
            if unknown:
                raise ValueError(
                    f"{argument} has {unknown}; the objectives are {[*self.directions]}"
                )
        modeled = [name for name in self.directions if name not in self._objectives.known]
        prices = {
            name: checks.number(f"costs[{name!r}]", given.get(name, 1.0), above=0)
            for name in modeled
        }
        values = {
            name: checks.number(f"reported[{name!r}]", reported[name])
            for name in modeled
            if name in reported
        }
        codes, _ = nearest_codes(self.space, [params])
        return self._proposer.next_task(codes[0], values, prices)

    def state_dict(self) -> State:
        """Return everything that the next ``ask`` depends on, as plain values.

        With the default predictor, the state can be stored as JSON. The weights of an ensemble are
        arrays, so its state must be pickled.
        """
        return self._proposer.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Restore the state of another optimizer, from its ``state_dict``.

        The constructor's arguments are not part of the state; pass the same ones. Directions and
        constraints may have another order.

        Raises:
            ValueError: ``state`` is not from ``state_dict``, or belongs to another space, other
                metrics or other directions. In that case, nothing is changed.
        """
        checks.instance("state", state, Mapping, "be a result of state_dict()")
        try:
            self._proposer.load_state_dict(state)
        except Exception as error:  # a foreign state can raise nearly anything
            missing = sorted(_STATE_KEYS - {*state})
            fault = f"lacks {missing}" if missing else "does not fit this optimizer"
            raise ValueError(
                f"state {fault} ({type(error).__name__}: {error}); give what state_dict() of an "
                "optimizer of the same space, directions, constraints and sources returned"
            ) from error
