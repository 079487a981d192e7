"""The digits: parts that share no source digit, and what images, scenes and clips hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ncp_sampler.training import (
    CLIP_CLASSES,
    IGNORED,
    DigitClips,
    Digits,
    DigitScenes,
    ImageAugmentation,
)
from ncp_sampler.training.data.digits import DIRECTIONS, source_rows
from ncp_sampler.training.data.splits import PARTS


def test_parts_share_no_source_digit_and_have_all_of_them() -> None:
    rows = [source_rows(part) for part in PARTS]
    assert sorted(np.concatenate(rows)) == list(range(1797))
    target = load_digits().target
    for part, share in PARTS.items():
        counts = np.bincount(target[source_rows(part)])
        assert len(source_rows(part)) == pytest.approx(share * 1797, abs=2)
        assert counts == pytest.approx(share * np.bincount(target), abs=2)  # stratified


@pytest.mark.parametrize("size", [32, 41])
def test_digits_are_the_source_enlarged(size: int) -> None:
    digits = Digits("val", size=size)
    image, label = digits[7]
    source = load_digits()
    row = source_rows("val")[7]
    assert image.shape == (1, size, size)
    assert int(label) == source.target[row]
    assert image.min() >= 0
    assert image.max() <= 1
    if size == 32:  # four pixels a source pixel: their mean is near it
        blocks = image.reshape(8, 4, 8, 4).mean((1, 3)).numpy()
        assert np.corrcoef(blocks.ravel(), source.images[row].ravel())[0, 1] > 0.99
    assert len(Digits("val", limit=10)) == 10


def test_scenes_have_the_ink_of_their_part_alone() -> None:
    scenes = DigitScenes("test", length=40, size=48, seed=3)
    image, mask = scenes[0]
    assert image.shape == (1, 48, 48)
    assert mask.shape == (48, 48)
    assert set(scenes.masks.unique().tolist()) == set(range(11))
    ink = scenes.masks > 0
    assert (scenes.images[:, 0][ink] >= 0.4).all()
    digits_in_scene = [len(mask.unique()) - 1 for mask in scenes.masks]
    assert min(digits_in_scene) >= 1
    assert max(digits_in_scene) == 3


def test_every_clip_moves_as_its_class_says() -> None:
    clips = DigitClips("train", length=64, frames=3, step=5, seed=1)
    assert clips.clips.shape == (64, 1, 3, 32, 32)
    assert set(clips.labels.tolist()) == set(range(CLIP_CLASSES))
    for clip, label in zip(clips.clips[:, 0], clips.labels, strict=True):
        down, right = DIRECTIONS[int(label) // 2]
        assert torch.equal(clip[0].roll((5 * down, 5 * right), (0, 1)), clip[1])
        assert torch.equal(clip[1].roll((5 * down, 5 * right), (0, 1)), clip[2])


def test_a_single_frame_does_not_tell_the_direction() -> None:
    """Where the ink is centred in the first frame is spread alike for all four directions."""
    clips = DigitClips("train", length=2000, seed=0)
    rows = clips.clips[:, 0, 0].sum(2)  # ink of each row
    angle = torch.exp(2j * torch.pi * torch.arange(32) / 32)  # the canvas is a ring
    centre = (rows * angle).sum(1) / rows.sum(1)
    for direction in range(4):
        mean = centre[clips.labels // 2 == direction].mean()
        assert abs(mean) < 0.1  # of at most 1; about 0.04 by chance


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: DigitScenes("train", length=5, seed=seed).images,
        lambda seed: DigitScenes("train", length=5, seed=seed).masks.float(),
        lambda seed: DigitClips("train", length=5, seed=seed).clips,
    ],
)
def test_seeded(make) -> None:  # type: ignore[no-untyped-def]
    assert torch.equal(make(1), make(1))
    assert not torch.equal(make(1), make(2))


def test_wrapped_clips_change_and_keep_their_motion() -> None:
    clips = DigitClips("train", length=1, wrap=True)
    torch.manual_seed(0)
    (first, label), (second, _) = clips[0], clips[0]
    assert not torch.equal(first, second)
    down, right = DIRECTIONS[int(label) // 2]
    for clip in (first, second):
        assert torch.equal(clip[0, 0].roll((4 * down, 4 * right), (0, 1)), clip[0, 1])


def test_transform_reaches_image_and_mask_alike() -> None:
    flip = ImageAugmentation(size=(48, 48), zoom=(1.0, 1.0), flip=1.0)
    plain, flipped = (DigitScenes("val", length=2, transform=t) for t in (None, flip))
    assert torch.equal(plain[1][0].flip(-1), flipped[1][0])
    assert torch.equal(plain[1][1].flip(-1), flipped[1][1])


def test_a_smaller_zoom_pads_the_mask_with_the_ignored_class() -> None:
    out = ImageAugmentation(size=(48, 48), zoom=(0.5, 0.5))
    torch.manual_seed(0)
    image, mask = DigitScenes("val", length=1, transform=out)[0]
    padded = mask == IGNORED
    assert int(padded.sum()) == 48 * 48 * 3 // 4
    assert not image[0][padded].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Digits("all"), "part='all' must be one of"),
        (lambda: DigitClips("all", length=1), "part='all'"),
        (lambda: Digits("val", size=16), "size=16 must be at least 32"),
        (lambda: Digits("val", limit=-5), "limit=-5 must be at least 1"),
        (lambda: DigitClips("val", length=1, seed=-1), "seed=-1 must be at least 0"),
        (lambda: DigitScenes("val", length=0), "length=0 must be at least 1"),
        (lambda: DigitClips("val", length=1, frames=1), "frames=1 must be at least 2"),
        (lambda: DigitClips("val", length=1, step=16), "step=16 must be between 1 and 15"),
    ],
)
def test_bad_argument(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (Digits, {"transform": 5}, "transform=5 must be a function of a sample"),
        (DigitScenes, {"length": 1, "seed": 0.5}, "seed=0.5 must be an integer"),
        (DigitClips, {"length": 1, "wrap": "no"}, "wrap='no' must be True or False"),
    ],
)
def test_argument_of_another_type(make: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("val", **change)
