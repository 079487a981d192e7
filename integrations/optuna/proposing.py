"""One proposal for one trial, kept apart from those of workers that share only the storage."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial

from ncp_sampler.integrations.optuna.history import SpaceHistory
from ncp_sampler.integrations.optuna.trials import publish_claim, publish_reasons
from ncp_sampler.optimizer.explanation import numbered
from ncp_sampler.space.search_space import Params

_MAX_TRIES = 10  # the first, and nine after a collision with another worker


def propose(
    study: Study,
    trial: FrozenTrial,
    trials: Sequence[FrozenTrial],
    history: SpaceHistory,
    fixed: Params,
) -> Params:
    """Chooses params and publishes them; no other trial's, if the objective is deterministic.

    Workers that share no memory can choose the same code at once. Each publishes before it looks,
    so at least one of two sees the other; every worker that sees its code taken chooses anew, by
    rank among the rivals, so that even equal workers part (renaming, Attiya et al. 1990). The rank
    also grows with every try: a slow worker leaves the best codes to the fast ones that would
    take them from it again and again.
    """
    rank = 0
    for tries in range(1, _MAX_TRIES + 1):
        history.read(trials)
        pending = history.pending(trials, trial.number)
        asked = history.optimizer.ask(rank + 1, pending=list(pending.values()), fixed=fixed or None)
        taken = set(map(history.code, pending.values()))
        codes = [history.code(params) for params in asked]
        free = [i for i, code in enumerate(codes) if code not in taken and code not in history.told]
        chosen = free[rank % len(free)] if free else 0
        publish_claim(study, trial, asked[chosen], history.distributions)
        if not free or not history.deterministic:
            break
        trials = all_trials(study)
        history.read(trials)
        rivals = [
            number
            for number, claim in history.pending(trials, trial.number).items()
            if history.code(claim) == codes[chosen]
        ]
        if not rivals and codes[chosen] not in history.told:
            break
        rank = tries + sum(number < trial.number for number in rivals)
    publish_reasons(study, trial, numbered(history.optimizer.reasons[chosen], history.numbers))
    return asked[chosen]


def all_trials(study: Study) -> list[FrozenTrial]:
    """The trials as they are in the storage now."""
    return study._get_trials(deepcopy=False, use_cache=False)
