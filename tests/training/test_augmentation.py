"""Augmentation: what each change does, and that it keeps images, masks and boxes in step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ncp_sampler.training import CloudAugmentation, ImageAugmentation

SIZE = (24, 40)


def image(channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(channels, 50, 60, generator=generator)


@pytest.mark.parametrize("shape", [(3, 50, 60), (1, 50, 60), (5, 3, 50, 60)])
def test_size_and_range(shape: tuple[int, ...]) -> None:
    change = ImageAugmentation(
        size=SIZE,
        area=(0.2, 1.0),
        flip=0.5,
        brightness=0.5,
        contrast=0.5,
        saturation=0.5,
        hue=0.25,
        grayscale=0.3,
    )
    torch.manual_seed(0)
    for _ in range(20):
        changed, mask = change(torch.rand(shape))
        assert changed.shape == (*shape[:-2], *SIZE)
        assert changed.isfinite().all()
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert mask is None


def test_frames_of_a_clip_change_alike() -> None:
    change = ImageAugmentation(size=SIZE, area=(0.2, 0.5), flip=0.5, brightness=0.5, hue=0.2)
    torch.manual_seed(1)
    clip, _ = change(image().expand(4, -1, -1, -1))
    assert torch.equal(clip, clip[:1].expand_as(clip))


def test_global_generator_decides() -> None:
    change = ImageAugmentation(size=SIZE, area=(0.2, 1.0), flip=0.5, brightness=0.5)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(change(image())[0])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_mask_follows_the_image() -> None:
    """An image that holds its own mask's classes stays equal to it."""
    mask = (torch.arange(60).expand(50, 60) // 20 + torch.arange(50)[:, None] // 25 * 3).long()
    change = ImageAugmentation(size=SIZE, zoom=(1.0, 1.0), flip=0.5)
    torch.manual_seed(2)
    for _ in range(10):
        changed, followed = change(mask[None] / 10, mask)
        assert followed is not None
        assert torch.equal((changed[0] * 10).round().long(), followed)


def test_hue_turns_red_to_green_to_blue_and_leaves_gray() -> None:
    third = ImageAugmentation(size=(1, 1), area=(1.0, 1.0), hue=0.5)
    torch.manual_seed(0)
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    brightest = {int(third(red)[0].flatten().argmax()) for _ in range(40)}
    assert brightest == {0, 1, 2}
    gray = torch.full((3, 1, 1), 0.4)
    assert torch.allclose(third(gray)[0], gray, atol=1e-5)


def test_area_and_zoom_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="one of area="):
        ImageAugmentation(size=SIZE)
    with pytest.raises(ValueError, match="one of area="):
        ImageAugmentation(size=SIZE, area=(0.1, 1), zoom=(1, 1))


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_a_range_is_refused_before_the_draw_that_it_would_ruin(ends: tuple[float, float]) -> None:
    for name in ("area", "zoom"):
        with pytest.raises(ValueError, match=f"{name}=.* must be a low end above 0 and a high"):
            ImageAugmentation(size=SIZE, **{name: ends})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 8)}, r"size=\(0, 8\) must be a height and a width of at least 1"),
        ({"size": 8}, "size=8 must be a height and a width"),
        ({"zoom": 2}, "zoom=2 must be a low end above 0"),
        ({"flip": 2}, "flip=2 must be between 0 and 1"),
        ({"contrast": "much"}, "contrast='much' must be a finite number of at least 0"),
        ({"hue": 0.7}, "hue=0.7 must be between 0 and 0.5"),
    ],
)
def test_bad_change_of_images(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageAugmentation(**{"size": SIZE, "zoom": (1, 1), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flip": -1}, "flip=-1 must be between 0 and 1"),
        ({"rotation": math.nan}, "rotation=nan must be a finite number of at least 0"),
        ({"scale": (0.0, 1.0)}, r"scale=\(0.0, 1.0\) must be a low end above 0"),
        ({"translation": -1}, "translation=-1 must be at least 0"),
    ],
)
def test_bad_change_of_clouds(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CloudAugmentation(**change)


def test_samples_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"image has shape \(8, 8\); it must be \(..., C, H, W\)"):
        ImageAugmentation(size=SIZE, zoom=(1, 1))(torch.ones(8, 8))
    with pytest.raises(ValueError, match=r"points has shape \(5, 3\); it must be \(n, 4\)"):
        CloudAugmentation()(torch.ones(5, 3), torch.ones(1, 7))


def test_cloud_and_boxes_move_together() -> None:
    """Points at the corners of a box are at its corners afterwards."""
    boxes = torch.tensor([[10.0, 5, -1, 4, 2, 1.5, 0.3], [20.0, -3, -1, 1, 0.6, 1.7, -1.2]])

    def corners(box: torch.Tensor) -> torch.Tensor:
        x, y, z, length, width, _, yaw = box.tolist()
        cos, sin = math.cos(yaw), math.sin(yaw)
        flat = [(a * length / 2, b * width / 2) for a in (-1, 1) for b in (-1, 1)]
        return torch.tensor([(x + cos * u - sin * v, y + sin * u + cos * v, z) for u, v in flat])

    points = torch.cat([torch.cat([corners(b), torch.full((4, 1), 0.5)], 1) for b in boxes])
    torch.manual_seed(0)
    for _ in range(10):
        moved, changed = CloudAugmentation()(points, boxes)
        assert torch.equal(moved[:, 3], points[:, 3])
        ratio = changed[:, 3:6] / boxes[:, 3:6]
        assert (ratio > 0.949).all()
        assert (ratio < 1.051).all()
        for i in range(2):
            gap = torch.cdist(moved[4 * i : 4 * i + 4, :3], corners(changed[i]))
            assert gap.amin(1).max() < 1e-4
