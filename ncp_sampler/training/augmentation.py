"""Augmentation of single training samples, for a data set's ``transform``.

Notation
    image   (..., C, H, W) in [0, 1], or bytes, which are scaled to that range; all frames of a clip
            (T, C, H, W) get the same random changes
    mask    class of each pixel, (H, W)
    points  (p, 4): x, y, z, reflectance
    boxes   (g, 7): x, y, z, length, width, height, yaw

All random numbers come from PyTorch's global generator, as in torchvision. Therefore,
``torch.manual_seed`` (or ``train(..., seed=...)``) determines them, even in a loader's workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ncp_sampler import checks
from ncp_sampler.training.pair_checks import check_range, check_size

# Function of an image and its mask, an image alone, or points and boxes, which returns the changed
# pair; its second item is None for an image alone
Transform = Callable[..., tuple[Tensor, Tensor | None]]

IGNORED = 255  # class of the unlabeled pixels in a mask

_LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True, kw_only=True)
class ImageAugmentation:
    """Random crop resized to a fixed size, random flip, and random photometric changes.

    Attributes:
        size: Height and width of the result, each at least 1.
        area: For classification: range of the crop's area, as a fraction of the image's area. The
            crop's aspect ratio is drawn from 3/4 to 4/3, and the crop lies within the image.
        zoom: For segmentation, instead of ``area``: range of the magnification. The crop has
            ``size`` / zoom pixels. Outside the image, the crop is padded with 0 and the mask with
            255.
        flip: Probability of a horizontal flip.
        brightness: Largest relative change b of the brightness; the factor is drawn from 1 - b to
            1 + b.
        contrast: Largest relative change of the contrast, as for brightness.
        saturation: Largest relative change of the saturation. Saturation, hue and grayscale only
            apply to images with three channels.
        hue: Largest rotation of the hue, in turns, up to 0.5.
        grayscale: Probability of conversion to grayscale.

    Raises:
        ValueError: Not exactly one of area and zoom is given, or a value is out of its range.

    Examples:
        >>> import torch
        >>> augmentation = ImageAugmentation(size=(32, 32), area=(0.5, 1.0), flip=0.5)
        >>> image, mask = augmentation(torch.rand(3, 48, 48))
        >>> image.shape
        torch.Size([3, 32, 32])
    """

    size: tuple[int, int]
    area: tuple[float, float] | None = None
    zoom: tuple[float, float] | None = None
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale: float = 0.0

    def __post_init__(self) -> None:
        if (self.area is None) == (self.zoom is None):
            raise ValueError(f"give exactly one of area={self.area} and zoom={self.zoom}")
        check_size("size", self.size, low=1)
        check_range(*("zoom", self.zoom) if self.area is None else ("area", self.area))
        for name in ("flip", "grayscale"):
            checks.number(name, getattr(self, name), low=0, high=1)
        for name in ("brightness", "contrast", "saturation"):
            checks.number(name, getattr(self, name), low=0)
        checks.number("hue", self.hue, low=0, high=0.5)

    def __call__(self, image: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the image (..., C, *size) and the mask (*size) after random changes.

        Raises:
            ValueError: The image is not a tensor of at least three axes.
        """
        checks.instance("image", image, Tensor, "be a tensor of shape (..., C, H, W)")
        if image.ndim < 3:
            raise ValueError(f"image has shape {tuple(image.shape)}; it must be (..., C, H, W)")
        top, left, height, width = self._box(image.shape[-2], image.shape[-1])
        flip = bool(torch.rand(()) < self.flip)
        if image.dtype == torch.uint8:  # bytes: white is 255
            image = image.float() / 255
        image = self._fit(_crop(image, top, left, height, width, 0.0), flip, smooth=True)
        if mask is not None:
            cropped = _crop(mask[None].float(), top, left, height, width, float(IGNORED))
            mask = self._fit(cropped, flip, smooth=False)[0].to(mask.dtype)
        return self._photometric(image), mask

    def _box(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        """Draw the top, left, height and width of the crop, in pixels of the image."""
        if self.area is not None:
            area = _uniform(*self.area) * rows * columns
            aspect = math.exp(_uniform(math.log(3 / 4), math.log(4 / 3)))
            height = min(rows, max(1, round(math.sqrt(area / aspect))))
            width = min(columns, max(1, round(math.sqrt(area * aspect))))
        else:
            assert self.zoom is not None
            zoom = _uniform(*self.zoom)
            height, width = (max(1, round(side / zoom)) for side in self.size)
        return _offset(rows, height), _offset(columns, width), height, width

    def _fit(self, images: Tensor, flip: bool, *, smooth: bool) -> Tensor:
        """Return images (..., C, h, w), resized to ``size`` and flipped if ``flip`` is True."""
        flat = images.reshape(-1, 1, *images.shape[-2:])
        if flat.shape[-2:] != tuple(self.size):
            flat = (
                functional.interpolate(flat, self.size, mode="bilinear", antialias=True)
                if smooth
                else functional.interpolate(flat, self.size, mode="nearest-exact")
            )
        fitted = flat.reshape(*images.shape[:-2], *self.size)
        return fitted.flip(-1) if flip else fitted

    def _photometric(self, image: Tensor) -> Tensor:
        if self.brightness:
            image = (image * _factor(self.brightness)).clamp(0, 1)
        if self.contrast:
            middle = _gray(image).mean((-3, -2, -1), keepdim=True)
            image = (middle + (image - middle) * _factor(self.contrast)).clamp(0, 1)
        if image.shape[-3] != 3:
            return image
        if self.saturation:
            gray = _gray(image)
            image = (gray + (image - gray) * _factor(self.saturation)).clamp(0, 1)
        if self.hue:
            image = _turn_hue(image, _uniform(-self.hue, self.hue)).clamp(0, 1)
        if torch.rand(()) < self.grayscale:
            image = _gray(image).expand_as(image)
        return image


@dataclass(frozen=True, kw_only=True)
class CloudAugmentation:
    """Random rigid transformation and scaling of a point cloud together with its boxes.

    Attributes:
        flip: Probability of a reflection across the x axis.
        rotation: Largest rotation about the z axis, in radians, nonnegative.
        scale: Range of the scale factor.
        translation: Standard deviation of the shift along each axis, in meters, nonnegative.

    Raises:
        ValueError: A value is out of its range.

    Examples:
        >>> CloudAugmentation(flip=0.5, scale=(0.95, 1.05)).translation
        0.2
    """

    flip: float = 0.5
    rotation: float = math.pi / 4
    scale: tuple[float, float] = (0.95, 1.05)
    translation: float = 0.2

    def __post_init__(self) -> None:
        checks.number("flip", self.flip, low=0, high=1)
        checks.number("rotation", self.rotation, low=0)
        check_range("scale", self.scale)
        checks.number("translation", self.translation, low=0)

    def __call__(self, points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (p, 4) and boxes (g, 7) after random changes; the arguments do not change.

        Reflectances stay the same.

        Raises:
            ValueError: Points or boxes do not have these shapes.
        """
        for name, rows, width in (("points", points, 4), ("boxes", boxes, 7)):
            checks.instance(name, rows, Tensor, f"be a tensor of shape (n, {width})")
            if rows.ndim != 2 or rows.shape[1] != width:
                raise ValueError(f"{name} has shape {tuple(rows.shape)}; it must be (n, {width})")
        points, boxes = points.clone(), boxes.clone()
        if torch.rand(()) < self.flip:
            points[:, 1].neg_()
            boxes[:, [1, 6]] *= -1
        turn, scale = _uniform(-self.rotation, self.rotation), _uniform(*self.scale)
        shift = points.new_tensor([self.translation * float(torch.randn(())) for _ in range(3)])
        cos, sin = math.cos(turn), math.sin(turn)
        for rows in (points, boxes):
            x, y = rows[:, 0].clone(), rows[:, 1].clone()
            rows[:, 0], rows[:, 1] = cos * x - sin * y, sin * x + cos * y
            rows[:, :3] *= scale
            rows[:, :3] += shift
        boxes[:, 3:6] *= scale
        boxes[:, 6] += turn
        return points, boxes


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _factor(change: float) -> float:
    return max(0.0, _uniform(1 - change, 1 + change))


def _offset(side: int, crop: int) -> int:
    """Draw the start of a crop along a side; negative if the crop is longer than the side."""
    low, high = min(0, side - crop), max(0, side - crop)
    return int(torch.randint(low, high + 1, ()))


def _crop(image: Tensor, top: int, left: int, height: int, width: int, fill: float) -> Tensor:
    """Return the crop of an image that begins at (top, left), padded outside the image."""
    rows, columns = image.shape[-2:]
    inside = image[..., max(top, 0) : top + height, max(left, 0) : left + width]
    before_x, before_y = max(-left, 0), max(-top, 0)
    after_x, after_y = max(left + width - columns, 0), max(top + height - rows, 0)
    return functional.pad(inside, [before_x, after_x, before_y, after_y], value=fill)


def _gray(image: Tensor) -> Tensor:
    """Return the luma (..., 1, H, W); without three channels, the mean of all channels."""
    if image.shape[-3] != 3:
        return image.mean(-3, keepdim=True)
    weights = image.new_tensor(_LUMA)[:, None, None]
    return (image * weights).sum(-3, keepdim=True)


def _turn_hue(image: Tensor, turns: float) -> Tensor:
    """Return the image with a rotated chroma plane (YIQ), which keeps the luma."""
    to_yiq = image.new_tensor([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
    cos, sin = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    turn = image.new_tensor([(1, 0, 0), (0, cos, -sin), (0, sin, cos)])
    return torch.einsum("ij,...jhw->...ihw", torch.linalg.inv(to_yiq) @ turn @ to_yiq, image)
