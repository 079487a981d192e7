"""Exact FLOPs and params of MRSpace codes: a closed form, vectorized and differentiable.

Notation
    code    (n, 27), the columns of ``MRSpace``; fractions are legal, so that gradients exist
    level   a feature map at 1/2^level of the input; branch r of the network has level r + 1
    extra   operations per output element beside a convolution's multiply-adds

The network is a list of convolutions, whose widths and numbers are columns of the code. A cost is
the sum of c_out * pixels * (weights c_in + extra) over the list, where weights is the volume of
the kernel. There are three conventions for FLOPs:

    "multiply_adds"        extra = 0: the convolutions' multiply-adds, as in the paper's Table 3,
                           and as ``measure`` counts those of any module
    "tables"               the ``flops`` of NAS-Bench-MR. extra = 2, one for the output itself and
                           one for its batch norm, or 1 where a bias stands for the norm
    "twice_multiply_adds"  a multiplication and an addition are two operations, as in the data
                           sheets of hardware and in PyTorch's ``FlopCounterMode``

Params are the sum of "tables" with one pixel everywhere: extra is then the norm's scale and shift,
or the bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from ncp_sampler.measurement import Measurement, measure
from ncp_sampler.mr_space import N_STAGES, MRSpace

__all__ = ["CONVENTIONS", "TASKS", "Measurement", "flops", "measure", "params"]

TASKS = ("classification", "segmentation", "video", "detection3d")
CONVENTIONS = ("tables", "multiply_adds", "twice_multiply_adds")

_SPACE = MRSpace()
_LOW, _HIGH = (_SPACE.denormalize(np.full(len(_SPACE.columns), end)) for end in (0.0, 1.0))
_TOLERANCE = 1e-6  # of a column's range, for codes clamped in single precision
_STAGES = range(1, N_STAGES + 1)
_HIGHEST, _LOWEST, _POOLED = 2, N_STAGES + 1, N_STAGES + 2  # levels; a pooled map is one pixel
_EXTRA = (1, 2)  # without and with a norm
_YAWS = 2  # anchors of a cell for each class
_BOX_VALUES, _DIRECTIONS = 7, 2  # of an anchor, beside its logit for each class
_CHUNK = 8192  # codes at once: their convolutions fit the CPU's cache


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
    """FLOPs of the networks behind codes, in G (1e9), for one input.

    Args:
        codes: MRSpace codes of shape (n, 27), or one of shape (27,). Any numbers within the
            space's bounds; gradients flow back to a tensor.
        resolution: Height and width of the input, each at least 32. For "detection3d" it is the
            grid of pillars, whose encoder is not counted.
        num_classes: Outputs of the classifier, or classes with two anchors each.
        task: "classification", "segmentation", "video" or "detection3d".
        in_channels: Channels of the input.
        frames: Of a clip, at least 1; for "video", and for it alone.
        convention: "tables", "multiply_adds" or "twice_multiply_adds"; see the module.

    Returns:
        Shape (n,), or (1,) for one code; float64, on the codes' device.

    Raises:
        ValueError: An argument has another form or is out of its range.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention={convention!r} is unknown; use one of {CONVENTIONS}")
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
    """Trainable parameters of the networks behind codes, in M (1e6).

    Args:
        codes: As for ``flops``.
        num_classes: As for ``flops``.
        task: As for ``flops``; classification and segmentation have equally many parameters.
        in_channels: Channels of the input.

    Returns:
        As for ``flops``.

    Raises:
        ValueError: An argument has another form or is out of its range.
    """
    return _count(codes, [1] * (_POOLED + 1), _EXTRA, num_classes, task, in_channels) / 1e6


class _Convolution(NamedTuple):
    """``blocks * units`` convolutions of one form; the strings name columns, see ``_columns``."""

    kernel: int
    c_in: str
    c_out: str
    level: int  # of the output
    blocks: str = "1"
    units: str = "1"
    norm: bool = True  # a batch norm follows, else there is a bias
    depth: int = 1  # of the kernel, along time


@cache
def _network(task: str) -> tuple[_Convolution, ...]:
    return tuple(_walk(task))


def _walk(task: str) -> Iterator[_Convolution]:
    """Every convolution, from the stem to the classifier."""
    yield _Convolution(3, "image", "i1", level=1)
    yield _Convolution(3, "i1", "i2", level=2)
    before = ["i2"]  # widths of the branches that enter a block
    for stage in _STAGES:
        widths = [f"c{stage}_{r}" for r in range(1, stage + 1)]
        yield from _fusion(before, widths, blocks="1")  # the first block makes the transition
        yield from _fusion(widths, widths, blocks=f"b{stage}-1")
        for r, width in enumerate(widths, start=1):
            for _ in range(2):  # convolutions of a residual unit
                yield _Convolution(3, width, width, r + 1, f"b{stage}", f"n{stage}_{r}")
        before = widths
    if task == "video":
        yield _Convolution(3, "features", "o1", _LOWEST, depth=3)
    else:
        yield _Convolution(1, "features", "o1", _LOWEST if task == "classification" else _HIGHEST)
    if task == "detection3d":
        for values in ("anchor_classes", "anchor_boxes", "anchor_directions"):
            yield _Convolution(1, "o1", values, _HIGHEST, norm=False)
    else:
        level = _HIGHEST if task == "segmentation" else _POOLED
        yield _Convolution(1, "o1", "classes", level, norm=False)


