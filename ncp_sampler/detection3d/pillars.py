"""Pillar encoder of PointPillars: maps point clouds to a bird's-eye-view map of learned features.

Notation
    n, p       number of samples; number of points of a sample, each (x, y, z, reflectance)
    H, W       number of pillars along y and along x
    P, N       number of points kept in all samples; number of pillars with at least one point
    cell       index of a pillar: (sample H + row) W + column

A pillar is a vertical column of the grid within the range of z (Lang et al. 2019, "PointPillars",
section 2.1). The paper pads pillars with zeros to the largest number of points. Here, the points of
all pillars are concatenated, so that no time is spent on padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ncp_sampler import checks

POINT_VALUES = 4  # Number of values of a point
BEV_CHANNELS = 64  # Number of features in the bird's-eye-view map
KITTI_RANGE = (0.0, -39.68, -3.0, 69.12, 39.68, 1.0)  # Low x, y, z, then high x, y, z, in meters
KITTI_PILLAR = 0.16  # Side length of a pillar in meters

_DECORATED = 9  # Number of values of a point with its offsets


class PillarEncoder(nn.Module):
    """Module that encodes point clouds as a bird's-eye-view map.

    Each point is extended by its offsets from the mean of its pillar (x, y, z) and from the center
    of the pillar (x, y). A linear layer, batch norm and ReLU compute 64 features from these 9
    values. The map contains the maximum of each feature over the points of each pillar, and 0 for
    empty pillars.

    If there are more points or pillars than allowed, an evenly spaced subset is kept, in the order
    of the points in the cloud or of the pillars in the map. Thus equal clouds give equal maps,
    whereas the paper draws random subsets.

    Args:
        point_range: Low x, y, z, then high x, y, z in meters. Points outside are left out. The
            sides along x and y must be multiples of ``pillar``.
        pillar: Side length of a pillar in meters, > 0.
        max_pillars: Maximum number of pillars per sample, at least 1.
        max_points: Maximum number of points per pillar, at least 1.
        generator: Generator for the initial weights; None for PyTorch's default generator.

    Attributes:
        shape: H and W of the map, by default (496, 432).

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> import torch
        >>> encoder = PillarEncoder(point_range=(0, -8, -3, 16, 8, 1), pillar=0.5)
        >>> encoder([torch.rand(100, 4)]).shape
        torch.Size([1, 64, 32, 32])
    """

    def __init__(
        self,
        *,
        point_range: Sequence[float] = KITTI_RANGE,
        pillar: float = KITTI_PILLAR,
        max_pillars: int = 12_000,
        max_points: int = 100,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = _grid(point_range, pillar)
        self.point_range = tuple(float(v) for v in point_range)
        self.pillar = pillar
        self.max_pillars = checks.integer("max_pillars", max_pillars, low=1)
        self.max_points = checks.integer("max_points", max_points, low=1)
        self.linear = skip_init(nn.Linear, _DECORATED, BEV_CHANNELS, bias=False)
        self.norm = nn.BatchNorm1d(BEV_CHANNELS)
        # the initialization that torch.nn.Linear uses
        nn.init.kaiming_uniform_(self.linear.weight, a=math.sqrt(5), generator=generator)

    def forward(self, points: Sequence[Tensor]) -> Tensor:
        """Encode n point clouds.

        Args:
            points: n tensors (p, 4) of any numeric type, with x, y, z in meters and reflectance. p
                is at least 1 and may differ between clouds.

        Returns:
            Map of shape (n, 64, H, W).

        Raises:
            ValueError: If there is no cloud, if a cloud is empty, not finite or of another shape,
                or if fewer than two points of a training batch are in the range.
        """
        check_points(points)
        kept, cells = self._in_cells(points)
        if self.training and len(kept) < 2:
            raise ValueError(
                f"points: {len(kept)} of the batch lie within point_range={self.point_range}, but "
                "batch norm needs at least two in training: check the clouds' axes and units"
            )
        height, width = self.shape
        bev = kept.new_zeros(len(points) * height * width, BEV_CHANNELS)
        if len(kept):
            occupied, features = self._pillars(kept, cells)
            bev = bev.to(features.dtype)
            bev[occupied] = features
        return bev.view(len(points), height, width, BEV_CHANNELS).permute(0, 3, 1, 2)

    def _pillars(self, points: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cells (N,) of pillars with points, and their features (N, 64)."""
        # `pillar` is the index of each point's pillar among the N pillars
        occupied, pillar, counts = torch.unique(cells, return_inverse=True, return_counts=True)
        features: Tensor = self.norm(self.linear(self._decorate(points, cells, pillar, counts)))
        # no value is below 0 after ReLU, so the initial zeros do not change the maximum
        largest = features.new_zeros(len(occupied), BEV_CHANNELS).scatter_reduce(
            0, pillar[:, None].expand_as(features), features.relu(), "amax"
        )
        return occupied, largest

    def _in_cells(self, points: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the kept points (P, 4), sorted by cell, and their cells (P,)."""
        height, width = self.shape
        cloud = torch.cat(list(points)).to(self.linear.weight.dtype)
        sizes = torch.tensor([len(p) for p in points], device=cloud.device)
        sample = torch.repeat_interleave(sizes)
        low, high = cloud.new_tensor(self.point_range).view(2, 3)
        inside = ((cloud[:, :3] >= low) & (cloud[:, :3] < high)).all(1)
        cloud, sample = cloud[inside], sample[inside]
        column, row = ((cloud[:, :2] - low[:2]) / self.pillar).long().T
        # a point just below the high end of the range may be rounded up to the high end
        column, row = column.clamp_max(width - 1), row.clamp_max(height - 1)
        cells, order = ((sample * height + row) * width + column).sort(stable=True)
        cloud = cloud[order]

        occupied, pillar, counts = torch.unique(cells, return_inverse=True, return_counts=True)
        few_points = _spread(_rank(counts), counts[pillar], self.max_points)
        pillars_of = torch.bincount(occupied // (height * width), minlength=len(points))
        own = occupied // (height * width)
        few_pillars = _spread(_rank(pillars_of), pillars_of[own], self.max_pillars)
        keep = few_points & few_pillars[pillar]
        return cloud[keep], cells[keep]

    def _decorate(self, points: Tensor, cells: Tensor, pillar: Tensor, counts: Tensor) -> Tensor:
        """Return points with their offsets from the mean and center of their pillar, (P, 9)."""
        width = self.shape[1]
        # segment sums have a deterministic order, even on a GPU
        mean = torch.segment_reduce(points[:, :3], "mean", lengths=counts, axis=0)
        centre = torch.stack((cells % width, cells // width % self.shape[0]), 1) + 0.5
        corner = points.new_tensor(self.point_range[:2])
        to_centre = points[:, :2] - (corner + centre.to(points.dtype) * self.pillar)
        return torch.cat((points, points[:, :3] - mean[pillar], to_centre), 1)


def check_points(points: Sequence[Tensor]) -> None:
    """Raise ValueError unless points are finite clouds of shape (p, 4) with p >= 1."""
    must = "be a sequence of tensors of shape (p, 4), one for each sample"
    if not checks.sequence("points", points, Tensor, must):
        raise ValueError("points has no clouds; give at least one")
    for i, cloud in enumerate(points):
        if cloud.ndim != 2 or cloud.shape[1] != POINT_VALUES:
            raise ValueError(
                f"points[{i}] of shape {tuple(cloud.shape)} must be of shape (p, 4): "
                "x, y, z, reflectance"
            )
        if len(cloud) == 0:
            raise ValueError(f"points[{i}] is empty; leave out samples without points")
        if not torch.isfinite(cloud).all():
            raise ValueError(f"points[{i}] contains NaN or infinity; leave such points out")


def _grid(point_range: Sequence[float], pillar: float) -> tuple[int, int]:
    """Return the numbers of pillars along y and along x."""
    ends = checks.array("point_range", point_range)
    if ends.shape != (6,) or not np.isfinite(ends).all():
        must = "be six numbers: low x, y, z, then high x, y, z"
        raise checks.refusal("point_range", point_range, must)
    low, high = point_range[:3], point_range[3:]
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise ValueError(f"point_range={tuple(point_range)} must have each low end below its high")
    checks.number("pillar", pillar, above=0)
    sides = [(high[axis] - low[axis]) / pillar for axis in (1, 0)]
    counts = [round(side) for side in sides]
    for axis, side, count in zip("yx", sides, counts, strict=True):
        if count < 1 or abs(side - count) > 1e-6 * side:
            raise ValueError(
                f"point_range={tuple(point_range)} has {side:g} pillars of {pillar} m along "
                f"{axis}; make this side of the range a multiple of the pillar"
            )
    return counts[0], counts[1]


def _rank(counts: Tensor) -> Tensor:
    """Return the index of each element within its run, for runs of the given lengths."""
    ends = counts.cumsum(0)
    starts = torch.repeat_interleave(ends - counts, counts)
    return torch.arange(len(starts), device=counts.device) - starts


def _spread(rank: Tensor, count: Tensor, most: int) -> Tensor:
    """Return a mask of the elements to keep in each run: all, or ``most`` evenly spaced ones."""
    return (rank + 1) * most // count > rank * most // count
