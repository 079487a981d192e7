"""Probability that a trial succeeds: out of memory, NaN and errors as functions of the params.

Two hypotheses are weighed by how well they predict each outcome from all others. Either failures
depend on the params: then the Gaussian process of an infinitely wide MLP is regressed on labels of
1 (success) and -1 (failure), and the probability is that of a positive value. Or they are random,
as a crash of the machine is: then it is the rate of success everywhere, whatever is proposed.

Notation
    n, d   trials that succeeded or failed, columns of a code
    w      posterior probability that failures depend on the params
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr
from torch import Tensor

from ncp_sampler.optimizer.history import rows_to_fit
from ncp_sampler.predictors.featured import Featured, Features
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.predictor import FloatArray

# Log prior odds that failures depend on the params. The process is fitted before its leave-one-out
# predictions are made, which favors it by one or two nats where failures are random.
_LOG_ODDS = -2.0
_MAX_ROWS = 100  # trials of either outcome that the process is fitted on: half of them the newest
_STEPS = 20  # Adam steps of a fit


class SuccessModel:
    """Probability that a trial succeeds, differentiable by its unit code.

    It is fitted from scratch, so that it depends on nothing but its arguments.

    Args:
        unit: Unit codes of trials that succeeded or failed, (n, d).
        succeeded: Which of them succeeded, (n,); at least one did, and one failed.
        device: Device to compute on.
        features: Map from unit codes to features, None for the unit codes themselves.

    Attributes:
        depends: Posterior probability that failures depend on the params.
    """

    def __init__(
        self,
        unit: FloatArray,
        succeeded: NDArray[np.bool_],
        *,
        device: torch.device,
        features: Features | None,
    ) -> None:
        of_either = [np.flatnonzero(succeeded), np.flatnonzero(~succeeded)]
        rows = np.sort(np.concatenate([_newest(at) for at in of_either]))
        unit, succeeded = unit[rows], succeeded[rows]
        labels = np.where(succeeded, 1.0, -1.0)
        process = InfiniteMLP(device=device)
        self._predictor = process if features is None else Featured(process, features)
        self._predictor.fit(unit, {"success": labels}, steps=_STEPS)
        mean, std = (column[:, 0] for column in process.left_out())
        # of the two others' rate, by Laplace's rule of succession
        counts = np.where(succeeded, succeeded.sum(), (~succeeded).sum())
        gain = float((log_ndtr(labels * mean / std) - np.log(counts / (len(labels) + 1))).sum())
        self.depends = float(expit(gain + _LOG_ODDS))
        self._log_weight = -math.log1p(math.exp(min(-gain - _LOG_ODDS, 700.0)))
        self._log_rate = math.log((succeeded.sum() + 1) / (len(labels) + 2))
        self._log_random = -math.log1p(math.exp(min(gain + _LOG_ODDS, 700.0))) + self._log_rate

    def log_probability(self, x: Tensor) -> Tensor:
        """Return the log probability (n,) of success at unit codes (n, d)."""
        mean, std = self._predictor.posterior(x)
        by_params = torch.special.log_ndtr(mean[:, 0] / std[:, 0]) + self._log_weight
        return torch.logaddexp(by_params, by_params.new_tensor(self._log_random))


def _newest(at: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return some of the positions, ascending: half of them the newest, the others spread."""
    return at[rows_to_fit(np.arange(len(at))[::-1], _MAX_ROWS)]
