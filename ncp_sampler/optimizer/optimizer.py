"""The ask/tell loop: fit the predictor on the trials so far, propagate codes, propose the best.

In come params and metrics (``tell``), out go params (``ask``); no host tool is known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.acquisition import Acquisition, Outlook
from ncp_sampler.optimizer.branches import in_a_branch
from ncp_sampler.optimizer.design import (
    Known,
    design_code,
    in_startup,
    known_codes,
    nearest_codes,
    pinned_columns,
    untried,
)
from ncp_sampler.optimizer.earlier_work import EarlierWork
from ncp_sampler.optimizer.explanation import SOURCE, STARTUP, UNTRIED, Case, Reasons, reasons_for
from ncp_sampler.optimizer.failures import success_model
from ncp_sampler.optimizer.focus import Focus
from ncp_sampler.optimizer.goals import Goals
from ncp_sampler.optimizer.history import check_replaced, checked_results, rows_to_fit
from ncp_sampler.optimizer.limits import Costs
from ncp_sampler.optimizer.options import checked_options
from ncp_sampler.optimizer.proposal import Proposer
from ncp_sampler.optimizer.sources import checked_sources
from ncp_sampler.optimizer.state import restored
from ncp_sampler.optimizer.trust_region import Box, box_of, plateau_length
from ncp_sampler.predictors.featured import Featured
from ncp_sampler.predictors.named import as_predictor
from ncp_sampler.predictors.predictor import Predictor, State
from ncp_sampler.predictors.shield import one_thread, own_torch
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.space.search_space import Params, SearchSpace, code_key

_NORMAL_DRAWS = 32  # posterior draws behind a scalarized expected improvement


class NCPOptimizer:
    """Ask/tell optimizer of a search space by Network Coding Propagation.

    The first ``n_startup_trials`` proposals are the middle of the space and quasi-random codes
    (scrambled Sobol). Then each ``ask`` fits the predictor to the observations, increases the
    expected improvement of many codes at once along its gradient, and proposes the best valid code
    that is new, from a trust region around the best trial. Two to four metrics are searched by
    expected hypervolume improvement; more are scalarized with weights drawn for each proposal
    (ParEGO, Knowles 2006).

    ``NCPSampler`` and ``NCPSearch`` take the arguments from ``costs`` to ``sources`` with the same
    meaning.

    Args:
        space: The search space.
        directions: Metric name -> "maximize" or "minimize"; at least one.
        costs: Known costs, computed rather than modeled: name -> a differentiable function of
            codes, tensor (n, d) in natural units to (n,), such as ``costs.flops``; or a plain
            function of params; inf for params over every limit. Each must be one of ``directions``
            or have one of ``limits``.
        limits: Known cost -> its upper bound, which no proposal exceeds, startup included.
        constraints: Reported metric -> its upper bound in feasible trials, modeled from the trials.
            It may be one of ``directions``.
        weights: Metric -> the paper's lambda, 1 by default: increases the weighted sum of the
            scaled metrics rather than the hypervolume of the whole front. With a single metric
            every weight gives the same search.
        seed: Seed of all random choices; None for a fresh one.
        n_startup_trials: Quasi-random trials with a result before the predictor is used, at least
            1; at most three are made with a source of another task.
        strategy: "continuous" edits all columns along the gradient (``Adam()``),
            "winner_takes_all" one column a step (paper, section 3.1); or a strategy object. A
            space of at most 2,048 codes is scored exhaustively, without a strategy.
        deterministic_objective: True if equal params give equal metrics: then no code is proposed
            twice while others are left. False for a noisy objective.
        device: Device of the predictor; a predictor object has its own.
        predictor: "auto" (an MLP of infinite width or a Gaussian process, chosen by leave-one-out
            likelihood), "infinite-mlp", "gp", "mlp", "ensemble" or "paper"; or a predictor object,
            which is copied. It sees the space's ``features`` if there are any, unless it is a
            ``Featured`` with its own.
        sources: Earlier trials: ``Records``, paths of CSV files, or ``Source`` objects, which say
            more. Trials of the same task count as observations. Of another task, two of the best
            codes are among the first three proposals, and a model of its trials supports the
            predictor, which must be exact, for 50 trials; not if a categorical has more than 128
            categories. The task is the same if ``Source`` says so, or if the best code gives its
            old value again.

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
        self._plain = partial(as_predictor, predictor, device=self.device, features=space.features)
        self._goals = Goals(
            space, self.directions, costs=costs, limits=limits, constraints=constraints,
            weights=weights,
        )  # fmt: skip
        self._earlier = EarlierWork(given, space, self._goals, self.device)
        self._history = self._earlier.begin(self._goals.new_history())
        self._predictor = self._earlier.guided(self._plain(), 0)
        self._n_fitted = 0
        self._reasons: list[Reasons] = []
        self.reseed(seed)

    @property
    def n_told(self) -> int:
        """Number of trials told so far, failed ones included, those of ``sources`` not."""
        return len(self._history) - self._earlier.n_joined

    @property
    def told_names(self) -> tuple[str, ...]:
        """The metrics that ``tell`` takes: those of ``directions``, then of ``constraints``."""
        return self._history.names

    @property
    def reasons(self) -> list[Reasons]:
        """Why the last ``ask`` proposed what it did, one for each proposal: ``explanation.py``."""
        return list(self._reasons)

    @property
    def predictor(self) -> Predictor:
        """What the last ``ask`` after startup has fitted.

        Where a categorical has more than 128 choices, it sees the columns of some of them.
        """
        return self._predictor

    def reseed(self, seed: int | None = None) -> None:
        """Starts the random choices anew; what was told and learnt stays.

        Raises:
            ValueError: A negative seed, or one that is no whole number.
        """
        self._rng = np.random.default_rng(checks.seed(seed))
        self._design_seed = int(self._rng.integers(2**31))
        self._n_designed = 0

    def constrain(self, bounds: Mapping[str, float]) -> None:
        """Adds constraints, as the constructor's, that come to be known later.

        Raises:
            ValueError: A bound that is no number, or of a known cost.
        """
        self._goals.constrain(bounds)
        self._history.watch([*bounds])
        self._earlier.watch([*bounds])

    def ask(
        self,
        n: int = 1,
        *,
        pending: Sequence[Mapping[str, Any]] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> list[Params]:
        """Proposes n params.

        Args:
            n: How many; they are spread, each taking the earlier ones for pending.
            pending: Params under evaluation elsewhere; not proposed again, and avoided.
            fixed: Values that every proposal has; the rest is chosen given them.

        Raises:
            ValueError: n < 1, pending or fixed values that do not fit the space, or limits within
                which no code was found.
        """
        checks.whole("n", n, low=1)
        checks.sequence("pending", pending, Mapping, "be a sequence of params, such as [params]")
        checks.instance("fixed", fixed or {}, Mapping, "map parameters to values, or be None")
        # rounded, as what is told: a stepped float's last digits must not make another code of it
        waiting = list(self.space.round(self.space.to_code(list(pending)))) if pending else []
        pinned = pinned_columns(self.space, fixed or {})
        proposed: list[NDArray[Any]] = []
        self._reasons = []
        with one_thread(), own_torch(self.device):
            for _ in range(n):
                if in_startup(self._history, self._earlier.startup(self.n_startup_trials)):
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
        """Records results of one trial, or of several.

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
            replace: Position among all trials told, from 0, of one whose record this one's
                replaces: a trial that goes on, or is repaired.

        Raises:
            ValueError: Params or metrics that do not fit, or nothing to replace; nothing is
                recorded then.
        """
        rows, results, ended = checked_results(params, metrics, complete)
        check_replaced(replace, self.n_told, len(rows))
        guided_by = self._earlier.key(self.n_told)
        at = None if replace is None else replace + self._earlier.n_joined
        if replace is not None:
            self._n_fitted = 0  # of what it was fitted on, something changes
        codes, exact = nearest_codes(self.space, rows)
        self._history.add(codes, results, ended, exact=exact, replace=at)
        self._history = self._earlier.judge(self._history)
        if self._earlier.key(self.n_told) != guided_by:
            self._predictor = self._earlier.guided(self._plain(), self.n_told)
            self._n_fitted = 0

    def state_dict(self) -> State:
        """All that the next ``ask`` depends on, as plain values.

        JSON can hold it with the default predictor; an ensemble's weights are arrays, for pickle.
        """
        return {
            "history": self._history.state_dict(),
            "joined": list(self._earlier.joined),
            "predictor": self._predictor.state_dict(),
            "n_fitted": self._n_fitted,
            "rng": self._rng.bit_generator.state,
            "design": [self._design_seed, self._n_designed],
        }

    def load_state_dict(self, state: State) -> None:
        """Continues as the optimizer that saved ``state`` would have.

        The constructor's arguments are not in the state; give the same.

        Raises:
            ValueError: It is no state of ``state_dict``, or of another space; nothing is changed.
        """
        found = restored(state, self.space, self._goals, self._earlier, self._plain())
        self._history, self._earlier, self._predictor = (
            found.history,
            found.earlier,
            found.predictor,
        )
        self._rng, self._n_fitted = found.rng, found.n_fitted
        self._design_seed, self._n_designed = found.design

    def _design(self, waiting: Sequence[NDArray[Any]], pinned: NDArray[np.float64]) -> NDArray[Any]:
        """The next code of earlier work, or quasi-random one, that is not known yet."""
        # trials that exist count: another process may have run them
        self._n_designed = max(self._n_designed, len(self._history) + len(waiting))
        known = self._known(waiting)
        # each of them once, if the objective is noisy, too
        new = known_codes(self._history, waiting, self._goals.limits)
        tried = self._earlier.start(self.n_told + len(waiting), pinned, new)
        self._reasons.append(STARTUP if tried is None else SOURCE)
        if tried is not None:
            return tried
        code, self._n_designed = design_code(
            self.space, self._design_seed, self._n_designed, pinned, known
        )
        return self._untried(pinned, known, waiting) if code is None else code

    def _propose(
        self, waiting: Sequence[NDArray[Any]], pinned: NDArray[np.float64]
    ) -> NDArray[Any]:
        """The code of highest expected improvement."""
        codes, metrics = self._history.observations()
        numbers = self._history.learnable_at() - self._earlier.n_joined
        told = self._goals.told(codes, metrics)
        # of a scalarization, which more than four metrics need; drawn whatever is known of them
        weights = dict(
            zip(self.directions, self._rng.dirichlet(np.ones(len(self.directions))), strict=True)
        )
        fixed, pinned = pinned, in_a_branch(self.space, pinned, told, codes, waiting, self._rng)
        order = told.order(weights, self._rng)
        if plateau_length(told, order) == len(order):  # no trial stands out yet
            return self._design(waiting, fixed)
        rows = rows_to_fit(order, self._predictor.capacity)
        focus = Focus.on(self.space, codes, order, pinned, self._rng)
        unit = focus.part.normalize(focus.reduce(codes))
        if isinstance(self._predictor, Featured):
            self._predictor.features = focus.features(self._predictor.features)
        fitted = told.take(rows)
        predictor = self._predictor.fit(
            unit[rows], fitted.learnt, steps=0 if self._n_fitted == len(self._history) else None
        )
        self._n_fitted = len(self._history)
        elsewhere = focus.part.normalize(focus.reduce(np.array(waiting))) if waiting else None
        if elsewhere is not None:
            predictor = predictor.condition(elsewhere)
        costs = {name: focus.of_part(cost) for name, cost in self._goals.known.items()}
        limits = self._goals.limits
        outlook = Outlook(fitted, predictor, costs)
        noisy = not self.deterministic_objective
        if noisy or np.isnan(fitted.margins).any():  # what looks best had luck, or no constraint
            order = rows[outlook.seen(unit[rows], noisy=noisy).order(weights, self._rng)]
        success = success_model(self._history, self._goals.constraints, focus, self.device)
        acquisition = Acquisition(
            outlook,
            unit[rows],
            noisy=noisy,
            weights=weights,
            normal=self._rng.standard_normal((_NORMAL_DRAWS, len(self.directions))),
            waiting=elsewhere,
            penalty=focus.of_part(limits.penalty) if limits.bounds else None,
            success=None if success is None or success.is_random else success,
        )
        known_codes = self._known(waiting, retry=success is not None and success.depends < 0.5)
        n_startup = self._earlier.startup(self.n_startup_trials)
        proposer = Proposer(
            acquisition,
            focus.part,
            focus.strategy(self._strategy),
            focus.reduce(pinned),
            lambda codes: known_codes(focus.expand(codes)),
            box_of(focus.part, unit, told, order, n_startup)
            if np.isnan(pinned).all()
            else Box.whole(unit.shape[1]),
            (lambda codes: focus.moved(codes, limits.moved, pinned)) if limits.bounds else None,
        )
        code = proposer.propose(unit[order], self._rng)
        if code is None:
            self._reasons.append(UNTRIED)
            return self._untried(pinned, known_codes, waiting)
        case = Case(
            [*self.directions], acquisition, focus.part, unit[rows], numbers[rows],
            proposer.known, limits, focus.expand, self._predictor,
            None if pinned is fixed else proposer.pinned,
        )  # fmt: skip
        self._reasons.append(reasons_for(case, code, proposer.trail))
        return focus.expand(code)

    def _untried(
        self, pinned: NDArray[np.float64], known: Known, waiting: Sequence[NDArray[Any]]
    ) -> NDArray[Any]:
        failures = self._history.failures(self._goals.constraints)
        for code in waiting:
            failures.pop(code_key(code), None)
        return untried(self.space, pinned, self._rng, known, self._goals.limits, failures)

    def _known(self, waiting: Sequence[NDArray[Any]], *, retry: bool = False) -> Known:
        """Which codes are not to be proposed; with ``retry``, those that failed once may be."""
        history = self._history if self.deterministic_objective else None
        failures = self._history.failures(self._goals.constraints) if retry else {}
        once = {key for key, times in failures.items() if times == 1}
        return known_codes(history, waiting, self._goals.limits, once)
