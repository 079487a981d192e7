"""Choice of the predictor, by name or as an object."""

from __future__ import annotations

import pytest
import torch

from ncp_sampler import NCPOptimizer
from ncp_sampler.predictors.kernels import NNGP, Matern52, Sum
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.registry import PREDICTORS, as_predictor
from tests.optimizer_examples import MIXED, mixed_loss, run


@pytest.mark.parametrize(
    ("predictor", "n_metrics"), [("auto", 1), *((predictor, 2) for predictor in PREDICTORS)]
)
def test_predictors_by_name(predictor: str, n_metrics: int) -> None:
    """Each proposes after startup, and one that is restored goes on as if never stopped."""
    names = ["loss", "other"][:n_metrics]
    made = [
        NCPOptimizer(
            MIXED,
            directions=dict.fromkeys(names, "minimize"),
            seed=seed,
            n_startup_trials=4,
            predictor=predictor,
        )
        for seed in (0, 1)
    ]
    for i in range(6):
        (params,) = made[0].ask()
        made[0].tell(params, dict(zip(names, [mixed_loss(params), float(i)], strict=False)))
    made[1].load_state_dict(made[0].state_dict())
    assert made[0].ask(2) == made[1].ask(2)
    assert made[0].predictor.names == tuple(names)


def test_of_features_the_default_has_a_narrow_prior() -> None:
    """Features are computed from few parameters; parameters themselves may hardly matter."""
    cpu = torch.device("cpu")
    narrow = Sum(NNGP(), Matern52(length_scale_sd=0.6))
    kernels = [
        as_predictor("auto", device=cpu, has_features=has_features).kernel  # type: ignore[attr-defined]
        for has_features in (False, True)
    ]
    assert kernels == [Sum(NNGP(), Matern52()), narrow]


def test_another_predictor_can_be_put_in() -> None:
    optimizer = NCPOptimizer(
        MIXED, directions={"loss": "minimize"}, seed=0, predictor=MLPEnsemble(steps=50)
    )
    assert min(mixed_loss(params) for params in run(optimizer, 30)) < 0.6
