"""Blueprint of the multi-resolution network (paper, section 3.2).

The network, its costs and its features are all derived from the data in this module. A stage is
denoted by s, and a branch with resolution 1/2^(r+1) by r. In the order of the tables (equation 9),
the code is

    i1 i2 | b1 n1_1 c1_1 | b2 n2_1 n2_2 c2_1 c2_2 | b3 n3_1.. c3_1.. | b4 n4_1.. c4_1.. | o1

``i`` and ``o`` are numbers of channels of the input and output layers, ``b<s>`` numbers of blocks,
``n<s>_<r>`` numbers of residual units, and ``c<s>_<r>`` numbers of channels. ``b`` and ``n`` range
over 1, .., 4, and channels over 8, 16, .., 128. A feature map of *level* k has 1/2^k of the input's
resolution; branch r works at level r + 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ncp_sampler.space.dimensions import Integer
from ncp_sampler.space.search_space import SearchSpace

TASKS = ("classification", "segmentation", "video", "detection3d")
N_STAGES = 4
MAX_DEPTH, MAX_WIDTH, WIDTH_STEP = 4, 128, 8
KERNEL = 3  # Kernel size of convolutions, unless stated otherwise
UNIT_CONVOLUTIONS = 2  # Number of convolutions per residual unit

HIGHEST, LOWEST, POOLED = 2, N_STAGES + 1, N_STAGES + 2  # Levels of branches and of a pooled map
LEAST_SIDE = 2**LOWEST  # Minimum side of an input, with which the lowest branch has one pixel

# Anchors of 3D detection: number of yaws per class, values of a box, and direction classes
YAWS, BOX_VALUES, DIRECTIONS = 2, 7, 2


class Stage(NamedTuple):
    """Names of the parameters of a stage.

    Attributes:
        number: Index s of the stage, starting at 1, which is also its number of branches.
        blocks: Name of the parameter for the number of blocks.
        units: Names of the parameters for the number of residual units, one per branch.
        widths: Names of the parameters for the number of channels, one per branch.
    """

    number: int
    blocks: str
    units: tuple[str, ...]
    widths: tuple[str, ...]


class Path(NamedTuple):
    """Convolution in a fusion, with batch norm and ReLU; branches are numbered from 1.

    Attributes:
        source: Branch that is the input.
        target: Branch that is the output.
        kernel: 1 if the source has a lower resolution (the output is then upsampled), otherwise 3.
        stride: 2 if the source has a higher resolution, otherwise 1.
        fused: True if the target is a new branch; the input is then the fused output of the source.
    """

    source: int
    target: int
    kernel: int
    stride: int
    fused: bool = False

    @property
    def level(self) -> int:
        """Level of the output of the convolution, before upsampling."""
        return max(self.source, self.target) + 1


class Head(NamedTuple):
    """Head of a task, which maps four branches to the output.

    Attributes:
        meets: Index of the branch to whose size all branches are resized.
        kernel: Kernel size of the convolution of the concatenated branches.
        axes: Number of axes of the kernel: 2 for images, 3 for clips.
        pooled: True if feature maps are averaged before the last convolutions.
    """

    meets: int
    kernel: int
    axes: int
    pooled: bool

    @property
    def level(self) -> int:
        """Level at which the branches are concatenated."""
        return HIGHEST if self.meets == 0 else LOWEST


STEM = (("image", "i1"), ("i1", "i2"))  # Widths before and after the two convolutions of stride 2
STAGES = tuple(
    Stage(
        s,
        f"b{s}",
        tuple(f"n{s}_{r}" for r in range(1, s + 1)),
        tuple(f"c{s}_{r}" for r in range(1, s + 1)),
    )
    for s in range(1, N_STAGES + 1)
)
OUTPUT = "o1"
HEADS = {
    "classification": Head(meets=-1, kernel=1, axes=2, pooled=True),
    "segmentation": Head(meets=0, kernel=1, axes=2, pooled=False),
    "video": Head(meets=-1, kernel=KERNEL, axes=3, pooled=True),
    "detection3d": Head(meets=0, kernel=1, axes=2, pooled=False),
}
DEPTHS = tuple(name for stage in STAGES for name in (stage.blocks, *stage.units))
NAMES = (
    *(name for _, name in STEM),
    *(name for stage in STAGES for name in (stage.blocks, *stage.units, *stage.widths)),
    OUTPUT,
)


def dimensions(*, width: int = MAX_WIDTH, depth: int = MAX_DEPTH) -> list[Integer]:
    """Return the 27 dimensions, optionally with lower maxima than in the published space."""
    return [
        Integer(name, 1, depth)
        if name in DEPTHS
        else Integer(name, WIDTH_STEP, width, step=WIDTH_STEP)
        for name in NAMES
    ]


CODEC = SearchSpace(dimensions())


def uniform_params(*, depth: int, width: int) -> dict[str, int]:
    """Return params with the same depth and the same width everywhere, such as 2 and 64."""
    return {name: depth if name in DEPTHS else width for name in NAMES}


def fusion_paths(before: int, after: int) -> tuple[Path, ...]:
    """Return the convolutions of a fusion of ``before`` branches into ``after``.

    The convolutions are sorted by target, then by source. Each branch receives input from itself
    and from its neighbors in resolution.
    """
    paths = []
    for target in range(1, after + 1):
        if target > before:
            paths.append(Path(target - 1, target, KERNEL, stride=2, fused=True))
            continue
        for source in range(max(target - 1, 1), min(target + 1, before) + 1):
            kernel, stride = (1, 1) if source > target else (KERNEL, 1 + target - source)
            paths.append(Path(source, target, kernel, stride))
    return tuple(paths)


def output_channels(task: str, classes: int) -> dict[str, int]:
    """Return name -> number of output channels of the head's last convolutions (1×1 with bias)."""
    if task != "detection3d":
        return {"classifier": classes}
    anchors = YAWS * classes
    return {
        "classes": anchors * classes,
        "boxes": anchors * BOX_VALUES,
        "directions": anchors * DIRECTIONS,
    }


def code_string(params: dict[str, Any]) -> str:
    """Return the published form of a code, ``i1_i2-b1_1_n.._c..-b2_2_..-b3_3_..-b4_4_..-o1``.

    In each stage, the number of blocks b is followed by the number of branches.
    """
    parts = [[params[name] for _, name in STEM]]
    for stage in STAGES:
        numbers = [params[name] for name in (*stage.units, *stage.widths)]
        parts.append([params[stage.blocks], stage.number, *numbers])
    parts.append([params[OUTPUT]])
    return "-".join("_".join(map(str, part)) for part in parts)
