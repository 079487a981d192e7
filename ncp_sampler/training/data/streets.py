"""Generated lidar scans of street scenes, for 3D detection without a download.

Notation
    R    number of rays of a scan, all from the origin, 1.73 m above the ground
    S    number of solid boxes that rays can hit
    box  as in ``ncp_sampler.detection3d.boxes``

Each scene consists of flat ground with cars, cyclists and clutter: boxes of various sizes that
stand for walls, poles and bushes. Objects do not overlap. Each object has its own size, yaw and
reflectance, and the front of a car or cyclist differs from its back (a hood, a rider behind the
front wheel). A ray returns the first surface that it hits, so near objects hide far ones. Measured
distances and reflectances are noisy, and some rays are lost. Classes differ in size and, on
average, in reflectance, but clutter can have any reflectance. Most objects face along the street
(the x axis), and some face across it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ncp_sampler import checks
from ncp_sampler.detection3d.anchors import CAR, CYCLIST
from ncp_sampler.training.augmentation import Transform
from ncp_sampler.training.data.splits import check_transform, split_generator
from ncp_sampler.training.detection import Scene

CLASSES = ("car", "cyclist")
ANCHORS = (  # with lower overlaps than in KITTI, because cells are larger here (0.8 m)
    replace(CAR, positive=0.45, negative=0.3),
    replace(CYCLIST, positive=0.35, negative=0.2),
)
IOUS = (0.5, 0.25)  # minimum overlap of a true detection of each class: KITTI's looser thresholds
POINT_RANGE = (0.0, -8.0, -3.0, 16.0, 8.0, 1.0)  # low x, y, z, then high x, y, z, in meters
PILLAR = 0.2  # side length of a pillar in meters, for a map of 80×80 pillars

_GROUND = -1.73  # z of the ground in meters, as for KITTI's scanner
_BEAMS, _TURNS = 32, 150  # numbers of elevations and azimuths
_ELEVATION = (-24.0, 2.0)  # range of the elevations in degrees
_AZIMUTH = (-45.0, 45.0)  # range of the azimuths in degrees
_RANGE_NOISE = 0.02  # standard deviation in meters
_LOST = 0.1  # fraction of lost rays
_REFLECTANCE = {"car": 0.55, "cyclist": 0.35, "ground": 0.2}  # mean reflectance of each surface
_OBJECTS = (2, 6)  # minimum and maximum number of cars and cyclists in a scene
_CLUTTER = (1, 4)  # minimum and maximum number of clutter boxes in a scene
_SEEN = 8  # minimum number of points on a labeled box
_TRIES = 30  # maximum number of attempts to place an object
_HEADINGS = (0.0, math.pi, math.pi / 2, -math.pi / 2)  # along the street, and across
_HEADING_SHARES = (0.35, 0.35, 0.15, 0.15)  # probability of each heading
_SWERVE = math.radians(10)  # standard deviation of the yaw from the heading

Array = NDArray[np.float64]


class StreetScenes(Dataset[Scene]):
    """Scenes of one part: points (p, 4), boxes (g, 7) and classes of the boxes (g,).

    Points are x, y, z in meters and reflectance in [0, 1]. Each box has at least 8 points on it,
    and its center is in ``POINT_RANGE``; g may be 0. Classes are indices of ``CLASSES``.

    Args:
        part: "train", "val" or "test". Different parts have different scenes.
        length: Number of scenes, at least 1. A larger number appends scenes.
        seed: Seed of the scenes, at least 0.
        transform: Function such as ``CloudAugmentation``, applied each time a scene is read. Boxes
            whose centers leave the range in x or y are dropped.

    Raises:
        ValueError: The part is unknown, or length or seed is below its minimum.

    Examples:
        >>> points, boxes, labels = StreetScenes("train", length=1)[0]
        >>> points.shape[1], boxes.shape[1]
        (4, 7)
    """

    def __init__(
        self, part: str, *, length: int, seed: int = 0, transform: Transform | None = None
    ) -> None:
        numbers = range(checks.integer("length", length, low=1))
        self.scenes = [_scene(split_generator(part, seed, i)) for i in numbers]
        self._transform = check_transform(transform)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Scene:
        points, boxes, labels = self.scenes[index]
        if self._transform is not None:
            points, changed = self._transform(points, boxes)
            assert changed is not None
            low, high = changed.new_tensor(POINT_RANGE).view(2, 3)[:, :2]
            inside = ((changed[:, :2] >= low) & (changed[:, :2] < high)).all(1)
            boxes, labels = changed[inside], labels[inside]
        return points, boxes, labels


def _scene(rng: np.random.Generator) -> Scene:
    objects = _place(rng)
    labels = np.array([label for label, _ in objects])
    boxes = np.array([box for _, box in objects])
    solids, owner = _solids(labels, boxes)
    rays = _rays(rng)
    distance, hit = _first_hit(rays, solids)
    owner_hit = np.where(hit >= 0, owner[hit], -1)  # -1 for the ground
    seen = np.isfinite(distance) & (rng.random(len(rays)) >= _LOST)
    shine = np.append([_shine(rng, label) for label in labels], _REFLECTANCE["ground"])
    points = rays * (distance + rng.normal(0, _RANGE_NOISE, len(rays)))[:, None]
    reflectance = np.clip(shine[owner_hit] + rng.normal(0, 0.05, len(rays)), 0, 1)
    low, high = np.reshape(POINT_RANGE, (2, 3))
    seen &= ((points >= low) & (points < high)).all(1)
    counts = np.bincount(owner_hit[seen] + 1, minlength=len(objects) + 1)[1:]
    wanted = (labels >= 0) & (counts >= _SEEN)
    cloud = np.column_stack((points, reflectance))[seen]
    return (
        torch.tensor(cloud, dtype=torch.float32),
        torch.tensor(boxes[wanted], dtype=torch.float32),
        torch.tensor(labels[wanted]),
    )


def _place(rng: np.random.Generator) -> list[tuple[int, Array]]:
    """Draw labels (-1 for clutter) and boxes on the ground, disjoint and away from the scanner."""
    wanted = [int(k) for k in rng.integers(0, len(CLASSES), rng.integers(*_OBJECTS, endpoint=True))]
    wanted += [-1] * int(rng.integers(*_CLUTTER, endpoint=True))
    placed: list[tuple[int, Array]] = []
    for label in wanted:
        if label < 0:
            size = rng.uniform((0.2, 0.2, 0.5), (3.0, 1.5, 2.5))
        else:
            size = np.array(ANCHORS[label].size) * rng.normal(1, 0.06, 3).clip(0.85, 1.15)
        reach = np.hypot(*size[:2]) / 2
        for _ in range(_TRIES):
            x = rng.uniform(POINT_RANGE[0] + 3 + reach, POINT_RANGE[3] - 1)
            y = rng.uniform(POINT_RANGE[1] + 1, POINT_RANGE[4] - 1)
            free = abs(y) < x and all(
                math.hypot(x - b[0], y - b[1]) > reach + np.hypot(*b[3:5]) / 2 for _, b in placed
            )
            if free:
                z = _GROUND + size[2] / 2
                yaw = rng.choice(_HEADINGS, p=_HEADING_SHARES) + rng.normal(0, _SWERVE)
                placed.append((label, np.array([x, y, z, *size, yaw])))
                break
    return placed


def _solids(labels: Array, boxes: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return solid boxes (S, 7), and the index of the object to which each box belongs.

    A piece of clutter is a single box. Any other object consists of a low box with the full length
    and a high box at the rear, with 60 % of the length of a car or half the length of a cyclist.
    """
    parts, owner = [], []
    for i, (label, (x, y, z, length, width, height, yaw)) in enumerate(
        zip(labels, boxes, strict=True)
    ):
        owner.append(i)
        if label < 0:
            parts.append((x, y, z, length, width, height, yaw))
            continue
        share = (0.6, 0.5)[label]
        back = -(1 - share) / 2 * length
        low = 0.55 * height
        parts.append((x, y, z - (height - low) / 2, length, width, low, yaw))
        parts.append(
            (
                x + back * math.cos(yaw),
                y + back * math.sin(yaw),
                z,
                share * length,
                width,
                height,
                yaw,
            )
        )
        owner.append(i)
    return np.array(parts), np.array(owner)


