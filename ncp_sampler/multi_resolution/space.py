"""Multi-resolution search space of NAS-Bench-MR: 27 named integers (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import (
    CODEC,
    MAX_DEPTH,
    MAX_WIDTH,
    STAGES,
    STEM,
    WIDTH_STEP,
    code_string,
    dimensions,
    uniform_params,
)
from ncp_sampler.multi_resolution.features import SmoothFeatures
from ncp_sampler.multi_resolution.network import MultiResolutionNet
from ncp_sampler.space.hooks import Group
from ncp_sampler.space.search_space import SearchSpace

_START = uniform_params(depth=2, width=64)  # Start code of the paper, section 4.1
# Units of metrics and costs in the tables of NAS-Bench-MR
_UNITS = {
    **dict.fromkeys(("top1", "top5", "mIoU", "mAcc", "aAcc", "easy", "moderate", "hard"), "%"),
    "flops": "G",
    "params": "M",
}


def _groups() -> tuple[Group, ...]:
    """Return the groups of parameters that figures draw together."""
    *first, last = STAGES
    outer = tuple(name for name in CODEC.names if name[0] in "io")
    return (
        Group("Blocks", "blocks", tuple(stage.blocks for stage in STAGES)),
        Group("Channels, in- and out-layers", "channels", outer),
        Group("Residual units, stages 1 to 3", "residual units", sum((s.units for s in first), ())),
        Group("Channels, stages 1 to 3", "channels", sum((s.widths for s in first), ())),
        Group("Residual units, stage 4", "residual units", last.units),
        Group("Channels, stage 4", "channels", last.widths),
    )


class MRSpace(SearchSpace):
    """Search space of 27 integers that describe a multi-resolution network (paper, section 3.2).

    The published tables call a code ``embedding``. ``start`` is the paper's start code, and
    ``features`` is a ``SmoothFeatures``.

    Args:
        width: Maximum number of channels, a multiple of 8 from 8 to 128; 128 in the paper.
        depth: Maximum number of blocks and of residual units, 1 to 4; 4 in the paper.

    Raises:
        ValueError: If an argument is not as described.

    Examples:
        >>> space = MRSpace()
        >>> params = space.to_params(space.start)
        >>> params["b1"], params["c3_2"]
        (2, 64)
        >>> space.to_string(space.start)[:21]
        '64_64-2_1_2_64-2_2_2_'
        >>> MRSpace(width=64, depth=2).size < space.size
        True
    """

    def __init__(self, *, width: int = MAX_WIDTH, depth: int = MAX_DEPTH) -> None:
        if checks.integer("width", width) not in range(WIDTH_STEP, MAX_WIDTH + 1, WIDTH_STEP):
            must = f"be a multiple of {WIDTH_STEP} from {WIDTH_STEP} to {MAX_WIDTH}"
            raise checks.refusal("width", width, must)
        checks.integer("depth", depth, low=1, high=MAX_DEPTH)
        self._integers = dims = dimensions(width=int(width), depth=int(depth))
        super().__init__(
            dims,
            features=SmoothFeatures(SearchSpace(dims)),
            units=_UNITS,
            groups=_groups(),
        )

    @property
    def start(self) -> NDArray[np.int64]:
        """Start code (27,) of the paper: 2 for every b and n, 64 for every i, c and o.

        A value that exceeds the maximum of this space is replaced by the maximum.
        """
        return self.to_code({dim.name: min(_START[dim.name], dim.high) for dim in self._integers})

    def to_string(self, code: ArrayLike) -> str:
        """Return the published form of a code, ``i1_i2-b1_1_n.._c..-b2_2_..-b3_3_..-b4_4_..-o1``.

        In each stage, the number of blocks b is followed by the number of branches.

        Raises:
            ValueError: If the code has another length or an invalid number.
        """
        return code_string(self.to_params(np.asarray(code).reshape(-1)))

    def from_string(self, text: str) -> NDArray[np.int64]:
        """Return the code (27,) of a published code string.

        Raises:
            ValueError: If the string has another form or an invalid number.
        """
        lengths = [len(STEM), *[2 + 2 * stage.number for stage in STAGES], 1]
        try:
            parts = [[int(number) for number in part.split("_")] for part in text.split("-")]
        except (AttributeError, ValueError):
            parts = []
        stages = parts[1:-1]
        if [len(part) for part in parts] != lengths or any(
            part[1] != stage.number for stage, part in zip(STAGES, stages, strict=True)
        ):
            raise ValueError(
                f"text={text!r} is not a code string; it must look like {code_string(_START)}"
            )
        numbers: list[Any] = [*parts[0]]
        for part in stages:
            numbers += [part[0], *part[2:]]
        numbers += parts[-1]
        return self.to_code(self.to_params(numbers))

    def build(
        self,
        params: Mapping[str, Any],
        *,
        task: str = "classification",
        num_classes: int,
        in_channels: int = 3,
        seed: int | None = None,
        initialization: str = "identity",
    ) -> MultiResolutionNet:
        """Return the network that params describe, ready for training; see ``MultiResolutionNet``.

        Raises:
            ValueError: As for ``MultiResolutionNet``, or if the params belong to another space.
        """
        if isinstance(params, Mapping):
            self.to_code(params)
        else:
            self.to_params(params)
        return MultiResolutionNet(
            params,
            task=task,
            num_classes=num_classes,
            in_channels=in_channels,
            seed=seed,
            initialization=initialization,
        )
