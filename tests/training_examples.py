"""Codes, data and problems that the tests of training share; all small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ncp_sampler import MRSpace
from ncp_sampler.training import PRESETS, Digits, DigitScenes, Problem, make_problem


def uniform_code(depth: int, width: int) -> NDArray[np.int64]:
    """The code with one depth and one width everywhere."""
    return np.array([depth if name[0] in "bn" else width for name in MRSpace().names])


def digits_problem(*, limit: int = 64, epochs: int = 2, name: str = "digits") -> Problem:
    preset = PRESETS["digits-cls"]
    problem = make_problem(
        name,
        preset,
        train=Digits("train", limit=limit, transform=preset.recipe.augmentation),
        val=Digits("val", limit=limit),
        test=Digits("test", limit=limit),
        in_channels=1,
    )
    return replace(problem, recipe=replace(problem.recipe, epochs=epochs))


def scenes_problem(*, length: int = 32, epochs: int = 1) -> Problem:
    preset = PRESETS["digits-seg"]
    problem = make_problem(
        "scenes",
        preset,
        train=DigitScenes("train", length=length),
        val=DigitScenes("val", length=length),
        test=DigitScenes("test", length=length),
        in_channels=1,
    )
    return replace(problem, recipe=replace(problem.recipe, epochs=epochs))
