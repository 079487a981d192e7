"""HRNet-like network for an ``MRSpace`` code (paper, section 3.2).

Notation
    n, C, H, W   number of images of a batch, and their channels, height and width
    h_k, w_k     H and W after k halvings, each of which gives ceil(side / 2)
    stage s      1 to 4, with s branches and b_s blocks
    branch r     1 to 4, a feature map (n, c_r, h_(r+1), w_(r+1)) at 1/2^(r+1) of the image

A block is a fusion module followed by a parallel module. In stages 2 to 4, the fusion module of the
stage's first block adds a branch. The paper describes fusions with residual units. The published
code, params and FLOPs, however, correspond to convolution, batch norm and ReLU, which are used
here. ``ncp_sampler.multi_resolution.costs`` counts the same convolutions in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler import checks
from ncp_sampler.multi_resolution.anchor_head import AnchorOutput
from ncp_sampler.multi_resolution.blueprint import (
    CODEC,
    KERNEL,
    LEAST_SIDE,
    OUTPUT,
    STAGES,
    STEM,
    TASKS,
    Path,
    code_string,
    fusion_paths,
)
from ncp_sampler.multi_resolution.heads import DetectionHead, LogitsHead
from ncp_sampler.multi_resolution.layers import (
    ConvNorm,
    ResidualUnit,
    initialize,
    pass_on,
    seeded,
)

INITIALIZATIONS = ("identity", "kaiming")

_TRUNK = ("stem", *(f"stage{stage.number}" for stage in STAGES))


class MultiResolutionNet(nn.Module):
    """Network of one ``MRSpace`` code, with the head for a task.

    | task | input | output |
    | --- | --- | --- |
    | "classification" | (n, C, H, W) | logits (n, K) |
    | "segmentation" | (n, C, H, W) | logits (n, K, h_2, w_2), for ``resize_logits`` |
    | "video" | (n, C, T, H, W) | logits (n, K) |
    | "detection3d" | (n, C, H, W), a map from above | ``AnchorOutput`` at (h_2, w_2) |

    H and W are at least 32, and T is at least 1. In training mode, batch norm needs more than one
    value per channel, so a single 32 × 32 image is too small. In the state dict, ``stem`` and
    ``stage1`` to ``stage4`` have the same names and shapes for all tasks. ``load_trunk`` copies
    them from one network to another.

    Args:
        code: The 27 integers of an ``MRSpace`` code, or its params (a dictionary).
        task: One of the four tasks above.
        num_classes: Number K of classes, at least 1.
        in_channels: Number C of input channels, at least 1.
        seed: Seed of the initial weights; PyTorch's global generators are then not used. None to
            draw from the global generators.
        initialization: "identity" initializes residual units as identities, and fusions so that
            they pass each branch on; this gives better results after few epochs. "kaiming" draws
            Kaiming-normal weights everywhere, as for the networks of the NAS-Bench-MR tables.

    Attributes:
        code: The code, a tuple of 27 integers.
        task: The task.
        in_channels: Number of input channels.
        num_classes: Number of classes.

    Raises:
        ValueError: If an argument is not as described.

    Examples:
        >>> import torch
        >>> from ncp_sampler import MRSpace, costs
        >>> code = MRSpace(width=16, depth=1).sample(1, 0)[0]
        >>> net = MultiResolutionNet(code, task="segmentation", num_classes=19, seed=0)
        >>> net(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 19, 16, 16])
        >>> size = sum(param.numel() for param in net.parameters())
        >>> size == round(costs.params(code, task="segmentation", num_classes=19).item() * 1e6)
        True
    """

    def __init__(
        self,
        code: Mapping[str, Any] | ArrayLike | Tensor,
        *,
        task: str = "classification",
        num_classes: int,
        in_channels: int = 3,
        seed: int | None = None,
        initialization: str = "identity",
    ) -> None:
        super().__init__()
        checks.one_of("task", task, TASKS)
        checks.one_of("initialization", initialization, INITIALIZATIONS)
        self.code = _valid(code)
        self.task = task
        self.in_channels = checks.integer("in_channels", in_channels, low=1)
        self.num_classes = checks.integer("num_classes", num_classes, low=1)
        params = CODEC.to_params(self.code)

        params |= {"image": self.in_channels}
        self.stem = nn.Sequential(
            *(ConvNorm(params[i], params[o], kernel=KERNEL, stride=2) for i, o in STEM)
        )
        before = [params[STEM[-1][1]]]  # Widths of the branches
        for stage in STAGES:
            after = [params[name] for name in stage.widths]
            units = [params[name] for name in stage.units]
            blocks = _stage(before, after, units, params[stage.blocks])
            self.add_module(f"stage{stage.number}", blocks)
            before = after
        head = DetectionHead if task == "detection3d" else LogitsHead
        self.head = head(task, sum(before), params[OUTPUT], self.num_classes)
        generator = seeded(seed)
        identities = initialization == "identity"
        initialize(self, generator, identities=identities)
        for layer in self.modules():
            if identities and isinstance(layer, Gather):
                pass_on(layer.own.conv)
        if isinstance(self.head, DetectionHead):
            self.head.anchors.reset_parameters(generator)

    def forward(self, x: Tensor) -> Tensor | AnchorOutput:
        """Return the output for a batch; the class lists the shapes for each task.

        Raises:
            ValueError: If the input has the wrong number of axes or channels, or is too small.
        """
        self._check(x)
        if self.task != "video":
            output: Tensor | AnchorOutput = self.head(self.features(x))
            return output
        images = x.transpose(1, 2).flatten(0, 1)  # (n, C, T, H, W) -> (n T, C, H, W)
        logits: Tensor = self.head(self.features(images), frames=x.shape[2])
        return logits

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of the four branches, with the highest resolution first.

        Args:
            images: Images (n, C, H, W).
        """
        branches = [self.stem(images)]  # (n, i2, h_2, w_2)
        for stage in STAGES:
            branches = getattr(self, f"stage{stage.number}")(branches)
        return branches  # (n, c_r, h_(r+1), w_(r+1)) for r = 1 to 4

    def load_trunk(self, source: MultiResolutionNet | Mapping[str, Tensor]) -> None:
        """Load the weights of a trained network with the same code, except those of its head.

        These are the weights of the trunk, ``stem`` and ``stage1`` to ``stage4``, and their batch
        statistics. For example, the paper's setting Video-p trains on HMDB51 and starts from a
        network that was trained on ImageNet-50-1000.

        Args:
            source: Network for any task, or its state dict.

        Raises:
            ValueError: If the source has another code or number of input channels, or is not a
                network.
        """
        must = "be a MultiResolutionNet of the same code and in_channels, or its state dict"
        state = source.state_dict() if isinstance(source, MultiResolutionNet) else source
        checks.instance("source", state, Mapping, must)
        own = _trunk(self.state_dict())
        given = _trunk(state)
        if given.keys() != own.keys() or any(
            not isinstance(value, Tensor) or value.shape != own[name].shape
            for name, value in given.items()
        ):
            raise ValueError(f"source is a network with another trunk; it must {must}")
        self.load_state_dict({**self.state_dict(), **given})

    def extra_repr(self) -> str:
        return f"code={code_string(CODEC.to_params(self.code))!r}, task={self.task!r}"

    def _check(self, x: Tensor) -> None:
        axes = "(n, C, T, H, W)" if self.task == "video" else "(n, C, H, W)"
        if x.ndim != axes.count(",") + 1:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; it must be {axes} for task={self.task!r}"
            )
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f"x has {x.shape[1]} channels, but the network has in_channels="
                f"{self.in_channels}; build a network for this number of channels"
            )
        for name, side in (("height", x.shape[-2]), ("width", x.shape[-1])):
            if side < LEAST_SIDE:
                raise ValueError(
                    f"x has {name} {side}; it must be at least {LEAST_SIDE}, the stride of the "
                    "lowest branch: resize or pad the input"
                )
        if self.task == "video" and x.shape[2] < 1:
            raise ValueError("x has no frames; give clips with at least one")


