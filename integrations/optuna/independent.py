"""Values of parameters outside the search space, drawn one by one."""

from __future__ import annotations

import logging
import zlib
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler.integrations.optuna.trials import claimed_params, reason_against

_logger = logging.getLogger(__name__)


class IndependentSampling:
    """Draws by a user's sampler or, without one, at random by seed, trial and parameter.

    Args:
        sampler: The user's sampler, or None.
        seed: Seed of the random draws, or None for a fresh one.
        warn: Whether to warn, once for each parameter that is not new.
        n_startup_trials: Trials with a result before which it does not warn.
        declared: Whether the search space is declared, rather than read off the trials.
    """

    def __init__(
        self,
        sampler: BaseSampler | None,
        seed: int | None,
        *,
        warn: bool,
        n_startup_trials: int,
        declared: bool,
    ) -> None:
        self._sampler = sampler
        self._seed = _entropy(seed)
        self._warn = warn
        self._n_startup_trials = n_startup_trials
        self._declared = declared
        self._warned: set[str] = set()

    def reseed(self) -> None:
        """Make further draws independent of the seed."""
        self._seed = _entropy()
        if self._sampler is not None:
            self._sampler.reseed_rng()

    def sample(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Draw a value."""
        self._warn_once(study, trial, name, distribution)
        sampler = self._sampler
        if sampler is None:
            key = [self._seed, trial.number, zlib.crc32(name.encode())]
            sampler = RandomSampler(seed=int(np.random.SeedSequence(key).generate_state(1)[0]))
        return sampler.sample_independent(study, trial, name, distribution)

    def _warn_once(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> None:
        if not self._warn or name in self._warned:
            return
        learned = study._get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED), use_cache=True
        )
        if len(learned) >= self._n_startup_trials and any(name in t.params for t in learned):
            self._warned.add(name)
            _logger.warning(
                "parameter %r of trial %d is sampled by %s, since %s; "
                "warn_independent_sampling=False silences this",
                name,
                trial.number,
                type(self._sampler or RandomSampler()).__name__,
                self._reason(trial, name, distribution),
            )

    def _reason(self, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> str:
        if name in claimed_params(trial, {name: distribution}):
            return f"its proposal is outside {distribution}, which other trials did not have"
        unknown = "it is not declared" if self._declared else "too few trials had it so far"
        reason = reason_against(name, distribution) or unknown
        return f"it is not in the search space of NCPSampler: {reason}"


def _entropy(seed: int | None = None) -> int:
    """Return a seed as it is, or a fresh one."""
    return int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
