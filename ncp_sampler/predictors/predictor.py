"""What propagation and the optimizer ask of a predictor, whatever is behind it.

Notation
    n, d, m   codes, columns of a code, metrics
    x         unit codes (n, d)
    mean, std posterior of each metric at x, (n, m), in the metrics' own units
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler import checks

FloatArray: TypeAlias = NDArray[np.float64]
State: TypeAlias = dict[str, Any]
Metrics: TypeAlias = Mapping[str, ArrayLike]  # name -> (n,), NaN where missing
Weights: TypeAlias = ArrayLike | None  # of the rows, (n,), at least 0; alike if None


@runtime_checkable
class Predictor(Protocol):
    """A differentiable model of metrics over unit codes.

    ``GaussianProcess`` is exact, for small histories; ``MLPEnsemble`` is the paper's kind, for
    tables. Both are deterministic for a seed.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> isinstance(GaussianProcess(), Predictor)
        True
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in the order of the last axis of all outputs."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def capacity(self) -> int | None:
        """How many rows it should be given at most; None for any number."""

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Predictor:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Continues from what it learnt before; ``steps`` is the number of training steps in place
        of the usual one, 0 to keep what is learnt and only take up the rows.
        """

    def mean(self, x: Tensor) -> Tensor:
        """Mean (n, m) at x (n, d), differentiable; cheaper than the whole posterior."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) at x (n, d), differentiable."""

    def predict(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """The same for arrays, without gradients."""

    def condition(self, x: ArrayLike) -> Predictor:
        """Copy that takes its own mean at x (q, d) for observed, to spread a batch of proposals."""

    def state_dict(self) -> State:
        """Everything learnt, as plain values, arrays and tensors."""

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``: ``fit`` with ``steps=0`` and the same rows restores it."""


def posterior_arrays(predictor: Predictor, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """A predictor's posterior (n, m) at unit codes x (n, d), as arrays and without gradients."""
    codes = torch.as_tensor(
        np.asarray(x, dtype=np.float64), dtype=torch.float64, device=predictor.device
    )
    with torch.no_grad():
        mean, std = predictor.posterior(codes)
    return mean.double().cpu().numpy(), std.double().cpu().numpy()


def check_predictor(name: str, value: Any) -> Predictor:
    """A predictor, of whatever class.

    Raises:
        ValueError: It lacks one of the protocol's methods or properties.
    """
    must = "be a predictor, such as GaussianProcess()"
    predictor: Predictor = checks.instance(name, value, Predictor, must)
    return predictor