def _fusion(before: Sequence[str], after: Sequence[str], blocks: str) -> Iterator[_Convolution]:
    """Fusion from branches of widths ``before`` to ``after``, which may have one more."""
    for i, width in enumerate(after):
        if i == len(before):  # a new branch, made from the fused output of the one above
            yield _Convolution(3, after[i - 1], width, i + 2, blocks)
            continue
        for j in range(max(i - 1, 0), min(i + 2, len(before))):
            if j <= i:  # strided if j < i
                yield _Convolution(3, before[j], width, i + 2, blocks)
            else:  # upsampled afterwards
                yield _Convolution(1, before[j], width, j + 2, blocks)


def _columns(code: torch.Tensor, num_classes: int, in_channels: int) -> dict[str, torch.Tensor]:
    """What the strings of the network stand for, each of shape (n,)."""
    column = dict(zip(_SPACE.columns, code.unbind(1), strict=True))
    one = torch.ones_like(column["o1"])
    column |= {"1": one, "image": in_channels * one, "classes": num_classes * one}
    anchors = _YAWS * num_classes
    column |= {"anchor_classes": anchors * num_classes * one}
    column |= {"anchor_boxes": anchors * _BOX_VALUES * one}
    column |= {"anchor_directions": anchors * _DIRECTIONS * one}
    column |= {f"b{stage}-1": column[f"b{stage}"] - 1 for stage in _STAGES}
    column["features"] = torch.stack([column[f"c{N_STAGES}_{r}"] for r in _STAGES]).sum(0)
    return column


def _count(
    codes: ArrayLike | torch.Tensor,
    pixels: Sequence[int],
    extra: Sequence[int],
    num_classes: int,
    task: str,
    in_channels: int,
) -> torch.Tensor:
    """The sum over every convolution, shape (n,); ``pixels`` of each level."""
    code = _check_codes(codes)
    if task not in TASKS:
        raise ValueError(f"task={task!r} has no cost here; use one of {TASKS}")
    for name, number in (("num_classes", num_classes), ("in_channels", in_channels)):
        if not _is_count(number):
            raise ValueError(f"{name}={number!r} must be a whole number of at least 1")
    network = _network(task)
    named = [(conv.c_in, conv.c_out, conv.blocks, conv.units) for conv in network]
    per_input = code.new_tensor(
        [[pixels[conv.level] * conv.depth * conv.kernel**2] for conv in network]
    )
    per_output = code.new_tensor([[pixels[conv.level] * extra[conv.norm]] for conv in network])

    counts = []
    for chunk in torch.split(code, _CHUNK):
        column = _columns(chunk, num_classes, in_channels)
        c_in, c_out, blocks, units = (  # (convolutions, chunk)
            torch.stack([column[name] for name in names]) for names in zip(*named, strict=True)
        )
        counts.append((c_out * blocks * units * (c_in * per_input + per_output)).sum(0))
    return torch.cat(counts)


def _is_count(number: float) -> bool:
    """Whether it is a whole number of at least 1, of any type."""
    try:
        return bool(number >= 1 and number % 1 == 0)
    except TypeError:  # no number at all
        return False


def _check_frames(frames: int | None, task: str) -> int:
    if task != "video":
        if frames is not None:
            raise ValueError(f"frames={frames!r} is for task='video' alone, not {task!r}; omit it")
        return 1
    if frames is None or not _is_count(frames):
        raise ValueError(f"frames={frames!r} must be a whole number of at least 1 for task='video'")
    return int(frames)


def _pixels(resolution: tuple[int, int], frames: int) -> list[int]:
    """Pixels of each level; a strided 3×3 convolution of padding 1 gives ceil(side / 2)."""
    least = 2**_LOWEST
    try:
        height, width = (int(side) for side in resolution if side % 1 == 0)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < least:
        raise ValueError(
            f"resolution={resolution!r} must be two whole numbers (height, width), each at least "
            f"{least}, the stride of the lowest branch"
        )
    return [frames * -(-height // 2**k) * -(-width // 2**k) for k in range(_LOWEST + 1)] + [1]


def _check_codes(codes: ArrayLike | torch.Tensor) -> torch.Tensor:
    width = len(_SPACE.columns)
    if isinstance(codes, torch.Tensor):
        code = codes.to(torch.float64)
    else:
        try:
            code = torch.from_numpy(np.array(codes, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise ValueError(f"codes must be numbers of shape (n, {width}): {error}") from None
    if code.ndim not in (1, 2) or code.shape[-1] != width:
        raise ValueError(f"codes has shape {tuple(code.shape)}; it must be (n, {width})")
    code = code.reshape(-1, width)
    margin = _TOLERANCE * (_HIGH - _LOW)
    low, high = (code.new_tensor(end) for end in (_LOW - margin, _HIGH + margin))
    outside = ~((code >= low) & (code <= high))  # NaN is outside too
    if outside.any():
        row, column = (int(at) for at in outside.nonzero()[0])
        raise ValueError(
            f"codes[{row}] has {_SPACE.columns[column]}={code[row, column].item():g}, which is not "
            f"in [{_LOW[column]:g}, {_HIGH[column]:g}]; MRSpace().round gives the nearest code"
        )
    return code
