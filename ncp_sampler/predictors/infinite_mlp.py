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
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncp_sampler.predictors.kernels import CodePull, Cross, Pull
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
        bias, output = theta[:, -2].exp(), theta[:, -1].exp()
        inputs = weighted_inputs(x, theta)
        sides = _sides(inputs, bias)
        scale = (output / (sides[-1] + bias[:, None]).mean(-1))[:, None]  # over the mean variance
        scaled, layers = _propagated(inputs, inputs, sides, sides, bias, scale)

        def pull(w: Tensor) -> Tensor:
            of_output = (w.flatten(1)[:, None] @ scaled.flatten(1)[..., None])[:, 0, 0]
            g = w * scale[..., None]  # d / dk of tr(W K)
            of_q = -(of_output / output / x.shape[0])[:, None] * scale.expand(-1, x.shape[0])
            of_bias = g.sum((-1, -2)) + of_q.sum(-1)
            for (slope, sine), q in zip(reversed(layers), reversed(sides), strict=True):
                root = q.sqrt()
                # d k_ij / d q_i = sqrt(q_j / q_i) sin a / 2 pi, and as much by symmetry
                of_q = of_q + ((g * sine) @ root[..., None])[..., 0] / root
                g *= slope
                of_bias = of_bias + g.sum((-1, -2)) + of_q.sum(-1)
            of_inputs = ((g @ inputs + of_q[..., None] * inputs) * inputs).sum(1)
            last = torch.stack([0.5 * of_bias * bias, 0.5 * of_output], 1)
            return torch.cat([of_inputs, last], 1)

        return scaled, pull

    def cross(self, x: Tensor, theta: Tensor) -> Cross:
        """Covariance with codes x."""
        bias, output = theta[:, -2].exp(), theta[:, -1].exp()
        inputs = weighted_inputs(x, theta)
        sides = _sides(inputs, bias)
        scale = (output / (sides[-1] + bias[:, None]).mean(-1))[:, None]
        return _ArcCosineCross(theta, inputs, sides, bias, scale)


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
    sides: list[Tensor]
    bias: Tensor  # (m,)
    scale: Tensor  # (m, 1)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, CodePull]:
        """By back-propagation too; at a known code, autograd would take the slope for infinite."""
        weights = self.theta[:, None, :-2].exp()
        a = (z - 0.5) * weights
        sides = _sides(a, self.bias)
        k, layers = _propagated(a, self.inputs, sides, self.sides, self.bias, self.scale)
        variance = (sides[-1] + self.bias[:, None]) * self.scale

        def pull(g: Tensor, of_variance: Tensor) -> Tensor:
            g = g * self.scale[..., None]
            of_q = of_variance * self.scale
            for (slope, sine), q, p in zip(
                reversed(layers), reversed(sides), reversed(self.sides), strict=True
            ):
                of_q = of_q + 0.5 * ((g * sine) @ p.sqrt()[..., None])[..., 0] / q.sqrt()
                g *= slope
            return ((g @ self.inputs + 2 * of_q[..., None] * a) * weights).sum(0)

        return k, variance, pull


def _sides(inputs: Tensor, bias: Tensor) -> list[Tensor]:
    """Variances q (m, n) of each layer's inputs."""
    first = (inputs * inputs).sum(-1) + bias[:, None]
    return [first + layer * bias[:, None] for layer in range(_LAYERS)]


def _propagated(
    a: Tensor,
    b: Tensor,
    q: Sequence[Tensor],
    p: Sequence[Tensor],
    bias: Tensor,
    scale: Tensor,
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Covariance (m, q, n) of the outputs at two sets of weighted columns; J' and sin a / pi.

    From layer to layer goes the cosine: numbers of rows and of columns carry it on.

    Args:
        a: Of the one, (m, q, d).
        b: Of the other, (m, n, d).
        q: Its variances in each layer, (m, q).
        p: Those of the other, (m, n).
        bias: Of every layer, (m,).
        scale: Of the output, (m, 1).
    """
    rows, columns = [one.rsqrt() for one in q], [one.rsqrt() for one in p]
    weight = bias[:, None, None]
    cosine = torch.baddbmm(weight, a, b.mT).mul_(rows[0][..., None]).mul_(columns[0][:, None])
    layers = []
    for layer in range(_LAYERS):
        cosine = cosine.clamp_(-1, 1)
        slope = cosine.arccos().mul_(-1 / math.pi).add_(1)
        sine = (cosine * cosine).neg_().add_(1).sqrt_().mul_(1 / math.pi)
        layers.append((slope, sine))
        found = torch.addcmul(sine, slope, cosine)
        if layer + 1 < _LAYERS:
            row, column = rows[layer + 1], columns[layer + 1]
            found.mul_((row / rows[layer])[..., None]).mul_((column / columns[layer])[:, None])
            cosine = found.addcmul_((bias[:, None] * row)[..., None], column[:, None])
    found.mul_((scale / rows[-1])[..., None]).mul_((1 / columns[-1])[:, None])
    return found.add_((bias[:, None] * scale)[..., None]), layers


def mlp_prior(d: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of w (d), log b and log t, all around 0."""
    return [0.0] * (d + 2), [_LOG_INPUT_SD] * d + [1.0, 1.0]


def weighted_inputs(x: Tensor, theta: Tensor) -> Tensor:
    """The weighted columns x~, (m, n, d)."""
    return (x - 0.5) * theta[:, None, :-2].exp()