class Block(nn.Module):
    """Fusion module followed by a parallel module.

    Args:
        before: Number of channels of each input branch.
        after: Number of channels of each output branch. There is one more output branch than input
            branches in the first block of stages 2 to 4.
        units: Number of residual units on each output branch.
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
    """Module that fuses each branch with the branches of the next higher and lower resolution.

    If a branch is added, its input is the fused branch of the next higher resolution.

    Args:
        before: Number of channels of each input branch.
        after: Number of channels of each output branch.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        by_target = groupby(fusion_paths(len(before), len(after)), key=lambda path: path.target)
        for target, (*paths,) in by_target:
            width = after[target - 1]
            if paths[0].fused:
                (path,) = paths
                c_in, kernel, stride = after[path.source - 1], path.kernel, path.stride
                self[f"branch{target}"] = ConvNorm(c_in, width, kernel=kernel, stride=stride)
            else:
                self[f"branch{target}"] = Gather(paths, before, width)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = []
        for branch in self.values():
            fused.append(branch(branches if isinstance(branch, Gather) else fused[-1]))
        return fused


class Gather(nn.ModuleDict):
    """Module that computes one output branch r of a fusion.

    The output is the ReLU of a sum of up to three convolved inputs: branch r after a 3×3
    convolution, branch r - 1 after a 3×3 convolution with stride 2, and branch r + 1 after a 1×1
    convolution and nearest-neighbor upsampling. Branches that do not exist are left out.

    Args:
        paths: Convolutions to the branch, sorted by source.
        before: Number of channels of each input branch.
        width: Number of channels of the output branch.
    """

    def __init__(self, paths: Sequence[Path], before: Sequence[int], width: int) -> None:
        super().__init__()
        self.r = paths[0].target
        self.sources = [path.source for path in paths]
        for path in paths:
            c_in, kernel, stride = before[path.source - 1], path.kernel, path.stride
            self[f"from{path.source}"] = ConvNorm(c_in, width, kernel=kernel, stride=stride)

    @property
    def own(self) -> ConvNorm:
        """Convolution whose input is branch r itself."""
        own = self[f"from{self.r}"]
        assert isinstance(own, ConvNorm)  # for the type checker: every path is one
        return own

    def forward(self, branches: list[Tensor]) -> Tensor:
        size = branches[self.r - 1].shape[-2:]
        parts: list[Tensor] = []
        for source, path in zip(self.sources, self.values(), strict=True):
            part = path(branches[source - 1])
            if source > self.r:  # to a size, not by a factor of 2, because a side may be odd
                part = functional.interpolate(part, list(size), mode="nearest")
            parts.append(part)
        return functional.relu(sum(parts[1:], parts[0]))  # (n, width, *size)