def _rays(rng: np.random.Generator) -> Array:
    """Return the directions of rays as unit vectors (R, 3), with a random shift of the azimuths."""
    elevation = np.radians(np.linspace(*_ELEVATION, _BEAMS))[:, None]
    step = (_AZIMUTH[1] - _AZIMUTH[0]) / _TURNS
    azimuth = np.radians(_AZIMUTH[0] + step * (np.arange(_TURNS) + rng.random()))
    directions = (
        np.cos(elevation) * np.cos(azimuth),
        np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation) * np.ones_like(azimuth),
    )
    return np.stack(directions, -1).reshape(-1, 3)


def _first_hit(rays: Array, solids: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return the distance (R,) to what each ray hits first, and the index of the solid.

    The index is -1 if the ray hits the ground or nothing.
    """
    with np.errstate(divide="ignore"):
        ground = np.where(rays[:, 2] < 0, _GROUND / rays[:, 2], np.inf)
    cos, sin = np.cos(solids[:, 6]), np.sin(solids[:, 6])
    turn = np.zeros((len(solids), 3, 3))  # from the scanner's axes to those of the solid
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = cos, sin, -sin, cos
    turn[:, 2, 2] = 1
    origin = -np.einsum("sij,sj->si", turn, solids[:, :3])  # (S, 3)
    direction = np.einsum("sij,rj->rsi", turn, rays)  # (R, S, 3)
    direction = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    ends = np.stack([(side * solids[:, 3:6] / 2 - origin) / direction for side in (-1, 1)])
    enters, leaves = ends.min(0).max(-1), ends.max(0).min(-1)  # (R, S)
    distance = np.where((enters <= leaves) & (enters > 0), enters, np.inf)
    nearest = distance.argmin(1)
    first = distance[np.arange(len(rays)), nearest]
    return np.minimum(first, ground), np.where(first < ground, nearest, -1)


def _shine(rng: np.random.Generator, label: int) -> float:
    """Draw the mean reflectance of one object."""
    if label < 0:
        return float(rng.uniform(0.1, 0.8))
    return float(rng.normal(_REFLECTANCE[CLASSES[label]], 0.1))
