"""Arguments shared by ``NCPOptimizer``, ``NCPSampler`` and ``NCPSearch``: names, types and checks.

Each constructor declares them as plain keyword-only arguments and passes them to
``checked_options``, which rejects invalid arguments before a study or a run begins.
``NCPOptimizer`` documents the arguments for all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import torch

from ncp_sampler import checks
from ncp_sampler.optimizer.transfer import check_transfer
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.registry import as_predictor, predictor_device
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Strategy, as_strategy
from ncp_sampler.search.known_cost import Costs
from ncp_sampler.search.limits import checked_limits
from ncp_sampler.search.preference import Weights, check_weights
from ncp_sampler.search.slack import Constraints, checked_bounds

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Options(TypedDict):
    """Arguments of ``NCPOptimizer`` except the space and the directions."""

    costs: Costs | None
    limits: Mapping[str, float] | None
    constraints: Constraints | None
    objective_weights: Weights | None
    seed: int | None
    n_startup_trials: int
    strategy: Strategy | str
    deterministic_objective: bool
    device: str | torch.device
    predictor: Predictor | str
    sources: Sequence[Any] | None


def checked_options(**options: Unpack[Options]) -> Options:
    """Check all options as far as possible without a space; ``checked_sources`` checks ``sources``.

    Raises:
        ValueError: An argument has the wrong type or is out of its range, or the predictor cannot
            use sources of another task.
    """
    asked = checks.usable_device(options["device"])
    predictor = as_predictor(options["predictor"], device=asked)
    device = predictor_device(predictor, asked)
    check_transfer(options["sources"] or (), predictor)
    as_strategy(options["strategy"], continuous=Adam())
    limits = checked_limits(options["costs"], options["limits"])
    checked_bounds(options["constraints"])
    check_weights(options["objective_weights"])
    deterministic = options["deterministic_objective"]
    return {
        **options,
        "limits": limits,
        "seed": checks.seed(options["seed"]),
        "n_startup_trials": checks.integer("n_startup_trials", options["n_startup_trials"], low=1),
        "deterministic_objective": checks.flag("deterministic_objective", deterministic),
        "device": device,
    }
