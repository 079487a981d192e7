"""The predictor of the published code, fitted with its configurations (``configs/*.yaml``).

Notation
    n, d      rows, columns of a code
    group     metrics with a head of their own: the main one, the other trained ones, the costs
    network   d -> 256 shared by all groups, then per group 256 -> 128 -> its metrics
    layer     product, batch norm, swish, dropout

``MLPEnsemble.paper`` is the package's predictor of the same shape, with one head per metric and
dropout in all of them. The published code has no dropout in the head of FLOPs and params
(``layer2_drop_ratio: [0.5, 0.5, 0]``), shares heads within a group, and keeps the weights of the
epoch that is best on a fifth of the rows, which are not trained on.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ncp_sampler.predictors.predictor import (
    Metrics,
    Model,
    Moments,
    Pullback,
    State,
    Weights,
    isolated_torch,
    torch_moments,
    torch_vjp,
)
from ncp_sampler.records.records import FloatArray, Records

COSTS = ("flops", "params")

_SHARED, _HEAD, _DROPOUT = 256, 128, 0.5
_RATE, _DECAY, _BATCH = 0.01, 1e-7, 128
_HELD_OUT = 0.2  # share of the rows that selects the epoch


class PublishedPredictor(Model):
    """MLP with one head per group of metrics.

    Args:
        groups: Names of the metrics of each head; a head of ``COSTS`` has no dropout. The first
            metric selects the epoch.
        epochs: Passes over the rows.
        seed: Seed of weights, held-out rows, batches and dropout.

    Attributes:
        names: Names of the metrics, group by group.
    """

    def __init__(
        self, groups: Sequence[Sequence[str]], *, epochs: int = 200, seed: int = 0
    ) -> None:
        self._groups = [tuple(group) for group in groups]
        self._epochs, self._seed = epochs, seed
        self._net: _Network | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for group in self._groups for name in group)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def max_rows(self) -> None:
        return None

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> PublishedPredictor:
        """Fit metrics (name -> (n,)) of unit codes x (n, d), from new weights.

        Raises:
            ValueError: Weights, steps or missing values are given; the published code does not
                support them.
        """
        codes = np.asarray(x, dtype=np.float64)
        y = np.stack([np.asarray(metrics[name], dtype=np.float64) for name in self.names], 1)
        if weights is not None or steps is not None or not np.isfinite(y).all():
            raise ValueError("the published code takes no weights, steps or missing values")
        order = np.random.default_rng(self._seed).permutation(len(codes))
        held = order[: round(_HELD_OUT * len(codes))]
        with isolated_torch(self.device), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            net = _Network(codes, y, self._groups)
            _train(net, codes, y, order[len(held) :], held, self._epochs)
        self._net = net.eval().requires_grad_(False)
        return self

    def moments(self, x: FloatArray) -> Moments:
        return torch_moments(self, x)

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        return torch_vjp(self.mean, x, self.device)

    def mean(self, x: Tensor) -> Tensor:
        """Return the prediction (n, m) at unit codes (n, d), differentiable.

        Raises:
            RuntimeError: Not fitted yet.
        """
        if self._net is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        mean: Tensor = self._net(x.float()) * self._net.y_std + self._net.y_mean
        return mean

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prediction and a standard deviation of 0; a single network has none."""
        mean = self.mean(x)
        return mean, torch.zeros_like(mean)

    def condition(self, x: ArrayLike) -> PublishedPredictor:
        """Return itself: a network has no closed form for an additional observation."""
        return self

    def state_dict(self) -> State:
        """Return the weights."""
        return {} if self._net is None else dict(self._net.state_dict())

    def load_state_dict(self, state: State) -> None:
        """Load the weights of a predictor that was fitted to rows of the same space."""
        if self._net is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        self._net.load_state_dict(state)


def fit_published(
    records: Records, main: str, metrics: Sequence[str], *, epochs: int = 200, seed: int = 0
) -> PublishedPredictor:
    """Fit the published predictor to a setting's rows.

    Args:
        records: The rows, with ``flops`` and ``params``.
        main: Main metric, which has a head of its own.
        metrics: All trained metrics of the setting; the others share a head.
        epochs: Passes over the rows.
        seed: Seed of the fit.
    """
    others = tuple(name for name in metrics if name != main)
    groups = [(main,), *([others] if others else []), COSTS]
    predictor = PublishedPredictor(groups, epochs=epochs, seed=seed)
    return predictor.fit(records.space.normalize(records.codes), records.metrics)


class _Network(nn.Module):
    """Standardized metrics of unit codes, with the scales of both as buffers."""

    x_mean: Tensor
    x_std: Tensor
    y_mean: Tensor
    y_std: Tensor

    def __init__(self, codes: FloatArray, y: FloatArray, groups: Sequence[tuple[str, ...]]) -> None:
        super().__init__()
        scales: dict[str, Any] = {
            "x_mean": codes.mean(0),
            "x_std": np.maximum(codes.std(0), 1e-9),
            "y_mean": y.mean(0),
            "y_std": np.maximum(y.std(0), 1e-9),
        }
        for name, values in scales.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32))
        d = codes.shape[1]
        self.shared = nn.Sequential(nn.BatchNorm1d(d), *_layer(d, _SHARED, _DROPOUT))
        self.heads = nn.ModuleList(
            nn.Sequential(
                *_layer(_SHARED, _HEAD, 0.0 if group == COSTS else _DROPOUT),
                nn.Linear(_HEAD, len(group)),
            )
            for group in groups
        )

    def forward(self, x: Tensor) -> Tensor:
        shared = self.shared((x - self.x_mean) / self.x_std)
        return torch.cat([head(shared) for head in self.heads], 1)


def _layer(d: int, width: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(d, width), nn.BatchNorm1d(width), nn.SiLU(), nn.Dropout(dropout)]


def _train(
    net: _Network,
    codes: FloatArray,
    y: FloatArray,
    rows: NDArray[np.int64],
    held: NDArray[np.int64],
    epochs: int,
) -> None:
    """Train for some epochs, and leave the weights of the best one by L1 of the first metric."""
    x = torch.as_tensor(codes, dtype=torch.float32)
    target = (torch.as_tensor(y, dtype=torch.float32) - net.y_mean) / net.y_std
    mine, others = torch.as_tensor(rows), torch.as_tensor(held)
    batches = [size for size in _sizes(len(rows)) if size > 1]  # batch norm needs two rows
    optimizer = torch.optim.Adam(net.parameters(), lr=_RATE, weight_decay=_DECAY, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, total_steps=epochs * len(batches), div_factor=10
    )
    best, weights = float("inf"), net.state_dict()
    for _ in range(epochs):
        net.train()
        order = mine[torch.randperm(len(mine))]
        for batch in order[: sum(batches)].split(batches):
            loss = nn.functional.smooth_l1_loss(net(x[batch]), target[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            cycle.step()
        net.eval()
        with torch.no_grad():
            error = float((net(x[others]) - target[others])[:, 0].abs().mean())
        if error < best or not len(others):
            best, weights = error, copy.deepcopy(net.state_dict())
    net.load_state_dict(weights)


def _sizes(n: int) -> list[int]:
    return [min(_BATCH, n - begin) for begin in range(0, n, _BATCH)]
