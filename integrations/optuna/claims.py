"""Claims: params of a running trial, published for everyone who reads the storage.

A running trial publishes a *claim* as soon as its params are chosen, before any of them is
suggested, so that other workers see them. A claim is JSON, name -> Optuna's internal
representation (a categorical is its index), in the system attributes ``ncp:claim:0, ncp:claim:1,
...``. If a trial ended before it had suggested all of its params, the claim contains them.
"""

from __future__ import annotations

import json

from optuna.study import Study
from optuna.trial import FrozenTrial

from ncp_sampler.integrations.optuna.conversion import Distributions
from ncp_sampler.space.search_space import Params

_CLAIM_KEY = "ncp:claim"
_CHUNK_LENGTH = 2_045  # Characters, as in Optuna's samplers; RDBStorage documents 2,046 as too many


def publish_claim(
    study: Study, trial: FrozenTrial, params: Params, distributions: Distributions
) -> None:
    """Publish the chosen params to other workers, replacing an earlier claim of the trial."""
    text = json.dumps({n: d.to_internal_repr(params[n]) for n, d in distributions.items()})
    for i in range(0, len(text), _CHUNK_LENGTH):
        study._storage.set_trial_system_attr(
            trial._trial_id, f"{_CLAIM_KEY}:{i // _CHUNK_LENGTH}", text[i : i + _CHUNK_LENGTH]
        )


def claimed_params(trial: FrozenTrial, distributions: Distributions) -> Params:
    """Return the known params that an unfinished trial has or will have.

    An incomplete or corrupt claim is ignored, because its writer reads the other trials after
    writing and then gives way.
    """
    chunks: list[str] = []
    while isinstance(chunk := trial.system_attrs.get(f"{_CLAIM_KEY}:{len(chunks)}"), str):
        chunks.append(chunk)
    params: Params = {}
    try:
        # an earlier, longer claim leaves chunks behind, which raw_decode does not read
        claim, _ = json.JSONDecoder().raw_decode("".join(chunks))
        for name, distribution in distributions.items():
            if name in claim:
                params[name] = distribution.to_external_repr(claim[name])
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError):
        params = {}
    return {**params, **trial.system_attrs.get("fixed_params", {}), **trial.params}
