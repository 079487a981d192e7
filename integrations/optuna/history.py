"""What of a study's history the sampler has read, and one optimizer per search space.

Trials are numbered 0, 1, 2, ... and never removed; a finished one never changes. So each trial is
read once when it has finished, and an unfinished one at every look.
"""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Callable, Sequence
from functools import partial

from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.integrations.optuna.trials import (
    Distributions,
    claimed_params,
    is_searchable,
    metric_names,
    metrics_of,
    nearest_code,
)
from ncp_sampler.optimizer.optimizer import NCPOptimizer
from ncp_sampler.space.dimensions import Categorical, n_values
from ncp_sampler.space.search_space import Params, SearchSpace

_logger = logging.getLogger(__name__)

Code = tuple[float, ...]
OptimizerFactory = Callable[..., NCPOptimizer]


class _Cursor:
    """A position in a study's trials."""

    def __init__(self) -> None:
        self._n_read = 0
        self._unfinished: list[int] = []
        self._mark: tuple[int, object] | None = None  # number and identity of a finished trial

    def is_in(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether these are the trials read so far, rather than those of another study."""
        if self._n_read > len(trials):
            return False
        return self._mark is None or _identity(trials[self._mark[0]]) == self._mark[1]

    def finished(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that finished since the last look, by number."""
        looked_at = [trials[i] for i in self._unfinished] + list(trials[self._n_read :])
        new = [trial for trial in looked_at if trial.state.is_finished()]
        self._unfinished = [t.number for t in looked_at if not t.state.is_finished()]
        self._n_read = len(trials)
        if new:
            self._mark = (new[-1].number, _identity(new[-1]))
        return new

    def unfinished(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that were running or waiting at the last look."""
        return [trials[i] for i in self._unfinished]


class SpaceHistory:
    """The optimizer of one search space, and the trials that it has been told.

    Trials that lack a parameter of the space are not told. Once trials differ in more than the
    space's parameters (conditional or undeclared ones), equal codes are not equal trials, and the
    optimizer becomes one for an objective that is not deterministic.

    Args:
        study: The study.
        space: Its search space, or a part of it.
        distributions: The space as Optuna passes it, without single-valued parameters.
        new_optimizer: ``NCPOptimizer`` with all arguments but the space, ``directions`` and
            ``deterministic_objective``.
        deterministic: Whether equal params give equal values.

    Attributes:
        optimizer: The optimizer.
        told: Codes of the finished trials that it was told.
    """

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        distributions: Distributions,
        new_optimizer: OptimizerFactory,
        deterministic: bool,
    ) -> None:
        self.space = space
        self.distributions = distributions
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
        self._warned: set[str] = set()
        self._start(deterministic)

    def _start(self, deterministic: bool) -> None:
        self.deterministic = deterministic
        self.optimizer = self._new_optimizer(
            self.space, directions=self._directions, deterministic_objective=deterministic
        )
        self.told: set[Code] = set()
        self._cursor = _Cursor()

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
        told = [(*row, code) for row in rows if (code := self._code(*row)) is not None]
        if told:
            self.told.update(code for _, _, code in told)
            self.optimizer.tell(
                [params for _, params, _ in told],
                [metrics_of(trial, self._metric_names) for trial, _, _ in told],
                complete=[trial.state == TrialState.COMPLETE for trial, _, _ in told],
            )

    def pending(self, trials: Sequence[FrozenTrial], number: int) -> dict[int, Params]:
        """Legal params of the unfinished trials but ``number``, by number, where all are known."""
        claims: dict[int, Params] = {}
        for trial in self._cursor.unfinished(trials):
            if trial.number == number:
                continue
            params = self._complete(claimed_params(trial, self.distributions))
            nearest = None if params is None else nearest_code(self.space, params)
            if nearest is not None:
                claims[trial.number] = self.space.to_params(nearest[0])
        return claims

    def code(self, params: Params) -> Code:
        """Code of legal params, to compare."""
        return tuple(self.space.to_code(params, clip=True).tolist())

    def _complete(self, params: Params) -> Params | None:
        """The space's own params among params; None if one is missing."""
        known = {**self._single, **params}
        if any(name not in known for name in self.space.names):
            return None
        return {name: known[name] for name in self.space.names}

    def _has_other_params(self, trial: FrozenTrial) -> bool:
        return trial.state != TrialState.FAIL and any(
            name not in self.distributions and name not in self._single and not dist.single()
            for name, dist in trial.distributions.items()
        )

    def _params(self, trial: FrozenTrial) -> Params | None:
        """What to tell of a finished trial: its params in the space, if it has all of them."""
        params = self._complete(trial.params)
        if params is None and trial.state == TrialState.COMPLETE:
            missing = [name for name in self.space.names if name not in trial.params]
            self._warn_once(
                "lacks",
                f"trial {trial.number} lacks {reprlib.repr(missing)}, so nothing is learnt from it "
                f"in a space that has them; declare only what every trial suggests",
            )
        return params

    def _code(self, trial: FrozenTrial, params: Params) -> Code | None:
        """Code of a finished trial; None if it cannot be told."""
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
        code, moved = nearest
        if moved and trial.state == TrialState.FAIL:
            return None  # it teaches nothing, and no legal code was tried
        if moved:
            self._warn_once(
                "moved",
                f"trial {trial.number} has values off the ranges or grids of {self.space}; the "
                f"nearest legal ones are learnt instead: {reprlib.repr(params)}",
            )
        return tuple(code.tolist())

    def _warn_once(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            _logger.warning("%s (such trials are reported once)", message)


class StudyHistory:
    """What has been read of one study: its intersection search space, and a history per space."""

    def __init__(self) -> None:
        self.spaces: list[SpaceHistory] = []
        self._intersection: Distributions | None = None
        self._cursor = _Cursor()

    def is_of(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether these are the study's trials, rather than those of one of the same name."""
        return self._cursor.is_in(trials)

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Updates the intersection search space by the trials finished since the last look."""
        for trial in self._cursor.finished(trials):
            if trial.state == TrialState.FAIL:
                continue
            known = trial.distributions if self._intersection is None else self._intersection
            self._intersection = {
                name: distribution
                for name, distribution in known.items()
                if trial.distributions.get(name) == distribution
            }

    def intersection(self) -> Distributions:
        """Parameters that every complete or pruned trial has with the same distribution, by name.

        As ``optuna.search_space.IntersectionSearchSpace``, which raises on a second study.
        """
        return {
            name: distribution
            for name, distribution in sorted((self._intersection or {}).items())
            if is_searchable(name, distribution)
        }

    def find(self, distributions: Distributions) -> SpaceHistory | None:
        """The history of a space in the same order, if there is one."""
        wanted = list(distributions.items())
        for history in self.spaces:
            if list(history.distributions.items()) == wanted:
                return history
        return None


def _identity(trial: FrozenTrial) -> object:
    return trial._trial_id, trial.datetime_start, trial.datetime_complete
