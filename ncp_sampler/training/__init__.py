"""Training of networks: loop, recipes by name, tasks, and real data that is at hand.

Nothing here knows a host tool; ``ncp_sampler.command_line.study`` runs studies with it.
"""

from __future__ import annotations

from ncp_sampler.training.augmentation import IGNORED, CloudAugmentation, ImageAugmentation
from ncp_sampler.training.data.digits import (
    CLIP_CLASSES,
    DigitClips,
    Digits,
    DigitScenes,
)
from ncp_sampler.training.data.streets import StreetScenes
from ncp_sampler.training.detection import detection_task, make_detection_problem
from ncp_sampler.training.loop import (
    Epoch,
    Trained,
    evaluate,
    train,
)
from ncp_sampler.training.presets import PRESETS, Preset
from ncp_sampler.training.problem import Checkpoint, Problem, make_problem
from ncp_sampler.training.recipes import Recipe
from ncp_sampler.training.tasks import (
    CLASSIFICATION,
    SEGMENTATION,
    TASKS,
    VIDEO,
    Task,
)

__all__ = [
    "CLASSIFICATION",
    "CLIP_CLASSES",
    "IGNORED",
    "PRESETS",
    "SEGMENTATION",
    "TASKS",
    "VIDEO",
    "Checkpoint",
    "CloudAugmentation",
    "DigitClips",
    "DigitScenes",
    "Digits",
    "Epoch",
    "ImageAugmentation",
    "Preset",
    "Problem",
    "Recipe",
    "StreetScenes",
    "Task",
    "Trained",
    "detection_task",
    "evaluate",
    "make_detection_problem",
    "make_problem",
    "train",
]
