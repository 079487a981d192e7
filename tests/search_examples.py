"""Records and quickly fitted predictors that the tests of offline searches share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import MRSpace
from ncp_sampler.multi_resolution import costs
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records

SPACE = MRSpace()


def truth(codes: NDArray[np.float64], best: float) -> NDArray[np.float64]:
    """A metric in percent whose highest value, 80, is where every unit code is ``best``."""
    unit = SPACE.normalize(codes)
    values: NDArray[np.float64] = 80 - 40 * ((unit - best) ** 2).mean(1)
    return values


def records(n: int = 120, *, best: float = 0.7, seed: int = 0) -> Records:
    """Random codes with metrics "mIoU" and "flops" (G)."""
    codes = SPACE.sample(n, seed).astype(np.float64)
    return Records(SPACE, codes, {"mIoU": truth(codes, best), "flops": costs.flops(codes).numpy()})


def fitted(rows: Records) -> GaussianProcess:
    """A Gaussian process of the records: in milliseconds, where `offline.learn` takes seconds."""
    return GaussianProcess().fit(SPACE.normalize(rows.codes), rows.metrics)


def trade_off(weight: float = 0.5, *, beta: float = 0.0) -> list[Target]:
    """Much mIoU, few FLOPs."""
    few = Target("gflops", "minimize", weight=weight, cost=costs.flops)
    return [Target("mIoU", beta=beta), few]
