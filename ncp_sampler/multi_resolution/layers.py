"""Layers of the networks (convolution with batch norm, residual unit), and their initialization."""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNorm(nn.Module):
    """Convolution without bias, followed by batch norm and an optional ReLU.

    The padding is kernel // 2, so each side of the output is ceil(side / stride).

    Args:
        c_in: Number of channels of the input.
        c_out: Number of channels of the output.
        kernel: Side of the kernel, an odd number.
        stride: Stride of the convolution.
        axes: 2 for images (n, c, h, w), 3 for clips (n, c, t, h, w).
        relu: True for a ReLU at the end.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        kernel: int,
        stride: int = 1,
        axes: int = 2,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = convolution(c_in, c_out, kernel=kernel, stride=stride, axes=axes, bias=False)
        self.norm = (nn.BatchNorm2d if axes == 2 else nn.BatchNorm3d)(c_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return functional.relu(y, inplace=True) if self.relu else y


class ResidualUnit(nn.Module):
    """Residual unit with two 3×3 convolutions and batch norm, from and to (n, c, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, kernel=3)
        self.second = ConvNorm(channels, channels, kernel=3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.second(self.first(x)) + x, inplace=True)


class _Unset2d(nn.Conv2d):
    def reset_parameters(self) -> None:
        pass


class _Unset3d(nn.Conv3d):
    def reset_parameters(self) -> None:
        pass


def convolution(
    c_in: int, c_out: int, *, kernel: int, stride: int = 1, axes: int = 2, bias: bool = True
) -> nn.Conv2d | nn.Conv3d:
    """Return a convolution whose weights and bias are not initialized; ``initialize`` sets them.

    PyTorch's own initialization, even with ``skip_init``, would take most of the time that it takes
    to build a network.
    """
    unset, plain = (_Unset2d, nn.Conv2d) if axes == 2 else (_Unset3d, nn.Conv3d)
    conv: nn.Conv2d | nn.Conv3d = unset(
        c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=bias
    )
    conv.__class__ = plain  # FLOP counters compare exact types
    return conv


def seeded(seed: int | None) -> torch.Generator | None:
    """Return a seeded generator on the CPU; None, for PyTorch's global generator, without a seed.

    Raises:
        ValueError: If the seed is not an integer that PyTorch accepts.
    """
    if seed is None:
        return None
    if not isinstance(seed, Integral) or not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed={seed!r} must be an integer from -2**63 to 2**64 - 1, or None")
    return torch.Generator("cpu").manual_seed(int(seed))  # PyTorch rejects NumPy integers


def initialize(
    module: nn.Module, generator: torch.Generator | None, *, identities: bool = True
) -> None:
    """Draw Kaiming-normal weights (fan-out) for convolutions, and set their biases to 0.

    Args:
        module: Module to change in place.
        generator: Generator on the CPU, so that the weights are the same on every device; None for
            PyTorch's global generator.
        identities: True to initialize residual units as identities, by setting the scale of their
            last batch norm to 0 (Goyal et al. 2017, section 5.1). Networks with few channels and
            many units then learn from the first steps on.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            fan_out = layer.out_channels * math.prod(layer.kernel_size)
            draw_normal(layer.weight, math.sqrt(2 / fan_out), generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif identities and isinstance(layer, ResidualUnit):
            nn.init.zeros_(layer.second.norm.weight)


@torch.no_grad()
def pass_on(layer: nn.Conv2d | nn.Conv3d) -> None:
    """Halve the weights of a convolution, and add the identity for as many channels as possible.

    After this initialization, the output of the convolution contains its input. (Zagoruyko &
    Komodakis 2017, equation 3, add the identity permanently.)
    """
    identity = nn.init.dirac_(torch.empty_like(layer.weight))
    layer.weight.mul_(0.5).add_(identity)


@torch.no_grad()
def draw_normal(weight: Tensor, std: float, generator: torch.Generator | None) -> None:
    """Fill a tensor on any device with N(0, std²) samples; see ``initialize`` for the generator."""
    if generator is None or weight.device == generator.device:
        weight.normal_(0, std, generator=generator)
    elif not weight.is_meta:
        drawn = torch.empty(weight.shape, dtype=weight.dtype, device=generator.device)
        weight.copy_(drawn.normal_(0, std, generator=generator))
