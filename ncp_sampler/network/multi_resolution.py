"""The HRNet-like network behind a code of ``MRSpace`` (paper, section 3.2).

Notation
    n, C, H, W   images of a batch, and their channels, height and width
    h_k, w_k     H and W halved k times, ceil(side / 2) each time
    stage s      1 to 4; it has s branches and b_s blocks
    branch r     1 to 4; a feature map (n, c_r, h_(r+1), w_(r+1)), at 1/2^(r+1) of the image

A block is a fusion module, then a parallel one, and the first block's fusion makes the transition
to one branch more. The paper says that fusions gather features by residual units; the published
code, and the published params and FLOPs, have convolution, batch norm and ReLU, as here.
``ncp_sampler.costs`` counts these same convolutions in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler.costs import TASKS
from ncp_sampler.mr_space import N_STAGES, MRSpace
from ncp_sampler.network.detection import AnchorOutput
from ncp_sampler.network.heads import HEADS, DetectionHead
from ncp_sampler.network.layers import ConvNorm, ResidualUnit, initialize, seeded

_SPACE = MRSpace()
_STAGES = range(1, N_STAGES + 1)
_LEAST_SIDE = 2 ** (N_STAGES + 1)  # the lowest branch then has one pixel


class MultiResolutionNet(nn.Module):
    """The network of one code, with the head of a task.

    =================  ====================  ==================================================
    task               input                 output
    =================  ====================  ==================================================
    "classification"   (n, C, H, W)          logits (n, K)
    "segmentation"     (n, C, H, W)          logits (n, K, h_2, w_2); ``resize_logits`` brings
                                             them to (n, K, H, W)
    "video"            (n, C, T, H, W)       logits (n, K)
    "detection3d"      (n, C, H, W), a map   ``AnchorOutput`` at (h_2, w_2)
                       from above (BEV)
    =================  ====================  ==================================================

    H and W may be any numbers from 32 on, T any from 1 on. While training, batch norm needs more
    than one value per channel, so a single 32 × 32 image is too little then. All tasks share the
    names and shapes of ``stem`` and ``stage1`` to ``stage4`` in the state dict, so that these can
    be carried from one to another.

    Args:
        code: The 27 integers of an ``MRSpace`` code, or its params (a dictionary).
        task: One of the four above.
        num_classes: K, at least 1.
        in_channels: C, at least 1.
        seed: Seeds the initial weights and leaves PyTorch's own generators alone; by default
            they are drawn from these.

    Attributes:
        code: The code, a tuple of 27 integers.
        task: As given.
        in_channels: As given.
        num_classes: As given.

    Raises:
        ValueError: An argument is not as described.
    """

    def __init__(
        self,
        code: Mapping[str, Any] | ArrayLike | Tensor,
        *,
        task: str = "classification",
        num_classes: int,
        in_channels: int = 3,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if task not in TASKS:
            raise ValueError(f"task={task!r} is unknown; use one of {TASKS}")
        self.code = _legal(code)
        self.task = task
        self.in_channels = _count("in_channels", in_channels)
        self.num_classes = _count("num_classes", num_classes)
        params = _SPACE.to_params(self.code)

        self.stem = nn.Sequential(
            ConvNorm(self.in_channels, params["i1"], kernel=3, stride=2),
            ConvNorm(params["i1"], params["i2"], kernel=3, stride=2),
        )
        before = [params["i2"]]  # widths of the branches
        for stage in _STAGES:
            after = [params[f"c{stage}_{r}"] for r in range(1, stage + 1)]
            units = [params[f"n{stage}_{r}"] for r in range(1, stage + 1)]
            self.add_module(f"stage{stage}", _stage(before, after, units, params[f"b{stage}"]))
            before = after
        self.head = HEADS[task](sum(before), params["o1"], self.num_classes)
        generator = seeded(seed)
        initialize(self, generator)
        if isinstance(self.head, DetectionHead):
            self.head.anchors.reset_parameters(generator)

    def forward(self, x: Tensor) -> Tensor | AnchorOutput:
        """Maps a batch to the output of the task; see the class.

        Raises:
            ValueError: The batch has another number of axes or channels, or is too small.
        """
        self._check(x)
        if self.task != "video":
            output: Tensor | AnchorOutput = self.head(self.features(x))
            return output
        images = x.transpose(1, 2).flatten(0, 1)  # (n, C, T, H, W) -> (n T, C, H, W)
        logits: Tensor = self.head(self.features(images), frames=x.shape[2])
        return logits

    def features(self, images: Tensor) -> list[Tensor]:
        """The four branches of images (n, C, H, W), the highest resolution first."""
        branches = [self.stem(images)]  # (n, i2, h_2, w_2)
        for stage in _STAGES:
            branches = self.get_submodule(f"stage{stage}")(branches)
        return branches  # (n, c_r, h_(r+1), w_(r+1)) for r = 1 to 4

    def extra_repr(self) -> str:
        return f"code={_SPACE.to_string(self.code)!r}, task={self.task!r}"

    def _check(self, x: Tensor) -> None:
        axes = "(n, C, T, H, W)" if self.task == "video" else "(n, C, H, W)"
        if x.ndim != axes.count(",") + 1:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; it must be {axes} for task={self.task!r}"
            )
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f"x has {x.shape[1]} channels, but the network in_channels={self.in_channels}; "
                "build it for these"
            )
        for name, side in (("height", x.shape[-2]), ("width", x.shape[-1])):
            if side < _LEAST_SIDE:
                raise ValueError(
                    f"x has {name} {side}; it must be at least {_LEAST_SIDE}, the stride of the "
                    "lowest branch: resize or pad the input"
                )
        if self.task == "video" and x.shape[2] < 1:
            raise ValueError("x has no frames; give clips of at least one")


class Block(nn.Module):
    """A fusion module, then a parallel one: s or s - 1 branches in, s out.

    Args:
        before: Widths of the branches that enter.
        after: Widths of those that leave; one more than before where a stage begins.
        units: Residual units of each of these.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int], units: Sequence[int]) -> None:
        super().__init__()
        self.fusion = Fusion(before, after)
        self.parallel = Parallel(after, units)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = self.fusion(branches)
        refined: list[Tensor] = self.parallel(fused)
        return refined


