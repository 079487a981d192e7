"""Search for networks that classify scikit-learn's handwritten digits, by training each of them.

By default, the study has two objectives: the accuracy, and the multiply-adds, which are computed
exactly. With ``--max-gflops 0.05``, it searches for the most accurate network within a limit: no
code over the limit is proposed, and bad trainings are stopped early. To train on your own images,
replace ``Digits`` with another data set, such as torchvision's ``ImageFolder``, and use a preset
such as the paper's ``PRESETS["cls-50-1000"]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ncp_sampler.training import (
    PRESETS,
    Digits,
    TrainingProblem,
    make_problem,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `examples` is not installed

from examples.training_program import main


def problems(smoke: bool) -> list[TrainingProblem]:
    preset = PRESETS["digits-cls"]
    limit = 128 if smoke else None
    digits = make_problem(
        "digits",
        preset,
        train=Digits("train", limit=limit, transform=preset.recipe.augmentation),
        val=Digits("val", limit=limit),
        test=Digits("test", limit=limit),
        in_channels=1,
    )
    return [digits]


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", problems, trials=20, out="classification", width=32, depth=2))
