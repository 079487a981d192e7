"""Claims: the chosen params of a running trial, stored where other workers can read them.

As soon as the params of a trial are chosen, and before the objective suggests any of them, the
sampler stores them with the trial as a *claim*. Other workers that read the storage then avoid
these params. A claim is a JSON text, name -> Optuna's internal representation (the index of a
category), in the system attributes ``ncp:claim:0``, ``ncp:claim:1``, ... If a trial ends before it
has suggested all of its params, the claim still contains them.
"""

from __future__ import annotations

import json

from optuna.study import Study
from optuna.trial import FrozenTrial

from ncp_sampler.integrations.optuna.conversion import Distributions
from ncp_sampler.space.search_space import Params

_CLAIM_KEY = "ncp:claim"
_CHUNK_LENGTH = 2_045  # Characters per attribute, as in Optuna's samplers; RDBStorage limits them


def publish_claim(
    study: Study, trial: FrozenTrial, params: Params, distributions: Distributions
) -> None:
    """Store the chosen params as the trial's claim, replacing an earlier claim of the trial."""
    text = json.dumps({n: d.to_internal_repr(params[n]) for n, d in distributions.items()})
    for i in range(0, len(text), _CHUNK_LENGTH):
        study._storage.set_trial_system_attr(
            trial._trial_id, f"{_CLAIM_KEY}:{i // _CHUNK_LENGTH}", text[i : i + _CHUNK_LENGTH]
        )


def claimed_params(trial: FrozenTrial, distributions: Distributions) -> Params:
    """Return the known params of a trial: claimed, enqueued, and suggested.

    An incomplete or corrupt claim is ignored. This is safe: the worker that is still writing it
    reads the other trials afterwards and then chooses other params if necessary.
    """
    chunks: list[str] = []
    while isinstance(chunk := trial.system_attrs.get(f"{_CLAIM_KEY}:{len(chunks)}"), str):
        chunks.append(chunk)
    params: Params = {}
    try:
        # chunks of an earlier, longer claim may follow the JSON text; raw_decode ignores them
        claim, _ = json.JSONDecoder().raw_decode("".join(chunks))
        for name, distribution in distributions.items():
            if name in claim:
                params[name] = distribution.to_external_repr(claim[name])
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError):
        params = {}
    return {**params, **trial.system_attrs.get("fixed_params", {}), **trial.params}
