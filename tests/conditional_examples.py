"""A network whose layers exist by their number, its costs and its value, for several tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from ncp_sampler import Integer, SearchSpace

MOST = 4  # layers
WIDTHS = tuple(f"w{i}" for i in range(MOST))
LIMIT = 12_000
NETWORK = SearchSpace(
    [Integer("n_layers", 1, MOST), *(Integer(name, 16, 128, step=8) for name in WIDTHS)],
    conditions={name: ("n_layers", range(i + 1, MOST + 1)) for i, name in enumerate(WIDTHS)},
)


def widths(params: Mapping[str, Any]) -> list[int]:
    """The widths of the layers that exist; raises if any other is in the params."""
    names = WIDTHS[: params["n_layers"]]
    assert params.keys() == {"n_layers", *names}, params
    return [params[name] for name in names]


def flops(params: Mapping[str, Any]) -> int:
    """Multiplications of a network from 32 inputs to 10 outputs."""
    sizes = [32, *widths(params), 10]
    return sum(a * b for a, b in pairwise(sizes))


def flops_of_codes(codes: torch.Tensor) -> torch.Tensor:
    """Return the differentiable FLOPs of codes (n, 5), without layers that do not exist."""
    there = codes[:, :1] > torch.arange(MOST) + 0.5
    before = torch.cat([torch.full_like(codes[:, :1], 32.0), codes[:, 1:-1]], dim=1)
    inner = torch.where(there, before * codes[:, 1:], 0.0).sum(1)
    last = codes[:, 1:].gather(1, codes[:, :1].round().long() - 1)[:, 0]
    return inner + 10 * last


def accuracy(params: Mapping[str, Any]) -> float:
    """A value that grows with each layer and its width, ever less."""
    return sum((1 - math.exp(-w / 40)) / (1 + 0.3 * i) for i, w in enumerate(widths(params)))
