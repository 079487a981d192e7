"""What propagation and the optimizer ask of a predictor, whatever is behind it.

Notation
    n, d, m   codes, columns of a code, metrics
    x         unit codes (n, d)
    mean, std posterior of each metric at x, (n, m), in the metrics' own units
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

State: TypeAlias = dict[str, Any]


class Predictor(Protocol):
    """A differentiable model of metrics over unit codes.

    ``GaussianProcess`` is exact, for small histories; ``MLPEnsemble`` is the paper's kind, for
    tables. Both are deterministic for a seed.
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
        self,
        x: ArrayLike,
        metrics: Mapping[str, ArrayLike],
        *,
        weights: ArrayLike | None = None,
        steps: int | None = None,
    ) -> Predictor:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Continues from what it learnt before; ``steps`` is the number of training steps in place
        of the usual one, 0 to keep what is learnt and only take up the rows.
        """

    def mean(self, x: Tensor) -> Tensor:
        """Mean (n, m) at x (n, d), differentiable; cheaper than the whole posterior."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) at x (n, d), differentiable."""

    def predict(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for arrays, without gradients."""

    def condition(self, x: ArrayLike) -> Predictor:
        """Copy that takes its own mean at x (q, d) for observed, to spread a batch of proposals."""

    def state_dict(self) -> State:
        """Everything learnt, as plain values, arrays and tensors."""

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``: ``fit`` with ``steps=0`` and the same rows restores it."""


def posterior_arrays(
    predictor: Predictor, x: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A predictor's posterior (n, m) at unit codes x (n, d), as arrays and without gradients."""
    codes = torch.as_tensor(
        np.asarray(x, dtype=np.float64), dtype=torch.float64, device=predictor.device
    )
    with torch.no_grad():
        mean, std = predictor.posterior(codes)
    return mean.double().cpu().numpy(), std.double().cpu().numpy()


def training_arrays(
    x: ArrayLike, metrics: Mapping[str, ArrayLike], weights: ArrayLike | None
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Checks what ``fit`` was given; returns names, x (n, d), y (n, m) and weights (n,).

    Raises:
        ValueError: Shapes that do not fit, NaN or infinite codes, infinite metrics, negative
            weights, a metric without a single value.
    """
    codes = np.asarray(x, dtype=np.float64)
    if codes.ndim != 2 or not np.isfinite(codes).all():
        raise ValueError(f"x must be finite unit codes of shape (n, d), got shape {codes.shape}")
    if not metrics:
        raise ValueError("metrics is empty; give at least one name -> values")
    names = tuple(metrics)
    columns = [np.asarray(metrics[name], dtype=np.float64) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.shape != (len(codes),):
            raise ValueError(
                f"metrics[{name!r}] has shape {column.shape}, x has {len(codes)} codes"
            )
        if np.isinf(column).any():
            raise ValueError(f"metrics[{name!r}] is infinite; clip it, or NaN where unknown")
        if np.isnan(column).all():
            raise ValueError(f"metrics[{name!r}] has no value; give at least one that is not NaN")
    rows = np.ones(len(codes)) if weights is None else np.asarray(weights, dtype=np.float64)
    if rows.shape != (len(codes),) or not (np.isfinite(rows).all() and (rows >= 0).all()):
        raise ValueError(f"weights must be {len(codes)} finite numbers of at least 0")
    return names, codes, np.stack(columns, axis=1), rows


def standardizer(
    y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (m,) of y (n, m), NaN left out; 1 for a constant metric."""
    rows = np.where(np.isnan(y), 0.0, weights[:, None])
    total = np.maximum(rows.sum(0), 1e-300)
    filled = np.nan_to_num(y)
    mean = (rows * filled).sum(0) / total
    std = np.sqrt((rows * (filled - mean) ** 2).sum(0) / total)
    return mean, np.where(std > 1e-9 * np.maximum(np.abs(mean), 1.0), std, 1.0)


def usable_device(device: str | torch.device) -> torch.device:
    """The device, once a number was put there and read back.

    Raises:
        ValueError: PyTorch does not know it, or cannot compute on it here.
    """
    try:
        torch.zeros(1, device=device).item()  # "meta" holds no numbers
        return torch.device(device)
    except Exception as error:  # AssertionError, RuntimeError, ...: each backend has its own
        raise ValueError(
            f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); use 'cpu', or "
            "a device that PyTorch lists as available"
        ) from error
