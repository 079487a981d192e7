"""The ask/tell loop: fit the predictor on the observations, propagate codes, propose the best one.

It knows neither Optuna nor Ray; the integrations translate between them and this loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.optimizer.branch_restarts import pinned_branch
from ncp_sampler.optimizer.category_subset import CategorySubset
from ncp_sampler.optimizer.explanation import SOURCE, STARTUP, UNTRIED, Case, Reasons, reasons_for
from ncp_sampler.optimizer.initial_design import (
    design_code,
    excluded_codes,
    in_startup,
    nearest_codes,
    pinned_columns,
    untried,
)
from ncp_sampler.optimizer.observations import (
    Observations,
    check_replaced,
    checked_results,
    rows_to_fit,
)
from ncp_sampler.optimizer.options import checked_options
from ncp_sampler.optimizer.sources import checked_sources
from ncp_sampler.optimizer.success_model import SuccessModel
from ncp_sampler.optimizer.transfer import Transfer
from ncp_sampler.predictors.predictor import Model, Predictor, State, isolated_torch, one_thread
from ncp_sampler.predictors.registry import as_predictor
from ncp_sampler.predictors.transforms import FeaturePredictor, Features, with_features
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.search.acquisition import Acquisition, ObjectivePosterior
from ncp_sampler.search.known_cost import Costs
from ncp_sampler.search.maximize import Excluded, Maximizer
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.search.trust_region import TrustRegion, plateau_length, trust_region_of
from ncp_sampler.space.conditional import ConditionalSpace
from ncp_sampler.space.search_space import Params, SearchSpace, code_key

_NORMAL_DRAWS = 32  # posterior draws of a scalarized expected improvement
_STATE_KEYS = {"observations", "joined", "predictor", "n_fitted", "rng", "design"}


@with_old_names
class NCPOptimizer:
    """Search of a space for the best metrics by Network Coding Propagation, by ask and tell.

    The first ``n_startup_trials`` are the middle of the space and quasi-random codes (scrambled
    Sobol). Then each ``ask`` fits the predictor on the observations, raises the expected
    improvement of many codes at once along its gradient, and proposes the best valid code that is
    not known yet, from a trust region around the best trial. Of two to four metrics it raises the
    expected hypervolume improvement, around a point of the front; more are scalarized with weights
    drawn anew for each proposal (ParEGO, Knowles 2006).

    ``NCPSampler`` and ``NCPSearch`` take the arguments from ``costs`` to ``sources`` with the same
    meaning.

    Args:
        space: The search space.
        directions: Metric name -> "maximize" or "minimize"; at least one.
        costs: Known costs, evaluated and not modeled: name -> a differentiable function of codes,
            tensor (n, d) in natural units to (n,), such as ``costs.flops``; or a plain function of
            params; inf for params over every limit. Each must be one of ``directions`` or have one
            of ``limits``.
        limits: Known cost -> hard limit; no proposal exceeds it, startup included.
        constraints: Observed metric -> upper bound of what is feasible; it may be one of
            ``directions`` or another. It is modeled, and the best feasible code is sought.
        weights: Metric -> the paper's lambda, 1 where none is given: then the weighted sum of the
            scaled metrics is raised, in place of the hypervolume of the whole front. Of a single
            metric every weight gives the same search.
        seed: Seed of all random choices; None for a fresh one.
        n_startup_trials: Quasi-random trials with a result before the predictor is used; >= 1.
            With a source of another task at most three.
        strategy: "continuous" edits all columns along the gradient (``Adam()``),
            "winner_takes_all" one column a step (paper, section 3.1); or a strategy with settings
            of its own. A space of at most 2,048 codes is evaluated whole, with no strategy.
        deterministic_objective: True if a code always gives the same metrics; then no code is
            proposed twice while others are left.
        device: Device of a named ensemble; a predictor with settings of its own has its own.
        predictor: "auto" (an infinitely wide MLP plus a residual), "infinite-mlp", "gp", "mlp",
            "ensemble" or "paper"; or a predictor with settings of its own, which is copied. It sees
            the space's ``features`` where there are some, unless it is a ``FeaturePredictor``.
        sources: ``Records``, paths of CSV files, or a ``Source``, which says more. Trials of the
            same task count as observations. Of another task two of the best are among the first
            three, and a model of them is a linear term of the predictor, which must be a Gaussian
            process, for 50 trials; no model is where a categorical has more than 128 categories. It
            is the same task if you say so, or if its best code has its old value again.

    Raises:
        ValueError: An argument out of its range.

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
        constraints: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
        seed: int | None = None,
        n_startup_trials: int = 10,
        strategy: Strategy | str = "continuous",
        deterministic_objective: bool = True,
        device: str | torch.device = "cpu",
        predictor: Predictor | str = "auto",
        sources: Sequence[Any] | None = None,
    ) -> None:
        must = "be a SearchSpace, such as MRSpace()"
        self.space: SearchSpace = checks.instance("space", space, SearchSpace, must)
        self.directions = checks.directions(directions)
        given = checked_sources(sources)
        options = checked_options(
            costs=costs, limits=limits, constraints=constraints, weights=weights, seed=seed,
            n_startup_trials=n_startup_trials, strategy=strategy, device=device,
            deterministic_objective=deterministic_objective, predictor=predictor, sources=given,
        )  # fmt: skip
        self.n_startup_trials = options["n_startup_trials"]
        self.strategy = strategy
        self._strategy = as_strategy(strategy, continuous=Adam())
        self.deterministic_objective = options["deterministic_objective"]
        self.device = torch.device(options["device"])
        model = as_predictor(predictor, device=self.device)
        self._features: Features | None = space.features
        if isinstance(model, FeaturePredictor):
            self._features, model = model.features, model.inner
        self._objectives = Objectives(
            space, self.directions, costs=costs, limits=limits, constraints=constraints,
            weights=weights,
        )  # fmt: skip
        self._transfer = Transfer(given, space, self._objectives)
        self._observations = self._transfer.begin(Observations.of(self._objectives))
        self._untrained = model
        self._model = self._new_model(self._transfer, 0)
        self._predictor = with_features(self._model, self._features)
        self._n_fitted = 0
        self._reasons: list[Reasons] = []
        self.reseed(seed)

    @property
    def n_observations(self) -> int:
        """Number of trials reported by ``tell``, failed ones included, those of sources not."""
        return len(self._observations) - self._transfer.n_joined

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Metrics that ``tell`` takes: those of ``directions``, then of ``constraints``."""
        return self._observations.names

    @property
    def reasons(self) -> list[Reasons]:
        """Reasons of each proposal of the last ``ask``: see ``explanation.py``."""
        return list(self._reasons)

    @property
    def predictor(self) -> Predictor:
        """Predictor that the last ``ask`` after startup has fitted.

        Where a categorical has more than 128 categories, it sees the columns of some of them.
        """
        return self._predictor

    def reseed(self, seed: int | None = None) -> None:
        """Seed the random choices anew; observations and the fitted model stay.

        Raises:
            ValueError: A negative seed, or one that is not an integer.
        """
        self._rng = np.random.default_rng(checks.seed(seed))
        self._design_seed = int(self._rng.integers(2**31))
        self._n_designed = 0

    def constrain(self, bounds: Mapping[str, float]) -> None:
        """Add constraints, as the constructor's, that become known later.

        Raises:
            ValueError: A bound that is not a number, or of a known cost.
        """
        self._objectives.constrain(bounds)
        self._observations.watch([*bounds])
        self._transfer.watch([*bounds])

    def ask(
        self,
        n: int = 1,
        *,
        pending: Sequence[Mapping[str, Any]] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> list[Params]:
        """Propose n params.

        Args:
            n: Number of proposals; each takes the earlier ones for pending.
            pending: Params under evaluation elsewhere; not proposed again, and avoided.
            fixed: Values that every proposal has; the rest is chosen given them.

        Raises:
            ValueError: n < 1, pending or fixed values that do not fit the space, or limits within
                which no code was found.
        """
        checks.integer("n", n, low=1)
        checks.sequence("pending", pending, Mapping, "be a sequence of params, such as [params]")
        checks.instance("fixed", fixed or {}, Mapping, "map parameters to values, or be None")
        # rounded, as observations are: a stepped float's last digits must not make another code
        waiting = list(self.space.round(self.space.to_code(list(pending)))) if pending else []
        pinned = pinned_columns(self.space, fixed or {})
        proposed: list[NDArray[Any]] = []
        self._reasons = []
        with one_thread(), isolated_torch(self.device):
            for _ in range(n):
                startup = self._transfer.startup(self.n_startup_trials)
                if in_startup(self._observations, startup):
                    code = self._design(waiting, pinned)
                else:
                    code = self._propose(waiting, pinned)
                waiting.append(code)
                proposed.append(code)
        params: list[Params] = self.space.to_params(np.array(proposed))  # type: ignore[assignment]
        return params

    def tell(
        self,
        params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        metrics: Mapping[str, float] | Sequence[Mapping[str, float]],
        *,
        complete: bool | Sequence[bool] = True,
        replace: int | None = None,
    ) -> None:
        """Record results of one trial, or of several.

        Args:
            params: The trial's params; numbers off the range or grid count as the nearest valid,
                which may be proposed all the same.
            metrics: Name -> value. A complete trial without a value of any objective, as with
                ``{}``, has failed: its params are avoided where failures depend on the params. NaN,
                and infinity in the bad direction, are no value; in the good direction infinity
                counts as the best finite value. A constraint that a complete trial did not report
                counts as satisfied; NaN is unknown, and an infinite violation is a violation.
            complete: False for a trial stopped early, whose metrics count as at best the median
                of the complete ones, and of which nothing is known without a metric.
            replace: Position among all observations, from 0, of one to replace: of a trial that
                continues, or is repaired.

        Raises:
            ValueError: Params or metrics that do not fit, or nothing to replace; nothing is
                recorded then.
        """
        rows, results, ended = checked_results(params, metrics, complete)
        check_replaced(replace, self.n_observations, len(rows))
        before = self._transfer.key(self.n_observations)
        at = None if replace is None else replace + self._transfer.n_joined
        if replace is not None:
            self._n_fitted = 0  # a row that the model was fitted on changes
        codes, exact = nearest_codes(self.space, rows)
        self._observations.add(codes, results, ended, exact=exact, replace=at)
        self._observations = self._transfer.compare(self._observations)
        if self._transfer.key(self.n_observations) != before:
            self._model = self._new_model(self._transfer, self.n_observations)
            self._n_fitted = 0

    def state_dict(self) -> State:
        """Return all that the next ``ask`` depends on, as plain values.

        JSON can hold it with the default predictor; an ensemble's weights are arrays, for pickle.
        """
        return {
            "observations": self._observations.state_dict(),
            "joined": list(self._transfer.joined),
            "predictor": self._model.state_dict(),
            "n_fitted": self._n_fitted,
            "rng": self._rng.bit_generator.state,
            "design": [self._design_seed, self._n_designed],
        }

    def load_state_dict(self, state: State) -> None:
        """Continue as the optimizer that saved ``state`` would have.

        The constructor's arguments are not in the state; give the same.

        Raises:
            ValueError: It is no state of ``state_dict``, or of another space; nothing is changed.
        """
        checks.instance("state", state, Mapping, "be what state_dict() returned")
        try:
            observations = Observations.of(self._objectives)
            observations.load(state["observations"], self.space)
            transfer = self._transfer.with_joined(state["joined"])
            model = self._new_model(transfer, len(observations) - transfer.n_joined)
            model.load_state_dict(state["predictor"])
            rng = np.random.default_rng()
            rng.bit_generator.state = state["rng"]
            seed, designed = (checks.integer("design", number, low=0) for number in state["design"])
            fitted = checks.integer("n_fitted", state["n_fitted"], low=0)
        except Exception as error:  # a foreign state can raise nearly anything
            raise ValueError(
                f"state lacks {sorted(_STATE_KEYS - {*state})} or has codes of another space, or "
                f"is broken ({type(error).__name__}: {error}); give what state_dict() of an "
                "optimizer of the same space, directions and sources returned"
            ) from error
        self._observations, self._transfer, self._model = observations, transfer, model
        self._predictor = with_features(model, self._features)
        self._rng, self._n_fitted = rng, fitted
        self._design_seed, self._n_designed = seed, designed

    def _new_model(self, transfer: Transfer, n_observations: int) -> Model:
        """Return a model that is not fitted, with linear terms where sources transfer."""
        model = as_predictor(self._untrained, device=self.device)
        return transfer.predictor(model, n_observations)

    def _design(self, waiting: Sequence[NDArray[Any]], pinned: NDArray[np.float64]) -> NDArray[Any]:
        """Return the next code of a source, or of the initial design, that is not known yet."""
        # trials that exist count: another process may have run them
        self._n_designed = max(self._n_designed, len(self._observations) + len(waiting))
        # of a source each code is tried once, if the objective is noisy, too
        new = excluded_codes(self._observations, waiting, self._objectives.limits)
        tried = self._transfer.start(self.n_observations + len(waiting), pinned, new)
        self._reasons.append(STARTUP if tried is None else SOURCE)
        if tried is not None:
            return tried
        excluded = self._excluded(waiting)
        code, self._n_designed = design_code(
            self.space, self._design_seed, self._n_designed, pinned, excluded
        )
        return self._untried(pinned, excluded, waiting) if code is None else code

    def _propose(
        self, waiting: Sequence[NDArray[Any]], pinned: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Return the code of highest expected improvement."""
        codes, metrics = self._observations.informative()
        numbers = self._observations.informative_positions() - self._transfer.n_joined
        observed = self._objectives.scale(codes, metrics)
        # of a scalarization, which more than four metrics need; drawn whatever is known of them
        weights = dict(
            zip(self.directions, self._rng.dirichlet(np.ones(len(self.directions))), strict=True)
        )
        fixed = pinned
        if isinstance(self.space, ConditionalSpace):
            pinned = pinned_branch(self.space, fixed, observed, codes, waiting, self._rng)
        order = observed.order(weights, self._rng)
        if plateau_length(observed, order) == len(order):  # no trial stands out yet
            return self._design(waiting, fixed)
        rows = rows_to_fit(order, self._model.max_rows)
        subset = CategorySubset.draw(self.space, codes, order, pinned, self._rng)
        unit = subset.part.normalize(subset.reduce(codes))
        fitted = observed.take(rows)
        n = self.n_observations
        features = self._transfer.features(self._features, self._model, n)
        self._predictor = with_features(self._model, subset.features(features))
        same = self._n_fitted == len(self._observations)
        self._predictor.fit(unit[rows], fitted.modeled, steps=0 if same else None)
        self._n_fitted = len(self._observations)
        pending = subset.part.normalize(subset.reduce(np.array(waiting))) if waiting else None
        predictor = self._predictor if pending is None else self._predictor.condition(pending)
        limits = self._objectives.limits
        costs = {k: subset.of_part(cost.vjp) for k, cost in self._objectives.known.items()}
        posterior = ObjectivePosterior(fitted, predictor, costs)
        noisy = not self.deterministic_objective
        if noisy or np.isnan(fitted.slack).any():  # the best value had luck, or unknown constraints
            smoothed = posterior.smoothed(unit[rows], noisy=noisy)
            order = rows[smoothed.order(weights, self._rng)]
        success = None
        at, succeeded = self._observations.outcomes(self._objectives.constraints)
        if succeeded.any() and not succeeded.all():
            outcomes = subset.part.normalize(subset.reduce(self._observations.codes(at)))
            features = subset.features(self.space.features)
            success = SuccessModel(outcomes, succeeded, features=features)
        excluded = self._excluded(waiting, retry=success is not None and success.depends < 0.5)
        if success is not None and success.is_random:
            success = None
        acquisition = Acquisition(
            posterior,
            unit[rows],
            noisy=noisy,
            weights=weights,
            normal=self._rng.standard_normal((_NORMAL_DRAWS, len(self.directions))),
            pending=pending,
            penalty=subset.of_part(limits.penalty) if limits.bounds else None,
            success=success,
        )
        n_startup = self._transfer.startup(self.n_startup_trials)
        maximizer = Maximizer(
            acquisition,
            subset.part,
            subset.strategy(self._strategy),
            subset.reduce(pinned),
            lambda part: excluded(subset.expand(part)),
            trust_region_of(subset.part, unit, observed, order, n_startup)
            if np.isnan(pinned).all()
            else TrustRegion.whole(unit.shape[1]),
            (lambda part: subset.project(part, limits.projected, pinned))
            if limits.bounds
            else None,
        )
        maximum = maximizer.maximize(unit[order], self._rng)
        if maximum is None:
            self._reasons.append(UNTRIED)
            return self._untried(pinned, excluded, waiting)
        case = Case(
            [*self.directions], acquisition, subset.part, unit[rows], numbers[rows],
            maximizer.excluded, limits, subset.expand, self._predictor, success,
            None if pinned is fixed else maximizer.pinned,
        )  # fmt: skip
        self._reasons.append(reasons_for(case, maximum))
        return subset.expand(maximum.code)

    def _untried(
        self, pinned: NDArray[np.float64], excluded: Excluded, waiting: Sequence[NDArray[Any]]
    ) -> NDArray[Any]:
        failures = self._observations.failures(self._objectives.constraints)
        for code in waiting:
            failures.pop(code_key(code), None)
        return untried(self.space, pinned, self._rng, excluded, self._objectives.limits, failures)

    def _excluded(self, waiting: Sequence[NDArray[Any]], *, retry: bool = False) -> Excluded:
        """Return a predicate of codes to exclude; ``retry`` allows those that failed once."""
        observations = self._observations if self.deterministic_objective else None
        failures = self._observations.failures(self._objectives.constraints) if retry else {}
        once = {key for key, times in failures.items() if times == 1}
        return excluded_codes(observations, waiting, self._objectives.limits, once)
