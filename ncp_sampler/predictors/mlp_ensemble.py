"""The paper's neural predictor: an ensemble of multi-metric MLPs, trained with batched products.

Notation
    E, m       members, metrics
    x (n, d)   unit codes, standardized internally
    shared     d -> 256, for all metrics; then per metric 256 -> 128 -> 1 (paper, section 4.1)
    layer      matrix product, optional batch norm, SiLU (the published code's swish), dropout
The first axis of all weights is the member (followed, in the heads, by the metric), so one layer of
all members is a single batched product.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import mse_loss, silu, smooth_l1_loss

from ncp_sampler import checks
from ncp_sampler.predictors.adamw import AdamW
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Model,
    Moments,
    State,
    Weights,
    isolated_torch,
    one_thread,
    to_array,
    torch_moments,
)
from ncp_sampler.predictors.transforms import standardizer, training_arrays

_BATCH_NORM_EPS, _BATCH_NORM_MOMENTUM = 1e-5, 0.1  # torch.nn.BatchNorm1d's defaults
# Size of a layer's output up to which one thread trains. If other processes run, two threads wait
# for each other (CPU time with one and two threads: 4 s and 17 s for 10,000 rows, 2 s and 10 s for
# 200 rows)
_ONE_THREAD = 8 * 64 * 10_000
_LEAST_STD = 1e-6  # minimum standard deviation, as a fraction of the metric's
_LOSSES = {"squared": mse_loss, "smooth_l1": smooth_l1_loss}
_SCHEDULES = ("constant", "one_cycle")


class MLPEnsemble(Model):
    """Ensemble of small MLPs, whose disagreement is the predicted standard deviation.

    The defaults suit tens to thousands of trials; ``MLPEnsemble.paper()`` is the paper's
    predictor, for tables.

    Args:
        members: Number of networks.
        shared: Width of the layer that all metrics share.
        head: Width of each metric's own layer.
        dropout: Dropout rate of both layers, in [0, 1).
        batch_norm: True to normalize the inputs and both layers by batch statistics.
        loss: "squared" or "smooth_l1", on standardized metrics.
        steps: Training steps of a fit from scratch.
        warm_steps: Steps of a fit that continues from the last weights; None trains from scratch
            each time.
        batch_size: Rows per step; None for all rows.
        learning_rate: Learning rate of AdamW; the peak of the one-cycle schedule.
        weight_decay: Decoupled weight decay of AdamW.
        schedule: "constant" or "one_cycle" (the rate rises from a tenth of the peak during 30 % of
            the steps; momentum 0.85 to 0.95).
        bootstrap: True to give rows random weights from an exponential distribution, which differ
            between members.
        seed: Seed for weights, bootstrap, batches and dropout.
        device: Device to compute on; computations use float32.

    Raises:
        ValueError: An argument is out of its range.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> predictor = MLPEnsemble(members=2, steps=100).fit(x, {"loss": (x[:, 0] - 0.3) ** 2})
        >>> mean, std = predictor.predict([[0.3], [0.9]])
        >>> mean.shape, bool(mean[0, 0] < mean[1, 0])
        ((2, 1), True)
    """

    names: tuple[str, ...] = ()  # metrics of the last fit
    device = torch.device("cpu")

    def __init__(
        self,
        *,
        members: int = 8,
        shared: int = 64,
        head: int = 32,
        dropout: float = 0.0,
        batch_norm: bool = False,
        loss: str = "squared",
        steps: int = 200,
        warm_steps: int | None = 60,
        batch_size: int | None = None,
        learning_rate: float = 0.01,
        weight_decay: float = 0.1,
        schedule: str = "constant",
        bootstrap: bool = True,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.members = checks.integer("members", members, low=1)
        self.shared = checks.integer("shared", shared, low=1)
        self.head = checks.integer("head", head, low=1)
        self.dropout = checks.number("dropout", dropout, low=0, below=1)
        self.batch_norm = checks.flag("batch_norm", batch_norm)
        self.loss = checks.one_of("loss", loss, [*_LOSSES])
        self.steps = checks.integer("steps", steps, low=1)
        self.warm_steps = (
            None if warm_steps is None else checks.integer("warm_steps", warm_steps, low=1)
        )
        self.batch_size = (
            None if batch_size is None else checks.integer("batch_size", batch_size, low=2)
        )
        self.learning_rate = checks.number("learning_rate", learning_rate, above=0)
        self.weight_decay = checks.number("weight_decay", weight_decay, low=0)
        self.schedule = checks.one_of("schedule", schedule, _SCHEDULES)
        self.bootstrap = checks.flag("bootstrap", bootstrap)
        self.device = checks.usable_device(device)
        self._generator = torch.Generator(self.device)
        self._generator.manual_seed(checks.integer("seed", seed, low=0))
        self._weights: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}  # batch norm's running statistics, scalings

    @classmethod
    def paper(
        cls,
        *,
        n_rows: int = 2000,
        epochs: int = 200,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> MLPEnsemble:
        """Return the paper's predictor: one network, 256 shared units, 128 per metric, dropout 0.5.

        The other settings are those of the published code: batch norm, smooth L1 loss, Adam with a
        one-cycle schedule that peaks at 0.01, and batches of 128 (Appendix E.1 specifies layers,
        dropout and schedule). Each metric has its own head; the published code shares one head
        between FLOPs and params.

        Args:
            n_rows: Number of rows of the table, which determines the steps per epoch.
            epochs: Number of passes over the table.
            seed: Seed for weights, batches and dropout.
            device: Device to compute on.
        """
        checks.integer("n_rows", n_rows, low=1)
        checks.integer("epochs", epochs, low=1)
        return cls(
            members=1, shared=256, head=128, dropout=0.5, batch_norm=True, loss="smooth_l1",
            steps=epochs * max(1, n_rows // 128), warm_steps=None, batch_size=128,
            weight_decay=1e-7, schedule="one_cycle", bootstrap=False, seed=seed, device=device,
        )  # fmt: skip

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> MLPEnsemble:
        names, codes, y, rows = training_arrays(x, metrics, weights)
        steps = None if steps is None else checks.integer("steps", steps, low=0)
        same = names == self.names and self._weights["w1"].shape[1] == codes.shape[1]
        if steps == 0 and same:
            return self
        size = self.members * self.shared * min(len(codes), self.batch_size or len(codes))
        small = self.device.type == "cpu" and size <= _ONE_THREAD
        with one_thread() if small else nullcontext(), isolated_torch(self.device):
            usual = self.warm_steps
            if not same or usual is None:
                self.names, usual = names, self.steps
                self._initialize(codes.shape[1], len(names))
            mean, std = standardizer(y, rows)
            x_std = codes.std(0)
            x_std = np.where(x_std > 1e-9, x_std, 1.0)
            scales = {"x_mean": codes.mean(0), "x_std": x_std, "y_mean": mean, "y_std": std}
            self._buffers |= {name: self._tensor(values) for name, values in scales.items()}
            target = self._tensor(np.nan_to_num((y - mean) / std))
            known = self._tensor(~np.isnan(y) * rows[:, None])
            self._train(self._tensor(codes), target, known, usual if steps is None else steps)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return every member's prediction (E, n, m) at unit codes (n, d), in the metrics' units.

        Raises:
            RuntimeError: Not fitted yet.
        """
        if not self._weights:
            raise RuntimeError("the ensemble is not fitted; call fit first")
        out = self._network(x.to(torch.float32), train=False)
        return out * self._buffers["y_std"] + self._buffers["y_mean"]

    def mean(self, x: Tensor) -> Tensor:
        return self.forward(x).mean(0)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.forward(x)
        variance = out.var(0, correction=0) + (_LEAST_STD * self._buffers["y_std"]) ** 2
        return out.mean(0), variance.sqrt()

    def moments(self, x: FloatArray) -> Moments:
        if self.device.type != "cpu" or not self._weights:
            return torch_moments(self, x)
        # in NumPy, because PyTorch takes five times as long for the few codes of a search
        w, buffers = ({k: v.numpy() for k, v in d.items()} for d in (self._weights, self._buffers))

        def normalized(h: Any, layer: int) -> tuple[Any, Any]:
            """Return the result of ``_normalize``, and its slope."""
            if not self.batch_norm:
                return h, 1
            gain = w[f"gain{layer}"] / np.sqrt(buffers[f"var{layer}"] + _BATCH_NORM_EPS)
            return (h - buffers[f"mean{layer}"]) * gain + w[f"shift{layer}"], gain

        def activated(h: Any, layer: int) -> tuple[Any, Any]:
            """Return the result of ``_activate``, and its slope."""
            h, slope = normalized(h, layer)
            sigmoid = expit(h)
            return h * sigmoid, sigmoid * (1 + h * (1 - sigmoid)) * slope

        h = ((np.asarray(x, np.float32) - buffers["x_mean"]) / buffers["x_std"])[None]
        h, slope0 = normalized(h, 0)
        h, slope1 = activated(h @ w["w1"] + w["b1"], 1)
        h, slope2 = activated(h[:, None] @ w["w2"] + w["b2"], 2)
        out = (h @ w["w3"] + w["b3"])[..., 0].swapaxes(1, 2)
        out = out * buffers["y_std"] + buffers["y_mean"]  # (E, n, m)
        mean = out.mean(0, dtype=np.float64)
        std = np.sqrt(((out - mean) ** 2).mean(0) + (_LEAST_STD * buffers["y_std"]) ** 2)

        def vjp(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            g = (by_mean + by_std / std * (out - mean)) / self.members * buffers["y_std"]
            g = g.astype(np.float32).swapaxes(1, 2)[..., None]  # (E, m, n, 1)
            g = g @ w["w3"].swapaxes(-1, -2) * slope2
            g = (g @ w["w2"].swapaxes(-1, -2)).sum(1) * slope1
            g = (g @ w["w1"].swapaxes(-1, -2)).sum(0) * slope0
            return np.asarray(g.reshape(x.shape) / buffers["x_std"], dtype=np.float64)

        return Moments(mean, std, vjp)

    def condition(self, x: ArrayLike) -> MLPEnsemble:
        return self  # there is no closed form for an additional observation

    @property
    def x_std(self) -> FloatArray:
        """Standard deviation (d,) of the training unit codes, which is the paper's step scale."""
        return to_array(self._buffers["x_std"])

    def state_dict(self) -> State:
        return {
            "names": list(self.names),
            "weights": {name: w.detach().cpu().numpy().copy() for name, w in self._weights.items()},
            "buffers": {name: b.cpu().numpy().copy() for name, b in self._buffers.items()},
            "generator": self._generator.get_state().numpy().copy(),
        }

    def load_state_dict(self, state: State) -> None:
        self.names = tuple(state["names"])
        self._weights = {name: self._tensor(w).clone() for name, w in state["weights"].items()}
        self._buffers = {name: self._tensor(b).clone() for name, b in state["buffers"].items()}
        self._generator.set_state(torch.from_numpy(np.asarray(state["generator"])))

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k != "_generator"}
        return {**kept, "_fitted_state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _generator=torch.Generator(state["device"]))
        self.load_state_dict(self.__dict__.pop("_fitted_state"))

    def _tensor(self, values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.device)

    def _initialize(self, d: int, m: int) -> None:
        """Draw uniform weights within 1 / sqrt(fan in), like torch.nn.Linear."""
        shapes = {
            "w1": ((self.members, d, self.shared), d),
            "b1": ((self.members, 1, self.shared), d),
            "w2": ((self.members, m, self.shared, self.head), self.shared),
            "b2": ((self.members, m, 1, self.head), self.shared),
            "w3": ((self.members, m, self.head, 1), self.head),
            "b3": ((self.members, m, 1, 1), self.head),
        }
        self._weights = {
            name: (2 * self._uniform(shape) - 1) / fan_in**0.5
            for name, (shape, fan_in) in shapes.items()
        }
        self._buffers = {}
        if self.batch_norm:
            for i, shape in enumerate([(1, 1, d), shapes["b1"][0], shapes["b2"][0]]):
                self._weights[f"gain{i}"] = torch.ones(shape, device=self.device)
                self._weights[f"shift{i}"] = torch.zeros(shape, device=self.device)
                self._buffers[f"mean{i}"] = torch.zeros(shape, device=self.device)
                self._buffers[f"var{i}"] = torch.ones(shape, device=self.device)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self._generator, device=self.device)

    def _network(self, x: Tensor, *, train: bool) -> Tensor:
        """Return standardized predictions (E, n, m)."""
        w = self._weights
        h = ((x - self._buffers["x_mean"]) / self._buffers["x_std"])[None]  # (1, n, d)
        h = self._normalize(h, 0, train) @ w["w1"] + w["b1"]  # (E, n, shared)
        h = self._activate(h, 1, train)[:, None] @ w["w2"] + w["b2"]  # (E, m, n, head)
        h = self._activate(h, 2, train) @ w["w3"] + w["b3"]  # (E, m, n, 1)
        return h[..., 0].mT

    def _activate(self, h: Tensor, layer: int, train: bool) -> Tensor:
        h = silu(self._normalize(h, layer, train))
        if train and self.dropout:
            h = h * (self._uniform(h.shape) >= self.dropout) / (1 - self.dropout)
        return h

    def _normalize(self, h: Tensor, layer: int, train: bool) -> Tensor:
        if not self.batch_norm:
            return h
        mean, var = self._buffers[f"mean{layer}"], self._buffers[f"var{layer}"]
        if train:
            mean, var = h.mean(-2, keepdim=True), h.var(-2, keepdim=True, correction=0)
            n, share = h.shape[-2], _BATCH_NORM_MOMENTUM
            for name, now in (("mean", mean), ("var", var * n / max(n - 1, 1))):
                running = self._buffers[f"{name}{layer}"]
                self._buffers[f"{name}{layer}"] = (1 - share) * running + share * now.detach()
        h = (h - mean) / (var + _BATCH_NORM_EPS).sqrt()
        return h * self._weights[f"gain{layer}"] + self._weights[f"shift{layer}"]

    def _train(self, x: Tensor, target: Tensor, known: Tensor, steps: int) -> None:
        n = len(x)
        importance = known.expand(self.members, -1, -1)  # (E, n, m)
        if self.bootstrap:
            importance = importance * -(1 - self._uniform((self.members, n, 1))).log()
        size = n if self.batch_size is None else min(self.batch_size, n)
        weights = [w.requires_grad_(True) for w in self._weights.values()]
        cycle = steps if self.schedule == "one_cycle" else None
        optimizer = AdamW(
            weights, rate=self.learning_rate, weight_decay=self.weight_decay, cycle=cycle
        )
        order = torch.empty(0, dtype=torch.long)
        rows: Tensor | slice = slice(None)
        for _ in range(steps):
            if size < n:
                if len(order) < size:  # an epoch ends; its last, smaller batch is dropped
                    order = torch.randperm(n, generator=self._generator, device=self.device)
                rows, order = order[:size], order[size:]
            out = self._network(x[rows], train=True)
            goal = target[rows].expand_as(out)
            error = _LOSSES[self.loss](out, goal, reduction="none")
            weight = importance[:, rows]
            optimizer.step(((weight * error).sum(1) / weight.sum(1).clamp_min(1e-9)).sum())
        self._weights = {name: w.detach() for name, w in self._weights.items()}
