"""The parts of every data set here, their random numbers, and what all of them check."""

from __future__ import annotations

import numpy as np

from ncp_sampler import checks
from ncp_sampler.training.augmentation import Transform

PARTS = {"train": 0.6, "val": 0.2, "test": 0.2}  # shares of a source that is split


def part_generator(part: str, seed: int, *more: int) -> np.random.Generator:
    """Another one for each part, so that its samples are not laid out alike.

    Raises:
        ValueError: An unknown part, or a seed that is no whole number from 0 on.
    """
    number = tuple(PARTS).index(check_part(part))
    return np.random.default_rng([checks.integer("seed", seed, low=0), number, *more])


def check_part(part: str) -> str:
    """The part's name.

    Raises:
        ValueError: There is no such part.
    """
    return checks.one_of("part", part, tuple(PARTS))


def check_transform(transform: Transform | None) -> Transform | None:
    """What changes a sample each time it is read, or None.

    Raises:
        ValueError: It cannot be called.
    """
    must = "be a function of a sample, such as ImageAugmentation(...), or None"
    checks.call("transform", transform, must)
    return transform
