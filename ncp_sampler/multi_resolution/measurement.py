"""Multiply-adds and params of any PyTorch module, counted by the ATen engine of ptflops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import nn

_FUSED_ATTENTION = (
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
)


@dataclass(frozen=True)
class Measurement:
    """Cost of a module for one input.

    Attributes:
        multiply_adds: Number of multiply-adds. For networks of ``MRSpace``, this is 1e9 times
            ``costs.flops`` with the convention "multiply_adds".
        params: Number of trainable parameters. For networks of ``MRSpace``, this is 1e6 times
            ``costs.params``.

    Examples:
        >>> Measurement(multiply_adds=447_105_792, params=9_472).params
        9472
    """

    multiply_adds: int
    params: int


def measure(module: nn.Module, input_shape: Sequence[int]) -> Measurement:
    """Count the multiply-adds of a module in one forward pass, and its trainable parameters.

    Convolutions, matrix products, attention and LSTMs anywhere in the module are counted. Biases,
    normalization layers, activations, pooling and resizing are not counted. The module runs in
    evaluation mode, on its device and in its data type, and is not changed. On the "meta" device,
    nothing is computed.

    Args:
        module: Module that takes one tensor of shape (1, *input_shape).
        input_shape: Shape of one input without the batch axis, such as (3, 224, 224).

    Raises:
        ValueError: If ``module`` is not a module or cannot run on such an input, or if
            ``input_shape`` does not consist of positive integers.
        ImportError: If ptflops (the extra "measure") is not installed.

    Examples:
        >>> import torch
        >>> measure(torch.nn.Conv2d(3, 64, 7), (3, 224, 224))
        Measurement(multiply_adds=447105792, params=9472)
    """
    get_model_complexity_info = _import_ptflops().get_model_complexity_info

    if not isinstance(module, nn.Module):
        raise ValueError(f"module={module!r} must be a torch.nn.Module")
    shape = _check_shape(input_shape)
    floating = (p for p in module.parameters() if p.is_floating_point())
    example = next(floating, torch.empty(0))
    modes = [(part, part.training) for part in module.modules()]
    probe = _Probe(module)
    module.eval()
    try:
        # With gradients, PyTorch does not use fused implementations of attention layers. In
        # inference mode, ptflops would only see whole layers, which it does not know, and count 0.
        with torch.inference_mode(False), torch.enable_grad():
            leaf = torch.zeros((1, *shape), dtype=example.dtype, device=example.device)
            batch = leaf.requires_grad_().clone()  # a copy, as a leaf cannot be changed in place
            count, _ = get_model_complexity_info(
                probe,
                shape,
                print_per_layer_stat=False,
                as_strings=False,
                input_constructor=lambda _: batch,
                custom_modules_hooks=_counters(),
                backend="aten",
            )
    finally:
        for part, training in modes:
            part.training = training
    if probe.error is not None:
        raise ValueError(
            f"module cannot run on an input of shape {tuple(batch.shape)}, which is "
            f"input_shape={shape} with a batch of one: {probe.error}"
        ) from probe.error
    params = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return Measurement(multiply_adds=int(count), params=params)


def _import_ptflops() -> Any:
    try:
        import ptflops
    except ImportError as error:
        raise ImportError(
            f'costs.measure needs ptflops ({error}), part of the extra "measure"; install it with: '
            "pip install ptflops"
        ) from error
    return ptflops


class _Probe(nn.Module):
    """Wrapper that hides a module from ptflops, which would leave hooks in it and print errors."""

    error: Exception | None = None

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.run: Callable[[torch.Tensor], Any] = module.__call__

    def forward(self, batch: torch.Tensor) -> None:
        try:
            self.run(batch)
        except Exception as error:  # a user's module can raise anything
            self.error = error


def _counters() -> dict[Any, Callable[[Any, Any], int]]:
    """Return counters that replace or extend those of ptflops.

    They do not count biases, and also count fused operations.
    """
    from ptflops import aten_ops

    aten = torch.ops.aten

    def convolution(inputs: Any, outputs: Any) -> int:
        return int(aten_ops.conv_flop((*inputs[:2], None, *inputs[3:]), outputs))

    def product(inputs: Any, outputs: Any) -> int:  # Bias or summand, matrix, matrix
        return int(inputs[1].numel() * inputs[2].shape[-1])

    def attention(inputs: Any, outputs: Any) -> int:  # Query (.., l, e), key and value (.., s, _)
        query, key, value = inputs[:3]
        length = key.shape[-2]
        return int(query.numel() * length + query[..., 0].numel() * length * value.shape[-1])

    def recurrent(inputs: Any, outputs: Any) -> int:  # (steps, n, features), then two matrices
        sequence, for_input, for_state = inputs[:3]
        return int(sequence[..., 0].numel() * (for_input.numel() + for_state.numel()))

    fused = [getattr(aten, name) for name in _FUSED_ATTENTION if hasattr(aten, name)]
    return {
        aten.convolution: convolution,
        aten.addmm: product,
        aten.baddbmm: product,
        aten.mkldnn_rnn_layer: recurrent,
        **dict.fromkeys(fused, attention),
    }


def _check_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    try:
        shape = tuple(input_shape)
    except TypeError:
        shape = ()
    if not shape or not all(isinstance(side, Integral) and side >= 1 for side in shape):
        raise ValueError(
            f"input_shape={input_shape!r} must be integers of at least 1: the shape of one "
            "input without the batch axis, such as (3, 224, 224)"
        )
    return tuple(int(side) for side in shape)
