"""Training, validation and test parts of the data sets: their names and random generators."""

from __future__ import annotations

import numpy as np

from ncp_sampler import checks
from ncp_sampler.training.augmentation import Transform

PARTS = {"train": 0.6, "val": 0.2, "test": 0.2}  # part -> fraction of the source samples


def split_generator(part: str, seed: int, *further: int) -> np.random.Generator:
    """Return a random generator for a part; generators of different parts differ.

    Raises:
        ValueError: The part is unknown, or the seed is not an integer of at least 0.
    """
    number = tuple(PARTS).index(check_split(part))
    return np.random.default_rng([checks.integer("seed", seed, low=0), number, *further])


def check_split(part: str) -> str:
    """Check the name of a part, and return it.

    Raises:
        ValueError: The part is unknown.
    """
    return checks.one_of("part", part, tuple(PARTS))


def check_transform(transform: Transform | None) -> Transform | None:
    """Check the function that changes a sample each time the sample is read, and return it.

    Raises:
        ValueError: ``transform`` is not callable.
    """
    must = "be a function of a sample, such as ImageAugmentation(...), or None"
    checks.call("transform", transform, must)
    return transform
