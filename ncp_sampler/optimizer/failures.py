"""Probability that a trial succeeds: out of memory, NaN and errors as functions of the params.

Three hypotheses are averaged, weighted by how well they predict each outcome from all others. Two
say that failures depend on the params: a process is regressed on labels of 1 (success) and -1
(failure), and the probability is that of a positive value. The process of an infinitely wide MLP
extrapolates, to regions that reach to an end of the space; a Matern process follows smaller ones.
The third says that failures are random, as a crash of the machine is: then the probability is the
rate of success everywhere, whatever is proposed.

Notation
    n, d   trials that succeeded or failed, columns of a code
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_ndtr, log_softmax
from torch import Tensor

from ncp_sampler.optimizer.focus import Focus
from ncp_sampler.optimizer.history import History, rows_to_fit
from ncp_sampler.predictors.ahead import left_out
from ncp_sampler.predictors.featured import Featured, Features
from ncp_sampler.predictors.gaussian_process import GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP
from ncp_sampler.predictors.predictor import FloatArray, Predictor

# Log prior odds of either process against random failures. It is fitted before its leave-one-out
# predictions are made, which favors it by some nats where failures are random.
_LOG_ODDS = -4.0
_LABEL_VARIANCE = 0.5  # of the probit link: outcomes are less certain than the process of labels is
_NEGLIGIBLE = 0.05  # probability that failures depend on the params, below which they are random
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
        depends: Posterior probability that failures depend on the params, between 0 and 1.
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
        # of the others' rate, by Laplace's rule of succession
        counts = np.where(succeeded, succeeded.sum(), (~succeeded).sum())
        by_rate = np.log(counts / (len(succeeded) + 1)).sum()
        labels = np.where(succeeded, 1.0, -1.0)
        self._predictors: list[Predictor] = []
        gains = []
        for process in (InfiniteMLP(device=device), GaussianProcess(device=device)):
            predictor = process if features is None else Featured(process, features)
            predictor.fit(unit, {"success": labels}, steps=_STEPS)
            mean, std = (column[:, 0] for column in left_out(process))
            by_process = log_ndtr(labels * mean / np.sqrt(std**2 + _LABEL_VARIANCE)).sum()
            gains.append(float(by_process - by_rate) + _LOG_ODDS)
            self._predictors.append(predictor)
        self._log_weights = log_softmax([*gains, 0.0])
        self.depends = float(-np.expm1(self._log_weights[-1]))
        self._log_rate = math.log((succeeded.sum() + 1) / (len(succeeded) + 2))

    @property
    def is_random(self) -> bool:
        """Whether failures are taken for random, so that the probability is the same everywhere."""
        return self.depends < _NEGLIGIBLE

    def probability(self, unit: FloatArray) -> float:
        """Return the probability of success at a unit code (d,)."""
        with torch.no_grad():
            x = torch.as_tensor(unit, device=self._predictors[0].device)[None]
            return float(self.log_probability(x).exp())

    def log_probability(self, x: Tensor) -> Tensor:
        """Return the log probability (n,) of success at unit codes (n, d)."""
        logs = []
        for predictor in self._predictors:
            mean, std = predictor.posterior(x)
            spread = (std[:, 0].square() + _LABEL_VARIANCE).sqrt()
            logs.append(torch.special.log_ndtr(mean[:, 0] / spread))
        logs.append(torch.full_like(logs[0], self._log_rate))
        weighted = torch.stack(logs, 1) + logs[0].new_tensor(self._log_weights)
        return torch.logsumexp(weighted, 1)


def success_model(
    history: History, bounds: Mapping[str, float], focus: Focus, device: torch.device
) -> SuccessModel | None:
    """Return the model of which trials fail; None where none has failed, or all have.

    Args:
        history: The observations.
        bounds: Constraint -> its upper bound; a violation explains a failure.
        focus: The part of the space that a proposal looks at.
        device: Device to compute on.
    """
    at, succeeded = history.outcomes(bounds)
    if succeeded.all() or not succeeded.any():
        return None
    unit = focus.part.normalize(focus.reduce(history.codes(at)))
    features = focus.whole.features
    features = None if features is None else focus.features(features)
    return SuccessModel(unit, succeeded, device=device, features=features)


def _newest(at: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return some of the positions, ascending: half of them the newest, the others spread."""
    return at[rows_to_fit(np.arange(len(at))[::-1], _MAX_ROWS)]