class Parallel(nn.ModuleDict):
    """Module that applies residual units to each branch separately.

    Args:
        widths: Number of channels of each branch, which does not change.
        units: Number of residual units on each branch.
    """

    def __init__(self, widths: Sequence[int], units: Sequence[int]) -> None:
        super().__init__()
        for r, (width, n) in enumerate(zip(widths, units, strict=True), start=1):
            self[f"branch{r}"] = nn.Sequential(*(ResidualUnit(width) for _ in range(n)))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [branch(x) for branch, x in zip(self.values(), branches, strict=True)]


def _trunk(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a state dict that networks for all tasks have in common."""
    return {name: value for name, value in state.items() if str(name).split(".")[0] in _TRUNK}


def _stage(
    before: Sequence[int], after: Sequence[int], units: Sequence[int], blocks: int
) -> nn.Sequential:
    """Return the blocks of a stage; the first block converts from the widths ``before``."""
    return nn.Sequential(
        *(Block(after if block else before, after, units) for block in range(blocks))
    )


def _valid(code: Mapping[str, Any] | ArrayLike | Tensor) -> tuple[int, ...]:
    if isinstance(code, Mapping):
        return tuple(CODEC.to_code(code).tolist())
    params: Any = CODEC.to_params(code)  # type: ignore[arg-type] # the check is its own
    if isinstance(params, list):
        raise ValueError(
            f"code has {len(params)} codes; a network is built from one code, of shape (27,)"
        )
    return tuple(params.values())
