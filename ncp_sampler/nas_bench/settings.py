"""Settings of NAS-Bench-MR: folder names, short names, metrics and main metric."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """Setting of NAS-Bench-MR: a task and data set for which the architectures were trained.

    Attributes:
        name: Folder name of the published table.
        alias: Short name, derived from the name in the paper.
        metrics: Names of the metrics, with the main metric first. All are in percent and are
            maximized.
        description: Task, data set and variant.

    Examples:
        >>> from ncp_sampler.nas_bench import SETTINGS
        >>> SETTINGS[0].name, SETTINGS[0].metrics
        ('cls-50-1000', ('top1', 'top5'))
    """

    name: str
    alias: str
    metrics: tuple[str, ...]
    description: str

    @property
    def main(self) -> str:
        """Metric that the paper reports for this setting."""
        return self.metrics[0]


_TOP = ("top1", "top5")
_SEG = ("mIoU", "mAcc", "aAcc")

SETTINGS: tuple[Setting, ...] = (
    Setting("cls-50-1000", "cls-a", _TOP, "ImageNet, 50 classes, 1,000 images each"),
    Setting("cls-50-100", "cls-b", _TOP, "ImageNet, 50 classes, 100 images each"),
    Setting("cls-10-1000", "cls-c", _TOP, "ImageNet, 10 classes, 1,000 images each"),
    Setting("cls-10c", "cls-10c", _TOP, "ImageNet-50-1000, 10 epochs"),
    Setting("seg", "seg", _SEG, "Cityscapes semantic segmentation, 512x1024"),
    Setting("seg-4x", "seg-4x", _SEG, "Cityscapes semantic segmentation, 128x256"),
    Setting("3ddet", "3ddet", ("moderate",), "KITTI 3D car detection; no surrogate is shipped"),
    Setting("video", "video", _TOP, "HMDB51 action recognition, from scratch"),
    Setting("video-p", "video-p", _TOP, "HMDB51 action recognition, pretrained"),
)
NB201 = "nas-bench-201"

_BY_NAME = {key: s for s in SETTINGS for key in (s.name, s.alias)}


def find_setting(name: str) -> Setting:
    """Return the setting with the given folder name or short name, ignoring case.

    Raises:
        ValueError: If there is no such setting.
    """
    setting = _BY_NAME.get(name.lower()) if isinstance(name, str) else None
    if setting is None:
        known = ", ".join(
            s.name if s.name == s.alias else f"{s.alias} ({s.name})" for s in SETTINGS
        )
        raise ValueError(f"unknown setting {name!r}; the settings are {known}")
    return setting
