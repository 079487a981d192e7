"""An MLP whose last layer is Bayesian: mean and doubt are exact given the hidden layers.

f(x) = w . phi(x) with w normal, so that f is a Gaussian process of covariance phi(x) . phi(x').
The hidden layers' weights are drawn once; back-propagation on the log marginal likelihood fits one
scale per input, the size of the biases, the output's and the noise. ``InfiniteMLP`` is what
becomes of it with wider and wider layers (Neal 1996; Lee et al. 2018).

Notation
    x~      inputs (x - 1/2) exp(w), one weight w per column
    phi     (m, n, h + 1), two layers of h ReLU units and a constant one, for each of m metrics
    theta   w (d), log b, log t: of the inputs, the biases' and the output's variance
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.infinite_mlp import mlp_prior, weighted_inputs
from ncp_sampler.predictors.kernels import CodePull, Cross, Pull
from ncp_sampler.predictors.process import CAPACITY, ExactProcess

_WIDTH = 512


class BayesianMLP(ExactProcess):
    """An MLP of two hidden layers with an exact Bayesian last layer.

    Args:
        width: Units of each hidden layer; at least 1.
        seed: Of the hidden layers' weights, from 0 to 2**63 - 1.
        steps: As of ``ExactProcess``, and so are the others.
        capacity: How many rows it should be given at most.
        device: Where to compute, in float64.

    Raises:
        ValueError: An argument out of its range.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> predictor = BayesianMLP(width=64).fit(x, {"loss": (x[:, 0] - 0.3) ** 2})
        >>> mean, std = predictor.predict([[0.3], [0.9]])
        >>> mean.shape, bool(mean[0, 0] < mean[1, 0])
        ((2, 1), True)
    """

    def __init__(
        self,
        *,
        width: int = _WIDTH,
        seed: int = 0,
        steps: int = 15,
        capacity: int = CAPACITY,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(steps=steps, capacity=capacity, device=device)
        checks.integer("width", width, low=1)
        self._kernel = Network(width, checks.integer("seed", seed, low=0, high=2**63 - 1))


@dataclass(frozen=True)
class Network:
    """The covariance phi(x) . phi(x') of two random hidden layers.

    Attributes:
        width: Units of each layer.
        seed: Of their weights.
    """

    width: int
    seed: int

    def prior(self, d: int) -> tuple[list[float], list[float]]:
        """As the infinitely wide network's."""
        return mlp_prior(d)

    def covariance(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Pull]:
        """K, and the gradient by back-propagation through the layers."""
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_(True)
            last = self._last_layer(x, leaf)
            k = last @ last.mT * _scale(last, leaf)[..., None]

        def pull(w: Tensor) -> Tensor:
            return torch.autograd.grad((w * k).sum() / 2, leaf, retain_graph=True)[0]

        return k.detach(), pull

    def cross(self, x: Tensor, theta: Tensor) -> Cross:
        """Covariance with codes x."""
        last = self._last_layer(x, theta)
        return _NetworkCross(self, theta, last, _scale(last, theta))

    def _last_layer(self, x: Tensor, theta: Tensor) -> Tensor:
        """Phi of codes, (m, n, h + 1)."""
        units = weighted_inputs(x, theta)
        bias = (theta[:, -2, None, None] / 2).exp().expand(-1, len(x), 1)
        for weights in _weights(self.seed, x.shape[1], self.width):
            hidden = torch.cat([units, bias], -1) @ weights.to(x.device)
            units = torch.relu(hidden) * math.sqrt(2 / self.width)
        return torch.cat([units, bias], -1)


@dataclass(frozen=True)
class _NetworkCross:
    network: Network
    theta: Tensor
    last: Tensor
    scale: Tensor  # (m, 1)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, CodePull]:
        """By PyTorch's differentiation of the layers."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            own = self.network._last_layer(leaf, self.theta)
            k = own @ self.last.mT * self.scale[..., None]
            variance = own.square().sum(-1) * self.scale

        def pull(g: Tensor, of_variance: Tensor) -> Tensor:
            with torch.enable_grad():  # of a scalar: given grad_outputs, PyTorch imports sympy
                total = (k * g).sum() + (variance * of_variance).sum()
            return torch.autograd.grad(total, leaf, retain_graph=True)[0]

        return k.detach(), variance.detach(), pull


def _scale(last: Tensor, theta: Tensor) -> Tensor:
    """The output's variance over the rows' mean one, (m, 1)."""
    return theta[:, -1:].exp() / last.square().sum(-1).mean(-1, keepdim=True)


@lru_cache(maxsize=8)
def _weights(seed: int, d: int, width: int) -> tuple[Tensor, Tensor]:
    """Of both layers, (d + 1, h) and (h + 1, h), drawn on the CPU, so that all devices agree."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (
        torch.randn(n + 1, width, dtype=torch.float64, device="cpu", generator=generator)
        for n in (d, width)
    )
    return first, second