class Fusion(nn.ModuleDict):
    """Each branch gathers from its neighbours in resolution; a new one from the fused one above.

    Args:
        before: Widths of the branches that enter.
        after: Widths of those that leave.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        for r, width in enumerate(after, start=1):
            self[f"branch{r}"] = (
                Gather(before, r, width)
                if r <= len(before)
                else ConvNorm(after[r - 2], width, kernel=3, stride=2)
            )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = []
        for branch in self.values():
            fused.append(branch(branches if isinstance(branch, Gather) else fused[-1]))
        return fused


class Gather(nn.ModuleDict):
    """Branch r of a fusion: ReLU of the sum of what comes from branches r - 1, r and r + 1.

    From r itself by a 3×3 convolution, from r - 1 by one of stride 2, from r + 1 by a 1×1
    convolution and nearest upsampling; from those of the three that exist.

    Args:
        before: Widths of the branches that enter.
        r: Branch that this one continues, from 1 on.
        width: Its channels from here on.
    """

    def __init__(self, before: Sequence[int], r: int, width: int) -> None:
        super().__init__()
        self.r = r
        self.sources = range(max(r - 1, 1), min(r + 1, len(before)) + 1)
        for source in self.sources:
            kernel, stride = {-1: (3, 2), 0: (3, 1), 1: (1, 1)}[source - r]
            self[f"from{source}"] = ConvNorm(
                before[source - 1], width, kernel=kernel, stride=stride
            )

    def forward(self, branches: list[Tensor]) -> Tensor:
        size = branches[self.r - 1].shape[-2:]
        parts: list[Tensor] = []
        for source, path in zip(self.sources, self.values(), strict=True):
            part = path(branches[source - 1])
            if source > self.r:  # to a size, not by a factor: odd sides are one less than twice
                part = functional.interpolate(part, list(size), mode="nearest")
            parts.append(part)
        return functional.relu(sum(parts[1:], parts[0]))  # (n, width, *size)


class Parallel(nn.ModuleDict):
    """Residual units on every branch, alone: branches of widths c in and out.

    Args:
        widths: c, of each branch.
        units: Residual units of each.
    """

    def __init__(self, widths: Sequence[int], units: Sequence[int]) -> None:
        super().__init__()
        for r, (width, n) in enumerate(zip(widths, units, strict=True), start=1):
            self[f"branch{r}"] = nn.Sequential(*(ResidualUnit(width) for _ in range(n)))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [branch(x) for branch, x in zip(self.values(), branches, strict=True)]


def _stage(
    before: Sequence[int], after: Sequence[int], units: Sequence[int], blocks: int
) -> nn.Sequential:
    """The blocks of a stage; the first makes the transition from ``before``."""
    return nn.Sequential(
        *(Block(after if block else before, after, units) for block in range(blocks))
    )


def _legal(code: Mapping[str, Any] | ArrayLike | Tensor) -> tuple[int, ...]:
    if isinstance(code, Mapping):
        return tuple(_SPACE.to_code(code).tolist())
    params: Any = _SPACE.to_params(code)  # type: ignore[arg-type] # the check is its own
    if isinstance(params, list):
        raise ValueError(
            f"code holds {len(params)} codes; a network is built from one, of shape (27,)"
        )
    return tuple(params.values())


def _count(name: str, value: int) -> int:
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return int(value)
