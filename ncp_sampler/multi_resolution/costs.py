"""Exact FLOPs and params of MRSpace codes in closed form, vectorized and differentiable.

Notation
    code    codes (n, 27) with the columns of ``MRSpace``; fractions are allowed for gradients
    level   k for a feature map at 1/2^k of the input; branch r of the network has level r + 1
    extra   operations per output element in addition to a convolution's multiply-adds

The network is treated as a list of convolutions, whose widths and number are given by the columns
of the code. The cost of a convolution is c_out * pixels * (volume * c_in + extra), where the volume
is that of the kernel. The costs of all convolutions are added. There are three conventions for
FLOPs:

    "multiply_adds"        extra = 0: multiply-adds of the convolutions, as in the paper's Table 3
                           and as counted by ``measure`` for any module
    "tables"               the ``flops`` of NAS-Bench-MR, with extra = 2: one for the output and one
                           for its batch norm; extra = 1 with a bias instead of the norm
    "twice_multiply_adds"  twice the multiply-adds, because a multiplication and an addition are two
                           operations, as in data sheets of hardware and PyTorch's
                           ``FlopCounterMode``

The number of params is the same sum as for "tables", with one pixel everywhere; extra then counts
the scale and shift of the norm, or the bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import (
    CODEC,
    HEADS,
    KERNEL,
    LEAST_SIDE,
    LOWEST,
    OUTPUT,
    POOLED,
    STAGES,
    STEM,
    TASKS,
    UNIT_CONVOLUTIONS,
    fusion_paths,
    output_channels,
)
from ncp_sampler.multi_resolution.measurement import Measurement, measure

__all__ = ["CONVENTIONS", "TASKS", "Measurement", "flops", "measure", "params"]

CONVENTIONS = ("tables", "multiply_adds", "twice_multiply_adds")

_LOW, _HIGH = (CODEC.denormalize(np.full(len(CODEC.columns), end)) for end in (0.0, 1.0))
_TOLERANCE = 1e-6  # Tolerance for codes in float32, relative to the range of a column
_EXTRA = (1, 2)  # Extra operations per output element without and with a norm
_CHUNK = 8192  # Number of codes per chunk, so that their convolutions fit into the CPU cache


def flops(
    codes: ArrayLike | torch.Tensor,
    *,
    resolution: tuple[int, int] = (128, 128),
    num_classes: int = 50,
    task: str = "classification",
    in_channels: int = 3,
    frames: int | None = None,
    convention: str = "tables",
) -> torch.Tensor:
    """Return the FLOPs of the networks of codes, in G (1e9), for one input.

    Args:
        codes: MRSpace codes (n, 27), or one code (27,), within the bounds of the space. If they are
            a tensor, the result is differentiable.
        resolution: Height and width of the input, each at least 32. For "detection3d", these are
            the numbers of pillars along y and x; the pillar encoder is not counted.
        num_classes: Number of classes. "detection3d" has two anchors per class.
        task: "classification", "segmentation", "video" or "detection3d".
        in_channels: Number of channels of the input.
        frames: Number of frames of a clip, at least 1; for "video" only.
        convention: "tables", "multiply_adds" or "twice_multiply_adds"; the docstring of the module
            defines them.

    Returns:
        FLOPs (n,), or (1,) for one code; float64, on the device of the codes.

    Raises:
        ValueError: If an argument has another form or is out of its range.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> gflops = flops(MRSpace().start, resolution=(128, 128), num_classes=50)
        >>> round(gflops.item(), 3)
        1.96
    """
    checks.one_of("convention", convention, CONVENTIONS)
    pixels = _pixels(resolution, _check_frames(frames, task))
    extra = _EXTRA if convention == "tables" else (0, 0)
    scale = 2e-9 if convention == "twice_multiply_adds" else 1e-9
    return _count(codes, pixels, extra, num_classes, task, in_channels) * scale


def params(
    codes: ArrayLike | torch.Tensor,
    *,
    num_classes: int = 50,
    task: str = "classification",
    in_channels: int = 3,
) -> torch.Tensor:
    """Return the numbers of trainable parameters of the networks of codes, in M (1e6).

    Args:
        codes: As for ``flops``.
        num_classes: As for ``flops``.
        task: As for ``flops``; networks for classification and segmentation have the same number of
            parameters.
        in_channels: Number of channels of the input.

    Returns:
        Numbers (n,), or (1,) for one code; float64, on the device of the codes.

    Raises:
        ValueError: If an argument has another form or is out of its range.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> round(params(MRSpace().start, num_classes=50).item(), 3)
        4.129
    """
    return _count(codes, [1] * (POOLED + 1), _EXTRA, num_classes, task, in_channels) / 1e6


class _Convolution(NamedTuple):
    """Group of ``blocks * units`` equal convolutions; strings are names in ``_columns``."""

    kernel: int
    c_in: str
    c_out: str
    level: int  # Level of the output
    blocks: str = "1"
    units: str = "1"
    norm: bool = True  # True for a batch norm, False for a bias
    depth: int = 1  # Size of the kernel along the time axis


@cache
def _network(task: str) -> tuple[_Convolution, ...]:
    return tuple(_walk(task))


def _walk(task: str) -> Iterator[_Convolution]:
    """Yield all groups of convolutions, from the stem to the head."""
    for level, (c_in, c_out) in enumerate(STEM, start=1):
        yield _Convolution(KERNEL, c_in, c_out, level)
    before: tuple[str, ...] = (STEM[-1][1],)  # Widths of the input branches of a block
    for stage in STAGES:
        yield from _fusion(before, stage.widths, blocks="1")  # first block: from the previous stage
        yield from _fusion(stage.widths, stage.widths, blocks=f"{stage.blocks}-1")
        for r, (units, width) in enumerate(zip(stage.units, stage.widths, strict=True), start=1):
            for _ in range(UNIT_CONVOLUTIONS):
                yield _Convolution(KERNEL, width, width, r + 1, stage.blocks, units)
        before = stage.widths
    head = HEADS[task]
    depth = head.kernel if head.axes == 3 else 1
    yield _Convolution(head.kernel, "features", OUTPUT, head.level, depth=depth)
    for name in output_channels(task, 1):
        level = POOLED if head.pooled else head.level
        yield _Convolution(1, OUTPUT, f"to {name}", level, norm=False)


def _fusion(before: Sequence[str], after: Sequence[str], blocks: str) -> Iterator[_Convolution]:
    """Yield the convolutions that fuse branches of widths ``before`` into ``after``."""
    for path in fusion_paths(len(before), len(after)):
        c_in = (after if path.fused else before)[path.source - 1]
        yield _Convolution(path.kernel, c_in, after[path.target - 1], path.level, blocks)


def _columns(
    code: torch.Tensor, task: str, num_classes: int, in_channels: int
) -> dict[str, torch.Tensor]:
    """Return the values (n,) of all names that occur in ``_Convolution``."""
    column = dict(zip(CODEC.columns, code.unbind(1), strict=True))
    ones = torch.ones_like(column[OUTPUT])
    column |= {"1": ones, "image": in_channels * ones}
    for name, channels in output_channels(task, num_classes).items():
        column[f"to {name}"] = channels * ones
    for stage in STAGES:
        column[f"{stage.blocks}-1"] = column[stage.blocks] - 1
    column["features"] = torch.stack([column[name] for name in STAGES[-1].widths]).sum(0)
    return column


def _count(
    codes: ArrayLike | torch.Tensor,
    pixels: Sequence[int],
    extra: Sequence[int],
    num_classes: int,
    task: str,
    in_channels: int,
) -> torch.Tensor:
    """Return the total cost (n,) of all convolutions, given the number of pixels of each level."""
    code = _check_codes(codes)
    checks.one_of("task", task, TASKS)
    num_classes = _positive("num_classes", num_classes)
    in_channels = _positive("in_channels", in_channels)
    plan = _plan(task, num_classes, in_channels, tuple(pixels), tuple(extra))
    picks, per_input, per_output = (part.to(code) for part in plan)
    counts = []
    for chunk in torch.split(code, _CHUNK):
        picked = torch.addmm(picks[-1], chunk, picks[:-1])
        c_in, c_out, blocks, units = picked.chunk(4, dim=1)  # (chunk, convolutions) each
        counts.append((c_out * blocks * units * (c_in * per_input + per_output)).sum(1))
    return torch.cat(counts)


@lru_cache(maxsize=64)
def _plan(
    task: str, num_classes: int, in_channels: int, pixels: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the matrix that computes the numbers of all convolutions, and two factors for each.

    The numbers of a convolution are c_in, c_out, blocks and units. Each is a column, a constant, or
    a sum of these, so a single matrix product, plus the last row, gives all of them. Computing them
    one by one would take most of the time of a proposal with a limit. The factors are the costs
    per output channel and input channel, and per output channel.
    """
    network = _network(task)
    named = zip(
        *((layer.c_in, layer.c_out, layer.blocks, layer.units) for layer in network), strict=True
    )
    width = len(CODEC.columns)
    with torch.inference_mode(False), torch.no_grad():
        ends = torch.eye(width + 1, width, dtype=torch.float64, device="cpu")
        column = _columns(ends, task, num_classes, in_channels)
        picks = torch.stack([column[name] for names in named for name in names], dim=1)
        picks[:-1] -= picks[-1:].clone()
        per_input = [
            float(pixels[layer.level] * layer.depth * layer.kernel**2) for layer in network
        ]
        per_output = [float(pixels[layer.level] * extra[layer.norm]) for layer in network]
        return picks, picks.new_tensor(per_input), picks.new_tensor(per_output)


