"""What the networks are made of: convolution with batch norm, the residual unit, their weights."""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and ReLU unless told otherwise.

    The padding is kernel // 2, so sides become ceil(side / stride).

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Side of the kernel, odd.
        stride: Of the convolution.
        axes: 2 for images (n, c, h, w), 3 for clips (n, c, t, h, w).
        relu: Whether a ReLU follows.
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
    """Two 3×3 convolutions with batch norm beside an identity; (n, c, h, w) in and out."""

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
    """A convolution whose weights and bias are still to be set, by ``initialize``.

    PyTorch's own draw would take most of the time that it takes to build a network
    (``skip_init`` as much), for nothing.
    """
    unset, plain = (_Unset2d, nn.Conv2d) if axes == 2 else (_Unset3d, nn.Conv3d)
    conv: nn.Conv2d | nn.Conv3d = unset(
        c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=bias
    )
    conv.__class__ = plain  # counters of FLOPs know the exact types only
    return conv


def seeded(seed: int | None) -> torch.Generator | None:
    """A generator on the CPU; None, for PyTorch's own, without a seed.

    Raises:
        ValueError: The seed is no whole number, or none that PyTorch takes.
    """
    if seed is None:
        return None
    if not isinstance(seed, Integral) or not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed={seed!r} must be an integer from -2**63 to 2**64 - 1, or None")
    return torch.Generator("cpu").manual_seed(int(seed))  # it takes no integers of NumPy


def initialize(
    module: nn.Module, generator: torch.Generator | None, *, identities: bool = True
) -> None:
    """Draw Kaiming-normal weights (fan-out) for convolutions, and set their biases to 0.

    Args:
        module: Changed in place.
        generator: On the CPU; the weights are then the same on every device. None takes
            PyTorch's own.
        identities: Begin residual units as identities: their last batch norm scales by 0 at first
            (Goyal et al. 2017, section 5.1). A network of few channels and many units then learns
            from the first steps on.
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
    """Halves a convolution's weights and adds the identity, as far as it has channels for it.

    What comes in then goes on at first (Zagoruyko & Komodakis 2017, equation 3, have the sum for
    good).
    """
    identity = nn.init.dirac_(torch.empty_like(layer.weight))
    layer.weight.mul_(0.5).add_(identity)


@torch.no_grad()
def draw_normal(weight: Tensor, std: float, generator: torch.Generator | None) -> None:
    """Fills a tensor of any device from N(0, std²); ``generator`` as for ``initialize``."""
    if generator is None or weight.device == generator.device:
        weight.normal_(0, std, generator=generator)
    elif not weight.is_meta:
        drawn = torch.empty(weight.shape, dtype=weight.dtype, device=generator.device)
        weight.copy_(drawn.normal_(0, std, generator=generator))
