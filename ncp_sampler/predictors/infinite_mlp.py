"""An MLP of infinite width: exact, and fitted by back-propagation through its layers' covariances.

A network of two hidden ReLU layers, its weights drawn at random, is a Gaussian process once its
layers are wide; training its last layer alone gives that process's posterior (Neal 1996; Cho &
Saul 2009, "Kernel methods for deep learning", equations 3 to 6 and 15).

Notation
    x~            inputs (x - 1/2) exp(w), one weight w per column
    b             variance of every layer's bias
    k_ij, q_i     covariance and variance of a layer's inputs at two codes, k_ii = q_i
    c, a          cosine k_ij / sqrt(q_i q_j) and its angle
    layer         k <- sqrt(q_i q_j) J(c) + b, q <- q + b with J(c) = (sin a + (pi - a) cos a) / pi
    theta         w (d), log b, log t, with t the output's variance, over the mean one of the rows
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncp_sampler.predictors.kernels import Cross, Pull
from ncp_sampler.predictors.process import ExactProcess

_LOG_INPUT_SD = 0.6
_LAYERS = 2


class ArcCosine:
    """The covariance of a wide random ReLU network's outputs."""

    def prior(self, d: int) -> tuple[list[float], list[float]]:
        """Input weights, bias and output variance around 1."""
        return mlp_prior(d)

    def covariance(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Pull]:
        """K, and the gradient by back-propagation, layer by layer."""
        bias, output = theta[:, -2].exp(), theta[:, -1].exp()[:, None, None]
        inputs = weighted_inputs(x, theta)
        k = inputs @ inputs.mT + bias[:, None, None]
        layers: list[tuple[Tensor, Tensor, Tensor]] = []  # J'(c), sin a / pi and q of each
        q = k.diagonal(dim1=-2, dim2=-1)
        for _ in range(_LAYERS):
            size = (q[..., None] * q[:, None]).sqrt()
            angle = (k / size).clamp(-1, 1).arccos()
            sine, slope = angle.sin() / math.pi, 1 - angle / math.pi
            layers.append((slope, sine, q))
            k = size * sine + slope * k + bias[:, None, None]
            q = q + bias[:, None]
        mean = q.mean(-1)[:, None, None]
        scaled = output * k / mean

        def pull(w: Tensor) -> Tensor:
            of_output = (w * scaled).sum((-1, -2))
            g = w * output / mean  # d / dk of tr(W K)
            of_q = -(of_output / mean[:, 0, 0] / q.shape[-1])[:, None].expand_as(q)
            of_bias = theta.new_zeros(len(theta))
            for slope, sine, before in reversed(layers):
                of_bias = of_bias + g.sum((-1, -2)) + of_q.sum(-1)
                root = before.sqrt()
                # d k_ij / d q_i = sqrt(q_j / q_i) sin a / 2 pi, and as much by symmetry
                of_q = of_q + ((g * sine) @ root[..., None])[..., 0] / root
                g = g * slope
            of_bias = of_bias + g.sum((-1, -2)) + of_q.sum(-1)
            of_inputs = ((g @ inputs) * inputs).sum(1) + (of_q[:, None] @ inputs**2)[:, 0]
            last = torch.stack([0.5 * of_bias * bias, 0.5 * of_output], 1)
            return torch.cat([of_inputs, last], 1)

        return scaled, pull

    def cross(self, x: Tensor, theta: Tensor) -> Cross:
        """Covariance with codes x."""
        inputs = weighted_inputs(x, theta)
        bias = theta[:, -2].exp()[:, None]
        q = (inputs * inputs).sum(-1) + bias
        scale = theta[:, -1].exp()[:, None] / (q + _LAYERS * bias).mean(-1, keepdim=True)
        return _ArcCosineCross(theta, inputs, q, bias, scale)


class InfiniteMLP(ExactProcess):
    """The predictor that an MLP of two wide hidden layers becomes, mean and doubt exact.

    Its fit back-propagates the log marginal likelihood. The arguments are those of
    ``ExactProcess``.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> predictor = InfiniteMLP().fit(x, {"loss": (x[:, 0] - 0.3) ** 2})
        >>> mean, std = predictor.predict([[0.3], [0.9]])
        >>> mean.shape, bool(mean[0, 0] < mean[1, 0])
        ((2, 1), True)
    """

    _kernel = ArcCosine()


@dataclass(frozen=True)
class _ArcCosineCross:
    theta: Tensor
    inputs: Tensor  # (m, n, d)
    q: Tensor  # of the first layer, (m, n)
    bias: Tensor  # (m, 1)
    scale: Tensor  # (m, 1)

    def __call__(self, z: Tensor) -> Tensor:
        a = weighted_inputs(z, self.theta)
        bias = self.bias[..., None]
        k = a @ self.inputs.mT + bias
        q, p = (a * a).sum(-1) + self.bias, self.q
        for _ in range(_LAYERS):
            size = (q[..., None] * p[:, None]).sqrt()
            k = size * _layer(k / size) + bias
            q, p = q + self.bias, p + self.bias
        return k * self.scale[..., None]

    def variance(self, z: Tensor) -> Tensor:
        a = weighted_inputs(z, self.theta)
        return ((a * a).sum(-1) + (1 + _LAYERS) * self.bias) * self.scale


class _Layer(torch.autograd.Function):
    """J of cosines, with its own derivative, which autograd would take to be infinite at 1."""

    @staticmethod
    def forward(ctx: Any, cosine: Tensor) -> Tensor:
        cosine = cosine.clamp(-1, 1)
        angle = cosine.arccos()
        slope = 1 - angle / math.pi
        ctx.save_for_backward(slope)
        return angle.sin() / math.pi + slope * cosine

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        grown: Tensor = gradients[0] * slope
        return grown


def _layer(cosine: Tensor) -> Tensor:
    found: Tensor = _Layer.apply(cosine)  # type: ignore[no-untyped-call]
    return found


def mlp_prior(d: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of w (d), log b and log t, all around 0."""
    return [0.0] * (d + 2), [_LOG_INPUT_SD] * d + [1.0, 1.0]


def weighted_inputs(x: Tensor, theta: Tensor) -> Tensor:
    """The weighted columns x~, (m, n, d)."""
    return (x - 0.5) * theta[:, None, :-2].exp()
