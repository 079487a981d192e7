"""The search behind ``NCPOptimizer``: its observations, model and random state, and the next codes.

A proposal takes four steps: scale the observations, fit the predictor, build the acquisition
function, and maximize it over valid codes. Before the predictor can be used, or if no code is left,
``initial_design.py`` provides the codes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler import checks
from ncp_sampler.optimizer.branch_restarts import Elsewhere, other_branch
from ncp_sampler.optimizer.category_subset import CategorySubset, has_too_many
from ncp_sampler.optimizer.compromise import Compromise, best_compromise
from ncp_sampler.optimizer.explanation import SOURCE, STARTUP, UNTRIED, Reasons, reasons_for
from ncp_sampler.optimizer.initial_design import design_code, untried
from ncp_sampler.optimizer.next_task import next_task
from ncp_sampler.optimizer.notices import Notices
from ncp_sampler.optimizer.observations import Observations, rows_to_fit
from ncp_sampler.optimizer.other_category import other_category
from ncp_sampler.optimizer.predicted_metrics import Case
from ncp_sampler.optimizer.sources import Source
from ncp_sampler.optimizer.success_model import SuccessModel
from ncp_sampler.optimizer.transfer import Transfer
from ncp_sampler.optimizer.trials import Trial, trials_of
from ncp_sampler.predictors.joint_process import with_joint_metrics
from ncp_sampler.predictors.predictor import FloatArray, Model, State, isolated_torch, one_thread
from ncp_sampler.predictors.transforms import Features, with_features
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.search.acquisition import Acquisition, ObjectivePosterior
from ncp_sampler.search.maximize import N_BEST, Excluded, Maximizer
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.search.preference import Weights
from ncp_sampler.search.trust_region import TrustRegion, plateau_length, trust_region_of
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import code_key

_FEW_STEPS = 15  # Training steps of a model of correlated metrics if none was fitted before


class Proposer:
    """State of a search, which records trials and proposes the next codes.

    The arguments are those of ``NCPOptimizer``, already checked; ``model`` predicts from
    ``features``.

    Attributes:
        predictor: Predictor that was fitted for the last proposal after startup.
        noisy: True if equal codes may give different values.
    """

    def __init__(
        self,
        objectives: Objectives,
        sources: Sequence[Source],
        model: Model,
        features: Features | None,
        *,
        strategy: Strategy,
        n_startup_trials: int,
        deterministic: bool,
        device: torch.device,
        seed: int | None,
    ) -> None:
        self._objectives, self._space = objectives, objectives.space
        self._untrained, self._features = model, features
        self._strategy, self._n_startup_trials = strategy, n_startup_trials
        self.noisy, self._device = not deterministic, device
        self._transfer = Transfer(sources, objectives)
        self._observations = self._transfer.begin(Observations(objectives))
        self._model = self._new_model(self._transfer, self._observations)
        self.predictor = with_features(self._model, features)
        self._n_fitted = 0
        self._elsewhere: Elsewhere | None = None  # what to explore once the search stalls
        if self._space.conditions:
            self._elsewhere = other_branch
        elif any(isinstance(dim, Categorical) for dim in self._space.dimensions):
            self._elsewhere = other_category
        self._proposals: list[Reasons | Case] = []
        self._notices = Notices(objectives)
        self.reseed(seed)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_proposals": self.reasons}

    @property
    def n_observations(self) -> int:
        """Number of the search's own trials."""
        return len(self._observations) - self._transfer.n_joined

    @property
    def reasons(self) -> list[Reasons]:
        """Reasons for each proposal of the last ``ask``, computed when they are first read."""
        with one_thread(), isolated_torch(self._device):
            return self._explain()

    def reseed(self, seed: int | None) -> None:
        """Reseed the random generator."""
        self._rng = np.random.default_rng(seed)
        self._design_seed = int(self._rng.integers(2**31))
        self._n_designed = 0

    def ask(
        self, n: int, pending: Sequence[NDArray[Any]], pinned: FloatArray
    ) -> list[NDArray[Any]]:
        """Return the next n codes (d,).

        Args:
            n: Number of codes, each of which treats the earlier ones as pending.
            pending: Pending codes.
            pinned: Values of fixed columns, NaN elsewhere, (d,).

        Raises:
            ValueError: No code within the limits was found.
        """
        in_startup, own_startup = self._in_startup, self._n_startup - self._transfer.n_joined
        later = {"startup": own_startup} if own_startup > 0 else {}
        waiting, self._proposals = list(pending), []
        with one_thread(), isolated_torch(self._device):
            for _ in range(n):
                if in_startup:
                    code, reasons = self._design(waiting, pinned)
                    self._proposals.append({**reasons, **later})
                else:
                    code, case = self._propose(waiting, pinned)
                    self._proposals.append(case)
                waiting.append(code)
        return waiting[-n:]

    def tell(
        self,
        codes: NDArray[Any],
        metrics: Sequence[Mapping[str, float]],
        complete: Sequence[bool],
        exact: Sequence[bool],
        placeholders: Sequence[NDArray[np.bool_] | None] | None,
        replace: int | None,
    ) -> None:
        """Record trials like ``Observations.add``; ``replace`` is a position among own trials."""
        before, first = self._key, self.n_observations if replace is None else replace
        if replace is not None:
            replace += self._transfer.n_joined
            self._n_fitted = 0  # an observation to which the model was fitted changes
        self._observations.add(
            codes, metrics, complete, exact=exact, placeholders=placeholders, replace=replace
        )
        self._observations = self._transfer.compare(self._observations)
        if self._key != before:
            self._model = self._new_model(self._transfer, self._observations)
            self._n_fitted = 0
        self._notices.warn_over_limits(codes, first)
        if self._notices.awaits_reports and not self._in_startup:
            others = [study.observations for study in self._transfer.studies]
            self._notices.warn_unreported(self._observations, others)

    def trials(self) -> list[Trial]:
        """Return the search's own trials."""
        return trials_of(self._objectives, self._observations, self._transfer.n_joined)

    def compromise(self, weights: Weights) -> Compromise:
        """Return the best compromise among the search's own trials, like ``best_compromise``."""
        with one_thread(), isolated_torch(self._device):
            # fitted from scratch, so that every process with the same trials gives the same answer
            model = self._new_model(self._transfer, self._observations)
            features = self._transfer.features(self._features, self.n_observations)
            return best_compromise(
                self._objectives, self._observations, with_features(model, features), weights,
                first=self._transfer.n_joined,
            )  # fmt: skip

    def next_task(
        self, code: NDArray[Any], reported: Mapping[str, float], costs: Mapping[str, float]
    ) -> str | None:
        """Return the task to train next for a code, like the function ``next_task``."""
        with one_thread(), isolated_torch(self._device):
            (single, steps), (joint, joint_steps) = self._fresh(), self._fresh(joint=True)
            return next_task(
                self._objectives, self._observations, (single, joint), (steps, joint_steps), code,
                reported, costs, may_stop=not self._in_startup,
            )  # fmt: skip

    def _fresh(self, *, joint: bool = False) -> tuple[Model, int | None]:
        """Return a model of all categories that must be fitted, and its number of training steps.

        If the model of the last proposal has parameters, they are reused, and the fit takes no
        steps.
        """
        model = self._new_model(self._transfer, self._observations)
        is_other = joint and not self._observations.has_gaps
        steps: int | None = None
        if is_other:
            model, steps = with_joint_metrics(model), _FEW_STEPS
        elif self._n_fitted and not any(map(has_too_many, self._space.dimensions)):
            model.load_state_dict(self._model.state_dict())
            steps = 0
        features = self._transfer.features(self._features, self.n_observations)
        return with_features(model, features), steps

    def state_dict(self) -> State:
        """Return everything that the next proposal depends on, as plain values."""
        return {
            "observations": self._observations.state_dict(),
            "joined": list(self._transfer.joined),
            "predictor": self._model.state_dict(),
            "n_fitted": self._n_fitted,
            "rng": self._rng.bit_generator.state,
            "design": [self._design_seed, self._n_designed],
        }

    def load_state_dict(self, state: State) -> None:
        """Restore a ``state_dict``; change nothing if an exception (of any type) is raised."""
        observations = Observations(self._objectives)
        observations.load(state["observations"])
        transfer = self._transfer.with_joined(state["joined"])
        model = self._new_model(transfer, observations)
        model.load_state_dict(state["predictor"])
        rng = np.random.default_rng()
        rng.bit_generator.state = state["rng"]
        seed, designed = (checks.integer("design", number, low=0) for number in state["design"])
        n_fitted = checks.integer("n_fitted", state["n_fitted"], low=0)
        # a model of metrics in another order must be fitted again
        same_order = state["observations"].get("metrics") in (None, list(observations.names))
        self._n_fitted = n_fitted if same_order else 0
        self._observations, self._transfer, self._model = observations, transfer, model
        self.predictor = with_features(model, self._features)
        self._rng, self._design_seed, self._n_designed = rng, seed, designed

    @property
    def _n_startup(self) -> int:
        """Number of startup trials required, including the trials of joined sources."""
        return self._transfer.startup(self._n_startup_trials)

    @property
    def _in_startup(self) -> bool:
        return self._observations.in_startup(self._n_startup)

    @property
    def _key(self) -> tuple[bool, ...]:
        """Key that changes whenever another kind of model is needed."""
        return (*self._transfer.key(self.n_observations), self._observations.has_gaps)

    def _new_model(self, transfer: Transfer, observations: Observations) -> Model:
        """Return an unfitted model of the kind that ``_key`` identifies.

        The model has linear terms if sources transfer, and correlated metrics if a trial has not
        reported all of them.
        """
        n_observations = len(observations) - transfer.n_joined
        model = transfer.predictor(copy.deepcopy(self._untrained), n_observations)
        return with_joint_metrics(model) if observations.has_gaps else model

    def _explain(self) -> list[Reasons]:
        """Compute missing reasons before the model is fitted again."""
        reasons = [
            reasons_for(proposal) if isinstance(proposal, Case) else proposal
            for proposal in self._proposals
        ]
        self._proposals = [*reasons]
        return reasons

    def _design(
        self, waiting: Sequence[NDArray[Any]], pinned: FloatArray
    ) -> tuple[NDArray[Any], Reasons]:
        """Return the next new code from a source or from the initial design."""
        # existing trials count, because another process may have proposed them
        self._n_designed = max(self._n_designed, len(self._observations) + len(waiting))
        # each code of a source is tried once, even if the objective is noisy
        new = self._observations.excluded(waiting)
        code = self._transfer.start(self.n_observations + len(waiting), pinned, new)
        if code is not None:
            return code, SOURCE
        excluded = self._observations.excluded(waiting, repeats=self.noisy)
        code, self._n_designed = design_code(
            self._space, self._design_seed, self._n_designed, pinned, excluded
        )
        return self._untried(pinned, excluded, waiting) if code is None else code, STARTUP

    def _propose(
        self,
        waiting: Sequence[NDArray[Any]],
        given: FloatArray,
        without: Sequence[FloatArray] = (),
    ) -> tuple[NDArray[Any], Reasons | Case]:
        """Return the code with the highest acquisition value found, and its reasons.

        Args:
            waiting: Pending codes.
            given: Values of columns that the caller has fixed, NaN elsewhere, (d,).
            without: Columns that select exhausted parts of the space, (d,) each.
        """
        pinned = given
        positions, codes, metrics = self._observations.informative()
        diverged = self._observations.diverged()[positions]
        observed = self._objectives.scale(codes, metrics, diverged)
        branch = None
        is_free = np.isnan(pinned).all() and len(observed.objectives) == 1
        if self._elsewhere is not None and is_free:
            begun = np.concatenate([codes, np.reshape(waiting, (-1, codes.shape[1]))])
            merit = np.where(observed.feasible, observed.values[:, 0], np.nan)
            branch = self._elsewhere(self._space, begun, merit, self._rng, without)
        order = observed.order(self._rng)
        plateau = plateau_length(observed, order)
        if plateau == len(order):  # no trial stands out yet
            return self._design(waiting, pinned)
        if branch is not None:
            pinned = branch
        rows = observed.covering(rows_to_fit(order, self.predictor.max_rows))
        subset = CategorySubset.draw(self._space, codes, order, pinned, self._rng)
        unit = subset.part.normalize(subset.reduce(codes[rows]))
        fitted = observed.take(rows)
        self._explain()
        features = self._transfer.features(self._features, self.n_observations)
        self.predictor = with_features(self._model, subset.features(features))
        same = self._n_fitted == len(self._observations)
        self.predictor.fit(unit, fitted.modeled, steps=0 if same else None)
        self._n_fitted = len(self._observations)
        pending = subset.part.normalize(subset.reduce(np.array(waiting))) if waiting else None
        predictor = self.predictor if pending is None else self.predictor.condition(pending)
        limits = self._objectives.limits
        costs = {k: subset.of_part(cost.vjp) for k, cost in self._objectives.known.items()}
        posterior = ObjectivePosterior(fitted, predictor, costs)
        # with noise, the best value is partly luck; with gaps, some values are unknown
        if self.noisy or fitted.has_gaps:
            smoothed = posterior.smoothed(unit, noisy=self.noisy)
            order = rows[smoothed.order(self._rng)]
        success = None
        outcomes, succeeded = self._observations.outcomes()
        if succeeded.any() and not succeeded.all():
            success = SuccessModel(
                subset.part.normalize(subset.reduce(outcomes)),
                succeeded,
                features=subset.features(self._space.features),
            )
        retries = success is not None and success.depends < 0.5
        excluded = self._observations.excluded(waiting, repeats=self.noisy, retries=retries)
        acquisition = Acquisition(
            posterior,
            unit,
            noisy=self.noisy,
            rng=self._rng,
            pending=pending,
            penalty=subset.of_part(limits.penalty) if limits.bounds else None,
            success=None if success is None or success.is_random else success,
        )
        best = subset.part.normalize(subset.reduce(codes[order[:N_BEST]]))
        maximizer = Maximizer(
            acquisition,
            subset.part,
            subset.strategy(self._strategy),
            subset.reduce(pinned),
            lambda part: excluded(subset.valid(part)),
            trust_region_of(subset.part, best[0], observed, order, self._n_startup, plateau)
            if np.isnan(pinned).all()
            else TrustRegion.whole(unit.shape[1]),
            (lambda part: subset.project(part, limits.projected, pinned))
            if limits.bounds
            else None,
        )
        maximum = maximizer.maximize(best, self._rng)
        if maximum is None and branch is not None:  # no code is left there
            return self._propose(waiting, given, [*without, branch])
        if maximum is None and self._observations.forget_parts():
            return self._propose(waiting, given, without)
        if maximum is None:
            return self._untried(pinned, excluded, waiting), UNTRIED
        numbers = positions[rows] - self._transfer.n_joined
        case = Case(
            self._objectives, subset, maximizer, maximum, self.predictor, unit, numbers,
            len(waiting), branch is not None,
        )  # fmt: skip
        return subset.valid(maximum.code), case

    def _untried(
        self, pinned: FloatArray, excluded: Excluded, waiting: Sequence[NDArray[Any]]
    ) -> NDArray[Any]:
        failures = self._observations.failures()
        for code in waiting:
            del failures[code_key(code)]  # no error for a missing key of a Counter
        return untried(self._space, pinned, self._rng, excluded, self._objectives.limits, failures)
