"""Search for networks that recognize the motion of handwritten digits, by training each of them.

A class combines the direction of motion and whether the digit is 5 or more; no single frame shows
the direction. The options are those of train_classification.py. To train on your own clips, replace
``DigitClips`` with a data set of (clip (C, T, H, W), class) pairs, and use a preset such as
``PRESETS["video"]``, the paper's recipe for HMDB51.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ncp_sampler.training import (
    PRESETS,
    DigitClips,
    TrainingProblem,
    make_problem,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `examples` is not installed

from examples.training_program import main

FRAMES = 4


def problems(smoke: bool) -> list[TrainingProblem]:
    train, rest = (64, 16) if smoke else (800, 300)
    clips = make_problem(
        "clips",
        PRESETS["digits-video"],
        train=DigitClips("train", length=train, frames=FRAMES, wrap=True),
        val=DigitClips("val", length=rest, frames=FRAMES),
        test=DigitClips("test", length=rest, frames=FRAMES),
        in_channels=1,
        frames=FRAMES,
    )
    return [clips]


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", problems, trials=8, out="video", width=32, depth=2))
