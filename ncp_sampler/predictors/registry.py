"""Predictors by name, for the sampler, the searcher and the optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from ncp_sampler import checks
from ncp_sampler.predictors.gaussian_process import MAX_ROWS, GaussianProcess
from ncp_sampler.predictors.kernels import NARROW_SD, NNGP, Matern52, Sum
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Model, Predictor, as_model
from ncp_sampler.predictors.random_relu import RandomReLU

_PAPER_ROWS = 128  # size of the paper's batches, so that an epoch is one step

_NAMED: dict[str, Callable[[torch.device], Model]] = {
    "auto": lambda _: GaussianProcess(),
    "gp": lambda _: GaussianProcess(Matern52()),
    "infinite-mlp": lambda _: GaussianProcess(NNGP()),
    "mlp": lambda _: GaussianProcess(RandomReLU()),
    "ensemble": lambda device: MLPEnsemble(device=device),
    # 200 steps per fit; with the 15 steps per epoch of a table of 2,000 rows, an ask took 15 s
    "paper": lambda device: MLPEnsemble.paper(n_rows=_PAPER_ROWS, device=device),
}
PREDICTORS = tuple(_NAMED)


def narrow_process(*, max_rows: int = MAX_ROWS) -> GaussianProcess:
    """Return the default Gaussian process with a narrow length-scale prior.

    The width of this prior does not depend on the number of columns. A space may have many
    features, but they are computed from few parameters, and most of them matter. With a wide prior,
    results are not better, and half of the trials lie outside one predicted standard deviation.
    """
    return GaussianProcess(Sum(NNGP(), Matern52(NARROW_SD)), max_rows=max_rows)


def predictor_device(predictor: Predictor, device: torch.device) -> torch.device:
    """Check the requested device, and return the device of the predictor.

    Raises:
        ValueError: The requested device is neither the CPU nor of the predictor's device type.
    """
    if device.type not in {"cpu", predictor.device.type}:
        must = f"be left out: predictor={checks.shown(predictor)} computes on {predictor.device}"
        raise checks.refusal("device", str(device), must)
    return predictor.device


def as_predictor(
    given: Predictor | str, *, device: torch.device, has_features: bool = False
) -> Model:
    """Return a new predictor: a copy of the given object, or the predictor with the given name.

    Args:
        given: A predictor, which has its own device, or one of "auto" (``GaussianProcess``, an
            infinitely wide MLP plus a Matern residual), "gp" (only the Matern kernel),
            "infinite-mlp" (only the infinitely wide MLP), "mlp" (a wide MLP of random features),
            "ensemble" (``MLPEnsemble``) and "paper" (``MLPEnsemble.paper``, trained for as many
            steps as 200 epochs of 128 rows take).
        device: Device of a named ensemble; exact processes compute on the CPU.
        has_features: True if the predictor will use a space's features; then "auto" is
            ``narrow_process``.

    Raises:
        ValueError: ``given`` is neither a predictor nor a valid name.
    """
    if isinstance(given, Predictor) and not isinstance(given, type):
        return as_model("predictor", copy.deepcopy(given))
    if given == "auto" and has_features:
        return narrow_process()
    if isinstance(given, str) and given in _NAMED:
        return _NAMED[given](device)
    must = f"be one of {PREDICTORS}, or a predictor such as GaussianProcess()"
    raise checks.refusal("predictor", given, must)
