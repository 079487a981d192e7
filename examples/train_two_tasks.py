"""Search for one code for two tasks: classification of digits, and segmentation of digit scenes.

Two networks are trained for every code, one for each task. The study has three objectives: the two
metrics, and the total multiply-adds of both networks. Its answer is the best compromise. The regret
of a code in a task is 0 at the best metric of the study and 1 at the median of the first ten
trials. The best compromise is the code whose larger regret is the smallest. The options are those
of train_classification.py. ``--max-gflops 0.02`` limits each of the two networks, and
``--max-gflops digits=0.005,scenes=0.02`` sets separate limits. With limits, the metrics are the
only objectives.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ncp_sampler.training import (
    PRESETS,
    Digits,
    DigitScenes,
    TrainingProblem,
    make_problem,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `examples` is not installed

from examples.training_program import main


def problems(smoke: bool) -> list[TrainingProblem]:
    limit, train, rest = (128, 64, 16) if smoke else (None, 500, 125)
    images, scenes = PRESETS["digits-cls"], PRESETS["digits-seg"]
    return [
        make_problem(
            "digits",
            images,
            train=Digits("train", limit=limit, transform=images.recipe.augmentation),
            val=Digits("val", limit=limit),
            test=Digits("test", limit=limit),
            in_channels=1,
        ),
        make_problem(
            "scenes",
            scenes,
            train=DigitScenes("train", length=train, transform=scenes.recipe.augmentation),
            val=DigitScenes("val", length=rest),
            test=DigitScenes("test", length=rest),
            in_channels=1,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", problems, trials=6, out="two_tasks", width=32, depth=2))
