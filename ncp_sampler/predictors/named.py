"""Predictors by name, as the sampler, the searcher and the optimizer take them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from ncp_sampler import checks
from ncp_sampler.predictors.bayesian_mlp import BayesianMLP
from ncp_sampler.predictors.featured import Featured, Features
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.predictors.selected import Selected

_PAPER_ROWS = 128  # of one of the paper's batches

_NAMED: dict[str, Callable[[torch.device], Predictor]] = {
    "auto": lambda device: Selected([InfiniteMLP(device=device), GaussianProcess(device=device)]),
    "gp": lambda device: GaussianProcess(device=device),
    "infinite-mlp": lambda device: InfiniteMLP(device=device),
    "mlp": lambda device: BayesianMLP(device=device),
    "ensemble": lambda device: MLPEnsemble(device=device),
    # 200 steps a fit: an epoch of a table of 2,000 rows is 16 of them, and took 15 s an ask
    "paper": lambda device: MLPEnsemble.paper(n_rows=_PAPER_ROWS, device=device),
}
PREDICTORS = tuple(_NAMED)


def predictor_device(predictor: Predictor, device: torch.device) -> torch.device:
    """Return where a predictor computes: an object does so on its own device.

    Raises:
        ValueError: Another device than that, or the default, is asked for.
    """
    if device.type not in {"cpu", predictor.device.type}:
        must = f"be left out: predictor={checks.shown(predictor)} computes on {predictor.device}"
        raise checks.refusal("device", str(device), must)
    return predictor.device


def as_predictor(
    given: Predictor | str, *, device: torch.device, features: Features | None = None
) -> Predictor:
    """A new predictor: a copy of one, or what a name stands for.

    Args:
        given: A predictor, which computes on its own device, or one of "auto" (``Selected`` of the
            next two), "infinite-mlp" (``InfiniteMLP``), "gp" (``GaussianProcess``), "mlp"
            (``BayesianMLP``), "ensemble" (``MLPEnsemble``) and "paper" (``MLPEnsemble.paper``,
            trained for as many steps as its 200 epochs of 128 rows are).
        device: Of one that is named.
        features: What it sees in place of unit codes, unless it is a ``Featured`` with its own.

    Raises:
        ValueError: Another word or object.
    """
    if isinstance(given, Predictor) and not isinstance(given, type):
        made = copy.deepcopy(given)
    elif isinstance(given, str) and given in _NAMED:
        made = _NAMED[given](device)
    else:
        must = f"be one of {PREDICTORS}, or a predictor such as GaussianProcess()"
        raise checks.refusal("predictor", given, must)
    return made if features is None or isinstance(made, Featured) else Featured(made, features)
