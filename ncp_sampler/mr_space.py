"""The multi-resolution search space of NAS-Bench-MR: 27 named integers (paper, section 3.2).

In the tables' order (equation 9), with s the stage and r the branch of resolution 1/2^(r+1):

    i1 i2 | b1 n1_1 c1_1 | b2 n2_1 n2_2 c2_1 c2_2 | b3 n3_1.. c3_1.. | b4 n4_1.. c4_1.. | o1

``i`` and ``o`` are channels of the input and output layers, ``b<s>`` blocks, ``n<s>_<r>``
residual units and ``c<s>_<r>`` channels. ``b`` and ``n`` are in 1..4, channels in 8, 16, .., 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.dimensions import Integer
from ncp_sampler.space import SearchSpace

if TYPE_CHECKING:
    from ncp_sampler.network import MultiResolutionNet

N_STAGES = 4
_DEFAULT_DEPTH, _DEFAULT_WIDTH = 2, 64  # the paper's start code, section 4.1


class MRSpace(SearchSpace):
    """The 27-dimensional space; its code is what the published tables call ``embedding``."""

    def __init__(self) -> None:
        names = ["i1", "i2"]
        for stage in range(1, N_STAGES + 1):
            names.append(f"b{stage}")
            names += [f"{kind}{stage}_{r}" for kind in "nc" for r in range(1, stage + 1)]
        names.append("o1")
        super().__init__(
            [
                Integer(name, 1, 4) if name[0] in "bn" else Integer(name, 8, 128, step=8)
                for name in names
            ]
        )

    @property
    def default(self) -> NDArray[np.int64]:
        """The paper's start code, shape (27,): 2 for every b and n, 64 for every i, c and o."""
        return np.array(
            [_DEFAULT_DEPTH if name[0] in "bn" else _DEFAULT_WIDTH for name in self.names],
            dtype=np.int64,
        )

    def tune_space(self) -> dict[str, Any]:
        """The same space as Ray Tune domains, name -> domain, for a Tuner's ``param_space``."""
        from ray import tune

        return {
            dim.name: tune.randint(dim.low, dim.high + 1)
            if dim.step == 1
            else tune.qrandint(dim.low, dim.high, dim.step)
            for dim in self.dimensions
            if isinstance(dim, Integer)  # all are
        }

    def from_config(self, config: Mapping[str, Any]) -> NDArray[np.int64]:
        """Code (27,) of a trainable's config, which may hold other things besides.

        Raises:
            ValueError: A parameter is missing or has an illegal value.
        """
        return self.to_code({name: config[name] for name in self.names if name in config})

    def to_string(self, code: ArrayLike) -> str:
        """Published form of one code, ``i1_i2-b1_1_n.._c..-b2_2_..-b3_3_..-b4_4_..-o1``.

        Each stage also names its number of branches after b.

        Raises:
            ValueError: The code has another length or an illegal number.
        """
        params = self.to_params(np.asarray(code).reshape(-1))
        parts = [[params["i1"], params["i2"]]]
        for stage in range(1, N_STAGES + 1):
            widths = [params[f"{kind}{stage}_{r}"] for kind in "nc" for r in range(1, stage + 1)]
            parts.append([params[f"b{stage}"], stage, *widths])
        parts.append([params["o1"]])
        return "-".join("_".join(map(str, part)) for part in parts)

    def from_string(self, text: str) -> NDArray[np.int64]:
        """Code of a published code string, shape (27,).

        Raises:
            ValueError: The string has another form, or an illegal number.
        """
        lengths = [2, *[2 + 2 * stage for stage in range(1, N_STAGES + 1)], 1]
        try:
            parts = [[int(number) for number in part.split("_")] for part in text.split("-")]
        except (AttributeError, ValueError):
            parts = []
        stages = parts[1:-1]
        if [len(part) for part in parts] != lengths or any(
            part[1] != stage for stage, part in enumerate(stages, start=1)
        ):
            raise ValueError(
                f"text={text!r} is no code string; it must look like {self.to_string(self.default)}"
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
    ) -> MultiResolutionNet:
        """The network behind params, ready to train; see ``MultiResolutionNet``.

        Raises:
            ValueError: As for ``MultiResolutionNet``.
        """
        from ncp_sampler.network import MultiResolutionNet

        return MultiResolutionNet(
            params, task=task, num_classes=num_classes, in_channels=in_channels, seed=seed
        )
