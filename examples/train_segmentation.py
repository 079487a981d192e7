"""Search for networks that segment scenes of several handwritten digits, by training each of them.

The class of a pixel is the background, or the digit to which its ink belongs. The options are those
of train_classification.py. To segment your own images, replace ``DigitScenes`` with a data set of
(image, mask) pairs (255 marks ignored pixels), and use a preset such as ``PRESETS["seg"]``, the
paper's recipe for Cityscapes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ncp_sampler.training import (
    PRESETS,
    DigitScenes,
    TrainingProblem,
    make_problem,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `examples` is not installed

from examples.training_program import main


def problems(smoke: bool) -> list[TrainingProblem]:
    preset = PRESETS["digits-seg"]
    train, rest = (64, 16) if smoke else (500, 125)
    scenes = make_problem(
        "scenes",
        preset,
        train=DigitScenes("train", length=train, transform=preset.recipe.augmentation),
        val=DigitScenes("val", length=rest),
        test=DigitScenes("test", length=rest),
        in_channels=1,
    )
    return [scenes]


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", problems, trials=8, out="segmentation", width=32, depth=2))
