"""A space, a loss and a loop that the tests of the optimizer share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace

MIXED = SearchSpace(
    [
        Integer("units", 1, 64, log=True),
        Integer("width", 8, 128, step=8),
        Float("rate", 1e-4, 1.0, log=True),
        Float("share", 0.0, 1.0, step=0.25),
        Categorical("act", ("relu", "silu", None)),
    ]
)


def mixed_loss(params: dict[str, Any]) -> float:
    miss: float = abs(math.log10(params["rate"]) + 2) + abs(params["width"] - 64) / 64
    miss += (params["act"] != "silu") + abs(params["share"] - 0.5)
    return miss


def run(
    optimizer: NCPOptimizer, n: int, loss: Callable[[dict[str, Any]], float] = mixed_loss
) -> list[dict[str, Any]]:
    """Asks for params and tells their loss, n times; the params."""
    proposed = []
    for _ in range(n):
        (params,) = optimizer.ask()
        optimizer.tell(params, {"loss": loss(params)})
        proposed.append(params)
    return proposed
