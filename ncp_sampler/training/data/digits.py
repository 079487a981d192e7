"""Data sets of scikit-learn's handwritten digits: images, scenes and clips.

The 1,797 source digits (8 × 8) are split once into parts, stratified by class. No digit of one part
occurs in another part, neither as an image nor in a scene or clip. A seeded generator composes
scenes and clips
from the digits of their part.

Notation
    n, C, H, W   number of samples, channels (1), height and width; values are in [0, 1]
    T            number of frames of a clip
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ncp_sampler import checks
from ncp_sampler.multi_resolution.blueprint import LEAST_SIDE
from ncp_sampler.training.augmentation import Transform
from ncp_sampler.training.data.splits import PARTS, check_split, check_transform, split_generator

DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # steps of (row, column): right, left, down, up
CLIP_CLASSES = 2 * len(DIRECTIONS)  # number of classes of DigitClips

_SPLIT_SEED = 0  # fixed, so that the parts are the same for all data sets and seeds
_INK = 0.4  # minimum value of a pixel that belongs to a digit


class Digits(Dataset[tuple[Tensor, Tensor]]):
    """Enlarged digits of one part: image (1, size, size) and class, 0 to 9.

    Args:
        part: "train", "val" or "test".
        size: Side of an image in pixels, at least 32.
        limit: Number of digits, from the start of the part, at least 1; None for all.
        transform: Function applied to an image each time it is read.

    Raises:
        ValueError: The part is unknown, or size or limit is below its minimum.

    Examples:
        >>> image, label = Digits("train", limit=10)[0]
        >>> image.shape
        torch.Size([1, 32, 32])
    """

    def __init__(
        self,
        part: str,
        *,
        size: int = LEAST_SIDE,
        limit: int | None = None,
        transform: Transform | None = None,
    ) -> None:
        images, labels = _source(part)
        if limit is not None:
            checks.integer("limit", limit, low=1)  # a slice to -1 would drop the last digit
        self.images = _enlarge(images[:limit], _side(size))
        self.labels = labels[:limit]
        self._transform = check_transform(transform)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index]
        if self._transform is not None:
            image, _ = self._transform(image)
        return image, self.labels[index]


class DigitScenes(Dataset[tuple[Tensor, Tensor]]):
    """Scenes of two or three digits: image (1, size, size) and classes of pixels (size, size).

    Class 0 is the background, and class 1 + d is the ink of digit d. Digits are 20 to 28 pixels
    high. They may overlap; a pixel then has the class of the later digit.

    Args:
        part: Part of the digits in the scenes: "train", "val" or "test".
        length: Number of scenes, at least 1.
        size: Side of a scene in pixels, at least 32.
        seed: Seed of the composition, at least 0.
        transform: Function applied to a scene each time it is read.

    Raises:
        ValueError: The part is unknown, or length, size or seed is below its minimum.

    Examples:
        >>> image, mask = DigitScenes("train", length=2)[0]
        >>> image.shape, mask.shape
        (torch.Size([1, 48, 48]), torch.Size([48, 48]))
    """

    def __init__(
        self,
        part: str,
        *,
        length: int,
        size: int = 48,
        seed: int = 0,
        transform: Transform | None = None,
    ) -> None:
        rng = split_generator(part, seed)
        length, size = checks.integer("length", length, low=1), _side(size)
        digits, labels = _source(part)
        self.images = torch.zeros(length, 1, size, size)
        self.masks = torch.zeros(length, size, size, dtype=torch.long)
        for image, mask in zip(self.images[:, 0], self.masks, strict=True):
            for _ in range(rng.integers(2, 4)):
                which, side = int(rng.integers(len(digits))), int(rng.integers(20, 29))
                digit = _enlarge(digits[which : which + 1], side)[0, 0]
                top, left = (int(at) for at in rng.integers(0, size - side + 1, 2))
                place = (slice(top, top + side), slice(left, left + side))
                image[place] = torch.maximum(image[place], digit)
                mask[place][digit >= _INK] = 1 + labels[which]
        self._transform = check_transform(transform)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.images[index], self.masks[index]
        if self._transform is not None:
            image, changed = self._transform(image, mask)
            assert changed is not None
            mask = changed
        return image, mask


class DigitClips(Dataset[tuple[Tensor, Tensor]]):
    """Clips of one moving digit: clip (1, frames, size, size) and class, 0 to 7.

    The class is 2 × direction + (digit >= 5), where the direction is an index of ``DIRECTIONS``.
    The canvas wraps around, and the digit starts anywhere, so that no single frame shows the
    direction.

    Args:
        part: Part of the digits in the clips: "train", "val" or "test".
        frames: Number of frames per clip, at least 2.
        length: Number of clips, at least 1.
        size: Side of a frame in pixels, at least 32.
        step: Number of pixels that the digit moves per frame, at least 1. It must be less than half
            of ``size``, because otherwise left and right cannot be distinguished.
        seed: Seed of the composition, at least 0.
        wrap: True to roll a clip by a random number of pixels each time it is read, which is
            equivalent to another starting position.

    Raises:
        ValueError: The part is unknown, or a number is out of its range.

    Examples:
        >>> clip, label = DigitClips("train", length=2)[0]
        >>> clip.shape
        torch.Size([1, 4, 32, 32])
    """

    def __init__(
        self,
        part: str,
        *,
        frames: int = 4,
        length: int,
        size: int = LEAST_SIDE,
        step: int = 4,
        seed: int = 0,
        wrap: bool = False,
    ) -> None:
        rng = split_generator(part, seed)
        length, frames = (
            checks.integer("length", length, low=1),
            checks.integer("frames", frames, low=2),
        )
        size = _side(size)
        step = checks.integer("step", step, low=1, high=(size - 1) // 2)
        digits, labels = _source(part)
        enlarged = _enlarge(digits, 20)
        enlarged = functional.pad(enlarged, (0, size - 20, 0, size - 20))[:, 0]
        which = rng.integers(len(digits), size=length)
        way = rng.integers(len(DIRECTIONS), size=length)
        start = rng.integers(size, size=(length, 2))
        self.clips = torch.empty(length, 1, frames, size, size)
        for clip, digit, direction, (row, column) in zip(
            self.clips, which, way, start, strict=True
        ):
            down, right = DIRECTIONS[direction]
            for t in range(frames):
                at = (int(row) + t * step * down, int(column) + t * step * right)
                clip[0, t] = enlarged[digit].roll(at, (0, 1))
        self.labels = 2 * torch.from_numpy(way) + (labels[which] >= 5)
        self._wrap = checks.flag("wrap", wrap)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        clip = self.clips[index]
        if self._wrap:
            shift = torch.randint(clip.shape[-1], (2,)).tolist()
            clip = clip.roll(shift, (-2, -1))
        return clip, self.labels[index]


def source_rows(part: str) -> NDArray[np.intp]:
    """Return the indices of a part's digits in ``sklearn.datasets.load_digits()``, shuffled.

    Raises:
        ValueError: The part is unknown.
    """
    return _split()[check_split(part)]


@cache
def _split() -> dict[str, NDArray[np.intp]]:
    from sklearn.model_selection import train_test_split

    labels = _load()[1].numpy()
    rest = np.arange(len(labels))
    rows: dict[str, NDArray[np.intp]] = {}
    left = 1.0
    for part in ("test", "val"):
        share = PARTS[part] / left
        rest, rows[part] = train_test_split(
            rest, test_size=share, random_state=_SPLIT_SEED, stratify=labels[rest]
        )
        left -= PARTS[part]
    rows["train"] = rest
    return rows


@cache
def _load() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float() / 16
    return images[:, None], torch.from_numpy(data.target).long()


def _source(part: str) -> tuple[Tensor, Tensor]:
    """Return the images (n, 1, 8, 8) in [0, 1] and classes (n,) of a part."""
    images, labels = _load()
    rows = torch.from_numpy(source_rows(part))
    return images[rows], labels[rows]


def _enlarge(images: Tensor, side: int) -> Tensor:
    resized: Tensor = functional.interpolate(
        images, (side, side), mode="bilinear", align_corners=False
    )
    return resized


def _side(size: int) -> int:
    return checks.integer("size", size, low=LEAST_SIDE)