def _positive(name: str, number: Any) -> int:
    """Return a positive integer, given in any numeric type, such as 50.0; otherwise raise."""
    exact = checks.is_number(type(number)) and number % 1 == 0
    return checks.integer(name, int(number) if exact else number, low=1)


def _check_frames(frames: int | None, task: str) -> int:
    if task == "video":
        return _positive("frames", frames)
    if frames is not None:
        raise ValueError(f"frames={frames!r} is only for task='video', not for {task!r}; omit it")
    return 1


def _pixels(resolution: tuple[int, int], frames: int) -> list[int]:
    """Return the number of pixels of each level; a stride of 2 gives ceil(side / 2)."""
    try:
        height, width = (int(side) for side in resolution if side % 1 == 0)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < LEAST_SIDE:
        raise ValueError(
            f"resolution={resolution!r} must be two integers (height, width), each at least "
            f"{LEAST_SIDE}, the stride of the lowest branch"
        )
    return [frames * -(-height // 2**k) * -(-width // 2**k) for k in range(LOWEST + 1)] + [1]


def _check_codes(codes: ArrayLike | torch.Tensor) -> torch.Tensor:
    width = len(CODEC.columns)
    if isinstance(codes, torch.Tensor):
        code = codes.to(torch.float64)
    else:
        try:
            code = torch.from_numpy(np.array(codes, dtype=np.float64))
        except (TypeError, ValueError):
            raise checks.refusal("codes", codes, f"be numbers of shape (n, {width})") from None
    if code.ndim not in (1, 2) or code.shape[-1] != width:
        raise ValueError(f"codes has shape {tuple(code.shape)}; it must be (n, {width})")
    code = code.reshape(-1, width)
    margin = _TOLERANCE * (_HIGH - _LOW)
    low, high = (code.new_tensor(end) for end in (_LOW - margin, _HIGH + margin))
    outside = ~((code >= low) & (code <= high))  # NaN counts as outside
    if outside.any():
        row, column = (int(at) for at in outside.nonzero()[0])
        raise ValueError(
            f"codes[{row}] has {CODEC.columns[column]}={code[row, column].item():g}, which is not "
            f"in [{_LOW[column]:g}, {_HIGH[column]:g}]; MRSpace().round gives the nearest code"
        )
    return code
