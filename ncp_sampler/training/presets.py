"""Recipes by name: those of NAS-Bench-MR's nine settings, and small ones for the digits.

The figures are those of the paper's Table 6 and Appendix A. What these leave open is the customary
choice and marked so: the ranges of resizing and cropping, the strength of the photometric
distortion, the shape of one-cycle. The momentum is kept, though the paper says that it follows
"poly" as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ncp_sampler.training.augmentation import CloudAugmentation, ImageAugmentation
from ncp_sampler.training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One setting.

    Attributes:
        task: "classification", "segmentation", "video" or "detection3d".
        data: Data set.
        num_classes: Of the network.
        metric: The main one.
        recipe: Of the training.
        test_size: Height and width of the test input, where it is not the training's.
        pretrained: The preset whose trained weights the network starts from, or None.
    """

    task: str
    data: str
    num_classes: int
    metric: str
    recipe: Recipe
    test_size: tuple[int, int] | None = None
    pretrained: str | None = None


_CLASSIFICATION = Recipe(
    optimizer="sgd",
    learning_rate=0.1,
    schedule="cosine",
    epochs=100,
    batch_size=160,
    size=(224, 224),
    momentum=0.9,
    weight_decay=1e-4,
    augmentation=ImageAugmentation(size=(224, 224), area=(0.08, 1.0), flip=0.5),  # range customary
)


def _segmentation(size: tuple[int, int]) -> Recipe:
    return Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        schedule="poly",
        epochs=537,  # 25,000 steps of 64 images out of 2,975
        batch_size=64,
        size=size,
        momentum=0.9,
        weight_decay=4e-5,
        min_learning_rate=1e-4,
        augmentation=ImageAugmentation(  # ranges and strengths customary
            size=size,
            zoom=(0.5, 2.0),
            flip=0.5,
            brightness=0.125,
            contrast=0.5,
            saturation=0.5,
            hue=0.05,
        ),
    )


_VIDEO = Recipe(
    optimizer="adam",
    learning_rate=0.01,
    schedule="cosine",
    epochs=100,
    batch_size=80,
    size=(112, 112),
    weight_decay=1e-5,
    augmentation=ImageAugmentation(
        size=(112, 112),
        area=(0.2, 1.0),  # customary
        brightness=0.5,
        contrast=0.5,
        saturation=0.5,
        hue=0.25,
        grayscale=0.3,
    ),
)

# no flips: they make other digits
_DIGITS = Recipe(
    optimizer="adamw",
    learning_rate=4e-3,
    schedule="one_cycle",
    epochs=10,
    batch_size=32,
    size=(32, 32),
    weight_decay=1e-2,
    min_learning_rate=1e-5,
    clip_norm=5.0,
    augmentation=ImageAugmentation(size=(32, 32), zoom=(0.85, 1.15)),
)

_CLS_A = Preset(
    task="classification",
    data="ImageNet, 50 classes of 1,000 images",
    num_classes=50,
    metric="top1",
    recipe=_CLASSIFICATION,
)
_SEG = Preset(
    task="segmentation",
    data="Cityscapes",
    num_classes=19,
    metric="mIoU",
    recipe=_segmentation((512, 1024)),
    test_size=(1024, 2048),
)
_VIDEO_SCRATCH = Preset(
    task="video", data="HMDB51, first split", num_classes=51, metric="top1", recipe=_VIDEO
)

PRESETS = {
    "cls-50-1000": _CLS_A,
    "cls-50-100": replace(_CLS_A, data="ImageNet, 50 classes of 100 images"),
    "cls-10-1000": replace(_CLS_A, data="ImageNet, 10 classes of 1,000 images", num_classes=10),
    "cls-10c": replace(_CLS_A, recipe=replace(_CLASSIFICATION, epochs=10)),
    "seg": _SEG,
    "seg-4x": replace(
        _SEG,
        data="Cityscapes, resized to 256 × 512",
        recipe=_segmentation((128, 256)),
        test_size=(256, 512),
    ),
    "3ddet": Preset(
        task="detection3d",
        data="KITTI",
        num_classes=3,
        metric="car 3D AP, moderate",
        recipe=Recipe(
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
        ),
    ),
    "video": _VIDEO_SCRATCH,
    "video-p": replace(_VIDEO_SCRATCH, pretrained="cls-50-1000"),
    "streets": Preset(
        task="detection3d",
        data="generated street scenes",
        num_classes=2,
        metric="AP3D, mean of car (IoU 0.5) and cyclist (IoU 0.25)",
        recipe=Recipe(
            optimizer="adamw",
            learning_rate=1e-2,
            schedule="one_cycle",
            epochs=14,
            batch_size=8,
            size=(80, 80),  # pillars along y and x
            weight_decay=1e-2,
            min_learning_rate=1e-5,
            clip_norm=10.0,
            augmentation=CloudAugmentation(rotation=0.3),  # more would leave the narrow range
        ),
    ),
    "digits-cls": Preset(
        task="classification",
        data="scikit-learn's digits",
        num_classes=10,
        metric="top1",
        recipe=_DIGITS,
    ),
    "digits-seg": Preset(
        task="segmentation",
        data="scenes of scikit-learn's digits",
        num_classes=11,
        metric="mIoU",
        recipe=replace(
            _DIGITS,
            epochs=20,
            batch_size=16,
            size=(48, 48),
            augmentation=ImageAugmentation(size=(48, 48), zoom=(0.85, 1.2)),
        ),
    ),
    "digits-video": Preset(
        task="video",
        data="clips of scikit-learn's digits",
        num_classes=8,
        metric="top1",
        recipe=replace(_DIGITS, learning_rate=3e-3, epochs=16, augmentation=None),
    ),
}
