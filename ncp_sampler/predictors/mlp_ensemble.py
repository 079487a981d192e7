"""The paper's neural predictor: an ensemble of multi-metric MLPs trained as one batch of products.

Notation
    E, m       members, metrics
    x (n, d)   unit codes, standardized inside
    shared     d -> 256, for all metrics; then per metric 256 -> 128 -> 1 (paper, section 4.1)
    layer      product, batch norm if asked for, SiLU (the published code's swish), dropout
All weights carry the member (and, in the heads, the metric) in front: a layer of every member is
one batched product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Model,
    Moments,
    Pullback,
    State,
    TorchModel,
    Weights,
    isolated_torch,
)
from ncp_sampler.predictors.transforms import standardizer, training_arrays

_BATCH_NORM_EPS, _BATCH_NORM_MOMENTUM = 1e-5, 0.1  # torch.nn.BatchNorm1d's defaults
_LEAST_STD = 1e-6  # smallest standard deviation, as a share of the metric's
LOSSES = ("squared", "smooth_l1")
SCHEDULES = ("constant", "one_cycle")


class MLPEnsemble(TorchModel):
    """Ensemble of small MLPs: their mean predicts, their spread is the standard deviation.

    The defaults suit a history of tens to thousands of trials; ``MLPEnsemble.paper()`` is the
    predictor of the paper, for tables.

    Args:
        members: Number of networks.
        shared: Width of the layer that all metrics share.
        head: Width of each metric's own layer.
        dropout: Dropout rate of both layers, in [0, 1).
        batch_norm: Normalize the inputs and both layers by batch statistics.
        loss: "squared" or "smooth_l1", on standardized metrics.
        steps: Training steps of a fit from scratch.
        warm_steps: Steps of a fit that continues from the last weights; None trains from scratch
            each time.
        batch_size: Rows per step; None for all.
        learning_rate: Learning rate of AdamW; the peak of the one-cycle schedule.
        weight_decay: Weight decay of AdamW (decoupled).
        schedule: "constant" or "one_cycle" (30 % up from a tenth, momentum 0.85 to 0.95).
        bootstrap: Weight rows by exponential draws, different for each member.
        seed: Seed of weights, bootstrap, batches and dropout.
        device: Device to compute on, in float32.

    Raises:
        ValueError: An argument out of its range.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> predictor = MLPEnsemble(members=2, steps=100).fit(x, {"loss": (x[:, 0] - 0.3) ** 2})
        >>> mean, std = predictor.predict([[0.3], [0.9]])
        >>> mean.shape, bool(mean[0, 0] < mean[1, 0])
        ((2, 1), True)
    """

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
        counts = {"members": members, "shared": shared, "head": head, "steps": steps}
        for name, value in counts.items():
            checks.integer(name, value, low=1)
        if warm_steps is not None:
            checks.integer("warm_steps", warm_steps, low=1)
        if batch_size is not None:
            checks.integer("batch_size", batch_size, low=2)
        checks.number("dropout", dropout, low=0, below=1)
        checks.number("learning_rate", learning_rate, above=0)
        checks.number("weight_decay", weight_decay, low=0)
        checks.one_of("loss", loss, LOSSES)
        checks.one_of("schedule", schedule, SCHEDULES)
        checks.flag("batch_norm", batch_norm)
        checks.flag("bootstrap", bootstrap)
        seed = checks.integer("seed", seed, low=0)
        self.members, self.shared, self.head = members, shared, head
        self.dropout, self.batch_norm, self.loss = dropout, batch_norm, loss
        self.steps, self.warm_steps, self.batch_size = steps, warm_steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.schedule, self.bootstrap = schedule, bootstrap
        self._device = checks.usable_device(device)
        self._names: tuple[str, ...] = ()
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._weights: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}  # batch norm's running statistics, scalings

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the last axis of all outputs."""
        return self._names

    @property
    def device(self) -> torch.device:
        """Device to compute on."""
        return self._device

    @property
    def max_rows(self) -> None:
        """None: it takes any number of rows."""

    @classmethod
    def paper(
        cls,
        *,
        n_rows: int = 2000,
        epochs: int = 200,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> MLPEnsemble:
        """Return the paper's predictor: one network, 256 shared, 128 per metric, dropout 0.5.

        Batch norm, smooth L1, Adam at 0.01 with one cycle, batches of 128: the published code's
        settings (Appendix E.1 names layers, dropout and schedule). It trains each metric in a head
        of its own; the published code shares one between FLOPs and params.

        Args:
            n_rows: Rows of the table, which with the batch size sets the steps of an epoch.
            epochs: Passes over the table.
            seed: As in the constructor.
            device: As in the constructor.
        """
        checks.integer("n_rows", n_rows, low=1)
        checks.integer("epochs", epochs, low=1)
        return cls(
            members=1,
            shared=256,
            head=128,
            dropout=0.5,
            batch_norm=True,
            loss="smooth_l1",
            steps=epochs * max(1, n_rows // 128),
            warm_steps=None,
            batch_size=128,
            weight_decay=1e-7,
            schedule="one_cycle",
            bootstrap=False,
            seed=seed,
            device=device,
        )

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> MLPEnsemble:
        """Fit metrics of unit codes.

        Args:
            x: Unit codes, (n, d).
            metrics: Name -> values (n,), NaN where missing.
            weights: Weights of the rows in the loss, (n,), at least 0.
            steps: Training steps in place of the usual number; 0 keeps the weights.

        Raises:
            ValueError: As ``transforms.training_arrays``.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        if steps is not None:
            checks.integer("steps", steps, low=0)
        same = names == self.names and self._weights["w1"].shape[1] == codes.shape[1]
        if steps == 0 and same:
            return self
        with isolated_torch(self.device):
            if not same or self.warm_steps is None:
                self._names = names
                self._initialize(codes.shape[1], len(names))
                count = self.steps if steps is None else steps
            else:
                count = self.warm_steps if steps is None else steps
            mean, std = standardizer(y, rows)
            x_mean, x_std = codes.mean(0), codes.std(0)
            self._buffers |= {
                "x_mean": self._tensor(x_mean),
                "x_std": self._tensor(np.where(x_std > 1e-9, x_std, 1.0)),
                "y_mean": self._tensor(mean),
                "y_std": self._tensor(std),
            }
            target = self._tensor(np.nan_to_num((y - mean) / std))
            known = self._tensor(~np.isnan(y) * rows[:, None])
            self._train(self._tensor(codes), target, known, count)
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
        """Return the mean (n, m) over the members, differentiable."""
        return self.forward(x).mean(0)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (n, m) over the members, differentiable."""
        out = self.forward(x)
        mean = out.mean(0)
        variance = ((out - mean) ** 2).mean(0)
        least = _LEAST_STD * self._buffers["y_std"]
        return mean, (variance + least**2).sqrt()

    def moments(self, x: FloatArray) -> Moments:
        """Return mean and standard deviation (n, m) at unit codes x (n, d), with their gradient.

        On the CPU in NumPy: for the few codes of a search, PyTorch takes five times as long.

        Raises:
            RuntimeError: Not fitted yet.
        """
        if self.device.type != "cpu" or not self._weights:
            return super().moments(x)
        w, buffers = ({k: v.numpy() for k, v in d.items()} for d in (self._weights, self._buffers))
        gains, slopes = [], []
        z = ((np.asarray(x, np.float32) - buffers["x_mean"]) / buffers["x_std"])[None]
        for layer in range(3):
            gain: Any = np.float32(1)
            shift: Any = np.float32(0)
            if self.batch_norm:
                gain = w[f"gain{layer}"] / np.sqrt(buffers[f"var{layer}"] + _BATCH_NORM_EPS)
                shift = w[f"shift{layer}"] - buffers[f"mean{layer}"] * gain
            h = z * gain + shift
            gains.append(gain)
            if layer:
                sigmoid = expit(h)
                slopes.append(sigmoid * (1 + h * (1 - sigmoid)))
                h = h * sigmoid
            if layer == 1:
                h = h[:, None]
            z = h @ w[f"w{layer + 1}"] + w[f"b{layer + 1}"]
        out = z[..., 0].swapaxes(1, 2) * buffers["y_std"] + buffers["y_mean"]  # (E, n, m)
        mean = out.mean(0, dtype=np.float64)
        std = np.sqrt(((out - mean) ** 2).mean(0) + (_LEAST_STD * buffers["y_std"]) ** 2)

        def vjp(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            g = (by_mean + by_std / std * (out - mean)) / self.members * buffers["y_std"]
            g = g.astype(np.float32).swapaxes(1, 2)[..., None]  # (E, m, n, 1)
            g = g @ w["w3"].swapaxes(-1, -2) * slopes[1] * gains[2]
            g = (g @ w["w2"].swapaxes(-1, -2)).sum(1) * slopes[0] * gains[1]
            g = (g @ w["w1"].swapaxes(-1, -2)).sum(0) * gains[0]
            return np.asarray(g.reshape(x.shape) / buffers["x_std"], dtype=np.float64)

        return Moments(mean, std, vjp)

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return the mean (n, m) at unit codes x (n, d), and its pullback."""
        return Model.mean_vjp(self, x)

    def condition(self, x: ArrayLike) -> MLPEnsemble:
        """Return itself: an ensemble has no closed form for an additional observation."""
        return self

    @property
    def x_std(self) -> FloatArray:
        """Standard deviation of the training unit codes, (d,): the paper's scale of a step."""
        spread: FloatArray = self._buffers["x_std"].double().cpu().numpy()
        return spread

    def state_dict(self) -> State:
        """Return names, weights, running statistics and the random generator's state."""
        return {
            "names": list(self.names),
            "weights": {name: w.detach().cpu().numpy().copy() for name, w in self._weights.items()},
            "buffers": {name: b.cpu().numpy().copy() for name, b in self._buffers.items()},
            "generator": self._generator.get_state().numpy().copy(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from ``state_dict`` as if never stopped."""
        self._names = tuple(state["names"])
        self._weights = {name: self._tensor(w).clone() for name, w in state["weights"].items()}
        self._buffers = {name: self._tensor(b).clone() for name, b in state["buffers"].items()}
        self._generator.set_state(torch.from_numpy(np.asarray(state["generator"])))

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k != "_generator"}
        return {**kept, "_fitted_state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fitted = state.pop("_fitted_state")
        self.__dict__.update(state)
        self._generator = torch.Generator(self.device)
        self.load_state_dict(fitted)

    def _tensor(self, values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.device)

    def _initialize(self, d: int, m: int) -> None:
        """Draw uniform weights as torch.nn.Linear: within 1 / sqrt(fan in)."""
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
        h = torch.nn.functional.silu(self._normalize(h, layer, train))
        if train and self.dropout:
            kept = self._uniform(tuple(h.shape)) >= self.dropout
            h = h * kept / (1 - self.dropout)
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
        scaled = (h - mean) / (var + _BATCH_NORM_EPS).sqrt()
        return scaled * self._weights[f"gain{layer}"] + self._weights[f"shift{layer}"]

    def _train(self, x: Tensor, target: Tensor, known: Tensor, steps: int) -> None:
        n = len(x)
        draws = torch.ones((self.members, n, 1), device=self.device)
        if self.bootstrap:
            draws = -(1 - self._uniform((self.members, n, 1))).log()
        importance = draws * known  # (E, n, m)
        size = n if self.batch_size is None else min(self.batch_size, n)
        parameters = [w.requires_grad_(True) for w in self._weights.values()]
        optimizer = torch.optim.AdamW(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay
        )
        cycle = None
        if self.schedule == "one_cycle":
            cycle = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, self.learning_rate, total_steps=steps, div_factor=10
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
            if self.loss == "smooth_l1":
                error = torch.nn.functional.smooth_l1_loss(out, goal, reduction="none")
            else:
                error = (out - goal) ** 2
            weight = importance[:, rows]
            loss = ((weight * error).sum(1) / weight.sum(1).clamp_min(1e-9)).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if cycle is not None:
                cycle.step()
        self._weights = {name: w.detach() for name, w in self._weights.items()}
