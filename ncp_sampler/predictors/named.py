"""Predictors by name, as the sampler, the searcher and the optimizer take them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from ncp_sampler import checks
from ncp_sampler.predictors.bayesian_mlp import BayesianMLP
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor

_PAPER_ROWS = 128  # of one of the paper's batches

_NAMED: dict[str, Callable[[torch.device], Predictor]] = {
    "gp": lambda device: GaussianProcess(device=device),
    "infinite-mlp": lambda device: InfiniteMLP(device=device),
    "mlp": lambda device: BayesianMLP(device=device),
    "ensemble": lambda device: MLPEnsemble(device=device),
    # 200 steps a fit: an epoch of a table of 2,000 rows is 16 of them, and took 15 s an ask
    "paper": lambda device: MLPEnsemble.paper(n_rows=_PAPER_ROWS, device=device),
}
PREDICTORS = tuple(_NAMED)


def as_predictor(given: Predictor | str, *, device: torch.device) -> Predictor:
    """A new predictor: a copy of one, or what a name stands for.

    Args:
        given: A predictor, which computes on its own device, or one of "gp" (``GaussianProcess``),
            "infinite-mlp" (``InfiniteMLP``), "mlp" (``BayesianMLP``), "ensemble" (``MLPEnsemble``)
            and "paper" (``MLPEnsemble.paper``, trained for as many steps as its 200 epochs of 128
            rows are).
        device: Of one that is named.

    Raises:
        ValueError: Another word or object.
    """
    if isinstance(given, Predictor) and not isinstance(given, type):
        return copy.deepcopy(given)
    if not isinstance(given, str) or given not in _NAMED:
        must = f"be one of {PREDICTORS}, or a predictor such as GaussianProcess()"
        raise checks.refusal("predictor", given, must)
    return _NAMED[given](device)
