"""Named recipes for the nine NAS-Bench-MR settings, and small recipes for the digits.

The values come from the paper's Table 6 and Appendix A. Where the paper gives no value, a customary
one is used: for the ranges of resizing and cropping, the strength of the photometric distortion,
and the shape of the one-cycle schedule. The momentum is constant, although the paper states that it
also follows the "poly" schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import LEAST_SIDE, TASKS
from ncp_sampler.training.augmentation import CloudAugmentation, ImageAugmentation
from ncp_sampler.training.pair_checks import check_size
from ncp_sampler.training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Task, data set, metric and recipe of one setting.

    Attributes:
        task: "classification", "segmentation", "video" or "detection3d".
        data: Name of the data set.
        num_classes: Number of classes of the network, at least 1.
        metric: Main metric.
        recipe: Settings of the training.
        test_size: Height and width of the test input; None if they are the same as in training.
        pretrained: Name of the preset whose trained weights are the initial weights, or None.

    Raises:
        ValueError: A value is out of its range, or has the wrong type.

    Examples:
        >>> from dataclasses import replace
        >>> from ncp_sampler.training import PRESETS
        >>> preset = PRESETS["seg"]
        >>> preset.data, replace(preset.recipe, epochs=1).epochs
        ('Cityscapes', 1)
    """

    task: str
    data: str
    num_classes: int
    metric: str
    recipe: Recipe
    test_size: tuple[int, int] | None = None
    pretrained: str | None = None

    def __post_init__(self) -> None:
        checks.one_of("task", self.task, TASKS)
        for name in ("data", "metric"):
            checks.text(name, getattr(self, name))
        checks.integer("num_classes", self.num_classes, low=1)
        checks.instance("recipe", self.recipe, Recipe, "be a Recipe")
        if self.test_size is not None:
            check_size("test_size", self.test_size, low=LEAST_SIDE)
        if self.pretrained is not None:
            checks.text("pretrained", self.pretrained)


_CLASSIFICATION = Recipe(
    optimizer="sgd",
    learning_rate=0.1,
    schedule="cosine",
    epochs=100,
    batch_size=160,
    size=(224, 224),
    momentum=0.9,
    weight_decay=1e-4,
    augmentation=ImageAugmentation(size=(224, 224), area=(0.08, 1.0), flip=0.5),  # customary range
)

_COLOURS = ImageAugmentation(
    size=(112, 112),
    area=(0.2, 1.0),  # customary
    brightness=0.5,
    contrast=0.5,
    saturation=0.5,
    hue=0.25,
)


def _segmentation(size: tuple[int, int]) -> Recipe:
    return replace(
        _CLASSIFICATION,
        schedule="poly",
        epochs=537,  # 25,000 steps of 64 images out of 2,975
        batch_size=64,
        size=size,
        weight_decay=4e-5,
        min_learning_rate=1e-4,
        # customary ranges and strengths
        augmentation=replace(
            _COLOURS, size=size, area=None, zoom=(0.5, 2.0), flip=0.5, brightness=0.125, hue=0.05
        ),
    )


_VIDEO = replace(
    _CLASSIFICATION,
    optimizer="adam",
    learning_rate=0.01,
    batch_size=80,
    size=(112, 112),
    weight_decay=1e-5,
    augmentation=replace(_COLOURS, grayscale=0.3),
)
_DETECTION = Recipe(
    optimizer="adamw",
    learning_rate=2e-3,
    schedule="one_cycle",
    epochs=80,
    batch_size=16,
    size=(496, 432),  # pillars along y and x
    momentum=0.9,
    weight_decay=1e-2,
    min_learning_rate=2e-4,
    augmentation=CloudAugmentation(),  # ranges of PointPillars
)

# recipes for the small data sets, all with AdamW and the one-cycle schedule
_SMALL = replace(_DETECTION, min_learning_rate=1e-5, clip_norm=5.0)
_STREETS = replace(
    _SMALL,
    learning_rate=1e-2,
    epochs=14,
    batch_size=8,
    size=(80, 80),
    clip_norm=10.0,
    augmentation=CloudAugmentation(rotation=0.3),  # larger rotations leave the narrow point range
)
_ZOOM = ImageAugmentation(size=(32, 32), zoom=(0.85, 1.15))  # without flips, which change digits
_DIGITS = replace(
    _SMALL, learning_rate=4e-3, epochs=10, batch_size=32, size=(32, 32), augmentation=_ZOOM
)
_SCENES = replace(
    _DIGITS,
    epochs=20,
    batch_size=16,
    size=(48, 48),
    augmentation=ImageAugmentation(size=(48, 48), zoom=(0.85, 1.2)),
)
_CLIPS = replace(_DIGITS, learning_rate=3e-3, epochs=16, augmentation=None)


def _classes(data: str, number: int, recipe: Recipe, *, task: str = "classification") -> Preset:
    return Preset(task=task, data=data, num_classes=number, metric="top1", recipe=recipe)


def _masks(
    data: str, number: int, recipe: Recipe, test_size: tuple[int, int] | None = None
) -> Preset:
    return Preset(
        task="segmentation",
        data=data,
        num_classes=number,
        metric="mIoU",
        recipe=recipe,
        test_size=test_size,
    )


def _boxes(data: str, number: int, recipe: Recipe, metric: str) -> Preset:
    return Preset(task="detection3d", data=data, num_classes=number, metric=metric, recipe=recipe)


_CLS_A = _classes("ImageNet, 50 classes of 1,000 images", 50, _CLASSIFICATION)
_HMDB = _classes("HMDB51, first split", 51, _VIDEO, task="video")

PRESETS = {
    "cls-50-1000": _CLS_A,
    "cls-50-100": replace(_CLS_A, data="ImageNet, 50 classes of 100 images"),
    "cls-10-1000": replace(_CLS_A, data="ImageNet, 10 classes of 1,000 images", num_classes=10),
    "cls-10c": replace(_CLS_A, recipe=replace(_CLASSIFICATION, epochs=10)),
    "seg": _masks("Cityscapes", 19, _segmentation((512, 1024)), (1024, 2048)),
    "seg-4x": _masks("Cityscapes, resized to 256 × 512", 19, _segmentation((128, 256)), (256, 512)),
    "3ddet": _boxes("KITTI", 3, _DETECTION, "car 3D AP, moderate"),
    "video": _HMDB,
    "video-p": replace(_HMDB, pretrained="cls-50-1000"),
    "streets": _boxes(
        "generated street scenes",
        2,
        _STREETS,
        "AP3D, mean of car (IoU 0.5) and cyclist (IoU 0.25)",
    ),
    "digits-cls": _classes("scikit-learn's digits", 10, _DIGITS),
    "digits-seg": _masks("scenes of scikit-learn's digits", 11, _SCENES),
    "digits-video": _classes("clips of scikit-learn's digits", 8, _CLIPS, task="video"),
}
