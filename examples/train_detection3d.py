"""Search for networks that detect cars and cyclists in lidar scans, by training each of them.

The scans are generated: streets with boxes of two classes and clutter, seen by a simulated lidar.
The metric is the mean average precision in 3D at KITTI's looser IoU thresholds: 0.5 for cars and
0.25 for cyclists. The options are those of train_classification.py. To train on KITTI, replace
``StreetScenes`` with a data set of (points, boxes, labels). Use the anchors of
``ncp_sampler.detection3d``, its default range and pillars, KITTI's IoU thresholds (0.7 for cars,
0.5 for the other classes), and ``PRESETS["3ddet"]``, the paper's training recipe.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ncp_sampler.training import (
    PRESETS,
    StreetScenes,
    TrainingProblem,
    make_detection_problem,
)
from ncp_sampler.training.data.streets import (
    ANCHORS,
    IOUS,
    PILLAR,
    POINT_RANGE,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `examples` is not installed

from examples.training_program import main


def problems(smoke: bool) -> list[TrainingProblem]:
    recipe = PRESETS["streets"].recipe
    train, rest = (32, 16) if smoke else (300, 80)
    streets = make_detection_problem(
        "streets",
        recipe,
        train=StreetScenes("train", length=train, transform=recipe.augmentation),
        val=StreetScenes("val", length=rest),
        test=StreetScenes("test", length=rest),
        anchors=ANCHORS,
        ious=IOUS,
        point_range=POINT_RANGE,
        pillar=PILLAR,
    )
    return [streets]


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", problems, trials=8, out="detection3d", width=24, depth=1))
